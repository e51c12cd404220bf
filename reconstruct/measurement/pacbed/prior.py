"""What is known of a pattern's parameters before it is fitted, and how much farther the fit looks where the pattern contradicts that."""

import dataclasses
import math

import numpy as np

from reconstruct.measurement.pacbed.model import INDEX, NAMES, Frame

STATED = ("thickness", "tilt.x", "tilt.y", "semiangle", "scale", "rotation")
"""Parameters of which a user states something."""
UNSEEN = ("ellipticity.x", "ellipticity.xy", "spread.x", "spread.y", "background", "amorphous", "vacuum")
"""Parameters of the camera and the specimen of which little is expected, and which a pattern may ask for."""
NOT_BELOW = {
    "background": -0.05,
    "diffuse": 0.0,
    "amorphous": -0.05,
    "thermal": 0.3,
    "spread.x": -0.3,
    "spread.y": -0.3,
    "vacuum": -2e-3,
}
NOT_ABOVE = {"background": 0.95, "amorphous": 0.8, "vacuum": 0.95}
BOUND = 6.0
"""Standard deviations of the prior that are searched."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """``mean``, ``sd``, ``low`` and ``high`` [18] of `NAMES`: a Gaussian, and the bounds of the search."""

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def deviation(self, theta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Standard deviations [18] between what was expected and ``theta`` with its ``covariance`` under another prior."""
        return np.abs(theta - self.mean) / np.sqrt(self.sd**2 + np.diag(covariance))


def prior_of(
    frame: Frame,
    thickness: tuple[float, float],
    tilt: tuple[float, float],
    tilt_error: float,
    semiangle_error: float,
    electrons: float,
) -> Prior:
    """As it is stated: thickness (mean, standard error) in angstrom, tilts in radian, relative error of the semi-angle; ``electrons`` are all that were
    counted."""
    geometry, library = frame.geometry, frame.library
    centre = geometry.centre or (0.0, 0.0)
    about = {
        "thickness": thickness, "tilt.x": (tilt[0], tilt_error), "tilt.y": (tilt[1], tilt_error),
        "semiangle": (library.semiangle, semiangle_error * library.semiangle),
        "centre.x": (centre[0], geometry.centre_error), "centre.y": (centre[1], geometry.centre_error), "scale": (1.0, geometry.scale_error),
        "ellipticity.x": (geometry.ellipticity[0], geometry.ellipticity_error),
        "ellipticity.xy": (geometry.ellipticity[1], geometry.ellipticity_error),
        "rotation": (geometry.rotation, geometry.rotation_error), "spread.x": (0.0, 0.2), "spread.y": (0.0, 0.2),
        "electrons": (math.log(max(1.05 * electrons, 1.0)), 0.5), "background": (0.01, 0.03), "diffuse": (1.0, 0.2), "amorphous": (0.02, 0.03),
        "thermal": (1.0, 0.25), "vacuum": (0.0, 1e-3),
    }  # fmt: skip
    mean, sd = np.array([about[name] for name in NAMES]).T
    return _bounded(frame, mean, sd)


def widened(frame: Frame, prior: Prior, names: tuple[str, ...]) -> Prior:
    """``prior`` with ``names`` as open as if nothing had been stated of them."""
    library = frame.library
    span = (library.thickest - library.thinnest) / math.sqrt(12.0)
    wide = {
        "thickness": span, "tilt.x": library.tilted, "tilt.y": library.tilted, "semiangle": 0.15 * library.semiangle, "scale": 0.15,
        "rotation": 0.3, "ellipticity.x": 0.05, "ellipticity.xy": 0.05, "spread.x": 4.0, "spread.y": 4.0, "background": 0.3, "amorphous": 0.3, "vacuum": 0.3,
    }  # fmt: skip
    sd = prior.sd.copy()
    for name in names:
        sd[INDEX[name]] = max(sd[INDEX[name]], wide[name])
    return _bounded(frame, prior.mean, sd)


def _bounded(frame: Frame, mean: np.ndarray, sd: np.ndarray) -> Prior:
    library = frame.library
    low, high = mean - BOUND * sd, mean + BOUND * sd
    for name, value in NOT_BELOW.items():
        low[INDEX[name]] = max(low[INDEX[name]], value)
    for name, value in NOT_ABOVE.items():
        high[INDEX[name]] = min(high[INDEX[name]], value)
    low[0], high[0] = library.thinnest, library.thickest
    for name in ("tilt.x", "tilt.y"):
        low[INDEX[name]], high[INDEX[name]] = -library.tilted, library.tilted
    # directions of the library within the aperture of a tilted crystal
    at, widest = INDEX["semiangle"], library.widest
    low[at], high[at] = max(low[at], 0.5 * library.semiangle), min(high[at], widest)
    at = INDEX["scale"]
    low[at], high[at] = max(low[at], 0.5), min(high[at], 2.0)
    return Prior(np.clip(mean, low, high), sd, low, high)
