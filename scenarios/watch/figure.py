"""The figure of a watch: quantities with 90 % bands, innovations and verdicts of the sensors, and events."""

import io
import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scenarios.style.figure import FAINT, LINE, STYLE
from scenarios.watch.follow import Channel, Follower
from scenarios.watch.past import Past
from scenarios.watch.result import event_item
from scenarios.watch.text import event_words
from twin.units import scale

BAND = 1.645
"""Standard deviations on either side that hold 90 %."""
BINS = 200
MOST_SENSORS = 30
MOST_EVENTS = 12
EVENT = "#b0389a"
# Okabe and Ito's colours, which stay apart for every kind of colour vision
COLOURS = {
    "ok": "#a6cbe3", "held": "#56b4e9", "waiting": "#f2f4f5", "no evidence": "#e3e7ea", "silent": "#9aa7b2", "stuck": "#d55e00",
    "saturated": "#7a3e00", "clock off": "#cc79a7", "late": "#e69f00", "spiking": "#f0e442", "noisy": "#009e73",
}  # fmt: skip


def draw_watch(follower: Follower, past: Past, title: str, form: str) -> bytes:
    """The figure as a "png" or "svg"."""
    sensors = _sensors(follower)
    panels = math.ceil(len(past.names) / _columns(past))
    lower = 0.75 + 0.2 * max(len(sensors), 3)
    events = follower.events
    words = 0.25 + 0.18 * min(math.ceil(len(events) / 2), MOST_EVENTS // 2) if events else 0.1
    heights = [1.55 * panels if panels else 0.4, lower if sensors else 0.3, words]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, sum(heights) + 1.0), layout="constrained")
        figure.suptitle(_title(follower, past, title), x=0.01, ha="left", fontsize=10)
        parts: Any = figure.subfigures(3, 1, height_ratios=heights)
        top, middle, bottom = parts
        clock = _Axis(follower)
        _quantities(top, follower, past, clock)
        if sensors:
            _sensor_rows(middle, follower, sensors, clock)
        if events:
            _list_events(bottom, follower, clock)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {"Software": None})
    return buffer.getvalue()


class _Axis:
    """Times as seconds, minutes or hours since the start."""

    def __init__(self, follower: Follower):
        self.start = follower.times[0] if follower.times else follower.stream.start
        self.stop = max(follower.stream.now, *follower.times[-1:], self.start + 1)
        seconds = (self.stop - self.start) * 1e-9
        self.per, self.unit = (1e9, "s") if seconds < 180 else (60e9, "min") if seconds < 4 * 3600 else (3600e9, "h")

    def of(self, times: Any) -> Any:
        return (np.asarray(times, dtype=np.int64) - self.start) / self.per

    def fit(self, axes: Axes) -> None:
        axes.set_xlim(0.0, float(self.of(self.stop)))


def _title(follower: Follower, past: Past, title: str) -> str:
    worst = follower.stream.monitors.distrust
    start = np.datetime64(follower.times[0] if follower.times else follower.stream.start, "ns")
    trust = "model trusted" if worst is None else f"MODEL DISTRUSTED: {worst.part}"
    known = "as known at the end" if past.smoothed else "as known at the time"
    plain = "".join(character if character.isprintable() else "?" for character in title).replace("$", r"\$")
    return f"{plain}, from {np.datetime_as_string(start, 's').replace('T', ' ')} UTC: {follower.readings} readings, {trust}; {known}, 90 % bands"


def _quantities(figure: Any, follower: Follower, past: Past, clock: _Axis) -> None:
    if not past.names:
        figure.text(0.01, 0.5, "no sensor of this table was heard: nothing is known of its state", color=FAINT)
        return
    columns = _columns(past)
    rows = math.ceil(len(past.names) / columns)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for index, name in enumerate(past.names):
        axes = grid[index // columns][index % columns]
        mean, half = past.mean[:, index], BAND * past.std[:, index]
        known = np.isfinite(mean)
        axes.set_title(name)
        axes.grid(True, color="#e8ecef", linewidth=0.7)
        if not known.any():
            axes.text(
                0.5,
                0.5,
                "depends on a command that was not recorded",
                ha="center",
                transform=axes.transAxes,
                color=FAINT,
            )
            axes.set_yticks([])
            continue
        low, high = _limits(mean[known], half[known])
        unit = follower.unit[name]
        factor, symbol = scale(max(abs(low), abs(high)), unit)
        small = factor * (high - low) < 1e-2 * factor * max(abs(low), abs(high))
        if small:  # a small change of something large: about its middle, in a unit of its own
            middle = float(np.median(mean[known]))
            factor, symbol = scale(high - low, unit)
            mean, low, high = mean - middle, low - middle, high - middle
            big, big_symbol = scale(middle, unit)
            axes.set_title(f"{name} − {middle * big:.6g} {big_symbol}".rstrip())
        times = clock.of(past.times)
        axes.fill_between(times, factor * (mean - half), factor * (mean + half), color=LINE, alpha=0.22, linewidth=0)
        axes.plot(times, factor * mean, color=LINE, linewidth=1.2)
        axes.set_ylim(factor * low, factor * high)
        axes.set_ylabel(symbol or "1")
        axes.ticklabel_format(
            useOffset=False, axis="y", style="plain" if factor * (high - low) > 1e-3 else "sci", scilimits=(-3, 4)
        )
        _mark(axes, follower, clock, index < columns)
        clock.fit(axes)
    for index in range(len(past.names), columns * rows):
        grid[index // columns][index % columns].set_visible(False)
        grid[index // columns - 1][index % columns].tick_params(labelbottom=True)
    for axes in grid[-1]:
        axes.set_xlabel(f"time ({clock.unit})")


def _columns(past: Past) -> int:
    return 1 if len(past.names) < 3 else 2


def _limits(mean: np.ndarray, half: np.ndarray) -> tuple[float, float]:
    """What to show: nearly all of the mean, most of the band (which begins as wide as the prior)."""
    low = min(np.quantile(mean, 0.01), np.quantile(mean - half, 0.08))
    high = max(np.quantile(mean, 0.99), np.quantile(mean + half, 0.92))
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - room), float(high + room)


def _mark(axes: Axes, follower: Follower, clock: _Axis, numbered: bool) -> None:
    for number, event in enumerate(follower.events[:MOST_EVENTS], 1):
        at = float(clock.of(event.time))
        axes.axvline(at, color=EVENT, linewidth=0.9, linestyle=(0, (4, 3)))
        if numbered:
            axes.annotate(str(number), (at, 1.0), xycoords=("data", "axes fraction"), xytext=(2, -1), textcoords="offset points",
                          va="top", fontsize=8, color=EVENT)  # fmt: skip


def _sensors(follower: Follower) -> list[Channel]:
    """Those that are evidence and were heard, in the table's order; the worst ones where there are too many."""
    heard = [channel for channel in follower.channels.values() if channel.evidence and channel.heard is not None]
    if len(heard) > MOST_SENSORS:
        bad = {channel.name for channel in sorted(heard, key=lambda channel: channel.verdict == "ok")[:MOST_SENSORS]}
        heard = [channel for channel in heard if channel.name in bad]
    return heard


def _sensor_rows(figure: Any, follower: Follower, sensors: list[Channel], clock: _Axis) -> None:
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1.0))
    edges = np.linspace(0.0, float(clock.of(clock.stop)), BINS + 1)
    image = np.full((len(sensors), BINS), np.nan)
    for row, sensor in enumerate(sensors):
        if sensor.innovations:
            times, sizes = (np.array(column) for column in zip(*sensor.innovations, strict=True))
            bins = np.clip(np.searchsorted(edges, clock.of(times), side="left") - 1, 0, BINS - 1)
            for position, size in zip(bins.tolist(), sizes.tolist(), strict=True):
                if not abs(image[row, position]) >= abs(size):
                    image[row, position] = size
    left.set_facecolor("#f2f4f5")
    drawn = left.pcolormesh(
        edges, np.arange(len(sensors) + 1) - 0.5, image, cmap="PuOr", vmin=-5, vmax=5, rasterized=True
    )
    left.set_title("innovations (largest of each bin)")
    left.set_yticks(range(len(sensors)), [sensor.name for sensor in sensors], fontsize=8)
    left.set_ylim(len(sensors) - 0.5, -0.5)
    figure.colorbar(drawn, ax=left, label="σ", pad=0.01, extend="both", aspect=max(4, 1.2 * len(sensors)))
    used = set()
    for row, sensor in enumerate(sensors):
        ends = [at for at, _ in sensor.verdicts[1:]] + [clock.stop]
        for (at, verdict), end in zip(sensor.verdicts, ends, strict=True):
            used.add(verdict)
            begin, stop = float(clock.of(at)), float(clock.of(max(end, at)))
            right.barh(row, stop - begin, left=begin, height=0.72, color=COLOURS.get(verdict, "#000000"), linewidth=0)
        if sensor.verdict != "ok":
            right.text(1.01, row, sensor.verdict, transform=right.get_yaxis_transform(), va="center", fontsize=8)
    right.tick_params(labelleft=False, left=False)
    for axes in (left, right):
        axes.set_xlabel(f"time ({clock.unit})")
        clock.fit(axes)
        _mark(axes, follower, clock, False)
    handles = [Patch(color=colour, label=verdict) for verdict, colour in COLOURS.items() if verdict in used]
    right.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=len(handles),
        fontsize=8,
        borderaxespad=0.2,
        handlelength=1.0,
        columnspacing=1.0,
    )


def _list_events(figure: Any, follower: Follower, clock: _Axis) -> None:
    events = follower.events
    lines = []
    for number, event in enumerate(events[:MOST_EVENTS], 1):
        words = event_words(event_item(follower.model, event))
        lines.append(f"{number}  {float(clock.of(event.time)):.2f} {clock.unit}: {words}")
    if len(events) > MOST_EVENTS:
        lines[-1] += f"; and {len(events) - MOST_EVENTS} more"
    half = math.ceil(len(lines) / 2)
    for column, part in enumerate((lines[:half], lines[half:])):
        figure.text(0.01 + 0.5 * column, 0.95, "\n".join(part), va="top", fontsize=8, color=EVENT, linespacing=1.4)
