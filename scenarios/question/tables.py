"""The tables of a question in TOML, each key with its unit and meaning; units as in scenarios of simulations."""

from typing import Annotated, Literal

from msgspec import Meta

from twin.simulation.plan.keys import RAD, RADIUS, Table, key, tables_of
from twin.simulation.plan.tables import EV, NotNegative, Plan, Positive, SpecimenPlan, Spread

Probability = Annotated[float, Meta(gt=0, lt=1)]
Depth = Annotated[float, Meta(ge=0, le=1e5)] | Literal["unknown"]
Angle = Annotated[float, Meta(ge=0, le=300)]
Reach = Annotated[float, Meta(ge=0.3, le=300)]
"""An angle in mrad that a detector or aperture reaches."""


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


class AskedPlan(Plan, frozen=True):
    """What would answer the question."""

    power: Annotated[Probability, key("", "probability that the change is detected where it is there")] = 0.95
    false_alarms: Annotated[Probability, key("", "probability of a false alarm over all places that are tested")] = 0.01
    where: Annotated[Literal["known", "anywhere"], key("", "at a known column, or at any like column of the field")] = (
        "known"
    )
    references: Annotated[
        bool, key("", "whether the other columns of the field, recorded alike, are compared with")
    ] = True


class InstrumentPlan(Plan, frozen=True):
    """What the microscope has."""

    energy_keV: Annotated[float, key("keV", "electron energy", ge=20, le=1500, mistaken=EV)] = 200.0
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
    """Standard deviations of what is not known of a recording and is fitted along; 0: known exactly."""

    defocus: Annotated[NotNegative, key("angstrom", "of the defocus")] = 20.0
    astigmatism: Annotated[NotNegative, key("angstrom", "of each part of the twofold astigmatism")] = 10.0
    source: Annotated[NotNegative, key("angstrom", "of the source's size")] = 0.1
    thickness: Annotated[NotNegative, key("angstrom", "of the thickness")] = 20.0
    position: Annotated[NotNegative | None, key("angstrom", "of the place of the scan", default="free")] = None
    gain: Annotated[NotNegative | None, key("", "of the gain, as a share", default="free")] = None
    model: Annotated[
        NotNegative, key("", "rms error of the predicted contrast, as a share of it, where there are no references")
    ] = 0.05


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


class AnnularOption(Plan, tag="annular", tag_field="technique", frozen=True):
    """A scanned image of an annular detector: HAADF, ADF, ABF, BF."""

    inner_mrad: Annotated[Angle, key("mrad", "inner angle", mistaken=RADIUS)]
    outer_mrad: Annotated[Reach, key("mrad", "outer angle", mistaken=RADIUS)]
    name: Annotated[str, key("", "name of the option", default="by its angles", min_length=0, max_length=40)] = ""
    readout: Annotated[NotNegative, key("electrons", "readout noise of a place of the scan, rms")] = 0.0


class SegmentedOption(Plan, tag="dpc", tag_field="technique", frozen=True):
    """Differential phase contrast: a ring cut into sectors, each an image."""

    inner_mrad: Annotated[Angle, key("mrad", "inner angle", mistaken=RADIUS)] = 0.0
    outer_mrad: Annotated[Reach | None, key("mrad", "outer angle", mistaken=RADIUS, default="the semi-angle")] = None
    sectors: Annotated[int, key("", "sectors", ge=2, le=16)] = 4
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "DPC"
    readout: Annotated[NotNegative, key("electrons", "readout noise of a segment, rms")] = 0.0


class DiffractionCamera(Plan, frozen=True):
    """A camera in the diffraction plane."""

    pixel_mrad: Annotated[float, key("mrad", "side of a pixel", gt=0.02, le=50, mistaken=RAD)] = 2.0
    reach_mrad: Annotated[
        Reach | None, key("mrad", "angle up to which is recorded", mistaken=RADIUS, default="three semi-angles")
    ] = None
    bytes_per_pixel: Annotated[Positive, key("", "bytes of a stored pixel")] = 2.0
    readout: Annotated[NotNegative, key("electrons", "readout noise of a pixel, rms")] = 0.0


class CameraOption(DiffractionCamera, tag="4d-stem", tag_field="technique", frozen=True):
    """4D-STEM: a camera behind every place of the scan."""

    frames_per_second: Annotated[Positive, key("1/second", "fastest frames of the camera")] = 2000.0
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "4D-STEM"


class ImageOption(Plan, tag="hrtem", tag_field="technique", frozen=True):
    """HRTEM: an image of a plane wave."""

    defocus: Annotated[float, key("angstrom", "defocus = -C10: positive is underfocus", ge=-1e4, le=1e4)] = 60.0
    cs_mm: Annotated[float, key("mm", "spherical aberration C30 (C3) of the objective lens", ge=-10, le=10)] = 0.0
    aperture_mrad: Annotated[Reach, key("mrad", "semi-angle of the objective aperture", mistaken=RADIUS)] = 30.0
    focal_spread: Annotated[Spread, key("angstrom", "focal spread, rms")] = 20.0
    flux: Annotated[Positive, key("electrons/angstrom^2/second", "electrons on the specimen per area and time")] = 1e3
    seconds: Annotated[Positive, key("second", "shortest exposure")] = 0.1
    bytes_per_pixel: Annotated[Positive, key("", "bytes of a stored pixel")] = 2.0
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "HRTEM"
    readout: Annotated[NotNegative, key("electrons", "readout noise of a pixel, rms")] = 0.0


class PatternOption(DiffractionCamera, tag="cbed", tag_field="technique", frozen=True):
    """CBED: a pattern of the probe resting on the place. Its dose is told as that of the electrons over one cell."""

    seconds: Annotated[Positive, key("second", "shortest exposure")] = 0.01
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "CBED"


OptionPlan = AnnularOption | SegmentedOption | CameraOption | ImageOption | PatternOption


class ComputePlan(Plan, frozen=True):
    """How it is computed."""

    cells: Annotated[int, key("", "orthogonal cells (x and y) of the field that is computed", ge=1, le=20)] = 3
    phonons: Annotated[int, key("", "frozen phonon configurations", ge=2, le=100)] = 4
    depths: Annotated[int, key("", "depths over which an unknown depth is averaged", ge=1, le=20)] = 3


class Question(Plan, frozen=True):
    """One question, complete."""

    name: Annotated[str, key("", "name of the question", min_length=1, max_length=80)]
    kind: Annotated[Literal["detect"], key("", "detect: is this change there?")]
    specimen: SpecimenPlan
    defect: DefectPlan
    description: Annotated[str, key("", "one sentence on what this is")] = ""
    asked: AskedPlan = AskedPlan()
    instrument: InstrumentPlan = InstrumentPlan()
    unknown: UnknownPlan = UnknownPlan()
    limits: LimitsPlan = LimitsPlan()
    option: Annotated[
        list[OptionPlan], key("", "options to weigh", default="HAADF, ADF, ABF, DPC, 4D-STEM and HRTEM", max_length=50)
    ] = []
    compute: ComputePlan = ComputePlan()
    seed: Annotated[int, key("", "seed of the thermal displacements", ge=0, le=2**31)] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    def options(self) -> list[OptionPlan]:
        """The options given, or those that an instrument usually has."""
        alpha = self.instrument.semiangle_mrad
        return self.option or [
            AnnularOption(round(3 * alpha, 1), round(5 * alpha, 1), "HAADF"),
            AnnularOption(round(1.4 * alpha, 1), round(3 * alpha, 1), "ADF"),
            AnnularOption(round(0.5 * alpha, 1), alpha, "ABF"),
            SegmentedOption(),
            CameraOption(),
            ImageOption(),
        ]


def tables() -> tuple[Table, ...]:
    """Every table of a question, with its keys."""
    return tables_of(Question)
