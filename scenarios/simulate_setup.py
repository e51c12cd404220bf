"""A simulation made ready: specimen, grid, beam, detectors and positions, all checked before anything is computed."""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from scenarios.errors import BadInput, from_twin
from scenarios.simulate_specimen import Made, make_specimen, phonon_seeds, potential_options
from scenarios.simulation import PROBES, AnnularPlan, BeamPlan, PixelatedPlan, SegmentedPlan, Simulation
from twin.detection.camera import Camera
from twin.detection.detectors import Annular, Segmented, check_angles
from twin.detection.pixelated import Pixelated
from twin.detection.transfer import Mixture
from twin.grid import CUTOFF, TAPER, smooth
from twin.optics.aberrations import CEOS, NAMES, coefficients, from_ceos, from_polar
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import check_sampling
from twin.optics.source import focal_spread, source_offsets
from twin.optics.transfer import Imaging, envelope
from twin.sample.specimen import check_probe_fits
from twin.scattering.beams import Response
from twin.scattering.forms import Form, choose, forms
from twin.scattering.pieces import fitting
from twin.scattering.scene import Scene

SAMPLING = 0.1
"""Angstrom between points of the waves unless the scenario says otherwise."""
FOCI = 7
"""Values of C10 over which a focal spread of a probe is averaged."""
SOURCE_NODES = 5
"""Points along each axis over which the source of a probe that stays in place is averaged."""


class Ready(NamedTuple):
    """All that a simulation needs. ``tilt`` (x, y) radian is the specimen's, less the beam's.

    For probes: ``positions`` [p, 2] in angstrom and their ``weights`` [p] (1 each in a scan). ``responses`` weigh the beams for each of
    ``channels``, whose image is made in the ``form`` that suits the ``scene`` best; ``pixels`` is the camera of a pattern (None: the beams
    themselves, up to ``reach`` radian). ``fov`` (x, y) of the scan.
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


def make_ready(plan: Simulation) -> Ready:
    """Everything made and checked; BadInput that names the table at fault, the problem and the cure."""
    made = make_specimen(plan)
    extent, energy = made.specimen.extent, plan.beam.energy_keV * 1e3
    gpts, notes = _gpts(plan, extent), list(_notes(plan, made))
    tilt = tuple(1e-3 * (a - b) for a, b in zip(plan.specimen.tilt_mrad, plan.beam.tilt_mrad, strict=True))
    illumination = imaging = None
    if plan.signal in PROBES:
        illumination = _illumination(plan, made, gpts)
    elif plan.signal == "hrtem":
        imaging = _imaging(plan, gpts, extent)
        half = 0.25 * min(gpts[1] / extent[0], gpts[0] / extent[1])
        passed = float(envelope(imaging, np.array([half]), np.zeros(1))[0])
        if imaging.semiangle is None and passed > 0.05:
            notes.append(
                f"without an aperture, beams beyond {1e3 * half * wavelength(energy):.0f} mrad fold back: an image has twice the band of its wave"
            )
    channels, responses = _responses(plan, extent)
    pixels, reach = _camera_pixels(plan, gpts, extent)
    _check_angles_of(plan, pixels, gpts, extent)
    _check_damped(plan, reach or CUTOFF * 0.5 * wavelength(energy) * min(gpts[1] / extent[0], gpts[0] / extent[1]))
    positions, weights, fov = _positions(plan, made)
    if plan.beam.source > 0.0 and plan.scan is not None and not _periodic(fov, made):
        notes.append("the source blurs beyond a field of view that is not whole cells: its border is repeated outwards")
    size = _piece(plan, made, gpts, len(positions))
    scene = form = None
    if plan.signal == "stem" and illumination is not None:
        scene = Scene(
            made.specimen, gpts, made.slices, phonon_seeds(plan), (tilt[0], tilt[1]), made.one, made.repeats,
            tuple(potential_options(plan).items()),
        )  # fmt: skip
        form = _form(plan, scene, illumination, _axes(plan, fov), responses)
        if form.error > 1e-4:
            notes.append(
                f"the image is made in a part of the specimen around each probe: exact to {100 * form.error:.2f} %"
            )
    return Ready(
        plan, made, gpts, (tilt[0], tilt[1]), illumination, imaging, positions, weights, fov,
        channels, responses, scene, form, pixels, reach, size, tuple(notes),
    )  # fmt: skip


def _form(
    plan: Simulation,
    scene: Scene,
    beam: Illumination,
    axes: tuple[np.ndarray, np.ndarray],
    responses: tuple[Response, ...],
) -> Form:
    """The quickest form of a STEM image within the tolerance, or the one that is named; BadInput if there is none."""
    wanted = plan.compute
    found = forms(scene, beam, *axes, responses, FOCI, int(wanted.memory_MB * 1e6))
    named = [one for one in found if wanted.form in ("auto", one.name)]
    if not named:
        raise BadInput(
            "compute.form",
            f"{wanted.form!r} is not possible here; possible are {', '.join(sorted({one.name for one in found}))}",
            'Leave it "auto", or raise compute.memory_MB; "crystal" is for atoms at rest without vacancies.',
        )
    try:
        return choose(named, wanted.tolerance)
    except ValueError as error:
        raise from_twin("compute.tolerance", error, "Raise it, or choose another form.") from None


def vector(beam: BeamPlan) -> np.ndarray:
    """Aberrations [25] in angstrom, of names of Krivanek's, Cartesian or polar, and CEOS's; BadInput for a name that is none."""
    total = np.zeros(len(NAMES))
    if beam.defocus is not None:
        total += coefficients({"C10": -beam.defocus})
    for name, value in beam.aberrations.items():
        try:
            if isinstance(value, tuple | list):
                parts = from_ceos(name, *value) if name in CEOS else from_polar(name, *value)
            elif name in CEOS and CEOS[name][0] in NAMES:
                parts = from_ceos(name, value)
            else:
                parts = {name: value}
            total += coefficients(parts)
        except ValueError as error:
            cure = f"Or one of {', '.join(CEOS)}; those with an azimuth as [magnitude, azimuth], also C12, C21, C23 ..."
            raise from_twin(f"beam.aberrations.{name}", error, cure) from None
    return total


def _spread(beam: BeamPlan) -> float:
    """Focal spread, rms in angstrom."""
    if beam.cc is not None and beam.energy_spread is not None:
        return float(focal_spread(beam.cc, beam.energy_keV * 1e3, beam.energy_spread))
    return beam.focal_spread or 0.0


def _gpts(plan: Simulation, extent: tuple[float, float]) -> tuple[int, int]:
    if plan.grid.gpts is not None:
        return plan.grid.gpts
    sampling = plan.grid.sampling or SAMPLING
    ny, nx = (max(8, smooth(math.ceil(side / sampling - 1e-9))) for side in (extent[1], extent[0]))
    if max(ny, nx) > 16384:
        raise BadInput("grid.sampling", f"{sampling} angstrom makes {ny} x {nx} points", "Sample less finely.")
    return ny, nx


def _illumination(plan: Simulation, made: Made, gpts: tuple[int, int]) -> Illumination:
    beam, extent = plan.beam, made.specimen.extent
    given, spread = vector(beam), _spread(beam)
    energy, semiangle = beam.energy_keV * 1e3, 1e-3 * (beam.semiangle_mrad or 0.0)
    try:
        made_of = Illumination(given, energy, semiangle, focal_spread=spread, source=beam.source)
        check_probe_fits(extent, energy, semiangle, float(given[0]), made.specimen.thickness)
        for sign in (-1.0, 1.0):
            at = given.copy()
            at[0] += sign * 2.5 * spread
            check_sampling(at, gpts, extent, energy, semiangle)
    except ValueError as error:
        raise from_twin("beam", error, "Change the beam, or specimen.size and grid.gpts.") from None
    return made_of


def _imaging(plan: Simulation, gpts: tuple[int, int], extent: tuple[float, float]) -> Imaging:
    beam, lens = plan.beam, plan.lens
    band = CUTOFF * 0.5 * wavelength(beam.energy_keV * 1e3) * min(gpts[1] / extent[0], gpts[0] / extent[1])
    semiangle = None if lens is None or lens.aperture_mrad is None else 1e-3 * lens.aperture_mrad
    # an image has twice the band of its wave: half the grid's own is what the aperture may pass
    if semiangle is not None and semiangle > 0.75 * band:
        raise BadInput(
            "lens.aperture_mrad",
            f"images have twice the band of their waves: the grid samples those up to {0.75e3 * band:.1f} mrad, the aperture passes {1e3 * semiangle:.1f}",
            "Sample more finely ([grid] gpts or sampling), or close the aperture.",
        )
    try:
        return Imaging(
            vector(beam), beam.energy_keV * 1e3, semiangle,
            None if lens is None or lens.edge_mrad is None else 1e-3 * lens.edge_mrad,
            tilt=tuple(1e-3 * one for one in beam.tilt_mrad), focal_spread=_spread(beam),
            convergence=0.0 if lens is None else 1e-3 * lens.convergence_mrad,
            vibration=(0.0, 0.0, 0.0) if lens is None else (lens.vibration, lens.vibration, 0.0),
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("lens", error, "Change [lens] or [beam].") from None


def _responses(plan: Simulation, extent: tuple[float, float]) -> tuple[tuple[str, ...], tuple[Response, ...]]:
    """Names of a STEM image's channels, and the weights of the beams in each as functions of (kx, ky) in 1/angstrom."""
    if plan.signal != "stem":
        return (), ()
    length = wavelength(plan.beam.energy_keV * 1e3)
    step = length * 0.5 * (1.0 / extent[0] + 1.0 / extent[1])
    names: list[str] = []
    found: list[Response] = []
    for name, one in plan.detectors.items():
        try:
            if isinstance(one, AnnularPlan):
                offset = (1e-3 * one.offset_mrad[0], 1e-3 * one.offset_mrad[1])
                # a hole narrower than a step would be no hole
                ring = Annular(
                    1e-3 * one.inner_mrad, 1e-3 * one.outer_mrad, step if one.inner_mrad > 0.0 else 0.0, offset=offset
                )
                found.append(functools.partial(_weight, ring, length, None))
                names.append(name)
            elif isinstance(one, SegmentedPlan):
                cut = Segmented(
                    tuple(1e-3 * radius for radius in one.radii_mrad), one.sectors, one.rotation, step,
                    1e-3 * one.gap_mrad, offset=(1e-3 * one.offset_mrad[0], 1e-3 * one.offset_mrad[1]),
                )  # fmt: skip
                for ring_, sector in itertools.product(range(len(one.radii_mrad) - 1), range(one.sectors)):
                    found.append(functools.partial(_weight, cut, length, ring_ * one.sectors + sector))
                    names.append(f"{name} {ring_ + 1}.{sector + 1}")
        except ValueError as error:
            raise from_twin(f"detectors.{name}", error, "Change its angles.") from None
    return tuple(names), tuple(found)


def _weight(
    detector: Annular | Segmented, length: float, segment: int | None, kx: np.ndarray, ky: np.ndarray
) -> np.ndarray:
    weights = np.asarray(detector.weights(kx, ky, length))
    return weights if segment is None else weights.reshape(-1, *weights.shape[-2:])[segment]


def _camera_pixels(
    plan: Simulation, gpts: tuple[int, int], extent: tuple[float, float]
) -> tuple[Pixelated | None, float | None]:
    """The camera of a pattern, or the angle up to which the beams themselves are kept."""
    for name, one in plan.detectors.items():
        if not isinstance(one, PixelatedPlan):
            continue
        if one.reach_mrad is not None:
            band = CUTOFF * 0.5 * wavelength(plan.beam.energy_keV * 1e3) * min(gpts[1] / extent[0], gpts[0] / extent[1])
            if 1e-3 * one.reach_mrad > band:
                raise BadInput(
                    f"detectors.{name}.reach_mrad",
                    f"the grid carries {1e3 * band:.1f} mrad",
                    "Ask for less, or sample more finely.",
                )
            return None, 1e-3 * one.reach_mrad
        if one.shape is not None and one.pixel_mrad is not None:
            offset = (1e-3 * one.offset_mrad[0], 1e-3 * one.offset_mrad[1])
            spread = (1e-6, 1e-6) if plan.signal == "diffraction" and plan.lens is None else None
            return Pixelated(one.shape, 1e-3 * one.pixel_mrad, offset, one.rotation, spread), None
    return None, None


def _check_angles_of(
    plan: Simulation, pixels: Pixelated | None, gpts: tuple[int, int], extent: tuple[float, float]
) -> None:
    """BadInput for a detector that reaches beyond what the grid carries."""
    length = wavelength(plan.beam.energy_keV * 1e3)
    for name, one in plan.detectors.items():
        if isinstance(one, PixelatedPlan):
            continue
        outer = one.outer_mrad if isinstance(one, AnnularPlan) else max(one.radii_mrad)
        try:
            check_angles(1e-3 * outer, gpts, extent, length, (1e-3 * one.offset_mrad[0], 1e-3 * one.offset_mrad[1]))
        except ValueError as error:
            raise from_twin(f"detectors.{name}", error, "Points are [grid] gpts.") from None
    if pixels is not None:
        carried = (CUTOFF - TAPER) * 0.5 * length * min(gpts[1] / extent[0], gpts[0] / extent[1])
        side = 0.5 * max(pixels.shape) * pixels.pixel
        if side + max(abs(float(one)) for one in pixels.offset) > 2.0 * carried:
            raise BadInput(
                "detectors", f"the camera reaches {1e3 * side:.0f} mrad, the grid carries {1e3 * carried:.0f}",
                "Use smaller pixels or fewer, or sample more finely.",
            )  # fmt: skip


def _check_damped(plan: Simulation, reach: float) -> None:
    """BadInput for signals at high angles from a potential that thermal motion only damps: the diffuse scattering they consist of is not in it."""
    if plan.specimen.thermal == "none" or plan.beam.semiangle_mrad is None or plan.signal != "stem":
        return
    limit = 2.0 * plan.beam.semiangle_mrad
    for name, one in plan.detectors.items():
        outer = one.outer_mrad if isinstance(one, AnnularPlan) else max(getattr(one, "radii_mrad", [0.0]))
        if outer > limit:
            raise BadInput(
                f"detectors.{name}",
                f"reaches {outer:g} mrad, where signals are diffuse scattering, and thermal = {plan.specimen.thermal!r} leaves that out",
                f"Give [specimen.phonons] instead of thermal, or stay within {limit:g} mrad (twice the convergence).",
            )


def _periodic(fov: tuple[float, float], made: Made) -> bool:
    """Whether the field of view is whole cells, so that the image goes on at its other side."""
    return all(abs(side / cell - round(side / cell)) < 1e-6 for side, cell in zip(fov, made.unit[:2], strict=True))


def _axes(plan: Simulation, fov: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Positions x and y of a scan in angstrom."""
    assert plan.scan is not None
    (ny, nx), start = plan.scan.shape, plan.scan.start
    return start[0] + np.arange(nx) * fov[0] / nx, start[1] + np.arange(ny) * fov[1] / ny


def _positions(plan: Simulation, made: Made) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Positions [p, 2] (x, y) in angstrom, their weights [p], and the field of view."""
    if plan.scan is not None:
        ny, nx = plan.scan.shape
        fov = plan.scan.fov or (made.unit[0], made.unit[1])
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


def camera_of(plan: Simulation) -> Camera | None:
    """The camera that makes counts, or None where electrons themselves are counted."""
    one = plan.camera
    if one is None:
        return None
    terms = tuple(one.gaussians), tuple(one.lorentzians)
    mtf = Mixture(*terms, one.floor) if any(terms) or one.floor > 0.0 else Mixture(floor=1.0)
    try:
        return Camera(
            mtf, None, one.efficiency, one.gain, None, one.dark, one.dark_noise, one.readout,
            math.inf if one.saturation is None else one.saturation,
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("camera", error, "Change [camera].") from None


def _notes(plan: Simulation, made: Made) -> list[str]:
    """What the user should know of the specimen that was made."""
    notes, wanted = [], plan.specimen
    thick = made.specimen.thickness
    if wanted.thickness is not None and abs(thick - wanted.thickness) > 0.05:
        notes.append(f"the specimen is {thick:.2f} angstrom thick: {round(thick / made.unit[2])} whole cells")
    if made.cell.strain > 1e-6:
        notes.append(f"the cell was strained by {100 * made.cell.strain:.3f} % to make it orthogonal")
    if wanted.phonons is None and wanted.thermal == "none":
        notes.append("atoms are at rest: there is no thermal diffuse scattering")
    return notes
