"""What a spectrum image says of its own camera and near-edge shapes: counts per electron, noise shared by channels, fixed pattern, shapes of edges.

Learned from some of the spectra, so that the others can test it. The noise is what is left of spectra about a model that they share but for their own
level, exponent and amplitudes; a pattern common to all spectra is taken out of it by being fitted.
"""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from reconstruct.eels.camera import Camera, noise_of, precision, whitening
from reconstruct.eels.core_loss.common import (
    Known,
    Rows,
    count_of,
    directions,
    moves_of,
    own_of,
    rows_of,
    spread_of,
)
from reconstruct.eels.core_loss.design import Design
from reconstruct.eels.core_loss.pixels import Own, Shared, expectation, fit_spectra
from reconstruct.eels.core_loss.shared import Prior, Step, joint_step

WIDE_PATTERN = 0.2
"""Rms of a fixed pattern before it is known: cameras have some per cent."""
LEAST_PATTERN_SPECTRA = 24
"""Spectra from which on a fixed pattern can be told from noise."""
PATTERN_SIGNIFICANCE = 5.0
"""Standard errors of its variance from which a pattern is fitted."""
LEAST_NOISE_SPECTRA = 8
"""Spectra from which noise is what differs between them; of fewer it is what differs from the model, misfit included."""
GROUPS, COARSE_STEPS, COARSE_SETTLED = 6, 15, 0.3
"""Means of spectra with which the steps begin: shapes are far from their prior, and few spectra are quickly done with."""
FIRST_STEPS, LAST_STEPS = 5, 4
LARGEST_CHANGE = 3.0
"""Of a shape coefficient in one step, in spreads of its prior."""
SCALES = (-0.5, 1.0)
"""Relative changes of amplitudes in one step that shapes are corrected for."""
LARGEST_MOVE = 2.0
"""Of the axis in eV in one step: shapes follow edges over few channels."""
SETTLED = 0.05
"""Rms move in standard errors at which steps end."""
SECOND_DIFFERENCE = np.array([1.0, -2.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Learned:
    """``shape`` [m] and what else edges share (``common`` [g], see `common`; ``known`` beside the spectra), with the joint ``information`` of both and of the
    pattern ([m + g + c], or [m + g] without a pattern), ``pattern`` [c] of rms ``roughness``, the ``camera``, ``told`` where its gain was given, and
    what was learnt ``from`` how many spectra. The edges of the ``design`` lie where the offset puts them."""

    design: Design
    known: Known
    shape: np.ndarray
    common: np.ndarray
    pattern: np.ndarray
    roughness: float
    camera: Camera
    information: np.ndarray
    used: np.ndarray
    spectra: int
    told: bool

    @property
    def shared(self) -> Shared:
        """As `pixels.fit_spectra` takes it."""
        return _shared(self.design, self.known, self.shape, self.common, self.pattern, self.camera, self.used)

    @functools.cached_property
    def rows(self) -> Rows:
        """Derivatives of the edges."""
        return rows_of(self.design, directions(self.design, self.known, self.camera.counts_per_electron))

    @property
    def curves(self) -> np.ndarray:
        """Edges of elements [k, c]."""
        return np.asarray(self.shared.edges)

    @property
    def offset(self) -> tuple[float, float] | None:
        """How many eV edges of absolute energies are further on than these, with the rms error; None where it was not fitted."""
        if not self.known.offset > 0.0:
            return None
        index = len(self.shape)
        return float(self.common[0]), math.sqrt(self.covariance[index, index])

    @property
    def scattering(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the unknowns of the low loss, in units of its noise, the values [q] and the covariance [q, q]."""
        first, last = len(self.shape) + (self.known.offset > 0.0), len(self.shape) + len(self.common)
        return self.common[len(self.common) - (last - first) :], self.covariance[first:last, first:last]

    @functools.cached_property
    def covariance(self) -> np.ndarray:
        """Of shape coefficients, what else edges share, and the logarithm of the pattern."""
        scale = 1.0 / np.sqrt(np.diag(self.information))
        return np.linalg.inv(self.information * np.outer(scale, scale)) * np.outer(scale, scale)

    @property
    def shape_freedom(self) -> float:
        """Degrees of freedom that the shapes take, as far as data and not their prior determine them."""
        count = len(self.shape)
        return float((1.0 - self.design.spread**-2.0 / np.diag(self.information)[:count]).clip(0.0, 1.0).sum())

    @property
    def shape_covariance(self) -> np.ndarray:
        """Of the shape coefficients [m, m]."""
        count = len(self.shape)
        return self.covariance[:count, :count]


def shared_of(design: Design, shape: np.ndarray, pattern: np.ndarray, camera: Camera, used: np.ndarray) -> Shared:
    """What `pixels` needs of a design, a pattern and a camera, as arrays of one kind."""
    taps = whitening(camera.correlation, len(pattern))
    return Shared(
        design.curves(shape), pattern, design.log_energy, taps, float(camera.gain), float(camera.readout), used,
        np.zeros((0, len(design.elements), len(pattern))),
    )  # fmt: skip


def _shared(
    design: Design,
    known: Known,
    shape: np.ndarray,
    common: np.ndarray,
    pattern: np.ndarray,
    camera: Camera,
    used: np.ndarray,
) -> Shared:
    """`shared_of`, with what moves edges."""
    shared = shared_of(design, shape, pattern, camera, used)
    first = int(known.offset > 0.0)  # the offset is in the design
    if len(common) > first:
        change = directions(design, known._replace(offset=0.0), camera.counts_per_electron)
        shared = shared._replace(edges=shared.edges + np.tensordot(common[first:], change, 1))
    return shared._replace(moves=moves_of(design, shape, known))


def learn(
    counts: np.ndarray,
    design: Design,
    used: np.ndarray,
    gain: float | None = None,
    camera: Camera | None = None,
    known: Known = Known(),
    chosen: np.ndarray | slice = slice(None),
) -> Learned:
    """Shapes, pattern and camera from ``counts`` [n, c]; ``used`` [c]: 0 for channels that are left out. ``gain``: counts per electron, where it is told;
    ``camera``: where all of it is known; ``known``: beside the spectra, of which these are the ``chosen`` ones."""
    fixed = camera is not None
    camera = camera or Camera(_first_gain(counts, used) if gain is None else gain)
    state = _State(counts, design, used, camera, known, chosen)
    state.begin()
    with_pattern = len(counts) >= LEAST_PATTERN_SPECTRA
    state.steps(FIRST_STEPS, WIDE_PATTERN if with_pattern else 0.0)
    roughness = state.roughness() if with_pattern else 0.0
    if with_pattern and roughness == 0.0:
        state.pattern = np.ones_like(state.pattern)
        state.steps(LAST_STEPS, 0.0)
    if not fixed:
        state.camera = state.noise(gain, roughness)
    state.steps(LAST_STEPS, roughness)
    if not fixed:
        state.camera = state.noise(gain, roughness)
        state.steps(1, roughness)
    return Learned(
        state.design,
        known,
        state.shape,
        state.common,
        state.pattern,
        roughness,
        state.camera,
        state.information,
        used,
        len(counts),
        gain is not None or fixed,
    )


def _first_gain(counts: np.ndarray, used: np.ndarray) -> float:
    """Variance over mean by differences of neighbouring channels; too small where neighbours share noise."""
    steps = counts[:, 2:] - 2.0 * counts[:, 1:-1] + counts[:, :-2]
    inner = (used[1:-1] > 0) & (used[2:] > 0) & (used[:-2] > 0)
    return float((steps[:, inner] ** 2).mean() / 6.0 / max(counts[:, used > 0].mean(), 1e-12))


class _State:
    """The fit while it goes on."""

    def __init__(
        self,
        counts: np.ndarray,
        design: Design,
        used: np.ndarray,
        camera: Camera,
        known: Known,
        chosen: np.ndarray | slice,
    ):
        self.counts, self.at_zero, self.design, self.used, self.camera = counts, design, design, used, camera
        self.known, self.chosen = known, chosen
        self.shape, self.pattern = design.mean.copy(), np.ones(counts.shape[1])
        self.common, self.moved = np.zeros(count_of(known)), 0.0
        if known.offset > 0.0:
            self._move(np.eye(len(self.common))[0] * known.start)
        self.parameters = fit_spectra(counts, self._shared(), own=self._own()).parameters
        self.information = np.zeros((0, 0))

    def _shared(self) -> Shared:
        return _shared(self.design, self.known, self.shape, self.common, self.pattern, self.camera, self.used)

    def _own(self) -> Own:
        return own_of(self.known, len(self.counts), self.camera.counts_per_electron, self.chosen)

    def begin(self) -> None:
        """What edges share, about as it is for means of some spectra each, with the noise of single ones: a fixed pattern is less than that."""
        if len(self.counts) < 2 * GROUPS:
            return
        means = np.array([part.mean(axis=0) for part in np.array_split(self.counts, GROUPS)])
        of_image = self.known._replace(drift=0.0)
        if of_image.scattering is not None:
            of_image = of_image._replace(scattering=of_image.scattering._replace(each=None))
        coarse = _State(means, self.at_zero, self.used, self.camera, of_image, slice(None))
        coarse.steps(COARSE_STEPS, 0.0, COARSE_SETTLED)
        self.shape, self.common, self.design = coarse.shape, coarse.common, coarse.design
        self.parameters = fit_spectra(self.counts, self._shared(), own=self._own()).parameters

    def steps(self, count: int, roughness: float, settled: float = SETTLED) -> None:
        """At most ``count`` steps; ``roughness``: prior rms of the pattern, 0 for none."""
        none = np.zeros(len(self.common))
        mean, spread = (
            np.concatenate(parts) for parts in ((self.design.mean, none), (self.design.spread, spread_of(self.known)))
        )
        # a pattern that is not known yet takes up shapes, too
        prior = Prior(mean, spread, roughness, self._own(), roughness != WIDE_PATTERN)
        for _ in range(count):
            shared = self._shared()
            taps = np.asarray(shared.taps)
            bands = precision(taps[: 1 + int(np.flatnonzero(np.abs(taps).max(axis=1))[-1])])
            rows = rows_of(self.design, directions(self.design, self.known, self.camera.counts_per_electron))
            edges = np.concatenate([self.shape, self.common])
            step = joint_step(self.counts, self.parameters, edges, shared, rows, bands, prior)
            self._take(step, prior.own)
            if roughness > 0.0:
                self.pattern = self.pattern * np.exp(np.clip(step.pattern, -0.5, 0.5))
            self.information = step.information
            if step.size < settled:
                break

    def _take(self, step: Step, prior: Own) -> None:
        """The step, but for the pattern; what is off by much is moved by less."""
        own, further = step.parameters.copy(), prior.precision.shape[1]
        own[:, :2] = np.clip(own[:, :2], -1.0, 1.0)
        if further:
            most = prior.precision**-0.5
            own[:, -further:] = np.clip(own[:, -further:], -most, most)
        count = len(self.shape)
        most = LARGEST_CHANGE * self.design.spread
        shapes = np.clip(step.edges[:count], -most, most)
        for k, (begin, end) in enumerate(self.design.members):
            # an edge is amplitude times shape: with another scale of amplitudes shapes change by so much less
            old, change = self.parameters[:, 2 + k], own[:, 2 + k]
            shapes[begin:end] /= 1.0 + np.clip(old @ change / max(old @ old, 1e-300), *SCALES)
        self.parameters, self.shape = self.parameters + own, self.shape + shapes
        move = step.edges[count:]
        if self.known.offset > 0.0:
            move[0] = np.clip(move[0], -LARGEST_MOVE, LARGEST_MOVE)
            # shapes follow the edges, so that whole steps go to and fro
            move[0] *= 0.5 if move[0] * self.moved < 0.0 else 1.0
            self.moved = float(move[0])
        self._move(move)

    def _move(self, change: np.ndarray) -> None:
        """Of what edges share beside shapes."""
        self.common = self.common + change
        if self.known.offset > 0.0:
            self.design = self.at_zero.moved(float(self.common[0]))

    def roughness(self) -> float:
        """Rms of the pattern beyond its errors, by what neighbouring channels differ: slow changes are not told from the spectra; 0 where it is not
        significant."""
        inside = (self.used > 0)[2:] & (self.used > 0)[1:-1] & (self.used > 0)[:-2]
        errors = 1.0 / np.diag(self.information)[len(self.shape) + len(self.common) :]
        weights = SECOND_DIFFERENCE**2 / (SECOND_DIFFERENCE**2).sum()
        steps = np.convolve(np.log(self.pattern), SECOND_DIFFERENCE, mode="valid")[inside]
        noise = np.convolve(errors, weights, mode="valid")[inside]
        excess = float((steps**2 / (SECOND_DIFFERENCE**2).sum() - noise).mean())
        spread = 2.0 * math.sqrt(2.0 / inside.sum()) * float(noise.mean())  # second differences overlap
        return math.sqrt(excess) if excess > PATTERN_SIGNIFICANCE * spread else 0.0

    def noise(self, gain: float | None, roughness: float) -> Camera:
        """The camera by what is left."""
        background, edges = (np.asarray(part) for part in expectation(self.parameters, self._shared()))
        inside = self.used > 0
        mean = (self.pattern * np.maximum(background + edges, 1e-3 * background))[:, inside]
        residual = self.counts[:, inside] - (self.pattern * (background + edges))[:, inside]
        freedom = max(1.0 - self._shared_freedom(roughness) / residual.size, 0.1)
        detected = noise_of(residual, mean, freedom, len(self.counts) >= LEAST_NOISE_SPECTRA)
        if gain is None:
            return detected
        single = gain / (1.0 + 2.0 * sum(detected.correlation))
        return detected._replace(gain=single, error=0.0)

    def _shared_freedom(self, roughness: float) -> float:
        """Degrees of freedom that shapes and pattern take, as far as data and not their prior determine them."""
        prior = np.concatenate([self.design.spread, spread_of(self.known)]) ** -2.0
        if roughness > 0.0:
            prior = np.concatenate([prior, np.full(len(self.pattern), roughness**-2.0)])
        return float((1.0 - prior / np.diag(self.information)).clip(0.0, 1.0).sum())


def held_out(
    learned: Learned, parameters: np.ndarray, chi_squared: np.ndarray, shared: float = 0.0
) -> tuple[float, float]:
    """Reduced chi squared of spectra with the whole covariance of their channels, and its rms error; ``shared``: degrees of freedom that each of them gave to
    the shapes, where these were learnt from it."""
    freedom: Any = (np.asarray(learned.used) > 0).sum() - parameters.shape[1] - shared
    count = len(chi_squared)
    return float(chi_squared.mean() / freedom), math.sqrt(2.0 / (freedom * count))
