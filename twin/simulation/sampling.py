"""What the grid of a simulation leaves out of the signal that it is for: estimated on one cell of the crystal, and told in words."""

from typing import Any, NamedTuple

import numpy as np

from twin.grid import CUTOFF, TAPER, nyquist
from twin.optics.transfer import envelope, objective_aperture
from twin.scattering.grid_error import WEAK_BEAM_INTENSITIES, GridComparison, compare_grids
from twin.scattering.stem.by_probes import OVERSAMPLING
from twin.simulation.losses import disk
from twin.simulation.plan.tables import PROBES
from twin.simulation.ready import Ready
from twin.simulation.specimen import column, phonon_seeds, potential_options


class Sampling(NamedTuple):
    """``points``: distance (x, y) of grid points in angstrom; ``band``: largest angle that the grid carries, in radian; ``beyond``: share of the beam
    scattered beyond it; ``errors``: by what is recorded, as a share of it; ``weak``: the error of weak beams, or None."""

    points: tuple[float, float]
    band: float
    beyond: float
    errors: dict[str, float]
    weak: float | None

    @property
    def worst(self) -> tuple[str, float]:
        """What is recorded with the largest error, and that error."""
        return max(self.errors.items(), key=lambda item: item[1])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files and ``--json``."""
        x, y = self.points
        points = f"{x:.3f} Å" if abs(x - y) < 5e-4 else f"{x:.3f} x {y:.3f} Å"
        name, error = self.worst
        weak = (
            f", {percent(self.weak)} in weak beams ({WEAK_BEAM_INTENSITIES[0]:g} to {WEAK_BEAM_INTENSITIES[1]:g} of the beam)"
            if self.weak
            else ""
        )
        band = f"up to {1e3 * self.band:.0f} mrad"
        return {
            "points": [x, y], "band_mrad": 1e3 * self.band, "beyond_band": self.beyond, "errors": self.errors, "weak_beams": self.weak,
            "described": f"{points}, {band}; estimated error of the {name} {percent(error)}{weak}",
        }  # fmt: skip


def sampling_of(ready: Ready) -> Sampling:
    """How far the signal of ``ready`` is from what a grid twice as fine would give."""
    plan, (ny, nx), (x, y) = ready.plan, ready.gpts, ready.extent
    repeats, seeds = ready.made.repeats, phonon_seeds(plan)
    semiangle = 0.0 if ready.illumination is None else float(ready.illumination.semiangle)
    comparison = compare_grids(
        column(plan, ready.made), (max(8, ny // repeats[1]), max(8, nx // repeats[0])), ready.made.slices, ready.energy,
        semiangle, ready.tilt, seeds[0] if seeds else None, OVERSAMPLING if plan.signal in PROBES else 1,
        tuple(potential_options(plan).items()),
    )  # fmt: skip
    band = (CUTOFF - TAPER) * nyquist(ready.gpts, ready.extent) * ready.wavelength
    errors, weak = _errors(ready, comparison)
    return Sampling((x / nx, y / ny), band, comparison.outside_band, errors, weak)


def _errors(ready: Ready, comparison: GridComparison) -> tuple[dict[str, float], float | None]:
    """Of each channel, of the image, of the wave or of the pattern; and of weak beams where beams are recorded."""
    signal = ready.plan.signal
    if signal == "stem":
        # of a map, what the waves within its collection angle have
        apertures = [disk(window.collection / ready.wavelength) for window in ready.windows]
        named = zip(ready.channels, (*ready.responses, *apertures), strict=True)
        return {name: comparison.detector_error(response) for name, response in named}, None
    if signal == "exit-wave":
        return {"scattered wave": comparison.wave_error()}, None
    if signal == "hrtem":
        return {
            "scattered wave that the lens passes": comparison.wave_error(lambda kx, ky: _passed(ready, kx, ky))
        }, None
    reach = np.inf if ready.reach is None else ready.reach / ready.wavelength
    if ready.pixels is not None:
        reach = 0.5 * max(ready.pixels.shape) * float(ready.pixels.pixel) / ready.wavelength
    return {"diffracted intensity": comparison.pattern_error(reach)}, comparison.weak_beam_error(reach)


def _passed(ready: Ready, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """The share of each amplitude that aperture and coherence leave."""
    assert ready.imaging is not None
    x, y = np.ravel(kx), np.ravel(ky)
    share = objective_aperture(ready.imaging, x, y) * envelope(ready.imaging, x, y)
    return np.asarray(share).reshape(np.shape(kx))


def warning(sampling: Sampling, tolerance: float) -> str | None:
    """What to do about an error above the ``tolerance``; None where it is not."""
    name, error = sampling.worst
    if error <= tolerance:
        return None
    finer = 0.5 * max(sampling.points)
    return (
        f"the grid's estimated error of the {name} is {percent(error)}, above grid.tolerance = {tolerance:g}: "
        f"{percent(sampling.beyond)} of the beam is scattered beyond the {1e3 * sampling.band:.0f} mrad that it carries; "
        f"sample more finely (grid.sampling = {finer:.2g} halves the distance of its points)"
    )


def percent(share: float) -> str:
    """A share in percent, of two figures."""
    return f"{100.0 * share:.2g} %" if share < 0.995 else "100 %"
