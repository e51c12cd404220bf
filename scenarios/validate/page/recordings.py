"""What evidence was made of: the recording with the fit drawn in, a curve with its model, a sensor's track, or the recording as it is."""

import math
from typing import Any

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reconstruct.measurement.measurement import FitPlot
from reconstruct.validation.evidence import Picture
from reconstruct.validation.sensors.evidence import TrackPicture
from scenarios.style.figure import FAINT, INK, LINE, ORANGE, draw
from scenarios.style.images import colour_scale, scale_bar
from scenarios.validate.page.strip import LIMIT, STALE, WRONG, time_unit
from twin.records import Signal
from twin.units import moment, scale

SIDE = 2.9
"""Inches of the longer side of an image."""
MOST_PIXELS = 288
"""Rows and columns of a recording that are drawn at most: larger ones are averaged."""
CROP = 160
"""Rows or columns of a fit that are drawn: the middle, so that what was fitted can be seen."""
LEAST_CONTOUR = 32
"""Rows and columns of a fit from which a contour of its model is drawn."""
RECIPROCAL = ("1/angstrom", "radian")
"""Units of the axes of diffraction patterns, which are drawn logarithmically."""


def draw_evidence(picture: Picture) -> str | None:
    """The picture of a piece of evidence as a ``data:`` address; None for a kind that is not known."""
    content = picture.content
    if isinstance(content, FitPlot):
        if content.data.ndim == 1:
            first, last = content.extent[:2]
            return _curve(np.linspace(first, last, len(content.data)), content.data, content.unit, content.model)
        return _fit(content)
    if isinstance(content, TrackPicture):
        return _track(content)
    if picture.kind == "image" and isinstance(content, np.ndarray) and content.ndim == 2:
        return _image(content, (1.0, 1.0), "pixel", False)
    return None


def draw_signal(signal: Signal, side: float = SIDE) -> str | None:
    """A recording, its longer side ``side`` inches: an image or the mean pattern with a scale bar by its claims, or its summed spectrum.

    None where it holds no image.
    """
    axes, data = signal.axes, signal.data
    if data.size == 0:
        return None
    if signal.kind.startswith("spectrum"):
        counts = np.asarray(data, np.float64).reshape(-1, data.shape[-1]).sum(axis=0)
        axis = axes[-1]
        return _curve(axis.offset + axis.scale * np.arange(axis.size), counts, axis.unit or "channel")
    if data.ndim < 2 or min(data.shape[-2:]) < 2:
        return None
    patterns = data.ndim > 2 and axes[-1].unit in RECIPROCAL
    first: Any = data
    while first.ndim > 2:
        first = first.mean(axis=0) if patterns else first[0]
    image = np.abs(first) if np.iscomplexobj(first) else np.asarray(first, np.float64)
    steps = tuple(abs(axis.scale) or 1.0 for axis in axes[-2:])
    unit = axes[-1].unit
    known = unit is not None and unit == axes[-2].unit
    word = unit if known and unit else "pixel"
    return _image(image, steps if known else (1.0, 1.0), word, axes[-1].unit in RECIPROCAL, side)


def _image(image: np.ndarray, steps: tuple[float, ...], unit: str, logarithmic: bool, side: float = SIDE) -> str:
    """An image with y down; ``steps`` (y, x) are the sides of its pixels in an inside ``unit``."""
    rows, columns = image.shape
    image = _binned(image, round(MOST_PIXELS * min(side / SIDE, 1.0)))

    def paint(axes: Axes) -> None:
        norm, _ = colour_scale(image, logarithmic)
        axes.imshow(
            image,
            extent=(0.0, columns * steps[1], rows * steps[0], 0.0),
            norm=norm,
            cmap="cividis",
            interpolation="nearest",
        )
        if side >= SIDE:  # a smaller one has no room for it
            scale_bar(axes, columns * steps[1], rows * steps[0], unit=unit)

    return _framed(columns * steps[1], rows * steps[0], paint, side)


def _fit(plot: FitPlot) -> str:
    """The middle of the data of a fit, with a contour of its model."""
    rows, columns = plot.data.shape
    left, right, bottom, top = plot.extent
    step_x, step_y = abs(right - left) / columns, abs(bottom - top) / rows
    side = CROP * max(step_x, step_y)
    kept = [min(size, max(round(side / step), 8)) for size, step in ((rows, step_y), (columns, step_x))]
    corner = [(size - keep) // 2 for size, keep in zip((rows, columns), kept, strict=True)]
    window = tuple(slice(begin, begin + keep) for begin, keep in zip(corner, kept, strict=True))
    data, model = plot.data[window], plot.model[window]
    width, height = kept[1] * step_x, kept[0] * step_y

    def paint(axes: Axes) -> None:
        norm, _ = colour_scale(data, "power" in plot.name)
        axes.imshow(data, extent=(0.0, width, height, 0.0), norm=norm, cmap="gray", interpolation="nearest")
        finite = model[np.isfinite(model)]
        if finite.size and with_contour(plot):
            low, high = np.quantile(finite, (0.02, 0.995))
            if high > low:
                x = (np.arange(kept[1]) + 0.5) * step_x
                y = (np.arange(kept[0]) + 0.5) * step_y
                axes.contour(x, y, model, levels=[float(0.5 * (low + high))], colors=ORANGE, linewidths=1.0)
        scale_bar(axes, width, height, unit=plot.unit)

    return _framed(width, height, paint)


def with_contour(plot: FitPlot) -> bool:
    """Whether a fit of an image has enough pixels for a contour of its model."""
    return plot.data.ndim == 2 and min(plot.data.shape) >= LEAST_CONTOUR


def _framed(width: float, height: float, paint: Any, side: float = SIDE) -> str:
    """A figure that an image fills; its longer side is ``side`` inches."""
    ratio = min(max(height / width, 0.2), 5.0)
    size = (side, side * ratio) if ratio <= 1.0 else (side / ratio, side)

    def whole(figure: Figure) -> None:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        paint(axes)
        axes.set(xlim=(0.0, width), ylim=(height, 0.0), xticks=[], yticks=[], aspect="auto")
        axes.axis("off")

    return draw(*size, whole, "jpg", layout=None, grid=False, limit=LIMIT)


def _curve(x: np.ndarray, values: np.ndarray, unit: str, model: np.ndarray | None = None) -> str:
    """A curve, logarithmic where it spans more than two decades, and its model."""

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.16, 0.2, 0.8, 0.74))
        factor, word = scale(float(np.abs(x).max()), unit) if unit != "channel" else (1.0, unit)
        axes.plot(factor * x, values, color=LINE, linewidth=1.0)
        if model is not None:
            axes.plot(factor * x, model, color=ORANGE, linewidth=1.1)
        positive = values[np.isfinite(values) & (values > 0)]
        if positive.size and positive.max() > 100.0 * np.quantile(positive, 0.1):
            axes.set_yscale("log")
            axes.set_ylim(0.5 * float(np.quantile(positive, 0.02)), 2.0 * float(positive.max()))
        axes.set_xlabel(word, fontsize=8.5)
        axes.tick_params(labelsize=8)

    return draw(3.6, 2.3, paint, "png", layout=None, grid=True, limit=LIMIT)


def _track(track: TrackPicture) -> str:
    """A sensor's smoothed track with 2 standard deviations and its readings, the file's time, its claim, and since when that is stale."""
    origin = int(track.times[0])
    per, unit = time_unit((int(track.times[-1]) - origin) * 1e-9)
    largest = max(float(np.nanmax(np.abs(track.mean))), abs(track.claim or 0.0))
    factor, word = scale(largest, track.unit, track.field)
    name = track.field.replace("_", " ")

    def of(time: Any) -> Any:
        return (np.asarray(time, np.int64) - origin) * 1e-9 / per

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.24, 0.2, 0.73, 0.7))
        mean, std, when = factor * track.mean, factor * track.std, of(track.times)
        axes.fill_between(when, mean - 2.0 * std, mean + 2.0 * std, color=LINE, alpha=0.2, linewidth=0)
        axes.plot(when, mean, color=LINE, linewidth=1.2)
        axes.plot(of(track.readings[0]), factor * track.readings[1], ".", color=INK, markersize=2, rasterized=True)
        begin, end = (float(time) for time in of(list(track.span)))
        axes.axvspan(begin, end, color=FAINT, alpha=0.5, linewidth=1.5)
        shown = [mean, np.quantile(mean - 2.0 * std, [0.1, 0.9]), np.quantile(mean + 2.0 * std, [0.1, 0.9])]
        if track.since is not None:
            axes.axvline(float(of(track.since.time)), color=STALE, linewidth=1.2, linestyle=(0, (3, 2)))
        if track.claim is not None and math.isfinite(track.claim):
            axes.axhline(factor * track.claim, color=WRONG, linewidth=0.8, linestyle=(0, (2, 2)))
            axes.plot([0.5 * (begin + end)], [factor * track.claim], "D", color=WRONG, markersize=6)
            shown.append(np.array([factor * track.claim]))
        low, high = (float(bound(np.concatenate(shown))) for bound in (np.min, np.max))
        room = 0.08 * (high - low) or 0.01 * abs(high) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.set_title(track.channel, fontsize=9)
        axes.set_xlabel(f"{unit} after {moment(origin, track.zone)}", fontsize=8.5)
        axes.set_ylabel(f"{name} ({word})" if word else name, fontsize=8.5)
        axes.ticklabel_format(useOffset=False, axis="y", style="plain")
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.tick_params(labelsize=8)

    return draw(3.6, 2.5, paint, "png", layout=None, grid=True, limit=LIMIT)


def _binned(image: np.ndarray, most: int) -> np.ndarray:
    """Means of blocks, so that no side has more than ``most`` pixels."""
    by = [max(math.ceil(size / most), 1) for size in image.shape]
    rows, columns = (size // step * step for size, step in zip(image.shape, by, strict=True))
    return image[:rows, :columns].reshape(rows // by[0], by[0], columns // by[1], by[1]).mean(axis=(1, 3))
