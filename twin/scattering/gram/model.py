"""GramModel: detector Gram matrices of a specimen as a smooth function of thickness and tilt, and images from them.

I(r) = sum_g I_g exp(2 pi i g.r), I_g = sum over pairs of beams with k_j - k_k = g of conj(a_j) a_k G_jk. For a perfect crystal, averaged
over the positions of its frozen atoms, only g of the unit cell's reciprocal lattice survive. Positions r (x, y) are in specimen
coordinates, the probe being psi(x - r).
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped
from numpy.polynomial.chebyshev import chebvander

from twin import checks
from twin.chebyshev import chebyshev
from twin.optics.aberrations import basis
from twin.optics.electrons import wavelength
from twin.scattering.stem.beams import Beams

PAIR_ROW_LENGTH = 64
"""Pairs of one g are stored in rows of this length, so that their sums are plain reductions."""


class GramModel(eqx.Module):
    """Gram matrices of one specimen and one detector, for any aberrations, probe position and source; see `harmonics` and `image`.

    ``g`` [n_g, 2] in 1/angstrom are the half of the image's frequencies with g = 0 first; ``thickness_range`` (angstrom) and ``tilt_range``
    (radian, each axis) are where it was computed. ``residual`` is the relative rms error of the fit over thickness at the computed depths.
    """

    gram_real: np.ndarray
    gram_imag: np.ndarray
    pair_j: np.ndarray
    pair_k: np.ndarray
    pair_step: np.ndarray
    row_sum: np.ndarray
    steps: np.ndarray
    g: np.ndarray
    k: np.ndarray
    amplitude: np.ndarray
    phase_basis: np.ndarray
    shift_depth: np.ndarray
    powers: np.ndarray
    thickness_range: tuple[float, float] = eqx.field(static=True)
    tilt_range: float = eqx.field(static=True)
    cell: tuple[float, float] = eqx.field(static=True)
    energy: float = eqx.field(static=True)
    semiangle: float = eqx.field(static=True)
    detector: tuple[float, float] = eqx.field(static=True)
    residual: float = eqx.field(static=True)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All there is as named arrays, for a cache; `from_arrays` reads them."""
        return {name: np.asarray(getattr(self, name)) for name in (*_ARRAYS, *_FACTS)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "GramModel":
        """The model of `to_arrays`; ValueError if something is missing."""
        missing = sorted({*_ARRAYS, *_FACTS} - set(arrays))
        if missing:
            raise ValueError(f"not a Gram model (missing: {', '.join(missing)}); build it again")
        facts: dict[str, Any] = {name: np.asarray(arrays[name]).tolist() for name in _FACTS}
        facts = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
        return cls(**{name: np.asarray(arrays[name]) for name in _ARRAYS}, **facts)


_ARRAYS = (
    *("gram_real", "gram_imag", "pair_j", "pair_k", "pair_step", "row_sum", "steps", "g", "k", "amplitude"),
    *("phase_basis", "shift_depth", "powers"),
)
_FACTS = ("thickness_range", "tilt_range", "cell", "energy", "semiangle", "detector", "residual")


def _scaled(thickness: Any, limits: tuple[float, float]) -> Any:
    """Thicknesses within ``limits`` (angstrom) as -1 ... 1."""
    middle, half = 0.5 * (limits[0] + limits[1]), max(0.5 * (limits[1] - limits[0]), 1e-9)
    return (thickness - middle) / half


def _kept(values: Array | np.ndarray) -> Array:
    """The values [n] in float32, by a product with the identity: XLA would otherwise fuse what makes them into every gather from them
    and compute it again for each pair, which is ten times slower on a CPU (optimization_barrier does not stop it)."""
    return jnp.asarray(values, jnp.float32) @ jnp.eye(values.shape[-1], dtype=jnp.float32)


def _take(table: Array, indices: Array | np.ndarray) -> Array:
    return table.at[jnp.asarray(indices)].get(mode="promise_in_bounds")


def harmonics(
    model: GramModel,
    coefficients: Float[Array | np.ndarray, " 25"],
    thickness: float | Float[Array, ""],
    tilt: Float[Array | np.ndarray, " 2"],
    focal_spread: float | Float[Array, ""] = 0.0,
) -> Complex[Array, " n_g"]:
    """Fourier coefficients I_g of the image at ``model.g``, as a fraction of the incident beam, complex64.

    ``coefficients`` and ``thickness`` in angstrom, specimen ``tilt`` (x, y) in radian, ``focal_spread`` (rms of C10, Gaussian, treated
    exactly) in angstrom. Pure, differentiable, for jit and vmap; parameters are float64.
    """
    depth = chebyshev(_scaled(checks.float64(thickness), model.thickness_range), model.shift_depth.shape[0])
    lean = checks.float64(tilt)
    unit = lean / model.tilt_range if model.tilt_range > 0.0 else lean
    tilted = unit[0] ** model.powers[:, 0] * unit[1] ** model.powers[:, 1]
    mix = _kept((tilted[:, None] * depth[None, :]).ravel())
    gram = jax.lax.complex(mix @ model.gram_real, mix @ model.gram_imag)

    chi = checks.float64(coefficients) @ model.phase_basis
    wave = jax.lax.complex(_kept(model.amplitude * jnp.cos(chi)), _kept(-model.amplitude * jnp.sin(chi)))
    blur = math.pi * wavelength(model.energy) * checks.float64(focal_spread)
    damping = _kept(jnp.exp(-0.5 * (blur * model.steps) ** 2))
    pairs = jnp.conj(_take(wave, model.pair_j)) * _take(wave, model.pair_k) * _take(damping, model.pair_step) * gram
    rows = jnp.sum(pairs.reshape(-1, PAIR_ROW_LENGTH), axis=1)
    spectrum = jax.lax.complex(rows.real @ model.row_sum, rows.imag @ model.row_sum)
    turn = -2.0 * math.pi * (model.g @ lean) * jnp.dot(model.shift_depth, depth)
    return spectrum * jax.lax.complex(jnp.cos(turn), jnp.sin(turn)).astype(jnp.complex64)


def with_semiangle(model: GramModel, semiangle: float | Float[Array, ""]) -> GramModel:
    """The model for another convergence ``semiangle`` in radian, differentiable, up to the widest whose plane waves it holds (`widest_semiangle`).

    The aperture's edge is one step of the beams' grid wide, as that of `twin.optics.probe.aperture_weight`.
    """
    length = wavelength(model.energy)
    kx, ky = jnp.abs(checks.float64(model.k)).T
    step = 0.5 * length * sum(jnp.min(jnp.where(axis > 1e-9, axis, jnp.inf)) for axis in (kx, ky))
    weight = jnp.clip((checks.float64(semiangle) - length * jnp.hypot(kx, ky)) / step + 0.5, 0.0, 1.0)
    amplitude = weight / jnp.sqrt(jnp.sum(weight**2))
    return eqx.tree_at(lambda changed: changed.amplitude, model, amplitude)


def widest_semiangle(model: GramModel) -> float:
    """The largest convergence semi-angle in radian whose plane waves the model holds."""
    highest = wavelength(model.energy) * float(np.hypot(*np.asarray(model.k).T).max())
    return max(highest, model.semiangle) if bool((np.asarray(model.amplitude) == 0.0).any()) else model.semiangle


def image(
    model: GramModel,
    harmonics: Complex[Array, " n_g"],
    positions: Shaped[Array | np.ndarray, "*n 2"],
    source_sigma: float | Float[Array, ""] = 0.0,
) -> Float[Array, "*n"]:
    """Fraction of the incident beam at probe ``positions`` (x, y) in angstrom, for a round Gaussian source of rms ``source_sigma`` angstrom."""
    spots = checks.float64(positions)
    cycles = spots @ model.g.T
    angle = (2.0 * math.pi * (cycles - jax.lax.stop_gradient(jnp.round(cycles)))).astype(jnp.float32)
    square = jnp.sum(jnp.asarray(model.g) ** 2, axis=1)
    twice = jnp.where(square > 0.0, 2.0, 1.0)
    envelope = twice * jnp.exp(-2.0 * math.pi**2 * checks.float64(source_sigma) ** 2 * square)
    damped = harmonics * envelope.astype(jnp.float32)
    return jnp.cos(angle) @ damped.real - jnp.sin(angle) @ damped.imag


def pair_layout(bundle: Beams, periods: tuple[int, int]) -> dict[str, np.ndarray]:
    """Pairs (j, k) of beams with k_j - k_k = g for g in one half plane on every ``periods``-th index, in padded rows of WIDTH.

    Returns pair_j, pair_k, present (bool), row_sum [rows, n_g] and g_index [n_g, 2]. ``periods`` (1, 1) keeps all pairs.
    """
    number_of = {tuple(index): number for number, index in enumerate(bundle.indices.tolist())}
    span = bundle.indices.max(axis=0) - bundle.indices.min(axis=0)
    candidates = [
        (h * periods[0], k * periods[1])
        for h in range(span[0] // periods[0] + 1)
        for k in range(-(span[1] // periods[1]), span[1] // periods[1] + 1)
        if h > 0 or k >= 0
    ]
    candidates.sort(key=lambda index: (index[0] ** 2 + index[1] ** 2, index))
    chosen, rows, owners = [], [], []
    for index in candidates:
        pairs = [(number_of.get((h + index[0], k + index[1]), -1), number) for (h, k), number in number_of.items()]
        pairs = [pair for pair in pairs if pair[0] >= 0]
        if not pairs:
            continue
        pairs += [(-1, -1)] * (-len(pairs) % PAIR_ROW_LENGTH)
        rows += pairs
        owners += [len(chosen)] * (len(pairs) // PAIR_ROW_LENGTH)
        chosen.append(index)
    table = np.asarray(rows, dtype=np.int32)
    present = table[:, 0] >= 0
    row_sum = np.zeros((len(owners), len(chosen)), dtype=np.float32)
    row_sum[np.arange(len(owners)), owners] = 1.0
    table[~present] = 0
    return {
        "pair_j": table[:, 0],
        "pair_k": table[:, 1],
        "present": present,
        "row_sum": row_sum,
        "g_index": np.asarray(chosen),
    }


def model_from_grams(
    grams: np.ndarray,
    bundle: Beams,
    extent: tuple[float, float],
    repeats: tuple[int, int],
    thicknesses: np.ndarray,
    tilts: np.ndarray,
    energy: float,
    semiangle: float,
    detector: tuple[float, float],
    periodic: bool = True,
    degree: int = 4,
    untilted: np.ndarray | None = None,
) -> GramModel:
    """Fit Gram matrices ``grams`` [tilts, depths, n, n] at ``tilts`` [m, 2] (a 3 x 3 grid, or only zero; radian) and ``thicknesses`` (angstrom).

    Chebyshev polynomials of ``degree`` in thickness, least squares; all products of powers 0 to 2 in the two tilts, through every node.
    The mean sideways shift that tilt gives the image is taken out before and put back after, being linear in tilt but not small.
    ``untilted`` [depths, n, n], if given, is a better average without tilt: all nodes are moved by its difference from theirs.
    """
    layout = pair_layout(bundle, repeats if periodic else (1, 1))
    j, k, present = layout["pair_j"], layout["pair_k"], layout["present"]
    values = np.where(present, grams[:, :, j, k], 0.0).astype(np.complex128)
    vectors = layout["g_index"] / np.asarray(extent)
    owner = np.repeat(np.argmax(layout["row_sum"], axis=1), PAIR_ROW_LENGTH)
    pair_g = vectors[owner]

    thicknesses = np.asarray(thicknesses, dtype=np.float64)
    limits = (float(thicknesses.min()), float(thicknesses.max()))
    count = min(degree, len(thicknesses) - 1) + 1
    depth_terms = chebvander(_scaled(thicknesses, limits), count - 1)
    depth_fit = np.linalg.pinv(depth_terms)
    step = float(np.abs(tilts).max())
    if step > 0.0:
        shifts = depth_fit @ _mean_depths(values, tilts, pair_g, thicknesses)
        powers = np.array([(p, q) for p in range(3) for q in range(3)])
    else:
        shifts = np.zeros(count)
        powers = np.zeros((1, 2), dtype=np.int64)
    unit = tilts / step if step > 0.0 else tilts
    tilt_terms = np.stack([unit[:, 0] ** p * unit[:, 1] ** q for p, q in powers], axis=1)
    turn = -2.0 * np.pi * (tilts @ pair_g.T)[:, None, :] * (depth_terms @ shifts)[None, :, None]
    values *= np.exp(-1j * turn)
    if untilted is not None:
        level = int(np.argmin(np.abs(tilts).sum(axis=1)))
        values += (np.where(present, untilted[:, j, k], 0.0) - values[level])[None]
    fitted = np.einsum("tn,dm,nmp->tdp", np.linalg.pinv(tilt_terms), depth_fit, values, optimize=True)
    reconstructed = np.einsum("nt,md,tdp->nmp", tilt_terms, depth_terms, fitted, optimize=True)
    residual = float(np.linalg.norm(reconstructed - values) / np.linalg.norm(values))
    flat = fitted.reshape(-1, values.shape[-1])

    square = np.sum(bundle.k**2, axis=1)
    steps, pair_step = np.unique(np.round(np.abs(square[k] - square[j]), 9), return_inverse=True)
    return GramModel(
        gram_real=flat.real.astype(np.float32),
        gram_imag=flat.imag.astype(np.float32),
        pair_j=j,
        pair_k=k,
        pair_step=pair_step.astype(np.int32),
        row_sum=layout["row_sum"],
        steps=steps,
        g=vectors,
        k=bundle.k,
        amplitude=bundle.amplitude,
        phase_basis=np.asarray(basis(bundle.k[:, 0], bundle.k[:, 1], wavelength(energy))),
        shift_depth=shifts,
        powers=powers,
        thickness_range=limits,
        tilt_range=step,
        cell=(extent[0] / repeats[0], extent[1] / repeats[1]) if periodic else extent,
        energy=float(energy),
        semiangle=float(semiangle),
        detector=detector,
        residual=residual,
    )


def _mean_depths(values: np.ndarray, tilts: np.ndarray, pair_g: np.ndarray, thicknesses: np.ndarray) -> np.ndarray:
    """Sideways shift per tilt in angstrom at every depth: the weighted slope of the phases between opposite tilts of low frequency pairs."""
    origin = int(np.argmin(np.abs(tilts).sum(axis=1)))
    depths = np.zeros(len(thicknesses))
    for depth, thickness in enumerate(thicknesses):
        top = bottom = 0.0
        for node, tilt in enumerate(tilts):
            cycles = -(pair_g @ tilt)
            # pairs whose phase cannot have wrapped, even if the shift were the whole depth
            low = (np.abs(cycles) > 0.0) & (np.abs(cycles) * thickness < 0.5)
            product = values[node, depth, low] * np.conj(values[origin, depth, low])
            top += float(np.sum(product.imag * cycles[low]))
            bottom += 2.0 * np.pi * float(np.sum(product.real * cycles[low] ** 2))
        depths[depth] = top / bottom if bottom > 0.0 else 0.0
    return depths
