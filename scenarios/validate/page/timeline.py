"""A session in time: a lane for each field, with what the files claim, what the evidence says, and when a fault was there."""

import datetime
from collections.abc import Sequence
from typing import Any

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reconstruct.validation.result import quantity_text
from reconstruct.validation.session.timeline import Fault, Lane, Timeline
from scenarios.style.figure import FAINT, INK, LINE, draw
from scenarios.validate.page.contradictions import COLOURS, MARKERS
from scenarios.validate.page.strip import LIMIT, LOG_FROM, ends_of, time_unit
from twin.channels import field

MOST_LANES = 10
"""Lanes that are drawn: those with faults first."""
WIDTH, HEIGHT, BELOW = 7.6, 0.82, 0.72
"""Inches of the figure, of a lane and of the time axis."""
SHADE = 0.012
"""Share of the time axis that a fault of one file takes."""


def timeline_picture(times: Timeline) -> str | None:
    """The lanes of a session as a ``data:`` address; None where no field changes."""
    faulty = {fault.field for fault in times.faults}
    lanes = sorted(times.lanes, key=lambda lane: lane.field not in faulty)[:MOST_LANES]
    if not lanes:
        return None
    return draw(
        WIDTH,
        HEIGHT * len(lanes) + BELOW,
        lambda figure: _paint(figure, lanes, times.faults),
        "png",
        layout=None,
        grid=False,
        limit=2 * LIMIT,
    )


def _paint(figure: Figure, lanes: Sequence[Lane], faults: Sequence[Fault]) -> None:
    height = HEIGHT * len(lanes) + BELOW
    first, last = min(min(lane.times) for lane in lanes), max(max(lane.times) for lane in lanes)
    per, unit = time_unit((last - first) * 1e-9)

    def of(time: Any) -> Any:
        return (np.asarray(time, np.int64) - first) * 1e-9 / per

    end = float(of(last)) or 1.0
    for row, lane in enumerate(lanes):
        axes = figure.add_axes((0.135, 1.0 - (0.05 + HEIGHT * (row + 0.97)) / height, 0.85, 0.6 * HEIGHT / height))
        for fault in faults:
            if fault.field == lane.field:
                begin, stop = float(of(fault.since if fault.since is not None else fault.first)), float(of(fault.last))
                axes.axvspan(
                    begin - SHADE * end, stop + SHADE * end, color=COLOURS[fault.status], alpha=0.14, linewidth=0
                )
        _lane(axes, lane, of(lane.times))
        axes.set_xlim(-0.03 * end, 1.03 * end)
        axes.set_title(lane.field, fontsize=8.5, pad=3)
        axes.tick_params(axis="x", labelbottom=row == len(lanes) - 1, labelsize=8)
    start = datetime.datetime.fromtimestamp(first * 1e-9, datetime.UTC)
    axes.set_xlabel(f"{unit} after {start:%Y-%m-%d %H:%M:%S}", fontsize=8.5)
    handles = []
    for status, colour in COLOURS.items():
        handles += axes.plot(
            [], [], MARKERS[status], color=colour, markerfacecolor=_face(status), markersize=6, label=status
        )
    figure.legend(
        handles=handles, loc="lower right", ncols=4, fontsize=8, bbox_to_anchor=(0.99, 0.0), handletextpad=0.2
    )


def _lane(axes: Axes, lane: Lane, times: np.ndarray) -> None:
    values, ratios = np.array(lane.claimed), field(lane.field).form == "scale"
    axes.plot(times, values, color=FAINT, linewidth=0.7, zorder=1)
    shown = list(values)
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
