"""Beam, lens and grid of a simulation, made and checked."""

import math

import numpy as np

from twin.errors import BadInput, from_twin
from twin.grid import CUTOFF, smooth
from twin.optics.aberrations import CEOS, NAMES, cartesian, coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import Edge, check_sampling
from twin.optics.source import focal_spread
from twin.optics.transfer import Imaging
from twin.sample.specimen import probe_diameter
from twin.simulation.plan.tables import BeamPlan, Simulation
from twin.simulation.specimen import Made

HUGE = 1e12
"""Angstrom of an aberration at most."""
LARGEST = 16384
"""Points along an axis."""
SAMPLING = 0.1
"""Angstrom between points of the waves unless the scenario says otherwise."""


def vector(beam: BeamPlan) -> np.ndarray:
    """Aberrations [25] in angstrom, of names of Krivanek's, Cartesian or polar, and CEOS's; BadInput for a name that is none."""
    total = np.zeros(len(NAMES))
    if beam.defocus is not None:
        total += coefficients({"C10": -beam.defocus})
    for name, value in beam.aberrations.items():
        size = value[0] if isinstance(value, tuple | list) else value
        if abs(size) > HUGE:
            raise BadInput(f"beam.aberrations.{name}", f"is {size:g} angstrom", f"Give at most {HUGE:g} angstrom.")
        if isinstance(value, tuple | list) and abs(value[1]) > 2.0 * math.pi:
            right = math.radians(value[1])
            cure = f"Is that in degrees? Write {name} = [{value[0]:g}, {right:.4g}]."
            raise BadInput(f"beam.aberrations.{name}", f"its azimuth is {value[1]:g} radian, more than a turn", cure)
        try:
            total += coefficients(cartesian(name, value))
        except ValueError as error:
            cure = f"Give one of {', '.join(NAMES)}; or, those with an azimuth as [magnitude, azimuth in radian], C12, C21, C23 ... or {', '.join(CEOS)}."
            problem = str(error).partition(";")[0]
            raise BadInput(f"beam.aberrations.{name}", problem, cure) from None
    return total


def _spread(beam: BeamPlan) -> float:
    """Focal spread, rms in angstrom."""
    if beam.cc is not None and beam.energy_spread is not None:
        return float(focal_spread(beam.cc, beam.energy_keV * 1e3, beam.energy_spread))
    return beam.focal_spread or 0.0


def grid_of(plan: Simulation, extent: tuple[float, float]) -> tuple[int, int]:
    if plan.grid.gpts is not None:
        return plan.grid.gpts
    sampling = plan.grid.sampling or SAMPLING
    if max(extent) / sampling > LARGEST:
        raise BadInput(
            "grid.sampling",
            f"{sampling:g} angstrom over {extent[0]:.4g} x {extent[1]:.4g} angstrom (x, y) makes more than {LARGEST} points",
            "Sample less finely, or give a smaller specimen.size or specimen.repeats.",
        )
    ny, nx = (max(8, smooth(math.ceil(side / sampling - 1e-9))) for side in (extent[1], extent[0]))
    return ny, nx


def edge_of(signal: str) -> Edge:
    """The aperture's edge of a ``signal``: images are made of products of amplitudes, patterns show the disk itself."""
    return True if signal == "stem" else "electrons"


def illumination_of(plan: Simulation, made: Made, gpts: tuple[int, int]) -> Illumination:
    beam, extent = plan.beam, made.specimen.extent
    given, spread = vector(beam), _spread(beam)
    energy, semiangle = beam.energy_keV * 1e3, 1e-3 * (beam.semiangle_mrad or 0.0)
    band = CUTOFF * 0.5 * wavelength(energy) * min(gpts[1] / extent[0], gpts[0] / extent[1])
    if semiangle > band:
        finest = 0.5 * CUTOFF * wavelength(energy) / semiangle
        raise BadInput(
            "beam.semiangle_mrad",
            f"the aperture reaches {1e3 * semiangle:.3g} mrad, and the grid carries {1e3 * band:.3g} mrad",
            f"Give grid.sampling = {finest:.2g} or less, or a smaller angle.",
        )
    _check_room(beam, extent, float(given[0]), made.specimen.thickness)
    try:
        made_of = Illumination(given, energy, semiangle, edge_of(plan.signal), spread, beam.source)
        for sign in (-1.0, 1.0):
            at = given.copy()
            at[0] += sign * 2.5 * spread
            check_sampling(at, gpts, extent, energy, semiangle)
    except ValueError as error:
        key = "beam.aberrations" if beam.aberrations else "beam.focal_spread" if spread else "beam.defocus"
        raise from_twin(key, error, "Give smaller aberrations, or a larger specimen.size.") from None
    return made_of


def _check_room(beam: BeamPlan, extent: tuple[float, float], c10: float, thickness: float) -> None:
    """BadInput for a probe wider than the specimen's periodic cell ``extent`` (x, y) angstrom, in which it would meet its own images."""
    assert beam.semiangle_mrad is not None
    needed = probe_diameter(beam.energy_keV * 1e3, 1e-3 * beam.semiangle_mrad, c10, thickness)
    if min(extent) >= needed:
        return
    wide = f"beam.semiangle_mrad = {beam.semiangle_mrad:g}" + (f", C10 = {c10:g} angstrom" if c10 else "")
    problem = f"the probe needs {needed:.4g} angstrom ({wide}), and the specimen is {extent[0]:.4g} x {extent[1]:.4g} angstrom (x, y)"
    cure = f"Give specimen.size = [{math.ceil(needed)}, {math.ceil(needed)}]" + (
        ", or bring the defocus nearer to zero." if abs(c10) > thickness else "."
    )
    raise BadInput("beam.defocus" if abs(c10) > thickness else "specimen.size", problem, cure)


def imaging_of(plan: Simulation, gpts: tuple[int, int], extent: tuple[float, float]) -> Imaging:
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
            tilt=tuple(1e-3 * angle for angle in beam.tilt_mrad), focal_spread=_spread(beam),
            convergence=0.0 if lens is None else 1e-3 * lens.convergence_mrad,
            vibration=(0.0, 0.0, 0.0) if lens is None else (lens.vibration, lens.vibration, 0.0),
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("lens", error, "Change [lens].") from None
