"""Tables of a question on what is asked, with which instrument, what is not known and what must not be exceeded."""

from typing import Annotated, Literal

from msgspec import Meta

from twin.simulation.plan.keys import RAD, RADIUS, key
from twin.simulation.plan.tables import EV, Lean, NotNegative, Plan, Positive, Spread, Width

Probability = Annotated[float, Meta(gt=0, lt=1)]
Semiangle = Annotated[float, Meta(ge=1, le=60)]
Ring = Annotated[float, Meta(ge=0, le=300)]
Sectors = Annotated[int, Meta(ge=2, le=16)]
Depth = Annotated[float, Meta(ge=0, le=1e5)] | Literal["unknown"]


Layer = Annotated[float, Meta(ge=0, le=200)]
Technique = Literal["annular", "dpc", "4d-stem", "hrtem", "cbed", "eels"]


class DefectPlan(Plan, frozen=True):
    """The change that is looked for."""

    kind: Annotated[
        Literal["substitution", "vacancy", "interstitial", "adatom", "antisite", "displacement", "column"],
        key("", "what is changed: one atom, or a whole displaced column"),
    ]
    element: Annotated[str | None, key("", "element of the atom that is changed", default="none: an atom comes")] = None
    by: Annotated[str | None, key("", "element that comes instead, or in between", default="none")] = None
    column: Annotated[int, key("", "which column of that element in the cell, from 0 on", ge=0, le=10_000)] = 0
    depth: Annotated[Depth, key("angstrom", 'depth below the entrance face, or "unknown"')] = "unknown"
    position: Annotated[
        tuple[float, float] | None,
        key("", "place (x, y) of an atom that comes, in shares of the orthogonal cell", default="none"),
    ] = None
    shift: Annotated[
        tuple[float, float, float], key("angstrom", "displacement (x, y, z) of a displaced atom or column")
    ] = (0.0, 0.0, 0.0)


class QuantityPlan(Plan, frozen=True):
    """The quantity that is measured."""

    kind: Annotated[
        Literal[
            "thickness", "tilt", "position", "occupancy", "composition", "strain", "defocus", "aberration", "t_over_lambda", "edge_shift",
            "energy_offset", "map",
        ],
        key("", 'what is measured: of the specimen, of one column, of the lens, or of an energy-loss spectrum; "map": what name says, of every pixel'),
    ]  # fmt: skip
    element: Annotated[
        str | None, key("", "element of the column, or of the sites that are shared", default="none")
    ] = None
    by: Annotated[str | None, key("", "element whose share of the sites is measured", default="none")] = None
    column: Annotated[
        Annotated[int, Meta(ge=0, le=10_000)] | None,
        key("", "which column of that element in the cell, from 0 on", default="all, for a composition"),
    ] = None
    axis: Annotated[Literal["x", "y"], key("", "direction of a tilt, position or strain")] = "x"
    over: Annotated[
        str | None,
        key("", "element whose atoms those of the other are compared with: their ratio, by EELS", default="none"),
    ] = None
    edge: Annotated[str | None, key("", 'edge whose shift is measured, as in "Ti L"', default="none")] = None
    name: Annotated[
        str | None,
        key(
            "",
            'name of an aberration, as in "C21a"; of what is mapped, as in "Ti L", "t/lambda", "plasmon energy", "450-470 eV", "20-60 mrad"',
            default="none",
        ),
    ] = None


class TolerancePlan(Plan, frozen=True):
    """How far from zero an aberration may be after it was corrected ("tune")."""

    C10: Annotated[Positive | None, key("angstrom", "of C10, minus the defocus", default="not corrected")] = None
    C12a: Annotated[Positive | None, key("angstrom", "of the twofold astigmatism", default="not corrected")] = None
    C12b: Annotated[Positive | None, key("angstrom", "of the twofold astigmatism", default="not corrected")] = None


class AskedPlan(Plan, frozen=True):
    """What would answer the question."""

    power: Annotated[
        Probability, key("", "probability that the change is detected where it is there, and that tolerances hold")
    ] = 0.95
    false_alarms: Annotated[Probability, key("", "probability of a false alarm over all places that are tested")] = 0.01
    error: Annotated[Probability, key("", "probability of a wrong decision between structures")] = 0.01
    where: Annotated[Literal["known", "anywhere"], key("", "at a known column, or at any like column of the field")] = (
        "known"
    )
    field: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=60)], Annotated[int, Meta(ge=1, le=60)]] | None,
        key(
            "",
            'orthogonal cells (x, y) in which emtwin acquire looks for changes ("detect")',
            default="compute.cells each",
        ),
    ] = None
    std: Annotated[
        Positive | None,
        key(
            "",
            'standard deviation ("measure", "map"): angstrom for lengths and aberrations, mrad for angles, eV for energies, else a share; of mapped counts '
            "of the map's mean",
            default="none",
        ),
    ] = None
    everywhere: Annotated[
        bool,
        key(
            "", 'whether every pixel of a map is to be known so well, instead of the root mean square over all ("map")'
        ),
    ] = False
    references: Annotated[
        bool, key("", "whether the other columns of the field, recorded alike, are compared with")
    ] = True


class InstrumentPlan(Plan, frozen=True):
    """What the microscope has."""

    energy_keV: Annotated[float, key("keV", "electron energy", ge=20, le=1500, mistaken=EV)] = 200.0
    energies_keV: Annotated[
        list[Annotated[float, Meta(ge=20, le=1500)]],
        key("keV", "electron energies that are weighed", default="energy_keV", max_length=6, mistaken=EV),
    ] = []
    techniques: Annotated[list[Technique], key("", "what it can record", default="everything", max_length=12)] = []
    mode: Annotated[Literal["stem", "tem"], key("", "mode that it is in")] = "stem"
    mode_change: Annotated[NotNegative, key("second", "time to change between STEM and TEM")] = 300.0
    price_per_hour: Annotated[Positive | None, key("", "price of an hour, in any currency", default="none")] = None
    semiangle_mrad: Annotated[
        float, key("mrad", "convergence semi-angle of the probe", ge=1, le=60, mistaken=RADIUS)
    ] = 21.4
    defocus: Annotated[float, key("angstrom", "defocus = -C10: positive is underfocus", ge=-1e4, le=1e4)] = 0.0
    source: Annotated[Spread, key("angstrom", "size of the source's image at the specimen, rms along one axis")] = 0.35
    current_pA: Annotated[Positive, key("pA", "probe current")] = 30.0
    dwell_least: Annotated[Positive, key("second", "shortest dwell time of the scan")] = 1e-6
    flyback: Annotated[NotNegative, key("second", "time from the end of a line to the next")] = 5e-4
    overhead: Annotated[NotNegative, key("second", "time to set up and focus an option")] = 60.0


class UnknownPlan(Plan, frozen=True):
    """Standard deviations of what is not known of a recording and is fitted along; 0: known exactly. Compared with columns of the same recording, only
    jitter, roughness and layers count: the rest is the same in all."""

    defocus: Annotated[NotNegative, key("angstrom", "of the defocus")] = 20.0
    astigmatism: Annotated[NotNegative, key("angstrom", "of each part of the twofold astigmatism")] = 10.0
    source: Annotated[NotNegative, key("angstrom", "of the source's size")] = 0.1
    thickness: Annotated[NotNegative, key("angstrom", "of the thickness")] = 20.0
    jitter: Annotated[
        NotNegative, key("angstrom", "of the place of one column of the scan against another, along x and y")
    ] = 0.05
    layers: Annotated[
        tuple[Layer, Layer],
        key(
            "angstrom",
            'thickness of amorphous carbon on the entrance and the exit face, unlike at every column ("detect")',
        ),
    ] = (0.0, 0.0)
    roughness: Annotated[NotNegative, key("angstrom", "of the thickness, from one column to another")] = 2.0
    level: Annotated[
        NotNegative | None, key("", 'of an even background, as a share of the mean ("measure" only)', default="free")
    ] = None
    tilt: Annotated[NotNegative, key("mrad", 'of each part of the tilt ("measure" only)')] = 0.0
    position: Annotated[NotNegative | None, key("angstrom", "of the place of the scan", default="free")] = None
    gain: Annotated[NotNegative | None, key("", "of the gain, as a share", default="free")] = None
    background: Annotated[
        NotNegative | None, key("", "of what lies below an edge of a spectrum, as a share", default="free")
    ] = None
    exponent: Annotated[NotNegative | None, key("", "of its exponent r of E^-r", default="free")] = None
    energy_offset: Annotated[NotNegative, key("eV", "of a spectrum's energy axis")] = 0.3
    cross_section: Annotated[NotNegative, key("", "of the strength of an edge, as a share")] = 0.1
    model: Annotated[
        NotNegative,
        key(
            "", "rms error, as a share, of the predicted contrast, and with references of what differs between columns"
        ),
    ] = 0.05
    model_from: Annotated[
        str | None,
        key("", "session of emtwin acquire whose model error and jitter are taken instead of the two", default="none"),
    ] = None


class LimitsPlan(Plan, frozen=True):
    """What must not be exceeded."""

    dose: Annotated[Positive | None, key("electrons/angstrom^2", "most electrons per area", default="no limit")] = None
    time: Annotated[Positive | None, key("second", "longest time, setting up included", default="no limit")] = None
    megabytes: Annotated[Positive | None, key("", "most data, in 1e6 bytes", default="no limit")] = None
    displaced: Annotated[
        Probability | None,
        key("", "largest share of the atoms of an element that the beam displaces", default="no limit"),
    ] = 0.01
    radiolysis: Annotated[
        str | None,
        key("", "material or class of the table of critical doses that the specimen is like", default="no limit"),
    ] = None


Varied = Literal["semiangle", "defocus", "angles", "reach", "aperture", "cs", "sectors"]


class SearchPlan(Plan, frozen=True):
    """Settings that are searched for each technique, and between which bounds; ``emtwin plan --search`` takes the defaults."""

    vary: Annotated[
        list[Varied],
        key(
            "",
            "what may vary: of the probe semiangle and defocus, of detectors angles, reach and sectors, of an objective lens defocus, aperture and cs",
            default="semiangle, defocus, angles and aperture",
        ),
    ] = []
    semiangle_mrad: Annotated[
        tuple[Semiangle, Semiangle] | None, key("mrad", "convergence semi-angle", default="8 to the instrument's")
    ] = None
    defocus: Annotated[tuple[float, float], key("angstrom", "defocus of the probe or the objective lens")] = (
        -300.0,
        300.0,
    )
    inner_mrad: Annotated[
        tuple[Ring, Ring] | None,
        key("mrad", "inner angle of detectors", default="0 to nine tenths of what is computed"),
    ] = None
    outer_mrad: Annotated[
        tuple[Ring, Ring] | None, key("mrad", "outer angle of detectors", default="to the largest angle of the options")
    ] = None
    reach_mrad: Annotated[
        tuple[Ring, Ring] | None, key("mrad", "reach of cameras", default="to the largest angle of the options")
    ] = None
    aperture_mrad: Annotated[
        tuple[Ring, Ring] | None, key("mrad", "semi-angle of the objective aperture", default="8 to 40")
    ] = None
    cs_mm: Annotated[tuple[float, float], key("mm", "spherical aberration of the objective lens")] = (-0.05, 0.05)
    sectors: Annotated[
        list[Sectors], key("", "numbers of sectors to choose from", default="2, 4, 8 and 16", max_length=8)
    ] = []
    starts: Annotated[int, key("", "descents from different settings", ge=1, le=20)] = 3

    @property
    def varied(self) -> frozenset[str]:
        """What may vary."""
        return frozenset(self.vary or ("semiangle", "defocus", "angles", "aperture"))

    @property
    def choices(self) -> tuple[int, ...]:
        """Numbers of sectors."""
        return tuple(self.sectors or (2, 4, 8, 16))


class WhatIfPlan(Plan, frozen=True):
    """Other specimens for which the best option is weighed; ``emtwin plan --what-if`` takes the defaults."""

    thickness: Annotated[
        list[Width], key("angstrom", "other thicknesses", default="half as much and half as much again", max_length=10)
    ] = []
    tilt_mrad: Annotated[list[Lean], key("mrad", "more tilt along x", mistaken=RAD, default="3", max_length=10)] = []

    @property
    def tilts(self) -> tuple[float, ...]:
        """More tilt along x in mrad."""
        return tuple(self.tilt_mrad or (() if self.thickness else (3.0,)))


class ComputePlan(Plan, frozen=True):
    """How it is computed."""

    cells: Annotated[int, key("", "orthogonal cells (x and y) of the field that is computed", ge=1, le=20)] = 3
    phonons: Annotated[int, key("", "frozen phonon configurations", ge=2, le=100)] = 4
    thicknesses: Annotated[
        int, key("", 'thicknesses over which one that is not known is averaged ("detect"); 1: as given', ge=1, le=9)
    ] = 1
    settings: Annotated[
        int,
        key(
            "",
            'other settings of the lenses, within [unknown], over which power is averaged, too ("detect", with references, which tell them)',
            ge=0,
            le=30,
        ),
    ] = 4
    layers: Annotated[int, key("", "examples of amorphous layers, where there are any", ge=2, le=200)] = 16
    depths: Annotated[int, key("", "depths over which an unknown depth is averaged", ge=1, le=20)] = 3
