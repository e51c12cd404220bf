"""What is measured: one recording out of a file, with every number that is known of it and where it comes from.

A file is foreign until parsed (`instrument.readers`): its shape, its kind and its numbers are checked here, and what it does not say must be given by an
option. What the file states is a claim; an option overrides it.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from instrument.readers import Axis, VendorSignal, read_vendor
from reconstruct.measure.preparation import Preparation, reorder_axes, shape_text
from scenarios.io.errors import BadInput
from scenarios.measure.data.checks import in_range, option_unit, positive
from scenarios.measure.data.frames import axis_order, preparation_from_options
from scenarios.measure.options import Data
from twin.optics.electrons import wavelength
from twin.units import symbol


class Setting(NamedTuple):
    """A number that the measurement rests on: ``value`` in ``unit`` (inside units; text has none), and its ``source``."""

    name: str
    value: float | str
    unit: str
    source: str


@dataclasses.dataclass
class Recording:
    """A ``signal`` of the file ``path``, its ``preparation`` by the ``data`` options, and the ``settings`` used so far."""

    path: Path
    signal: VendorSignal
    data: Data = dataclasses.field(default_factory=Data)
    preparation: Preparation = dataclasses.field(default_factory=Preparation)
    settings: list[Setting] = dataclasses.field(default_factory=list)

    def add_setting(self, name: str, value: float | str, unit: str, source: str) -> Any:
        """Record a number that is used, and return it."""
        self.settings.append(Setting(name, value, unit, source))
        return value

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns of what is measured: of the part that is used, in binned pixels."""
        axes = []
        for columns, axis in enumerate(self.signal.axes[-2:]):
            size, scale, offset = self.preparation.axis(axis.size, axis.scale, axis.offset, bool(columns))
            axes.append(msgspec.structs.replace(axis, size=size, scale=scale, offset=offset))
        return axes[0], axes[1]

    @property
    def steps(self) -> tuple[Axis, Axis]:
        """The scan's own axes (y, x): of those before the patterns' that --frame does not fix, the last two."""
        leading = self.signal.axes[:-2]
        selections = (*self.preparation.frame, *[slice(None)] * (len(leading) - len(self.preparation.frame)))
        varying = [axis for axis, selection in zip(leading, selections, strict=True) if isinstance(selection, slice)]
        return varying[-2], varying[-1]

    def provenance(self, key: str) -> Any:
        """What emtwin's own file says under a dotted key of its provenance, or None."""
        return self.signal.raw.get(f"emtwin.{key}")

    def claim(self, name: str) -> float | None:
        """A number above zero that the file claims, in inside units, or None."""
        claimed = self.signal.claims.get(name)
        value = None if claimed is None else claimed.value
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        return float(value) if usable else None  # type: ignore[arg-type]

    def require(self, name: str, option: str, option_value: float | None, file_value: float | None) -> float:
        """``option_value`` (in the unit at the end of the option's name), or ``file_value`` (inside units), in inside units; BadInput where neither does."""
        value = self.optional(name, option, option_value, file_value)
        if value is None:
            raise BadInput(str(self.path), f"does not say its {name}", f"Add {option}.")
        return value

    def optional(self, name: str, option: str, option_value: float | None, file_value: float | None) -> float | None:
        """As `require`, but None where neither says; a number of zero or below, or of another unit by its size, is refused."""
        unit, factor = option_unit(option)
        if option_value is not None:
            return self.add_setting(name, positive(option, option_value) * factor, unit, option)
        return None if file_value is None else self.add_setting(name, file_value, unit, "the file")

    @property
    def energy(self) -> float | None:
        """eV, as the file claims it."""
        energy = self.claim("high_tension")
        return energy if energy is not None and 1e3 <= energy <= 2e6 else None

    def beam_energy(self, option_value: float | None) -> float:
        """The energy of the electrons in eV, by --energy-keV (``option_value``) or the file; BadInput where neither says."""
        return self.require("energy of the electrons", "--energy-keV", option_value, self.energy)

    def semiangle(self, option_value: float | None) -> float:
        """The convergence semi-angle in radian, by --semiangle-mrad (``option_value``) or the file; BadInput where neither says."""
        return self.require(
            "convergence semi-angle", "--semiangle-mrad", option_value, self.claim("convergence_semiangle")
        )


def open_file(path: Path, data: Data = Data(), scan: bool = False) -> Recording:
    """The image or stack of images in a file, as the options say; BadInput if there is none, or several and --signal does not say which.

    ``scan``: all patterns of a scan are measured, and ranges of --frame cut it.
    """
    signals = read_vendor(path)
    images = [signal for signal in signals if signal.kind in ("image", "image-stack") and signal.data.ndim >= 2]
    if not images:
        kinds = ", ".join(
            dict.fromkeys(f"{signal.kind} of {shape_text(signal.data.shape)} values" for signal in signals)
        )
        raise BadInput(str(path), f"holds no image ({kinds})", "Give a file of images or diffraction patterns.")
    titles = ", ".join(
        f"{number} {signal.title!r} {shape_text(signal.data.shape)}" for number, signal in enumerate(images[:12])
    )
    if data.signal is None and len(images) > 1:
        raise BadInput(str(path), f"holds {len(images)} signals: {titles}", "Choose one with --signal NUMBER or TITLE.")
    chosen = images[0]
    if data.signal is not None:
        named = [signal for number, signal in enumerate(images) if data.signal in (signal.title, str(number))]
        if not named:
            raise BadInput(f"--signal {data.signal}", f"is none of {path}, which has {titles}", "Choose one of them.")
        chosen = named[0]
    if np.iscomplexobj(chosen.data):
        cure = "Give intensities, in counts or electrons: of a wave, its squared modulus."
        raise BadInput(str(path), "holds complex numbers, a wave", cure)
    if chosen.data.dtype.kind == "b":
        raise BadInput(str(path), "holds a mask of true and false", "Give intensities, in counts or electrons.")
    axes = axis_order(data.axes, chosen)
    if axes:
        values, ordered_axes = reorder_axes(chosen.data, axes), tuple(chosen.axes[index] for index in axes)
        chosen = msgspec.structs.replace(chosen, data=values, axes=ordered_axes)
    return Recording(path, chosen, data, preparation_from_options(chosen, data, scan))


def pixel_sides(recording: Recording, option_value: float | None) -> tuple[float, float]:
    """Sides (x, y) in angstrom of the pixels of what is measured; BadInput if neither the file nor --pixel-angstrom says, or the file is of a pattern."""
    y, x = recording.axes
    if x.unit in ("radian", "1/angstrom"):
        raise BadInput(
            str(recording.path), f"is a diffraction pattern, with axes in {symbol(x.unit)}", "Give an image."
        )
    known = claimed_sides(recording)
    if option_value is not None:
        side = positive("--pixel-angstrom", option_value) * recording.preparation.bin
        recording.add_setting("pixel", side, "angstrom", "--pixel-angstrom")
        return side, side
    if known is None:
        units = ", ".join(dict.fromkeys(axis.claimed_unit for axis in (y, x) if axis.claimed_unit))
        detail = f" (its axes are in {units!r}, which is no length)" if units else ""
        raise BadInput(str(recording.path), f"does not say how large its pixels are{detail}", "Add --pixel-angstrom.")
    in_range("--pixel-angstrom", math.sqrt(known[0] * known[1]))
    recording.add_setting("pixel", math.sqrt(x.scale * y.scale), "angstrom", "the file")
    return known


def square_pixel(recording: Recording, option_value: float | None, tolerance: float) -> float:
    """Side of an image's square pixels in angstrom; BadInput as `pixel_sides`, and where the sides differ by more than the share ``tolerance``."""
    x, y = pixel_sides(recording, option_value)
    if abs(x - y) > tolerance * min(x, y):
        problem = f"has pixels of {x:g} x {y:g} angstrom, which are not square"
        raise BadInput(str(recording.path), problem, "Resample it, or add --pixel-angstrom if the file is wrong.")
    return math.sqrt(x * y)


def claimed_sides(recording: Recording) -> tuple[float, float] | None:
    """Sides (x, y) of an image's pixels as the file claims them, in angstrom, or None."""
    y, x = recording.axes
    known = x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0
    return (x.scale, y.scale) if known else None


def pixel_angle(recording: Recording, option_value: float | None, energy: float | None) -> float | None:
    """Angle that a pixel of a pattern spans, in radian, by --pixel-mrad or the file's axes (angles, or 1/length with an energy); None where neither says."""
    y, x = recording.axes
    file_value = None
    if x.unit == y.unit and x.scale > 0 and y.scale > 0:
        if x.unit == "radian":
            file_value = math.sqrt(x.scale * y.scale)
        elif x.unit == "1/angstrom" and energy is not None:
            file_value = math.sqrt(x.scale * y.scale) * wavelength(energy)
        if file_value is not None and option_value is None and abs(x.scale - y.scale) > 0.01 * min(x.scale, y.scale):
            raise BadInput(str(recording.path), "has pixels that are not square", "Resample it, or add --pixel-mrad.")
    if option_value is not None:
        return recording.add_setting(
            "angle of a pixel",
            positive("--pixel-mrad", option_value) * 1e-3 * recording.preparation.bin,
            "radian",
            "--pixel-mrad",
        )
    return recording.optional("angle of a pixel", "--pixel-mrad", None, file_value)


def pattern_pixel(recording: Recording, option_value: float | None, energy: float | None) -> float:
    """As `pixel_angle`; BadInput where neither says."""
    angle = pixel_angle(recording, option_value, energy)
    if angle is None:
        lengths = recording.axes[1].unit == "1/angstrom"
        cure = "Add --energy-keV, since its axes are in 1/length, or --pixel-mrad." if lengths else "Add --pixel-mrad."
        raise BadInput(str(recording.path), "does not say its angle of a pixel", cure)
    return angle


def probe_step(recording: Recording, option_value: float | None) -> float:
    """Distance of a scan's probes in angstrom, by --step-angstrom or the file; BadInput where neither says, or the file's steps are not square."""
    file_value = None
    if option_value is None:
        y, x = recording.steps
        if x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0:
            file_value = math.sqrt(y.scale * x.scale)
        check_square(recording)
    return recording.require("distance of the probes", "--step-angstrom", option_value, file_value)


def check_square(recording: Recording) -> None:
    """BadInput where a scan's steps along y and x differ by more than a hundredth."""
    y, x = recording.steps
    if abs(abs(y.scale) - abs(x.scale)) > 0.01 * abs(x.scale):
        unit = f" {symbol(x.unit)}" if x.unit else ""
        problem = f"is scanned with steps of {x.scale:g} x {y.scale:g}{unit}, which are not square"
        raise BadInput(
            str(recording.path), problem, "Add --step-angstrom if the file is wrong, or give a scan with steps alike."
        )


def has_electrons(recording: Recording) -> bool:
    """Whether electrons are known of what is measured: the file holds them, or --gain was given."""
    return recording.data.gain is not None or recording.signal.raw.get("unit") == "electrons"


def parse_triple(option: str, text: str) -> tuple[int, int, int]:
    """Three whole numbers, "0,0,1"; BadInput otherwise."""
    try:
        numbers = tuple(int(word) for word in text.replace(" ", ",").split(",") if word)
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or not any(numbers):
        raise BadInput(f"{option} {text}", "is no direction u,v,w of a crystal", f"Give {option} 0,0,1 or the like.")
    return numbers[0], numbers[1], numbers[2]
