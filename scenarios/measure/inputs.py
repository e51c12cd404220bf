"""What is measured: one recording out of a file, with every number that is known of it and where it comes from.

A file is foreign until parsed (`instrument.vendor`): its shape, its kind and its numbers are checked here, and what it does not say must be given by an
option. The file's own word is a claim; an option goes before it.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instrument.vendor import VendorSignal, read_vendor
from scenarios.errors import BadInput
from twin.optics.electrons import wavelength


class Setting(NamedTuple):
    """A number that the measurement rests on: ``value`` in ``unit`` (inside units; text has none), and where it comes ``from_``."""

    name: str
    value: float | str
    unit: str
    from_: str


@dataclasses.dataclass
class Given:
    """A ``signal`` of the file ``path``, what was ``settled`` about it so far, and which of its recordings is used (``frame``, as the user gave it)."""

    path: Path
    signal: VendorSignal
    frame: str | None = None
    settled: list[Setting] = dataclasses.field(default_factory=list)

    def settle(self, name: str, value: float | str, unit: str, from_: str) -> Any:
        """Keep a number that is used, and return it."""
        self.settled.append(Setting(name, value, unit, from_))
        return value

    def own(self, key: str) -> Any:
        """What emtwin's own file says under a dotted key of its provenance, or None."""
        return self.signal.raw.get(f"emtwin.{key}")

    def claim(self, name: str) -> float | None:
        """A number above zero that the file claims, in inside units, or None."""
        found = self.signal.claims.get(name)
        value = None if found is None else found.value
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        return float(value) if usable else None  # type: ignore[arg-type]

    def need(self, name: str, option: str, given: float | None, file: float | None, unit: str, factor: float) -> float:
        """``given`` (in the option's own unit, ``factor`` inside units), or what the ``file`` says (inside units); BadInput where neither does."""
        found = self.maybe(name, option, given, file, unit, factor)
        if found is None:
            raise BadInput(str(self.path), f"does not say its {name}", f"Add {option}.")
        return found

    def maybe(
        self, name: str, option: str, given: float | None, file: float | None, unit: str, factor: float
    ) -> float | None:
        """As `need`, but None where neither says; a number of zero or below is refused."""
        if given is not None:
            above(option, given)
            return self.settle(name, given * factor, unit, option)
        return None if file is None else self.settle(name, file, unit, "the file")

    @property
    def energy(self) -> float | None:
        """eV, as the file claims it."""
        found = self.claim("high_tension")
        return found if found is not None and 1e3 <= found <= 2e6 else None


def above(option: str, value: float, zero: bool = False) -> float:
    """BadInput unless an option's number is finite and above zero (or zero, where that makes sense)."""
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise BadInput(f"{option} {value:g}", "is no number above zero", f"Give {option} a number above 0.")
    return value


def finite(option: str, value: float) -> float:
    """BadInput unless an option's number is finite."""
    if not math.isfinite(value):
        raise BadInput(f"{option} {value:g}", "is not a finite number", f"Give {option} a finite number.")
    return value


def by(shape: tuple[int, ...]) -> str:
    """A shape in words."""
    return " x ".join(str(one) for one in shape)


def open_file(path: Path, signal: str | None = None, frame: str | None = None) -> Given:
    """The image or stack of images in a file; BadInput if there is none, or several and ``signal`` (a title or a number) does not say which."""
    found = read_vendor(path)
    images = [one for one in found if one.kind in ("image", "image-stack") and one.data.ndim >= 2]
    if not images:
        kinds = ", ".join(dict.fromkeys(one.kind for one in found))
        raise BadInput(str(path), f"holds no image ({kinds})", "Give a file of images or diffraction patterns.")
    titles = ", ".join(f"{number} {one.title!r} {by(one.data.shape)}" for number, one in enumerate(images[:12]))
    if signal is None and len(images) > 1:
        raise BadInput(str(path), f"holds {len(images)} signals: {titles}", "Choose one with --signal NUMBER or TITLE.")
    chosen = images[0]
    if signal is not None:
        named = [one for number, one in enumerate(images) if signal in (one.title, str(number))]
        if not named:
            raise BadInput(f"--signal {signal}", f"is none of {path}, which has {titles}", "Choose one of them.")
        chosen = named[0]
    if np.iscomplexobj(chosen.data):
        raise BadInput(str(path), "holds complex numbers, a wave", "Give intensities, in counts or electrons.")
    if chosen.data.dtype.kind == "b":
        raise BadInput(str(path), "holds a mask of true and false", "Give intensities, in counts or electrons.")
    return Given(path, chosen, frame)


def sides(given: Given, option: str, asked: float | None) -> tuple[float, float]:
    """Sides (x, y) of an image's pixels in angstrom; BadInput if neither the file nor the ``option`` says, or the file is of a pattern."""
    y, x = given.signal.axes[-2:]
    if x.unit in ("radian", "1/angstrom"):
        raise BadInput(str(given.path), f"is a diffraction pattern, with axes in {x.unit}", "Give an image.")
    known = x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0
    if asked is not None:
        above(option, asked)
        given.settle("pixel", asked, "angstrom", option)
        return asked, asked
    if not known:
        raise BadInput(str(given.path), "does not say how large its pixels are", f"Add {option}.")
    given.settle("pixel", math.sqrt(x.scale * y.scale), "angstrom", "the file")
    return x.scale, y.scale


def square(given: Given, option: str, asked: float | None, within: float) -> float:
    """Side of an image's square pixels in angstrom; BadInput as `sides`, and where the sides differ by more than the share ``within``."""
    x, y = sides(given, option, asked)
    if abs(x - y) > within * min(x, y):
        problem = f"has pixels of {x:g} x {y:g} angstrom, which are not square"
        raise BadInput(str(given.path), problem, f"Resample it, or add {option} if the file is wrong.")
    return math.sqrt(x * y)


def claimed_sides(given: Given) -> tuple[float, float] | None:
    """Sides (x, y) of an image's pixels as the file claims them, in angstrom, or None."""
    y, x = given.signal.axes[-2:]
    known = x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0
    return (x.scale, y.scale) if known else None


def pixel_angle(given: Given, asked: float | None, energy: float | None, required: bool) -> float | None:
    """Angle that a pixel of a pattern spans, in radian: --pixel-mrad or the file's axes (angles, or 1/length with an energy)."""
    y, x = given.signal.axes[-2:]
    file = None
    if x.unit == y.unit and x.scale > 0 and y.scale > 0:
        if x.unit == "radian":
            file = math.sqrt(x.scale * y.scale)
        elif x.unit == "1/angstrom" and energy is not None:
            file = math.sqrt(x.scale * y.scale) * wavelength(energy)
        if file is not None and asked is None and abs(x.scale - y.scale) > 0.01 * min(x.scale, y.scale):
            raise BadInput(str(given.path), "has pixels that are not square", "Resample it, or add --pixel-mrad.")
    find = given.need if required else given.maybe
    return find("angle of a pixel", "--pixel-mrad", asked, file, "radian", 1e-3)


def electrons(given: Given, data: np.ndarray, gain: float | None, black: float = 0.0) -> np.ndarray:
    """Counts as electrons; BadInput if the file does not say that it holds electrons, and --gain does not say how many counts one makes."""
    finite("--black", black)
    unit = given.signal.raw.get("unit")
    if gain is None and unit != "electrons":
        share = unit in ("fraction of the beam", "1")
        problem = (
            "holds shares of the beam without counting noise" if share else "does not say how many counts an electron makes"
        )  # fmt: skip
        cure = "Simulate it with a [dose]." if share else "Add --gain, counts per electron (1 for a counting camera)."
        raise BadInput(str(given.path), problem, cure)
    used = 1.0 if gain is None else above("--gain", gain)
    given.settle("counts per electron", used, "1", "the file" if gain is None else "--gain")
    if black:
        given.settle("counts without a beam", black, "count", "--black")
    return (data - black) / used


def counted(given: Given, gain: float | None) -> bool:
    """Whether electrons are known of what is measured: the file holds them, or --gain was given."""
    return gain is not None or given.signal.raw.get("unit") == "electrons"


def triple(option: str, text: str) -> tuple[int, int, int]:
    """Three whole numbers, "0,0,1"; BadInput otherwise."""
    try:
        numbers = tuple(int(word) for word in text.replace(" ", ",").split(",") if word)
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or not any(numbers):
        raise BadInput(f"{option} {text}", "is no direction u,v,w of a crystal", f"Give {option} 0,0,1 or the like.")
    return numbers[0], numbers[1], numbers[2]


def pair(option: str, text: str) -> tuple[float, float]:
    """Two numbers, "70,140"; BadInput otherwise."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 2 or not all(math.isfinite(one) for one in numbers):
        raise BadInput(f"{option} {text}", "is no pair of numbers", f"Give {option} two numbers with a comma between.")
    return numbers[0], numbers[1]
