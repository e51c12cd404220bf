"""Faults of metadata: what is claimed instead of the truth, which fields are wrong then, and how the cause is called."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from twin.optics.electrons import momentum_times_velocity

Values = Mapping[str, float]


class Injected(NamedTuple):
    """What is ``claimed``, and which ``fields`` of it are wrong."""

    claimed: dict[str, float]
    fields: tuple[str, ...]


class Class(NamedTuple):
    """A class of fault: ``name``, the ``kinds`` of recordings it is injected into, how (``inject``: values, generator), and the ``causes``
    that name it; ``logical``: a rule without errors rules it out wherever it is injected; ``stale``: values of the file before are
    injected."""

    name: str
    kinds: tuple[str, ...]
    inject: Callable[[Values, np.random.Generator], Injected]
    causes: tuple[str, ...]
    logical: bool = False
    stale: bool = False
    without: str = ""

    def applies(self, values: Values) -> bool:
        """Whether a recording with these values can have it: a camera length of another mode is not in files that have one of their own."""
        return not self.without or self.without not in values


def _scaled(values: Values, names: tuple[str, ...], factor: float) -> Injected:
    present = [name for name in names if name in values]
    return Injected({**values, **{name: values[name] * factor for name in present}}, tuple(present))


def _factor(generator: np.random.Generator, low: float, high: float) -> float:
    """A factor that is off by ``low`` to ``high``, to either side."""
    return float(1.0 + generator.uniform(low, high)) ** float(generator.choice([-1.0, 1.0]))


IMAGE = ("pixel.x", "pixel.y", "field_of_view.x", "field_of_view.y")
PATTERN = ("pixel.kx", "pixel.ky")


def _pixels(low: float, high: float) -> Callable[[Values, np.random.Generator], Injected]:
    return lambda values, generator: _scaled(
        values, IMAGE if "field_of_view.x" in values else IMAGE[:2], _factor(generator, low, high)
    )


def _one_axis(values: Values, generator: np.random.Generator) -> Injected:
    side = str(generator.choice(["x", "y"]))
    names = (f"pixel.{side}", f"field_of_view.{side}") if "pixel.x" in values else (f"pixel.k{side}",)
    return _scaled(values, names, _factor(generator, 0.05, 0.2))


def _swapped(values: Values, generator: np.random.Generator) -> Injected:
    pairs = [("pixel.x", "pixel.y"), ("field_of_view.x", "field_of_view.y"), ("pixel.kx", "pixel.ky")]
    claimed, wrong = dict(values), []
    for first, second in pairs:
        if first in values:
            claimed |= {first: values[second], second: values[first]}
            wrong += [first, second]
    return Injected(claimed, tuple(wrong))


def _powers(names: tuple[str, ...], factors: tuple[float, ...]) -> Callable[[Values, np.random.Generator], Injected]:
    def inject(values: Values, generator: np.random.Generator) -> Injected:
        present = tuple(name for name in names if name in values)
        return _scaled(values, present, float(generator.choice(factors)))

    return inject


def _both(names: tuple[str, ...], low: float, high: float) -> Callable[[Values, np.random.Generator], Injected]:
    return lambda values, generator: _scaled(values, names, _factor(generator, low, high))


def _one(name: str, low: float, high: float) -> Callable[[Values, np.random.Generator], Injected]:
    return lambda values, generator: _scaled(values, (name,), _factor(generator, low, high))


def _replaced(
    name: str, new: Callable[[float, np.random.Generator], float]
) -> Callable[[Values, np.random.Generator], Injected]:
    return lambda values, generator: Injected({**values, name: new(values[name], generator)}, (name,))


def _twice(value: float, generator: np.random.Generator) -> float:
    """The full angle."""
    del generator
    return 2.0 * value


def _other_tension(value: float, generator: np.random.Generator) -> float:
    return float(generator.choice([tension for tension in (80e3, 200e3, 300e3) if tension != value]))


def _moved(name: str, low: float, high: float) -> Callable[[Values, np.random.Generator], Injected]:
    """A field that is off by ``low`` to ``high`` in inside units, to either side."""
    return lambda values, generator: Injected(
        {**values, name: values[name] + float(generator.uniform(low, high) * generator.choice([-1.0, 1.0]))}, (name,)
    )


def _dispersion(values: Values, generator: np.random.Generator) -> Injected:
    """Two edges 75 eV apart do not tell a wrong dispersion from a wrong offset: either may be blamed."""
    wrong = _scaled(values, ("dispersion",), _factor(generator, 0.05, 0.2))
    return Injected(wrong.claimed, ("dispersion", "energy_offset"))


def _shifted_time(values: Values, generator: np.random.Generator) -> Injected:
    """The time of another recording of the session."""
    shift = float(generator.uniform(300.0, 1500.0) * generator.choice([-1.0, 1.0]))
    return Injected({**values, "time.start": int(values["time.start"] + shift * 1e9)}, ("time.start",))


def _exchanged(first: str, second: str) -> Callable[[Values, np.random.Generator], Injected]:
    return lambda values, _: Injected({**values, first: values[second], second: values[first]}, (first, second))


def _camera_length_in_image(values: Values, generator: np.random.Generator) -> Injected:
    return Injected({**values, "camera_length": 3.78e9}, ("camera_length",))


def _exposure(values: Values, generator: np.random.Generator) -> Injected:
    """Seconds for milliseconds, or the other way round: counts tell the product with current and gain, any of which may be blamed."""
    wrong = _scaled(values, ("exposure",), float(generator.choice([1e3, 1e-3])))
    return Injected(wrong.claimed, ("exposure", "beam_current", "gain"))


def _kept_zero(values: Values, ratio: float) -> dict[str, float]:
    """Another dispersion, with the zero loss still at zero."""
    return {**values, **{name: values[name] * ratio for name in ("dispersion", "energy_offset")}}


def _calibrated_tension(values: Values, generator: np.random.Generator) -> Injected:
    """Another high tension, and the dispersion that a spectrometer which was calibrated at the true one would have at that."""
    tension = _other_tension(values["high_tension"], generator)
    ratio = momentum_times_velocity(tension) / momentum_times_velocity(values["high_tension"])
    return Injected(
        {**_kept_zero(values, ratio), "high_tension": tension}, ("dispersion", "energy_offset", "high_tension")
    )


def _other_setting(values: Values, generator: np.random.Generator) -> Injected:
    """The dispersion of another setting, with the zero loss at zero."""
    ratio = float(generator.choice([0.2, 0.4, 0.6, 1.6, 2.5, 5.0]))
    return Injected(_kept_zero(values, ratio), ("dispersion", "energy_offset"))


LOSSES = ("core loss", "low loss", "real core loss", "real low loss", "zero loss and edges")

CLASSES = (
    Class("pixel size, 5 to 25 %", ("image", "real image"), _pixels(0.05, 0.25), ("pixel size",)),
    Class("non-square pixels, 5 to 20 %", ("image", "spots", "real image"), _one_axis, ("non-square pixels",)),
    Class("reciprocal pixel, 5 to 25 %", ("spots",), _both(PATTERN, 0.05, 0.25), ("reciprocal pixel size",)),
    Class("full angle for semi-angle", ("disk",), _replaced("convergence_semiangle", _twice), ("full angle for semi-angle",)),
    Class("degrees for radians", ("disk",), _replaced("convergence_semiangle", lambda value, _: math.degrees(value)), ("degrees for radians",)),
    Class("defocus sign", ("rings",), _replaced("C10", lambda value, _: -value), ("defocus sign",)),
    Class("defocus, 50 nm and more", ("rings",), _moved("C10", 500.0, 3000.0), ("defocus",)),
    Class("half a turn", ("scan",), _replaced("pattern_rotation", lambda value, _: value + math.pi), ("half turn",)),
    Class("scan rotation, 10 to 60 degrees", ("scan",), _moved("pattern_rotation", 0.17, 1.05), ("scan rotation",)),
    Class("rotation in degrees for radians", ("scan",), _replaced("pattern_rotation", lambda value, _: math.degrees(value)), ("degrees for radians",)),
    Class("energy offset, 10 eV and more", LOSSES, _moved("energy_offset", 10.0, 40.0), ("energy offset",)),
    Class("dispersion of another setting", ("zero loss and edges",), _other_setting, ("dispersion",)),
    Class("wrong kV with the dispersion at that", ("zero loss and edges",), _calibrated_tension, ("high tension",)),
    Class("exposure in ms for s, or s for ms", ("zero loss and edges",), _exposure, ("unit or prefix",)),
    Class("full angle for semi-angle of collection", ("zero loss and edges",), _replaced("collection_semiangle", _twice), ("full angle for semi-angle",)),
    Class("dispersion, 5 to 20 %", tuple(kind for kind in LOSSES if kind != "low loss"), _dispersion, ("dispersion", "energy offset", "binning")),
    Class("stale timestamp", ("log",), _shifted_time, ("stale timestamp",)),
    Class("temperature in another unit", ("log",), _replaced("temperature", lambda value, _: value - 273.15), ("Celsius for kelvin",)),
    Class("tilts swapped", ("log",), _exchanged("stage.alpha", "stage.beta"), ("axis swap",)),
    Class("tilt in degrees for radians", ("log",), _replaced("stage.alpha", lambda value, _: math.degrees(value)), ("degrees for radians",)),
    Class("position in another unit", ("log",), _powers(("stage.x", "stage.y"), (10.0, 0.1, 1000.0)), ("unit or prefix",)),
    Class("wrong kV", ("spots in angles", "log"), _replaced("high_tension", _other_tension), ("high tension",)),
    Class("semi-angle or pixel of a pattern, 5 to 25 %", ("disk",), _one("convergence_semiangle", 0.05, 0.25), ("semi-angle", "reciprocal pixel size")),
    Class("axis swap", ("stretched",), _swapped, ("axis swap",)),
    Class("wrong unit or prefix", ("image", "spots", "real image"), _powers((*IMAGE, *PATTERN), (10.0, 0.1)), ("unit or prefix",)),
    Class("pixel of another binning", ("image", "real image"), _powers(IMAGE, (2.0, 0.5, 4.0)), ("binning",)),
    Class("dwell time of another binning", ("image", "real scan"), _powers(("dwell",), (4.0, 0.125, 8.0)), ("dwell time", "binning")),
    Class("stale semi-angle after a mode change", ("session",), _replaced("convergence_semiangle", lambda value, _: value), ("stale value",), True, True),
    Class("zero of defocus moved", ("session", "repeated"), _moved("C10", 50.0, 10_000.0), ("defocus",), True),
    Class("stale camera length in an image", ("session",), _camera_length_in_image, ("stale value",), True, without="camera_length"),
    Class("wrong kV with the lenses of another", ("repeated",), _replaced("high_tension", _other_tension), ("high tension",), True),
    Class("negative semi-angle", ("image", "disk", "real scan"), _replaced("convergence_semiangle", lambda value, _: -value), ("",), True),
)  # fmt: skip
SMALL = (
    Class("pixel size, 1 %", ("image",), _pixels(0.01, 0.01 + 1e-12), ("pixel size",)),
    Class("reciprocal pixel, 1 %", ("spots",), _both(PATTERN, 0.01, 0.01 + 1e-12), ("reciprocal pixel size",)),
    Class("semi-angle, 1 %", ("disk",), _one("convergence_semiangle", 0.01, 0.01 + 1e-12), ("semi-angle",)),
)
