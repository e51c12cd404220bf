"""Thon rings of an amorphous film's image -> defocus (C10) and twofold astigmatism (C12.a, C12.b).

The power at each spatial frequency q is exponentially distributed about S(q) = film(|q|) |H(q)|^2 + rest(|q|), as the film's atoms stand at random
(Whittle's likelihood). H is the twin's contrast transfer (`twin.optics.contrast`) of phase and a little amplitude contrast; film and rest are exponentials of
polynomials, which take in scattering factors, envelopes, the camera's transfer and noise. S is the same for both signs of chi but for spherical aberration
and amplitude contrast: both signs of defocus are fitted, and kept as components with the weight of their evidence.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal.windows import tukey

from reconstruct.measure.measurement import Component, Measurement, Shown
from reconstruct.measure.thon.search import starts
from twin.checks import electron_energy
from twin.optics.aberrations import basis, index, phase_gradient
from twin.optics.transfer import Imaging, envelope

KIND = "thon rings"
NAMES = ("C10", "C12a", "C12b")
UNITS = ("angstrom",) * 3
PLACES = tuple(index(name) for name in NAMES)
TAPER = 0.3
"""Share of the image that is faded in and out at its edges, which need not fit together."""
AMPLITUDE = (0.05, 0.05)
"""Prior mean and spread of amplitude contrast over phase contrast: a few percent in thin films of light atoms."""
FILM, REST = 6, 4
"""Coefficients of the logarithms of film and rest."""
WIDE = 5.0
"""Prior spread of those coefficients."""
SIGNIFICANT = 50.0
"""Gain in log likelihood over a spectrum without rings from which rings are measured: below it neighbouring ripples of noise rival them, and the
likelihood is no Gaussian (of images at 15 to 50 three quarters of the 90 % intervals held; above, nine tenths)."""
STEPS = 40
BLOCKS = (18, 24)
"""Sectors and shells in which the scatter of the score is looked at."""
LAGS = 256
"""Points at which the taper's autocorrelation is held."""
WEAK = 1e-3
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
    kept: np.ndarray


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
    of C12. An image without rings leaves all of it as it was, and says so. ValueError for an image that is none.
    """
    electron_energy(energy)
    known = _checked(image, pixel, span, astigmatism)
    filled = np.where(known, image, image[known].mean()).astype(float)
    if np.ptp(filled) == 0.0:
        return _open(span, astigmatism, "the image is flat: no electrons, or no film")
    power = power_spectrum(filled, pixel)
    lens = np.zeros(25)
    lens[index("C30")] = c30
    imaging = Imaging(lens, energy, focal_spread=focal_spread)
    model = Model(power, imaging)
    begun = starts(power, imaging.wavelength, c30, span, astigmatism)
    fits = [_fitted(power, model, start, astigmatism) for start in begun]
    if not fits:
        return _open(span, astigmatism, "no rings: the image has too few pixels for any defocus")
    top = max(evidence for evidence, _, _, _ in fits)
    gain = max(log for _, _, _, log in fits) - _without(power)
    if gain < SIGNIFICANT:
        return _open(
            span,
            astigmatism,
            f"no Thon rings, or too weak: they explain the power spectrum by {gain:.1f} nat better than a smooth one; record more electrons",
        )
    chosen: list[tuple[float, np.ndarray, np.ndarray]] = []
    for evidence, mean, covariance, _ in sorted(fits, key=lambda one: -one[0]):
        weight = float(np.exp(evidence - top))
        std = np.sqrt(np.diag(covariance)[:3])
        same = any((np.abs(mean[:3] - other[:3]) < 3.0 * std).all() for _, other, _ in chosen)
        if weight > WEAK and not same:
            chosen.append((weight, mean, covariance))
    total = sum(weight for weight, _, _ in chosen)
    components = tuple(Component(weight / total, mean[:3], covariance[:3, :3]) for weight, mean, covariance in chosen)
    signs = {bool(one.mean[0] > 0.0) for one in components}
    both = "both signs of defocus are possible: one image tells them apart by spherical aberration and amplitude contrast alone"
    notes = (both,) if len(signs) > 1 else ()
    shown, misfit = _shown(filled, pixel, power, model, chosen[0][1])
    return Measurement(KIND, NAMES, UNITS, components, {}, misfit, float(filled.sum()), (shown,), notes)


def _checked(image: np.ndarray, pixel: float, span: float, astigmatism: float) -> np.ndarray:
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
    tied = float(np.prod([len(one) * (one**4).sum() / (one**2).sum() ** 2 for one in windows]))
    power = spectrum[use] / spectrum[use].mean()
    lags = np.stack([np.linspace(0.0, len(one) * pixel, LAGS) for one in windows[::-1]])
    kept = []
    for one, at in zip(windows[::-1], lags, strict=True):
        same = np.correlate(one, one, "full")[len(one) - 1 :] / (one**2).sum()
        kept.append(np.interp(at, np.arange(len(one)) * pixel, same))
    return Power(kx[use] / pixel, ky[use] / pixel, power, size[use] / 0.45, tied, lags, np.array(kept))


class Model:
    """log S and its derivatives at the frequencies of a `Power`, for values C10, C12 (angstrom), amplitude contrast, coefficients of film and rest.

    chi and its gradient are linear in the aberrations: their parts are the twin's, made once. Rings at q come from what is grad chi / pi apart in the image
    (twice where the rays go): of a finite image the taper's autocorrelation is left of them.
    """

    def __init__(self, power: Power, imaging: Imaging):
        self.power = power
        kx, ky = power.kx, power.ky
        units = np.zeros((3, 25))
        units[range(3), PLACES] = 1.0
        chi = np.asarray(basis(kx, ky, imaging.wavelength))
        self.chi, self.parts = np.asarray(imaging.coefficients) @ chi, chi[list(PLACES)]
        self.gradient = np.asarray(phase_gradient(imaging.coefficients, kx, ky, imaging.wavelength)) / np.pi
        self.gradients = (
            np.stack([np.asarray(phase_gradient(one, kx, ky, imaging.wavelength)) for one in units]) / np.pi
        )
        self.envelope = np.asarray(envelope(imaging, kx, ky)) ** 2
        self.powers = power.share[:, None] ** np.arange(max(FILM, REST))
        self.slopes = [np.gradient(kept, lag) for kept, lag in zip(power.kept, power.lags, strict=True)]

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log S [m] and its derivatives [p, m]."""
        twice = 2.0 * (self.chi + values[:3] @ self.parts)
        cos, sin, w = np.cos(twice), np.sin(twice), values[3]
        apart = self.gradient + np.einsum("k,kim->im", values[:3], self.gradients)
        lags, kept = self.power.lags, self.power.kept
        left = [np.interp(np.abs(apart[i]), lags[i], kept[i]) for i in range(2)]
        slope = [np.interp(np.abs(apart[i]), lags[i], self.slopes[i]) * np.sign(apart[i]) for i in range(2)]
        # of a specimen of phase and amplitude (sin chi - w cos chi)^2, its mean over rings and what oscillates
        swing = -0.5 * (1.0 - w**2) * cos - w * sin
        both = left[0] * left[1]
        rings = self.envelope * (0.5 * (1.0 + w**2) + both * swing) + 1e-6
        by_chi = both * ((1.0 - w**2) * sin - 2.0 * w * cos)
        by_left = self.gradients[:, 0] * slope[0] * left[1] + self.gradients[:, 1] * slope[1] * left[0]
        film = self.powers[:, :FILM] @ values[4 : 4 + FILM]
        rest = self.powers[:, :REST] @ values[4 + FILM :]
        log = np.logaddexp(film + np.log(rings), rest)
        share = np.exp(film + np.log(rings) - log)
        rows = np.empty((len(values), len(log)))
        rows[:3] = self.envelope * (by_chi * self.parts + swing * by_left)
        rows[3] = self.envelope * (w + both * (w * cos - sin))
        rows[:4] *= share / rings
        rows[4 : 4 + FILM] = share * self.powers[:, :FILM].T
        rows[4 + FILM :] = (1.0 - share) * self.powers[:, :REST].T
        return log, rows


def _fitted(
    power: Power, model: Model, start: np.ndarray, astigmatism: float
) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Log evidence (Laplace), values, covariance and log likelihood from ``start`` = (C10, C12a, C12b), by damped Fisher scoring."""
    size = 4 + FILM + REST
    values = np.zeros(size)
    values[:3], values[3] = start, AMPLITUDE[0]
    values[4], values[4 + FILM] = 0.0, -1.0
    centre = np.zeros(size)
    centre[3] = AMPLITUDE[0]
    spread = np.array([1e5, astigmatism, astigmatism, AMPLITUDE[1], *[WIDE] * (FILM + REST)])

    def at(tried: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        log, rows = model(tried)
        ratio = power.power * np.exp(-log)
        cost, gradient, information = float((log + ratio).sum()), rows @ (1.0 - ratio), rows @ rows.T
        away = (tried - centre) / spread
        whole = cost / power.tied + 0.5 * float(away @ away)
        return (
            whole,
            gradient / power.tied + away / spread,
            information / power.tied + np.diag(spread**-2.0),
            cost / power.tied,
        )

    cost, gradient, information, own = at(values)
    damping = 1e-2
    for _ in range(STEPS):
        scale = np.sqrt(np.diag(information))
        step = -np.linalg.solve(information / np.outer(scale, scale) + damping * np.eye(size), gradient / scale) / scale
        tried = at(values + step)
        if np.isfinite(tried[0]) and tried[0] < cost:
            done = cost - tried[0] < 1e-3
            values = values + step
            cost, gradient, information, own = tried
            damping = max(0.2 * damping, 1e-9)
            if done:
                break
        else:
            damping *= 10.0
            if damping > 1e6:
                break
    scale = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(scale, scale))
    covariance = inverse / np.outer(scale, scale)
    covariance = covariance * np.sqrt(np.outer(*[_misjudged(power, model, values, covariance)] * 2))
    evidence = -cost - 0.5 * float(np.linalg.slogdet(information)[1])
    return evidence, values, covariance, -own


def _misjudged(power: Power, model: Model, values: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """By how much the variances [p] are larger for the score's own scatter between `BLOCKS` of neighbouring frequencies; at least 1.

    Where film and rest are not quite polynomials, or frequencies more tied than the taper ties them, it is more than information says (White,
    Econometrica 50, 1, 1982).
    """
    log, rows = model(values)
    azimuth = np.arctan2(power.ky, power.kx) % np.pi
    sector = np.minimum((azimuth / np.pi * BLOCKS[0]).astype(int), BLOCKS[0] - 1)
    block = sector * BLOCKS[1] + np.minimum((power.share**2 * BLOCKS[1]).astype(int), BLOCKS[1] - 1)
    scores = rows * (1.0 - power.power * np.exp(-log)) / power.tied
    total = np.stack([np.bincount(block, row, BLOCKS[0] * BLOCKS[1]) for row in scores])
    wider = covariance @ (total @ total.T) @ covariance
    return np.maximum(np.diag(wider) / np.diag(covariance), 1.0)


def _without(power: Power) -> float:
    """Log likelihood of a spectrum without rings: means of 40 shells of equal width in |q|."""
    shell = np.minimum((power.share * 40).astype(int), 39) // 2
    count = np.bincount(shell)
    mean = np.bincount(shell, power.power) / np.maximum(count, 1)
    degrees = np.polynomial.Polynomial.fit(power.share, np.log(np.maximum(mean, 1e-12))[shell], FILM + 1)
    smooth = np.exp(degrees(power.share))
    # the exponential of the fitted polynomial, at its best scale
    smooth *= (power.power / smooth).mean()
    return -float((np.log(smooth) + power.power / smooth).sum()) / power.tied


def _shown(filled: np.ndarray, pixel: float, power: Power, model: Model, values: np.ndarray) -> tuple[Shown, float]:
    """Power, model and residual (of the mean of 5 x 5 frequencies, in sigmas) in the half plane kx >= 0, and the misfit."""
    log = model(values)[0]
    ratio = power.power * np.exp(-log)
    ny, nx = filled.shape
    row = (np.round(power.ky * pixel * ny).astype(int) + ny // 2) // 5
    column = np.round(power.kx * pixel * nx).astype(int) // 5
    shape = (ny // 5 + 1, nx // 10 + 1)
    flat = row * shape[1] + column

    def mean(of: np.ndarray) -> np.ndarray:
        count = np.bincount(flat, minlength=shape[0] * shape[1])
        total = np.bincount(flat, of, shape[0] * shape[1])
        return np.where(count > 12, total / np.maximum(count, 1), np.nan).reshape(shape)

    residual = (mean(ratio) - 1.0) * 5.0 / np.sqrt(power.tied)
    highest = 0.5 / pixel
    extent = (0.0, highest, highest, -highest)
    return Shown("power spectrum", mean(power.power), mean(np.exp(log)), residual, extent, "1/angstrom"), float(
        ratio.mean()
    )


def _open(span: float, astigmatism: float, why: str) -> Measurement:
    covariance = np.diag([span**2 / 3.0, astigmatism**2, astigmatism**2])
    return Measurement(KIND, NAMES, UNITS, (Component(1.0, np.zeros(3), covariance),), dict.fromkeys(NAMES, why))
