"""Cosine and sine of many phases, by a polynomial that vectorises on CPUs.

Multislice alternates Fourier transforms with multiplications by exp(i angle), and on a CPU XLA's cosine and sine take longer than some of the
transforms: they work on one value at a time, with a general range reduction. Here an angle is given in turns and reduced by whole and half turns,
which is exact, to at most a quarter of a turn, where few terms of the Taylor series suffice.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

SERIES_TERMS = {"float32": 7, "float64": 11}
"""Terms of either series: its truncation error, at most (pi / 2)^(2 terms) / (2 terms)!, is below half a unit in the last place of 1."""


def _series(variable: Array, first: int) -> Array:
    """sum_k (-1)^k (2 pi)^n v^k / n! with n = first + 2 k, by Horner's rule, with the terms that the dtype of ``variable`` needs."""
    orders = [first + 2 * term for term in range(SERIES_TERMS[variable.dtype.name])]
    factors = [(-1.0) ** term * math.tau**n / math.factorial(n) for term, n in enumerate(orders)]
    total = jnp.full_like(variable, factors[-1])
    for factor in reversed(factors[:-1]):
        total = total * variable + jnp.asarray(factor, variable.dtype)
    return total


@jax.custom_jvp
@jax.jit
def cos_sin(turns: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """cos(2 pi t) and sin(2 pi t) of ``turns`` t in the same dtype, float32 or float64, to a few units in the last place of 1.

    The rounding of the angle itself in float32 remains: reduce a large angle in float64 first. NaN and infinity give NaN.
    """
    halves = jnp.round(2.0 * turns)
    remainder = turns - 0.5 * halves
    odd = jnp.abs(halves - 2.0 * jnp.round(0.5 * halves))
    sign = 1.0 - 2.0 * odd
    square = remainder * remainder
    return sign * _series(square, 0), sign * remainder * _series(square, 1)


@cos_sin.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    cosine, sine = cos_sin(primals[0])
    rate = math.tau * tangents[0]
    return (cosine, sine), (-sine * rate, cosine * rate)


def cis(angle: Float[Array, "*n"]) -> Complex[Array, "*n"]:
    """exp(i ``angle``), the angle in radian: complex64 of float32, complex128 of float64."""
    cosine, sine = cos_sin(angle * jnp.asarray(1.0 / math.tau, angle.dtype))
    return jax.lax.complex(cosine, sine)
