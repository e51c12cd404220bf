"""The report's pictures: arrays in, a self-contained ``data:`` address of an SVG or PNG out.

Images are [ny, nx] with y down, in per cent of the incident beam; times are minutes; lengths of the state are shown in nanometres. Colour maps
of images are perceptually uniform; differences use a diverging one centred on zero.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import matplotlib.cm
import matplotlib.colors
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import erfinv

from scenarios.acquire.dose_accounting import PARTS
from scenarios.style.figure import FAINT, INK, draw
from scenarios.style.images import scale_bar

COLOURS = {"answer": "#1b7f6b", "measure": "#2f67b1", "audit": "#d98200", "distrusted": "#c0322b"}
MARKERS = {"answer": "o", "measure": "s", "audit": "D", "distrusted": "X"}
LABELS = {
    "answer": "answered by the twin",
    "measure": "measured",
    "audit": "answered, then audited",
    "distrusted": "measured, model distrusted",
}
_TRUTH = "#111111"
_PANELS = {"left": 0.002, "right": 0.955, "top": 0.9, "bottom": 0.02, "wspace": 0.06}


def shown(name: str) -> tuple[float, str]:
    """Factor and unit in which an entry of the state is shown (it is held in angstrom and radian)."""
    if name.startswith("tilt"):
        return 1e3, "mrad"
    if name in ("x", "y", "source"):
        return 1.0, "Å"
    if name in ("vx", "vy"):
        return 1.0, "Å/s"
    if name.startswith("C30"):
        return 1e-4, "µm"
    if name.startswith("T"):
        return 1.0, "K"
    if name == "thickness" or (name[0] == "C" and "scale" not in name):
        return 0.1, "nm"
    return 1.0, {"black": "counts", "HT": "ppm", "current": "ppm", "HT.bias": "V", "current.bias": "ppm"}.get(name, "")


def request_panels(
    predicted: np.ndarray,
    predicted_std: np.ndarray,
    answer: np.ndarray,
    measured: np.ndarray | None,
    measured_std: np.ndarray | None,
    truth: np.ndarray | None,
    pixel: float,
) -> str:
    """One request: predicted, measured, their difference in sigmas, the answer, and the truth where it is known. ``pixel`` in angstrom."""
    images = [predicted, answer] + [image for image in (measured, truth) if image is not None]
    low, high = 100 * min(i.min() for i in images), 100 * max(i.max() for i in images)
    extent = (0.0, predicted.shape[1] * pixel, predicted.shape[0] * pixel, 0.0)

    def panel(axes: Axes, image: np.ndarray | None, title: str, **colours: Any) -> Any:
        axes.set_title(title, fontsize=9)
        axes.set_box_aspect(predicted.shape[0] / predicted.shape[1])
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(image is None)
            spine.set_color("#dfe4e8")
        if image is None:
            axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, color=FAINT)
            return None
        drawn = axes.imshow(image, extent=extent, interpolation="nearest", **colours)
        scale_bar(axes, extent[1], extent[2], "#222222" if "RdBu" in str(colours["cmap"]) else "white")
        return drawn

    def paint(figure: Figure) -> None:
        axes = figure.subplots(1, 5, gridspec_kw=_PANELS)
        difference = None
        if measured is not None:
            noise = predicted_std**2 + (0.0 if measured_std is None else measured_std**2)
            difference = (measured - predicted) / np.sqrt(np.maximum(noise, 1e-30))
        bright = {"cmap": "cividis", "vmin": low, "vmax": high}
        shown = panel(axes[0], 100 * predicted, "predicted", **bright)
        panel(axes[1], None if measured is None else 100 * measured, "measured", **bright)
        panel(axes[2], 100 * answer, "answer", **bright)
        last = 3 if truth is None else 4
        if truth is not None:
            panel(axes[3], 100 * truth, "truth (noise-free)", **bright)
        figure.colorbar(shown, ax=list(axes[:last]), shrink=0.8, pad=0.01, aspect=14, label="% of beam")
        sigmas = {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}
        drawn = panel(axes[last], difference, "(measured - predicted) / σ", **sigmas)
        if drawn is None:
            drawn = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(-4, 4), "RdBu_r")
        figure.colorbar(drawn, ax=axes[last], shrink=0.8, pad=0.03, aspect=14, label="σ", ticks=[-4, -2, 0, 2, 4])
        if truth is None:
            axes[4].set_visible(False)

    return draw(10.3, 2.05, paint, "png", layout=None)


class Bursts(NamedTuple):
    """How requests, numbered from 1 along an axis, fall into bursts: the axis' positions of stage moves, and (first request, minute) of each."""

    moves: np.ndarray
    starts: list[tuple[int, float]]

    def lay(self, axes: Axes, label: bool = True, times: bool = True) -> None:
        """Draw the moves as thin lines, the minutes along the top, and name the axis."""
        for position in self.moves:
            axes.axvline(position, color="#c9d1d8", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        if times:
            for position, minute in self.starts:
                axes.text(
                    position - 0.4,
                    1.0,
                    f"{minute:.0f} min",
                    transform=axes.get_xaxis_transform(),
                    fontsize=7,
                    color=FAINT,
                    va="bottom",
                )
        if label:
            axes.set_xlabel("request")


def decisions(
    kinds: Sequence[str], predicted: np.ndarray, actual: np.ndarray | None, tolerance: float, bursts: Bursts
) -> str:
    """Predicted error of each request, and the true error of its answer if scored, with the tolerance."""
    numbers = 1 + np.arange(len(kinds))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        bursts.lay(axes)
        for kind in LABELS:
            here = np.array([k == kind for k in kinds])
            if here.any():
                axes.scatter(
                    numbers[here],
                    100 * predicted[here],
                    s=26,
                    color=COLOURS[kind],
                    marker=MARKERS[kind],
                    label=LABELS[kind],
                    zorder=3,
                )
        if actual is not None:
            label = "true error of the answer"
            axes.scatter(
                numbers, 100 * actual, s=34, facecolors="none", edgecolors=_TRUTH, linewidths=0.9, label=label, zorder=4
            )
        axes.axhline(100 * tolerance, color=INK, linewidth=1.1, linestyle="--", label="tolerance")
        _log_axis(axes)
        axes.set_ylabel("RMS error / mean (%)")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)

    return draw(10.3, 3.5, paint)


def states(
    means: np.ndarray,
    stds: np.ndarray,
    names: Sequence[str],
    bursts: Bursts,
    truth: dict[str, np.ndarray],
    readings: dict[str, tuple[str, np.ndarray]],
) -> str:
    """Small panels of the state after every request (mean, bands of one and two sigmas); breaks where the stage moved.

    ``means`` and ``stds`` are [request, name]; ``truth`` maps a name to its true values [request], ``readings`` to a channel and its values.
    """
    numbers = 1.0 + np.arange(len(means))
    breaks = np.searchsorted(numbers, bursts.moves)

    def broken(values: np.ndarray) -> np.ndarray:
        return np.insert(values, breaks, np.nan)

    def paint(figure: Figure) -> None:
        columns = 3
        rows = -(-len(names) // columns)
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        for index, name in enumerate(names):
            axes = grid[index // columns, index % columns]
            factor, unit = shown(name)
            mean, std = factor * means[:, index], factor * stds[:, index]
            bursts.lay(axes, label=False, times=False)
            x, middle, sigma = broken(numbers), broken(mean), broken(std)
            axes.fill_between(x, middle - 2 * sigma, middle + 2 * sigma, color="#2f67b1", alpha=0.16, linewidth=0)
            axes.fill_between(x, middle - sigma, middle + sigma, color="#2f67b1", alpha=0.28, linewidth=0)
            axes.plot(x, middle, color="#2f67b1", linewidth=1.3, marker=".", markersize=2.5)
            low, high = (mean - 2.2 * std).min(), (mean + 2.2 * std).max()
            if name in truth:
                true = factor * truth[name]
                axes.plot(x, broken(true), color=_TRUTH, linewidth=1.2, linestyle=(0, (1, 1)))
                low, high = min(low, true.min()), max(high, true.max())
            if name in readings:
                channel, values = readings[name]
                axes.plot(numbers, factor * values, "x", color="#d98200", markersize=3)
                axes.text(
                    0.99,
                    0.97,
                    f"× {channel}",
                    transform=axes.transAxes,
                    ha="right",
                    va="top",
                    fontsize=7,
                    color="#a86500",
                )
            if high > low:
                axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            axes.set_title(f"{name}" + (f" ({unit})" if unit else ""))
        for index in range(len(names), rows * columns):
            grid[index // columns, index % columns].set_visible(False)
        for column in range(min(columns, len(names))):
            below = (len(names) - 1 - column) // columns
            grid[below, column].set_xlabel("request")
            grid[below, column].tick_params(labelbottom=True)

    return draw(10.3, 1.75 * -(-len(names) // 3) + 0.3, paint)


def sensors(channels: Sequence[tuple[str, str, np.ndarray, np.ndarray]], moves: np.ndarray) -> str:
    """Readings of the instrument's channels: one panel for each (name, unit, minutes, values); not-a-number readings are left out."""

    def paint(figure: Figure) -> None:
        rows = -(-len(channels) // 3)
        grid = figure.subplots(rows, 3, sharex=True, squeeze=False)
        for index, (name, unit, minutes, values) in enumerate(channels):
            axes = grid[index // 3, index % 3]
            draw_moves(axes, moves)
            middle = np.median(values)
            axes.plot(minutes, values, ".", color="#7a5a9e", markersize=2.0, rasterized=len(values) > 400)
            low, high = np.quantile(values, [0.01, 0.99])
            if high > low:
                axes.set_ylim(low - 0.25 * (high - low), high + 0.25 * (high - low))
            axes.set_title(f"{name}" + (f" ({unit})" if unit not in ("", "1") else ""))
            axes.ticklabel_format(axis="y", useOffset=bool(abs(middle) > 1e3 * (high - low)), scilimits=(-3, 5))
        for index in range(len(channels), rows * 3):
            grid[index // 3, index % 3].set_visible(False)
        for column in range(min(3, len(channels))):
            below = min(rows - 1, (len(channels) - 1 - column) // 3)
            grid[below, column].set_xlabel("instrument time (min)")
            grid[below, column].tick_params(labelbottom=True)

    return draw(10.3, 1.6 * -(-len(channels) // 3) + 0.3, paint)


def dose(
    causes: dict[str, dict[str, float]], saved: float, minutes: np.ndarray, spent: np.ndarray, always: np.ndarray
) -> str:
    """Electrons by cause (a bar each, of its parts), and over time compared with measuring every request (all in electrons)."""

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        names, begin = list(causes), np.zeros(len(causes))
        for (part, label), colour in zip(PARTS.items(), ("#2f67b1", "#6f9bd1", "#a9c3e3"), strict=True):
            values = np.array([parts[part] for parts in causes.values()]) / 1e6
            if values.any():
                left.barh(names, values, left=begin, color=colour, label=label)
            begin += values
        left.barh(["saved"], [saved / 1e6], color=COLOURS["answer"])
        for row, value in enumerate([*begin, saved / 1e6]):
            left.text(max(value, 0.0), row, f" {value:.3g}", va="center", fontsize=8)
        left.margins(x=0.15)
        left.invert_yaxis()
        left.grid(axis="y", visible=False)
        if len(left.containers) > 2:  # more than pixels, and what was saved
            left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(PARTS), fontsize=8, frameon=False)
        left.set_xlabel("electrons on the specimen (10⁶)")
        right.plot(minutes, always / 1e6, color=FAINT, linewidth=1.4, linestyle="--", label="every request measured")
        right.plot(minutes, spent / 1e6, color="#2f67b1", linewidth=1.6, drawstyle="steps-post", label="this session")
        right.set_xlabel("instrument time (min)")
        right.set_ylabel("10⁶ electrons")
        right.legend(loc="upper left", fontsize=8)

    return draw(10.3, 2.7, paint)


def calibration(series: Sequence[tuple[str, np.ndarray]]) -> str:
    """Calibration of the stated sigmas: (label, deviations in sigmas) each; share inside the central interval against its nominal share, and
    histogram.
    """
    levels = np.linspace(0.02, 0.98, 49)
    palette = ["#2f67b1", "#d98200", "#1b7f6b"]

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, linestyle="--", label="perfect")
        grid = np.linspace(-5, 5, 201)
        right.plot(
            grid,
            np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi),
            color=FAINT,
            linestyle="--",
            linewidth=1.0,
            label="normal",
        )
        for (label, deviations), colour in zip(series, palette, strict=False):
            inside = [(np.abs(deviations) <= np.sqrt(2) * erfinv(level)).mean() for level in levels]
            left.plot(levels, inside, color=colour, linewidth=1.5, label=label)
            right.hist(
                deviations.clip(-5, 5),
                bins=41,
                range=(-5.125, 5.125),
                density=True,
                color=colour,
                histtype="step",
                label=label,
            )
        left.axvline(0.9, color=FAINT, linewidth=0.8)
        left.set_xlabel("nominal share inside the interval")
        left.set_ylabel("observed share")
        left.set_aspect("equal")
        left.legend(loc="upper left", fontsize=8)
        right.set_xlabel("deviation (predicted σ)")
        right.set_ylabel("density")
        right.set_ylim(0, 1.45 * right.get_ylim()[1])
        right.legend(loc="upper right", fontsize=8)

    return draw(10.3, 3.4, paint)


def trust(numbers: np.ndarray, misfit: np.ndarray, distrusted: np.ndarray, bursts: Bursts) -> str:
    """Mean squared deviation of each measured image (request ``places``) from its prediction, over the stated variance.

    ``distrusted`` [request] says after which requests the model was distrusted: drawn as a red ground.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        bursts.lay(axes)
        for number in np.flatnonzero(distrusted) + 1:
            axes.axvspan(number - 0.5, number + 0.5, color=COLOURS["distrusted"], alpha=0.12, linewidth=0)
        axes.axhline(1.0, color=FAINT, linestyle="--", linewidth=1.0)
        axes.plot(numbers, misfit, "o", color="#2f67b1", markersize=4.5)
        axes.set_ylim(min(0.4, 0.8 * misfit.min()), max(2.5, 1.25 * misfit.max()))
        axes.set_xlim(0.0, len(distrusted) + 1.0)
        _log_axis(axes)
        axes.set_ylabel("⟨(measured - predicted)²⟩ / σ²")

    return draw(10.3, 2.4, paint)


def coverage(deviations: np.ndarray, level: float = 0.9) -> float:
    """Share of deviations (in sigmas) inside the central interval of that nominal share."""
    return float((np.abs(deviations) <= np.sqrt(2) * erfinv(level)).mean())


def _log_axis(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2, 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def draw_moves(axes: Any, moves: np.ndarray) -> None:
    """Thin lines where the stage moved."""
    for time in moves:
        axes.axvline(time, color="#c9d1d8", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
