"""The live screen of ``emtwin watch``: state, sensors, clocks, parts of the model and events, fitted to the size of the terminal."""

import math
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reconstruct.stream.monitors import EXCESS
from reconstruct.stream.readings.health import VERDICTS
from scenarios.watch.follow import AGREEING_VERDICTS, Channel, Follower
from scenarios.watch.result import event_item
from scenarios.watch.sources import Source
from scenarios.watch.text import BAD, STYLES, clock, event_words, headed, plain, spark
from twin.units import age, scale, shown, value_text

RECENT = 60.0
"""Seconds of the past that a sparkline shows."""
WIDE = 100
"""Columns from which two tables stand side by side."""


class Screen:
    """Draws the state in place. Use as a context manager; call `show` after each piece."""

    def __init__(self, follower: Follower, source: Source, console: Console):
        self._follower, self._source, self._console = follower, source, console
        self._live = Live(console=console, auto_refresh=False, screen=console.is_terminal, vertical_overflow="crop")

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, wall: float) -> None:
        """Draw anew, ``wall`` seconds after it began."""
        size = self._console.size
        self._live.update(drawn(self._follower, self._source, wall, size.width, size.height), refresh=True)


def drawn(follower: Follower, source: Source, wall: float, width: int, height: int) -> RenderableType:
    """The whole screen in ``width`` x ``height`` characters."""
    left = height - 2
    wide = width >= WIDE
    notes = _notes(follower)
    beside = wide
    state_rows = max(3, min(len(follower.names), left // 2 - 2 if wide else left // 3 - 1))
    first: RenderableType = _state(follower, state_rows, width - 46 if beside else width)
    if beside:
        grid = Table.grid(padding=(0, 3))
        grid.add_column(width=width - 46)
        grid.add_column(width=43)
        grid.add_row(first, _diagnostics(follower, state_rows + 1))
        parts: list[RenderableType] = [_head(follower, source, wall, width), grid]
        used = state_rows + 1 + 2
    else:
        parts = [_head(follower, source, wall, width), first, *_lines(follower, width)]
        used = state_rows + 1 + 3
    rows = max(2, left - used - (1 if notes else 0) - 1)
    parts += [Text(""), _sensors(follower, rows, width)] if wide else [_sensors(follower, rows, width)]
    if notes:
        parts.append(_fit(notes, width, "dim"))
    return Group(*parts)


def line(follower: Follower) -> str:
    """The state in one line, for output without a screen."""
    state = [f"{name} {shown(*values)}" for name, values in list(follower.now().items())[:3]]
    odd = [
        f"{channel.name} {channel.verdict}"
        for channel in follower.channels.values()
        if channel.verdict not in AGREEING_VERDICTS
    ]
    counts = f"{clock(follower.stream.now)}  {follower.readings} readings, {len(odd)} sensors off"
    listed = [*odd[:3], *([f"{len(odd) - 3} more"] if len(odd) > 3 else [])]
    worst = follower.stream.monitors.distrust
    trust = [f"MODEL DISTRUSTED: {worst.part}"] if worst else []
    return "  ".join([counts + (f" ({', '.join(listed)})" if listed else ""), *state, *trust])


# --- parts of the screen


def _head(follower: Follower, source: Source, wall: float, width: int) -> Text:
    worst = follower.stream.monitors.distrust
    trust = ("model trusted", "bright_blue") if worst is None else (f"MODEL DISTRUSTED: {worst.part}", BAD)
    begun = follower.times[0] if follower.times else source.start
    share = ""
    if source.end is not None and source.end > source.start:
        share = f" {100 * min((follower.stream.now - source.start) / (source.end - source.start), 1.0):.0f} %"
    counted = f"  {follower.readings} readings" + (f", {wall:.0f} s here" if width >= WIDE else "")
    text = Text.assemble(
        (source.title, "bold"), "  ", trust, f"  {clock(follower.stream.now)}, {age((follower.stream.now - begun) * 1e-9)}{share}",
        (counted, "dim"), no_wrap=True,
    )  # fmt: skip
    if len(text) > width:
        text = text[: len(text) - len(counted)]
    text.truncate(width, overflow="ellipsis")
    return text


def _state(follower: Follower, rows: int, width: int) -> Table:
    names = follower.names
    longest = min(max((len(name) for name in names[:rows]), default=8), 22)
    room = width - longest - 24 - 12 - 6
    table = headed("state", ">value ± std", *([f"last {RECENT:.0f} s"] if room >= 6 else []), ">per minute")
    table.columns[0].width = longest
    table.columns[1].width = 24
    table.columns[-1].width = 12
    now = follower.now()
    recent = _recent(follower)
    for name in names[:rows]:
        mean, std, unit = now.get(name, (math.nan, math.nan, follower.unit[name]))
        index = names.index(name)
        means = np.array([follower.means[number][index] for number in recent])
        style = "bold" if name in follower.quantities else ""
        cells: list[Any] = [Text(name, style=style), shown(mean, std, unit)]
        if room >= 6:
            cells.append(Text(spark(means, 1.645 * std, min(room, 24)), style="cyan"))
        cells.append(Text(_trend(follower, recent, means, std, unit), style="dim"))
        table.add_row(*cells)
    return table


def _recent(follower: Follower) -> range:
    times = follower.times
    first = len(times)
    while first > 0 and times[-1] - times[first - 1] <= RECENT * 1e9:
        first -= 1
    return range(max(min(first, len(times) - 2), 0), len(times))


def _trend(follower: Follower, recent: range, means: np.ndarray, std: float, unit: str) -> str:
    """Change of the mean per minute over the recent past, if larger than its standard deviation."""
    if len(means) < 2 or not np.isfinite(means[[0, -1]]).all():
        return ""
    span = (follower.times[recent[-1]] - follower.times[recent[0]]) * 1e-9
    step = float(means[-1] - means[0])
    if span <= 0:
        return ""
    if abs(step) < std:
        return "steady"
    factor, symbol = scale(step * 60 / span, unit)
    return f"{step * 60 / span * factor:+.3g} {symbol}".rstrip()


def _diagnostics(follower: Follower, rows: int) -> Group:
    """Parts of the model, clocks and events, in a column of ``rows``."""
    parts = headed("part of the model", ">fast", ">slow")
    tallies = list(follower.stream.monitors.tallies.items())
    clocks = [(name, follower.clock(name)) for name in follower.model.sources]
    known = [(name, value) for name, value in clocks if value is not None]
    shown_events = min(len(follower.events), 5)
    room = rows - 3 - max(shown_events, 1)
    count = min(len(tallies), max(2, room if not known else room // 2 + 1))
    tallies.sort(key=lambda item: -_worst(item[1]))
    for name, both in tallies[:count]:
        parts.add_row(Text(name), *(_ratio(both[memory].ratio) for memory in ("fast", "slow")))
    if known:
        table = headed("clock", ">ahead of ours by")
        for name, (offset, std) in sorted(known, key=lambda item: -abs(item[1][0]))[: max(room - count, 1)]:
            table.add_row(name, shown(offset, std, "second"))
        below: RenderableType = table
    else:
        below = Text("clocks: no arrival times to tell them by", style="dim")
    events = Group(Text(f"events ({len(follower.events)})", style="bold"), *_event_lines(follower, shown_events, 43))
    return Group(parts, below, events)


def _event_lines(follower: Follower, count: int, width: int) -> list[Text]:
    if not count:
        return [Text("none", style="dim")]
    return [_fit(_event(follower, event), width, "yellow") for event in follower.events[-count:][::-1]]


def _event(follower: Follower, event: Any) -> str:
    return f"{clock(event.time)} {event_words(event_item(follower.model, event))}"


def _lines(follower: Follower, width: int) -> list[Text]:
    """Parts, clocks and the last event, a line each, for a narrow terminal."""
    tallies = sorted(follower.stream.monitors.tallies.items(), key=lambda item: -_worst(item[1]))
    ratios = [Text.assemble(f"{name} ", _ratio(both["fast"].ratio)) for name, both in tallies if _worst(both) >= 0]
    known = [(name, value) for name in follower.model.sources if (value := follower.clock(name)) is not None]
    known.sort(key=lambda item: -abs(item[1][0]))
    clocks = [Text(f"{name} {shown(*value, 'second')}") for name, value in known] or [
        Text("no arrival times", style="dim")
    ]
    last = _event(follower, follower.events[-1]) if follower.events else "none"
    style = "yellow" if follower.events else "dim"
    return [
        _as_fits("innovations²", ratios, width), _as_fits("clocks ahead", clocks, width), _fit(f"events {len(follower.events)}: {last}", width, style),
    ]  # fmt: skip


def _as_fits(head: str, items: list[Text], width: int) -> Text:
    """As many items as there is room for, and how many are left."""
    text = Text.assemble((head, "bold"), no_wrap=True)
    for number, item in enumerate(items):
        if len(text) + len(item) + 2 > width - (9 if number < len(items) - 1 else 0):
            return text.append(f"  +{len(items) - number} more", style="dim")
        text = Text.assemble(text, "  ", item, no_wrap=True)
    return text


def _sensors(follower: Follower, rows: int, width: int) -> Table:
    wide = width >= WIDE
    heads = (
        "sensor",
        *(("kind",) if wide else ()),
        ">last",
        ">age",
        *((">expected",) if wide else ()),
        ">away",
        ">used",
        ">off",
        "verdict",
    )
    table = headed(*heads)
    channels = sorted(follower.channels.values(), key=_rank)
    for channel in channels[:rows]:
        health = follower.health(channel.name)
        off = health.outlier + health.stuck + health.not_a_number + health.invalid + health.late + health.future
        unit = channel.unit or "1"
        away = "" if channel.innovation is None else f"{channel.innovation:+.1f} σ"
        strange = channel.innovation is not None and abs(channel.innovation) > 4
        expected = (
            ""
            if channel.expected is None or not math.isfinite(channel.expected)
            else value_text(channel.expected, unit, channel.expected_std)
        )
        error = channel.expected_std
        cells: list[Any] = [_fit(channel.name, 34 if wide else 27)]
        cells += [Text(channel.kind, style="dim")] if wide else []
        cells += [value_text(channel.last, unit, error), age(follower.age(channel))]
        cells += [expected] if wide else []
        cells += [Text(away, style=BAD if strange else ""), str(health.used or ""), str(off or "")]
        table.add_row(*cells, Text(channel.verdict, style=STYLES.get(channel.verdict, BAD)))
    return table


def _rank(channel: Channel) -> tuple[int, int, str]:
    """Sensors in trouble first, worst first; then those that are evidence, then silent ones, echoes, and what is not modelled."""
    bad = channel.verdict not in AGREEING_VERDICTS
    group = (
        0
        if bad
        else 1
        if channel.evidence and channel.verdict == "ok"
        else 2
        if channel.evidence
        else 3
        if channel.sensor
        else 4
    )
    worse = -VERDICTS.index(channel.verdict) if bad else 0
    return group, worse, "" if group == 1 else channel.name


def _notes(follower: Follower) -> str:
    outside = sum(channel.sensor is None for channel in follower.channels.values())
    echoes = sum(channel.kind == "echo" for channel in follower.channels.values())
    notes = [f"{echoes} echoes"] if echoes else []
    notes += [f"{outside} channels not modelled by table {follower.model.name}"] if outside else []
    return "; ".join([*notes, "Ctrl-C ends and draws the figure"])


def _ratio(ratio: float) -> Text:
    if not math.isfinite(ratio):
        return Text("–", style="dim")
    return Text(f"{ratio:.2f}", style=BAD if ratio > EXCESS else "bright_blue")


def _worst(both: dict[str, Any]) -> float:
    return max((tally.ratio for tally in both.values() if math.isfinite(tally.ratio)), default=-1.0)


def _fit(text: str, width: int, style: str = "") -> Text:
    cell = Text(plain(text), style=style, no_wrap=True)
    cell.truncate(width, overflow="ellipsis")
    return cell
