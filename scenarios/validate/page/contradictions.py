"""Drawings of claims that cannot be: impossible values, pixels that are not square, values stated twice, times in disorder, values of another mode."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reconstruct.validation.judgement.faults import PAIRS
from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated
from reconstruct.validation.result import claimed_text, quantity_text
from reconstruct.validation.session.entries import time_of, zone_of
from scenarios.style.figure import FAINT, INK, LINE, draw
from scenarios.validate.job import ValidatedFile
from scenarios.validate.page.strip import LIMIT, RIGHT, STALE, WIDTH, WRONG, lay_axis, time_unit
from twin.channels import FIELDS, field
from twin.units import moment

OPEN = "#7d8a96"
COLOURS = {"agrees": RIGHT, "disagrees": WRONG, "stale": STALE, "unverifiable": OPEN}
MARKERS = {"agrees": "o", "disagrees": "X", "stale": "D", "unverifiable": "o"}
TIMES = tuple(item.name for item in FIELDS if item.form == "time")
MOST_DRAWN = 6.0
"""Largest ratio of the sides of a pixel that is drawn as it is."""
NEGATIVE_ZONE = 0.2
"""Share of an axis to the left of a logarithmic one where negative values stand."""
OFF_SCALE = 3.0
"""Widths of a range beyond which a value stands at the edge, with an arrow."""


class Written(NamedTuple):
    """A number that a file claims of a field: ``time`` (int64 ns), ``value`` in the inside unit, ``status`` of its verdict, and the number of the ``file``; the
    time is of a clock in ``zone``."""

    time: int
    value: float
    status: str
    file: int
    zone: str


def outside(verdict: Verdict) -> str:
    """The claim on the range of its field."""
    return _drawn(1.25, lambda figure: _outside(figure, verdict))


def _outside(figure: Figure, verdict: Verdict) -> None:
    axes = figure.add_axes((0.05, 0.36, 0.9, 0.3))
    about, value = field(verdict.field), float(verdict.claim.value)
    colour = COLOURS[verdict.status]
    if about.form == "scale":
        ends = (
            [math.log10(about.low), math.log10(about.high)]
            if about.low > 0.0
            else [math.log10(about.high) - 6.0, math.log10(about.high)]
        )
        width = ends[1] - ends[0]
        at = math.log10(value) if value > 0.0 else ends[0] - 0.6 * NEGATIVE_ZONE * width
        left = min(ends[0] - NEGATIVE_ZONE * width, at - 0.1 * width)
        right = max(ends[1], at) + 0.1 * width
        if value <= 0.0:
            axes.axvspan(left, ends[0] - 0.25 * NEGATIVE_ZONE * width, color=WRONG, alpha=0.1, linewidth=0)
            axes.text(ends[0] - 0.6 * NEGATIVE_ZONE * width, -0.3, "negative", ha="center", va="top", fontsize=8, color=WRONG,
                      transform=axes.get_xaxis_transform())  # fmt: skip
    else:
        ends = [about.low, about.high]
        width = ends[1] - ends[0]
        at = float(np.clip(value, ends[0] - OFF_SCALE * width, ends[1] + OFF_SCALE * width))
        if at != value:
            at = ends[1] + 0.4 * width if value > 0.0 else ends[0] - 0.4 * width
            axes.annotate(
                "",
                (at + math.copysign(0.2 * width, value), 0.5),
                (at, 0.5),
                arrowprops={"arrowstyle": "->", "color": colour},
            )
        left, right = min(ends[0], at) - 0.15 * width, max(ends[1], at) + 0.25 * width
    axes.axvspan(ends[0], ends[1], color=RIGHT, alpha=0.2, linewidth=0)
    axes.plot([at], [0.5], MARKERS[verdict.status], color=colour, markersize=10)
    near_left, near_right = at < left + 0.25 * (right - left), at > right - 0.25 * (right - left)
    axes.text(at, 1.12, f"claimed {claimed_text(verdict.field, verdict.claim)}", color=colour, fontsize=8.5, va="bottom",
              ha="left" if near_left else "right" if near_right else "center", transform=axes.get_xaxis_transform())  # fmt: skip
    if about.form != "scale" or about.low > 0.0:
        for end, side in ((about.low, "left"), (about.high, "right")):
            at_end = ends[0] if side == "left" else ends[1]
            axes.text(at_end, -0.3, quantity_text(verdict.field, end), ha=side, va="top", fontsize=8,
                      transform=axes.get_xaxis_transform())  # fmt: skip
    axes.text(0.5 * (ends[0] + ends[1]), -0.3, "what microscopes have", ha="center", va="top", fontsize=8, color=RIGHT,
              transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(0.0, 1.0)
    _bare(axes)


def pixels(verdict: Verdict, recording: Validated) -> str | None:
    """The claimed pixel beside a square; None where only one side is claimed."""
    pair = next((pair for pair in PAIRS if verdict.field in pair), None)
    if pair is None or any(name not in recording.claims for name in pair):
        return None
    sides = [float(recording.claims[name].value) for name in pair]
    if min(sides) <= 0.0:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.01, 0.02, 0.98, 0.96))
        ratio = sides[0] / sides[1]
        shown = min(max(ratio, 1.0 / MOST_DRAWN), MOST_DRAWN)
        width, height = (1.0, 1.0 / shown) if shown > 1.0 else (shown, 1.0)
        axes.add_patch(
            Rectangle((-0.5 * width, -0.5 * height), width, height, facecolor=WRONG, alpha=0.25, edgecolor=WRONG)
        )
        axes.add_patch(
            Rectangle((-0.5 * width, -0.5 * height), width, height, fill=False, edgecolor=WRONG, linewidth=1.5)
        )
        side = min(width, height)
        axes.add_patch(
            Rectangle(
                (-0.5 * side, -0.5 * side), side, side, fill=False, edgecolor=RIGHT, linewidth=1.2, linestyle="--"
            )
        )
        texts = [quantity_text(name, size) for name, size in zip(pair, sides, strict=True)]
        axes.text(
            0.0, 0.5 * height + 0.05, f"{pair[0]} {texts[0]}", ha="center", va="bottom", fontsize=8.5, color=WRONG
        )
        axes.text(0.5 * width + 0.05, 0.0, f"{pair[1]} {texts[1]}", ha="left", va="center", fontsize=8.5, color=WRONG)
        more = (
            "" if shown == ratio else f", drawn as {shown:.3g}" if ratio > 1.0 else f", drawn as 1 to {1.0 / shown:.3g}"
        )
        words = f"{ratio:.3g} to 1" if ratio > 1.0 else f"1 to {1.0 / ratio:.3g}"
        axes.text(
            -0.5 * width - 0.05,
            0.0,
            f"one pixel as claimed:\n{words}{more}\n(dashed: a square)",
            ha="right",
            va="center",
            fontsize=8.5,
        )
        axes.set_xlim(-1.7, 1.35)
        axes.set_ylim(-0.55, 0.75)
        axes.set_aspect("equal")
        _bare(axes)

    return _drawn(1.7, paint)


def repeated(verdict: Verdict, recording: Validated) -> str | None:
    """All values that a file states of one field, on its scale."""
    stated = [verdict.claim, *recording.signal.repeated.get(verdict.field, ())]
    values = [float(claim.value) for claim in stated if not isinstance(claim.value, str)]
    if len(values) != len(stated) or len(set(values)) < 2:
        return None

    def paint(figure: Figure) -> None:
        height = 0.75 + 0.3 * len(values)
        axes = figure.add_axes((0.45, 0.42 / height, 0.52, 1.0 - 0.5 / height))
        logarithmic = field(verdict.field).form == "scale" and min(values) > 0.0 and max(values) > 2.5 * min(values)
        for row, value in enumerate(values):
            axes.plot([value], [row], "D", color=WRONG if row == 0 else INK, markersize=6)
        ends = np.log([min(values), max(values)]) if logarithmic else np.array([min(values), max(values)])
        room = 0.15 * float(ends[1] - ends[0])
        low, high = float(ends[0]) - room, float(ends[1]) + room
        labels = [f"{claimed_text(verdict.field, claim)}\n{_tail(claim.key)}" for claim in stated]
        axes.set_yticks(range(len(values)), labels, fontsize=7.5)
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        lay_axis(axes, verdict.field, *((math.exp(low), math.exp(high)) if logarithmic else (low, high)), logarithmic)

    return _drawn(0.75 + 0.3 * len(values), paint)


def times(recording: Validated) -> str | None:
    """The times that a file states, on one axis; None where it states fewer than two."""
    stated = [
        (name, claim)
        for name in TIMES
        for claim in (recording.claims.get(name), *recording.signal.repeated.get(name, ()))
        if claim is not None
    ]
    if len(stated) < 2:
        return None

    def paint(figure: Figure) -> None:
        height = 0.7 + 0.26 * len(stated)
        axes = figure.add_axes((0.5, 0.36 / height, 0.47, 1.0 - 0.45 / height))
        origin = min(int(claim.value) for _, claim in stated)
        seconds = [(int(claim.value) - origin) * 1e-9 for _, claim in stated]
        per, unit = time_unit(max(seconds))
        for row, (value, (name, _)) in enumerate(zip(seconds, stated, strict=True)):
            axes.plot([value / per], [row], "D", color=WRONG if name == "time.end" else LINE, markersize=6)
        axes.set_yticks(
            range(len(stated)), [f"{name}  {claimed_text(name, claim)}" for name, claim in stated], fontsize=7.5
        )
        axes.set_ylim(len(stated) - 0.5, -0.5)
        axes.set_xlabel(f"{unit} after the earliest", fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.08)

    return _drawn(0.7 + 0.26 * len(stated), paint)


def over_files(verdict: Verdict, number: int, done: Sequence[ValidatedFile]) -> str | None:
    """The values of a field in all files with a time, in time; None where fewer than two say it."""
    written = values_over_files(verdict.field, done, number)
    if len(written) < 2:
        return None
    return _drawn(2.1, lambda figure: _over_files(figure, verdict.field, number, written))


def values_over_files(name: str, done: Sequence[ValidatedFile], number: int) -> list[Written]:
    """What files of the instrument of file ``number`` claim of a numeric field, in order of their times; those without a time are left out."""
    instrument = _instrument(done[number])
    result = []
    for other, item in enumerate(done):
        if _instrument(item) != instrument:
            continue
        for recording in item.validation.recordings if item.validation is not None else ():
            claim = recording.claims.get(name)
            time = time_of(recording.claims)
            if claim is not None and time is not None and not isinstance(claim.value, str):
                status = recording.verdict(name).status
                result.append(Written(time, float(claim.value), status, other, zone_of(recording.claims)))
    return sorted(result)


def _instrument(item: ValidatedFile) -> str:
    """The instrument that a file names; "" for none."""
    for recording in item.validation.recordings if item.validation is not None else ():
        if "instrument" in recording.claims:
            return str(recording.claims["instrument"].value)
    return ""


def _over_files(figure: Figure, name: str, number: int, written: Sequence[Written]) -> None:
    axes = figure.add_axes((0.17, 0.24, 0.55, 0.66))
    per, unit = time_unit((written[-1].time - written[0].time) * 1e-9)
    times_ = np.array([(item.time - written[0].time) * 1e-9 / per for item in written])
    values = np.array([item.value for item in written])
    axes.plot(times_, values, color=FAINT, linewidth=0.8, drawstyle="steps-post", zorder=1)
    for status in COLOURS:
        here = np.array([item.status == status for item in written])
        if here.any():
            axes.plot(times_[here], values[here], MARKERS[status], color=COLOURS[status], markersize=6.5, label=status,
                      markerfacecolor="white" if status == "unverifiable" else COLOURS[status])  # fmt: skip
    here = np.array([item.file == number for item in written])
    axes.plot(times_[here], values[here], "o", markersize=14, fillstyle="none", color=INK, label="this file")
    if (values > 0.0).all() and values.max() > 2.5 * values.min():
        axes.set_yscale("log")
        subs = (1.0, 2.0, 5.0) if values.max() < 100.0 * values.min() else (1.0,)
        axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs, numticks=6))
        axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: quantity_text(name, value)))
    axes.margins(x=0.08, y=0.2)
    axes.grid(axis="y", color="#e8ecef", linewidth=0.7)
    axes.set_xlabel(f"{unit} after {moment(written[0].time, written[0].zone)}", fontsize=8.5)
    axes.set_title(name.replace("_", " "), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)


def _tail(key: str, length: int = 38) -> str:
    return key if len(key) <= length else f"… {key[2 - length :]}"


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _drawn(height: float, paint: object) -> str:
    return draw(WIDTH, height, paint, "png", layout=None, grid=False, limit=LIMIT)  # pyright: ignore[reportArgumentType]
