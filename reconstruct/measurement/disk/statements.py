"""What is stated of a disk's scale, one number against another: semi-angle = radius x angle of a pixel, and angle of a pixel = its side / camera length."""

import math
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.recorded.claims import MAX_DEVIATION

Known = tuple[float, float]
"""Mean and standard deviation."""
DEFAULT_SEMIANGLE = (20e-3, 20e-3)
"""Mean and spread in radian of the semi-angle of a probe of which nothing is known."""
PRODUCT_ONLY = "one disk determines only semi-angle times camera length: give one of them"
CONTRADICTED = "what is stated of the scale contradicts itself"


class Scale(NamedTuple):
    """What is known of a pattern's scale: the detector's ``pixel`` and its ``camera_length`` in angstrom, ``pixel_angle`` and ``semiangle`` in radian."""

    pixel: float
    camera_length: Known | None = None
    semiangle: Known | None = None
    pixel_angle: Known | None = None

    def check(self) -> None:
        """ValueError for a number that is none."""
        if not (math.isfinite(self.pixel) and self.pixel > 0.0):
            raise ValueError(
                f"pixel is {self.pixel} angstrom; give the detector's pixel, above 0 (1e4 is a micrometre)"
            )
        for name in ("camera_length", "semiangle", "pixel_angle"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value).all() and value[0] > 0.0 and value[1] > 0.0):
                raise ValueError(f"{name} is {value}; give its mean and standard deviation, both above 0, or None")

    @property
    def lengths(self) -> list[tuple[float, float]]:
        """(logarithm, its standard deviation) of the camera length in angstrom, from each number that tells it."""
        result = []
        if self.camera_length is not None:
            result.append((math.log(self.camera_length[0]), self.camera_length[1] / self.camera_length[0]))
        if self.pixel_angle is not None:
            result.append((math.log(self.pixel / self.pixel_angle[0]), self.pixel_angle[1] / self.pixel_angle[0]))
        return result


class Angles(NamedTuple):
    """(semiangle, camera_length) ``mean`` [2], covariance [3, 3] of the logarithms of (radius, semiangle, camera_length), what is ``undetermined`` of the two,
    and the ``contradictions`` of what is stated."""

    mean: np.ndarray
    covariance: np.ndarray
    undetermined: dict[str, str]
    contradictions: tuple[str, ...]


def angles_of(radius: float, std: float, scale: Scale) -> Angles:
    """Semi-angle and camera length of a disk whose ``radius`` in pixels has an error ``std``."""
    contradictions = _contradictions(radius, std, scale)
    angle = scale.semiangle or DEFAULT_SEMIANGLE
    lengths = scale.lengths or [(math.log(radius * scale.pixel / angle[0]), 2.0)]
    weights = np.array([1.0 / error**2 for _, error in lengths])
    length = float(weights @ [value for value, _ in lengths]) / weights.sum()
    prior, centre = np.diag([(angle[1] / angle[0]) ** 2, 1.0 / weights.sum()]), np.array([math.log(angle[0]), length])
    row, noise = np.array([1.0, 1.0]), std / radius
    if contradictions:
        # neither number can be trusted: as wide as they differ
        prior = prior + (math.log(radius * scale.pixel) - row @ centre) ** 2 * np.eye(2)
        if len(lengths) > 1:
            prior[1, 1] += (lengths[0][0] - lengths[1][0]) ** 2
        joint = np.zeros((3, 3))
        joint[0, 0], joint[1:, 1:] = noise**2, prior
        return Angles(
            np.exp(centre), joint, dict.fromkeys(("semiangle", "camera_length"), CONTRADICTED), contradictions
        )
    gain = prior @ row / (row @ prior @ row + noise**2)
    mean = centre + gain * (math.log(radius * scale.pixel) - row @ centre)
    # the radius is measured: its logarithm goes with the two by the same gain
    joint = np.zeros((3, 3))
    joint[1:, 1:] = prior - np.outer(gain, row @ prior)
    joint[0, 0] = noise**2
    joint[0, 1:] = joint[1:, 0] = gain * noise**2
    open_ = not scale.lengths and scale.semiangle is None
    return Angles(np.exp(mean), joint, dict.fromkeys(("semiangle", "camera_length"), PRODUCT_ONLY) if open_ else {}, ())


def _contradictions(radius: float, std: float, scale: Scale) -> tuple[str, ...]:
    """Each pair of stated numbers that the disk, or they themselves, contradict."""
    sentences = []
    length, angle, pixel_angle = scale.camera_length, scale.semiangle, scale.pixel_angle
    measured = f"the disk's radius of {radius:.5g} ± {std:.2g} pixels"
    if length is not None and pixel_angle is not None:
        made = scale.pixel / length[0]
        deviation = _deviation(math.log(made / pixel_angle[0]), pixel_angle, length)
        if deviation > MAX_DEVIATION:
            sentences.append(
                f"a pixel of {_mrad(pixel_angle)} is stated, but one of {scale.pixel / 1e4:.4g} µm at a camera length of {_mm(length)} is "
                f"{made * 1e3:.4g} mrad: {deviation:.3g} standard errors apart"
            )
    if angle is not None and pixel_angle is not None:
        made = radius * pixel_angle[0]
        deviation = _deviation(math.log(made / angle[0]), angle, pixel_angle, (radius, std))
        if deviation > MAX_DEVIATION:
            sentences.append(
                f"a semi-angle of {_mrad(angle)} is stated, but {measured} at {_mrad(pixel_angle)} a pixel is {made * 1e3:.4g} mrad: "
                f"{deviation:.3g} standard errors apart"
            )
    if angle is not None and length is not None:
        made = radius * scale.pixel / angle[0]
        deviation = _deviation(math.log(made / length[0]), angle, length, (radius, std))
        if deviation > MAX_DEVIATION:
            sentences.append(
                f"a camera length of {_mm(length)} is stated, but {measured} and a semi-angle of {_mrad(angle)} make it {made / 1e7:.4g} mm: "
                f"{deviation:.3g} standard errors apart"
            )
    return tuple(sentences)


def _deviation(difference: float, *numbers: Known) -> float:
    return abs(difference) / math.sqrt(sum((error / value) ** 2 for value, error in numbers))


def _mrad(known: Known) -> str:
    return f"{known[0] * 1e3:.4g} ± {known[1] * 1e3:.2g} mrad"


def _mm(known: Known) -> str:
    return f"{known[0] / 1e7:.4g} ± {known[1] / 1e7:.2g} mm"
