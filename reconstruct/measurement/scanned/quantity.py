"""What is read of each pixel of a scan: a value with its variance by counting noise, from its spectrum or pattern alone."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from reconstruct.measurement.scanned import patterns, spectra
from reconstruct.measurement.scanned.names import QuantityName
from twin.records import Axis

FEW = 0.5
"""Share of the first pixels that must have a value."""
SHARES, NO_NOISE = ("fraction of the beam", "1"), 1e-12
"""Units of simulations without counting noise, and the counts per electron that stand for none."""


class PixelData(NamedTuple):
    """What is known of a pixel's data: their ``axes`` ((energy,) or (ky, kx)), counts per electron (``gain``, None: not known) and the ``gain_source`` in
    words, beam ``energy`` in eV, semi-angles in radian, the angle in radian of a camera pixel (``pixel_angle``) where it was given."""

    axes: tuple[Axis, ...]
    gain: float | None = None
    gain_source: str = ""
    energy: float | None = None
    convergence: float | None = None
    collection: float | None = None
    pixel_angle: float | None = None


@runtime_checkable
class PixelQuantity(Protocol):
    """A quantity with the ``unit`` of its values ("count", "electronvolt", "1", "radian", "pixel")."""

    unit: str

    def learn(self, first: np.ndarray) -> dict[str, Any]:
        """What the ``first`` measured pixels [n, ...] tell for all: noise, windows, defects. As plain values, ``notes`` in words. ValueError where they do not
        hold the quantity."""
        ...

    def values(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values [n] and variances [n] of the pixels' ``data`` [n, ...]; NaN where a pixel has none."""
        ...


def pixel_data(
    axes: tuple[Axis, ...],
    claims: Mapping[str, Any],
    unit: str = "",
    gain: float | None = None,
    pixel_angle: float | None = None,
) -> PixelData:
    """What a recording with such ``axes`` of a pixel says: its ``claims`` by name, and the ``unit`` of its values; ``gain`` and ``pixel_angle`` were given."""
    source = "given"
    if gain is None and unit == "electrons":
        gain, source = 1.0, "the recording is in electrons"
    elif gain is None and unit in SHARES:
        gain, source = NO_NOISE, "the recording is a simulation without counting noise"
    elif gain is None and (gain := _positive(claims, "gain")) is not None:
        source = "the recording"
    energy, convergence, collection = (
        _positive(claims, name) for name in ("high_tension", "convergence_semiangle", "collection_semiangle")
    )
    return PixelData(axes, gain, source, energy, convergence, collection, pixel_angle)


def _positive(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def pixel_quantity(name: QuantityName, data: PixelData) -> PixelQuantity:
    """The quantity called ``name`` of pixels that hold such ``data``. BadInput where these data cannot hold it."""
    if name.content == "spectrum":
        return spectra.spectrum_quantity(name, data.axes[0], data.gain, data.gain_source, data.energy, data.collection)
    return patterns.pattern_quantity(name, data)


def least_values(values: np.ndarray) -> bool:
    """Whether enough of the first pixels have a value."""
    return bool(np.isfinite(values).mean() >= FEW and np.isfinite(values).sum() >= 3)
