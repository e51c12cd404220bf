"""Maps of a spectrum image in the figure of a measurement: each with its error by noise beside it; y down, x right."""

from collections.abc import Sequence
from typing import Any

import matplotlib.ticker
import numpy as np

from reconstruct.measurement.measurement import Map
from twin.units import scale

MAPS_PER_ROW, LYING_PER_ROW = 3, 1
"""Maps beside each other, each with its errors; fewer of those that lie down."""
NARROW = 0.45
"""Width over height below which maps lie down: rows of the scan from left to right."""
PANEL_WIDTH, HEIGHTS = 4.6, (0.35, 3.2)
"""Width in inches of a panel where one map is in a row, and heights of its image."""


def map_rows(maps: Sequence[Map]) -> list[Sequence[Map]]:
    """The maps in rows of the figure."""
    count = _per_row(maps[0]) if maps else 1
    return [maps[begin : begin + count] for begin in range(0, len(maps), count)]


def map_height(row: Sequence[Map]) -> float:
    """Height in inches of a row of the figure."""
    height, width = row[0].values.shape
    aspect = width / height if _lies(row[0]) else height / width
    return float(np.clip(PANEL_WIDTH / _per_row(row[0]) * aspect, *HEIGHTS)) + 0.8


def draw_maps(panel: Any, row: Sequence[Map]) -> None:
    """Values and errors of each map of a row."""
    axes = np.ravel(panel.subplots(1, 2 * _per_row(row[0]), squeeze=False))
    for number, item in enumerate(row):
        finite = item.values[np.isfinite(item.values)]
        size = float(np.abs(finite).max()) if finite.size else 1.0
        factor, unit = scale(size, item.unit, item.name)
        label = f" ({unit})" if unit else ""
        low, high = (float(np.quantile(finite, share)) for share in (0.005, 0.995)) if finite.size else (0.0, 1.0)
        _draw(
            panel,
            axes[2 * number],
            item,
            factor * item.values,
            (factor * low, factor * high),
            item.name.replace("_", " ") + label,
        )
        errors = item.errors[np.isfinite(item.errors)]
        ends = (factor * float(errors.min()), factor * float(errors.max())) if errors.size else (0.0, 1.0)
        common = f", all {100.0 * item.common:.1f} %" if item.common > 0.0 else ""
        _draw(panel, axes[2 * number + 1], item, factor * item.errors, ends, f"± noise{common}")
    for left in axes[2 * len(row) :]:
        left.set_visible(False)


def _draw(panel: Any, axes: Any, item: Map, values: np.ndarray, ends: tuple[float, float], title: str) -> None:
    extent = item.extent or (-0.5, values.shape[1] - 0.5, values.shape[0] - 0.5, -0.5)
    factor, unit = scale(max(abs(edge) for edge in extent), item.extent_unit)
    left, right, bottom, top = (factor * edge for edge in extent)
    names = f"x ({unit})", f"y ({unit})"
    if _lies(item):
        values, (left, right, bottom, top), names = values.T, (top, bottom, right, left), names[::-1]
    axes.set_facecolor("#f2f4f5")
    drawn = axes.imshow(
        values,
        extent=(left, right, bottom, top),
        cmap="cividis",
        vmin=ends[0],
        vmax=max(ends[1], ends[0] + 1e-300),
        interpolation="nearest",
    )
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(names[0], fontsize=7.5)
    axes.set_ylabel(names[1], fontsize=7.5)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
    bar = panel.colorbar(drawn, ax=axes, shrink=0.8, pad=0.03, aspect=14, location="bottom" if _lies(item) else "right")
    bar.ax.tick_params(labelsize=7)


def _per_row(item: Map) -> int:
    return LYING_PER_ROW if _lies(item) else MAPS_PER_ROW


def _lies(item: Map) -> bool:
    """Whether a map is so narrow that it is drawn lying down."""
    height, width = item.values.shape
    return width < NARROW * height
