"""What is measured: one recording out of a file, with every number that is known of it and where it comes from.

A file is foreign until parsed (`instrument.readers`): its shape, its kind and its numbers are checked here, and what it does not say must be given by an
option. The file's own word is a claim; an option goes before it.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from instrument.readers import Axis, VendorSignal, read_vendor
from reconstruct.measure.preparation import Preparation, by, ordered
from scenarios.io.errors import BadInput
from scenarios.measure.data.checks import above, inside, within
from scenarios.measure.data.frames import order, preparation
from scenarios.measure.options import Data
from twin.optics.electrons import wavelength
from twin.units import symbol


class Setting(NamedTuple):
    """A number that the measurement rests on: ``value`` in ``unit`` (inside units; text has none), and where it comes ``from_``."""

    name: str
    value: float | str
    unit: str
    from_: str


@dataclasses.dataclass
class Given:
    """A ``signal`` of the file ``path``, ``how`` it is prepared as the ``data`` options say, and what was ``settled`` about it so far."""

    path: Path
    signal: VendorSignal
    data: Data = dataclasses.field(default_factory=Data)
    how: Preparation = dataclasses.field(default_factory=Preparation)
    settled: list[Setting] = dataclasses.field(default_factory=list)

    def settle(self, name: str, value: float | str, unit: str, from_: str) -> Any:
        """Keep a number that is used, and return it."""
        self.settled.append(Setting(name, value, unit, from_))
        return value

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns of what is measured: of the part that is used, in binned pixels."""
        found = []
        for columns, axis in enumerate(self.signal.axes[-2:]):
            size, scale, offset = self.how.axis(axis.size, axis.scale, axis.offset, bool(columns))
            found.append(msgspec.structs.replace(axis, size=size, scale=scale, offset=offset))
        return found[0], found[1]

    @property
    def steps(self) -> tuple[Axis, Axis]:
        """The scan's own axes (y, x): of those before the patterns' that --frame does not fix, the last two."""
        leading = self.signal.axes[:-2]
        places = (*self.how.frame, *[slice(None)] * (len(leading) - len(self.how.frame)))
        left = [axis for axis, place in zip(leading, places, strict=True) if isinstance(place, slice)]
        return left[-2], left[-1]

    def own(self, key: str) -> Any:
        """What emtwin's own file says under a dotted key of its provenance, or None."""
        return self.signal.raw.get(f"emtwin.{key}")

    def claim(self, name: str) -> float | None:
        """A number above zero that the file claims, in inside units, or None."""
        found = self.signal.claims.get(name)
        value = None if found is None else found.value
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        return float(value) if usable else None  # type: ignore[arg-type]

    def need(self, name: str, option: str, given: float | None, file: float | None) -> float:
        """``given`` (in the unit at the end of the option's name), or what the ``file`` says (inside units), in inside units; BadInput where neither does."""
        found = self.maybe(name, option, given, file)
        if found is None:
            raise BadInput(str(self.path), f"does not say its {name}", f"Add {option}.")
        return found

    def maybe(self, name: str, option: str, given: float | None, file: float | None) -> float | None:
        """As `need`, but None where neither says; a number of zero or below, or of another unit by its size, is refused."""
        unit, factor = inside(option)
        if given is not None:
            return self.settle(name, above(option, given) * factor, unit, option)
        return None if file is None else self.settle(name, file, unit, "the file")

    @property
    def energy(self) -> float | None:
        """eV, as the file claims it."""
        found = self.claim("high_tension")
        return found if found is not None and 1e3 <= found <= 2e6 else None

    def volts(self, asked: float | None) -> float:
        """The energy of the electrons in eV, by --energy-keV (``asked``) or the file; BadInput where neither says."""
        return self.need("energy of the electrons", "--energy-keV", asked, self.energy)

    def semiangle(self, asked: float | None) -> float:
        """The convergence semi-angle in radian, by --semiangle-mrad (``asked``) or the file; BadInput where neither says."""
        return self.need("convergence semi-angle", "--semiangle-mrad", asked, self.claim("convergence_semiangle"))


def open_file(path: Path, data: Data = Data(), scan: bool = False) -> Given:
    """The image or stack of images in a file, as the options say; BadInput if there is none, or several and --signal does not say which.

    ``scan``: all patterns of a scan are measured, and ranges of --frame cut it.
    """
    found = read_vendor(path)
    images = [one for one in found if one.kind in ("image", "image-stack") and one.data.ndim >= 2]
    if not images:
        kinds = ", ".join(dict.fromkeys(f"{one.kind} of {by(one.data.shape)} values" for one in found))
        raise BadInput(str(path), f"holds no image ({kinds})", "Give a file of images or diffraction patterns.")
    titles = ", ".join(f"{number} {one.title!r} {by(one.data.shape)}" for number, one in enumerate(images[:12]))
    if data.signal is None and len(images) > 1:
        raise BadInput(str(path), f"holds {len(images)} signals: {titles}", "Choose one with --signal NUMBER or TITLE.")
    chosen = images[0]
    if data.signal is not None:
        named = [one for number, one in enumerate(images) if data.signal in (one.title, str(number))]
        if not named:
            raise BadInput(f"--signal {data.signal}", f"is none of {path}, which has {titles}", "Choose one of them.")
        chosen = named[0]
    if np.iscomplexobj(chosen.data):
        cure = "Give intensities, in counts or electrons: of a wave, its squared modulus."
        raise BadInput(str(path), "holds complex numbers, a wave", cure)
    if chosen.data.dtype.kind == "b":
        raise BadInput(str(path), "holds a mask of true and false", "Give intensities, in counts or electrons.")
    axes = order(data.axes, chosen)
    if axes:
        values, numbered = ordered(chosen.data, axes), tuple(chosen.axes[place] for place in axes)
        chosen = msgspec.structs.replace(chosen, data=values, axes=numbered)
    return Given(path, chosen, data, preparation(chosen, data, scan))


def sides(given: Given, asked: float | None) -> tuple[float, float]:
    """Sides (x, y) in angstrom of the pixels of what is measured; BadInput if neither the file nor --pixel-angstrom says, or the file is of a pattern."""
    y, x = given.axes
    if x.unit in ("radian", "1/angstrom"):
        raise BadInput(str(given.path), f"is a diffraction pattern, with axes in {symbol(x.unit)}", "Give an image.")
    known = claimed_sides(given)
    if asked is not None:
        side = above("--pixel-angstrom", asked) * given.how.bin
        given.settle("pixel", side, "angstrom", "--pixel-angstrom")
        return side, side
    if known is None:
        wrote = ", ".join(dict.fromkeys(one.claimed_unit for one in (y, x) if one.claimed_unit))
        why = f" (its axes are in {wrote!r}, which is no length)" if wrote else ""
        raise BadInput(str(given.path), f"does not say how large its pixels are{why}", "Add --pixel-angstrom.")
    within("--pixel-angstrom", math.sqrt(known[0] * known[1]))
    given.settle("pixel", math.sqrt(x.scale * y.scale), "angstrom", "the file")
    return known


def square(given: Given, asked: float | None, within: float) -> float:
    """Side of an image's square pixels in angstrom; BadInput as `sides`, and where the sides differ by more than the share ``within``."""
    x, y = sides(given, asked)
    if abs(x - y) > within * min(x, y):
        problem = f"has pixels of {x:g} x {y:g} angstrom, which are not square"
        raise BadInput(str(given.path), problem, "Resample it, or add --pixel-angstrom if the file is wrong.")
    return math.sqrt(x * y)


def claimed_sides(given: Given) -> tuple[float, float] | None:
    """Sides (x, y) of an image's pixels as the file claims them, in angstrom, or None."""
    y, x = given.axes
    known = x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0
    return (x.scale, y.scale) if known else None


def pixel_angle(given: Given, asked: float | None, energy: float | None) -> float | None:
    """Angle that a pixel of a pattern spans, in radian, by --pixel-mrad or the file's axes (angles, or 1/length with an energy); None where neither says."""
    y, x = given.axes
    file = None
    if x.unit == y.unit and x.scale > 0 and y.scale > 0:
        if x.unit == "radian":
            file = math.sqrt(x.scale * y.scale)
        elif x.unit == "1/angstrom" and energy is not None:
            file = math.sqrt(x.scale * y.scale) * wavelength(energy)
        if file is not None and asked is None and abs(x.scale - y.scale) > 0.01 * min(x.scale, y.scale):
            raise BadInput(str(given.path), "has pixels that are not square", "Resample it, or add --pixel-mrad.")
    if asked is not None:
        return given.settle(
            "angle of a pixel", above("--pixel-mrad", asked) * 1e-3 * given.how.bin, "radian", "--pixel-mrad"
        )
    return given.maybe("angle of a pixel", "--pixel-mrad", None, file)


def pattern_pixel(given: Given, asked: float | None, energy: float | None) -> float:
    """As `pixel_angle`; BadInput where neither says."""
    found = pixel_angle(given, asked, energy)
    if found is None:
        lengths = given.axes[1].unit == "1/angstrom"
        cure = "Add --energy-keV, since its axes are in 1/length, or --pixel-mrad." if lengths else "Add --pixel-mrad."
        raise BadInput(str(given.path), "does not say its angle of a pixel", cure)
    return found


def probe_step(given: Given, asked: float | None) -> float:
    """Distance of a scan's probes in angstrom, by --step-angstrom or the file; BadInput where neither says, or the file's steps are not square."""
    file = None
    if asked is None:
        y, x = given.steps
        if x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0:
            file = math.sqrt(y.scale * x.scale)
        check_square(given)
    return given.need("distance of the probes", "--step-angstrom", asked, file)


def check_square(given: Given) -> None:
    """BadInput where a scan's steps along y and x differ by more than a hundredth."""
    y, x = given.steps
    if abs(abs(y.scale) - abs(x.scale)) > 0.01 * abs(x.scale):
        unit = f" {symbol(x.unit)}" if x.unit else ""
        problem = f"is scanned with steps of {x.scale:g} x {y.scale:g}{unit}, which are not square"
        raise BadInput(
            str(given.path), problem, "Add --step-angstrom if the file is wrong, or give a scan with steps alike."
        )


def counted(given: Given) -> bool:
    """Whether electrons are known of what is measured: the file holds them, or --gain was given."""
    return given.data.gain is not None or given.signal.raw.get("unit") == "electrons"


def triple(option: str, text: str) -> tuple[int, int, int]:
    """Three whole numbers, "0,0,1"; BadInput otherwise."""
    try:
        numbers = tuple(int(word) for word in text.replace(" ", ",").split(",") if word)
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or not any(numbers):
        raise BadInput(f"{option} {text}", "is no direction u,v,w of a crystal", f"Give {option} 0,0,1 or the like.")
    return numbers[0], numbers[1], numbers[2]
