"""The figure of a measurement: data, model and what is left of them in standard deviations, and the posterior of the quantities.

Images have y down and x right, in the units of their axes. The posterior is that of the mixture: densities of single quantities, and the 90 % ellipses of
the pairs that go together most, of the likeliest reading.
"""

import io
import math
from typing import Any

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from reconstruct.measure.measurement import Component, Measurement, Shown
from scenarios.measure.output.comparison import Found, disagreements, readings
from scenarios.watch.figure import FAINT, INK, LINE, STYLE
from twin.units import rounded, scale

MOST_SHOWN, MOST_QUANTITIES, ACROSS = 4, 12, 4
WIDTH = 11.0
SIGMAS = 4.0
NINETY = math.sqrt(-2.0 * math.log(0.1))
"""Radius in standard deviations of the ellipse that holds 90 % of a Gaussian in two dimensions."""
TOGETHER = 0.3
"""Correlation from which a pair is drawn."""
ORANGE = "#d55e00"
_WIDE = {"power spectrum", "exposure"}


def draw_measured(found: Found, form: str) -> bytes:
    """The figure as a "png" or "svg"."""
    measured = found.measurement
    shown = measured.shown[:MOST_SHOWN]
    parts = _known(measured)
    pairs = _pairs(measured, parts)
    heights = [_height(one) for one in shown]
    rows = math.ceil((len(parts) + len(pairs)) / ACROSS)
    heights += [2.0 * rows] if rows else [0.6]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.3 + 0.2 * len(disagreements(found))), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.09, h_pad=0.05)  # type: ignore[union-attr]
        _title(figure, found)
        below: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for one, room in zip(shown, below, strict=False):
            if one.data.ndim == 2:
                _pictures(room, one)
            else:
                _curve(room, one)
        if rows:
            _posterior(below[-1], measured, parts, pairs, rows)
        else:
            why = next(iter(measured.undetermined.values()), "")
            below[-1].text(0.01, 0.5, _short(f"nothing is determined: {why}"), color=FAINT, va="center")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {"Software": None})
    return buffer.getvalue()


def _title(figure: Figure, found: Found) -> None:
    measured = found.measurement
    names = ", ".join(one.path.name for one in found.given)
    plainly = "".join(one if one.isprintable() else "?" for one in names).replace("$", r"\$")
    fit = f", misfit {measured.misfit:.2g}" if math.isfinite(measured.misfit) and found.judged else ""
    drawn = "; shaded and ellipses: 90 %" if _known(measured) else ""
    lines = [f"{found.kind} of {plainly}{fit}{drawn}"]
    lines += [_short(one) for one in disagreements(found)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10)


def _short(words: str, most: int = 150) -> str:
    text = words.replace("$", r"\$")
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + " …"


def _height(one: Shown) -> float:
    if one.data.ndim == 1:
        return 2.3
    left, right, bottom, top = one.extent
    return min(max(2.5 * abs(bottom - top) / max(abs(right - left), 1e-12), 1.5), 4.2) + 0.65


def _scale(one: Shown) -> tuple[matplotlib.colors.Normalize, str]:
    """Colours for data and model alike: linear, by the square root for patterns with a bright disk, logarithmic for power spectra."""
    both = np.concatenate([part[np.isfinite(part)].ravel() for part in (one.data, one.model)])
    if both.size == 0:
        return matplotlib.colors.Normalize(0.0, 1.0), ""
    low, high = (float(value) for value in np.quantile(both, (0.005, 0.997)))
    high = high if high > low else low + 1.0
    positive = both[both > 0]
    if one.name.split(" ")[0] in _WIDE or one.name in _WIDE:
        least = float(np.quantile(positive, 0.005)) if positive.size else 1e-3
        return matplotlib.colors.LogNorm(least, max(high, 1.01 * least), clip=True), " (log)"
    if positive.size and high > 6.0 * float(np.median(both)) and low >= 0.0:
        return matplotlib.colors.PowerNorm(0.5, 0.0, high, clip=True), " (square root)"
    return matplotlib.colors.Normalize(low, high, clip=True), ""


def _pictures(room: Any, one: Shown) -> None:
    """Data, model and residual as images with y down, and the residual's histogram beside the normal distribution."""
    data, model, residual, counts = room.subplots(1, 4, width_ratios=(1.0, 1.0, 1.0, 0.8))
    left, right, bottom, top = one.extent
    factor, unit = _axis(max(abs(edge) for edge in one.extent), one.unit)
    extent = (factor * left, factor * right, factor * max(bottom, top), factor * min(bottom, top))
    norm_, words = _scale(one)
    for axes, values, title in ((data, one.data, one.name), (model, one.model, "model")):
        axes.set_facecolor("#f2f4f5")
        drawn = axes.imshow(values, extent=extent, norm=norm_, cmap="cividis", interpolation="nearest")
        axes.set_title(title)
    room.colorbar(drawn, ax=[data, model], shrink=0.8, pad=0.015, aspect=18).set_label(f"data and model{words}")
    residual.set_facecolor("#f2f4f5")
    left_over = residual.imshow(
        one.residual, extent=extent, cmap="RdBu_r", vmin=-SIGMAS, vmax=SIGMAS, interpolation="nearest"
    )
    residual.set_title("data − model")
    ticks = [-4, -2, 0, 2, 4]
    room.colorbar(left_over, ax=residual, shrink=0.8, pad=0.03, aspect=18, ticks=ticks, extend="both").set_label("σ")
    for number, axes in enumerate((data, model, residual)):
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.set_xlabel(f"x ({unit})")
        if number == 0:
            axes.set_ylabel(f"y ({unit})")
        else:
            axes.tick_params(labelleft=False)
    _histogram(counts, one.residual)
    counts.set_box_aspect(min(abs(bottom - top) / abs(right - left), 1.5) / 0.8)


def _histogram(axes: Any, residual: np.ndarray) -> None:
    values = residual[np.isfinite(residual)].ravel()
    edges = np.linspace(-6.0, 6.0, 49)
    axes.hist(np.clip(values, -6.0, 6.0), edges, density=True, color="#a6cbe3")
    middle = 0.5 * (edges[1:] + edges[:-1])
    axes.plot(middle, norm.pdf(middle), color=INK, linewidth=1.0)
    rms = float(np.sqrt(np.mean(values**2))) if values.size else math.nan
    axes.set_title(f"residual: rms {rms:.2f} σ")
    axes.set_xlabel("σ (line: normal)")
    axes.set_yticks([])
    axes.set_xlim(-6.0, 6.0)
    axes.spines["left"].set_visible(False)


def _curve(room: Any, one: Shown) -> None:
    """A curve with its model, and beside it the residual; of a posterior, the draws and what is told of them."""
    told = ("draws", "as told") if one.name.startswith("posterior") else ("data", "model")
    left, right = room.subplots(1, 2, width_ratios=(1.6, 1.0))
    first, last = one.extent[:2]
    factor, unit = _axis(max(abs(first), abs(last)), one.unit)
    x = factor * np.linspace(first, last, len(one.data))
    left.step(x, one.data, where="mid", color=LINE, linewidth=1.0, label=told[0])
    left.plot(x, one.model, color=ORANGE, linewidth=1.2, label=told[1])
    left.legend(loc="upper right", fontsize=8)
    left.set_title(one.name)
    right.axhspan(-2, 2, color="#eef1f3", zorder=0)
    right.axhline(0.0, color=INK, linewidth=0.6)
    right.plot(x, np.clip(one.residual, -6, 6), ".", color=LINE, markersize=3)
    right.set_ylim(-6.3, 6.3)
    right.set_ylabel("σ")
    rms = float(np.sqrt(np.nanmean(one.residual**2)))
    right.set_title(f"{told[0]} − {told[1]}: rms {rms:.2f} σ")
    for axes in (left, right):
        axes.set_xlabel(unit)


def _axis(size: float, unit: str) -> tuple[float, str]:
    """Factor and unit of an image's axes."""
    return scale(size, unit)


def _known(measured: Measurement) -> list[int]:
    """Places of the quantities to draw: those that are determined. A flip is either of two, and has no density."""
    known = [i for i, name in enumerate(measured.names) if name not in measured.undetermined and name != "flip"]
    return known[:MOST_QUANTITIES]


def _pairs(measured: Measurement, parts: list[int]) -> list[tuple[int, int]]:
    """The pairs that are correlated most in the likeliest reading: as many as fill the last row, or one of their own."""
    covariance = readings(measured)[0].covariance
    scale = np.sqrt(np.diag(covariance))
    sizes = np.abs(covariance / np.outer(scale, scale))
    every = [(a, b) for k, a in enumerate(parts) for b in parts[k + 1 :] if sizes[a, b] > TOGETHER]
    return sorted(every, key=lambda one: -sizes[one])[: -len(parts) % ACROSS or ACROSS]


def _posterior(room: Any, measured: Measurement, parts: list[int], pairs: list[tuple[int, int]], rows: int) -> None:
    panels = np.ravel(room.subplots(rows, ACROSS, squeeze=False))
    told = readings(measured)
    for axes, place in zip(panels, parts, strict=False):
        _density(axes, measured, told, place)
    for axes, (a, b) in zip(panels[len(parts) :], pairs, strict=False):
        _ellipse(axes, measured, told[0], a, b)
    for axes in panels[len(parts) + len(pairs) :]:
        axes.set_visible(False)


def _people(measured: Measurement, part: Component, place: int) -> tuple[float, str]:
    error = math.sqrt(part.covariance[place, place])
    return scale(max(abs(float(part.mean[place])), error), measured.units[place], measured.names[place])


def _density(axes: Any, measured: Measurement, told: list[Component], place: int) -> None:
    """The density of one quantity, with its 90 % interval shaded and each reading's value said."""
    factor, unit = _people(measured, told[0], place)
    means = np.array([factor * one.mean[place] for one in measured.components])
    spreads = np.array([factor * math.sqrt(one.covariance[place, place]) for one in measured.components])
    weights = np.array([one.weight for one in measured.components])
    heavy = weights > 0.01 * weights.max()
    low, high = float((means - 4.5 * spreads)[heavy].min()), float((means + 4.5 * spreads)[heavy].max())
    own = [np.linspace(m - 5.0 * s, m + 5.0 * s, 161) for m, s in zip(means, spreads, strict=True)]
    x = np.unique(np.concatenate([np.linspace(low, high, 401), *own]))
    x = x[(x >= low) & (x <= high)]
    apart = (x[:, None] - means) / spreads
    density, below = norm.pdf(apart) @ (weights / spreads), norm.cdf(apart) @ weights
    inside = (below > 0.05) & (below < 0.95)
    axes.fill_between(x, np.where(inside, density, 0.0), color=LINE, alpha=0.22, linewidth=0)
    axes.plot(x, density, color=LINE, linewidth=1.2)
    axes.set_xlim(low, high)
    top = float(density.max())
    axes.set_ylim(0.0, 1.12 * top)
    centres = np.array([one.mean[place] for one in told])
    gaps = np.diff(np.sort(centres))
    several = len(told) > 1 and float(gaps.min()) > 4.0 * math.sqrt(told[0].covariance[place, place])
    for one in told if several else ():
        if one.weight > 0.03 and low < factor * one.mean[place] < high:
            at = factor * float(one.mean[place])
            axes.text(at, float(np.interp(at, x, density)), f" {one.weight:.0%}", fontsize=8, va="bottom", ha="center")
    value, error = rounded(factor * float(told[0].mean[place]), factor * math.sqrt(told[0].covariance[place, place]))
    share = f" ({told[0].weight:.0%})" if several else ""
    name = measured.names[place].replace("_", " ")
    axes.set_title(f"{name}  {value} ± {error} {unit}{share}".rstrip().replace("-", "−"), fontsize=8.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(unit or "1")
    _ticks(axes.xaxis, 4)


def _ellipse(axes: Any, measured: Measurement, part: Component, a: int, b: int) -> None:
    """Where two quantities lie together with a probability of 90 %."""
    (by_a, unit_a), (by_b, unit_b) = _people(measured, part, a), _people(measured, part, b)
    scale = np.diag([by_a, by_b])
    covariance = scale @ part.covariance[np.ix_([a, b], [a, b])] @ scale
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    ring = NINETY * root @ np.stack([np.cos(angle), np.sin(angle)])
    x, y = by_a * part.mean[a], by_b * part.mean[b]
    axes.fill(x + ring[0], y + ring[1], color=LINE, alpha=0.22, linewidth=0)
    axes.plot(x + ring[0], y + ring[1], color=LINE, linewidth=1.2)
    axes.plot(x, y, "+", color=INK)
    name_a, name_b = (measured.names[one].replace("_", " ") for one in (a, b))
    correlation = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    axes.set_title(
        f"up: {name_b}{f' ({unit_b})' if unit_b else ''}, ρ = {correlation:.2f}".replace("-", "−"), fontsize=8.5
    )
    axes.set_xlabel(f"{name_a} ({unit_a})" if unit_a else name_a)
    _ticks(axes.xaxis, 4)
    _ticks(axes.yaxis, 4)
    # labels within, so that panels of densities and pairs are as wide
    low, high = axes.get_xlim()
    axes.set_xlim(low - 0.3 * (high - low), high)
    axes.tick_params(axis="y", direction="in", pad=-6, labelsize=8)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")


def _ticks(axis: Any, count: int) -> None:
    axis.set_major_locator(matplotlib.ticker.MaxNLocator(count))
    written = matplotlib.ticker.ScalarFormatter(useOffset=False)
    written.set_powerlimits((-4, 5))
    axis.set_major_formatter(written)
