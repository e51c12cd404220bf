"""The model of core-loss spectra: what an atom per area adds to each channel, and a near-edge shape that is not known from atoms.

The edges of free atoms hold the number of atoms; how an edge rises and which peaks it has is chemistry. An edge is therefore the atom's cross-section times a
shape that all spectra share: linear splines in the loss from the onset, with knots one to two channels apart near the onset and further apart beyond, with a
prior about 0 before the onset and about 1 behind. The prior is wide at the onset (white lines are several times what the atom has) and narrow beyond
`SHAPED` electronvolt, where the atom is trusted: that is what areal densities rest on.

What the shape can swallow: everything that has the same distribution over the spectra as its element within `SHAPED` electronvolt of the onset, such as shifts
of the energy axis by a few channels, plural scattering where no low loss is given, and weak edges of another element that goes with it.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SHAPED = 60.0
"""Losses beyond the onset up to which the shape is free."""
BEFORE = 4.0
"""Losses before the onset from which on there may be an edge: resolution and chemical shift."""
FINE, GROWTH, FINE_UNTIL = 0.5, 1.25, 14.0
"""Distance of knots near the onset in eV (at least `LEAST_CHANNELS`), the factor by which they are further apart beyond, and where that begins."""
LEAST_CHANNELS = 1.0
WIDE, DECAY, NARROW = {"K": 0.7, "L": 1.5, "M": 4.0, "N": 4.0}, 8.0, 0.1
"""Prior of the shape, rms: near the onset by shell (white lines of L, resonances of M and N), the losses within which it decays, and what is left
far from it."""


class Edge(NamedTuple):
    """Subshells of an ``element`` that are one edge: ``name`` ("L2,3"), ``onset`` in eV, ``cross_section`` [channels] in angstrom^2 per channel, which may
    start before the onset (its continuation there is used for the shape), whether it has a free shape (``shaped``), and whether its onset is an absolute
    energy, which moves with the axis's offset (``absolute``), and not a place on the axis."""

    element: str
    name: str
    onset: float
    cross_section: np.ndarray
    shaped: bool = True
    absolute: bool = False


class Design(NamedTuple):
    """For k elements, e edges, m shape coefficients and c channels: ``fixed`` [e, c] and ``basis`` [m, c] in angstrom^2 per channel over ``scale`` [k], so that
    an amplitude is about the counts of its edge, and both without plural scattering (``plain_fixed``, ``plain_basis``); ``owner`` [e]: the element of each
    edge; ``element`` [m] and ``edge`` [m] of each coefficient, its prior ``mean`` and ``spread`` [m] and its loss from the onset ``loss`` [m]; ``energies`` [c]
    and ``log_energy`` [c] for the background; ``elements``, ``edges``; the ``kernel`` that they are convolved with."""

    fixed: np.ndarray
    basis: np.ndarray
    plain_fixed: np.ndarray
    plain_basis: np.ndarray
    owner: np.ndarray
    element: np.ndarray
    edge: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    loss: np.ndarray
    scale: np.ndarray
    energies: np.ndarray
    log_energy: np.ndarray
    elements: tuple[str, ...]
    edges: tuple[Edge, ...]
    kernel: np.ndarray | None

    @property
    def step(self) -> float:
        """eV a channel."""
        return float(self.energies[1] - self.energies[0])

    @property
    def members(self) -> tuple[tuple[int, int], ...]:
        """Of each element the first and the last but one of its shape coefficients."""
        ends = np.searchsorted(self.element, np.arange(len(self.elements) + 1))
        return tuple((int(begin), int(end)) for begin, end in itertools.pairwise(ends))

    def curves(self, shape: np.ndarray, plain: bool = False, only: np.ndarray | None = None) -> np.ndarray:
        """Edges of elements [k, c] for shape coefficients [m]; ``plain``: without plural scattering; ``only`` [e]: of these edges."""
        fixed, basis = (self.plain_fixed, self.plain_basis) if plain else (self.fixed, self.basis)
        number = np.arange(len(self.elements))[:, None]
        owned, member = number == self.owner[None, :], number == self.element[None, :]
        if only is not None:
            owned, member = owned & only, member & only[self.edge]
        return owned @ fixed + (member * shape) @ basis

    def moved(self, offset: float) -> "Design":
        """The same with the edges of absolute energies ``offset`` eV further on."""
        if offset == 0.0:
            return self
        edges = [
            edge._replace(
                onset=edge.onset + offset,
                cross_section=np.interp(self.energies - offset, self.energies, edge.cross_section),
            )
            if edge.absolute
            else edge
            for edge in self.edges
        ]
        return design_of(self.energies, edges, self.kernel, self.scale)


def design_of(
    energies: np.ndarray, edges: Sequence[Edge], kernel: np.ndarray | None = None, scale: np.ndarray | None = None
) -> Design:
    """The model of spectra with channels at ``energies`` (eV, even steps, rising, positive). ``kernel`` [n]: low loss of unit sum from zero loss on, in
    channels of the same step, with which edges are convolved: plural scattering; ``scale`` [k]: of the amplitudes, default that of these edges. ValueError
    without edges, or for an edge without counts here."""
    if not edges:
        raise ValueError("there is no edge within the spectrum")
    step = float(energies[1] - energies[0])
    elements = tuple(dict.fromkeys(edge.element for edge in edges))
    edges = sorted(edges, key=lambda edge: elements.index(edge.element))  # coefficients of an element stay together
    fixed = np.zeros((len(edges), len(energies)))
    owners = np.array([elements.index(edge.element) for edge in edges], int)
    rows: list[np.ndarray] = []
    element, number, mean, spread, losses = [], [], [], [], []
    for index, edge in enumerate(edges):
        loss = energies - edge.onset
        if not edge.shaped:
            fixed[index] = np.where(loss >= 0.0, edge.cross_section, 0.0)
            continue
        knots = _knots(step)
        hats = _hats(loss, knots)
        fixed[index] = edge.cross_section * hats[-1]
        for knot, hat in zip(knots[:-1], hats[:-1], strict=True):
            rows.append(edge.cross_section * hat)
            element.append(owners[index])
            number.append(index)
            mean.append(1.0 if knot >= 0.0 else 0.0)
            spread.append(NARROW + WIDE[edge.name[0]] * np.exp(-max(knot, 0.0) / DECAY))
            losses.append(knot)
    plain_basis = np.array(rows).reshape(len(rows), len(energies))
    basis, plain_fixed = plain_basis, fixed
    if kernel is not None:
        basis, fixed = convolved(basis, kernel), convolved(fixed, kernel)
    member, means = np.array(element, int), np.array(mean)
    totals = np.array([
        fixed[owners == index].sum() + (means[member == index] @ basis[member == index]).sum()
        for index in range(len(elements))
    ])  # fmt: skip
    for name, total in zip(elements, totals, strict=True):
        if not total > 0.0:
            raise ValueError(f"{name} has no edge with counts within {energies[0]:g} to {energies[-1]:g} eV")
    scale = totals if scale is None else scale
    of_edges, of_shapes = scale[owners][:, None], scale[member][:, None]
    return Design(
        fixed / of_edges,
        basis / of_shapes,
        plain_fixed / of_edges,
        plain_basis / of_shapes,
        owners,
        member,
        np.array(number, int),
        means,
        np.array(spread),
        np.array(losses),
        scale,
        np.asarray(energies),
        np.log(energies / np.sqrt(energies[0] * energies[-1])),
        elements,
        tuple(edges),
        kernel,
    )


def convolved(curves: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """``curves`` [..., channels] convolved with what follows from channel 0 of ``kernel`` on: losses only add."""
    channels = curves.shape[-1]
    size = channels + len(kernel)
    transform = np.fft.rfft(curves, size) * np.fft.rfft(kernel, size)
    return np.fft.irfft(transform, size)[..., :channels]


def _knots(step: float) -> np.ndarray:
    """Knots in eV from the onset: the last is where the atom's edge begins to hold."""
    fine = max(FINE, LEAST_CHANNELS * step)
    before = -fine * np.arange(np.ceil(BEFORE / fine), 0.0, -1.0)
    knots, distance = [*before, *np.arange(0.0, max(FINE_UNTIL, fine), fine)], fine
    while knots[-1] < SHAPED:
        distance *= GROWTH
        knots.append(knots[-1] + distance)
    return np.array(knots)


def _hats(loss: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Linear splines [knots, channels] that sum to 1 from the first knot on; the last stays 1 beyond its knot, the first begins one distance before."""
    places = np.concatenate([[2.0 * knots[0] - knots[1]], knots])
    unit = np.eye(len(places))[1:]
    return np.array([np.interp(loss, places, row, left=0.0) for row in unit])
