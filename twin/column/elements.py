"""The elements of a column, in the order in which electrons pass them. Positions are heights along the beam in angstrom, the virtual source at 0.

A number is a constant with a prior: exact, or [value, standard deviation]. Everything is an assumption until it is calibrated.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

Number = float | Annotated[list[float], Meta(min_length=2, max_length=2)]
"""A constant: its value, or its value and the standard deviation of its prior."""


class Element(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """Anything in the column, by ``name``; ``place_mm`` in millimetres below the virtual source."""

    name: str
    place_mm: Number
    doc: str = ""


class Gun(Element, frozen=True, forbid_unknown_fields=True, tag="gun", kw_only=True):
    """The source as the first lens sees it.

    ``source_nm`` and ``energy_spread_ev`` are full widths at half maximum; ``brightness`` is reduced, in A / (m^2 sr V).
    """

    place_mm: Number = 0.0
    source_nm: Number
    brightness: Number
    energy_spread_ev: Number


class Lens(Element, frozen=True, forbid_unknown_fields=True, tag="lens", kw_only=True):
    """A round magnetic lens with a bell-shaped field that ends ``reach_mm`` from its middle.

    ``half_width_mm``, ``ampere_turns`` at excitation 1 and ``saturation`` (ampere-turns; 0: iron that does not saturate) as in `twin.lenses.RoundLens`.
    ``control`` names its excitation among the settings; a lens without one runs at ``fixed`` (constant power, or never touched). ``turned``: the beam
    is spread and focused with this lens (of several, with the most excited one).
    """

    half_width_mm: Number
    reach_mm: float
    ampere_turns: Number
    saturation: Number = 0.0
    remanence: Number = 0.0
    control: str = ""
    fixed: float = 0.0
    turned: bool = False


class Aperture(Element, frozen=True, forbid_unknown_fields=True, tag="aperture", kw_only=True):
    """A round hole; ``control`` names its diameter (angstrom) among the settings. One that is not set, or set to 0, is out."""

    control: str
    scale: Number = 1.0


class Deflector(Element, frozen=True, forbid_unknown_fields=True, tag="deflector", kw_only=True):
    """A stage of deflection: ``rad_per_unit`` of the settings ``controls`` (x, y), turned by ``azimuth_deg`` against the column's axes."""

    controls: tuple[str, str]
    rad_per_unit: Number
    azimuth_deg: Number = 0.0


class Stigmator(Element, frozen=True, forbid_unknown_fields=True, tag="stigmator", kw_only=True):
    """Two-fold astigmatism ``nm_per_unit`` (of C12) at the specimen or object for the settings ``controls`` (a, b), turned by ``azimuth_deg``."""

    controls: tuple[str, str]
    nm_per_unit: Number
    azimuth_deg: Number = 0.0


class Corrector(Element, frozen=True, forbid_unknown_fields=True, tag="corrector", kw_only=True):
    """An aberration corrector, described by its set values at the time of its last tableau; it does not change paraxial rays.

    Errors of a tableau (nm, rms) and the random walk (nm / sqrt(s)) from then on, by Krivanek name: `C12a` is one part, `C12` each of both. ``controls``
    give, by coefficient (`C12a`, `C30` ...), the settings that hold its set value in angstrom; a coefficient without one was set to 0.
    Without a tableau its residual aberrations are unknown (`twin.column.corrected`). ``side`` is the half of the objective that it corrects.
    """

    side: str
    after_tableau_nm: dict[str, float] = {}
    walk_nm: dict[str, float] = {}
    controls: dict[str, str] = {}


class Specimen(Element, frozen=True, forbid_unknown_fields=True, tag="specimen", kw_only=True):
    """The plane of the specimen. ``objective`` names the lens in whose field it stands."""

    objective: str


class Detector(Element, frozen=True, forbid_unknown_fields=True, tag="detector", kw_only=True):
    """A screen or camera; ``pixel_um`` of its pixels, 0 for none."""

    pixel_um: float = 0.0


AnyElement = Gun | Lens | Aperture | Deflector | Stigmator | Corrector | Specimen | Detector
