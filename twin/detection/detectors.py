"""STEM detectors: their collection angles and response, as weights on the beams of a diffraction pattern.

The signal is the sum of pattern times weights (`detect`): a fraction of the incident beam, which `counting` turns into counts.
"""

import math

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from twin.checks import Number, known, require
from twin.detection.counting import counts_variance, expected_counts, sample_counts
from twin.detection.regions import Frequency, Offset, check_edge, check_segments, plane, ring, segments
from twin.detection.response import Response, respond
from twin.grid import CUTOFF, TAPER, smooth

__all__ = [
    "Annular", "Segmented", "annular", "check_angles", "counts_variance", "detect", "expected_counts", "sample_counts",
]  # fmt: skip


class Annular(eqx.Module):
    """An annular detector: ``inner`` and ``outer`` scattering angle in radian, ``edge`` width of a linear soft edge in radian.

    ``response`` is its polynomial efficiency in (angle - middle) / half-width, constant term first ((1.0,) is uniform), or a map. ``offset``
    is where its centre lies (x, y) and ``rotation`` how far its map is turned, in radian. All but ``edge`` can be differentiated in.
    """

    inner: Number
    outer: Number
    edge: float = eqx.field(default=0.0, static=True)
    response: Response = (1.0,)
    offset: Offset = (0.0, 0.0)
    rotation: Number = 0.0

    def __check_init__(self) -> None:
        check_edge(self.edge)
        if known(self.inner, self.outer):
            require(
                0.0 <= self.inner < self.outer < math.inf,
                f"an annular detector from {self.inner} to {self.outer} rad is not possible; give 0 <= inner < outer in radian",
            )

    def weights(self, kx: Frequency, ky: Frequency, wavelength: float) -> Array:
        """Response at spatial frequencies in 1/angstrom (broadcast together), float64; differentiable if ``edge`` is above zero."""
        x, y = plane(kx, ky, wavelength, self.offset, self.rotation)
        weight = ring(kx, ky, wavelength, self.inner, self.outer, self.edge, self.offset)
        return weight * respond(self.response, x, y, self.inner, self.outer)


class Segmented(eqx.Module):
    """A detector of rings between ``radii`` (rising, radian), each cut into ``sectors``; see `regions.segments`.

    ``rotation``, ``gap`` and ``offset`` in radian; ``response`` as for `Annular`, over the whole face.
    """

    radii: tuple[Number, ...] | Float[Array, " rings_and_1"]
    sectors: int = eqx.field(static=True)
    rotation: Number = 0.0
    edge: float = eqx.field(default=0.0, static=True)
    gap: Number = 0.0
    response: Response = (1.0,)
    offset: Offset = (0.0, 0.0)

    def __check_init__(self) -> None:
        check_segments(self.radii, self.sectors, self.edge, self.gap)

    def weights(self, kx: Frequency, ky: Frequency, wavelength: float) -> Array:
        """Response [rings, sectors, *shape] at spatial frequencies in 1/angstrom (broadcast together), float64."""
        weight = segments(kx, ky, wavelength, self.radii, self.sectors, self.rotation, self.edge, self.gap, self.offset)
        x, y = plane(kx, ky, wavelength, self.offset, self.rotation)
        return weight * respond(self.response, x, y, self.radii[0], self.radii[-1])[None, None]


def annular(
    kx: np.ndarray, ky: np.ndarray, wavelength: float, inner: float, outer: float, edge: float = 0.0
) -> np.ndarray:
    """`regions.ring` as a NumPy array, whatever is being traced: for weights that are built once."""
    with jax.ensure_compile_time_eval():
        return np.asarray(ring(kx, ky, wavelength, inner, outer, edge))


def detect(patterns: Float[Array, "*batch y x"], weights: Float[Array, "*detectors y x"]) -> Array:
    """Signals [*batch, *detectors] of diffraction ``patterns`` (share of the beam in every beam) in the precision of the patterns."""
    lead = weights.shape[:-2]
    flat = weights.reshape(math.prod(lead), -1).astype(patterns.dtype)
    signals = patterns.reshape(*patterns.shape[:-2], -1) @ flat.T
    return signals.reshape(*patterns.shape[:-2], *lead)


def check_angles(
    outer: float, gpts: tuple[int, int], extent: tuple[float, float], wavelength: float, offset: Offset = (0.0, 0.0)
) -> None:
    """ValueError, naming a sufficient gpts, if a grid (ny, nx) over ``extent`` (x, y) angstrom does not carry angles up to ``outer`` radian.

    The limit is the band that multislice keeps without damping, CUTOFF - TAPER of Nyquist: beyond it the signal is too small. An
    ``offset`` (x, y) radian of the detector's centre adds to its outer angle.
    """
    reach = outer + math.hypot(float(offset[0]), float(offset[1]))
    require(0.0 < reach < math.inf, f"an outer angle of {reach} rad is not possible; give it in radian, above zero")
    passed_k = (CUTOFF - TAPER) * 0.5 * wavelength
    if reach <= passed_k * min(gpts[1] / extent[0], gpts[0] / extent[1]):
        return
    need_y, need_x = (smooth(math.ceil(side * reach / passed_k - 1e-9)) for side in (extent[1], extent[0]))
    raise ValueError(
        f"a grid too coarse for the detector's outer angle: {gpts[1]} x {gpts[0]} points (x, y) over {extent[0]:.2f} x {extent[1]:.2f} angstrom carry "
        f"{1e3 * passed_k * min(gpts[1] / extent[0], gpts[0] / extent[1]):.1f} mrad, the detector reaches {1e3 * reach:.1f} mrad; "
        f"use gpts (ny, nx) = ({need_y}, {need_x}) or more, or smaller angles"
    )
