"""Figures of a map by exposures: the map with its errors and dose, how its error fell, and the map against the truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.stats import norm

from scenarios.io.progress import electrons
from scenarios.style.figure import FAINT, LINE, ORANGE
from twin.units import symbol

PANEL = 3.2
"""Inches of one panel."""


def scale_of(result: Mapping[str, Any]) -> tuple[float, str]:
    """By what values are divided to be shown, and their unit in words."""
    if result["share_of_beam"]:
        return 1e-6, "electrons per 10⁶"
    if result["unit"] == "radian":
        return 1e-3, "mrad"
    return 1.0, symbol(result["unit"]) if result["unit"] != "1" else ""


def size_of(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Inches of the figure of maps."""
    rows, columns = arrays["predicted"].shape
    height = min(max(PANEL * rows / columns, 1.0), 2.0 * PANEL)
    return 3 * PANEL, 2 * (0.8 * height + 0.4)


def maps(figure: Figure, arrays: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> None:
    """Survey, electrons, map and standard deviation; with the truth, that and the error."""
    factor, unit = scale_of(result)
    scored = "truth" in arrays
    shown = [arrays["predicted"] / factor] + ([arrays["truth"] / factor] if scored else [])
    ends = {"vmin": min(float(each.min()) for each in shown), "vmax": max(float(each.max()) for each in shown)}
    dose = np.where(arrays["electrons"] > 0.0, arrays["electrons"], np.nan)
    panels: list[tuple[str, np.ndarray, dict[str, Any], str]] = [
        ("survey", arrays["survey"], {"cmap": "gray"}, "counts"),
        ("electrons of a pixel", dose, {"cmap": "viridis", "norm": LogNorm()}, ""),
        ("map", shown[0], {"cmap": "cividis", **ends}, unit),
        ("standard deviation", arrays["predicted_std"] / factor, {"cmap": "magma", "vmin": 0.0}, unit),
    ]
    if scored:
        off = (arrays["predicted"] - arrays["truth"]) / arrays["predicted_std"]
        panels.append(("truth", shown[1], {"cmap": "cividis", **ends}, unit))
        panels.append(("error", off, {"cmap": "RdBu_r", "vmin": -4.0, "vmax": 4.0}, "σ"))
    axes = figure.subplots(2, 3).ravel() if scored else figure.subplots(2, 2).ravel()
    for axis, (title, image, options, label) in zip(axes, panels, strict=True):
        drawn = axis.imshow(image, interpolation="nearest", **options)
        axis.set_title(title)
        axis.set_facecolor("#e8ecef")
        axis.set_xticks([])
        axis.set_yticks([])
        figure.colorbar(drawn, ax=axis, shrink=0.8, label=label)


def curve(figure: Figure, arrays: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> None:
    """The standard deviation against electrons, and what even scans take."""
    factor, unit = scale_of(result)
    axes = figure.add_subplot()
    axes.loglog(
        arrays["history_electrons"], arrays["history_std"] / factor, "o-", color=LINE, ms=4, label="this session"
    )
    axes.axhline(result["asked"] / factor, color=FAINT, ls="--", lw=1.2, label="asked for")
    for name, colour, label in (
        ("even_electrons_denoised", FAINT, "even scan, same model"), ("even_electrons", ORANGE, "even scan, pixel by pixel"),
    ):  # fmt: skip
        if result.get(name) is not None:
            axes.axvline(result[name], color=colour, lw=1.4, label=f"{label}: {electrons(result[name])}")
    axes.set_xlabel("electrons spent")
    axes.set_ylabel("largest σ" if result["everywhere"] else "rms σ over the area" + (f" ({unit})" if unit else ""))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def calibration(figure: Figure, arrays: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> None:
    """The map against the truth, and errors in standard deviations."""
    factor, unit = scale_of(result)
    left, right = figure.subplots(1, 2)
    predicted, truth = arrays["predicted"].ravel() / factor, arrays["truth"].ravel() / factor
    ends = [min(predicted.min(), truth.min()), max(predicted.max(), truth.max())]
    left.plot(truth, predicted, ".", color=LINE, ms=3)
    left.plot(ends, ends, color=FAINT, lw=1)
    label = f" ({unit})" if unit else ""
    left.set_xlabel(f"truth{label}")
    left.set_ylabel(f"map{label}")
    off = ((arrays["predicted"] - arrays["truth"]) / arrays["predicted_std"]).ravel()
    right.hist(np.clip(off, -4.9, 4.9), bins=np.linspace(-5, 5, 31).tolist(), density=True, color="#a9c1e0")
    grid = np.linspace(-5, 5, 201)
    right.plot(grid, norm.pdf(grid), color=FAINT, lw=1.2)
    right.set_xlabel("(map - truth) / σ")
    right.set_ylabel("density")
