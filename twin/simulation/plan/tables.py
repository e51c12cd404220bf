"""What ``emtwin simulate`` is asked for: the tables of a scenario, each key with its unit and meaning.

Units are the ones used inside emtwin (angstrom, radian, second, electron), except where a key's name says otherwise (``_keV``, ``_mrad``, ``_MB``).
"""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from twin.simulation.plan.keys import DEGREES, RAD, RADIUS, Mistaken, Table, key, tables_of

Positive = Annotated[float, Meta(gt=0, le=1e12)]
NotNegative = Annotated[float, Meta(ge=0, le=1e12)]
Level = Annotated[float, Meta(ge=-1e12, le=1e12)]
Width = Annotated[float, Meta(gt=0, le=1e5)]
"""Of a specimen or a field of view, in angstrom."""
Spread = Annotated[float, Meta(ge=0, le=1e4)]
"""An rms width in angstrom."""
Focus = Annotated[float, Meta(ge=-1e7, le=1e7)]
Place = Annotated[float, Meta(ge=-1e5, le=1e5)]
Angle = Annotated[float, Meta(ge=0, le=1500)]
Lean = Annotated[float, Meta(ge=-300, le=300)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Points = Annotated[int, Meta(ge=8, le=16384)]
Probes = Annotated[int, Meta(ge=1, le=4096)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Turn = Annotated[float, Meta(ge=-2.0 * math.pi, le=2.0 * math.pi)]
Reach = Annotated[float, Meta(ge=0.3, le=1500)]
"""An angle in mrad that a detector or aperture reaches: less is below what a grid of any size resolves, and most often radians."""
Indices = tuple[int, int, int]
Pair = tuple[float, float]
Places = tuple[Place, Place]
Leans = tuple[Lean, Lean]
SIGNALS = ("hrtem", "exit-wave", "diffraction", "cbed", "stem", "4d-stem", "ronchigram")
PROBES = ("cbed", "stem", "4d-stem", "ronchigram")
"""Signals of a convergent beam."""

NO_DOSE = "Leave [dose] out for a signal without counting noise."
EV = Mistaken("eV", 1e-3, 10.0, 5000.0)
MILLIMETRE = Mistaken("mm", 1e7, 1e4, 1e9)
B_FACTOR = Mistaken("B = 8 pi^2 u2", 1.0 / (8.0 * math.pi**2), 0.0, 0.1)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every table is: read-only, and without keys it does not know."""


class PhononPlan(Plan, frozen=True):
    """Frozen phonons: configurations of independent thermal displacements, over which the signal is averaged."""

    configurations: Annotated[
        int,
        key(
            "",
            "how many configurations are averaged",
            ge=1,
            le=1000,
            zero="Leave [specimen.phonons] out for atoms at rest.",
        ),
    ]
    seed: Annotated[Seed | None, key("", "seed of the displacements", default="the scenario's seed")] = None


class SpecimenPlan(Plan, frozen=True):
    """The crystal, its orientation and its size."""

    structure: Annotated[
        str, key("", "SrTiO3 (built in), or a structure file, its path relative to the scenario's")
    ] = "SrTiO3"
    zone: Annotated[Indices, key("", "zone axis [u, v, w]: the crystal direction along the beam")] = (0, 0, 1)
    x: Annotated[
        Indices | None,
        key(
            "",
            "crystal direction [u, v, w] that points right, as nearly as an orthogonal cell allows",
            default="nearest to a",
        ),
    ] = None
    repeats: Annotated[
        tuple[Count, Count] | None,
        key("", "orthogonal cells across the beam (x, y); instead of size", default="as many as size needs"),
    ] = None
    size: Annotated[
        tuple[Width, Width] | None,
        key("angstrom", "least width (x, y), filled with whole cells; instead of repeats", default="[20, 20]"),
    ] = None
    thickness: Annotated[
        Width | None,
        key(
            "angstrom",
            "thickness along the beam, to the nearest whole cell; needed, or cells, unless the structure is a sheet",
            default="from cells",
        ),
    ] = None
    cells: Annotated[
        Count | None,
        key(
            "", "cells along the beam; needed, or thickness, unless the structure is a sheet", default="from thickness"
        ),
    ] = None
    slice: Annotated[
        float,
        key(
            "angstrom",
            "thickness of a multislice slice, about: a cell along the beam is cut into a whole number of slices",
            ge=0.1,
            le=20,
        ),
    ] = 2.0
    tilt_mrad: Annotated[Leans, key("mrad", "tilt (x, y) of the specimen away from the zone axis", mistaken=RAD)] = (
        0.0,
        0.0,
    )
    phonons: PhononPlan | None = None
    thermal: Annotated[
        Literal["none", "debye-waller", "absorptive"],
        key(
            "",
            "thermal motion without phonons: none, damped scattering factors, or damped with an absorptive potential",
        ),
    ] = "none"
    u2: Annotated[
        dict[str, NotNegative] | None,
        key(
            "angstrom^2",
            "mean square displacement along one axis by element, for every element",
            mistaken=B_FACTOR,
            default="from a table",
        ),
    ] = None
    occupancy: Annotated[
        dict[str, Share], key("", "share of each element's sites that is filled, the same for every site")
    ] = {}
    vacancies: Annotated[
        dict[str, Share], key("", "share of each element's sites that is empty, drawn at random by the seed")
    ] = {}
    parametrization: Annotated[Literal["lobato", "kirkland"], key("", "table of electron scattering factors")] = (
        "lobato"
    )
    projection: Annotated[
        Literal["infinite", "finite"],
        key("", "each atom whole in one slice, or its potential integrated over each slice"),
    ] = "infinite"


class BeamPlan(Plan, frozen=True):
    """Electrons, and the lens that forms the probe or the image."""

    energy_keV: Annotated[float, key("keV", "electron energy", ge=1, le=10_000, mistaken=EV)]
    semiangle_mrad: Annotated[
        Annotated[float, Meta(ge=0.05, lt=200)] | None,
        key(
            "mrad",
            "convergence semi-angle of the probe; needed for cbed, stem, 4d-stem and ronchigram",
            mistaken=Mistaken("rad", 1e3, 0.05, 500.0),
        ),
    ] = None
    defocus: Annotated[
        Focus | None, key("angstrom", "defocus = -C10: positive is underfocus", series="lens.defoci", default="0")
    ] = None
    # without bounds: msgspec 0.22 crashes at exit where a bounded number stands beside a tuple in a union
    aberrations: Annotated[
        dict[str, float | Pair],
        key(
            "angstrom",
            "by name: Krivanek coefficients C12a = 20 (Cartesian) or C12 = [20, 0.5] (magnitude, azimuth in radian), or CEOS names A1 = [20, 0.5]",
        ),
    ] = {}
    focal_spread: Annotated[
        Annotated[float, Meta(ge=0, le=1e6)] | None,
        key("angstrom", "focal spread, rms; or cc and energy_spread", default="0, or from cc and energy_spread"),
    ] = None
    cc: Annotated[Level | None, key("angstrom", "chromatic aberration; with energy_spread", mistaken=MILLIMETRE)] = None
    energy_spread: Annotated[
        NotNegative | None,
        key("eV", "energy spread, rms (FWHM / 2.355); with cc", mistaken=Mistaken("meV", 1e-3, 1e-3, 20.0)),
    ] = None
    source: Annotated[Spread, key("angstrom", "size of the source's image at the specimen, rms along one axis")] = 0.0
    position: Annotated[Places, key("angstrom", "position (x, y) of a probe that is not scanned")] = (0.0, 0.0)
    tilt_mrad: Annotated[Leans, key("mrad", "tilt (x, y) of the beam before the specimen", mistaken=RAD)] = (0.0, 0.0)


class LensPlan(Plan, frozen=True):
    """The objective lens: images (hrtem) and patterns (diffraction) of a plane wave."""

    aperture_mrad: Annotated[
        Reach | None, key("mrad", "semi-angle of the objective aperture", mistaken=RADIUS, default="no aperture")
    ] = None
    edge_mrad: Annotated[
        Annotated[float, Meta(gt=0, le=1500)] | None,
        key("mrad", "width of the aperture's smooth edge", mistaken=RAD, default="a sharp edge"),
    ] = None
    convergence_mrad: Annotated[
        Angle,
        key("mrad", "convergence of the illumination, rms along one axis", mistaken=Mistaken("rad", 1e3, 1e-3, 20.0)),
    ] = 0.0
    vibration: Annotated[Spread, key("angstrom", "image vibration, rms along one axis")] = 0.0
    defoci: Annotated[
        Annotated[list[Focus], Meta(min_length=1, max_length=1000)] | None,
        key(
            "angstrom",
            "focal series: one image for each, added to beam.defocus; positive is underfocus",
            default="one image",
        ),
    ] = None
    coherence: Annotated[
        Literal["envelopes", "averaged"],
        key("", "partial coherence by envelopes, or by averaging images over focus and tilt"),
    ] = "envelopes"
    selected_area: Annotated[
        Width | None,
        key("angstrom", "diameter of the selected area of a diffraction pattern", default="all of the specimen"),
    ] = None


class ScanPlan(Plan, frozen=True):
    """A raster of probes: stem and 4d-stem."""

    shape: Annotated[tuple[Probes, Probes], key("", "probes (ny, nx): rows and columns")]
    fov: Annotated[
        tuple[Width, Width] | None,
        key("angstrom", "field of view (x, y)", default="square pixels that cover at least one cell each way"),
    ] = None
    start: Annotated[Places, key("angstrom", "position (x, y) of the first probe")] = (0.0, 0.0)


class AnnularPlan(Plan, tag="annular", tag_field="kind", frozen=True):
    """A detector that is a ring of scattering angles; inner_mrad = 0 makes a disk."""

    inner_mrad: Annotated[Angle, key("mrad", "inner angle", mistaken=RADIUS)]
    outer_mrad: Annotated[Reach, key("mrad", "outer angle", mistaken=RADIUS)]
    offset_mrad: Annotated[Leans, key("mrad", "centre (x, y) from the optic axis", mistaken=RAD)] = (0.0, 0.0)


class SegmentedPlan(Plan, tag="segmented", tag_field="kind", frozen=True):
    """A detector of rings, each cut into sectors."""

    radii_mrad: Annotated[
        list[Angle],
        key("mrad", "radii that bound the rings, rising", min_length=2, max_length=33, mistaken=RADIUS),
    ]
    sectors: Annotated[int, key("", "sectors of each ring", ge=1, le=64)] = 4
    rotation: Annotated[
        Turn, key("radian", "angle from x towards y at which the first sector begins", mistaken=DEGREES)
    ] = 0.0
    gap_mrad: Annotated[Angle, key("mrad", "insensitive gap between segments", mistaken=RAD)] = 0.0
    offset_mrad: Annotated[Leans, key("mrad", "centre (x, y) from the optic axis", mistaken=RAD)] = (0.0, 0.0)


class PixelatedPlan(Plan, tag="pixelated", tag_field="kind", frozen=True):
    """A camera in the diffraction plane: pixels of its own (shape, pixel_mrad), or the beams of the computation (reach_mrad, bin). Beside other detectors of
    a stem image it records patterns of the same probes."""

    shape: Annotated[
        tuple[Count, Count] | None, key("", "pixels (ny, nx); with pixel_mrad", default="the beams themselves")
    ] = None
    pixel_mrad: Annotated[
        Annotated[float, Meta(ge=2e-3, le=1500)] | None,
        key("mrad", "side of a pixel; with shape", mistaken=Mistaken("rad", 1e3, 2e-3, 50.0)),
    ] = None
    rotation: Annotated[Turn, key("radian", "rotation of the camera from x towards y", mistaken=DEGREES)] = 0.0
    offset_mrad: Annotated[Leans, key("mrad", "centre (x, y) from the optic axis", mistaken=RAD)] = (0.0, 0.0)
    reach_mrad: Annotated[
        Reach | None,
        key(
            "mrad",
            "angle up to which beams are kept, where shape is not given",
            mistaken=RADIUS,
            default="all that the grid carries",
        ),
    ] = None
    bin: Annotated[int, key("", "bin x bin beams are summed, where shape is not given", ge=1, le=256)] = 1


class EdgeMapPlan(Plan, tag="eels", tag_field="kind", frozen=True):
    """The spectrometer's counts of one edge in an energy window, a channel of a stem image: of that edge alone, without the background below it."""

    edge: Annotated[str, key("", 'element and edge, "Ti L" or "O K"', min_length=3, max_length=8)]
    window: Annotated[tuple[Positive, Positive], key("eV", "energy losses [from, to] that are counted")]
    collection_mrad: Annotated[
        Annotated[float, Meta(ge=0.3, le=300)], key("mrad", "collection semi-angle", mistaken=RADIUS)
    ]
    channelling: Annotated[
        Literal["double", "single", "local"],
        key(
            "",
            "of the electron before and after its loss (exact), before it alone, or before it and by an effective local potential, the fastest",
        ),
    ] = "double"


DetectorPlan = AnnularPlan | SegmentedPlan | PixelatedPlan | EdgeMapPlan


class CameraPlan(Plan, frozen=True):
    """How a camera makes counts of electrons; see `twin.detection.camera.Camera`."""

    gaussians: Annotated[list[Pair], key("", "Gaussian terms of the MTF: [weight, width as a share of Nyquist]")] = []
    lorentzians: Annotated[
        list[Pair], key("", "Lorentzian terms of the MTF: [weight, width as a share of Nyquist]")
    ] = []
    floor: Annotated[NotNegative, key("", "constant term of the MTF")] = 0.0
    efficiency: Annotated[float, key("", "share of the electrons that is detected", gt=0, le=1)] = 1.0
    gain: Annotated[Positive, key("counts/electron", "counts for each detected electron")] = 1.0
    dark: Annotated[Level, key("counts", "mean dark level of a pixel")] = 0.0
    dark_noise: Annotated[NotNegative, key("counts", "dark noise of a pixel, rms")] = 0.0
    readout: Annotated[NotNegative, key("counts", "readout noise of a pixel, rms")] = 0.0
    saturation: Annotated[Positive | None, key("counts", "most counts of a pixel", default="unlimited")] = None


class DosePlan(Plan, frozen=True):
    """Electrons, for counting noise; without this table a signal is noise-free. One of its keys is given."""

    per_area: Annotated[Positive | None, key("electrons/angstrom^2", "for hrtem, stem and 4d-stem", zero=NO_DOSE)] = (
        None
    )
    electrons: Annotated[
        Positive | None, key("electrons", "for each probe of a scan, or for a pattern in all", zero=NO_DOSE)
    ] = None


class GridPlan(Plan, frozen=True):
    """Sampling of the waves."""

    gpts: Annotated[
        tuple[Points, Points] | None, key("", "grid points (ny, nx); instead of sampling", default="from sampling")
    ] = None
    sampling: Annotated[
        Annotated[float, Meta(gt=0, le=2)] | None,
        key("angstrom", "largest distance between grid points; instead of gpts", default="0.1"),
    ] = None
    tolerance: Annotated[
        float, key("", "warn where the estimated error by sampling exceeds this share of the signal", gt=0, le=1)
    ] = 0.05


class ComputePlan(Plan, frozen=True):
    """How it is computed."""

    memory_MB: Annotated[
        float, key("MB", "bound of the memory that the computation takes, its result included", ge=1, le=1e9)
    ] = 2000.0
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None, key("", "pieces of work at once on a CPU", default="its cores")
    ] = None
    form: Annotated[
        Literal["auto", "direct", "prism", "gram", "crystal"],
        key("", "algorithm of a stem image: the quickest within the tolerance, or the one named"),
    ] = "auto"
    tolerance: Annotated[
        float, key("", "largest error of the algorithm as a share of a stem signal", ge=1e-4, le=0.1)
    ] = 1e-3


class Simulation(Plan, frozen=True):
    """One simulation, complete: a specimen, a beam, and the signal that is wanted."""

    name: Annotated[str, key("", "name of the scenario, shown in the picture", min_length=1)]
    kind: Annotated[Literal["simulate"], key("", "what kind of scenario this is")]
    signal: Annotated[
        Literal["hrtem", "exit-wave", "diffraction", "cbed", "stem", "4d-stem", "ronchigram"],
        key("", 'what is computed; the keys of signal = "eels" are listed apart'),
    ]
    beam: BeamPlan
    description: Annotated[str, key("", "one sentence on what this is")] = ""
    specimen: SpecimenPlan = SpecimenPlan()
    lens: LensPlan | None = None
    scan: ScanPlan | None = None
    detectors: dict[str, DetectorPlan] = {}
    camera: CameraPlan | None = None
    dose: DosePlan | None = None
    grid: GridPlan = GridPlan()
    compute: ComputePlan = ComputePlan()
    seed: Annotated[Seed, key("", "seed of phonons, vacancies and counting noise")] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    @property
    def patterned(self) -> bool:
        """Whether diffraction patterns of probes are recorded: alone, or beside the channels of a STEM image."""
        if self.signal != "stem":
            return self.signal in PROBES
        return any(isinstance(detector, PixelatedPlan) for detector in self.detectors.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they were read."""
        return msgspec.to_builtins(self)


def tables() -> tuple[Table, ...]:
    """Every table of a scenario, with its keys."""
    return tables_of(Simulation)
