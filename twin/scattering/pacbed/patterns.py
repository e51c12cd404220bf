"""Position-averaged convergent-beam patterns of a crystal as a smooth function of thickness, tilt and semi-angle.

Bragg beams by their rocking curves, thermal diffuse scattering between them by frozen phonons; both in the crystal's frame, in which the aperture
of a specimen tilted by tau is centred on -tau. Where disks do not overlap, the pattern of a stationary probe is the same at any position.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from twin import checks
from twin.checks import finite, positive, require
from twin.sample.specimen import Specimen
from twin.scattering.pacbed.diffuse import Diffuse, diffuse
from twin.scattering.pacbed.rocking import Rocking, rocking

U2_RATIO = 1.25
"""Ratio of <u^2> in the second table to that in the first: patterns are linear in <u^2> between and near the two."""
SUPERCELL_WIDTH = 11.0
"""Least width of the supercell of diffuse scattering in angstrom."""


class Library(NamedTuple):
    """Rocking curves and diffuse scattering of one crystal: see `pattern`. ``warmer`` is the table of the rocking curves with all <u^2> times `U2_RATIO`.

    ``semiangle`` (radian) of the aperture that it is for, more or less, tilts of the specimen up to ``tilted`` and directions up to ``reach`` from the axis.
    """

    rocking: Rocking
    warmer: Float[np.ndarray, "depths pairs"]
    diffuse: Diffuse
    semiangle: float
    tilted: float
    reach: float

    @property
    def thickest(self) -> float:
        """angstrom."""
        return float(self.rocking.depths[-2])

    @property
    def thinnest(self) -> float:
        """angstrom."""
        return float(self.rocking.depths[0])

    @property
    def widest(self) -> float:
        """Largest semi-angle in radian whose directions it holds while the crystal is tilted by less than half of ``tilted``."""
        return 1.05 * self.semiangle + 0.5 * self.tilted

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        curves = self.rocking
        arrays = (curves.table, self.warmer, curves.pair, curves.incident, curves.outgoing, self.diffuse.table)
        return sum(array.nbytes for array in arrays)


class Averaged(NamedTuple):
    """Patterns [ny, nx] on the lattice of `Rocking`, shares of the beam for each direction: Bragg beams and diffuse scattering, and the derivatives
    [4, ny, nx] of both by thickness (per angstrom), specimen tilt x, y (per radian, the lattice staying the crystal's) and semi-angle (per radian), and of
    Bragg beams by the thermal motion (per its nominal <u^2>). ``direct``: the same beam without a crystal, with derivatives [3, ny, nx] by tilt and
    semi-angle."""

    bragg: Float[np.ndarray, "y x"]
    diffuse: Float[np.ndarray, "y x"]
    bragg_slopes: Float[np.ndarray, "4 y x"]
    diffuse_slopes: Float[np.ndarray, "4 y x"]
    thermal_slope: Float[np.ndarray, "y x"]
    direct: Float[np.ndarray, "y x"]
    direct_slopes: Float[np.ndarray, "3 y x"]


def library(
    cell: Specimen,
    slices: int,
    gpts: tuple[int, int],
    energy: float,
    semiangle: float,
    reach: float,
    tilted: float = 8e-3,
    thickness: float = 700.0,
    step: float = 0.45e-3,
    configurations: int = 16,
    seed: int = 0,
    parametrization: str = "lobato",
    workers: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Library:
    """The library of a crystal of the unit ``cell`` (orthogonal, beam along z) in ``slices`` slices on a grid ``gpts`` (ny, nx).

    For electrons of ``energy`` eV, apertures of about ``semiangle`` radian, specimen tilts up to ``tilted``, thicknesses up to ``thickness`` angstrom and
    outgoing directions up to ``reach`` radian from the zone axis (the range of a camera plus ``tilted``), ``step`` apart. ValueError for impossible values.
    """
    checks.require_float64()
    for name, value in (("semiangle", semiangle), ("reach", reach), ("tilted", tilted), ("step", step)):
        positive(name, value, "give it in radian, above zero", "rad")
    finite("thickness", thickness, "give the largest thickness in angstrom")
    require(
        thickness > 4.0 * cell.thickness,
        f"thickness is {thickness} angstrom; a library holds more than four cells of {cell.thickness:.2f}",
    )
    require(
        reach > semiangle + tilted,
        f"reach is {reach} rad; the aperture of a tilted crystal goes up to {semiangle + tilted:.5f}: give more",
    )
    incident = 1.05 * semiangle + tilted + step

    def reporter(text: str) -> Callable[[float], None]:
        return lambda share: None if progress is None else progress(text, share)

    deepest = thickness + 2.0 * cell.thickness
    warmer_u2 = cell.u2 * U2_RATIO
    warm = Specimen(cell.positions, warmer_u2, cell.symbols, cell.cell, cell.occupancy)
    curves, warmer = (
        rocking(
            crystal, slices, gpts, energy, incident, reach, deepest, step, 1, parametrization, workers, reporter(text)
        )
        for crystal, text in ((cell, "rocking curves"), (warm, "rocking curves of warmer atoms"))
    )
    repeats = (max(2, round(SUPERCELL_WIDTH / cell.extent[0])), max(2, round(SUPERCELL_WIDTH / cell.extent[1])))
    thermal = diffuse(
        cell, slices, gpts, energy, incident + 2e-3, reach, deepest, repeats, configurations,
        seed=seed, parametrization=parametrization, workers=workers, progress=reporter("diffuse scattering"),
    )  # fmt: skip
    return Library(curves, warmer.table, thermal, float(semiangle), float(tilted), float(reach))


def pattern(
    curves_library: Library, thickness: float, tilt: tuple[float, float], semiangle: float, warmth: float = 1.0
) -> Averaged:
    """The pattern of a crystal of ``thickness`` angstrom and specimen ``tilt`` (x, y) radian in a beam of ``semiangle`` radian, with derivatives.

    ``warmth`` times the <u^2> of the library's cell is how much its atoms move (in Bragg beams).
    """
    curves, shape = curves_library.rocking, curves_library.rocking.shape
    open_, edges = aperture(curves.k, curves.step, tilt, semiangle)
    rows, weights, slopes = _between(curves.depths, thickness)
    lit = np.flatnonzero(open_[curves.incident])
    pairs, incident, outgoing = curves.pair[lit], curves.incident[lit], curves.outgoing[lit]
    share = (warmth - 1.0) / (U2_RATIO - 1.0)
    mix = np.stack([weights, slopes])
    cold, warm = mix @ curves.table[rows], mix @ curves_library.warmer[rows]
    value, rate = ((1.0 - share) * a + share * b for a, b in zip(cold, warm, strict=True))
    values, rates, warming = (array[pairs] for array in (value, rate, (warm[0] - cold[0]) / (U2_RATIO - 1.0)))
    illuminated = open_[incident]
    terms = [
        values * illuminated,
        rates * illuminated,
        *(values * edge[incident] for edge in edges),
        warming * illuminated,
    ]
    size = shape[0] * shape[1]
    bragg = np.stack([np.bincount(outgoing, term, size).reshape(shape) for term in terms])
    direct = np.zeros((4, *shape))
    direct[:, curves.k[:, 1] + shape[0] // 2, curves.k[:, 0] + shape[1] // 2] = np.stack([open_, *edges])

    thermal = curves_library.diffuse
    rows, weights, slopes = _between(thermal.depths, thickness)
    open_, edges = aperture(thermal.k, thermal.step, tilt, semiangle)
    # one product for each depth: gathering the rows of the table would copy most of it
    apertures, beams = np.stack([open_, *edges]).astype(np.float32), len(thermal.k)
    diffuse_sums = np.stack([apertures @ thermal.table[row].reshape(beams, -1) for row in rows], axis=1)
    diffuse_sums = diffuse_sums.reshape(4, len(rows), *thermal.table.shape[-2:]).astype(np.float64)
    coarse = np.concatenate([
        np.tensordot(weights, diffuse_sums[:1], axes=(0, 1)), np.tensordot(slopes, diffuse_sums[:1], axes=(0, 1)),
        np.tensordot(weights, diffuse_sums[1:], axes=(0, 1)),
    ])  # fmt: skip
    ratio = (curves.step[0] * curves.step[1]) / (thermal.step[0] * thermal.step[1])
    down = _linear(shape[0], curves.step[1], coarse.shape[-2], thermal.step[1])
    across = _linear(shape[1], curves.step[0], coarse.shape[-1], thermal.step[0])
    smooth = ratio * np.einsum("yi,nij,xj->nyx", down, coarse, across, optimize=True)
    return Averaged(bragg[0], smooth[0], bragg[1:5], smooth[1:], bragg[5], direct[0], direct[1:])


def aperture(
    k: np.ndarray, step: tuple[float, float], tilt: tuple[float, float], semiangle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [m] of directions ``k`` that sum to 1 and their derivatives [3, m] by tilt x, y and semi-angle.

    The edge is a cosine two steps wide: narrower ones make the pattern depend on how the circle lies on the lattice.
    """
    x, y = k[:, 0] * step[0] + tilt[0], k[:, 1] * step[1] + tilt[1]
    radius, width = np.hypot(x, y), step[0] + step[1]
    depth = np.clip((semiangle - radius) / width + 0.5, 0.0, 1.0)
    weight, rim = 0.5 - 0.5 * np.cos(np.pi * depth), 0.5 * np.pi * np.sin(np.pi * depth) / width
    safe = np.maximum(radius, 1e-12)
    slopes = np.stack([-rim * x / safe, -rim * y / safe, rim])
    total = weight.sum()
    return weight / total, slopes / total - weight * slopes.sum(axis=1)[:, None] / total**2


def coarse(
    curves_library: Library, tilt: tuple[float, float], depths: np.ndarray, pixel: float, half: int
) -> Float[np.ndarray, "depths y x"]:
    """Patterns about the beam on 2 ``half`` + 1 pixels of ``pixel`` radian in either direction, at rows ``depths`` of the rocking curves: all at once."""
    curves, width = curves_library.rocking, 2 * half + 1
    open_, _ = aperture(curves.k, curves.step, tilt, curves_library.semiangle)
    ny, nx = curves.shape
    y, x = np.divmod(np.arange(ny * nx), nx)
    target_pixel = [
        np.rint(((v - n // 2) * s + t) / pixel).astype(int) + half
        for v, n, s, t in zip((x, y), (nx, ny), curves.step, tilt, strict=True)
    ]
    inside = (target_pixel[0] >= 0) & (target_pixel[0] < width) & (target_pixel[1] >= 0) & (target_pixel[1] < width)
    target = np.where(inside, target_pixel[1] * width + target_pixel[0], width * width)
    illuminated = open_[curves.incident]
    lit = illuminated > 0.0
    matrix = csr_array(
        (illuminated[lit].astype(np.float32), (target[curves.outgoing[lit]], curves.pair[lit])),
        shape=(width * width + 1, curves.table.shape[1]),
    )
    return np.asarray(matrix @ curves.table[depths].T)[:-1].T.reshape(len(depths), width, width)


def _between(depths: np.ndarray, thickness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a table over evenly spaced ``depths``, their weights and the derivatives of these: cubic, with a continuous slope."""
    spacing = depths[1] - depths[0]
    row_position = (min(max(thickness, depths[0]), depths[-1]) - depths[0]) / spacing
    row = min(int(row_position), len(depths) - 2)
    u = row_position - row
    rows = np.clip(np.arange(row - 1, row + 3), 0, len(depths) - 1)
    powers = np.array([1.0, u, u**2, u**3]), np.array([0.0, 1.0, 2.0 * u, 3.0 * u**2]) / spacing
    basis = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    return rows, (powers[0] @ basis).astype(np.float32), (powers[1] @ basis).astype(np.float32)


def _linear(count: int, step: float, nodes: int, spacing: float) -> np.ndarray:
    """Linear interpolation [count, nodes] between lattices with a common middle."""
    node_position = (np.arange(count) - count // 2) * step / spacing + nodes // 2
    return np.maximum(0.0, 1.0 - np.abs(node_position[:, None] - np.arange(nodes)[None, :]))
