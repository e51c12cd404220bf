"""The strip of a finding: a field's claim, what each piece of evidence says, and the suggested value, on one scale."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated
from reconstruct.validation.result import claimed_text, quantity_text
from scenarios.style.figure import FAINT, INK, LINE, ORANGE, draw
from scenarios.validate.output.findings import joined
from scenarios.validate.page.points import Point, points_on
from twin.channels import field
from twin.units import scale

WIDTH, ROW, BELOW = 4.8, 0.34, 0.75
"""Inches."""
LABEL = 31
"""Characters of a label in a line."""
LOG_FROM = 2.5
"""Ratio of the largest to the smallest value from which the axis is logarithmic."""
DECADES = 1e3
"""Ratio of the ends of an axis from which each tick has a unit of its own."""
SPAN = 3.0
"""Axes reach to the ends of 2 sigma bars, but at most by so many times the distance of claim and suggestion from these."""
MOST_ROWS = 8
LIMIT = 44_000
"""Bytes of a picture: 60 kB as text in a page."""
WRONG, RIGHT, STALE = "#c0322b", "#1b7f6b", "#b26a00"
SOURCES: dict[str, tuple[str, str]] = {
    "data": (LINE, "o"), "lenses": ("#009e73", "s"), "sensors": ("#7a5a9e", "^"), "session": (ORANGE, "D"), "arithmetic": (INK, "|"),
}  # fmt: skip
"""Colour and marker of each class of evidence."""


def strip(verdict: Verdict, recording: Validated, others: Sequence[str] = ()) -> str | None:
    """The strip of a numeric field (and of ``others`` of which the same is said) as a ``data:`` address; None where no evidence says anything of it."""
    points = points_on(verdict.field, recording)[:MOST_ROWS]
    if not points or isinstance(verdict.claim.value, str):
        return None
    height = BELOW + ROW * (len(points) + 1 + (verdict.suggested is not None))
    return draw(
        WIDTH,
        height,
        lambda figure: _paint(figure, verdict, points, height, joined([verdict.field, *others])),
        layout=None,
        grid=False,
        form="png",
    )


def _paint(figure: Figure, verdict: Verdict, points: Sequence[Point], height: float, label: str) -> None:
    axes = figure.add_axes((0.405, 0.42 / height, 0.55, 1.0 - BELOW / height))
    claimed = float(verdict.claim.value)
    name, ratios = verdict.field, field(verdict.field).form == "scale"
    low, high, logarithmic = _limits(verdict, points)
    labels = [f"claimed {claimed_text(name, verdict.claim)}"]
    axes.axvline(claimed, color=WRONG, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    if verdict.suggested is not None and verdict.error is not None:
        for reach, alpha in ((2.0, 0.14), (1.0, 0.24)):
            ends = ends_of(verdict.suggested, reach * verdict.error / (verdict.suggested if ratios else 1.0), ratios)
            axes.axvspan(*ends, color=RIGHT, alpha=alpha, linewidth=0, zorder=0)
    axes.plot([claimed], [0], "D", color=WRONG, markersize=7, zorder=4)
    for row, point in enumerate(points, 1):
        _bar(axes, row, point, ratios)
        share = f" ({point.weight:.0%})" if point.weight < 0.995 else ""
        labels.append(_label(point.evidence, share))
    if verdict.suggested is not None:
        row = len(points) + 1
        axes.plot([verdict.suggested], [row], "o", color=RIGHT, markersize=6, markeredgecolor="white", zorder=4)
        labels.append(_label(f"suggested {quantity_text(name, verdict.suggested, verdict.error)}"))
    axes.set_yticks(range(len(labels)), labels, fontsize=7.8)
    for text, colour in zip(axes.get_yticklabels(), [WRONG, *[INK] * len(points), RIGHT], strict=False):
        text.set_color(colour)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    lay_axis(axes, name, low, high, logarithmic, label)
    if ratios and not logarithmic and claimed > 0.0:
        _per_cent(axes, claimed)


def _bar(axes: Axes, row: int, point: Point, ratios: bool) -> None:
    """A point with its 1 and 2 sigma bars; a grey range within which all values are as good."""
    colour, marker = SOURCES.get(point.source, (INK, "o"))
    strength = 0.35 + 0.65 * point.weight
    if point.tolerance > 0.0:
        axes.plot(ends_of(point.value, point.tolerance, ratios), [row, row], color=FAINT, linewidth=9, alpha=0.35 * strength,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
    for reach, width in ((2.0, 1.2), (1.0, 3.4)):
        ends = ends_of(point.value, point.tolerance + reach * point.error, ratios)
        if point.tolerance > 4.0 * point.error and reach == 1.0:
            continue
        axes.plot(ends, [row, row], color=colour, linewidth=width, alpha=strength, solid_capstyle="butt", zorder=3)
    axes.plot(
        [point.value], [row], marker, color=colour, markersize=5.5 if marker != "|" else 9, alpha=strength, zorder=4
    )


def _limits(verdict: Verdict, points: Sequence[Point]) -> tuple[float, float, bool]:
    """Ends of the axis, and whether it is logarithmic."""
    ratios = field(verdict.field).form == "scale"
    middle = [float(verdict.claim.value), *(point.value for point in points)]
    middle += [] if verdict.suggested is None else [verdict.suggested]
    logarithmic = ratios and min(middle) > 0.0 and max(middle) > LOG_FROM * min(middle)
    ends = [end for point in points for end in ends_of(point.value, point.tolerance + 2.0 * point.error, ratios)]
    if verdict.suggested is not None and verdict.error is not None:
        ends += ends_of(verdict.suggested, 2.5 * verdict.error / (verdict.suggested if ratios else 1.0), ratios)
    change = np.log if logarithmic else np.asarray
    centre = np.asarray(change(np.array(middle)), np.float64)
    spread = float(centre.max() - centre.min()) or abs(float(centre[0])) * 1e-2 or 1.0
    outer = np.asarray(change(np.array([end for end in ends if end > 0.0 or not logarithmic] or middle)), np.float64)
    low = max(min(float(outer.min()), float(centre.min())), float(centre.min()) - SPAN * spread)
    high = min(max(float(outer.max()), float(centre.max())), float(centre.max()) + SPAN * spread)
    room = 0.07 * (high - low)
    low, high = low - room, high + room
    return (math.exp(low), math.exp(high), True) if logarithmic else (low, high, False)


def ends_of(value: float, half: float, ratios: bool) -> tuple[float, float]:
    """Ends of a range of half width ``half``, which is relative for scales."""
    if not ratios:
        return value - half, value + half
    half = min(half, 50.0)
    return value * math.exp(-half), value * math.exp(half)


def lay_axis(axes: Axes, name: str, low: float, high: float, logarithmic: bool, words: str = "") -> None:
    """Limits, ticks and label (``words``, else its name) of the axis of a field."""
    factor, unit = scale(math.sqrt(low * high) if logarithmic else max(abs(low), abs(high)), field(name).unit, name)
    label = (words or name).replace("_", " ")
    if logarithmic and high > DECADES * low:  # each tick with a unit of its own
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(numticks=5))
        axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: quantity_text(name, value)))
    else:
        locator: Any = matplotlib.ticker.MaxNLocator(5)
        if logarithmic:
            axes.set_xscale("log")
            locator = matplotlib.ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value * factor:.6g}"))
        label += f" ({unit})" if unit else ""
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_xlim(low, high)
    axes.set_xlabel(label, fontsize=8.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#e8ecef", linewidth=0.7)
    axes.set_axisbelow(True)


def _per_cent(axes: Axes, claimed: float) -> None:
    """The same scale above, as deviation from the claim."""

    def forth(value: Any) -> Any:
        return 100.0 * (value / claimed - 1.0)

    def back(share: Any) -> Any:
        return claimed * (1.0 + share / 100.0)

    above: Any = axes.secondary_xaxis("top", functions=(forth, back))
    above.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    above.xaxis.set_major_formatter(
        matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:+.4g} %".replace("+0 %", "claim").replace("-", "−"))
    )
    above.tick_params(labelsize=7.5, colors=FAINT, length=2)
    above.spines["top"].set_visible(False)


def _label(words: str, share: str = "") -> str:
    lines = textwrap.wrap(words, LABEL)
    room = LABEL - len(share)
    if len(lines) > 2 or (len(lines) == 2 and len(lines[1]) > room):
        lines = [lines[0], f"{lines[1][: room - 2].rstrip()} …"]
    return "\n".join(lines) + share


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds of the unit in which a time span is drawn, and its name."""
    for per, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 3.0 * per:
            return per, unit
    return 1.0, "seconds"
