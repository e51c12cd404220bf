"""Quantities of single energy-loss spectra: net counts of an edge, sums over energies, zero-loss position, t/lambda and plasmon energy.

Their variances are those of counting: what single channels differ by is not asked. Of t/lambda = ln(all counts / zero loss) it is g L / (Z (Z + L)) for L
counts of losses, Z of the zero loss and g counts per electron (error propagation; Egerton, Electron Energy-Loss Spectroscopy, section 5.1).
"""

import abc
import math
from typing import Any

import numpy as np

from reconstruct.eels.core_loss.elements import LEAST_RISE, rises_of
from reconstruct.eels.edge_signal import Edge, edge_signal
from reconstruct.eels.features import Peak, plasmon, zero_loss
from reconstruct.eels.low_loss.fit import fit_low_loss
from reconstruct.eels.low_loss.separation import FLANK, ZeroLoss, separate
from reconstruct.measurement.eels.low import LAST
from reconstruct.measurement.scanned.names import LEAST_AFTER, QuantityName
from reconstruct.measurement.scanned.noise import gain_by_background, gain_by_shape
from twin.errors import BadInput
from twin.records import Axis, coordinates

MOST_FILLED = 0.1
"""Share of a spectrum's channels that may be filled in from their neighbours."""
CLEAR = 15.0
"""eV behind another edge from which a background is fitted, where that leaves enough of it."""
MOST_SHIFT = 10.0
"""eV by which an edge may be seen off its usual energy, where the axis has no zero loss."""
LEAST_FIT = 12.0
"""eV of background that are fitted at least."""
LEAST_LOSSES = 5.0
"""eV from which losses tell the noise of a low loss."""


def spectrum_quantity(
    name: QuantityName, axis: Axis, gain: float | None, source: str, energy: float | None, collection: float | None
) -> "_OfSpectra":
    """The quantity called ``name`` of spectra on an energy ``axis`` (rising, eV). BadInput where they do not hold it."""
    energies = coordinates(axis)
    needed = name.energies or (energies[0], energies[-1])
    if not energies[0] <= needed[0] or not needed[1] <= energies[-1]:
        problem = f"needs {needed[0]:.6g} to {needed[1]:.6g} eV, and the spectra have {energies[0]:.6g} to {energies[-1]:.6g} eV"
        raise BadInput(f"quantity {name.text!r}", problem, "Ask for a quantity within the recorded energies.")
    settings = (name, energies, gain, source)
    if name.form == "edge":
        return EdgeCounts(*settings)
    if name.form == "window":
        return WindowCounts(*settings)
    if name.form == "zero loss":
        return ZeroLossPosition(*settings)
    if name.form == "thickness":
        return RelativeThickness(*settings)
    if energy is None:
        cure = "Ask for another quantity, or give a recording that says its high tension."
        raise BadInput(
            f"quantity {name.text!r}", "needs the energy of the electrons, which the recording does not say", cure
        )
    return PlasmonEnergy(*settings, energy, collection)


class _OfSpectra(abc.ABC):
    """What quantities of spectra share: the ``energies`` [channels] in eV, counts per electron and where these are from."""

    unit = "count"

    def __init__(self, name: QuantityName, energies: np.ndarray, gain: float | None, source: str):
        self.name, self.energies = name, energies
        self.gain, self.source = gain, source

    def learn(self, first: np.ndarray) -> dict[str, Any]:
        """See `PixelQuantity`."""
        spectra, filled = _repaired(first)
        whole = spectra[np.isfinite(spectra).all(axis=1)]
        if len(whole) < 3:
            raise ValueError(
                f"only {len(whole)} of the first {len(first)} spectra hold numbers; give a recording with others"
            )
        told = self._learn(whole)
        if self.gain is None:
            told_gain = self._gain(whole)
            self.gain, self.source = told_gain or 1.0, "by the scatter of the first spectra"
            if told_gain is None:
                self.source = "not told by the data: an electron is taken as one count"
        notes = list(told.pop("notes", []))
        if filled:
            notes.append(f"{filled} channels of the first {len(first)} spectra hold no number and were interpolated")
        return {"counts_per_electron": self.gain, "counts_per_electron_source": self.source, **told, "notes": notes}

    def values(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PixelQuantity`."""
        spectra, _ = _repaired(data)
        values, variances = np.full(len(spectra), np.nan), np.full(len(spectra), np.nan)
        whole = np.isfinite(spectra).all(axis=1)
        if whole.any():
            values[whole], variances[whole] = self._values(spectra[whole])
        # values without noise are exact to rounding
        floor = 1e-12 * np.maximum(np.abs(values), 1.0)
        return values, np.maximum(variances, floor**2)

    def _learn(self, spectra: np.ndarray) -> dict[str, Any]:
        return {}

    def _gain(self, spectra: np.ndarray) -> float | None:
        """By the losses; a zero loss that moves would look like noise."""
        first = float(self.energies[0]) if self.energies[0] > LEAST_LOSSES else LEAST_LOSSES
        return gain_by_shape(self.energies, spectra, (first, float(self.energies[-1])))

    @abc.abstractmethod
    def _values(self, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and counting variances of what holds numbers throughout."""


class EdgeCounts(_OfSpectra):
    """Net counts of an edge over a power law before it (`edge_signal`)."""

    def __init__(self, name: QuantityName, energies: np.ndarray, gain: float | None, source: str):
        super().__init__(name, energies, gain, source)
        self.edge = Edge(name.text, name.background, name.signal)

    def _learn(self, spectra: np.ndarray) -> dict[str, Any]:
        notes = []
        if not self.name.given:
            notes = self._follow_rises(spectra)
        return {"background_eV": list(self.edge.background), "signal_eV": list(self.edge.signal), "notes": notes}

    def _follow_rises(self, spectra: np.ndarray) -> list[str]:
        """Move the windows to where the edge is seen, off another edge before it, and into the recorded range."""
        name, notes = self.name, []
        first, last = float(self.energies[0]), float(self.energies[-1])
        rises = [rise for rise in rises_of(spectra) if rise.significance > LEAST_RISE]
        places = np.sort([first + float(self.energies[1] - self.energies[0]) * rise.channel for rise in rises])
        near = places[np.abs(places - name.onset) < MOST_SHIFT]
        # where there is a zero loss the axis is known
        shift = 0.0 if first < 0.0 or not len(near) else float(near[np.abs(near - name.onset).argmin()]) - name.onset
        if shift:
            notes.append(f"{name.text} is seen {shift:+.1f} eV from its usual energy: the windows follow")
        onset = name.onset + shift
        low, high = (value + shift for value in name.background)
        for energy in places:
            if low - CLEAR < energy < onset - CLEAR and high - (energy + CLEAR) >= LEAST_FIT:
                low = max(low, float(energy) + CLEAR)
                notes.append(f"another edge at {energy:.0f} eV: the background is fitted from {low:.0f} eV on")
        low, high = max(low, first), min(high, last)
        start, stop = (value + shift for value in name.signal)
        if high - low < LEAST_FIT or min(stop, last) - onset < LEAST_AFTER:
            raise ValueError(
                f"{first:.6g} to {last:.6g} eV hold too little before or behind the edge at {onset:.6g} eV; "
                "give background and signal, windows in eV, or another edge"
            )
        self.edge = Edge(name.text, (low, high), (start, min(stop, last)))
        return notes

    def _gain(self, spectra: np.ndarray) -> float | None:
        usual = gain_by_background(self.energies, spectra, self.edge.background)
        return usual or gain_by_shape(self.energies, spectra, self.edge.background)

    def _values(self, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before = (self.energies >= self.edge.background[0]) & (self.energies <= self.edge.background[1])
        lit = spectra[:, before].mean(axis=1) > 0.0
        values, variances = np.full(len(spectra), np.nan), np.full(len(spectra), np.nan)
        if lit.any():
            signal = edge_signal(self.energies, spectra[lit], self.edge, self.gain or 1.0)
            values[lit], variances[lit] = signal.net, signal.variance
        return values, variances


class WindowCounts(_OfSpectra):
    """The sum of counts between two energies."""

    def _gain(self, spectra: np.ndarray) -> float | None:
        return gain_by_shape(self.energies, spectra, self.name.limits)

    def _values(self, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.name.limits
        inside = (self.energies >= low) & (self.energies <= high)
        if not inside.any():
            raise ValueError(f"no channel lies within {low:g} to {high:g} eV; give a wider window")
        counted = spectra[:, inside].sum(axis=1)
        return counted, (self.gain or 1.0) * np.maximum(counted, 0.0)


class _WithZeroLoss(_OfSpectra):
    """Quantities that are counted from the zero loss of each spectrum."""

    def _learn(self, spectra: np.ndarray) -> dict[str, Any]:
        peak = zero_loss(spectra.sum(axis=0))
        if isinstance(peak, str):
            raise ValueError(f"{peak}; give a recording that holds its zero loss")
        return {}

    def _values(self, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [
            self._value(counts, peak) if isinstance(peak := zero_loss(counts), Peak) else None for counts in spectra
        ]
        values, variances = np.array([(math.nan, math.nan) if pair is None else pair for pair in pairs]).T
        return values, variances

    @abc.abstractmethod
    def _value(self, counts: np.ndarray, peak: Peak) -> tuple[float, float] | None:
        """Value and counting variance of one spectrum by its zero loss; None where it tells none."""

    @property
    def step(self) -> float:
        """eV a channel."""
        return float(self.energies[1] - self.energies[0])


class ZeroLossPosition(_WithZeroLoss):
    """The middle between the flanks of the zero loss at half maximum, in eV of the recorded axis."""

    unit = "electronvolt"

    def _value(self, counts: np.ndarray, peak: Peak) -> tuple[float, float]:
        # a flank that is counted moves by the error of its counts over its slope; the middle by half of either
        variance = 0.0
        for side in (-0.5, 0.5):
            at = int(np.clip(round(peak.centre + side * peak.width), 1, len(counts) - 2))
            slope = 0.5 * abs(counts[at + 1] - counts[at - 1])
            variance += 0.25 * (self.gain or 1.0) * max(counts[at], 1.0) / max(slope, 1e-9) ** 2
        return float(self.energies[0]) + self.step * peak.centre, variance * self.step**2


class RelativeThickness(_WithZeroLoss):
    """t/lambda: the logarithm of all recorded counts over those of the zero loss.

    The zero loss is what lies within `FLANK` of its widths, times what the first spectra have of it beyond (`separate`): single spectra tell that badly.
    """

    unit = "1"

    def _learn(self, spectra: np.ndarray) -> dict[str, Any]:
        super()._learn(spectra)
        shares = []
        for counts in spectra:
            peak = zero_loss(counts)
            if isinstance(peak, Peak) and (inner := self._inner(counts, peak)) > 0.0:
                shares.append(separate(counts, peak).counts / inner)
        if len(shares) < 3:
            raise ValueError(
                "hardly one of the first spectra has a zero loss of its own; give a recording with more counts"
            )
        self.beyond = float(np.mean(shares))
        return {"zero_loss_over_its_core": self.beyond}

    def _inner(self, counts: np.ndarray, peak: Peak) -> float:
        """Counts within the flanks of the zero loss; channels at their ends count in part."""
        edges = np.arange(len(counts) + 1) - 0.5
        summed = np.concatenate([[0.0], np.cumsum(counts)])
        low, high = np.interp((peak.centre - FLANK * peak.width, peak.centre + FLANK * peak.width), edges, summed)
        return float(high - low)

    def _value(self, counts: np.ndarray, peak: Peak) -> tuple[float, float] | None:
        zero, total = self.beyond * self._inner(counts, peak), float(counts.sum())
        if not total > zero > 0.0:
            return None
        return math.log(total / zero), (self.gain or 1.0) * (total - zero) / (zero * total)


class PlasmonEnergy(_WithZeroLoss):
    """The energy of the volume plasmon: the first Drude term of a low loss with plural scattering (`fit_low_loss`)."""

    unit = "electronvolt"

    def __init__(
        self,
        name: QuantityName,
        energies: np.ndarray,
        gain: float | None,
        source: str,
        energy: float,
        collection: float | None,
    ):
        super().__init__(name, energies, gain, source)
        self.energy, self.collection = energy, collection

    def _value(self, counts: np.ndarray, peak: Peak) -> tuple[float, float] | None:
        last = int(min(peak.centre + LAST / self.step, len(counts)))
        part = counts[:last]
        zero: ZeroLoss = separate(part, peak)
        try:
            fit = fit_low_loss(part, zero, self.step, self.energy, self.collection, plasmon(part, peak), self.gain)
        except ValueError:  # nothing is lost in this spectrum
            return None
        value, error = fit.value("plasmon1.energy")
        return value, error**2


def _repaired(data: np.ndarray) -> tuple[np.ndarray, int]:
    """Spectra [n, channels] with channels that hold no number interpolated, and how many these were; a spectrum with too many of them is all NaN."""
    spectra = np.array(data, np.float64)
    unknown = ~np.isfinite(spectra)
    if not unknown.any():
        return spectra, 0
    filled = 0
    for row in np.flatnonzero(unknown.any(axis=1)):
        gaps = unknown[row]
        if gaps.mean() > MOST_FILLED:
            spectra[row] = np.nan
            continue
        at = np.arange(len(gaps))
        spectra[row, gaps] = np.interp(at[gaps], at[~gaps], spectra[row, ~gaps])
        filled += int(gaps.sum())
    return spectra, filled
