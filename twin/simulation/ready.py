"""A simulation made ready: specimen, grid, beam, detectors and positions, all checked before anything is computed."""

import math
from typing import NamedTuple

import numpy as np

from twin.detection.pixelated import Pixelated
from twin.eels.maps import EdgeWindow
from twin.errors import from_twin
from twin.grid import CUTOFF
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.source import source_offsets
from twin.optics.transfer import Imaging, envelope
from twin.sample.structures import Structure
from twin.scattering.batching import fitting
from twin.scattering.stem.algorithms import Form
from twin.scattering.stem.beams import Response
from twin.scattering.stem.scene import Scene
from twin.simulation.beam import grid_of, illumination_of, imaging_of
from twin.simulation.detection import camera_pixels, check_angles_of, check_damped, responses_of
from twin.simulation.losses import windows_of
from twin.simulation.plan.tables import PROBES, ScanPlan, Simulation, tables
from twin.simulation.plan.unit_hints import doubts
from twin.simulation.specimen import Made, make_specimen, phonon_seeds, potential_options

FOCI = 7
"""Values of C10 over which a focal spread of a probe is averaged."""
SOURCE_NODES = 5
"""Points along each axis over which the source of a probe that stays in place is averaged."""


class Ready(NamedTuple):
    """All that a simulation needs. ``tilt`` (x, y) radian is the specimen's, less the beam's.

    For probes: ``positions`` [p, 2] in angstrom and their ``weights`` [p] (1 each in a scan). ``responses`` weigh the beams for each of
    the first ``channels``, whose image is made in the ``form`` that suits the ``scene`` best; ``pixels`` is the camera of a pattern (None: the beams
    themselves, up to ``reach`` radian). ``fov`` (x, y) of the scan. The last channels are core-loss maps of ``windows``.
    """

    plan: Simulation
    made: Made
    gpts: tuple[int, int]
    tilt: tuple[float, float]
    illumination: Illumination | None
    imaging: Imaging | None
    positions: np.ndarray
    weights: np.ndarray
    fov: tuple[float, float]
    channels: tuple[str, ...]
    responses: tuple[Response, ...]
    scene: Scene | None
    form: Form | None
    pixels: Pixelated | None
    reach: float | None
    size: int
    notes: tuple[str, ...]
    windows: tuple[EdgeWindow, ...] = ()

    @property
    def energy(self) -> float:
        """Electron energy in eV."""
        return self.plan.beam.energy_keV * 1e3

    @property
    def direct(self) -> bool:
        """Whether every probe is a wave of its own."""
        return self.form is None or self.form.name == "direct"

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions x and y of a scan in angstrom."""
        return _axes(self.plan, self.fov)

    @property
    def wavelength(self) -> float:
        """Wavelength in angstrom."""
        return wavelength(self.energy)

    @property
    def extent(self) -> tuple[float, float]:
        """Lateral size (x, y) of the specimen in angstrom."""
        return self.made.specimen.extent


def make_ready(plan: Simulation, structure: Structure | None = None) -> Ready:
    """Everything made and checked but the ``form`` of a STEM image (`with_form`); BadInput that names the key at fault, the problem and the cure.

    ``structure``: the one that the plan names, where it was read before.
    """
    made = make_specimen(plan, structure)
    extent, energy = made.specimen.extent, plan.beam.energy_keV * 1e3
    gpts, notes = grid_of(plan, extent), list(_notes(plan, made))
    tilt = tuple(1e-3 * (a - b) for a, b in zip(plan.specimen.tilt_mrad, plan.beam.tilt_mrad, strict=True))
    illumination = imaging = None
    if plan.signal in PROBES:
        illumination = illumination_of(plan, made, gpts)
    elif plan.signal == "hrtem":
        imaging = imaging_of(plan, gpts, extent)
        half = 0.25 * min(gpts[1] / extent[0], gpts[0] / extent[1])
        passed = float(envelope(imaging, np.array([half]), np.zeros(1))[0])
        if imaging.semiangle is None and passed > 0.05:
            notes.append(
                f"without an aperture, beams beyond {1e3 * half * wavelength(energy):.0f} mrad fold back: an image has twice the band of its wave"
            )
    channels, responses = responses_of(plan, extent)
    mapped, windows = windows_of(plan, made.specimen)
    pixels, reach = camera_pixels(plan, gpts, extent)
    check_angles_of(plan, pixels, gpts, extent)
    check_damped(plan, reach or CUTOFF * 0.5 * wavelength(energy) * min(gpts[1] / extent[0], gpts[0] / extent[1]))
    positions, weights, fov = _positions(plan, made)
    if plan.beam.source > 0.0 and plan.scan is not None and not _periodic(fov, made):
        notes.append("the source blurs beyond a field of view that is not whole cells: its border is repeated outwards")
    if plan.scan is not None:
        notes += _scan_notes(plan.scan, fov, made)
    size = _piece(plan, made, gpts, len(positions))
    scene = None
    if plan.signal == "stem":
        scene = Scene(
            made.specimen, gpts, made.slices, phonon_seeds(plan), (tilt[0], tilt[1]), made.cell_specimen, made.repeats,
            tuple(potential_options(plan).items()),
        )  # fmt: skip
    return Ready(
        plan, made, gpts, (tilt[0], tilt[1]), illumination, imaging, positions, weights, fov,
        (*channels, *mapped), responses, scene, None, pixels, reach, size, tuple(notes), windows,
    )  # fmt: skip


def _periodic(fov: tuple[float, float], made: Made) -> bool:
    """Whether the field of view is whole cells, so that the image goes on at its other side."""
    return all(abs(side / cell - round(side / cell)) < 1e-6 for side, cell in zip(fov, made.unit[:2], strict=True))


def _axes(plan: Simulation, fov: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Positions x and y of a scan in angstrom."""
    assert plan.scan is not None
    (ny, nx), start = plan.scan.shape, plan.scan.start
    return start[0] + np.arange(nx) * fov[0] / nx, start[1] + np.arange(ny) * fov[1] / ny


def square_fov(shape: tuple[int, int], unit: tuple[float, float, float]) -> tuple[float, float]:
    """The field of view (x, y) of ``shape`` (ny, nx) square pixels, the smallest that covers the cell ``unit`` both ways; a line covers it along itself."""
    sides = [(side, count) for side, count in zip(unit[:2], shape[::-1], strict=True) if count > 1]
    pixel = max(side / count for side, count in sides or [(max(unit[:2]), 1)])
    return pixel * shape[1], pixel * shape[0]


def _positions(plan: Simulation, made: Made) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Positions [p, 2] (x, y) in angstrom, their weights [p], and the field of view."""
    if plan.scan is not None:
        ny, nx = plan.scan.shape
        fov = plan.scan.fov or square_fov(plan.scan.shape, made.unit)
        along_x, along_y = np.meshgrid(*_axes(plan, fov))
        return np.stack([along_x.ravel(), along_y.ravel()], axis=1), np.ones(ny * nx), fov
    if plan.signal not in PROBES:
        return np.zeros((0, 2)), np.zeros(0), made.specimen.extent
    centre = np.asarray(plan.beam.position, dtype=np.float64)[None]
    if plan.beam.source == 0.0:
        return centre, np.ones(1), made.specimen.extent
    offsets, weights = source_offsets(plan.beam.source, SOURCE_NODES)
    return centre + offsets, np.asarray(weights), made.specimen.extent


def _piece(plan: Simulation, made: Made, gpts: tuple[int, int], probes: int) -> int:
    """How many probes make a piece, so that memory suffices and an interrupted run has lost little; BadInput if the bound of memory is too small."""
    memory, (ny, nx) = int(plan.compute.memory_MB * 1e6), gpts
    fixed = ny * nx * (8 * made.slices + 8)
    try:
        fitting(1, memory, fixed, 1)
        most = fitting(6 * 8 * ny * nx, memory, fixed, plan.compute.workers)
    except ValueError as error:
        raise from_twin("compute.memory_MB", error, "Raise it, or use fewer points or slices.") from None
    return max(1, min(most, 64, math.ceil(probes / 16)))


def _scan_notes(scan: ScanPlan, fov: tuple[float, float], made: Made) -> list[str]:
    """What the user should know of the field of view."""
    notes, (ny, nx) = [], scan.shape
    pixel = (fov[0] / nx, fov[1] / ny)
    if scan.fov is None:
        cells = [side / cell for side, cell in zip(fov, made.unit[:2], strict=True)]
        notes.append(
            f"scan.fov is not given: square pixels cover {fov[0]:.4g} x {fov[1]:.4g} angstrom (x, y), {cells[0]:.3g} x {cells[1]:.3g} cells"
        )
    elif min(nx, ny) > 1 and abs(pixel[0] / pixel[1] - 1.0) > 1e-3:
        notes.append(
            f"scan.fov and scan.shape make pixels of {pixel[0]:.3g} x {pixel[1]:.3g} angstrom (x, y): not square"
        )
    if any(side > whole * (1.0 + 1e-6) for side, whole in zip(fov, made.specimen.extent, strict=True)):
        notes.append("the field of view is larger than the specimen, which repeats periodically")
    return notes


def _notes(plan: Simulation, made: Made) -> list[str]:
    """What the user should know of the specimen that was made."""
    wanted, structure = plan.specimen, made.structure
    notes = list(doubts(plan.as_dict(), tables()))
    notes += [f"structure: {note}" for note in structure.notes]
    notes += [f"the structure file contradicts itself: {problem}" for problem in structure.contradictions]
    notes += made.notes
    thick = made.specimen.thickness
    if wanted.thickness is not None and abs(thick - wanted.thickness) > 0.05:
        notes.append(f"the specimen is {thick:.2f} angstrom thick: {round(thick / made.unit[2])} whole cells")
    if made.cell.strain > 1e-6:
        notes.append(f"the cell was strained by {100 * made.cell.strain:.3f} % to make it orthogonal")
    if wanted.phonons is None and wanted.thermal == "none":
        notes.append("atoms are at rest: there is no thermal diffuse scattering")
    return notes
