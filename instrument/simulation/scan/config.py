"""The configuration of a simulated scan. Every number is an assumption about an instrument, not a measurement."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from twin.records import Content

Layout = Literal["drawn", "domains", "inclusions", "layers", "gradient"]


class ScanConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Constants of one simulated scan; `from_mapping` is the strict way in. Lengths are angstrom, times second.

    ``current`` in electrons per second, ``gain`` in counts per electron, ``readout`` noise of a channel in electrons rms. The specimen is a library of
    spectra, whose ``layout`` over ``shape`` (rows, columns) is drawn, with interfaces ``width`` wide (rms); or a recording, of which ``content``,
    ``energies``, ``signal`` and ``bin`` say what is played (`twin.records.Wanted`). ``survey`` is the share of the beam that the survey detector counts on
    average, where a recording is played.
    """

    pixel: float
    current: float
    gain: float = 1.0
    readout: float = 0.0
    drift: float = 0.0
    shape: tuple[int, int] | None = None
    layout: Layout = "drawn"
    width: float = 1.0
    survey: float = 0.05
    content: Content | None = None
    energies: tuple[float, float] | None = None
    signal: str | None = None
    bin: int = 1


def from_mapping(values: Mapping[str, Any]) -> ScanConfig:
    """The configuration out of plain values; ValueError naming the field, the problem and the cure."""
    try:
        config = msgspec.convert(dict(values), ScanConfig)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"the configuration of a scan: {error}; give {', '.join(ScanConfig.__struct_fields__)}"
        ) from None
    for name in ("pixel", "current", "gain", "width", "survey"):
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"the configuration of a scan: {name} = {value!r} cannot be used; give a number above 0")
    for name in ("readout", "drift"):
        value = getattr(config, name)
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"the configuration of a scan: {name} = {value!r} cannot be used; give 0 or more")
    if config.shape is not None and not all(1 <= size <= 512 for size in config.shape):
        raise ValueError(f"the configuration of a scan: shape = {config.shape} cannot be used; give 1 to 512 pixels")
    return config
