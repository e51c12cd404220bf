"""A session in time: a lane for each field, with what the files claim, what evidence and logs say, and when a fault or a drift was there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reconstruct.validation.result import quantity_text
from reconstruct.validation.session.timeline import Lane, LogAlong, Timeline
from scenarios.style.figure import FAINT, INK, LINE, draw
from scenarios.validate.page.contradictions import COLOURS, MARKERS
from scenarios.validate.page.strip import LIMIT, LOG_FROM, SOURCES, ends_of, time_unit
from twin.channels import field
from twin.units import moment

MOST_LANES = 10
"""Lanes that are drawn: those with faults first, then those that a log follows."""
WIDTH, HEIGHT, BELOW, BAR = 7.6, 0.82, 0.72, 0.2
"""Inches of the figure, of a lane, of the time axis, and of the bar of a log."""
SHADE = 0.012
"""Share of the time axis that a fault of one file takes."""
REACH = 1.0
"""Lengths of the files' period by which the axis reaches beyond it to show more of a log."""
LEAST = 600 * 10**9
"""Nanoseconds that the axis reaches beyond the files at least, where a log does."""
TRACK = SOURCES["sensors"][0]


def timeline_picture(times: Timeline) -> str | None:
    """The lanes of a session, and what its logs cover, as a ``data:`` address; None where no field changes."""
    faulty = {fault.field for fault in times.faults}
    lanes = sorted(times.lanes, key=lambda lane: (lane.field not in faulty, not lane.tracks))[:MOST_LANES]
    if not lanes:
        return None
    axis = _Axis.of(times, lanes)
    height = HEIGHT * len(lanes) + BAR * len(axis.logs) + BELOW
    return draw(
        WIDTH,
        height,
        lambda figure: _paint(figure, lanes, times, axis),
        "png",
        layout=None,
        grid=False,
        limit=2 * LIMIT,
    )


class _Axis(NamedTuple):
    """The time axis: from ``first`` to ``last`` (ns, of the files' clock) in units of ``per`` seconds, and the ``logs`` that lie on it."""

    first: int
    last: int
    per: float
    unit: str
    logs: tuple[LogAlong, ...]

    @classmethod
    def of(cls, times: Timeline, lanes: Sequence[Lane]) -> "_Axis":
        begins = [fault.since for fault in times.faults if fault.since is not None and fault.since_zone == times.zone]
        first = min([min(lane.times) for lane in lanes] + begins)
        last = max(max(lane.times) for lane in lanes)
        reach = max(round(REACH * (last - first)), LEAST)
        logs = []
        for log in times.logs:
            if log.shift is not None and log.first - log.shift <= last and log.last - log.shift >= first:
                logs.append(log)
        begin = min([first, *(max(log.first - (log.shift or 0), first - reach) for log in logs)])
        end = max([last, *(min(log.last - (log.shift or 0), last + reach) for log in logs)])
        return cls(begin, end, *time_unit((end - begin) * 1e-9), tuple(logs))

    def __call__(self, time: Any) -> Any:
        """Times (ns) on the axis."""
        return (np.asarray(time, np.int64) - self.first) * 1e-9 / self.per

    @property
    def length(self) -> float:
        return float(self(self.last)) or 1.0


def _paint(figure: Figure, lanes: Sequence[Lane], times: Timeline, axis: _Axis) -> None:
    bars = BAR * len(axis.logs)
    height = HEIGHT * len(lanes) + bars + BELOW
    shifts = {log.title: log.shift for log in axis.logs}
    end = axis.length
    for row, lane in enumerate(lanes):
        axes = figure.add_axes((0.135, 1.0 - (0.05 + HEIGHT * (row + 0.97)) / height, 0.85, 0.6 * HEIGHT / height))
        for fault in times.faults:
            if fault.field == lane.field:
                since = fault.since if fault.since_zone == times.zone else None
                begin, stop = float(axis(fault.first if since is None else since)), float(axis(fault.last))
                axes.axvspan(
                    begin - SHADE * end, stop + SHADE * end, color=COLOURS[fault.status], alpha=0.14, linewidth=0
                )
        for drift, _ in times.drifts:
            shift = shifts.get(drift.log) if drift.log else 0
            if drift.field == lane.field and shift is not None:
                axes.axvspan(*axis([drift.first - shift, drift.last - shift]), color=TRACK, alpha=0.13, linewidth=0)
        _lane(axes, lane, axis)
        axes.set_xlim(-0.03 * end, 1.03 * end)
        axes.set_title(lane.field, fontsize=8.5, pad=3)
        below = row == len(lanes) - 1 and not axis.logs
        axes.tick_params(axis="x", labelbottom=below, labelsize=8)
    if axis.logs:
        axes = figure.add_axes((0.135, (BELOW - 0.24) / height, 0.85, bars / height))
        _coverage(axes, axis)
    axes.set_xlabel(f"{axis.unit} after {moment(axis.first, times.zone)}", fontsize=8.5, loc="left")
    handles = []
    for status, colour in COLOURS.items():
        handles += axes.plot(
            [], [], MARKERS[status], color=colour, markerfacecolor=_face(status), markersize=6, label=status
        )
    figure.legend(
        handles=handles, loc="lower right", ncols=4, fontsize=8, bbox_to_anchor=(0.99, 0.0), handletextpad=0.2
    )


def _coverage(axes: Axes, axis: _Axis) -> None:
    """A bar for the time that each log covers."""
    end = axis.length
    for row, log in enumerate(axis.logs):
        begin, stop = (float(axis(time - (log.shift or 0))) for time in (log.first, log.last))
        begin, stop = max(begin, -0.03 * end), min(stop, 1.03 * end)
        axes.barh([row], [stop - begin], left=[begin], height=0.72, color=TRACK, alpha=0.35, linewidth=0)
        axes.text(max(begin, 0.0) + 0.005 * end, row, log.title, fontsize=7, va="center", color=INK)
    axes.set_xlim(-0.03 * end, 1.03 * end)
    axes.set_ylim(len(axis.logs) - 0.4, -0.6)
    axes.set_yticks([0.5 * (len(axis.logs) - 1)], ["logs"], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)


def _lane(axes: Axes, lane: Lane, axis: _Axis) -> None:
    times = axis(lane.times)
    values, ratios = np.array(lane.claimed), field(lane.field).form == "scale"
    if not lane.tracks:
        axes.plot(times, values, color=FAINT, linewidth=0.7, zorder=1)
    shown = list(values)
    for track in lane.tracks:
        here = (track.times >= axis.first) & (track.times <= axis.last)
        when, mean, std = axis(track.times[here]), track.mean[here], track.std[here]
        axes.fill_between(when, mean - 2.0 * std, mean + 2.0 * std, color=TRACK, alpha=0.2, linewidth=0, zorder=0)
        axes.plot(when, mean, color=TRACK, linewidth=1.1, zorder=1.5)
        shown += (
            [*mean, *np.quantile(mean - 2.0 * std, [0.05]), *np.quantile(mean + 2.0 * std, [0.95])]
            if here.any()
            else []
        )
    for time, pair in zip(times, lane.evidence, strict=True):
        if pair is not None:
            ends = ends_of(pair[0], 2.0 * pair[1] / (pair[0] if ratios else 1.0), ratios)
            axes.plot([time, time], ends, color=LINE, linewidth=4, alpha=0.4, solid_capstyle="butt", zorder=2)
            shown += ends
    for status, colour in COLOURS.items():
        here = np.array([item == status for item in lane.status])
        if here.any():
            axes.plot(
                times[here],
                values[here],
                MARKERS[status],
                color=colour,
                markerfacecolor=_face(status),
                markersize=5.5,
                zorder=3,
            )
    low, high = min(shown), max(shown)
    if low > 0.0 and high > LOG_FROM * low:
        axes.set_yscale("log")
        axes.set_ylim(low / (high / low) ** 0.15, high * (high / low) ** 0.15)
    else:
        room = 0.2 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_locator(matplotlib.ticker.FixedLocator([low, high] if high > low else [low]))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: quantity_text(lane.field, value)))
    axes.tick_params(axis="y", labelsize=7.5, colors=INK, length=2)


def _face(status: str) -> str:
    """Unverifiable claims are open marks."""
    return "white" if status == "unverifiable" else COLOURS[status]
