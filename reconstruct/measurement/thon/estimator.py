"""Thon rings of an amorphous film's image -> defocus (C10) and twofold astigmatism (C12.a, C12.b).

The image is flattened, its power spectrum taken, what is no Thon ring masked, and the model of film, transfer and background fitted from the likeliest values
of a search over every defocus, sign and astigmatism. The spectrum is the same for both signs of chi but for spherical aberration and amplitude contrast: both
signs are fitted, and kept as components with the weight of their evidence.
"""

import math

import numpy as np

from reconstruct.measurement.measurement import Component, FitPlot, Measurement, withhold
from reconstruct.measurement.outcome import Defect, FitCheck
from reconstruct.measurement.thon.checks import predict_left_out, ring_check, stated_checks
from reconstruct.measurement.thon.fit import Fit, Prior
from reconstruct.measurement.thon.flatten import flatten
from reconstruct.measurement.thon.model import C10, C12, PSI, Model
from reconstruct.measurement.thon.rings import Given, Tell, find_rings
from reconstruct.measurement.thon.spectrum import HIGHEST, Plane, Power, power_plane
from twin.checks import electron_energy
from twin.optics.aberrations import index
from twin.optics.transfer import Imaging

KIND = "thon rings"
NAMES = ("C10", "C12a", "C12b")
UNITS = ("angstrom",) * 3
PHASE = "phase_shift"
MIN_WEIGHT = 1e-3
"""Components of less weight are left out."""
FREE_SPREAD = 10.0
"""Spread in radian of a phase that is free."""


def measure_thon(
    image: np.ndarray,
    pixel: float,
    energy: float,
    c30: float = 0.0,
    span: float = 10000.0,
    astigmatism: float = 300.0,
    focal_spread: float = 0.0,
    phase_shift: float | None = 0.0,
    amplitude_contrast: tuple[float, float] = (0.05, 0.05),
    tell: Tell = lambda text, share: None,
) -> Measurement:
    """C10, C12a and C12b in angstrom of ``image`` [ny, nx] (counts, NaN where unknown) of an amorphous film, ``pixel`` angstrom, ``energy`` eV.

    ``c30`` is the spherical aberration (angstrom), ``span`` the largest defocus and astigmatism that are looked for, ``astigmatism`` the rms of both parts of
    C12 that is expected: the rings may have more. ``phase_shift`` in radian is that of a phase plate, None to measure it too; ``amplitude_contrast`` mean and
    error of the ratio to phase contrast. ``tell`` hears of the progress. An image without rings, or one that the model does not fit, leaves the prior with the
    reason. ValueError for an image that is none.
    """
    given = _given(pixel, energy, c30, span, astigmatism, focal_spread, phase_shift, amplitude_contrast)
    tell("flattening the image", 0.0)
    flat = flatten(np.asarray(image))
    if flat is None:
        return _prior_only(given, "the image is flat: no electrons, or no film")
    tell("power spectrum", 0.05)
    highest = HIGHEST / pixel
    plane = power_plane(flat, pixel, 2.0 * given.imaging.wavelength * highest * min(span, 5e4))
    if (plane.weight > 0).sum() < 500:
        raise ValueError(f"image has shape {image.shape}; give one of at least 64 pixels each way")
    result = find_rings(plane, given, tell)
    if isinstance(result, str):
        return _prior_only(given, result, flat.electrons, flat.defects)
    plane, fits, smooth, model, masked = result
    tell("checking the fit", 0.85)
    power = model.power
    checks = [_span_check(fits[0], given), ring_check(predict_left_out(power, model, fits[0], smooth))]
    checks += stated_checks(power, model, fits[0], given.prior, given.free)
    names = (*NAMES, PHASE) if given.free else NAMES
    measurement = Measurement(
        KIND,
        names,
        (*UNITS, "radian")[: len(names)],
        _components(fits, given),
        {},
        float((power.weight * power.power * np.exp(-model(fits[0].values)[0])).sum() / power.weight.sum()),
        flat.electrons,
        (_plot(plane, power, model, fits[0].values),),
        _notes(fits, given),
        tuple(checks),
        (*flat.defects, *masked),
        principal=NAMES,
        periods={PHASE: math.pi} if given.free else {},
    )
    tell("checking the fit", 1.0)
    return withhold(measurement, _prior(given))


def _given(
    pixel: float,
    energy: float,
    c30: float,
    span: float,
    astigmatism: float,
    focal_spread: float,
    phase_shift: float | None,
    amplitude_contrast: tuple[float, float],
) -> Given:
    electron_energy(energy)
    for name, value in (("pixel", pixel), ("span", span), ("astigmatism", astigmatism)):
        if not (np.isfinite(value) and value > 0.0):
            raise ValueError(f"{name} is {value}; give angstrom, above 0")
    mean, error = amplitude_contrast
    if not (abs(mean) < 10.0 and 0.0 < error < 10.0):
        raise ValueError(f"amplitude_contrast is {mean} with error {error}; give its share of the phase contrast")
    if phase_shift is not None and not math.isfinite(phase_shift):
        raise ValueError(f"phase_shift is {phase_shift}; give radian, or None to measure it")
    lens = np.zeros(25)
    lens[index("C30")] = c30
    free = phase_shift is None
    psi = math.atan(mean) + (phase_shift or 0.0)
    prior = Prior(c30, psi, FREE_SPREAD if free else error, astigmatism)
    return Given(Imaging(lens, energy, focal_spread=focal_spread), prior, span, free)


def _components(fits: list[Fit], given: Given) -> tuple[Component, ...]:
    which = [0, 1, 2, PSI][: 4 if given.free else 3]
    weights = np.exp([fit.evidence - fits[0].evidence for fit in fits])
    kept = [(weight, fit) for weight, fit in zip(weights, fits, strict=True) if weight > MIN_WEIGHT]
    total = sum(weight for weight, _ in kept)
    components = []
    for weight, fit in kept:
        mean = fit.values[which].copy()
        if given.free:
            # psi is that of phase plate and film together
            mean[3] = (mean[3] - given.prior.psi) % math.pi
        components.append(Component(float(weight / total), mean, fit.covariance[np.ix_(which, which)]))
    return tuple(components)


def _notes(fits: list[Fit], given: Given) -> tuple[str, ...]:
    notes = []
    top = fits[0].evidence
    signs = {bool(fit.values[C10] > 0.0) for fit in fits if fit.evidence > top + math.log(MIN_WEIGHT)}
    if len(signs) > 1:
        notes.append(
            "both signs of defocus are possible: one image distinguishes them by spherical aberration and amplitude contrast alone"
        )
    size = float(np.hypot(*fits[0].values[C12]))
    if size > 5.0 * given.prior.astigmatism:
        notes.append(
            f"astigmatism is {size / 10:.0f} nm, beyond the {given.prior.astigmatism / 10:.0f} nm rms that was expected"
        )
    off = fits[0].values[PSI] - given.prior.psi
    if not given.free and abs(off) > 3.0 * given.prior.psi_spread:
        notes.append(
            f"amplitude contrast is {math.tan(fits[0].values[PSI]):.0%} of phase contrast, far from what was expected"
        )
    return tuple(notes)


def _span_check(fit: Fit, given: Given) -> FitCheck:
    size = float(max(abs(fit.values[C10]), np.hypot(*fit.values[C12])))
    finding = f"its best defocus, {size / 10:.0f} nm, is beyond the {given.span / 10:.0f} nm that were searched: search a larger span"
    return FitCheck("defocus over the span", size / given.span, 1.0, finding)


def _plot(plane: Plane, power: Power, model: Model, values: np.ndarray) -> FitPlot:
    """Power, model and residual (of the mean of some frequencies, in sigmas) in the half plane kx >= 0."""
    predicted = np.ones(plane.power.shape)
    predicted[np.nonzero(plane.weight)] = np.exp(model(values)[0])
    step = max(1, round(len(plane.ky) / 100))
    starts = [np.arange(0, size, step) for size in plane.power.shape]

    def total(part: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(part, starts[0], axis=0), starts[1], axis=1)

    weight = total(plane.weight)

    def mean(part: np.ndarray) -> np.ndarray:
        return np.where(weight > 0, total(plane.weight * part) / np.maximum(weight, 1e-12), np.nan)

    residual = (mean(plane.power / predicted) - 1.0) * np.sqrt(weight / plane.tied)
    edge = float(-plane.ky[0])
    return FitPlot(
        "power spectrum",
        mean(plane.power),
        mean(predicted),
        residual,
        (0.0, float(plane.kx[-1]), edge, -edge),
        "1/angstrom",
    )


def _prior(given: Given) -> Component:
    variances = [given.span**2 / 3.0, given.prior.astigmatism**2, given.prior.astigmatism**2]
    if given.free:
        variances.append(math.pi**2 / 12.0)
    return Component(1.0, np.zeros(len(variances)), np.diag(variances))


def _prior_only(
    given: Given, reason: str, electrons: float = math.nan, defects: tuple[Defect, ...] = ()
) -> Measurement:
    names = (*NAMES, PHASE) if given.free else NAMES
    units = (*UNITS, "radian")[: len(names)]
    undetermined = {str(name): reason for name in names}
    return Measurement(
        KIND, names, units, (_prior(given),), undetermined, electrons=electrons, defects=defects, principal=NAMES,
        periods={PHASE: math.pi} if given.free else {},
    )  # fmt: skip
