"""Beam, lens and grid of a simulation, made and checked."""

import math

import numpy as np

from scenarios.errors import BadInput, from_twin
from scenarios.simulate.plan import BeamPlan, Simulation
from scenarios.simulate.specimen import Made
from twin.grid import CUTOFF, smooth
from twin.optics.aberrations import CEOS, NAMES, coefficients, from_ceos, from_polar
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import check_sampling
from twin.optics.source import focal_spread
from twin.optics.transfer import Imaging
from twin.sample.specimen import check_probe_fits

SAMPLING = 0.1
"""Angstrom between points of the waves unless the scenario says otherwise."""


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


def grid_of(plan: Simulation, extent: tuple[float, float]) -> tuple[int, int]:
    if plan.grid.gpts is not None:
        return plan.grid.gpts
    sampling = plan.grid.sampling or SAMPLING
    ny, nx = (max(8, smooth(math.ceil(side / sampling - 1e-9))) for side in (extent[1], extent[0]))
    if max(ny, nx) > 16384:
        raise BadInput("grid.sampling", f"{sampling} angstrom makes {ny} x {nx} points", "Sample less finely.")
    return ny, nx


def illumination_of(plan: Simulation, made: Made, gpts: tuple[int, int]) -> Illumination:
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
            tilt=tuple(1e-3 * one for one in beam.tilt_mrad), focal_spread=_spread(beam),
            convergence=0.0 if lens is None else 1e-3 * lens.convergence_mrad,
            vibration=(0.0, 0.0, 0.0) if lens is None else (lens.vibration, lens.vibration, 0.0),
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("lens", error, "Change [lens] or [beam].") from None
