"""The frequency of one line along the row to a fraction of a frequency bin, and its picture."""

import math
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.scan_noise.satellites import explain, hann, places, steady
from reconstruct.measurement.scan_noise.search import Searched

BIAS = 0.015
"""Frequency bins rms by which a line is off for other reasons than noise: distortions, and what other reflections leave beside it."""
CURVE, CURVE_BINS = 4.0, 16.0
"""Multiple of the line's frequency, and frequency bins, up to which the curve is shown."""


class Reading(NamedTuple):
    """A frequency ``kx`` in cycles per pixel of a row with its rms ``error``, its ``weight`` among the readings, and ``ky`` in cycles per row."""

    kx: float
    error: float
    weight: float
    ky: float


def refined(searched: Searched, cell: tuple[int, int]) -> tuple[Reading, float] | None:
    """The frequency near ``cell`` that explains most, with its error by noise, and how much that is; kx below zero of the line at -kx, -ky.
    None where no frequency near is a maximum."""
    number, width = searched.values.shape
    kx, ky = searched.frequency(cell)
    near = np.mod([cell[0] - 1, cell[0], cell[0] + 1], number)
    ky += _vertex(searched.power[near, cell[1]]) / number
    wave = np.exp(2j * np.pi * ky * places(number))
    rows = np.array([[carrier.rows, carrier.rows / wave, carrier.rows * wave] for carrier in searched.carriers])
    columns = np.real(rows) @ searched.values + 1j * (np.imag(rows) @ searched.values)
    x = places(width)
    trial = kx + np.arange(-20, 21) * 0.05 / width
    turns = np.exp(-2j * np.pi * trial[:, None] * x[None])
    satellites, variances = [], []
    for carrier, parts in zip(searched.carriers, columns, strict=True):
        own, above, below = parts * np.exp(-2j * np.pi * carrier.g[0] * x)
        flat = steady(own)
        amplitude = own @ flat
        satellites.append([turns @ (above * flat) / amplitude, np.conj(turns) @ (below * flat) / amplitude])
        middle = carrier.spectrum.shape[1] // 2
        variances.append([carrier.noise[cell[0], middle + 1 + cell[1]], carrier.noise[-cell[0] % number, middle - 1 - cell[1]]])  # fmt: skip
    plus, minus = np.array(satellites).swapaxes(0, 1)
    power = explain(searched.carriers, plus, minus, np.array(variances)[..., None]).explained
    best = int(power.argmax())
    if not 0 < best < len(power) - 1:
        return None
    kx = float(trial[best] + _vertex(power[best - 1 : best + 2]) * (trial[1] - trial[0]))
    window = hann(width)
    spread = (window**2 * x**2).sum() * window.sum() ** 2 / (window**2).sum() / (window * x**2).sum() ** 2
    strength = float(power[best])
    apart = strength * float(searched.power[cell] / searched.fits.explained[cell])
    error = math.hypot(math.sqrt(0.5 * spread / max(apart - 2.0, 1.0)) / (2.0 * math.pi), BIAS / width)
    return Reading(kx, error, 1.0, ky), strength


def _vertex(three: np.ndarray) -> float:
    """Where the parabola through ``three`` values in a row has its top, from the middle one."""
    bend = three[0] - 2.0 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0


def curve(searched: Searched, cell: tuple[int, int], kx: float) -> np.ndarray:
    """Frequencies along the row, the power that displacements explain at the line's frequency from row to row, and that of a line at ``kx`` in noise."""
    power = searched.power[cell[0]]
    frequencies = (np.arange(len(power)) + 1) * searched.step
    width = searched.values.shape[1]
    window = hann(width)
    lobe = np.abs(np.exp(-2j * np.pi * (frequencies - kx)[:, None] * places(width)) @ window / window.sum()) ** 2
    shown = frequencies < max(CURVE * kx, CURVE_BINS / width)
    return np.stack([frequencies, power, 2.0 + (power[cell[1]] - 2.0) * lobe])[:, shown]
