"""Classes of fault in metadata: how each changes fields, and how often it is assumed to happen.

A `Change` says what the true values are if a fault happened: those claimed after a fixed change (half of a full angle, another sign, swapped axes), times
free factors of a Gaussian size where the magnitude is not known. The rates are assumptions, from what users report (magnification and pixel sizes are off
by 5 to 10 % in a few of a hundred files, signs and units more rarely); they weigh explanations against each other, and do not decide whether a field disagrees.

A spectrometer's dispersion is calibrated at one beam energy, and goes with p v of the electrons. A file whose high tension is wrong may state the dispersion at
that high tension: one mistake in two fields. What spectra say of the dispersion alone decides for it where their ratio to the claim is that of two usual high
tensions, to the error of the evidence; a dispersion of another setting of the spectrometer, which may be off by any factor, is the rival.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np

from twin.channels import field
from twin.optics.electrons import momentum_times_velocity
from twin.units import CELSIUS

Values = Mapping[str, float]

USUAL_TENSIONS = (30e3, 40e3, 60e3, 80e3, 100e3, 120e3, 160e3, 200e3, 300e3)
"""Acceleration voltages at which transmission microscopes are aligned, in volt."""
PREFIXES = (-10, -9, -6, -3, -2, -1, 1, 2, 3, 6, 9, 10)
"""Powers of ten between units that are taken for one another: angstrom and metre, nano and micro, angstrom and nanometre, per cent."""
BINNINGS = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
"""Factors by which a size is off that was not updated when the binning, or a sampling, changed."""
PAIRS = (("pixel.x", "pixel.y"), ("pixel.kx", "pixel.ky"), ("pixel.angle.x", "pixel.angle.y"))
"""Pixel sizes along x and y, of images and of patterns."""


@dataclasses.dataclass(frozen=True)
class Cause:
    """A class of fault: ``name``, assumed ``rate`` (share of files), and what to do about it."""

    name: str
    rate: float
    cure: str


CAUSES: dict[str, Cause] = {
    cause.name: cause
    for cause in (
        Cause("pixel size", 0.05, "Calibrate the magnification."),
        Cause(
            "non-square pixels", 0.01, "Calibrate x and y of the scan, or look for drift in the scan's slow direction."
        ),
        Cause("reciprocal pixel size", 0.04, "Calibrate the camera length with a known crystal."),
        Cause(
            "common scale",
            0.01,
            "High tension or objective calibration: calibrate magnification and camera length anew.",
        ),
        Cause("axis swap", 0.005, "Exchange x and y."),
        Cause("unit or prefix", 0.01, "Correct the unit."),
        Cause("binning", 0.01, "Correct the number for the binning or the sampling that was used."),
        Cause("high tension", 0.01, "Correct the high tension; wavelength and camera length follow."),
        Cause("semi-angle", 0.02, "Measure the semi-angle from the bright-field disk."),
        Cause("full angle for semi-angle", 0.01, "Halve the angle."),
        Cause("camera length", 0.03, "Calibrate the camera length."),
        Cause("defocus", 0.05, "Measure the defocus; the user's zero may have been moved."),
        Cause("defocus sign", 0.01, "Exchange the sign: one program counts overfocus, another underfocus as positive."),
        Cause("scan rotation", 0.02, "Measure the rotation between scan and camera."),
        Cause("half turn", 0.01, "Add 180 degrees to the rotation between scan and camera."),
        Cause("degrees for radians", 0.005, "Convert the angle."),
        Cause("dwell time", 0.01, "Take the dwell time from the frame time."),
        Cause("exposure", 0.01, "Take the exposure from the camera."),
        Cause("beam current", 0.03, "Measure the current with a Faraday cup or by counting."),
        Cause("gain", 0.02, "Measure the counts per electron."),
        Cause("dispersion", 0.01, "Calibrate the dispersion with two edges, or with the drift tube."),
        Cause("energy offset", 0.03, "Align the zero loss."),
        Cause("stage", 0.01, "Read the stage again."),
        Cause("Celsius for kelvin", 0.005, "Add or take away 273.15."),
        Cause("temperature", 0.01, "Read the holder's log."),
        Cause("thickness", 0.05, "Measure the thickness."),
        Cause("stale timestamp", 0.01, "Set the clock, or take the time from the log."),
        Cause("stale value", 0.02, "Take the value of the file's time, from a log or the instrument."),
        Cause("other", 0.01, "Read it from the instrument again."),
    )
}
_SCALED: dict[str, tuple[str, float]] = {
    "convergence_semiangle": ("semi-angle", 0.15), "collection_semiangle": ("semi-angle", 0.15), "camera_length": ("camera length", 0.15),
    "high_tension": ("high tension", 0.2), "dwell": ("dwell time", 0.5), "exposure": ("exposure", 0.5), "beam_current": ("beam current", 0.5),
    "gain": ("gain", 0.3), "dispersion": ("dispersion", 0.05), "temperature": ("temperature", 0.2), "thickness": ("thickness", 0.3),
}  # fmt: skip
"""Scale fields with a cause of their own, and the rms size of its errors (log)."""
_SHIFTED: dict[str, tuple[str, float]] = {
    "C10": ("defocus", 5e3), "energy_offset": ("energy offset", 20.0), "stage.x": ("stage", 1e5), "stage.y": ("stage", 1e5), "stage.z": ("stage", 1e5),
    "stage.alpha": ("stage", 0.2), "stage.beta": ("stage", 0.2), "scan_rotation": ("scan rotation", 0.3), "pattern_rotation": ("scan rotation", 0.3),
}  # fmt: skip
"""Signed fields and angles with a cause of their own, and the rms size of its errors in inside units."""
_PREFIXED = ("C10", "energy_offset", "stage.x", "stage.y", "stage.z")
"""Signed fields that are given in several units."""
_ANGLES = (
    "stage.alpha",
    "stage.beta",
    "scan_rotation",
    "pattern_rotation",
    "convergence_semiangle",
    "collection_semiangle",
)
_SWAPS = (*PAIRS, ("stage.alpha", "stage.beta"), ("stage.x", "stage.y"))
CALIBRATED = 0.3
"""Share of wrong high tensions in files of spectra with which the dispersion is that at the high tension as claimed."""
OTHER_SETTING, SETTING_SIZE = 0.3, 0.7
"""Share of wrong dispersions that are those of another setting of the spectrometer, and the rms size (log) of such errors."""
SETTINGS, SETTING_STEP = 20, 0.15
"""Factors on a dispersion that are tried to either side of 1, and their distance (log)."""
UNALIGNED = 0.2
"""Share of spectra that are saved with their zero loss off zero, by an electronvolt or so: many programs align them later or never."""
DEFAULT_SIZE = 0.3
"""Rms size (log) of errors of a scale field without a cause of its own."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One explanation: ``cause``, the ``fixed`` true values of fields that it changes, ``free`` directions {field: coefficient} each with an rms ``size`` (in
    the logarithm of scale fields, in inside units of others), its prior probability ``rate``, and ``words``. ``support``: nats by which the claims are more
    probable under it than its free directions make them, where something else than their size is known of the values that it would leave."""

    cause: str
    rate: float
    words: str
    fixed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    free: tuple[tuple[Mapping[str, float], float], ...] = ()
    support: float = 0.0

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields that it changes."""
        return tuple(dict.fromkeys([*self.fixed, *(name for direction, _ in self.free for name in direction)]))


def changes(values: Values) -> list[Change]:
    """All explanations that could apply to a file with these ``values`` of its fields (inside units)."""
    generators = (_of_pairs, _of_scales, _of_shifts, _of_angles, _of_tension)
    every = [change for generate in generators for change in generate(values)]
    return [change for change in every if all(_possible(name, value) for name, value in change.fixed.items())]


def own_error(name: str, value: float) -> tuple[str, float]:
    """The cause of an error of one field alone, and the rms size of such errors: in the logarithm of scale fields, in inside units of others."""
    if _field(name) == "scale":
        return _SCALED.get(name, ("other", DEFAULT_SIZE))
    return _SHIFTED.get(name, ("other", max(0.3 * abs(value), 1e-3)))


def _of_pairs(values: Values) -> Iterator[Change]:
    present = [pair for pair in PAIRS if all(values.get(name, 0.0) > 0 for name in pair)]
    for x, y in present:
        cause = "pixel size" if x == "pixel.x" else "reciprocal pixel size"
        what = "pixels of the image" if x == "pixel.x" else "pixels of the pattern"
        both, alone = {**_linked(x, values), **_linked(y, values)}, {x: 1.0, y: 1.0}
        yield Change(cause, CAUSES[cause].rate, f"both {what} are off by one factor", free=((both, 0.1),))
        third = CAUSES["non-square pixels"].rate / 3.0
        for name in (x, y):
            yield Change("non-square pixels", third, f"{name} alone is off", free=((_linked(name, values), 0.1),))
        pair = ((_linked(x, values), 0.1), (_linked(y, values), 0.1))
        yield Change("non-square pixels", third, f"{x} and {y} are off by factors that differ", free=pair)
        if len(both) > 2:
            words = f"both {what} are off, and the field of view is not"
            yield Change(cause, 0.2 * CAUSES[cause].rate, words, free=((alone, 0.1),))
        for power in PREFIXES:
            share = CAUSES["unit or prefix"].rate / len(PREFIXES) / 2.0
            fixed = {name: values[name] * 10.0**power for name in both}
            yield Change("unit or prefix", share, f"{what} in another unit, 1e{power:+d}", fixed)
        for factor in BINNINGS:
            share = CAUSES["binning"].rate / len(BINNINGS)
            fixed = {name: values[name] * factor for name in both}
            yield Change("binning", share, f"{what} of another binning, times {factor:g}", fixed)
    if len(present) > 1 or (present and values.get("camera_length", 0.0) > 0):
        direction = {name: 1.0 for pair in present for side in pair for name in _linked(side, values)}
        if values.get("camera_length", 0.0) > 0:
            direction["camera_length"] = 1.0 if len(present) > 1 or present[0][0] == "pixel.x" else -1.0
        words = "magnification and camera length are off by one factor"
        yield Change("common scale", CAUSES["common scale"].rate, words, free=((direction, 0.1),))
    for first, second in _SWAPS:
        if first in values and second in values and values[first] != values[second]:
            fixed = {first: values[second], second: values[first]}
            if first == "pixel.x":  # fields of view, where they are claimed, were computed from them
                ratio = values[second] / values[first]
                for name, factor in (("field_of_view.x", ratio), ("field_of_view.y", 1.0 / ratio)):
                    fixed |= {name: values[name] * factor} if name in values else {}
            yield Change("axis swap", CAUSES["axis swap"].rate, f"{first} and {second} are exchanged", fixed)


def _linked(name: str, values: Values) -> dict[str, float]:
    """A pixel size as a direction, with the field of view that is computed from it."""
    view = name.replace("pixel.", "field_of_view.")
    return {name: 1.0, view: 1.0} if name in ("pixel.x", "pixel.y") and values.get(view, 0.0) > 0 else {name: 1.0}


def _of_scales(values: Values) -> Iterator[Change]:
    paired = {name for pair in PAIRS for name in pair}
    for name, value in values.items():
        item = _field(name)
        if item != "scale" or not value > 0:
            continue
        if name not in paired:
            cause, size = own_error(name, value)
            yield Change(cause, CAUSES[cause].rate, f"{name} is off", free=(({name: 1.0}, size),))
            for factor in BINNINGS:
                if name in ("dwell", "exposure", "dispersion"):
                    yield Change(
                        "binning",
                        CAUSES["binning"].rate / len(BINNINGS) / 3.0,
                        f"{name} of another binning, times {factor:g}",
                        {name: value * factor},
                    )
        for power in PREFIXES:
            rate = CAUSES["unit or prefix"].rate / len(PREFIXES) / 4.0
            yield Change("unit or prefix", rate, f"{name} in another unit, 1e{power:+d}", {name: value * 10.0**power})
    if values.get("dispersion", 0.0) > 0.0:
        yield from _of_settings(values)
    for name in ("convergence_semiangle", "collection_semiangle"):
        if (semiangle := values.get(name, 0.0)) > 0:
            rate, cause = CAUSES["full angle for semi-angle"].rate, "full angle for semi-angle"
            yield Change(cause, rate, "the full angle is given as semi-angle", {name: 0.5 * semiangle})
            yield Change(cause, 0.1 * rate, "half of the semi-angle is given", {name: 2.0 * semiangle})
    if values.get("temperature", 0.0) > 0:
        for shift in (CELSIUS.offset, -CELSIUS.offset):
            if values["temperature"] + shift > 0:
                yield Change("Celsius for kelvin", CAUSES["Celsius for kelvin"].rate / 2.0, "degrees Celsius and kelvin are exchanged",
                             {"temperature": values["temperature"] + shift})  # fmt: skip


def _of_settings(values: Values) -> Iterator[Change]:
    """Dispersions of other settings. A spectrum that begins before its zero loss may have been put to zero all the same: its offset is off by as much."""
    rate = OTHER_SETTING * CAUSES["dispersion"].rate
    words = "the dispersion is that of another setting"
    alone = not values.get("energy_offset", 0.0) < 0.0
    yield Change("dispersion", rate if alone else 0.5 * rate, words, free=(({"dispersion": 1.0}, SETTING_SIZE),))
    if alone:
        return
    for factor in BINNINGS:
        share = CAUSES["binning"].rate / len(BINNINGS) / 3.0
        yield Change("binning", share, f"dispersion of another binning, times {factor:g}", _rescaled(values, factor))
    steps = np.arange(-SETTINGS, SETTINGS + 1)
    weights = np.exp(-0.5 * (steps * SETTING_STEP / SETTING_SIZE) ** 2)
    # an offset goes with the dispersion, not with its logarithm: straight lines from one factor to the next
    for step, weight in zip(steps.tolist(), weights / weights.sum(), strict=True):
        fixed = _rescaled(values, math.exp(step * SETTING_STEP))
        free = ({"dispersion": 1.0, "energy_offset": fixed["energy_offset"]}, 0.5 * SETTING_STEP)
        yield Change("dispersion", 0.5 * rate * float(weight), f"{words}, of which the zero was kept", fixed, (free,))


def _of_shifts(values: Values) -> Iterator[Change]:
    for name, value in values.items():
        if _field(name) not in ("signed", "angle"):
            continue
        cause, size = own_error(name, value)
        yield Change(cause, CAUSES[cause].rate, f"{name} is off", free=(({name: 1.0}, size),))
        if name in _PREFIXED and value != 0.0:
            for power in PREFIXES:
                rate = CAUSES["unit or prefix"].rate / len(PREFIXES) / 4.0
                yield Change(
                    "unit or prefix", rate, f"{name} in another unit, 1e{power:+d}", {name: value * 10.0**power}
                )
    if "energy_offset" in values:
        rate = UNALIGNED
        yield Change("energy offset", rate, "the zero loss is not at zero", free=(({"energy_offset": 1.0}, 1.0),))
    if values.get("C10", 0.0) != 0.0:
        yield Change(
            "defocus sign", CAUSES["defocus sign"].rate, "the sign of the defocus is exchanged", {"C10": -values["C10"]}
        )
    if "pattern_rotation" in values:
        yield Change(
            "half turn",
            CAUSES["half turn"].rate,
            "scan and camera are half a turn apart",
            {"pattern_rotation": values["pattern_rotation"] + math.pi},
        )


def _of_angles(values: Values) -> Iterator[Change]:
    for name in _ANGLES:
        if values.get(name, 0.0) == 0.0:
            continue
        for factor, words in (
            (math.pi / 180.0, "degrees were read as radians"),
            (180.0 / math.pi, "radians were read as degrees"),
        ):
            yield Change(
                "degrees for radians",
                CAUSES["degrees for radians"].rate / 2.0,
                f"{name}: {words}",
                {name: values[name] * factor},
            )


def _of_tension(values: Values) -> Iterator[Change]:
    claimed = values.get("high_tension", 0.0)
    others = [tension for tension in USUAL_TENSIONS if claimed > 0 and abs(tension / claimed - 1.0) > 0.02]
    for tension in others:
        rate = CAUSES["high tension"].rate / len(others)
        words = f"the high tension was {tension / 1e3:g} kV"
        yield Change("high tension", rate, words, {"high_tension": tension})
        if values.get("dispersion", 0.0) > 0.0:
            ratio = momentum_times_velocity(tension) / momentum_times_velocity(claimed)
            fixed = {"high_tension": tension, **_rescaled(values, ratio)}
            yield Change(
                "high tension", CALIBRATED * rate, f"{words}, and the dispersion is that at {claimed / 1e3:g} kV", fixed
            )


def _rescaled(values: Values, ratio: float) -> dict[str, float]:
    """Dispersion and energy offset of a spectrum whose axis keeps its zero where the dispersion is another."""
    offset = {"energy_offset": values["energy_offset"] * ratio} if "energy_offset" in values else {}
    return {"dispersion": values["dispersion"] * ratio, **offset}


def _field(name: str) -> str:
    try:
        return field(name).form
    except ValueError:
        return ""


def _possible(name: str, value: float) -> bool:
    """Whether microscopes have such a value."""
    about = field(name)
    return about.form == "angle" or about.low <= value <= about.high
