"""Drawings of a session that looked for changed columns."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.ndimage import gaussian_filter

from learn.design.sequential import Errors
from scenarios.io.progress import electrons
from scenarios.style.figure import FAINT, INK, LINE, ORANGE

COLOURS = {"present": ORANGE, "absent": LINE, "undecided": FAINT}
SMOOTHED = 0.35
"""Angstrom over which the overview is averaged to be looked at."""
MANY = 40
"""Columns from which on marks are small."""


class Session(NamedTuple):
    """The ``question`` and ``result`` of a session, its ``rows`` of scans, and ``arrays`` of its last checkpoint."""

    question: dict[str, Any]
    result: dict[str, Any]
    rows: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]

    @property
    def visits(self) -> list[dict[str, Any]]:
        """Looks at columns."""
        return [row for row in self.rows if row["kind"] == "visit"]

    @property
    def changed(self) -> list[bool] | None:
        """Which columns are truly changed, where that is known."""
        truth = self.result.get("truth")
        return None if truth is None else [bool(each) for each in truth["changed"]]


def maps(figure: Figure, session: Session) -> None:
    """The overview with verdicts, and the dose of each column."""
    left, right = figure.subplots(1, 2)
    columns = session.result["of_columns"]
    x, y, dose = (np.array([each[name] for each in columns]) for name in ("x", "y", "dose"))
    extent = _overview(left, session)
    size = 60 if len(columns) < MANY else 22
    for verdict, colour in COLOURS.items():
        for each in columns:
            if each["verdict"] == verdict:
                sure = abs(2.0 * each["posterior"] - 1.0)
                left.scatter(each["x"], each["y"], s=size, color=colour, alpha=0.35 + 0.65 * sure, lw=0)
    if session.changed is not None:
        true = np.array(session.changed)
        left.scatter(x[true], y[true], s=2.6 * size, facecolors="none", edgecolors="white", lw=1.4)
    left.set_title("what is decided")
    marks = [Line2D([], [], marker="o", ls="", color=colour, label=name) for name, colour in COLOURS.items()]
    left.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    picture = right.scatter(x, y, c=dose, s=3 * size, cmap="viridis")
    right.set_title("dose (e/Å²)")
    figure.colorbar(picture, ax=right, shrink=0.8)
    for axes in (left, right):
        axes.set_xlim(extent[0], extent[1])
        axes.set_ylim(extent[2], extent[3])
        axes.set_aspect("equal")
        axes.set_xlabel("x (Å)")
        axes.set_ylabel("y (Å)")


def _overview(axes: Axes, session: Session) -> tuple[float, float, float, float]:
    places, counts = session.arrays["places"], session.arrays["counts"].sum(0)
    width = len(np.unique(places[:, 0]))
    pixel = float(np.diff(np.unique(places[:, 0])).mean())
    image = gaussian_filter(counts.reshape(-1, width).astype(float), SMOOTHED / pixel, mode="nearest")
    low, high = places.min(0) - pixel / 2, places.max(0) + pixel / 2
    extent = (float(low[0]), float(high[0]), float(high[1]), float(low[1]))
    axes.imshow(image, cmap="gray", extent=extent, origin="upper")
    return extent


def evidence(figure: Figure, session: Session) -> None:
    """Logarithms of likelihood ratios against dose."""
    axes, result = figure.add_subplot(), session.result
    errors = Errors(result["asked"]["power"], result["asked"]["false_alarms_of_a_column"])
    for number, each in enumerate(result["of_columns"]):
        rows = [row for row in session.visits if row["column"] == number]
        if rows:
            doses, ratios = ([row[name] for row in rows] for name in ("dose", "ratio"))
            axes.plot(
                [*doses, each["dose"]],
                [*ratios, each["log_ratio"]],
                "o-",
                ms=2.5,
                lw=0.9,
                color=COLOURS[each["verdict"]],
                alpha=0.7,
            )
    for level, name in zip(errors.thresholds, ("not changed", "changed"), strict=True):
        axes.axhline(level, color=INK, lw=0.9, ls="--")
        axes.text(1.0, level, f" {name}", transform=axes.get_yaxis_transform(), va="center", color=INK)
    axes.set_xscale("log")
    axes.set_xlabel("dose on the column (e/Å²)")
    axes.set_ylabel("log likelihood ratio")


def bars(figure: Figure, session: Session) -> None:
    """Electrons by purpose, and of fixed protocols."""
    axes, result = figure.add_subplot(), session.result
    purposes = result["electrons_by_purpose"]
    colours = dict(zip(purposes, (INK, LINE, FAINT, ORANGE), strict=True))
    start = 0.0
    for name, value in purposes.items():
        axes.barh(2, value, left=start, color=colours[name], label=name)
        start += value
    names = ["this session"]
    totals = [start]
    if "fixed_patches_electrons" in result:
        axes.barh(1, result["fixed_patches_electrons"], color="#cfd6dc")
        totals.append(result["fixed_patches_electrons"])
        names.append("one look each, of one size")
    axes.barh(2 - len(names), result["fixed_electrons"], color="#cfd6dc")
    totals.append(result["fixed_electrons"])
    names.append("whole field, one dose")
    for number, total in enumerate(totals):
        axes.text(total, 2 - number, f" {electrons(total)}", va="center", color=INK)
    axes.set_yticks([2 - number for number in range(len(names))], names)
    axes.set_xlim(0.0, 1.25 * max(totals))
    axes.set_xlabel("electrons")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
