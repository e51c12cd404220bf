"""Aberrations to third order from a scan of Ronchigrams over a known crystal.

By reciprocity each detector point is one plane wave through one unit cell (`twin.scattering.reciprocity`), computed once; the model of all counts and
its derivatives are then small Fourier sums, and the Poisson likelihood is maximised by Fisher scoring. The start of the scan in the cell and the number of
electrons are fitted too.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from reconstruct.inference.damped_newton import minimise_single
from reconstruct.measurement.film.exposure import Exposure, Optics, Setting, lit_pixels
from reconstruct.measurement.measurement import Component, FitPlot, Measurement, withhold
from reconstruct.measurement.outcome import FitCheck
from reconstruct.measurement.prior import COEFFICIENTS, DETERMINED_SHARE, Prior
from twin import checks
from twin.grid import frequencies
from twin.optics.aberrations import basis
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD
from twin.phases import cis
from twin.sample.specimen import Slices
from twin.scattering.reciprocity import crystal_rows

DOSE_ERROR = 0.05
"""Prior standard deviation of the relative number of electrons."""
DEFOCUS_STARTS, PRIOR_DRAWS = 15, 30
"""Values of C10 tried over twice its prior width each way, and draws of all coefficients from the prior."""
MAXIMISED_STARTS = 6
"""The likeliest starts are maximised, one by one, until one fits."""
MAX_STEPS = 60
COST_TOLERANCE = 1e-3
"""Of minus the log posterior, at a maximum."""
EXCESS_TOLERANCE = 0.03
"""Relative excess of chi square over counting noise at which the search for another maximum stops."""
MAX_MISFIT = 1.5
"""Chi square over its degrees of freedom up to which a crystal that is not quite as stated widens the errors; above, the model does not fit."""


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


def build_model(
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
    fractions = (np.arange(inner) + 0.5) / inner - 0.5
    offsets = np.stack(np.meshgrid(fractions, fractions), axis=-1).reshape(-1, 2) * setting.width
    wavevectors = (angles[:, None] + offsets[None] + np.asarray(setting.tilt)) / length
    rows = crystal_rows(crystal.cell, crystal.cells, wavevectors.reshape(-1, 2), optics.energy, crystal.tilt)
    shape = (rows.shape[-2], rows.shape[-1])
    kx, ky = frequencies(shape, crystal.cell.extent)
    k = wavevectors.reshape(-1, 1, 1, 2) + np.stack(np.meshgrid(kx, ky), axis=-1)[None]
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


def expected_counts(model: Model, parameters: np.ndarray, slopes: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Mean counts [positions, pixels] at ``parameters`` [15]: COEFFICIENTS, where the scan began (x, y) in angstrom, log of the electrons over
    those stated; and their derivatives [15, positions, pixels]."""
    c = np.array(parameters[:THIRD])
    c[0] += model.c10
    first, derived = (np.asarray(array) for array in _spectrum(model.rows, model.terms, jnp.asarray(c), slopes))
    h = _harmonics((model.rows.shape[-2], model.rows.shape[-1]), model.extent)
    # the inverse transform's sign: I(r) = sum_h F_h exp(-2 pi i h r)
    strong = np.flatnonzero(np.abs(first).max(axis=0) > 1e-7 * np.abs(first).max())
    waves = np.exp(-2j * np.pi * ((model.positions + parameters[THIRD : THIRD + 2]) @ h[strong].T)).astype(np.complex64)
    scale = model.counts * np.exp(parameters[THIRD + 2])
    mean = scale * (waves @ first[:, strong].T).real
    if not slopes:
        return np.maximum(mean, 1e-9), np.zeros((0, *mean.shape))
    derivatives = [scale * (waves @ derivative[:, strong].T).real for derivative in derived]
    for axis in range(2):
        derivatives.append(scale * (waves @ ((-2j * np.pi * h[strong, axis])[None] * first[:, strong]).T).real)
    return np.maximum(mean, 1e-9), np.stack([*derivatives, mean])


def crystal_information(model: Model, parameters: np.ndarray) -> np.ndarray:
    """Fisher's information [15, 15] of counts: sum (d mean)(d mean) / mean, whose inverse is the Cramer-Rao bound."""
    checks.require_float64()
    mean, slopes = expected_counts(model, parameters)
    return _fisher_information(mean, slopes, np.ones_like(mean))


def _fisher_information(mean: np.ndarray, slopes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    flat = (slopes * np.sqrt(mask / mean)).reshape(len(slopes), -1).astype(np.float64)
    return flat @ flat.T


def _log_likelihood(counts: np.ndarray, mean: np.ndarray, mask: np.ndarray) -> float:
    return float((mask * (counts * np.log(mean) - mean)).sum(dtype=np.float64))


def _locate_scan(model: Model, counts: np.ndarray, mask: np.ndarray, c: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest correlation of counts and model at coefficients ``c`` over all starts of the scan, and that start."""
    shape = (model.rows.shape[-2], model.rows.shape[-1])
    coefficients = np.array(c)
    coefficients[0] += model.c10
    first = np.asarray(_spectrum(model.rows, model.terms, jnp.asarray(coefficients), False)[0])
    h = _harmonics(shape, model.extent)
    strong = np.flatnonzero((np.abs(first).max(axis=0) > 1e-5 * np.abs(first).max()) & (np.abs(h).sum(axis=1) > 0))
    residual = np.where(mask > 0, counts - (mask * counts).sum(axis=0) / np.maximum(mask.sum(axis=0), 1), 0.0)
    data = np.exp(-2j * np.pi * (model.positions @ h[strong].T)).T @ residual
    cross = (data * first[:, strong].T).sum(axis=1)
    grid = np.stack(np.meshgrid(*(np.arange(24) / 24 * side for side in model.extent)), axis=-1).reshape(-1, 2)
    values = (np.exp(-2j * np.pi * (grid @ h[strong].T)) @ cross).real / np.sqrt((np.abs(first[:, strong]) ** 2).sum())
    best = int(np.argmax(values))
    return float(values[best]), grid[best]


def fit_crystal(
    exposure: Exposure, crystal: Crystal, optics: Optics, prior: Prior, inner: int = 1, model: Model | None = None
) -> Measurement:
    """COEFFICIENTS (angstrom), "scan.x", "scan.y" (where the scan began in the cell, angstrom) and "electrons" (log of those that came over those stated).

    The prior says where to look: C10 over twice its width, the others near their means. ``model`` is the result of `build_model` for
    all pixels of the same setting, to be reused. ValueError if no pixel of the bright-field disk is lit. If the residual exceeds counting noise a little,
    errors are widened by it, with a note; where it exceeds it by MAX_MISFIT, in readings or in their sums over camera or scan, nothing is determined.
    """
    checks.require_float64()
    use_pixels, notes = lit_pixels(exposure, optics)
    full_model = model if model is not None else build_model(crystal, exposure.setting, optics, inner=inner)
    pixels = np.flatnonzero(use_pixels)
    used_model = dataclasses.replace(full_model, rows=full_model.rows[pixels], terms=full_model.terms[:, pixels])
    raw = np.asarray(exposure.counts, np.float64).reshape(-1, len(exposure.setting.angles))[:, pixels]
    mask = np.isfinite(raw).astype(np.float64)
    counts = np.where(mask > 0, raw, 0.0)
    precision = np.zeros((THIRD + 3, THIRD + 3))
    precision[:THIRD, :THIRD] = np.linalg.inv(prior.covariance)
    precision[-1, -1] = DOSE_ERROR**-2
    centre = np.concatenate([prior.mean, np.zeros(3)])
    best, best_log_posterior = prior.mean, -np.inf
    slack = float(np.sqrt(2.0 / mask.sum()))
    for start in _starting_points(used_model, counts, mask, prior):
        parameters, log_posterior = _maximise(used_model, counts, mask, start, precision, centre)
        if log_posterior > best_log_posterior:
            best, best_log_posterior = parameters, log_posterior
            mean = expected_counts(used_model, parameters, slopes=False)[0]
            # a maximum with an acceptable chi square is accepted; otherwise try the next start
            if (mask * (counts - mean) ** 2 / mean).sum() < mask.sum() * (1.0 + EXCESS_TOLERANCE + 4.0 * slack):
                break
    mean, slopes = expected_counts(used_model, best)
    covariance = np.linalg.inv(_fisher_information(mean, slopes, mask) + precision)
    chi2 = mask * (counts - mean) ** 2 / mean
    misfit = float(chi2.sum() / (mask.sum() - len(best)))
    if misfit > 1.0 + 4.0 * slack:
        covariance = covariance * misfit
        notes.append(
            f"the residual is {misfit:.2f} times what counting allows: the crystal is not quite as stated, and errors are widened"
        )
    names = (*COEFFICIENTS, "scan.x", "scan.y", "electrons")
    prior_stds = np.sqrt(np.diag(prior.covariance))
    undetermined = {
        name: f"this exposure leaves it within {std:.3g} angstrom, and it was known to {prior_std:.3g} before"
        for name, std, prior_std in zip(names, np.sqrt(np.diag(covariance)), prior_stds, strict=False)
        if std > DETERMINED_SHARE * prior_std
    }
    measurement = Measurement(
        kind="known crystal",
        names=names,
        units=("angstrom",) * (THIRD + 2) + ("1",),
        components=(Component(1.0, best, 0.5 * (covariance + covariance.T)),),
        undetermined=undetermined,
        misfit=misfit,
        electrons=exposure.setting.electrons,
        plots=(_plot(exposure.setting, counts, mean),),
        notes=tuple(notes),
        checks=_checks(counts, mean, mask, misfit),
        principal=COEFFICIENTS[:3],
    )
    # where the scan began has no prior; anywhere in the cell
    known = np.zeros((THIRD + 3, THIRD + 3))
    known[:THIRD, :THIRD] = prior.covariance
    known[THIRD:, THIRD:] = np.diag(
        [(0.5 * used_model.extent[0]) ** 2, (0.5 * used_model.extent[1]) ** 2, DOSE_ERROR**2]
    )
    return withhold(measurement, Component(1.0, np.concatenate([prior.mean, np.zeros(3)]), known))


def _checks(counts: np.ndarray, mean: np.ndarray, mask: np.ndarray, misfit: float) -> tuple[FitCheck, ...]:
    """Chi squares of readings [positions, pixels], and of their sums over the camera and over the scan, against counting noise."""
    cause = (
        "structure, thickness, tilt, energy, semi-angle, step or pixel may be others than stated, or the place bent or covered; "
        "check them, and use a clean place"
    )
    difference, expected = mask * (counts - mean), mask * mean
    checks = [
        FitCheck(
            "chi square of readings",
            misfit,
            _limit(int(mask.sum())),
            f"readings are off by {misfit:.3g} times counting noise: {cause}",
        )
    ]
    for name, axis in (("bright-field image", 1), ("mean pattern", 0)):
        total = expected.sum(axis=axis)
        known = total > 0.0
        value = float((difference.sum(axis=axis)[known] ** 2 / total[known]).mean())
        finding = f"the {name} is off by {value:.3g} times counting noise: {cause}"
        checks.append(FitCheck(f"chi square of the {name}", value, _limit(int(known.sum())), finding))
    return tuple(checks)


def _limit(count: int) -> float:
    return MAX_MISFIT + 4.0 * float(np.sqrt(2.0 / count))


def _starting_points(model: Model, counts: np.ndarray, mask: np.ndarray, prior: Prior) -> list[np.ndarray]:
    """The likeliest parameters drawn from the prior, each with the best start of the scan."""
    width = 2.0 * float(np.sqrt(prior.covariance[0, 0]))
    scale = np.sqrt(np.diag(prior.covariance))
    cov_sqrt = scale[:, None] * np.linalg.cholesky(prior.covariance / np.outer(scale, scale))
    along_c10 = prior.mean + np.linspace(-width, width, DEFOCUS_STARTS)[:, None] * np.eye(THIRD)[:1]
    draws = prior.mean + np.random.default_rng(0).normal(size=(PRIOR_DRAWS, THIRD)) @ cov_sqrt.T
    candidates = []
    for c in (*along_c10, *draws):
        value, offset = _locate_scan(model, counts, mask, c)
        candidates.append((value, np.concatenate([c, offset, [0.0]])))
    candidates.sort(key=lambda candidate: -candidate[0])
    return [start for _, start in candidates[:MAXIMISED_STARTS]]


def _maximise(
    model: Model,
    counts: np.ndarray,
    mask: np.ndarray,
    start: np.ndarray,
    precision: np.ndarray,
    centre: np.ndarray,
) -> tuple[np.ndarray, float]:
    """The maximum of the log posterior by damped Fisher scoring, and its value there."""

    def quadratic(parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        mean, slopes = expected_counts(model, parameters)
        deviation = parameters - centre
        cost = 0.5 * float(deviation @ precision @ deviation) - _log_likelihood(counts, mean, mask)
        score = (slopes * (mask * (counts / mean - 1.0))).reshape(len(slopes), -1).sum(axis=1)
        return cost, precision @ deviation - score, _fisher_information(mean, slopes, mask) + precision

    minimum = minimise_single(quadratic, start, MAX_STEPS, COST_TOLERANCE)
    return minimum.position, -minimum.cost


def _plot(setting: Setting, counts: np.ndarray, mean: np.ndarray) -> FitPlot:
    """The bright-field image: the sum of all pixels."""
    ny, nx = setting.points
    data, model_ = counts.sum(axis=1).reshape(ny, nx), mean.sum(axis=1).reshape(ny, nx)
    extent = (0.0, nx * setting.step, ny * setting.step, 0.0)
    return FitPlot("bright field", data, model_, (data - model_) / np.sqrt(model_), extent, "angstrom")
