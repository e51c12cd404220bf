"""The field of a round lens as a function of its excitation, with saturation and remanence.

Ampere's law fixes the integral of B along the whole axis to mu_0 times the ampere-turns, independent of the iron; saturated iron lets the field
spread. So the ampere-turns alone set the rotation, and saturation makes the field wider and its peak lower than in proportion.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.lenses.fields import VACUUM_PERMEABILITY, GlaserBell, Scalar

SATURATION_EXPONENT = 4
"""How sharply iron saturates: the width grows as (1 + (NI / saturation)^s)^(1 / s)."""


class RoundLens(eqx.Module):
    """A magnetic lens with a bell-shaped field.

    ``half_width`` of the unsaturated bell and ``centre`` in angstrom; ``ampere_turns`` at excitation 1 and ``remanence`` in ampere (turns), the latter what
    is left at excitation 0 in the state in which the lens is used; ``saturation`` in ampere (turns), where the unsaturated peak would be 2^(1/4) of
    the real one. Excitation is the coil's current as a share of what gives ``ampere_turns``; its sign is the current's.
    """

    centre: Scalar
    half_width: Scalar
    ampere_turns: Scalar
    saturation: Scalar = np.inf
    remanence: Scalar = 0.0

    def turns(self, excitation: Scalar) -> Float[Array, ""]:
        """Ampere-turns that act, remanence included."""
        return checks.float64(self.ampere_turns * excitation + self.remanence)

    def field(self, excitation: Scalar) -> GlaserBell:
        """The axial field at an ``excitation``; differentiable, through 0 too."""
        turns = self.turns(excitation)
        width = self.half_width * (1.0 + (turns / self.saturation) ** SATURATION_EXPONENT) ** (
            1.0 / SATURATION_EXPONENT
        )
        return GlaserBell(peak_of(turns, width), width, self.centre)


def peak_of(ampere_turns: Scalar, half_width: Scalar) -> Float[Array, ""]:
    """Peak in tesla of a bell of ``half_width`` angstrom whose integral is mu_0 ``ampere_turns``: B = mu_0 NI / (pi a)."""
    return checks.float64(VACUUM_PERMEABILITY * ampere_turns / (jnp.pi * half_width * 1e-10))
