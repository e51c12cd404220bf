"""Figures of a map predicted from few pixels: survey, measured pixels, prediction and error."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from scenarios.report.page import Picture
from scenarios.style.figure import drawn

_BLUE, _GREY, _RED = "#2f67b1", "#8895a0", "#c0322b"
_TALL = 3.0
"""Rows over columns from which all panels stand in one row."""


class Scale(NamedTuple):
    """Values are shown divided by ``factor`` in ``unit``."""

    factor: float
    unit: str


def figures(arrays: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> list[Picture]:
    """The map in panels, how its uncertainty fell, and predicted against recorded values.

    ``arrays`` as `learn.mapping.loop.acquire_map` and the journal's score row have them; what was not recorded is nan and left out. ``result``: the session's.
    """
    known = result["r2"] is not None
    scale, what = scale_of(arrays, str(result["unit"])), str(result["title"])
    survey = f"the survey image, seen whole ({result['survey']})"
    maps = Picture(
        f"Map of {what}",
        f"In order: {survey}; the pixels that were measured, in order (dark first); the predicted map; its standard deviation without counting noise; "
        + ("the recorded map, counting noise and all; its difference from the prediction in standard deviations "
           "(counting noise included), for the pixels that were not measured." if known else "what was measured."),
        drawn(*_size(arrays, known), lambda figure: _maps(figure, arrays, known, scale), "png", grid=False),
    )  # fmt: skip
    pictures = [maps]
    if arrays["history_measured"].size:
        pictures.append(
            Picture(
                "Uncertainty as pixels came in",
                "Largest predicted standard deviation over the map, as a share of the map's range, after each batch; it ends where the "
                "tolerance is met by a model that is trusted, or the allowance is spent.",
                drawn(6.5, 2.8, lambda figure: _history(figure, arrays, result["tolerance"]), "svg", grid=False),
            )
        )
    if known:
        pictures.append(
            Picture(
                "Predicted against recorded",
                "Pixels that were not measured, with 90 % intervals for a noisy value. Right: how their deviations in standard deviations "
                "are distributed, against the normal curve that honest intervals would give.",
                drawn(8.0, 3.4, lambda figure: _calibration(figure, arrays, scale), "svg", grid=False),
            )
        )
    return pictures


def scale_of(arrays: Mapping[str, np.ndarray], unit: str) -> Scale:
    """How values in ``unit`` are shown: angles in mrad, many counts in thousands."""
    if unit == "radian":
        return Scale(1e-3, "mrad")
    if unit == "count":
        largest = float(np.abs(arrays["predicted"]).max())
        return (
            Scale(1e6, "10⁶ counts")
            if largest > 5e6
            else Scale(1e3, "10³ counts")
            if largest > 5e3
            else Scale(1.0, "counts")
        )
    return Scale(1.0, {"electronvolt": "eV", "1": ""}.get(unit, unit))


def deviations(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Recorded minus predicted in standard deviations [rows, columns], counting noise included; nan at measured pixels."""
    spread = np.sqrt(arrays["predicted_std"] ** 2 + arrays["recorded_std"] ** 2)
    return np.where(arrays["measured"] > 0, np.nan, (arrays["recorded"] - arrays["predicted"]) / spread)


def _tall(arrays: Mapping[str, np.ndarray]) -> bool:
    rows, columns = arrays["predicted"].shape
    return rows >= _TALL * columns


def _flat(arrays: Mapping[str, np.ndarray]) -> bool:
    rows, columns = arrays["predicted"].shape
    return columns >= _TALL * rows


def _size(arrays: Mapping[str, np.ndarray], known: bool) -> tuple[float, float]:
    """Inches: panels in one row for tall maps, in one column for flat ones, else in two rows of three."""
    if _tall(arrays):
        return 10.0, 6.2
    rows, columns = arrays["predicted"].shape
    if _flat(arrays):
        return 9.0, (6 if known else 5) * min(max(9.0 * rows / columns, 0.7), 3.0) + 1.0
    return 10.0, min(max(2.0 * (0.6 + 2.6 * rows / columns), 4.0), 12.0)


def _axes(figure: Figure, arrays: Mapping[str, np.ndarray], count: int) -> list[Axes]:
    if _tall(arrays):
        return list(figure.subplots(1, count))
    if _flat(arrays):
        return list(figure.subplots(count, 1))
    axes = figure.subplots(2, 3).ravel()
    for axis in axes[count:]:
        axis.set_visible(False)
    return list(axes[:count])


def _maps(figure: Figure, arrays: Mapping[str, np.ndarray], known: bool, scale: Scale) -> None:
    rows, columns = arrays["predicted"].shape
    order = np.where(arrays["order"] >= 0, arrays["order"] + 1.0, np.nan)
    recorded = arrays["recorded"]
    both = np.concatenate([arrays["predicted"].ravel(), recorded[np.isfinite(recorded)]]) / scale.factor
    colours = {"cmap": "cividis", "vmin": both.min(), "vmax": both.max()}
    panels: list[tuple[str, np.ndarray, dict[str, Any], str]] = [
        ("survey", arrays["image"], {"cmap": "gray"}, "counts"),
        ("measured", order, {"cmap": "viridis"}, "order"),
        ("predicted", arrays["predicted"] / scale.factor, colours, scale.unit),
        ("uncertainty", arrays["predicted_std"] / scale.factor, {"cmap": "magma", "vmin": 0}, scale.unit),
        ("recorded" if known else "taken", recorded / scale.factor, colours, scale.unit),
    ]
    if known:
        panels.append(("difference", deviations(arrays), {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}, "σ"))
    axes = _axes(figure, arrays, len(panels))
    for axis, (title, image, options, unit) in zip(axes, panels, strict=True):
        extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        shown = axis.imshow(image, extent=extent, interpolation="nearest", aspect="equal", **options)
        axis.set_title(title)
        axis.set_facecolor("#e8ecef")
        axis.set_xticks([0, columns - 1] if columns > 1 else [0])
        if axis is axes[0]:
            axis.set_xlabel("column")
            axis.set_ylabel("row (pixels of the scan)")
        else:
            axis.set_yticks([])
        figure.colorbar(shown, ax=axis, shrink=0.7, aspect=30, label=unit)


def _history(figure: Figure, arrays: Mapping[str, np.ndarray], tolerance: float) -> None:
    axes: Axes = figure.subplots()
    axes.plot(arrays["history_measured"], 100 * arrays["history_uncertainty"], "o-", color=_BLUE, markersize=4)
    axes.axhline(100 * tolerance, color=_RED, linestyle="--", linewidth=1)
    where = (1, 100 * tolerance)
    axes.annotate("tolerance", where, xycoords=("axes fraction", "data"), ha="right", va="bottom", color=_RED)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("pixels measured")
    axes.set_ylabel("largest σ / range  (%)")


def _calibration(figure: Figure, arrays: Mapping[str, np.ndarray], scale: Scale) -> None:
    left, right = figure.subplots(1, 2)
    other = (arrays["measured"] == 0) & np.isfinite(arrays["recorded"])
    predicted, recorded = arrays["predicted"][other] / scale.factor, arrays["recorded"][other] / scale.factor
    spread = np.sqrt(arrays["predicted_std"] ** 2 + arrays["recorded_std"] ** 2)[other] / scale.factor
    half = float(norm.ppf(0.95))
    left.errorbar(
        recorded, predicted, yerr=half * spread, fmt="o", markersize=2.5, color=_BLUE, ecolor="#c5d4e8", elinewidth=0.8
    )
    ends = [min(recorded.min(), predicted.min()), max(recorded.max(), predicted.max())]
    left.plot(ends, ends, color=_GREY, linewidth=1)
    unit = f" ({scale.unit})" if scale.unit else ""
    left.set_xlabel(f"recorded{unit}")
    left.set_ylabel(f"predicted{unit}")
    sigmas = deviations(arrays)[other]
    right.hist(np.clip(sigmas, -4.9, 4.9), bins=np.linspace(-5, 5, 31).tolist(), density=True, color="#a9c1e0")
    grid = np.linspace(-5, 5, 201)
    right.plot(grid, norm.pdf(grid), color=_GREY, linewidth=1.2)
    right.set_xlabel("(recorded - predicted) / σ")
    right.set_ylabel("density")
