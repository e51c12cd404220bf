"""Where the columns of a field are, and at which settings it was recorded, by scans of it: one period of the crystal fitted to all counts.

What the counts leave is judged by its lattice frequencies: a crystal that is not the one expected shows there, summed over all columns.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from learn.feasibility.columns.calibrated import Settled, settled
from learn.feasibility.columns.counted import Counted
from learn.feasibility.columns.placed import between
from learn.feasibility.scanned import Scanned
from learn.feasibility.scans import ABERRATIONS, Probe, Window, frequencies_of
from twin.optics.aberrations import coefficients

SHARE = 0.2
"""Standard deviation, before anything was recorded, of the share of columns that are changed."""
STEPS, MORE = 8, 3
"""Of a fit, and of one that goes on from another."""
LEAST_SOURCE = 0.05
NOTICED = 1.0
"""Square of a frequency's amplitude over its counting noise from which on it is one of those that judge a crystal."""


class Recorded(NamedTuple):
    """What a ``detector`` counted at ``places`` [n, 2] (x, y): ``counts`` [n] of ``electrons`` [n]; over many periods evenly, or, where it is ``summed``, at
    the same places about each of many columns."""

    detector: str
    places: Float[np.ndarray, "n 2"]
    counts: Float[np.ndarray, " n"]
    electrons: Float[np.ndarray, " n"]
    summed: bool = False


class Fitted(NamedTuple):
    """A field as it was recorded: one column at ``origin`` (x, y), the ``probe``, ``gains`` by detector, the ``share`` of columns that are changed; what was
    ``settled``, and the probability ``likely`` that counts of the crystal expected leave as much."""

    origin: tuple[float, float]
    probe: Probe
    gains: Mapping[str, float]
    share: float
    settled: Settled
    likely: float

    @property
    def placed_within(self) -> float:
        """Standard deviation (angstrom) of the origin, of the worse axis."""
        return max(self.settled.std(name) for name in "xy")


class Lattice:
    """The period of a crystal by what is ``counted`` of it, with columns like the one that may be changed displaced by ``alike`` [n, 2] from it, the first by
    nothing. Settings deviate from those of ``probe`` by ``priors`` (standard deviations by name, with "gain"), the model's contrast by a share ``model``."""

    def __init__(
        self,
        counted: Counted,
        alike: Float[np.ndarray, "n 2"],
        probe: Probe,
        priors: Mapping[str, float],
        model: float,
    ):
        self.counted, self.alike, self.probe, self.priors, self.model = counted, np.asarray(alike), probe, priors, model
        window = counted.window
        ny, nx = window.shape
        self.location = window.positions.reshape(ny, nx, 2)[ny // 2, nx // 2]

    @property
    def window(self) -> Window:
        return self.counted.window

    def located(self, recorded: Recorded) -> tuple[float, float]:
        """Where a column is by correlation with what is expected at the settings assumed, to half a place of the window."""
        window, number = self.window, self.counted.names.index(recorded.detector)
        rates = self.counted.scanned(self.probe, sloped=False).rates[:, number]
        ny, nx = window.shape
        fx, fy = (part.ravel() for part in np.broadcast_arrays(*frequencies_of(window)))
        # images of the crystal and of the counts by lattice frequencies, the mean left out
        turns = np.exp(-2j * np.pi * (recorded.places @ np.stack([fx, fy])))
        seen = (recorded.counts - recorded.electrons * recorded.counts.sum() / recorded.electrons.sum()) @ turns
        expected = np.fft.fft2(rates.reshape(ny, nx)).ravel() * np.exp(
            -2j * np.pi * (np.stack([fx, fy]).T @ (window.positions[0] - self.location))
        )
        product = (seen * expected.conj()).reshape(ny, nx)
        product[0, 0] = 0.0
        finer = np.zeros((2 * ny, 2 * nx), complex)
        rows, columns = (np.fft.fftfreq(n, 1 / n).astype(int) for n in (ny, nx))
        finer[np.ix_(rows, columns)] = product
        score = np.fft.ifft2(finer).real
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        return float(column * window.sides[0] / (2 * nx)), float(row * window.sides[1] / (2 * ny))

    def fitted(self, recorded: Sequence[Recorded], origin: tuple[float, float], start: Fitted | None = None) -> Fitted:
        """Settings, origin and gains that fit all that was ``recorded``, from an ``origin`` or another fit on."""
        origin = origin if start is None else start.origin
        counts, electrons = (
            np.concatenate([getattr(each, name) for each in recorded]) for name in ("counts", "electrons")
        )
        detectors = list(dict.fromkeys(each.detector for each in recorded))
        widths = {name: self.priors[name] for name in (*ABERRATIONS, "source") if self.priors[name] > 0.0}
        widths |= (
            {"x": np.inf, "y": np.inf, "share": SHARE}
            | ({"share of sums": SHARE} if any(each.summed for each in recorded) else {})
            | {f"gain {name}": self.priors["gain"] for name in detectors}
        )
        contrast = np.concatenate([each.electrons * self._contrast(each.detector) for each in recorded])

        def modelled(values: Mapping[str, float], sloped: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            return self._modelled(recorded, origin, values, sloped)

        def variance(expected: np.ndarray) -> np.ndarray:
            return np.maximum(expected, 0.05 * float(expected.mean())) + (self.model * contrast) ** 2

        first = (
            None
            if start is None
            else {name: start.settled.values.get(name, 0.0) for name in widths} | {"x": 0.0, "y": 0.0}
        )
        made = settled(modelled, widths, counts, electrons, variance, first, STEPS if start is None else MORE)
        values = made.values
        moved = (origin[0] + values["x"], origin[1] + values["y"])
        gains = {name: 1.0 + values[f"gain {name}"] for name in detectors}
        likely = self._likely(recorded, moved, made, widths)
        return Fitted(moved, self._probe(values), gains, values["share"], made, likely)

    def restored(
        self,
        origin: Sequence[float],
        values: Mapping[str, float],
        covariance: Sequence[Sequence[float]],
        misfit: float,
        likely: float,
        detectors: Sequence[str],
    ) -> Fitted:
        """A fit that was made before, of plain values; what it expected is not kept."""
        made = Settled(dict(values), np.array(covariance), np.zeros(0), misfit)
        gains = {name: 1.0 + values[f"gain {name}"] for name in detectors}
        return Fitted((origin[0], origin[1]), self._probe(values), gains, values["share"], made, likely)

    def _within(self, places: np.ndarray, origin: tuple[float, float]) -> np.ndarray:
        """Places of the window that places of the scan are on."""
        return places - np.array(origin) + self.location

    def _probe(self, values: Mapping[str, float]) -> Probe:
        vector = self.probe.coefficients + coefficients({name: values.get(name, 0.0) for name in ABERRATIONS})
        return Probe(vector, max(self.probe.source + values.get("source", 0.0), LEAST_SOURCE))

    def _modelled(
        self, recorded: Sequence[Recorded], origin: tuple[float, float], values: Mapping[str, float], sloped: bool
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        scan = self.counted.scanned(self._probe(values), sloped)
        moved = (origin[0] + values["x"], origin[1] + values["y"])
        rates, slopes = [], {name: [] for name in values}
        for each in recorded:
            number = self.counted.names.index(each.detector)
            at = between(self.window, self._within(each.places, moved))
            gain = 1.0 + values[f"gain {each.detector}"]
            added = self._changed(scan, number, each.places, moved)
            share = "share of sums" if each.summed else "share"
            mean = at @ scan.rates[:, number] + values[share] * added
            rates.append(np.maximum(gain * mean, 0.0))
            for name in values if sloped else ():
                if name.startswith("share"):
                    slopes[name].append(gain * added if name == share else np.zeros_like(added))
                elif name.startswith("gain "):
                    slopes[name].append(mean if name == f"gain {each.detector}" else np.zeros_like(mean))
                else:
                    slopes[name].append(gain * (at @ scan.derivatives[name][:, number]))
        return np.concatenate(rates), {name: np.concatenate(each) for name, each in slopes.items() if each}

    def _changed(self, scan: Scanned, number: int, places: np.ndarray, origin: tuple[float, float]) -> np.ndarray:
        """What changes in every column would add at ``places``."""
        change = (scan.changed.mean(0) - scan.rates)[:, number]
        return sum(between(self.window, self._within(places - off, origin)) @ change for off in self.alike)  # pyright: ignore[reportReturnType]

    def _contrast(self, detector: str) -> float:
        return float(self.counted.scanned(self.probe, sloped=False).rates[:, self.counted.names.index(detector)].std())

    def _likely(
        self, recorded: Sequence[Recorded], moved: tuple[float, float], made: Settled, widths: Mapping[str, float]
    ) -> float:
        """Of chi-square of what the counts leave, and of the settings that they need."""
        scan = self.counted.scanned(self._probe(made.values), sloped=False)
        total, number, first = 0.0, 0, 0
        for each in recorded:
            last = first + len(each.counts)
            expected = made.expected[first:last]
            rates = scan.rates[:, self.counted.names.index(each.detector)]
            if each.summed:
                noise = np.maximum(expected, 1.0) + (self.model * each.electrons * float(rates.std())) ** 2
                total, number = total + float(np.sum((each.counts - expected) ** 2 / noise)), number + len(expected)
            else:
                squares = self._frequencies(each, rates, expected, moved)
                total, number = total + float(np.sum(squares)), number + len(squares)
            first = last
        total += sum((made.values[name] / width) ** 2 for name, width in widths.items() if np.isfinite(width))
        free = sum(not np.isfinite(width) for width in widths.values())
        return float(chi2.sf(total, max(number - free, 1)))

    def _frequencies(
        self, each: Recorded, rates: np.ndarray, expected: np.ndarray, moved: tuple[float, float]
    ) -> np.ndarray:
        """Squares, of variance 1, of both parts of each lattice frequency that an image has."""
        amplitudes = (np.fft.fft2(rates.reshape(self.window.shape)) / rates.size).ravel()
        fx, fy = (part.ravel() for part in np.broadcast_arrays(*frequencies_of(self.window)))
        # of the others the counts tell nothing: they would only hide what these leave
        seen = (each.electrons.sum() * np.abs(amplitudes)) ** 2 > NOTICED * expected.sum()
        used = seen & ((fy > 0) | ((fy == 0) & (fx > 0)))
        turns = np.exp(-2j * np.pi * ((each.places - np.array(moved)) @ np.stack([fx[used], fy[used]])))
        left: np.ndarray = (each.counts - expected) @ turns
        noise = expected.sum() + (self.model * each.electrons.sum() * np.abs(amplitudes[used])) ** 2
        return np.concatenate([2.0 * part**2 / noise for part in (np.real(left), np.imag(left))])
