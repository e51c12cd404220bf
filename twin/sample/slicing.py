"""The atoms of each slice, and those near each plane between slices. Plain numpy, since it decides array shapes."""

import numpy as np
from jaxtyping import Float, Int

from twin.sample.potential.projected import Neighbours

TABLE_WIDTH_MULTIPLE = 8
"""Tables are as wide as a multiple of this, so that configurations of one crystal share their compiled code."""


def _width(count: int) -> int:
    return -(-max(1, count) // TABLE_WIDTH_MULTIPLE) * TABLE_WIDTH_MULTIPLE


def slice_of(
    z: Float[np.ndarray, " atoms"], depth: float, slices: int, periodic: bool = True
) -> Int[np.ndarray, " atoms"]:
    """Number of the slice of every atom at ``z`` angstrom in a cell ``depth`` angstrom deep; without ``periodic`` the outer slices take what lies outside."""
    if not periodic:
        return np.clip(np.floor(z / depth * slices), 0, slices - 1).astype(np.int64)
    return np.floor((z / depth) % 1.0 * slices).astype(np.int64) % slices


def members(
    slice_index: Int[np.ndarray, " atoms"], kind: Int[np.ndarray, " atoms"], slices: int, elements: int
) -> Int[np.ndarray, "slices elements most"]:
    """Indices of the atoms of every element in every slice, padded with -1."""
    group = slice_index * elements + kind
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group, minlength=slices * elements)
    column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((slices * elements, _width(int(counts.max()))), -1, dtype=np.int32)
    table[group[order], column] = order
    return table.reshape(slices, elements, -1)


def neighbours(
    z: Float[np.ndarray, " atoms"],
    slice_index: Int[np.ndarray, " atoms"],
    kind: Int[np.ndarray, " atoms"],
    depth: float,
    slices: int,
    elements: int,
    reach: float,
    periodic: bool = True,
) -> tuple[Neighbours, ...]:
    """Atoms, and if ``periodic`` their images, within ``reach`` angstrom of each of the slices + 1 planes, for each element.

    ``slice_index`` from `slice_of` decides on which side of a plane an atom lies, so that this agrees with its slice to the last bit. Not
    ``periodic``, the first and last plane have none: the parts of atoms beyond the entrance and exit faces stay in the outer slices.
    """
    spacing = depth / slices
    # shift into the cell of the atom's slice: z + shift lies in slice ``slice_index``
    shift = -np.round((z - (slice_index + 0.5) * spacing) / depth) * depth if periodic else np.zeros_like(z)
    images = range(-int(np.ceil(reach / depth)) - 1, int(np.ceil(reach / depth)) + 2) if periodic else (0,)
    rows: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = []
    for plane in range(slices + 1):
        near_images = []
        for image in images:
            offset = shift + image * depth - plane * spacing
            near = np.abs(z + offset) <= reach
            if not periodic and plane in (0, slices):
                near = np.zeros_like(near)
            index = np.flatnonzero(near)
            sign = np.where(slice_index[index] + image * slices >= plane, 1.0, -1.0)
            near_images.append((index, offset[index], sign))
        index, offset, sign = (np.concatenate(parts) for parts in zip(*near_images, strict=True))
        rows.append(
            [
                (index[selected], offset[selected], sign[selected])
                for selected in (kind[index] == e for e in range(elements))
            ]
        )
    tables = []
    for element in range(elements):
        width = _width(max(len(row[element][0]) for row in rows))
        indices = np.full((slices + 1, width), -1, dtype=np.int32)
        offsets, signs = np.zeros((slices + 1, width)), np.ones((slices + 1, width))
        for plane, row in enumerate(rows):
            count = len(row[element][0])
            indices[plane, :count], offsets[plane, :count], signs[plane, :count] = row[element]
        tables.append(Neighbours(indices, offsets, signs))
    return tuple(tables)
