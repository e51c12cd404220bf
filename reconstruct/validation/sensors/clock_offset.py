"""A file's clock against a log's: at which shift of the files' times their claims fit the log's tracks.

Each claim is compared with its track at the shifted time. With a small probability it is wrong whatever the time, so that one stale parameter does not move
a clock. Files of one session share one shift. It is believed where it makes the claims more probable, averaged over all shifts that the log allows, than
none does, by more than the prior odds that a clock is right. Of a time zone that is not known, every whole quarter hour is a shift that a right clock allows.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from reconstruct.validation.evidence import Contradiction
from reconstruct.validation.rules.file_times import SECOND, STALE, Span
from reconstruct.validation.sensors.tracks import SensorTracks, Track
from twin.records import Claim
from twin.units import age, moment

WRONG = 0.02
"""Prior probability that one claim is wrong at the right time."""
CLOCK_WRONG = 0.01
"""Prior probability that a file's, or a session's, clock is wrong."""
CERTAIN = 0.99
"""Posterior probability from which a shift, or a time zone, is reported."""
SHIFTS = 4001
"""Shifts that are tried over the log."""
EXACT_FILES, EXACT_SHIFTS = 12, 121
"""Files and shifts around the best one for which the tracks are asked at their own times."""
REACH = 3.0
"""Spacings of the tracks' grid to either side of the best shift that belong to one reading."""
LONGEST = 26.0 * 3600.0 * SECOND
"""A clock that is off by more than a day and a time zone (ns) is one of another session."""
OTHER_READINGS = 3.0
"""Nats below the best shift within which another one is told."""


@dataclasses.dataclass(frozen=True)
class FileClaims:
    """What a file claims, and when it was recorded."""

    claims: Mapping[str, Claim]
    span: Span


@dataclasses.dataclass(frozen=True)
class ClockOffset:
    """``offset`` (ns) to add to the files' times as they are written to be on the clock of the log, known to ``error`` (ns, rms), with its ``probability``.

    ``beyond`` (ns) is what a right clock does not explain: 0 where only the time zone was not known. ``fields`` are those that show it, ``others`` shifts
    (ns) that the claims allow too. ``zone`` is that of the log.
    """

    offset: int
    error: int
    probability: float
    beyond: int
    fields: tuple[str, ...]
    zone: Literal["UTC", "local"]
    others: tuple[int, ...] = ()

    def applied(self, span: Span) -> Span:
        """The span of a file on the clock of the log, widened by the error."""
        earliest, latest = span.earliest + self.offset - self.error, span.latest + self.offset + self.error
        return dataclasses.replace(span, earliest=earliest, latest=latest, zone=self.zone)


def estimate_clock_offset(tracks: SensorTracks, files: Sequence[FileClaims]) -> ClockOffset | None:
    """The shift of the clock that ``files`` share against the log, or their time zone; None where their claims do not show one, or show that there is none."""
    search = _Search(tracks, files)
    shifts = search.shifts()
    if not search.fields or shifts is None:
        return None
    likelihood, right = search.log_likelihood(shifts), search.log_likelihood(search.stated)
    apart = np.abs(shifts[:, None] - search.stated[None, :]).min(axis=1)
    likelihood = np.where(apart <= LONGEST, likelihood, -np.inf)
    stated, moved = (float(np.logaddexp.reduce(values)) - math.log(len(values)) for values in (right, likelihood))
    odds = moved - stated + math.log(CLOCK_WRONG / (1.0 - CLOCK_WRONG))
    probability = 1.0 / (1.0 + math.exp(-min(max(odds, -700.0), 700.0)))
    if probability < CERTAIN:
        return _zone(search, right, 1.0 - probability, tracks.record.zone)
    best, reach = float(shifts[int(np.argmax(likelihood))]), REACH * search.spacing
    mean, error = search.refined(best, reach)
    far = (np.abs(shifts - best) > reach) & (likelihood > likelihood.max() - OTHER_READINGS)
    others = tuple(round(shift) for shift in _peaks(shifts, likelihood, far))
    beyond = mean - float(search.stated[int(np.argmin(np.abs(search.stated - mean)))])
    return ClockOffset(round(mean), round(error), probability, round(beyond), search.fields, tracks.record.zone, others)


def stale_timestamp(tracks: SensorTracks, file: FileClaims) -> Contradiction | None:
    """A file whose claims, of two fields or more, fit the log together at another time than its own; None for all others."""
    if sum(name in file.claims for name in tracks.tracks) < 2:
        return None
    shown = estimate_clock_offset(tracks, [file])
    if shown is None or len(shown.fields) < 2 or not shown.beyond:
        return None
    field = time_field(file.claims)
    claim = file.claims.get(field)
    size, error = age(abs(shown.beyond) / SECOND), age(shown.error / SECOND)
    words = (
        f"{', '.join(shown.fields)} fit {tracks.record.title} together {size} ± {error} {'later' if shown.beyond > 0 else 'earlier'} than the file's time, at "
        f"{moment(file.span.middle + shown.offset, shown.zone)}, and not at it"
    )
    if shown.others:
        words += f"; they fit at {len(shown.others)} other time{'s' * (len(shown.others) > 1)} as well"
    suggested = None if claim is None or shown.others else float(int(claim.value) + shown.beyond)
    return Contradiction(field, "stale", words, STALE, suggested, float(shown.error), "sensors")


def time_field(claims: Mapping[str, Claim]) -> str:
    """The field of the time that tells most of when a file was recorded."""
    names = ("time.start", "time.unstated", "time.end", "time.saved")
    return next((name for name in names if name in claims), "time.unstated")


def _zone(
    search: "_Search", right: np.ndarray, probability: float, zone: Literal["UTC", "local"]
) -> ClockOffset | None:
    """The time zone, where several are possible and the claims decide for one."""
    if len(right) < 2:
        return None
    share = float(np.exp(right.max() - np.logaddexp.reduce(right))) * probability
    if share < CERTAIN:
        return None
    return ClockOffset(int(search.stated[int(np.argmax(right))]), 0, share, 0, search.fields, zone)


@dataclasses.dataclass(frozen=True)
class _Term:
    """One claim of a file whose span is ``half`` ns to either side of ``middle`` (ns since the log's start), against one track.

    ``extent`` is the range of the track, ``usual`` the mean over the log of the probability of the claim times that.
    """

    track: Track
    claim: float
    rounding: float
    middle: int
    half: float
    extent: float
    usual: float

    def density(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """How probable the claim is where the track has ``mean`` and ``std`` [t], times the range."""
        width = np.sqrt(std**2 + self.track.noise**2 + self.track.bias**2 + self.rounding**2)
        away = (self.claim - mean) / width
        return (1.0 - WRONG) * self.extent * np.exp(-0.5 * away**2) / (width * math.sqrt(2.0 * math.pi)) + WRONG


class _Search:
    """Likelihood of the claims of ``files`` for shifts of their times.

    It is relative to its mean over the log: a quantity that rests is as probable at all times, and a claim that fits at none too, and both say nothing.
    """

    def __init__(self, tracks: SensorTracks, files: Sequence[FileClaims]):
        self._tracks, self._start = tracks, tracks.record.start
        """Times are floats since here (ns): since 1970 they would be whole to 256 ns only."""
        times = tracks.grid()
        self._grid = np.array([time - self._start for time in times], np.float64)
        self._middles = [file.span.middle - self._start for file in files]
        self._terms: list[tuple[_Term, np.ndarray]] = []
        for track in (track for several in tracks.tracks.values() for track in several):
            if not track.faults and track.logged.kind != "last-measured":
                mean, std = track.at(times)
                for file, middle in zip(files, self._middles, strict=True):
                    claim = file.claims.get(track.field.name)
                    if (
                        claim is not None
                        and isinstance(claim.value, (int, float))
                        and math.isfinite(float(claim.value))
                    ):
                        self._add(track, claim, middle, 0.5 * (file.span.latest - file.span.earliest), mean, std)
        self.fields = tuple(dict.fromkeys(term.track.field.name for term, _ in self._terms))
        """Those that are claimed and followed."""
        spacings = [float(np.median(np.diff(term.track.logged.times))) for term, _ in self._terms if len(term.track.logged.times) > 1]  # fmt: skip
        self.spacing = max(min(spacings, default=0.0), float(self._grid[1] - self._grid[0]))
        """Time (ns) between readings, or between points of the grid."""
        self.stated = np.array(files[0].span.shifts(tracks.record.zone) if files else (0,), np.float64)
        """Shifts (ns) of a clock that is right."""

    def _add(self, track: Track, claim: Claim, middle: int, half: float, mean: np.ndarray, std: np.ndarray) -> None:
        extent = float(mean.max() - mean.min()) + 6.0 * float(np.median(np.hypot(std, track.noise)))
        term = _Term(track, float(claim.value), claim.step / math.sqrt(12.0), middle, half, extent, 1.0)
        density = term.density(mean, std)
        # the recording is anywhere in its span
        reach = max(half, 0.5 * (self._grid[1] - self._grid[0]))
        first = np.searchsorted(self._grid, self._grid - reach, "left")
        stop = np.searchsorted(self._grid, self._grid + reach, "right")
        total = np.concatenate([[0.0], np.cumsum(density)])
        density = (total[stop] - total[first]) / (stop - first)
        usual = float(density.mean())
        self._terms.append((dataclasses.replace(term, usual=usual), np.log(density / usual)))

    def shifts(self) -> np.ndarray | None:
        """Shifts at which at least half of the files lie in the log."""
        if not self._middles:
            return None
        middle = float(np.median(self._middles))
        return np.linspace(self._grid[0] - middle, self._grid[-1] - middle, SHIFTS)

    def log_likelihood(self, shifts: np.ndarray) -> np.ndarray:
        """[s], between points of the grid interpolated; a file beyond the log says nothing."""
        total = np.zeros(len(shifts))
        for term, density in self._terms:
            total += np.interp(term.middle + shifts, self._grid, density, left=0.0, right=0.0)
        return total

    def refined(self, best: float, reach: float) -> tuple[float, float]:
        """Mean and standard deviation (ns) of the shift, ``best`` within ``reach``, from `EXACT_FILES` files at most with their tracks at every time tried."""
        every = sorted({term.middle for term, _ in self._terms})
        chosen = {every[len(every) * index // EXACT_FILES] for index in range(EXACT_FILES)}
        terms = [term for term, _ in self._terms if term.middle in chosen]
        shifts = np.round(best + np.linspace(-reach, reach, EXACT_SHIFTS)).astype(np.int64)
        spread = max(term.half for term in terms) > 0.1 * self.spacing
        parts = np.linspace(-1.0, 1.0, 5 if spread else 1) if spread else np.zeros(1)
        total = np.zeros(len(shifts))
        at = {
            term: [self._start + term.middle + shift + round(part * term.half) for shift in shifts.tolist() for part in parts.tolist()]
            for term in terms
        }  # fmt: skip
        self._tracks.prepare(time for times in at.values() for time in times)
        for term, times in at.items():
            density = term.density(*term.track.at(times)).reshape(len(shifts), len(parts)).mean(axis=1)
            total += np.log(density / term.usual)
        weight = np.exp(total - total.max())
        weight /= weight.sum()
        mean = float((weight * shifts).sum())
        step = float(shifts[1] - shifts[0])
        return mean, math.sqrt(float((weight * (shifts - mean) ** 2).sum()) + step**2 / 12.0)


def _peaks(shifts: np.ndarray, likelihood: np.ndarray, allowed: np.ndarray) -> list[float]:
    """The highest shift of each run of allowed ones, best first, at most three."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], allowed, [False]]).astype(np.int8)))
    best = [first + int(np.argmax(likelihood[first:stop])) for first, stop in zip(edges[::2], edges[1::2], strict=True)]
    return [float(shifts[index]) for index in sorted(best, key=lambda index: -likelihood[index])[:3]]
