"""The mean unit cell of a crystal's HAADF image as a function of optics, specimen and detector, by the twin's Gram matrices.

A scan of a perfect crystal is I(r) = sum_g F_g exp(2 pi i g.r) at the positions r of its pixels, so that all its information on the optics is in its
harmonics. As real numbers they are (F_0, 2 Re F_g, -2 Im F_g): the image is their product with (1, cos 2 pi g.r, sin 2 pi g.r).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.optics.aberrations import NAMES as ABERRATIONS
from twin.optics.aberrations import index
from twin.scattering.gram.model import GramModel, harmonics, with_semiangle

OPTICS = ("C10", "C12a", "C12b", "C21a", "C21b", "C23a", "C23b", "C30")
"""Aberrations in angstrom that are fitted, in the axes of the scan."""
SHARED = (
    *OPTICS,
    *(
        "thickness",
        "tilt.x",
        "tilt.y",
        "semiangle",
        "focal_spread",
        "source",
        "tail",
        "tail_width",
        "blur.x",
        "blur.xy",
        "scale",
        "black",
    ),
)
"""Of all images: lengths in angstrom and tilts (crystal's axes) in radian; ``semiangle`` the logarithm of the convergence semi-angle over the
model's; ``tail`` is the share of the source in tails ``tail_width`` times as wide as
its core; ``blur.x`` and ``blur.xy`` (angstrom^2, crystal's axes) by how much jitter and tilt blur more along x than along y, and along the diagonal;
``scale`` the logarithm of the signal over its nominal size; ``black`` in counts."""
POSITION = ("x", "y")
"""Of each image: where in the crystal its middle is, angstrom."""


def waves(g: np.ndarray, positions: np.ndarray, cell: tuple[float, float]) -> Float[np.ndarray, "pixels c"]:
    """The functions (1, cos 2 pi g.r, sin 2 pi g.r) of harmonics ``g`` [n, 2] (zero first) of a ``cell`` (x, y) at ``positions`` r [pixels, 2]."""
    indices = np.rint(g[1:] * np.asarray(cell)).astype(int)
    tables = []
    for axis in (0, 1):
        turn = np.exp(2j * np.pi * positions[:, axis] / cell[axis])
        powers = np.ones((int(np.abs(indices[:, axis]).max()) + 1, len(positions)), complex)
        for power in range(1, len(powers)):
            powers[power] = powers[power - 1] * turn
        tables.append(powers)
    functions = np.empty((2 * len(indices) + 1, len(positions)))
    functions[0] = 1.0
    for row, (h, k) in enumerate(indices):
        across, down = tables[0][abs(h)], tables[1][abs(k)]
        product = (across if h >= 0 else across.conj()) * (down if k >= 0 else down.conj())
        functions[1 + row], functions[1 + len(indices) + row] = product.real, product.imag
    return functions.T


def unit_cell(
    g: np.ndarray, values: np.ndarray, cell: tuple[float, float], points: int = 48
) -> Float[np.ndarray, "points points"]:
    """An image of the unit ``cell`` (x, y; angstrom) from its harmonics [c]."""
    return (waves(g, cell_points(cell, points), cell) @ values).reshape(points, points)


def cell_points(cell: tuple[float, float], points: int) -> Float[np.ndarray, "pixels 2"]:
    """Middles (x, y) of points x points pixels of the unit cell, row by row."""
    side = (np.arange(points) + 0.5) / points
    x, y = np.meshgrid(side * cell[0], side * cell[1])
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def rotate_aberrations(values: Float[Array, " 25"], angle: Float[Array, ""]) -> Float[Array, " 25"]:
    """Aberrations in axes that lie at ``angle`` from those that they are given in: C_nm exp(-i m angle) of C_nma + i C_nmb."""
    rotated = values
    for name in ABERRATIONS:
        if name.endswith("a"):
            a, b, multiple = index(name), index(name[:-1] + "b"), int(name[2])
            cos, sin = jnp.cos(multiple * angle), jnp.sin(multiple * angle)
            rotated = rotated.at[a].set(cos * values[a] + sin * values[b]).at[b].set(cos * values[b] - sin * values[a])
    return rotated


def _single_cell(
    model: GramModel,
    theta: Float[Array, " p"],
    fixed: Float[Array, " 25"],
    angle: Float[Array, ""],
    inverted: Float[Array, ""],
    nominal: Float[Array, ""],
) -> Float[Array, " c"]:
    values = {name: theta[entry] for entry, name in enumerate((*SHARED, *POSITION))}
    indices = np.array([index(name) for name in OPTICS])
    coefficients = fixed.at[indices].add(theta[: len(OPTICS)])
    coefficients = rotate_aberrations(coefficients, angle + jnp.where(inverted > 0.0, jnp.pi, 0.0))
    thickness = jnp.clip(values["thickness"], *model.thickness_range)
    tilt = jnp.stack([values["tilt.x"], values["tilt.y"]]) * (1.0 if model.tilt_range > 0.0 else 0.0)
    probe = with_semiangle(model, model.semiangle * jnp.exp(values["semiangle"]))
    gram_harmonics = harmonics(probe, coefficients, thickness, tilt, values["focal_spread"])
    gx, gy = checks.float64(model.g).T
    square = gx**2 + gy**2

    def damping(variance: Float[Array, ""]) -> Array:
        return jnp.exp(-2.0 * jnp.pi**2 * variance * square)

    core, wide = damping(values["source"] ** 2), damping((values["tail_width"] * values["source"]) ** 2)
    uneven = jnp.exp(-2.0 * jnp.pi**2 * (values["blur.x"] * (gx**2 - gy**2) + 2.0 * values["blur.xy"] * gx * gy))
    left = ((1.0 - values["tail"]) * core + values["tail"] * wide) * uneven
    sign = jnp.where(inverted > 0.0, -1.0, 1.0)
    real, imaginary = (
        left * gram_harmonics.real.astype(jnp.float64),
        sign * left * gram_harmonics.imag.astype(jnp.float64),
    )
    turn = 2.0 * jnp.pi * (gx * values["x"] + gy * values["y"])
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    even, odd = real * cos - imaginary * sin, real * sin + imaginary * cos
    counts = nominal * jnp.exp(values["scale"])
    counted = jnp.concatenate([even[:1], 2.0 * even[1:], -2.0 * odd[1:]]) * counts
    return counted.at[0].add(values["black"])


@functools.partial(jax.jit)
def cell_harmonics(
    model: GramModel,
    theta: Float[Array, "s p"],
    fixed: Float[Array, "s 25"],
    angle: Float[Array, ""],
    inverted: Float[Array, ""],
    nominal: Float[Array, ""],
) -> Float[Array, "s c"]:
    """Harmonics in counts for parameters ``theta`` [s, p] (`SHARED`, `POSITION`) of one image.

    ``fixed`` aberrations are added to them; the crystal's axes lie at ``angle`` radian from the scan's, or opposite if ``inverted``; ``nominal`` is
    how many counts the whole beam would make in a pixel.
    """
    return jax.vmap(
        lambda parameters, aberrations: _single_cell(model, parameters, aberrations, angle, inverted, nominal)
    )(theta, fixed)


@functools.partial(jax.jit)
def cell_derivatives(
    model: GramModel,
    theta: Float[Array, "s p"],
    fixed: Float[Array, "s 25"],
    angle: Float[Array, ""],
    inverted: Float[Array, ""],
    nominal: Float[Array, ""],
) -> tuple[Float[Array, "s c"], Float[Array, "s c p"]]:
    """The same with derivatives in every parameter."""

    def value_and_jacobian(parameters: Array, aberrations: Array) -> tuple[Array, Array]:
        def value(x: Array) -> tuple[Array, Array]:
            cell = _single_cell(model, x, aberrations, angle, inverted, nominal)
            return cell, cell

        jacobian, cell = jax.jacfwd(value, has_aux=True)(parameters)
        return cell, jacobian

    return jax.lax.map(lambda pair: value_and_jacobian(*pair), (theta, fixed))
