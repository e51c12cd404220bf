"""Evidence of scanned images of crystals: the dwell time by stray fields of the mains, which displace the probe at 50 or 60 Hz and multiples of it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.measurement.measurement import Component, FitPlot
from reconstruct.measurement.scan_noise.line import Reading
from reconstruct.measurement.scan_noise.lines import Periodic, find_periodic
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from twin.records import Signal

FIELD = "dwell"
MAINS = (50.0, 60.0)
MAINS_ERROR = 1e-3
"""Relative rms by which the frequency of a grid is off: 0.05 Hz."""
ALONE = {1: 0.4, 2: 0.25, 3: 0.15}
"""Multiples of the mains that a line may be that is seen alone, with their probabilities; else it is not of the mains."""
EVEN = {1: 0.8, 2: 0.2}
"""The same of the basic frequency of lines in the ratios 1 : 2 and 1 : 2 : 4: rectifiers make multiples of twice the mains."""
FITS = 2.5
"""Standard deviations within which a frequency is said to fit a multiple of the mains."""
OTHER, OTHER_SPREAD = 200.0, 1.5
"""Hz, and rms of its logarithm, of lines that are not of the mains: pumps, sound, oscillating supplies (about 10 Hz to 4 kHz)."""


def scan_noise(
    signal: Signal, values: Mapping[str, float], known: Known, tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """The dwell time, by a periodic displacement of the probe; nothing where none is seen, as in most images."""
    del known
    tell("looking for mains in the scan", None)
    image = _first(signal)
    periodic = find_periodic(image)
    return ([] if isinstance(periodic, str) else [_evidence(periodic, values[FIELD])]), []


def _evidence(periodic: Periodic, claimed: float) -> Evidence:
    orders, other = _orders(periodic.multiples)
    parts = []
    for reading in periodic.readings:
        variance = (reading.error / reading.kx) ** 2 + MAINS_ERROR**2
        for order, share in orders.items():
            parts += [
                _part(0.5 * share * reading.weight, reading.kx / (order * mains), math.sqrt(variance))
                for mains in MAINS
            ]
        if other > 0.0:
            parts.append(_part(other * reading.weight, reading.kx / OTHER, OTHER_SPREAD))
    best = periodic.readings[0]
    if len(periodic.multiples) > 1:
        said = " or ".join(f"{1e6 * best.kx / mains:.3g}" for mains in MAINS)
        lines = " : ".join(map(str, periodic.multiples))
        words = f"The probe moves periodically, with frequencies in the ratio {lines}: with mains of 50 or 60 Hz the dwell time is {said} µs."
    else:
        words = (
            f"The probe moves periodically, at {best.kx / claimed:.4g} ± {best.error / claimed:.2g} Hz with the dwell time of the file: mains move it at "
            f"multiples of 50 or 60 Hz{_fitting(best, claimed)}, other sources at other frequencies."
        )
    words += f" The displacement is {periodic.displacement:.2g} pixels rms."
    picture = Picture("fit", _plot(periodic), "Displacement along a row by its frequency, and the line that was found")
    statement = Statement("dwell time by the mains", {FIELD: 1.0})
    return Evidence("mains in the scan", "data", (statement,), tuple(parts), words, ("pixel size", "line time"), pictures=(picture,))  # fmt: skip


def _fitting(reading: Reading, claimed: float) -> str:
    """Which multiple of the mains the claimed dwell time makes of a frequency, in brackets; empty where none fits."""
    error = math.hypot(reading.error / reading.kx, MAINS_ERROR)
    off = {(order, mains): abs(reading.kx / (claimed * order * mains) - 1.0) for order in ALONE for mains in MAINS}
    (order, mains), least = min(off.items(), key=lambda item: item[1])
    return f" (here {order} x {mains:.0f} Hz fits)" if least < FITS * error else ""


def _orders(multiples: tuple[int, ...]) -> tuple[dict[int, float], float]:
    """Multiples of the mains that the basic frequency may be, with probabilities, and the probability that it is none."""
    if len(multiples) == 1:
        return ALONE, 1.0 - sum(ALONE.values())
    return ({1: 1.0} if set(multiples) - {1, 2, 4} else EVEN), 0.0


def _part(weight: float, dwell: float, error: float) -> Component:
    return Component(weight, np.array([math.log(dwell)]), np.array([[error**2]]))


def _plot(periodic: Periodic) -> FitPlot:
    """The power that a displacement of each frequency explains, over noise, and that of the line alone."""
    kx, power, line = periodic.curve
    return FitPlot("displacement", power, line, (power - line) / np.sqrt(2.0 + 2.0 * line), (kx[0], kx[-1]), "1/pixel")


def _first(signal: Signal) -> np.ndarray:
    """The image, or the first of a stack."""
    data: Any = signal.data
    while data.ndim > 2:
        data = data[0]
    return np.asarray(data, np.float64)


def may_be_scan(signal: Signal, values: Mapping[str, float]) -> bool:
    """Whether a recording is a scanned image, or a stack of them, that claims its dwell time."""
    return FIELD in values and signal.kind in ("image", "image-stack") and signal.data.ndim in (2, 3)
