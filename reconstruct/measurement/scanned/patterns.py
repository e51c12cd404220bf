"""Quantities of single diffraction patterns: centre of mass, and counts of a virtual annular detector, with their variances by counting."""

import abc
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reconstruct.measurement.rotation.centres import camera_defects, moments
from reconstruct.measurement.scanned.names import QuantityName
from reconstruct.measurement.scanned.noise import gain_by_patterns
from twin.detection.regions import ring
from twin.errors import BadInput
from twin.optics.electrons import wavelength
from twin.records import Axis

if TYPE_CHECKING:
    from reconstruct.measurement.scanned.quantity import PixelData

AT_CORNER = 0.02
"""Share of a camera's side within which the origin of its axes lies at its corner: then it is no place of the direct beam."""
MOST_FILLED = 0.1
"""Share of a pattern's pixels that may hold no number."""


class Angles(NamedTuple):
    """Of a camera: what a row and a column span (``steps``, y x) in ``unit`` ("radian" or "pixel"), and row and column (``origin``) of the direct beam; None
    where the recording does not say."""

    steps: tuple[float, float]
    unit: str
    origin: tuple[float, float] | None

    def along(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Angles (y, x) of rows and columns from the direct beam."""
        origin = self.origin or tuple(0.5 * (size - 1) for size in shape)
        y, x = (step * (np.arange(size) - at) for step, size, at in zip(self.steps, shape, origin, strict=True))
        return y, x


def pattern_quantity(name: QuantityName, data: "PixelData") -> "_OfPatterns":
    """The quantity called ``name`` of patterns with such axes. BadInput for angles on a camera whose pixels have none."""
    angles = angles_of(data)
    if name.form != "annular":
        return CentreOfMass(name, angles, data.gain, data.gain_source)
    if angles.unit != "radian":
        problem = "needs the angle of a camera pixel, which the recording does not say"
        raise BadInput(f"quantity {name.text!r}", problem, "Give pixel_mrad, the angle of a pixel (--pixel-mrad).")
    return AnnularCounts(name, angles, data.gain, data.gain_source)


def angles_of(data: "PixelData") -> Angles:
    """Angles by the axes of patterns (angles, or 1/length with an energy), by the pixel that was given, or pixels where there is neither."""
    rows, columns = data.axes
    if data.pixel_angle is not None:
        return Angles((data.pixel_angle, data.pixel_angle), "radian", None)
    origin = _origin(rows), _origin(columns)
    at = None if origin[0] is None or origin[1] is None else (origin[0], origin[1])
    if rows.unit == columns.unit == "radian":
        return Angles((rows.scale, columns.scale), "radian", at)
    if rows.unit == columns.unit == "1/angstrom" and data.energy is not None:
        length = wavelength(data.energy)
        return Angles((rows.scale * length, columns.scale * length), "radian", at)
    return Angles((1.0, 1.0), "pixel", (0.5 * (rows.size - 1), 0.5 * (columns.size - 1)))


def _origin(axis: Axis) -> float | None:
    """The pixel at which an axis is zero; None where that is its corner or outside of it."""
    at = -axis.offset / axis.scale if axis.scale else 0.0
    margin = AT_CORNER * axis.size
    return at if margin <= at <= axis.size - 1 - margin else None


class _OfPatterns(abc.ABC):
    """What quantities of patterns share: angles, counts per electron, and pixels of the camera that are left out."""

    unit = "count"

    def __init__(self, name: QuantityName, angles: Angles, gain: float | None, source: str):
        self.name, self.angles = name, angles
        self.gain, self.source = gain, source
        self.masked, self.mean = np.zeros((0, 0), bool), np.zeros((0, 0))

    def learn(self, first: np.ndarray) -> dict[str, Any]:
        """See `PixelQuantity`."""
        patterns = np.asarray(first, np.float64)
        lit = np.isfinite(patterns).mean(axis=(1, 2)) > 1.0 - MOST_FILLED
        if lit.sum() < 3:
            raise ValueError(
                f"only {lit.sum()} of the first {len(patterns)} patterns hold numbers; give a recording with others"
            )
        whole = patterns[lit]
        if self.gain is None:
            told = gain_by_patterns(np.nan_to_num(whole))
            self.gain, self.source = told or 1.0, "by the noise of the first patterns"
            if told is None:
                self.source = "not told by the data: an electron is taken as one count"
        self.masked, defects = camera_defects(whole / self.gain)
        self.mean = np.where(self.masked, 0.0, np.nan_to_num(whole).mean(axis=0))
        if not self.mean.sum() > 0.0:
            raise ValueError("the first patterns hold no counts; give a recording with a beam")
        notes = [defect.description for defect in defects]
        if self.angles.origin is None:
            self.angles = self.angles._replace(origin=_centre(self.mean))
            text = (
                "the axes of the patterns have no origin: angles are counted from the centre of mass of the first ones"
            )
            notes.append(text)
        told_more = self._learn(whole)
        source = {"counts_per_electron": self.gain, "counts_per_electron_source": self.source}
        return {**source, **told_more, "notes": notes}

    def _learn(self, patterns: np.ndarray) -> dict[str, Any]:
        """What a quantity takes from the first patterns beside."""
        return {}

    def values(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PixelQuantity`."""
        patterns = np.asarray(data, np.float64)
        known = np.isfinite(patterns) | self.masked
        whole = known.mean(axis=(1, 2)) > 1.0 - MOST_FILLED
        values, variances = np.full(len(patterns), np.nan), np.full(len(patterns), np.nan)
        if whole.any():
            # single values without a number are those of the mean pattern
            counts = np.where(np.isfinite(patterns[whole]), patterns[whole], self.mean)
            values[whole], variances[whole] = self._values(counts)
        floor = 1e-12 * np.maximum(np.abs(values), 1e-6)  # values without noise are exact to rounding
        return values, np.maximum(variances, floor**2)

    @abc.abstractmethod
    def _values(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and counting variances of what holds numbers throughout."""


def _centre(mean: np.ndarray) -> tuple[float, float]:
    """Row and column of the centre of mass of a pattern."""
    rows, columns = (np.arange(size) for size in mean.shape)
    total = mean.sum()
    return float(mean.sum(axis=1) @ rows / total), float(mean.sum(axis=0) @ columns / total)


class CentreOfMass(_OfPatterns):
    """The first moment of a pattern along x or y, or how far it lies from the mean of the first patterns' moments (`moments`)."""

    def __init__(self, name: QuantityName, angles: Angles, gain: float | None, source: str):
        super().__init__(name, angles, gain, source)
        self.unit = angles.unit
        self.middle = np.zeros(2)

    def _learn(self, patterns: np.ndarray) -> dict[str, Any]:
        fields, _ = self._fields(np.where(np.isfinite(patterns), patterns, self.mean))
        self.middle = np.nanmean(fields, axis=0)
        return {"mean_centre": self.middle.tolist()}

    def _fields(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centres (x, y) [n, 2] from the direct beam and variances of either part [n, 2], in the angles' unit."""
        made = moments((counts / (self.gain or 1.0))[:, None], self.masked)
        y, x = self.angles.along(self.masked.shape)
        steps = np.array([self.angles.steps[1], self.angles.steps[0]])
        middle = np.array([x.mean(), y.mean()])
        return middle + steps * made.field[:, :, 0].T, steps**2 * made.variance[:, 0, None]

    def _values(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fields, variances = self._fields(counts)
        if self.name.form == "com x":
            return fields[:, 0], variances[:, 0]
        if self.name.form == "com y":
            return fields[:, 1], variances[:, 1]
        off = fields - self.middle
        distance = np.hypot(off[:, 0], off[:, 1])
        shares = off**2 / np.maximum(distance[:, None], 1e-300) ** 2
        # at the mean itself a distance has no direction: either part's error is its own
        return distance, np.where(distance > 0.0, (shares * variances).sum(axis=1), variances.mean(axis=1))


class AnnularCounts(_OfPatterns):
    """The counts of a pattern between two scattering angles (`ring`, with an edge of one camera pixel)."""

    def _learn(self, patterns: np.ndarray) -> dict[str, Any]:
        y, x = self.angles.along(self.masked.shape)
        low, high = self.name.limits
        edge = float(max(abs(step) for step in self.angles.steps))
        # angles stand for frequencies at a wavelength of one
        weights = np.asarray(ring(x[None, :], y[:, None], 1.0, low, high, edge))
        self.weights = np.where(self.masked, 0.0, weights)
        if not self.weights.sum() > 0.5:
            reach = 1e3 * float(np.hypot(np.abs(x).max(), np.abs(y).max()))
            raise ValueError(
                f"no pixel of the camera lies between {1e3 * low:g} and {1e3 * high:g} mrad: it reaches {reach:.3g} mrad; give other angles"
            )
        return {"camera_pixels": float(self.weights.sum())}

    def _values(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = np.einsum("nij,ij->n", counts, self.weights)
        return total, (self.gain or 1.0) * np.einsum("nij,ij->n", np.maximum(counts, 0.0), self.weights**2)
