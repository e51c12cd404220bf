"""Prior of optics, specimen, detector and scan for HAADF images."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from reconstruct.measurement.haadf.model import OPTICS, POSITION, SHARED
from twin.checks import finite, not_negative, positive, require
from twin.image.microscope import TAIL_WIDTH, Calibration
from twin.optics.aberrations import NAMES, index
from twin.scattering.gram.model import GramModel, widest_semiangle

Known = tuple[float, float]
"""Mean and standard error."""
ABERRATIONS: dict[str, Known] = {
    "C10": (0.0, 100.0), "C12a": (0.0, 30.0), "C12b": (0.0, 30.0), "C21a": (0.0, 200.0), "C21b": (0.0, 200.0),
    "C23a": (0.0, 100.0), "C23b": (0.0, 100.0), "C30": (0.0, 1e4),
}  # fmt: skip
"""Of a corrected probe a while after its tableau, angstrom."""


@dataclasses.dataclass(frozen=True)
class HaadfPrior:
    """(mean, standard error) of ``aberrations`` (angstrom, axes of the scan; those left out are as in `ABERRATIONS`, others 0), ``thickness`` (angstrom; None:
    anywhere in the model), ``source`` (rms angstrom, jitter quicker than a line included), its ``tail`` (share in tails), ``tail_width`` (rms of the
    tails over that of the core) and ``focal_spread`` (rms angstrom); specimen ``tilt`` (x, y; radian, crystal's axes) with ``tilt_error``.

    Standard errors: ``blur`` (angstrom^2) of how unevenly jitter and tilt blur; ``semiangle`` (relative) of the model's; ``gain`` (relative) and ``black``
    (counts) of the calibration; ``pixel`` (relative) of the nominal pixel; ``skew`` of the shear and of the ratio of the pixel's sides, drift included,
    ``scanner`` of both without drift; ``drift`` (angstrom per second and axis).
    """

    aberrations: Mapping[str, Known] = dataclasses.field(default_factory=dict)
    thickness: Known | None = None
    source: Known = (0.35, 0.1)
    tail: Known = (0.1, 0.05)
    tail_width: Known = (TAIL_WIDTH, 1.0)
    focal_spread: Known = (22.0, 5.0)
    tilt: tuple[float, float] = (0.0, 0.0)
    tilt_error: float = 2e-3
    semiangle: float = 0.01
    blur: float = 0.015
    gain: float = 0.05
    black: float = 5.0
    pixel: float = 0.03
    skew: float = 0.03
    scanner: float = 0.005
    drift: float = 0.5

    def __post_init__(self):
        unknown = sorted(set(self.aberrations) - set(NAMES))
        if unknown:
            raise ValueError(
                f"aberrations {', '.join(unknown)} are unknown; the names are {', '.join(NAMES)}, in angstrom"
            )
        unfitted = [name for name, (_, error) in self.aberrations.items() if name not in OPTICS and error != 0.0]
        if unfitted:
            raise ValueError(
                f"{', '.join(unfitted)} cannot be fitted; give them an error of 0, or fit {', '.join(OPTICS)}"
            )
        pairs = {**self.aberrations, "source": self.source, "tail": self.tail, "focal_spread": self.focal_spread}
        pairs["tail_width"] = self.tail_width
        if self.thickness is not None:
            pairs["thickness"] = self.thickness
        for name, (mean, error) in pairs.items():
            finite(name, mean, "give (mean, standard error)")
            not_negative(name, error, "give (mean, standard error), 0 for what is known")
        require(self.aberration("C10")[1] > 0.0, "C10 has no error; images measure it: give (mean, standard error)")
        for name in ("source", "focal_spread"):
            not_negative(name, pairs[name][0], "give the rms in angstrom")
        finite("tilt", self.tilt, "give the specimen tilt (x, y) in radian")
        for name in ("tilt_error", "semiangle", "blur", "gain", "black", "pixel", "skew", "scanner", "drift"):
            positive(name, getattr(self, name), "give the standard error of what is known, above zero")

    def aberration(self, name: str) -> Known:
        """(mean, standard error) of an aberration."""
        return self.aberrations.get(name, ABERRATIONS.get(name, (0.0, 0.0)))

    def fixed_aberrations(self) -> np.ndarray:
        """Aberrations [25] in angstrom that are not fitted."""
        coefficients = np.zeros(len(NAMES))
        for name in set(NAMES) - set(OPTICS):
            coefficients[index(name)] = self.aberration(name)[0]
        return coefficients

    def thickness_prior(self, model: GramModel) -> Known:
        """(mean, standard error) of the thickness; ValueError if the model does not hold it."""
        low, high = model.thickness_range
        if self.thickness is None:
            return 0.5 * (low + high), max((high - low) / math.sqrt(12.0), 0.0)
        mean, error = self.thickness
        if not low <= mean <= high:
            raise ValueError(
                f"thickness is {mean} angstrom and the model holds {low:.1f} to {high:.1f}; build one for it"
            )
        return mean, error

    def mean_and_std(self, model: GramModel, images: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard error of `SHARED` and of every image's `POSITION`."""
        known: dict[str, Known] = {name: self.aberration(name) for name in OPTICS}
        tilt_std = self.tilt_error if model.tilt_range > 0.0 else 0.0
        semiangle_std = self.semiangle if widest_semiangle(model) > 1.01 * model.semiangle else 0.0
        known |= {
            "thickness": self.thickness_prior(model), "tilt.x": (self.tilt[0], tilt_std), "tilt.y": (self.tilt[1], tilt_std),
            "semiangle": (0.0, semiangle_std),
            "focal_spread": self.focal_spread, "source": self.source, "tail": self.tail,
            "tail_width": self.tail_width, "blur.x": (0.0, self.blur),
            "blur.xy": (0.0, self.blur), "scale": (0.0, self.gain), "black": (0.0, self.black),
        }  # fmt: skip
        pairs = [known[name] for name in SHARED]
        pairs += [(0.0, max(model.cell)) for _ in range(images) for _ in POSITION]
        mean, sd = np.array(pairs).T
        return mean, sd


def nominal_counts(calibration: Calibration, electrons: float) -> float:
    """Counts above black that the whole beam makes in a pixel of so many ``electrons``."""
    return float(calibration.gain) * electrons
