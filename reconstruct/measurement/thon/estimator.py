"""Thon rings of an amorphous film's image -> defocus (C10) and twofold astigmatism (C12.a, C12.b).

The power at each spatial frequency q is exponentially distributed about S(q) = film(|q|) |H(q)|^2 + rest(|q|), as the film's atoms stand at random
(Whittle's likelihood). H is the twin's contrast transfer (`twin.optics.contrast`) of phase and a little amplitude contrast; film and rest are exponentials of
polynomials, which take in scattering factors, envelopes, the camera's transfer and noise. S is the same for both signs of chi but for spherical aberration
and amplitude contrast: both signs of defocus are fitted, and kept as components with the weight of their evidence.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal.windows import tukey

from reconstruct.inference.damped_newton import minimise_single
from reconstruct.measurement.measurement import Component, FitPlot, Measurement
from reconstruct.measurement.thon.search import starting_points
from twin.checks import electron_energy
from twin.optics.aberrations import basis, index, phase_gradient
from twin.optics.transfer import Imaging, envelope

KIND = "thon rings"
NAMES = ("C10", "C12a", "C12b")
UNITS = ("angstrom",) * 3
COEFFICIENT_INDICES = tuple(index(name) for name in NAMES)
TAPER = 0.3
"""Share of the image that is faded in and out at its edges, which need not fit together."""
AMPLITUDE_CONTRAST = (0.05, 0.05)
"""Prior mean and spread of amplitude contrast over phase contrast: a few percent in thin films of light atoms."""
FILM_TERMS, REST_TERMS = 6, 4
"""Coefficients of the logarithms of film and rest."""
TERM_SPREAD = 5.0
"""Prior spread of those coefficients."""
DETECTION_THRESHOLD = 50.0
"""Gain in log likelihood over a spectrum without rings from which rings are measured: below it neighbouring ripples of noise rival them, and the
likelihood is no Gaussian (of images at 15 to 50 three quarters of the 90 % intervals held; above, nine tenths)."""
MAX_STEPS = 40
COST_TOLERANCE = 1e-3
"""Of minus the log posterior, at a maximum."""
SCORE_BLOCKS = (18, 24)
"""Sectors and shells in which the scatter of the score is looked at."""
LAG_POINTS = 256
"""Points at which the taper's autocorrelation is held."""
MIN_WEIGHT = 1e-3
"""Components of less weight are left out."""


class Power(NamedTuple):
    """Spatial frequencies (x, y) in 1/angstrom [m], ``power`` [m] there over its mean, |q| as a share of the highest [m], by how much tapering
    ties neighbours, and the autocorrelations of the taper along x and y [2, l] at ``lags`` [2, l] in angstrom."""

    kx: np.ndarray
    ky: np.ndarray
    power: np.ndarray
    share: np.ndarray
    tied: float
    lags: np.ndarray
    autocorrelation: np.ndarray


def measure_thon(
    image: np.ndarray,
    pixel: float,
    energy: float,
    c30: float = 0.0,
    span: float = 10000.0,
    astigmatism: float = 300.0,
    focal_spread: float = 0.0,
) -> Measurement:
    """C10, C12a and C12b in angstrom of ``image`` [ny, nx] (counts, NaN where unknown) of an amorphous film, ``pixel`` angstrom, ``energy`` eV.

    ``c30`` is the spherical aberration (angstrom), ``span`` the largest defocus that is looked for and ``astigmatism`` the prior rms of both parts
    of C12. An image without rings leaves the prior, with the reason. ValueError for an image that is none.
    """
    electron_energy(energy)
    known = _known_pixels(image, pixel, span, astigmatism)
    filled = np.where(known, image, image[known].mean()).astype(float)
    if np.ptp(filled) == 0.0:
        return _prior_only(span, astigmatism, "the image is flat: no electrons, or no film")
    power = power_spectrum(filled, pixel)
    lens = np.zeros(25)
    lens[index("C30")] = c30
    imaging = Imaging(lens, energy, focal_spread=focal_spread)
    model = Model(power, imaging)
    start_points = starting_points(power, imaging.wavelength, c30, span, astigmatism)
    fits = [_fit(power, model, start, astigmatism) for start in start_points]
    if not fits:
        return _prior_only(span, astigmatism, "no rings: the image has too few pixels for any defocus")
    top = max(evidence for evidence, _, _, _ in fits)
    gain = max(log for _, _, _, log in fits) - _log_likelihood_without_rings(power)
    if gain < DETECTION_THRESHOLD:
        return _prior_only(
            span,
            astigmatism,
            f"no Thon rings, or too weak: they explain the power spectrum by {gain:.1f} nat better than a smooth one; record more electrons",
        )
    selected: list[tuple[float, np.ndarray, np.ndarray]] = []
    for evidence, mean, covariance, _ in sorted(fits, key=lambda fit: -fit[0]):
        weight = float(np.exp(evidence - top))
        std = np.sqrt(np.diag(covariance)[:3])
        same = any((np.abs(mean[:3] - other[:3]) < 3.0 * std).all() for _, other, _ in selected)
        if weight > MIN_WEIGHT and not same:
            selected.append((weight, mean, covariance))
    total = sum(weight for weight, _, _ in selected)
    components = tuple(Component(weight / total, mean[:3], covariance[:3, :3]) for weight, mean, covariance in selected)
    signs = {bool(component.mean[0] > 0.0) for component in components}
    sign_note = "both signs of defocus are possible: one image distinguishes them by spherical aberration and amplitude contrast alone"
    notes = (sign_note,) if len(signs) > 1 else ()
    plot, misfit = _plot(filled, pixel, power, model, selected[0][1])
    return Measurement(KIND, NAMES, UNITS, components, {}, misfit, float(filled.sum()), (plot,), notes)


def _known_pixels(image: np.ndarray, pixel: float, span: float, astigmatism: float) -> np.ndarray:
    if image.ndim != 2 or min(image.shape) < 64:
        raise ValueError(f"image has shape {image.shape}; give [ny, nx], at least 64 pixels each way")
    for name, value in (("pixel", pixel), ("span", span), ("astigmatism", astigmatism)):
        if not (np.isfinite(value) and value > 0.0):
            raise ValueError(f"{name} is {value}; give angstrom, above 0")
    known = np.isfinite(image)
    if known.mean() < 0.9:
        raise ValueError(f"{100 * (1 - known.mean()):.0f} % of the image is not a number; give a part that is known")
    return known


def power_spectrum(image: np.ndarray, pixel: float) -> Power:
    """Periodogram of a tapered image at one of each pair of frequencies, from 6 cycles across the image up to 0.45 cycles a pixel."""
    windows = [tukey(size + 2, TAPER)[1:-1] for size in image.shape]
    window = windows[0][:, None] * windows[1][None]
    level = (image * window).sum() / window.sum()
    spectrum = np.abs(np.fft.rfft2((image - level) * window)) ** 2
    ky, kx = np.meshgrid(np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1]), indexing="ij")
    size = np.hypot(kx, ky)
    use = (size > 6.0 / min(image.shape)) & (size < 0.45) & ((kx > 0) | (ky > 0))
    tied = float(np.prod([len(taper) * (taper**4).sum() / (taper**2).sum() ** 2 for taper in windows]))
    power = spectrum[use] / spectrum[use].mean()
    lags = np.stack([np.linspace(0.0, len(taper) * pixel, LAG_POINTS) for taper in windows[::-1]])
    autocorrelation = []
    for taper, lag in zip(windows[::-1], lags, strict=True):
        correlation = np.correlate(taper, taper, "full")[len(taper) - 1 :] / (taper**2).sum()
        autocorrelation.append(np.interp(lag, np.arange(len(taper)) * pixel, correlation))
    return Power(kx[use] / pixel, ky[use] / pixel, power, size[use] / 0.45, tied, lags, np.array(autocorrelation))


class Model:
    """log S and its derivatives at the frequencies of a `Power`, for values C10, C12 (angstrom), amplitude contrast, coefficients of film and rest.

    chi and its gradient are linear in the aberrations: their parts are the twin's, made once. Rings at q come from what is grad chi / pi apart in the image
    (twice where the rays go): of a finite image the taper's autocorrelation is left of them.
    """

    def __init__(self, power: Power, imaging: Imaging):
        self.power = power
        kx, ky = power.kx, power.ky
        units = np.zeros((3, 25))
        units[range(3), COEFFICIENT_INDICES] = 1.0
        chi = np.asarray(basis(kx, ky, imaging.wavelength))
        self.chi, self.parts = np.asarray(imaging.coefficients) @ chi, chi[list(COEFFICIENT_INDICES)]
        self.gradient = np.asarray(phase_gradient(imaging.coefficients, kx, ky, imaging.wavelength)) / np.pi
        self.gradients = (
            np.stack([np.asarray(phase_gradient(unit, kx, ky, imaging.wavelength)) for unit in units]) / np.pi
        )
        self.envelope = np.asarray(envelope(imaging, kx, ky)) ** 2
        self.powers = power.share[:, None] ** np.arange(max(FILM_TERMS, REST_TERMS))
        self.slopes = [
            np.gradient(autocorrelation, lag)
            for autocorrelation, lag in zip(power.autocorrelation, power.lags, strict=True)
        ]

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log S [m] and its derivatives [p, m]."""
        twice = 2.0 * (self.chi + values[:3] @ self.parts)
        cos, sin, w = np.cos(twice), np.sin(twice), values[3]
        displacement = self.gradient + np.einsum("k,kim->im", values[:3], self.gradients)
        lags, autocorrelation = self.power.lags, self.power.autocorrelation
        left = [np.interp(np.abs(displacement[i]), lags[i], autocorrelation[i]) for i in range(2)]
        slope = [
            np.interp(np.abs(displacement[i]), lags[i], self.slopes[i]) * np.sign(displacement[i]) for i in range(2)
        ]
        # of a specimen of phase and amplitude (sin chi - w cos chi)^2, its mean over rings and what oscillates
        swing = -0.5 * (1.0 - w**2) * cos - w * sin
        retained = left[0] * left[1]
        rings = self.envelope * (0.5 * (1.0 + w**2) + retained * swing) + 1e-6
        by_chi = retained * ((1.0 - w**2) * sin - 2.0 * w * cos)
        by_left = self.gradients[:, 0] * slope[0] * left[1] + self.gradients[:, 1] * slope[1] * left[0]
        film = self.powers[:, :FILM_TERMS] @ values[4 : 4 + FILM_TERMS]
        rest = self.powers[:, :REST_TERMS] @ values[4 + FILM_TERMS :]
        log = np.logaddexp(film + np.log(rings), rest)
        share = np.exp(film + np.log(rings) - log)
        rows = np.empty((len(values), len(log)))
        rows[:3] = self.envelope * (by_chi * self.parts + swing * by_left)
        rows[3] = self.envelope * (w + retained * (w * cos - sin))
        rows[:4] *= share / rings
        rows[4 : 4 + FILM_TERMS] = share * self.powers[:, :FILM_TERMS].T
        rows[4 + FILM_TERMS :] = (1.0 - share) * self.powers[:, :REST_TERMS].T
        return log, rows


def _fit(
    power: Power, model: Model, start: np.ndarray, astigmatism: float
) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Log evidence (Laplace), values, covariance and log likelihood from ``start`` = (C10, C12a, C12b), by damped Fisher scoring."""
    size = 4 + FILM_TERMS + REST_TERMS
    values = np.zeros(size)
    values[:3], values[3] = start, AMPLITUDE_CONTRAST[0]
    values[4], values[4 + FILM_TERMS] = 0.0, -1.0
    centre = np.zeros(size)
    centre[3] = AMPLITUDE_CONTRAST[0]
    spread = np.array(
        [1e5, astigmatism, astigmatism, AMPLITUDE_CONTRAST[1], *[TERM_SPREAD] * (FILM_TERMS + REST_TERMS)]
    )

    def quadratic(at: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        log, rows = model(at)
        ratio = power.power * np.exp(-log)
        deviation = (at - centre) / spread
        return (
            float((log + ratio).sum()) / power.tied + 0.5 * float(deviation @ deviation),
            rows @ (1.0 - ratio) / power.tied + deviation / spread,
            rows @ rows.T / power.tied + np.diag(spread**-2.0),
        )

    minimum = minimise_single(quadratic, values, MAX_STEPS, COST_TOLERANCE)
    values, cost, information = minimum.position, minimum.cost, minimum.curvature
    deviation = (values - centre) / spread
    scale = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(scale, scale))
    covariance = inverse / np.outer(scale, scale)
    covariance = covariance * np.sqrt(np.outer(*[_variance_inflation(power, model, values, covariance)] * 2))
    evidence = -cost - 0.5 * float(np.linalg.slogdet(information)[1])
    return evidence, values, covariance, 0.5 * float(deviation @ deviation) - cost


def _variance_inflation(power: Power, model: Model, values: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """By how much the variances [p] are larger for the score's own scatter between `SCORE_BLOCKS` of neighbouring frequencies; at least 1.

    Where film and rest are not quite polynomials, or frequencies more tied than the taper ties them, it is more than information says (White,
    Econometrica 50, 1, 1982).
    """
    log, rows = model(values)
    azimuth = np.arctan2(power.ky, power.kx) % np.pi
    sector = np.minimum((azimuth / np.pi * SCORE_BLOCKS[0]).astype(int), SCORE_BLOCKS[0] - 1)
    block = sector * SCORE_BLOCKS[1] + np.minimum((power.share**2 * SCORE_BLOCKS[1]).astype(int), SCORE_BLOCKS[1] - 1)
    scores = rows * (1.0 - power.power * np.exp(-log)) / power.tied
    total = np.stack([np.bincount(block, row, SCORE_BLOCKS[0] * SCORE_BLOCKS[1]) for row in scores])
    wider = covariance @ (total @ total.T) @ covariance
    return np.maximum(np.diag(wider) / np.diag(covariance), 1.0)


def _log_likelihood_without_rings(power: Power) -> float:
    """Log likelihood of a spectrum without rings: means of 40 shells of equal width in |q|."""
    shell = np.minimum((power.share * 40).astype(int), 39) // 2
    count = np.bincount(shell)
    mean = np.bincount(shell, power.power) / np.maximum(count, 1)
    degrees = np.polynomial.Polynomial.fit(power.share, np.log(np.maximum(mean, 1e-12))[shell], FILM_TERMS + 1)
    smooth = np.exp(degrees(power.share))
    # the exponential of the fitted polynomial, at its best scale
    smooth *= (power.power / smooth).mean()
    return -float((np.log(smooth) + power.power / smooth).sum()) / power.tied


def _plot(filled: np.ndarray, pixel: float, power: Power, model: Model, values: np.ndarray) -> tuple[FitPlot, float]:
    """Power, model and residual (of the mean of 5 x 5 frequencies, in sigmas) in the half plane kx >= 0, and the misfit."""
    log = model(values)[0]
    ratio = power.power * np.exp(-log)
    ny, nx = filled.shape
    row = (np.round(power.ky * pixel * ny).astype(int) + ny // 2) // 5
    column = np.round(power.kx * pixel * nx).astype(int) // 5
    shape = (ny // 5 + 1, nx // 10 + 1)
    flat = row * shape[1] + column

    def mean(weights: np.ndarray) -> np.ndarray:
        count = np.bincount(flat, minlength=shape[0] * shape[1])
        total = np.bincount(flat, weights, shape[0] * shape[1])
        return np.where(count > 12, total / np.maximum(count, 1), np.nan).reshape(shape)

    residual = (mean(ratio) - 1.0) * 5.0 / np.sqrt(power.tied)
    highest = 0.5 / pixel
    extent = (0.0, highest, highest, -highest)
    return FitPlot("power spectrum", mean(power.power), mean(np.exp(log)), residual, extent, "1/angstrom"), float(
        ratio.mean()
    )


def _prior_only(span: float, astigmatism: float, reason: str) -> Measurement:
    covariance = np.diag([span**2 / 3.0, astigmatism**2, astigmatism**2])
    return Measurement(KIND, NAMES, UNITS, (Component(1.0, np.zeros(3), covariance),), dict.fromkeys(NAMES, reason))
