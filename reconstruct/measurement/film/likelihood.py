"""The likelihood of scans over an amorphous film whose atoms are not known, with the film integrated out.

The film's Fourier components are independent complex Gaussians of power P(|q|) (angstrom^2), and independent from depth to depth. So what
all pixels have at one scan frequency is a Gaussian vector of covariance

    K = P M M^dagger + nu 1,    M[pixel, node] = strength T(C10 + z_node) sqrt(weight)

with nodes of Gauss and Legendre through the thickness, and of rank ``NODES`` but for the noise: determinant and inverse are those of small
matrices, and the score and Fisher's information tr(K^-1 dK K^-1 dK) are exact in closed form. The film's position does not enter, so it may
move between exposures.

A film that does not repeat is seen through the window of the scan. An overlap whose phase has the slope s in q sees the film displaced by s within it, so
overlaps of different s see films that are not quite the same. To first order in s over the window's width the windowed film is three independent
components, the film in the window and in its two slopes: each node is so many columns of M (`blocks`), the ``profiles``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from twin import blocks, checks
from twin.optics.weak import THIRD, Sidebands
from twin.phases import cis

NODES, SLOPE_NODES = 4, 2
"""Depths at which the film is taken, and the small part of it that is seen in the slopes of the scan's window."""
LOCAL_PARAMETERS = THIRD + 3
"""Parameters at one frequency: coefficients (angstrom), thickness (angstrom), log power, log noise."""
FREQUENCY_BATCH = 16


class Block(NamedTuple):
    """One exposure's part of the data: ``z`` [q, places] with noise of variance 1, its `Sidebands` with everything but the film's power in their
    weights, ``splines`` [q, knots] in which log P is linear, and the exposure's change of C10.

    The first ``pixels`` places are camera pixels; others, where z and weights are 0, fill them up to one of few sizes. Weights have a last axis of profiles,
    independent components of the film that a pixel sees: [q, places, profiles].
    """

    z: Complex[np.ndarray, "q places"]
    bands: Sidebands
    splines: Float[np.ndarray, "q knots"]
    c10: Float[np.ndarray, ""]
    pixels: int

    @property
    def data(self) -> Complex[np.ndarray, "q pixels"]:
        """``z`` of the camera pixels."""
        return np.asarray(self.z)[:, : self.pixels]


def depths(count: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, as shares of the thickness, and weights, [count] each."""
    x, w = np.polynomial.legendre.leggauss(count)
    return 0.5 + 0.5 * x, 0.5 * w


def _columns(profiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each column of M: its depth as a share of the thickness, the root of its weight, its profile; the first profile has NODES, others SLOPE_NODES."""
    counts = [NODES] + [SLOPE_NODES] * (profiles - 1)
    each = [depths(count) for count in counts]
    x, weights = (np.concatenate(values) for values in zip(*each, strict=True))
    return x, np.sqrt(weights).astype(np.float32), np.repeat(np.arange(profiles), counts)


def _modes(bands: Sidebands, c: Array, thickness: Array) -> tuple[Array, Array, Array]:
    """Both overlaps of one frequency in M, [pixels, columns] each, and the depths [columns] of these as shares of the thickness."""
    x, root_weights, profiles = _columns(bands.lower.shape[-1])

    def overlap_modes(less: Array, lower: Array) -> Array:
        turns = (less @ c)[:, None] + less[:, :1] * (thickness * x)[None, :]
        return cis(turns).astype(jnp.complex64) * (lower[:, profiles] * root_weights[None, :])

    return 1j * overlap_modes(bands.minus, bands.lower), -1j * overlap_modes(bands.plus, bands.upper), jnp.asarray(x)


def _parts(z: Array, bands: Sidebands, c: Array, thickness: Array, power: Array, noise: Array):
    lower, upper, x = _modes(bands, c, thickness)
    m = lower + upper
    gram = m.conj().T @ m
    inverse = jnp.linalg.inv(jnp.eye(len(gram)) + power / noise * gram)
    y = m.conj().T @ z
    return lower, upper, x, m, gram, inverse, y


def _value(z: Array, gram: Array, y: Array, power: Array, noise: Array, pixels: Array) -> Array:
    inner = jnp.eye(len(gram)) + power / noise * gram
    quadratic = (jnp.vdot(z, z) - power / noise * jnp.vdot(y, jnp.linalg.solve(inner, y))).real / noise
    return -(pixels * jnp.log(noise) + jnp.linalg.slogdet(inner)[1] + quadratic)


def _value_and_score(
    z: Array, bands: Sidebands, c: Array, thickness: Array, power: Array, noise: Array, pixels: Array
) -> tuple[Array, Array]:
    """Log likelihood of one frequency and its score [LOCAL]."""
    lower, upper, x, m, gram, inverse, y = _parts(z, bands, c, thickness, power, noise)
    value = _value(z, gram, y, power, noise, pixels)
    b = power / noise * (inverse @ y)
    alpha = (z - m @ b) / noise
    e = inverse @ y / noise
    towards = inverse @ gram / noise
    r = power * (alpha.conj()[:, None] * e[None, :] - m.conj() @ inverse.T / noise)
    # d lower / dc = i less lower, and the same of the upper overlap
    low, up = -2.0 * (r * lower).imag, -2.0 * (r * upper).imag
    of_c = low.sum(axis=1) @ bands.minus + up.sum(axis=1) @ bands.plus
    of_t = ((low @ x.astype(low.dtype)) * bands.minus[:, 0] + (up @ x.astype(up.dtype)) * bands.plus[:, 0]).sum()
    trace = jnp.trace(towards).real
    of_p = power * (jnp.vdot(e, e).real - trace)
    of_n = noise * jnp.vdot(alpha, alpha).real - (pixels - power * trace)
    return value, jnp.concatenate([of_c, jnp.stack([of_t, of_p, of_n])])


def _fisher(bands: Sidebands, c: Array, thickness: Array, power: Array, noise: Array, pixels: Array) -> Array:
    """Expected information [LOCAL, LOCAL] of one frequency."""
    lower, upper, x, m, gram, inverse, _ = _parts(
        jnp.zeros(len(bands.minus), jnp.complex64), bands, c, thickness, power, noise
    )
    towards = inverse @ gram / noise
    # thickness moves each node by its share of C10's slope; half of M is the slope in log power
    less, more = bands.minus, bands.plus
    deeper = 1j * (less[:, :1] * lower + more[:, :1] * upper) * x.astype(jnp.float32)[None, :]
    others = jnp.stack([deeper, 0.5 * m])
    low, up = m.conj().T[:, :, None] * lower[None], m.conj().T[:, :, None] * upper[None]
    along = 1j * (jnp.einsum("ikj,ka->aij", low, less) + jnp.einsum("ikj,ka->aij", up, more))
    inside = power * jnp.concatenate([along, jnp.einsum("ik,skj->sij", m.conj().T, others)])
    y = jnp.einsum("ij,ajk->aik", inverse, inside) / noise
    first = jnp.einsum("aij,bji->ab", y, y).real
    # tr(X_b^+ X_a towards): real weights of the overlaps with themselves and with one another
    low_t, up_t = lower @ towards, upper @ towards
    of_low, of_up = (lower.conj() * low_t).sum(axis=-1).real, (upper.conj() * up_t).sum(axis=-1).real
    of_both = (lower.conj() * up_t).sum(axis=-1).real
    crossed = (less.T * of_both[None]) @ more
    square = (less.T * of_low[None]) @ less + (more.T * of_up[None]) @ more + crossed + crossed.T
    other_t = others @ towards
    mixed = [(1j * overlap.conj()[None] * other_t).sum(axis=-1).real for overlap in (lower, upper)]
    mixed = -(mixed[0] @ less + mixed[1] @ more)
    diagonal = jnp.einsum("ski,tki->st", others.conj(), other_t).real
    second = power**2 * jnp.block([[square, mixed.T], [mixed, diagonal]])
    turned = jnp.einsum("ij,ajk,kl->ail", inverse, inside, towards)
    second = second - power / noise * jnp.einsum("aij,bij->ab", inside.conj(), turned).real
    both = 2.0 * (first + second / noise)
    both = 0.5 * (both + both.T)
    cross = 2.0 * jnp.einsum("ij,aji->a", inverse @ inverse, inside).real / noise
    counted = pixels - len(gram) + jnp.trace(inverse @ inverse).real
    top = jnp.concatenate([both, cross[:, None]], axis=1)
    return jnp.concatenate([top, jnp.concatenate([cross, counted[None]])[None]])


def _unpack(block: Block, parameters: Array) -> tuple[Array, Array, Array, Array]:
    """(c, thickness, power [q], noise) from all parameters [THIRD + 1 + knots + 1]."""
    c = parameters[:THIRD].at[0].add(block.c10)
    return c, parameters[THIRD], jnp.exp(block.splines @ parameters[THIRD + 1 : -1]), jnp.exp(parameters[-1])


@jax.jit
def value(block: Block, parameters: Float[Array, " n"]) -> Float[Array, ""]:
    """Log likelihood of an exposure."""
    checks.require_float64()
    c, thickness, power, noise = _unpack(block, parameters)

    def frequency_value(inputs: tuple) -> Array:
        z, less, more, lower, upper, p = inputs
        _, _, _, _, gram, _, y = _parts(z, Sidebands(less, more, lower, upper), c, thickness, p, noise)
        return _value(z, gram, y, p, noise, jnp.asarray(block.pixels))

    return (
        jax.lax.map(frequency_value, (block.z, *block.bands, power), batch_size=FREQUENCY_BATCH)
        .astype(jnp.float64)
        .sum()
    )


def scores(block: Block, parameters: Float[Array | np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, "q n"]]:
    """Log likelihood of an exposure and the score [q, n] of each of its frequencies."""
    values, rows = values_and_scores(block, parameters)
    return float(values.sum()), rows


def values_and_scores(
    block: Block, parameters: Float[Array | np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q n"]]:
    """Log likelihood [q] and score [q, n] of each frequency of an exposure."""
    shared, power = _given(block, parameters)
    values, local = _by_frequency(_scores, shared, (block.z, *block.bands, power))
    splines, local = np.asarray(block.splines), local.astype(np.float64)
    parts = [local[:, : THIRD + 1], local[:, THIRD + 1 : -1] * splines, local[:, -1:]]
    return values.astype(np.float64), np.concatenate(parts, axis=1)


@jax.jit
def _scores(shared: tuple[Array, ...], inputs: tuple) -> tuple[Array, Array]:
    c, thickness, noise, pixels = shared

    def frequency_score(z: Array, less: Array, more: Array, lower: Array, upper: Array, p: Array) -> tuple:
        return _value_and_score(z, Sidebands(less, more, lower, upper), c, thickness, p, noise, pixels)

    return jax.vmap(frequency_score)(*inputs)


def _given(block: Block, parameters: Array | np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """(c, thickness, noise, pixels) and the power [q]: `_unpack` without JAX, which would compile it for every number of frequencies."""
    checks.require_float64()
    values = np.asarray(parameters)
    c = values[:THIRD].copy()
    c[0] += np.asarray(block.c10)
    shared = (c, np.asarray(values[THIRD]), np.asarray(np.exp(values[-1])), np.asarray(block.pixels))
    return shared, np.exp(np.asarray(block.splines) @ values[THIRD + 1 : -1])


def _by_frequency(function: Callable[..., Any], shared: Any, inputs: tuple) -> Any:
    """``function(shared, inputs)`` for all frequencies, in blocks of one size, so that it compiles once for all cutoffs."""
    return blocks.evaluate(lambda *parts: function(shared, parts), FREQUENCY_BATCH, *inputs)


def _frequency_information(c: Array, thickness: Array, noise: Array, pixels: Array) -> Callable[[tuple], Array]:
    """A function from what is given of one frequency to its information [n, n] on all parameters."""

    def frequency_information(inputs: tuple) -> Array:
        less, more, lower, upper, p, splines = inputs
        local = _fisher(Sidebands(less, more, lower, upper), c, thickness, p, noise, pixels).astype(jnp.float64)
        head, tail = local[: THIRD + 2], local[-1:]
        rows = jnp.concatenate([head[: THIRD + 1], splines[:, None] * head[THIRD + 1 :], tail])
        left, right = rows[:, : THIRD + 1], rows[:, -1:]
        return jnp.concatenate([left, rows[:, THIRD + 1 : THIRD + 2] * splines[None, :], right], axis=1)

    return frequency_information


def informations(block: Block, parameters: Float[Array | np.ndarray, " n"]) -> Float[np.ndarray, "q n n"]:
    """Fisher's expected information [q, n, n] of each frequency of an exposure; of the block's ``z`` only the shape counts."""
    shared, power = _given(block, parameters)
    return _by_frequency(_informations, shared, (*block.bands, power, block.splines))


@jax.jit
def _informations(shared: tuple[Array, ...], inputs: tuple) -> Array:
    return jax.vmap(_frequency_information(*shared))(inputs)


@jax.jit
def information(block: Block, parameters: Float[Array, " n"]) -> Float[Array, "n n"]:
    """Fisher's expected information [n, n] of an exposure, the sum of `informations` without holding them all."""
    checks.require_float64()
    c, thickness, power, noise = _unpack(block, parameters)
    frequency_information = _frequency_information(c, thickness, noise, jnp.asarray(block.pixels))
    inputs = (*block.bands, power, block.splines)

    def group(total: Array, inputs: tuple) -> tuple[Array, None]:
        return total + jax.vmap(frequency_information)(inputs).sum(axis=0), None

    size = parameters.shape[0]
    count = block.z.shape[0]
    whole = count // FREQUENCY_BATCH * FREQUENCY_BATCH
    grouped = jax.tree.map(lambda v: v[:whole].reshape(-1, FREQUENCY_BATCH, *v.shape[1:]), inputs)
    total = jax.lax.scan(group, jnp.zeros((size, size)), grouped)[0]
    if whole < count:
        total = group(total, jax.tree.map(lambda v: v[whole:], inputs))[0]
    return total


def left_out_pixels(
    block: Block, parameters: Float[Array | np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "q pixels"], Float[np.ndarray, "q pixels"]]:
    """Squared error with which each pixel is predicted from all others at its frequency, and its expectation, both [q, pixels].

    z less its mean given all others is alpha / B for alpha = K^-1 z and B the diagonal of K^-1, and its variance 1 / B.
    """
    shared, power = _given(block, parameters)
    alpha, inverse_variance = _by_frequency(_left_out_pixels, shared, (block.z, *block.bands, power))
    alpha, inverse_variance = alpha[:, : block.pixels], inverse_variance[:, : block.pixels]
    return np.abs(alpha / inverse_variance) ** 2, 1.0 / inverse_variance


@jax.jit
def _left_out_pixels(shared: tuple[Array, ...], inputs: tuple) -> tuple[Array, Array]:
    c, thickness, noise, _ = shared

    def frequency_errors(z: Array, less: Array, more: Array, lower: Array, upper: Array, p: Array) -> tuple:
        _, _, _, m, _, inverse, y = _parts(z, Sidebands(less, more, lower, upper), c, thickness, p, noise)
        ratio = p / noise
        explained = ratio * ((m @ inverse) * m.conj()).sum(axis=1).real
        return (z - ratio * (m @ (inverse @ y))) / noise, (1.0 - explained) / noise

    return jax.vmap(frequency_errors)(*inputs)


def expected_power(
    block: Block, parameters: Float[Array | np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Mean over pixels of |z|^2, expected, and its standard deviation, for each frequency."""
    shared, power = _given(block, parameters)
    return _by_frequency(_expected_power, shared, (*block.bands, power))


@jax.jit
def _expected_power(shared: tuple[Array, ...], inputs: tuple) -> tuple[Array, Array]:
    c, thickness, noise, pixels = shared

    def frequency_power(less: Array, more: Array, lower: Array, upper: Array, p: Array) -> tuple[Array, Array]:
        low, up, _ = _modes(Sidebands(less, more, lower, upper), c, thickness)
        gram = (low + up).conj().T @ (low + up)
        first, second = jnp.trace(gram).real, jnp.trace(gram @ gram).real
        return noise + p * first / pixels, jnp.sqrt(noise**2 * pixels + 2 * noise * p * first + p**2 * second) / pixels

    return jax.vmap(frequency_power)(*inputs)
