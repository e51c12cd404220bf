"""What ``emtwin simulate`` is asked for: the tables of a scenario.

Units are the ones used inside emtwin (angstrom, radian, second, electron), except where a key's name says otherwise (``_keV``, ``_mrad``, ``_MB``).
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Points = Annotated[int, Meta(ge=8, le=16384)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Indices = tuple[int, int, int]
Pair = tuple[float, float]
SIGNALS = ("hrtem", "exit-wave", "diffraction", "cbed", "stem", "4d-stem", "ronchigram")
PROBES = ("cbed", "stem", "4d-stem", "ronchigram")
"""Signals of a convergent beam."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every table is: read-only, and without keys it does not know."""


class PhononPlan(Plan, frozen=True):
    """Frozen configurations of independent thermal displacements; ``seed`` (default: the scenario's) fixes them all."""

    configurations: Annotated[int, Meta(ge=1, le=1000)]
    seed: Seed | None = None


class SpecimenPlan(Plan, frozen=True):
    """The crystal: a built-in ``structure`` or a structure file (path relative to the scenario), seen along ``zone`` with ``x`` nearest to the right.

    Across it is ``repeats`` (x, y) of the orthogonal cell made for that zone, or as many as ``size`` (x, y) angstrom need; along the beam ``cells``, or
    ``thickness`` angstrom to the nearest whole cell, in slices about ``slice`` angstrom thick. ``tilt_mrad`` (x, y) away from the zone axis.
    ``thermal`` damps factors where there are no ``phonons``; ``u2`` angstrom^2 by element. ``occupancy`` thins out an element's sites evenly,
    ``vacancies`` empties that share of them at random.
    """

    structure: str = "SrTiO3"
    zone: Indices = (0, 0, 1)
    x: Indices | None = None
    repeats: tuple[Count, Count] | None = None
    size: tuple[Positive, Positive] | None = None
    thickness: Positive | None = None
    cells: Count | None = None
    slice: Annotated[float, Meta(ge=0.1, le=20)] = 2.0
    tilt_mrad: Pair = (0.0, 0.0)
    phonons: PhononPlan | None = None
    thermal: Literal["none", "debye-waller", "absorptive"] = "none"
    u2: dict[str, NotNegative] | None = None
    occupancy: dict[str, Share] = {}
    vacancies: dict[str, Share] = {}
    parametrization: Literal["lobato", "kirkland"] = "lobato"
    projection: Literal["infinite", "finite"] = "infinite"


class BeamPlan(Plan, frozen=True):
    """Electrons and the lens that forms the probe or the image.

    ``aberrations`` in angstrom: Cartesian Krivanek coefficients (C12a = 20), or polar Krivanek or CEOS ones as [magnitude, azimuth in radian]
    (A1 = [20, 0.5]); ``defocus`` is -C10. Focal spread (rms, angstrom) is given as such, or by ``cc`` (angstrom) and ``energy_spread`` (eV rms).
    ``source`` is the rms of the source's image in angstrom, ``position`` (x, y) angstrom that of a probe which stays where it is, ``tilt_mrad`` of the
    beam before the specimen.
    """

    energy_keV: Annotated[float, Meta(ge=1, le=10_000)]
    semiangle_mrad: Annotated[float, Meta(gt=0, lt=200)] | None = None
    defocus: float | None = None
    aberrations: dict[str, float | Pair] = {}
    focal_spread: NotNegative | None = None
    cc: float | None = None
    energy_spread: NotNegative | None = None
    source: NotNegative = 0.0
    position: Pair = (0.0, 0.0)
    tilt_mrad: Pair = (0.0, 0.0)


class LensPlan(Plan, frozen=True):
    """What images and patterns of a plane wave need besides: objective aperture and its smooth ``edge_mrad``, ``convergence_mrad`` of the illumination (rms
    along one axis), ``vibration`` (rms angstrom), ``defoci`` of a focal series (angstrom, beside the beam's own), whether partial coherence is
    taken as ``envelopes`` or ``averaged`` explicitly, and the diameter of a ``selected_area`` in angstrom."""

    aperture_mrad: Positive | None = None
    edge_mrad: Positive | None = None
    convergence_mrad: NotNegative = 0.0
    vibration: NotNegative = 0.0
    defoci: Annotated[list[float], Meta(min_length=1, max_length=1000)] | None = None
    coherence: Literal["envelopes", "averaged"] = "envelopes"
    selected_area: Positive | None = None


class ScanPlan(Plan, frozen=True):
    """A raster of ``shape`` (ny, nx) probes over a field of view ``fov`` (x, y) angstrom (default: one cell) from ``start`` (x, y) angstrom on."""

    shape: tuple[Annotated[int, Meta(ge=1, le=4096)], Annotated[int, Meta(ge=1, le=4096)]]
    fov: tuple[Positive, Positive] | None = None
    start: Pair = (0.0, 0.0)


class AnnularPlan(Plan, tag="annular", tag_field="kind", frozen=True):
    """A ring of scattering angles."""

    inner_mrad: NotNegative
    outer_mrad: Positive
    offset_mrad: Pair = (0.0, 0.0)


class SegmentedPlan(Plan, tag="segmented", tag_field="kind", frozen=True):
    """Rings between ``radii_mrad`` (rising), each cut into ``sectors``; ``rotation`` radian."""

    radii_mrad: Annotated[list[NotNegative], Meta(min_length=2, max_length=33)]
    sectors: Annotated[int, Meta(ge=1, le=64)] = 4
    rotation: float = 0.0
    gap_mrad: NotNegative = 0.0
    offset_mrad: Pair = (0.0, 0.0)


class PixelatedPlan(Plan, tag="pixelated", tag_field="kind", frozen=True):
    """A camera: either ``shape`` (ny, nx) pixels of ``pixel_mrad``, or the beams of the computation up to ``reach_mrad``, ``bin`` x ``bin`` summed."""

    shape: tuple[Count, Count] | None = None
    pixel_mrad: Positive | None = None
    rotation: float = 0.0
    offset_mrad: Pair = (0.0, 0.0)
    reach_mrad: Positive | None = None
    bin: Annotated[int, Meta(ge=1, le=256)] = 1


DetectorPlan = AnnularPlan | SegmentedPlan | PixelatedPlan


class CameraPlan(Plan, frozen=True):
    """How a camera makes counts: an MTF of (weight, width in shares of Nyquist) terms and a floor; see `twin.detection.camera.Camera`."""

    gaussians: list[Pair] = []
    lorentzians: list[Pair] = []
    floor: NotNegative = 0.0
    efficiency: Annotated[float, Meta(gt=0, le=1)] = 1.0
    gain: Positive = 1.0
    dark: float = 0.0
    dark_noise: NotNegative = 0.0
    readout: NotNegative = 0.0
    saturation: Positive | None = None


class DosePlan(Plan, frozen=True):
    """Electrons: ``per_area`` for each square angstrom of an image, or ``electrons`` for each probe (of a pattern: in all)."""

    per_area: Positive | None = None
    electrons: Positive | None = None


class GridPlan(Plan, frozen=True):
    """Points of the waves: ``gpts`` (ny, nx), or a ``sampling`` in angstrom that is not exceeded."""

    gpts: tuple[Points, Points] | None = None
    sampling: Annotated[float, Meta(gt=0, le=2)] | None = None


class ComputePlan(Plan, frozen=True):
    """``memory_MB`` bounds what the computation takes, its result included; ``workers`` streams at once on a CPU (default: its cores).

    STEM images are made in the quickest ``form`` whose stated error is within ``tolerance`` (share of the signal), or in the one named.
    """

    memory_MB: Annotated[float, Meta(ge=1)] = 2000.0
    workers: Annotated[int, Meta(ge=1, le=256)] | None = None
    form: Literal["auto", "direct", "prism", "gram", "crystal"] = "auto"
    tolerance: Annotated[float, Meta(ge=1e-4, le=0.1)] = 1e-3


class Simulation(Plan, frozen=True):
    """One simulation, complete: a specimen, a beam, and the signal that is wanted."""

    name: Annotated[str, Meta(min_length=1)]
    kind: Literal["simulate"]
    signal: Literal["hrtem", "exit-wave", "diffraction", "cbed", "stem", "4d-stem", "ronchigram"]
    beam: BeamPlan
    description: str = ""
    specimen: SpecimenPlan = SpecimenPlan()
    lens: LensPlan | None = None
    scan: ScanPlan | None = None
    detectors: dict[str, DetectorPlan] = {}
    camera: CameraPlan | None = None
    dose: DosePlan | None = None
    grid: GridPlan = GridPlan()
    compute: ComputePlan = ComputePlan()
    seed: Seed = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they were read."""
        return msgspec.to_builtins(self)


TABLES: dict[str, tuple[type[Plan], ...]] = {
    "": (Simulation,),
    "specimen": (SpecimenPlan,),
    "specimen.phonons": (PhononPlan,),
    "beam": (BeamPlan,),
    "lens": (LensPlan,),
    "scan": (ScanPlan,),
    "detectors": (AnnularPlan, SegmentedPlan, PixelatedPlan),
    "camera": (CameraPlan,),
    "dose": (DosePlan,),
    "grid": (GridPlan,),
    "compute": (ComputePlan,),
}
"""Every table of a scenario, and what may be in it."""
