"""Aberrations to third order from a scan of Ronchigrams over a crystal that is known.

By reciprocity each detector point is one plane wave through one unit cell (`twin.scattering.reciprocity`), made once; then a model of all counts and
its derivatives are small Fourier sums, and the counting likelihood is climbed by scoring. Where the scan began and how many electrons came
are fitted along.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from reconstruct.measure.film.exposure import Exposure, Optics, Setting, lit
from reconstruct.measure.measurement import Component, Measurement, Shown
from reconstruct.measure.prior import COEFFICIENTS, LEARNT, Prior
from twin import checks
from twin.grid import frequencies
from twin.optics.aberrations import basis
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD
from twin.phases import cis
from twin.sample.specimen import Slices
from twin.scattering.reciprocity import crystal_rows

DOSE = 0.05
"""Prior standard deviation of the relative number of electrons."""
STARTS, DRAWN = 15, 30
"""Values of C10 tried over twice its prior width each way, and draws of all coefficients from the prior."""
CLIMBED = 6
"""The likeliest of them, climbed until one fits."""
ROUNDS = 40
GOOD = 0.03
"""Excess of the residual over counting that is no reason to look for another maximum."""
HOPELESS = 2.0
"""Above this misfit nothing is claimed."""


@dataclasses.dataclass(frozen=True)
class Crystal:
    """A crystal that is known: the slices of one unit ``cell`` and how many ``cells`` it is deep, tilted by ``tilt`` (x, y) radian."""

    cell: Slices
    cells: int
    tilt: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        if self.cells < 1:
            raise ValueError(f"the crystal is {self.cells} cells deep; give at least one")


@dataclasses.dataclass(frozen=True)
class Model:
    """What pixels record over a crystal, up to aberrations: ``rows`` [pixels, points, y, x] within the aperture, phases per angstrom ``terms``
    [12, pixels, points, y, x], the cell's ``extent``, scan ``positions`` [p, 2] in angstrom, ``counts`` that a share of 1 would be, the change ``c10``."""

    rows: Complex[Array, "pixels points y x"]
    terms: Float[Array, "12 pixels points y x"]
    extent: tuple[float, float]
    positions: np.ndarray
    counts: float
    c10: float


def model(
    crystal: Crystal, setting: Setting, optics: Optics, pixels: np.ndarray | None = None, inner: int = 1
) -> Model:
    """The model of an exposure, or of those ``pixels`` [n] of it; each is the mean over ``inner`` x ``inner`` points.

    The crystal's rows are made here: the slow part, once for every setting of the detector.
    """
    checks.require_float64()
    length = wavelength(optics.energy)
    angles = (
        np.asarray(setting.angles, np.float64) if pixels is None else np.asarray(setting.angles, np.float64)[pixels]
    )
    part = (np.arange(inner) + 0.5) / inner - 0.5
    offsets = np.stack(np.meshgrid(part, part), axis=-1).reshape(-1, 2) * setting.width
    where = (angles[:, None] + offsets[None] + np.asarray(setting.tilt)) / length
    rows = crystal_rows(crystal.cell, crystal.cells, where.reshape(-1, 2), optics.energy, crystal.tilt)
    shape = (rows.shape[-2], rows.shape[-1])
    kx, ky = frequencies(shape, crystal.cell.extent)
    k = where.reshape(-1, 1, 1, 2) + np.stack(np.meshgrid(kx, ky), axis=-1)[None]
    inside = np.hypot(length * k[..., 0] - setting.tilt[0], length * k[..., 1] - setting.tilt[1]) <= optics.semiangle
    terms = jnp.where(
        inside[None], basis(k[..., 0].ravel(), k[..., 1].ravel(), length)[:THIRD].reshape(-1, *inside.shape), 0.0
    )
    lead = (len(angles), inner**2)
    ny, nx = setting.points
    y, x = np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij")
    share = setting.width**2 / (np.pi * optics.semiangle**2)
    return Model(
        rows=jnp.where(inside, rows, 0.0).reshape(*lead, *shape),
        terms=terms.reshape(THIRD, *lead, *shape),
        extent=crystal.cell.extent,
        positions=setting.step * np.stack([x.ravel(), y.ravel()], axis=-1),
        counts=setting.electrons / (ny * nx) * share,
        c10=setting.c10,
    )


def _harmonics(shape: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Frequencies [ny nx, 2] of what repeats with the cell."""
    kx, ky = frequencies(shape, extent)
    return np.stack(np.meshgrid(kx, ky), axis=-1).reshape(-1, 2)


@functools.partial(jax.jit, static_argnames=("slopes",))
def _spectrum(rows: Array, terms: Array, c: Array, slopes: bool) -> tuple[Array, Array]:
    """Fourier components [pixels, ny nx] of each pixel's share of the beam over the cell, and their derivatives [12, pixels, ny nx]."""
    probe = rows * cis(-jnp.einsum("apsyx,a->psyx", terms, c)).astype(rows.dtype)
    wave = jnp.fft.fft2(probe)
    pixels, count = rows.shape[0], rows.shape[-1] * rows.shape[-2]

    def share(values: Array) -> Array:
        # position r stands at exp(-2 pi i g r) of the transform
        return (jnp.fft.ifft2(values.mean(axis=1))).reshape(pixels, count)

    first = share((wave * wave.conj()).real)
    if not slopes:
        return first, jnp.zeros((0, pixels, count), first.dtype)

    def slope(term: Array) -> Array:
        moved = jnp.fft.fft2(-1j * term.astype(probe.real.dtype) * probe)
        return share(2.0 * (moved * wave.conj()).real)

    return first, jax.lax.map(slope, terms)


def expected(made: Model, parameters: np.ndarray, slopes: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Mean counts [positions, pixels] at ``parameters`` [15]: COEFFICIENTS, where the scan began (x, y) in angstrom, log of the electrons over
    those stated; and their derivatives [15, positions, pixels]."""
    c = np.array(parameters[:THIRD])
    c[0] += made.c10
    first, derived = (np.asarray(one) for one in _spectrum(made.rows, made.terms, jnp.asarray(c), slopes))
    h = _harmonics((made.rows.shape[-2], made.rows.shape[-1]), made.extent)
    # the inverse transform's sign: I(r) = sum_h F_h exp(-2 pi i h r)
    kept = np.flatnonzero(np.abs(first).max(axis=0) > 1e-7 * np.abs(first).max())
    waves = np.exp(-2j * np.pi * ((made.positions + parameters[THIRD : THIRD + 2]) @ h[kept].T)).astype(np.complex64)
    scale = made.counts * np.exp(parameters[THIRD + 2])
    mean = scale * (waves @ first[:, kept].T).real
    if not slopes:
        return np.maximum(mean, 1e-9), np.zeros((0, *mean.shape))
    found = [scale * (waves @ one[:, kept].T).real for one in derived]
    for axis in range(2):
        found.append(scale * (waves @ ((-2j * np.pi * h[kept, axis])[None] * first[:, kept]).T).real)
    return np.maximum(mean, 1e-9), np.stack([*found, mean])


def crystal_information(made: Model, parameters: np.ndarray) -> np.ndarray:
    """Fisher's information [15, 15] of counts: sum (d mean)(d mean) / mean, whose inverse is the Cramer-Rao bound."""
    checks.require_float64()
    mean, slopes = expected(made, parameters)
    return _weighed(mean, slopes, np.ones_like(mean))


def _weighed(mean: np.ndarray, slopes: np.ndarray, use: np.ndarray) -> np.ndarray:
    flat = (slopes * np.sqrt(use / mean)).reshape(len(slopes), -1).astype(np.float64)
    return flat @ flat.T


def _height(counts: np.ndarray, mean: np.ndarray, use: np.ndarray) -> float:
    return float((use * (counts * np.log(mean) - mean)).sum(dtype=np.float64))


def _begun(made: Model, counts: np.ndarray, use: np.ndarray, c: np.ndarray) -> tuple[float, np.ndarray]:
    """How well coefficients ``c`` go with the counts wherever the scan began, and where that is best, by correlation."""
    shape = (made.rows.shape[-2], made.rows.shape[-1])
    seen = np.array(c)
    seen[0] += made.c10
    first = np.asarray(_spectrum(made.rows, made.terms, jnp.asarray(seen), False)[0])
    h = _harmonics(shape, made.extent)
    kept = np.flatnonzero((np.abs(first).max(axis=0) > 1e-5 * np.abs(first).max()) & (np.abs(h).sum(axis=1) > 0))
    off = np.where(use > 0, counts - (use * counts).sum(axis=0) / np.maximum(use.sum(axis=0), 1), 0.0)
    data = np.exp(-2j * np.pi * (made.positions @ h[kept].T)).T @ off
    both = (data * first[:, kept].T).sum(axis=1)
    grid = np.stack(np.meshgrid(*(np.arange(24) / 24 * side for side in made.extent)), axis=-1).reshape(-1, 2)
    values = (np.exp(-2j * np.pi * (grid @ h[kept].T)) @ both).real / np.sqrt((np.abs(first[:, kept]) ** 2).sum())
    best = int(np.argmax(values))
    return float(values[best]), grid[best]


def fit_crystal(
    exposure: Exposure, crystal: Crystal, optics: Optics, prior: Prior, inner: int = 1, made: Model | None = None
) -> Measurement:
    """COEFFICIENTS (angstrom), "scan.x", "scan.y" (where the scan began in the cell, angstrom) and "electrons" (log of those that came over those stated).

    The prior says where to look: C10 over twice its width, the others near their means. ``made`` is a `model` of the same setting to be used
    again, of all its pixels. ValueError if no pixel of the bright-field disk is lit. If the residual is larger than counting allows, errors are
    widened by it, and it is said.
    """
    checks.require_float64()
    use_pixels, notes = lit(exposure, optics)
    whole = made if made is not None else model(crystal, exposure.setting, optics, inner=inner)
    chosen = np.flatnonzero(use_pixels)
    part = dataclasses.replace(whole, rows=whole.rows[chosen], terms=whole.terms[:, chosen])
    raw = np.asarray(exposure.counts, np.float64).reshape(-1, len(exposure.setting.angles))[:, chosen]
    use = np.isfinite(raw).astype(np.float64)
    counts = np.where(use > 0, raw, 0.0)
    precision = np.zeros((THIRD + 3, THIRD + 3))
    precision[:THIRD, :THIRD] = np.linalg.inv(prior.covariance)
    precision[-1, -1] = DOSE**-2
    centre = np.concatenate([prior.mean, np.zeros(3)])
    best, height = prior.mean, -np.inf
    slack = float(np.sqrt(2.0 / use.sum()))
    for start in _starting(part, counts, use, prior):
        at, reached = _climb(part, counts, use, start, precision, centre)
        if reached > height:
            best, height = at, reached
            mean = expected(part, at, slopes=False)[0]
            # what the counts allow is the right maximum; what they do not may be another
            if (use * (counts - mean) ** 2 / mean).sum() < use.sum() * (1.0 + GOOD + 4.0 * slack):
                break
    mean, slopes = expected(part, best)
    bread = np.linalg.inv(_weighed(mean, slopes, use) + precision)
    chi2 = use * (counts - mean) ** 2 / mean
    misfit = float(chi2.sum() / (use.sum() - len(best)))
    if misfit > 1.0 + 4.0 * slack:
        bread = bread * misfit
        notes.append(
            f"the residual is {misfit:.2f} times what counting allows: the crystal is not quite as stated, and errors are widened"
        )
    names = (*COEFFICIENTS, "scan.x", "scan.y", "electrons")
    before = np.sqrt(np.diag(prior.covariance))
    if misfit > HOPELESS:
        bread[:THIRD] = bread[:, :THIRD] = 0.0
        bread[:THIRD, :THIRD] = prior.covariance
        best = np.concatenate([prior.mean, best[THIRD:]])
    wide = {
        name: f"this exposure leaves it within {std:.3g} angstrom, and it was known to {was:.3g} before"
        for name, std, was in zip(names, np.sqrt(np.diag(bread)), before, strict=False)
        if std > LEARNT * was
    }
    return Measurement(
        kind="known crystal",
        names=names,
        units=("angstrom",) * (THIRD + 2) + ("1",),
        components=(Component(1.0, best, 0.5 * (bread + bread.T)),),
        undetermined=wide,
        misfit=misfit,
        electrons=exposure.setting.electrons,
        shown=(_shown(exposure.setting, counts, mean),),
        notes=tuple(notes),
    )


def _starting(part: Model, counts: np.ndarray, use: np.ndarray, prior: Prior) -> list[np.ndarray]:
    """The likeliest coefficients over the prior, each with where the scan began."""
    width = 2.0 * float(np.sqrt(prior.covariance[0, 0]))
    scale = np.sqrt(np.diag(prior.covariance))
    root = scale[:, None] * np.linalg.cholesky(prior.covariance / np.outer(scale, scale))
    along = prior.mean + np.linspace(-width, width, STARTS)[:, None] * np.eye(THIRD)[:1]
    drawn = prior.mean + np.random.default_rng(0).normal(size=(DRAWN, THIRD)) @ root.T
    tried = []
    for c in (*along, *drawn):
        value, where = _begun(part, counts, use, c)
        tried.append((value, np.concatenate([c, where, [0.0]])))
    tried.sort(key=lambda one: -one[0])
    return [start for _, start in tried[:CLIMBED]]


def _climb(
    part: Model,
    counts: np.ndarray,
    use: np.ndarray,
    start: np.ndarray,
    precision: np.ndarray,
    centre: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Up the log posterior by Fisher's scoring, damped after Marquardt."""

    def prior_height(at: np.ndarray) -> float:
        return -0.5 * float((at - centre) @ precision @ (at - centre))

    here, damping = start, 1e-2
    mean, slopes = expected(part, here)
    height = _height(counts, mean, use) + prior_height(here)
    for _ in range(ROUNDS):
        slope = (slopes * (use * (counts / mean - 1.0))).reshape(len(slopes), -1).sum(axis=1) - precision @ (
            here - centre
        )
        curvature = _weighed(mean, slopes, use) + precision
        scale = np.sqrt(np.diag(curvature))
        for _ in range(8):
            step = (
                np.linalg.solve(curvature / np.outer(scale, scale) + damping * np.eye(len(scale)), slope / scale)
                / scale
            )
            there = here + step
            new_mean, new_slopes = expected(part, there)
            new = _height(counts, new_mean, use) + prior_height(there)
            if np.isfinite(new) and new > height - 1e-6:
                break
            damping = max(10.0 * damping, 1e-2)
        else:
            return here, height
        gain, here, height, mean, slopes = new - height, there, new, new_mean, new_slopes
        damping = damping / 10.0
        if gain < 1e-3:
            break
    return here, height


def _shown(setting: Setting, counts: np.ndarray, mean: np.ndarray) -> Shown:
    """The bright-field image: the sum of all pixels."""
    ny, nx = setting.points
    data, model_ = counts.sum(axis=1).reshape(ny, nx), mean.sum(axis=1).reshape(ny, nx)
    extent = (0.0, nx * setting.step, ny * setting.step, 0.0)
    return Shown("bright field", data, model_, (data - model_) / np.sqrt(model_), extent, "angstrom")
