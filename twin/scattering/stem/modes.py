"""Modes of a scan: the few orthogonal waves of which all its probes are superpositions.

A probe at r with aberrations chi is a_j = A_j exp(-i chi_j - 2 pi i k_j.r) in the plane waves k_j of the aperture. Probes within a field of area F
through an aperture of area K (1/angstrom^2) span little more than F K dimensions, for any number of probes: the contribution of further dimensions decays
faster than exponentially (concentration to two bounded domains; Slepian, Bell Syst. Tech. J. 43, 3009, 1964). The modes are the eigenvectors of the
probes' mean density matrix

    rho_jk = B(k_j - k_k) sum over beams of a_j conj(a_k)   (a at r = 0),

with B the Fourier transform of the field, a product of one along x and one along y. Modes go through the specimen as plane waves do, all probes
follow from them, and the error of any probe is known in advance.
"""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.source import gauss_hermite
from twin.scattering.stem.beams import Beams

FIELD_OVERSAMPLING = 4.0
"""Oversampling of the field relative to the band of its probes, since the field has sharp edges."""
SOURCE_WIDTHS = 4.0
"""Margin of the field around the scan, in rms widths of the source."""
SOURCE_NODES = 3
"""Quadrature nodes over the source along each axis, for the error of probes."""
CHECKED_PROBES = 5_000
"""Largest number of probes whose error is computed; at least nine for each beam."""
ERROR_SAFETY = 1.5
"""Safety factor for probes between the checked ones."""
AMPLITUDE_THRESHOLD = 1e-5
"""Relative amplitude below which a dimension is neglected."""
LARGEST_MODE_SHARE = 0.7
"""Modes are used only if they are fewer than this share of the beams."""


class Modes(eqx.Module):
    """Orthonormal ``waves`` [m, n] in the plane waves of an aperture, the most needed first; the ``share`` [m] that an average probe has of each, and
    the largest ``error`` [m + 1] of an image by none, one, ... all of them. It was found for ``probes`` [m, spots, beams, nodes], so much of each
    mode; ``nodes`` [nodes] are the weights of the average over the source."""

    waves: np.ndarray
    share: np.ndarray
    error: np.ndarray
    probes: np.ndarray
    nodes: np.ndarray

    def within(self, error: float) -> "Modes | None":
        """The fewest that are exact to ``error``; None if all are too few."""
        sufficient = np.flatnonzero(self.error <= error)
        if not len(sufficient):
            return None
        count = int(sufficient[0])
        return self.first(count)

    def first(self, count: int) -> "Modes":
        """The first ``count`` of them."""
        share = self.share[:count] / self.share[:count].sum()
        return Modes(self.waves[:count], share, self.error[: count + 1], self.probes[:count], self.nodes)


def modes(
    bundle: Beams, illuminations: Sequence[Illumination], x: np.ndarray, y: np.ndarray, focal_nodes: int = 7
) -> Modes | None:
    """Modes for all of ``illuminations``, of one aperture, anywhere between all ``x`` and ``y`` (angstrom); None where they would save little.

    ``error`` is a bound as a share of the brightest signal that a beam so wide can give, averaged over the source: of a probe a with a missing share m,
    its projection p, the positive eigenvalue m / 2 + sqrt(m - 3 m^2 / 4) of a a^H - p p^H, for a detector's Gram matrix is positive and at most that
    signal. None also for a source with tails, which is too wide.
    """
    if any(float(illumination.tail) != 0.0 for illumination in illuminations):
        return None
    largest_count = int(LARGEST_MODE_SHARE * len(bundle.k))
    spread = np.max([_spread(illumination) for illumination in illuminations], axis=0)
    middle = np.array([0.5 * (along.min() + along.max()) for along in (x, y)])
    (inside_x, size_x), (inside_y, size_y) = (
        _along(bundle.k[:, axis], along - middle[axis], spread[axis]) for axis, along in enumerate((x, y))
    )
    size = np.outer(size_x, size_y)
    first, second = np.nonzero(size > AMPLITUDE_THRESHOLD * size.max())
    if len(first) > largest_count:
        return None
    field = inside_x[:, first] * inside_y[:, second] * size[first, second]
    foci = [
        (number, *focus)
        for number, illumination in enumerate(illuminations)
        for focus in illumination.foci(focal_nodes)
    ]
    waves = _probes(bundle, [focused for _, focused, _ in foci], middle)
    share = np.array([weight for *_, weight in foci])
    if len(waves) == 1:
        span = waves[0][:, None] * field
    else:
        # random linear combinations of all beams span the same space (Halko, Martinsson and Tropp, SIAM Review 53, 217, 2011)
        draw, count = np.random.default_rng(0), min(largest_count, 3 * field.shape[1])
        span, single = np.zeros((len(field), count), np.complex64), field.astype(np.float32)
        for weight, wave in zip(share, waves, strict=True):
            mixed = single @ draw.standard_normal((field.shape[1], count), np.float32)
            span += (np.sqrt(weight) * wave).astype(np.complex64)[:, None] * mixed
        span = span.astype(complex)
    power, rotation = np.linalg.eigh(span.conj().T @ span)
    significant = np.flatnonzero(power > (AMPLITUDE_THRESHOLD**2) * power[-1])[::-1]
    basis = (span @ (rotation[:, significant] / np.sqrt(power[significant]))).T
    short, probes, nodes = _projection_errors(basis, waves, bundle, (x - middle[0], y - middle[1]), spread)
    belongs = np.array([number for number, *_ in foci])[None, :] == np.arange(len(illuminations))[:, None]
    error = (belongs * share[None, :]) @ short
    return Modes(
        basis, power[significant] / power[significant].sum(), ERROR_SAFETY * error.max(axis=(0, 1)), probes, nodes
    )


def _spread(illumination: Illumination) -> np.ndarray:
    """Rms blur [2] of images along x and y in angstrom."""
    major, minor, turn = (float(value) for value in illumination.vibration)
    along = np.hypot(major * np.cos(turn), minor * np.sin(turn)), np.hypot(major * np.sin(turn), minor * np.cos(turn))
    return np.hypot(float(illumination.source), along)


def _along(k: np.ndarray, positions: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Basis of plane waves from all positions between ``positions`` (centred) with a source of rms ``spread``, at the frequencies ``k`` [n] along one axis:
    orthogonal columns [n, d] and their sizes [d]."""
    half = 0.5 * float(np.ptp(positions))
    wide = half + SOURCE_WIDTHS * spread
    points = np.linspace(-wide, wide, math.ceil(2.0 * wide * np.ptp(k) * FIELD_OVERSAMPLING) + 2)
    outside = np.maximum(np.abs(points) - half, 0.0)
    weight = np.exp(-0.5 * (outside / spread) ** 2) if spread > 0.0 else np.ones(len(points))
    unique, inverse = np.unique(k, return_inverse=True)
    angle, root = 2.0 * np.pi * unique[:, None] * points[None, :], np.sqrt(weight / weight.sum())[None, :]
    # real, for the field lies about zero evenly
    inside, size, _ = np.linalg.svd(
        np.concatenate([np.cos(angle) * root, np.sin(angle) * root], axis=1), full_matrices=False
    )
    significant = size > AMPLITUDE_THRESHOLD * size[0]
    return inside[inverse][:, significant], size[significant]


def _probes(bundle: Beams, illuminations: Sequence[Illumination], position: np.ndarray) -> np.ndarray:
    """Amplitudes [lights, n] of probes at ``position`` (x, y)."""
    length, vectors = (
        wavelength(illuminations[0].energy),
        jnp.stack([illumination.coefficients for illumination in illuminations]),
    )
    chi = np.asarray(jax.vmap(lambda values: phase(values, bundle.k[:, 0], bundle.k[:, 1], length))(vectors))
    return bundle.amplitude * np.exp(-1j * (chi + 2.0 * np.pi * (bundle.k @ position)))


def _projection_errors(
    basis: np.ndarray, waves: np.ndarray, bundle: Beams, scan: tuple[np.ndarray, np.ndarray], spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error bounds [spots, waves, m + 1] at the corners of ``scan``, in its middle, and between them; overlaps of the probes with each mode [m, spots,
    waves, nodes], and the weights [nodes] of those."""
    nodes = [gauss_hermite(width, SOURCE_NODES if width > 0.0 else 1) for width in spread]
    side = int(np.clip(math.sqrt(CHECKED_PROBES / (len(waves) * len(nodes[0][0]) * len(nodes[1][0]))), 3, 9))
    # denser near the edges, where the last modes oscillate
    steps = -np.cos(np.pi * np.arange(side) / (side - 1))
    sides = [np.unique(0.5 * np.ptp(along) * steps) for along in scan]
    spots = [np.array([x, y]) for x in sides[0] for y in sides[1]] + ([] if side % 2 else [np.zeros(2)])
    shifts = [np.array([x, y]) for x in nodes[0][0] for y in nodes[1][0]]
    node_weights = np.outer(nodes[0][1], nodes[1][1]).ravel()
    total = np.zeros((len(spots), len(waves), len(basis) + 1))
    probes = np.empty((len(basis), len(spots), len(waves), len(shifts)), np.complex64)
    for number, spot in enumerate(spots):
        for node, shift in enumerate(shifts):
            turn = np.exp(-2j * np.pi * (bundle.k @ (spot + shift)))
            overlaps = (waves * turn[None, :]) @ basis.conj().T
            probes[:, number, :, node] = overlaps.T
            captured = np.concatenate([np.zeros((len(waves), 1)), np.cumsum(np.abs(overlaps) ** 2, axis=1)], axis=1)
            missing = np.clip(1.0 - captured, 0.0, 1.0)
            total[number] += node_weights[node] * (0.5 * missing + np.sqrt(missing - 0.75 * missing**2))
    return total, probes, node_weights
