"""Figures of a map predicted from few spectra: image, measured pixels, prediction and error."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from scenarios.report.page import Picture
from scenarios.style.figure import drawn

_BLUE, _GREY, _RED = "#2f67b1", "#8895a0", "#c0322b"


def figures(arrays: Mapping[str, np.ndarray], tolerance: float | None = None) -> list[Picture]:
    """The map in panels, how its uncertainty fell, and predicted against recorded values.

    ``arrays`` as `replay_titanate.acquire_map` and the journal's score row have them; what was not recorded is nan and left out.
    """
    known = bool(np.isfinite(arrays["recorded"]).all())
    maps = Picture(
        "Ti L2,3 map",
        "From left: the HAADF image, seen whole; the pixels whose spectra were measured, in order (dark first); the predicted map in camera "
        "counts; its standard deviation without counting noise; "
        + ("the recorded map, counting noise and all; its difference from the prediction in standard deviations "
           "(counting noise included), for the pixels that were not measured." if known else "what was measured."),
        drawn(10.0, 6.2, lambda figure: _maps(figure, arrays, known), "png", grid=False),
    )  # fmt: skip
    pictures = [maps]
    if arrays["history_measured"].size:
        pictures.append(
            Picture(
                "Uncertainty as spectra came in",
                "Largest predicted standard deviation over the map, as a share of the map's range, after each batch; it ends where the "
                "tolerance is met by a model that is trusted, or the allowance is spent.",
                drawn(6.5, 2.8, lambda figure: _history(figure, arrays, tolerance), "svg", grid=False),
            )
        )
    if known:
        pictures.append(
            Picture(
                "Predicted against recorded",
                "Pixels that were not measured, with 90 % intervals for a noisy value. Right: how their deviations in standard deviations "
                "are distributed, against the normal curve that honest intervals would give.",
                drawn(8.0, 3.4, lambda figure: _calibration(figure, arrays), "svg", grid=False),
            )
        )
    return pictures


def deviations(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Recorded minus predicted in standard deviations [rows, columns], counting noise included; nan at measured pixels."""
    spread = np.sqrt(arrays["predicted_std"] ** 2 + arrays["recorded_std"] ** 2)
    return np.where(arrays["measured"] > 0, np.nan, (arrays["recorded"] - arrays["predicted"]) / spread)


def _maps(figure: Figure, arrays: Mapping[str, np.ndarray], known: bool) -> None:
    rows, columns = arrays["predicted"].shape
    order = np.where(arrays["order"] >= 0, arrays["order"] + 1.0, np.nan)
    recorded = arrays["recorded"]
    both = np.concatenate([arrays["predicted"].ravel(), recorded[np.isfinite(recorded)]])
    counts = {"cmap": "cividis", "vmin": both.min() / 1e3, "vmax": both.max() / 1e3}
    panels: list[tuple[str, np.ndarray, dict[str, Any], str]] = [
        ("HAADF", arrays["image"], {"cmap": "gray"}, "counts"),
        ("measured", order, {"cmap": "viridis"}, "order"),
        ("predicted", arrays["predicted"] / 1e3, counts, "10³ counts"),
        ("uncertainty", arrays["predicted_std"] / 1e3, {"cmap": "magma", "vmin": 0}, "10³ counts"),
        ("recorded" if known else "taken", recorded / 1e3, counts, "10³ counts"),
    ]
    if known:
        panels.append(("difference", deviations(arrays), {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}, "σ"))
    axes = figure.subplots(1, len(panels))
    for axis, (title, image, colours, unit) in zip(axes, panels, strict=True):
        extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        drawn = axis.imshow(image, extent=extent, interpolation="nearest", aspect="equal", **colours)
        axis.set_title(title)
        axis.set_facecolor("#e8ecef")
        axis.set_xticks([0, columns - 1])
        axis.set_xlabel("column")
        if axis is not axes[0]:
            axis.set_yticks([])
        figure.colorbar(drawn, ax=axis, shrink=0.7, aspect=30, label=unit)
    axes[0].set_ylabel("row (spectra)")


def _history(figure: Figure, arrays: Mapping[str, np.ndarray], tolerance: float | None) -> None:
    axes: Axes = figure.subplots()
    axes.plot(arrays["history_measured"], 100 * arrays["history_uncertainty"], "o-", color=_BLUE, markersize=4)
    if tolerance is not None:
        axes.axhline(100 * tolerance, color=_RED, linestyle="--", linewidth=1)
        axes.annotate(
            "tolerance", (1, 100 * tolerance), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=_RED
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("spectra measured")
    axes.set_ylabel("largest σ / range  (%)")


def _calibration(figure: Figure, arrays: Mapping[str, np.ndarray]) -> None:
    left, right = figure.subplots(1, 2)
    other = arrays["measured"] == 0
    predicted, recorded = arrays["predicted"][other] / 1e3, arrays["recorded"][other] / 1e3
    spread = np.sqrt(arrays["predicted_std"] ** 2 + arrays["recorded_std"] ** 2)[other] / 1e3
    half = float(norm.ppf(0.95))
    left.errorbar(
        recorded, predicted, yerr=half * spread, fmt="o", markersize=2.5, color=_BLUE, ecolor="#c5d4e8", elinewidth=0.8
    )
    ends = [min(recorded.min(), predicted.min()), max(recorded.max(), predicted.max())]
    left.plot(ends, ends, color=_GREY, linewidth=1)
    left.set_xlabel("recorded (10³ counts)")
    left.set_ylabel("predicted (10³ counts)")
    sigmas = deviations(arrays)[other]
    right.hist(np.clip(sigmas, -4.9, 4.9), bins=np.linspace(-5, 5, 31).tolist(), density=True, color="#a9c1e0")
    grid = np.linspace(-5, 5, 201)
    right.plot(grid, norm.pdf(grid), color=_GREY, linewidth=1.2)
    right.set_xlabel("(recorded - predicted) / σ")
    right.set_ylabel("density")
