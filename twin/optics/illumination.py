"""A convergent beam: its coherent probe, and the distributions over which images are averaged."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from twin import checks
from twin.optics.probe import Edge
from twin.optics.source import phase_quadrature, source_spectrum, vibration_spectrum


def _real(value) -> Array:
    return checks.float64(value)


class Illumination(eqx.Module):
    """Probe-forming optics; every number but ``energy`` (eV), ``semiangle`` (radian) and ``soft`` can be differentiated in.

    ``coefficients`` [25] of the aberrations in angstrom, C10 at the entrance face; ``soft`` gives the aperture an edge one grid step wide (`Edge`);
    ``focal_spread`` rms in angstrom. ``source``: rms in angstrom of its image's core, of which a share ``tail`` lies in tails ``tail_width`` wide
    (`source_spectrum`); ``vibration`` [3]: rms along and across a direction in angstrom, and that direction in radian.
    """

    coefficients: Float[Array, " 25"] = eqx.field(converter=_real)
    energy: float = eqx.field(static=True)
    semiangle: float = eqx.field(static=True)
    soft: Edge = eqx.field(static=True, default=True)
    focal_spread: Float[Array, ""] = eqx.field(converter=_real, default=0.0)
    source: Float[Array, ""] = eqx.field(converter=_real, default=0.0)
    tail: Float[Array, ""] = eqx.field(converter=_real, default=0.0)
    tail_width: Float[Array, ""] = eqx.field(converter=_real, default=0.0)
    vibration: Float[Array, " 3"] = eqx.field(converter=_real, default=(0.0, 0.0, 0.0))

    def __check_init__(self):
        checks.electron_energy(self.energy)
        checks.finite("coefficients", self.coefficients, "give every aberration in angstrom, 0 for none")
        checks.positive("semiangle", self.semiangle, "give the convergence semi-angle in radian")
        checks.not_negative("focal_spread", self.focal_spread, "give the rms in angstrom, 0 for none")
        checks.not_negative("source", self.source, "give the rms in angstrom, 0 for a point")
        checks.not_negative("tail_width", self.tail_width, "give the width of the tails in angstrom")
        checks.not_negative("vibration", self.vibration[:2], "give the rms along and across its direction in angstrom")

    def spectrum(
        self, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
    ) -> Float[Array, " *n"]:
        """What source and vibration leave of an image's Fourier components at (``kx``, ``ky``) in 1/angstrom."""
        return source_spectrum(kx, ky, self.source, self.tail, self.tail_width) * vibration_spectrum(
            kx, ky, *self.vibration
        )

    def foci(self, nodes: int) -> list[tuple["Illumination", float]]:
        """The same beam without focal spread at ``nodes`` values of C10, and their weights (sum 1)."""
        if float(self.focal_spread) == 0.0 or nodes == 1:
            return [(self, 1.0)]
        offsets, weights = phase_quadrature(float(self.focal_spread), nodes)
        sharp = eqx.tree_at(lambda light: light.focal_spread, self, jnp.zeros(()))
        return [
            (eqx.tree_at(lambda light: light.coefficients, sharp, self.coefficients.at[0].add(offset)), float(weight))
            for offset, weight in zip(offsets, weights, strict=True)
        ]
