"""What may be known of a recording, for each kind of measurement: names, defaults, inside units and ranges. Nothing heavy is imported here.

Lengths in angstrom, angles in radian, energies in electronvolt, times in second, currents in ampere, errors as rms; shares (0.05 is 5 %). None: the
recording is to say, or nothing is known. Ranges are wider than anything that was built: outside, a number is of another unit or a slip.
"""

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

KEV, MRAD, NM, UM, MM, US, PA = 1e3, 1e-3, 10.0, 1e4, 1e7, 1e-6, 1e-12
"""Units of microscopists in inside units."""
Range = tuple[int | None, int | None] | slice
Frame = int | slice | str
Direction = str | Sequence[int]
"""Indices u, v, w, or the same as text: "0,0,1"."""


class Quantity(NamedTuple):
    """A number's inside ``unit``, and what ``subject`` has of it: ``low`` to ``high``; ``form``: one number, several, some by name, or one number or the
    text "free"."""

    unit: str = "1"
    low: float = -math.inf
    high: float = math.inf
    subject: str = ""
    form: Literal["number", "numbers", "mapping", "number or free"] = "number"


def number(default: Any, unit: str = "1", low: float = -math.inf, high: float = math.inf, subject: str = "") -> Any:
    """A field that holds a number."""
    return dataclasses.field(default=default, metadata={"quantity": Quantity(unit, low, high, subject)})


def numbers(default: Any, unit: str, low: float = -math.inf, high: float = math.inf, subject: str = "") -> Any:
    """A field that holds several numbers of one `Quantity`."""
    return dataclasses.field(default=default, metadata={"quantity": Quantity(unit, low, high, subject, "numbers")})


def number_or_free(default: Any, unit: str) -> Any:
    """A field that holds a number, or the text "free": it is to be measured too."""
    return dataclasses.field(default=default, metadata={"quantity": Quantity(unit, form="number or free")})


def by_name(unit: str) -> Any:
    """A field that holds numbers by name."""
    return dataclasses.field(default=None, metadata={"quantity": Quantity(unit, form="mapping")})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """What the counts are: ``black``, counts of a pixel or channel without a beam; ``gain``: counts per electron."""

    black: float | None = number(None, "count")
    gain: float | None = number(None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Counts):
    """Which part of the recording is measured. ``frame``: of a stack an index, a label, a range to sum (of a scan: to cut), or one of these for each
    stack axis; ``axes``: the order of the axes, rows and columns last; ``part``: rows and columns that are used, each (from, to); ``bin``: pixels along each
    side that are summed to one. Text is read as well: "1:3", "0:64,0:64".

    Images of all recorded rows and columns, as arrays: ``mask``, not zero where a pixel is left out; ``dark``, counts without a beam; ``flat``, of an even
    illumination. ``all_pixels``: do not look for hot and dead pixels, lines and blocks to leave out."""

    frame: Frame | Sequence[Frame] | None = None
    axes: str | Sequence[int] | None = None
    part: str | Sequence[Range] | None = None
    bin: int = 1
    mask: Any = None
    dark: Any = None
    flat: Any = None
    all_pixels: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crystal:
    """The crystal that is seen: ``structure`` ("SrTiO3", the path of a CIF, or a `twin.Sample`), the ``zone`` axis along the beam and the direction ``x``."""

    structure: Any = None
    zone: Direction | None = None
    x: Direction | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy:
    """``energy`` of the electrons in eV."""

    energy: float | None = number(None, "electronvolt", 1.0 * KEV, 2000.0 * KEV, "an electron microscope")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Semiangle:
    """Convergence ``semiangle`` in radian."""

    semiangle: float | None = number(None, "radian", 0.05 * MRAD, 500.0 * MRAD, "a convergence semi-angle")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagePixel:
    """Side of a recorded ``pixel`` in angstrom."""

    pixel: float | None = number(None, "angstrom", 1e-3, 1e5, "an image's pixel")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatternPixel:
    """Angle that a recorded ``pixel`` spans, in radian."""

    pixel: float | None = number(None, "radian", 1e-3 * MRAD, 50.0 * MRAD, "a camera's pixel")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """Distance of the probes of a scan, ``step`` in angstrom."""

    step: float | None = number(None, "angstrom", 1e-3, 1e5, "a scan's step")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FocalSpread:
    """``focal_spread`` rms in angstrom."""

    focal_spread: float = number(0.0, "angstrom", 0.0, 2000.0, "a focal spread")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spherical:
    """Spherical aberration C30, ``spherical`` in angstrom; 0 for a corrected lens."""

    spherical: float | None = number(None, "angstrom", -50.0 * MM, 50.0 * MM, "a lens")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Changes:
    """Known ``changes`` of C10 in angstrom of each recording, in their order (default: 0)."""

    changes: Sequence[float] | None = numbers(None, "angstrom")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lattice(Crystal, ImagePixel, Data):
    """Of an image of a known crystal: how well the pixel is known (``pixel_error``, share) and how far from square pixels may be (``skew``, share); ``mains``
    in hertz of scans whose lines wait for the mains, with the ``dwell`` time of a pixel in second."""

    pixel_error: float = number(0.1)
    skew: float = number(0.03)
    mains: float | None = number(None, "hertz", 10.0, 1000.0, "the mains")
    dwell: float | None = number(None, "second", 1e-3 * US, 1e6 * US, "a scan's pixel")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thon(ImagePixel, Energy, Spherical, FocalSpread, Data):
    """Of an image of an amorphous film: largest defocus and astigmatism that are looked for (``span``) and expected rms of either part of the ``astigmatism``,
    in angstrom; ``phase_shift`` of a phase plate in radian, or "free" to measure it; ``amplitude_contrast`` and its error as shares of the phase contrast."""

    span: float = number(1000.0 * NM, "angstrom", 1.0 * NM, 1e5 * NM, "a defocus")
    astigmatism: float = number(30.0 * NM, "angstrom")
    phase_shift: float | str = number_or_free(0.0, "radian")
    amplitude_contrast: float = number(0.05)
    amplitude_contrast_error: float = number(0.05)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Haadf(Crystal, ImagePixel, Energy, Semiangle, Spherical, Changes, Data):
    """Of HAADF images of a known crystal: ``detector`` angles (inner, outer) in radian; ``thickness`` and ``thickness_error`` in angstrom; ``dose`` in
    electrons per square angstrom or beam ``current`` in ampere; ``dwell`` and ``flyback`` in second; ``gain_error`` (share), ``black_error`` and ``readout``
    in counts; ``c10`` with ``c10_error``, rms ``astigmatism`` of either part of C12, rms ``source`` (known to 30 %)
    and ``focal_spread`` (to 20 %) in angstrom; ``semiangle_error`` (share); ``seed`` of the sampler."""

    detector: Sequence[float] | None = numbers(
        None, "radian", 1.0 * MRAD, 1000.0 * MRAD, "an annular detector's outer angle"
    )
    thickness: float | None = number(None, "angstrom", 0.1 * NM, 1000.0 * NM, "a specimen's thickness")
    thickness_error: float = number(0.5 * NM, "angstrom", 1e-3 * NM, 1000.0 * NM, "a specimen's thickness")
    dose: float | None = number(None)
    current: float | None = number(None, "ampere", 1e-3 * PA, 1e5 * PA, "a probe")
    dwell: float | None = number(None, "second", 1e-3 * US, 1e6 * US, "a scan's pixel")
    flyback: float = number(500.0 * US, "second")
    gain_error: float = number(0.05)
    black_error: float = number(5.0, "count")
    readout: float = number(0.0, "count")
    c10: float = number(0.0, "angstrom")
    c10_error: float = number(10.0 * NM, "angstrom")
    astigmatism: float = number(3.0 * NM, "angstrom")
    semiangle_error: float = number(0.01)
    focal_spread: float | None = number(None, "angstrom", 0.0, 2000.0, "a focal spread")
    source: float | None = number(None, "angstrom", 1e-3, 100.0, "a source's image")
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disk(PatternPixel, Energy, Semiangle, Data):
    """Of a pattern with a bright-field disk: errors (shares) of the ``semiangle`` and of the pixel's angle or the camera length; side of the camera's pixels
    (``detector_pixel``) and ``camera_length`` in angstrom."""

    semiangle_error: float = number(0.01)
    pixel_error: float = number(0.01)
    detector_pixel: float | None = number(None, "angstrom", 0.5 * UM, 1000.0 * UM, "a camera's pixel")
    camera_length: float | None = number(None, "angstrom", 2.0 * MM, 50_000.0 * MM, "a camera length")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotation(PatternPixel, Step, Energy, Data):
    """Of a 4D-STEM scan: angle ``dark_field`` in radian beyond which patterns make an image that is bright at atoms."""

    dark_field: float | None = number(None, "radian", 0.5 * MRAD, 500.0 * MRAD, "a dark field")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pacbed(Crystal, PatternPixel, Energy, Semiangle, Data):
    """Of a position-averaged pattern: ``rotation`` of the crystal's x from the camera's, towards +y, in radian; ``thickness`` (mean, error) and the largest
    that is tried (``thickest``) in angstrom; ``tilt`` (x, y) of the specimen in radian; ``precision``, the share that is half of a 90 % interval from which a
    thickness is open."""

    rotation: float = number(0.0, "radian")
    rotation_error: float = number(math.radians(1.0), "radian")
    thickness: Sequence[float] | None = numbers(None, "angstrom", 0.1 * NM, 1000.0 * NM, "a specimen's thickness")
    thickest: float = number(40.0 * NM, "angstrom", 0.1 * NM, 1000.0 * NM, "a specimen's thickness")
    tilt: Sequence[float] = numbers((0.0, 0.0), "radian")
    tilt_error: float = number(3.0 * MRAD, "radian", 1e-3 * MRAD, 200.0 * MRAD, "a specimen's tilt")
    precision: float = number(0.05)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film(PatternPixel, Step, Energy, Semiangle, FocalSpread, Changes, Data):
    """Of 4D-STEM scans of an amorphous film: ``electrons`` on a probe (default: what the camera saw); ``expected`` aberrations and their ``error`` (rms of a
    part) by name in angstrom, C12 without a part for both of its parts; ``thickness`` and ``thickness_error`` in angstrom; ``rotation`` of the scan's x from
    the camera's, towards +y, in radian (a few degrees more are found); ``repeats``: the film repeats with the scan, as simulated ones may."""

    electrons: float | None = number(None)
    expected: Mapping[str, float] | None = by_name("angstrom")
    error: Mapping[str, float] | None = by_name("angstrom")
    thickness: float = number(5.0 * NM, "angstrom", 0.1 * NM, 1000.0 * NM, "a specimen's thickness")
    thickness_error: float = number(2.0 * NM, "angstrom", 1e-3 * NM, 1000.0 * NM, "a specimen's thickness")
    rotation: float = number(0.0, "radian")
    repeats: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Eels(Energy, Semiangle, Counts):
    """Of energy-loss spectra: ``elements`` ("Ti,O", or a sequence; default: those that rises of the spectra speak for); the ``low_loss`` of the same
    place, as data or
    a Signal, and the ratio of the exposures of core and low loss (``exposure_ratio``; default: by their claims); ``collection`` semi-angle in radian;
    ``dispersion`` (a channel) and ``offset`` (of the first channel), and the ``range`` (from, to) that is used, in eV; ``mean_free_path`` for
    inelastic scattering in
    angstrom (default: by formula, of the elements); ``edge_energies``: onsets in eV that are known, {"Ti L": 456.0} or "Ti L=456,O K=532", by which the
    offset of the axis is measured; ``drift``: rms in eV by which the axis differs between spectra, each of which then has its own shift; ``map``: maps are
    part of `to_dict`."""

    elements: str | Sequence[str] | None = None
    low_loss: Any = None
    exposure_ratio: float | None = number(None, "1", 1e-6, 1e9, "a ratio of exposures")
    collection: float | None = number(None, "radian", 0.05 * MRAD, 500.0 * MRAD, "a collection semi-angle")
    dispersion: float | None = number(None, "electronvolt", -100.0, 100.0, "a spectrometer's channel")
    offset: float | None = number(None, "electronvolt", -1e4, 1e5, "an energy loss")
    range: Sequence[float] | None = numbers(None, "electronvolt", -1e4, 1e5, "an energy loss")
    mean_free_path: float | None = number(None, "angstrom", 1.0 * NM, 1e4 * NM, "a mean free path")
    edge_energies: str | Mapping[str, float] | None = None
    drift: float | None = number(None, "electronvolt", 1e-3, 100.0, "drift of an energy axis")
    map: bool = False


class Kind(NamedTuple):
    """A kind of measurement: what may be ``known``, the ``entry_point`` of its function, whether it takes ``several`` recordings, whether it measures all
    patterns of a ``scan``, so that ranges of ``frame`` cut the scan, and whether it measures ``spectra`` and not images."""

    known: type[Counts]
    entry_point: str
    several: bool = False
    scan: bool = False
    spectra: bool = False

    @property
    def function(self) -> Callable[..., Any]:
        """Takes the recording (or a tuple of several) and what is told of the progress; returns a `RecordedMeasurement`."""
        module, name = self.entry_point.split(":")
        return getattr(importlib.import_module(f"reconstruct.measurement.kinds.{module}"), name)


KINDS = {
    "lattice": Kind(Lattice, "images:lattice"),
    "thon": Kind(Thon, "images:thon"),
    "haadf": Kind(Haadf, "haadf:haadf", several=True),
    "disk": Kind(Disk, "patterns:disk"),
    "rotation": Kind(Rotation, "patterns:rotation", scan=True),
    "pacbed": Kind(Pacbed, "pacbed:thickness"),
    "film": Kind(Film, "film:film", several=True, scan=True),
    "eels": Kind(Eels, "eels:eels", spectra=True),
}


def quantities(known: type[Counts]) -> dict[str, Quantity]:
    """The numbers that a kind takes, by name."""
    return {
        field.name: field.metadata["quantity"] for field in dataclasses.fields(known) if "quantity" in field.metadata
    }
