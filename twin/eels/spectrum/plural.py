"""Plural scattering, exactly: losses are independent, so that the number of each kind is Poisson distributed.

With the mean number of losses per eV n(E), of transform N(s), and the zero loss Z(s), a spectrum of one electron has the transform Z exp(N(s) - N(0)): all orders of
scattering in any mixture (Misell & Jones, J. Phys. A 2, 540, 1969; Egerton, Electron Energy-Loss Spectroscopy, 3rd ed., eq. 4.8).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from twin.checks import Number, not_negative


def scattered(
    zero_loss: Complex[Array, "*batch half"],
    single: Complex[Array, "*batch half"],
    total: Number | Float[Array, "*batch"],
) -> Complex[Array, "*batch half"]:
    """Transform of the spectrum of one electron; ``single``: that of the mean number of losses per eV, ``total`` their mean number (t/lambda) over all energies.

    Losses beyond the range in which ``single`` was sampled are in ``total`` and nowhere else: what is scattered there leaves the range.
    """
    return zero_loss * jnp.exp(single - jnp.asarray(total)[..., None])


def order(
    count: int, zero_loss: Complex[Array, " half"], single: Complex[Array, " half"], t_over_lambda: Number
) -> Complex[Array, " half"]:
    """Transform of the electrons that lost energy ``count`` times: of area exp(-t/lambda) (t/lambda)^n / n!; ``single``: of one loss, of area 1."""
    not_negative("t_over_lambda", t_over_lambda, "give a thickness over the mean free path of 0 or more")
    weight = jnp.exp(-jnp.asarray(t_over_lambda)) * t_over_lambda**count / math.factorial(count)
    return weight * zero_loss * single**count
