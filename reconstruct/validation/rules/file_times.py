"""When a file was recorded, as its claims of times allow, and contradictions between its clocks.

A claimed time may be the start of the recording, its end, or that of saving; the recording takes the time of its exposures or frames. So claims give a
window in which the recording lies. A local time of a zone that is not stated is off by a whole number of quarter hours from -12 to +14 h, unless the file
also has the same moment in UTC.

    span = span_of(signal.claims, signal.repeated)      # None where the file claims no time
    span.earliest, span.latest                          # int64 ns; UTC, or as if UTC where span.zone is "local"
    span.contradictions                                 # what its clocks say against one another

Times are given as claims (`Claim`) of the fields time.start, time.end, time.saved and time.unstated.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from reconstruct.validation.evidence import Contradiction
from twin.records import Claim
from twin.units import moment

SECOND = 10**9
QUARTER = 900 * SECOND
"""Offsets of time zones are whole numbers of these."""
ZONES = tuple(range(-12 * 3600 * SECOND, 14 * 3600 * SECOND + 1, QUARTER))
"""Offsets (ns) that a local time may have from UTC."""
UNSTATED_SLACK = 60 * SECOND
"""How long before a time of unstated meaning a recording may have ended, and how far two clocks of one file may differ: assumed."""
SAVING_SLACK = 3600 * SECOND
"""How long a recording may lie unsaved: assumed."""
UNKNOWN_DURATION = 60.0
"""Longest duration (s) of a recording that states neither exposure nor frame time: assumed."""
STALE = "stale timestamp"
MEANINGS = ("start", "end", "unstated", "saved")
"""From the most to the least telling."""


class Window(NamedTuple):
    """The recording lies within ``earliest`` to ``latest`` (ns)."""

    earliest: int
    latest: int


class Clock(NamedTuple):
    """One claimed time: its field, meaning, the claim, its ``time`` and ``step`` (ns), and the window that it allows."""

    field: str
    meaning: str
    claim: Claim
    time: int
    step: int
    window: Window


@dataclasses.dataclass(frozen=True)
class Span:
    """The recording lies within ``earliest`` to ``latest`` (ns UTC; as if UTC where ``zone`` is "local").

    ``offset`` (ns) is local time less UTC where two clocks of the file fix it, ``duration`` (s) that of the recording. ``words`` say how it is known.
    """

    earliest: int
    latest: int
    zone: Literal["UTC", "local"]
    words: str
    offset: int | None = None
    duration: float = 0.0
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def middle(self) -> int:
        return (self.earliest + self.latest) // 2

    def shifts(self, zone: str) -> tuple[int, ...]:
        """What must be added (ns) to these times for a clock in ``zone`` ("UTC" or "local"): one number, or every one that is possible.

        Two local clocks of unstated zones are taken as of one zone.
        """
        if self.zone == zone:
            return (0,)
        sign = 1 if zone == "local" else -1
        return tuple(sign * offset for offset in (ZONES if self.offset is None else (self.offset,)))


def duration_of(claims: Mapping[str, Claim]) -> float | None:
    """Longest duration (s) of the recording by its claims of exposures, frame times and dwells; None where there are none."""

    def number(name: str) -> float:
        claim = claims.get(name)
        value = claim.value if claim is not None else math.nan
        return (
            float(value)
            if isinstance(value, (int, float)) and math.isfinite(float(value)) and float(value) > 0
            else math.nan
        )

    frames = number("frames") if number("frames") >= 1 else 1.0
    pixels = number("columns") * number("rows")
    candidates = [
        number("exposure") * frames,
        number("frame_time") * frames,
        number("line_time") * number("rows") * frames,
        number("dwell") * pixels * frames,
        number("dwell"),
    ]
    known = [seconds for seconds in candidates if math.isfinite(seconds)]
    return max(known) if known else None


def span_of(claims: Mapping[str, Claim], repeated: Mapping[str, tuple[Claim, ...]]) -> Span | None:
    """When the file was recorded by its claims; None where it claims no time. Contradictions between its times are in the span."""
    known = duration_of(claims)
    duration = round((UNKNOWN_DURATION if known is None else known) * SECOND)
    clocks = [
        Clock(f"time.{meaning}", meaning, claim, int(claim.value), round(claim.step), _window(meaning, claim, duration))
        for meaning in MEANINGS
        for claim in (*((claims[f"time.{meaning}"],) if f"time.{meaning}" in claims else ()), *repeated.get(f"time.{meaning}", ()))
        if isinstance(claim.value, int)
    ]  # fmt: skip
    if not clocks:
        return None
    by_zone = {zone: [clock for clock in clocks if (clock.claim.zone == "UTC") == (zone == "UTC")] for zone in ("UTC", "local")}  # fmt: skip
    zone: Literal["UTC", "local"] = "UTC" if by_zone["UTC"] else "local"
    window, contradictions = _combined(by_zone[zone], duration)
    offset = None
    if by_zone["UTC"] and by_zone["local"]:
        contradictions += _combined(by_zone["local"], duration)[1]
        offset, more = _offset(by_zone["UTC"], by_zone["local"], duration)
        contradictions += more
    first = by_zone[zone][0]
    words = (
        f"{first.field} {moment(first.time, zone)}, recording within {(window.latest - window.earliest) / SECOND:.3g} s"
    )
    if zone == "local":
        words += ", of a time zone that the file does not state"
    return Span(window.earliest, window.latest, zone, words, offset, (known or 0.0), tuple(contradictions))


def _window(meaning: str, claim: Claim, duration: int) -> Window:
    """The window that one claim allows a recording of at most ``duration`` ns."""
    time, step = int(claim.value), round(claim.step)
    before = {"start": 0, "end": duration, "unstated": duration + UNSTATED_SLACK, "saved": duration + SAVING_SLACK}
    after = {"start": duration, "end": 0, "unstated": duration, "saved": 0}
    return Window(time - before[meaning], time + step + after[meaning])


def _combined(clocks: list[Clock], duration: int) -> tuple[Window, list[Contradiction]]:
    """The window of clocks in one zone, and what they say against one another."""
    of = {meaning: [clock for clock in clocks if clock.meaning == meaning] for meaning in MEANINGS}
    contradictions: list[Contradiction] = []
    if of["start"] and of["end"]:
        start, end = of["start"][0], of["end"][0]
        if end.time + end.step < start.time:
            words = f"the recording ends at {_shown(end)}, before its start at {_shown(start)}"
            contradictions.append(Contradiction("time.end", "stale", words, STALE))
            window = _hull([start, end])
        else:
            window = Window(start.time, end.time + end.step)
    else:
        first = next(of[meaning] for meaning in MEANINGS if of[meaning])
        window = first[0].window
    for clock in clocks:
        contradiction = _against(clock, clocks[0], window, duration)
        if contradiction is not None:
            contradictions.append(contradiction)
            window = Window(min(window.earliest, clock.window.earliest), max(window.latest, clock.window.latest))
    return window, contradictions


def _against(clock: Clock, first: Clock, window: Window, duration: int) -> Contradiction | None:
    """What ``clock`` says against the window of the others, the most telling of which is ``first``; None where it agrees."""
    time, step = clock.time, clock.step
    if clock is first:
        return None
    if clock.meaning == "saved":
        begins = first.time if first.meaning == "start" else window.earliest
        if time + step >= begins:
            return None
        words = f"the file was saved at {_shown(clock)}, before the recording began at {_shown(first)}"
        return Contradiction("time.saved", "stale", words, STALE)
    if clock.meaning == "unstated":
        # it may be that of saving, or of another file of the same recording
        if window.earliest - UNSTATED_SLACK <= time + step and time <= window.latest + SAVING_SLACK:
            return None
    elif clock.meaning == first.meaning:
        if abs(time - first.time) <= duration + UNSTATED_SLACK:
            return None
    else:  # an end, judged against its start
        return None
    apart = time - first.time
    words = f"{clock.claim.key} says {_shown(clock)}, {first.claim.key} says {_shown(first)}"
    if abs(_residual(apart)) <= SECOND and abs(apart) <= ZONES[-1]:
        words += f": {apart / 3.6e12:+g} h, so one of the two is a local time and not {clock.claim.zone or 'UTC'}"
    return Contradiction(clock.field, "stale", words, STALE)


def _offset(utc_clocks: list[Clock], local: list[Clock], duration: int) -> tuple[int | None, list[Contradiction]]:
    """Local time less UTC (ns) by clocks of one file, where they fix it; a contradiction where no whole quarter hour fits."""
    pairs = [(here, there) for here in local for there in utc_clocks if here.meaning == there.meaning]
    here, there = pairs[0] if pairs else (local[0], utc_clocks[0])
    apart = here.time - there.time
    doubt = UNSTATED_SLACK + here.step + there.step + (0 if "start" in (here.meaning,) and pairs else duration)
    possible = [offset for offset in ZONES if abs(apart - offset) <= doubt]
    if possible:
        return (possible[0] if len(possible) == 1 else None), []
    words = (
        f"{here.claim.key} says {_shown(here)} and {there.claim.key} {_shown(there)}: {apart / 6e10:.1f} min apart, "
        f"and zones differ by whole quarter hours from -12 to +14 h"
    )
    return None, [Contradiction(here.field, "stale", words, STALE)]


def _residual(apart: int) -> int:
    """What ``apart`` (ns) is beyond whole quarter hours, from -450 to 450 s."""
    return (apart + QUARTER // 2) % QUARTER - QUARTER // 2


def _hull(clocks: list[Clock]) -> Window:
    return Window(min(clock.window.earliest for clock in clocks), max(clock.window.latest for clock in clocks))


def _shown(clock: Clock) -> str:
    return moment(clock.time, clock.claim.zone)
