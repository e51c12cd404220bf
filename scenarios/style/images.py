"""Images in the style of all jobs: scale bars of a round length, and colours by what an image holds."""

import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from twin.units import value_text

BAR_SHARE = 0.4
"""Largest share of an image's width that a scale bar takes."""


def scale_bar(axes: Axes, width: float, height: float, colour: str = "white", unit: str = "angstrom") -> None:
    """A bar of a round length in the lower left corner of an image that is ``width`` x ``height`` of an inside ``unit``, with the origin in its corner."""
    top = np.floor(np.log10(BAR_SHARE * width)) if width > 0.0 else 0.0
    length = max(
        (
            float(n * 10.0 ** (top + p))
            for p in (-1, 0)
            for n in (1, 2, 5)
            if n * 10.0 ** (top + p) <= BAR_SHARE * width
        ),
        default=width / 3,
    )
    left, low = 0.06 * width, 0.93 * height
    edge = [withStroke(linewidth=1.6, foreground="black" if colour == "white" else "white")]
    axes.plot([left, left + length], [low, low], color=colour, linewidth=2.4, solid_capstyle="butt", path_effects=edge)
    label = value_text(length, unit)
    axes.text(left, low - 0.04 * height, label, color=colour, fontsize=8, va="bottom", path_effects=edge)


def colour_scale(values: np.ndarray, logarithmic: bool = False) -> tuple[matplotlib.colors.Normalize, str]:
    """Colours for ``values``, and words for their scale: linear, by the square root for patterns with a bright disk, or logarithmic."""
    finite = values[np.isfinite(values)].ravel()
    if finite.size == 0:
        return matplotlib.colors.Normalize(0.0, 1.0), ""
    low, high = (float(value) for value in np.quantile(finite, (0.005, 0.997)))
    high = high if high > low else low + 1.0
    positive = finite[finite > 0]
    if logarithmic:
        least = float(np.quantile(positive, 0.005)) if positive.size else 1e-3
        return matplotlib.colors.LogNorm(least, max(high, 1.01 * least), clip=True), " (log)"
    if positive.size and high > 6.0 * float(np.median(finite)) and low >= 0.0:
        return matplotlib.colors.PowerNorm(0.5, 0.0, high, clip=True), " (square root)"
    return matplotlib.colors.Normalize(low, high, clip=True), ""
