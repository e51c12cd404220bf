"""The figure of a measurement: data, model and what is left of them in standard deviations, and the posterior of the quantities.

Images have y down and x right, in the units of their axes. The posterior is that of the mixture: densities of single quantities, and the 90 % ellipses of
the pairs that go together most, of the likeliest reading.
"""

import io
import math
import os
from typing import Any

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from reconstruct.measurement.measurement import Component, FitPlot, Measurement
from reconstruct.measurement.recorded.result import RecordedMeasurement
from scenarios.measure.output.maps import draw_maps, map_height, map_rows
from scenarios.style.figure import FAINT, INK, LINE, ORANGE, STYLE
from scenarios.style.images import colour_scale
from twin.units import rounded, scale

MAX_PLOTS, MAX_QUANTITIES, PANELS_PER_ROW = 4, 12, 4
WIDTH = 11.0
RESIDUAL_LIMIT = 4.0
ELLIPSE_RADIUS = math.sqrt(-2.0 * math.log(0.1))
"""Radius in standard deviations of the ellipse that holds 90 % of a Gaussian in two dimensions."""
BAND = 1.645
"""Standard deviations of a band of 90 %."""
MIN_CORRELATION = 0.3
"""Correlation from which a pair is drawn."""
_LOG_SCALED = {"power spectrum", "exposure"}


def draw_measured(recorded: RecordedMeasurement, form: str) -> bytes:
    """The figure as a "png" or "svg"."""
    measured = recorded.measurement
    plots = measured.plots[:MAX_PLOTS]
    parts = _determined(measured)
    pairs = _correlated_pairs(measured, parts)
    heights = [_row_height(plot) for plot in plots]
    maps = map_rows(measured.maps)
    heights += [map_height(row) for row in maps]
    rows = math.ceil((len(parts) + len(pairs)) / PANELS_PER_ROW)
    heights += [2.0 * rows] if rows else [0.6]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.3 + 0.2 * len(recorded.disagreements)), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.09, h_pad=0.05)  # type: ignore[union-attr]
        _title(figure, recorded)
        below: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for plot, panel in zip(plots, below, strict=False):
            if plot.data.ndim == 2:
                _draw_images(panel, plot)
            else:
                _draw_curve(panel, plot)
        for row, panel in zip(maps, below[len(plots) :], strict=False):
            draw_maps(panel, row)
        if rows:
            _draw_posterior(below[-1], measured, parts, pairs, rows)
        else:
            reason = next(iter(measured.undetermined.values()), "")
            below[-1].text(0.01, 0.5, _shorten(f"nothing is determined: {reason}"), color=FAINT, va="center")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {"Software": None})
    return buffer.getvalue()


def _title(figure: Figure, recorded: RecordedMeasurement) -> None:
    measured = recorded.measurement
    names = ", ".join(os.path.basename(recording.name) for recording in recorded.recordings)
    plainly = "".join(character if character.isprintable() else "?" for character in names).replace("$", r"\$")
    fit = f", misfit {measured.misfit:.2g}" if math.isfinite(measured.misfit) else ""
    legend = "; shaded and ellipses: 90 %" if _determined(measured) else ""
    lines = [f"{recorded.kind} of {plainly}: {recorded.outcome}{fit}{legend}"]
    lines += [_shorten(message) for message in recorded.disagreements]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10)


def _shorten(words: str, limit: int = 150) -> str:
    text = words.replace("$", r"\$")
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0] + " …"


def _row_height(plot: FitPlot) -> float:
    if plot.data.ndim == 1:
        return 2.3
    left, right, bottom, top = plot.extent
    return min(max(2.5 * abs(bottom - top) / max(abs(right - left), 1e-12), 1.5), 4.2) + 0.65


def _colour_scale(plot: FitPlot) -> tuple[matplotlib.colors.Normalize, str]:
    """Colours for data and model alike; logarithmic for power spectra."""
    both = np.concatenate([part.ravel() for part in (plot.data, plot.model)])
    return colour_scale(both, plot.name.split(" ")[0] in _LOG_SCALED or plot.name in _LOG_SCALED)


def _draw_images(panel: Any, plot: FitPlot) -> None:
    """Data, model and residual as images with y down, and the residual's histogram beside the normal distribution."""
    data, model, residual, counts = panel.subplots(1, 4, width_ratios=(1.0, 1.0, 1.0, 0.8))
    left, right, bottom, top = plot.extent
    factor, unit = _axis_unit(max(abs(edge) for edge in plot.extent), plot.unit)
    extent = (factor * left, factor * right, factor * max(bottom, top), factor * min(bottom, top))
    norm_, words = _colour_scale(plot)
    for axes, values, title in ((data, plot.data, plot.name), (model, plot.model, "model")):
        axes.set_facecolor("#f2f4f5")
        drawn = axes.imshow(values, extent=extent, norm=norm_, cmap="cividis", interpolation="nearest")
        axes.set_title(title)
    panel.colorbar(drawn, ax=[data, model], shrink=0.8, pad=0.015, aspect=18).set_label(f"data and model{words}")
    residual.set_facecolor("#f2f4f5")
    left_over = residual.imshow(
        plot.residual, extent=extent, cmap="RdBu_r", vmin=-RESIDUAL_LIMIT, vmax=RESIDUAL_LIMIT, interpolation="nearest"
    )
    residual.set_title("data − model")
    ticks = [-4, -2, 0, 2, 4]
    panel.colorbar(left_over, ax=residual, shrink=0.8, pad=0.03, aspect=18, ticks=ticks, extend="both").set_label("σ")
    for number, axes in enumerate((data, model, residual)):
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.set_xlabel(f"x ({unit})")
        if number == 0:
            axes.set_ylabel(f"y ({unit})")
        else:
            axes.tick_params(labelleft=False)
    _draw_histogram(counts, plot.residual)
    counts.set_box_aspect(min(abs(bottom - top) / abs(right - left), 1.5) / 0.8)


def _draw_histogram(axes: Any, residual: np.ndarray) -> None:
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


def _draw_curve(panel: Any, plot: FitPlot) -> None:
    """A curve with its model, and beside it the residual; of a posterior, the draws and the reported mixture."""
    labels = ("draws", "reported") if plot.name.startswith("posterior") else ("data", "model")
    left, right = panel.subplots(1, 2, width_ratios=(1.6, 1.0))
    first, last = plot.extent[:2]
    factor, unit = _axis_unit(max(abs(first), abs(last)), plot.unit)
    x = factor * np.linspace(first, last, len(plot.data))
    left.step(x, plot.data, where="mid", color=LINE, linewidth=1.0, label=labels[0])
    left.plot(x, plot.model, color=ORANGE, linewidth=1.2, label=labels[1])
    for name, part in plot.parts:
        left.plot(x, part, color=FAINT, linewidth=1.0, linestyle="--", label=name)
    if len(plot.band):
        ends = plot.model - BAND * plot.band, plot.model + BAND * plot.band
        left.fill_between(x, *ends, color=ORANGE, alpha=0.3, linewidth=0, label="noise, 90 %")
    for name, position in plot.marks:
        at = factor * position
        for axes in (left, right):
            axes.axvline(at, color=FAINT, linewidth=0.7, linestyle=":", zorder=0)
        left.annotate(name, (at, 1.0), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=7.5, va="top", color=INK)  # fmt: skip
    left.legend(loc="lower left" if plot.marks and plot.data[0] > 2.0 * plot.data[-1] else "upper right", fontsize=8)
    left.set_title(plot.name)
    right.axhspan(-2, 2, color="#eef1f3", zorder=0)
    right.axhline(0.0, color=INK, linewidth=0.6)
    right.plot(x, np.clip(plot.residual, -6, 6), ".", color=LINE, markersize=3)
    right.set_ylim(-6.3, 6.3)
    right.set_ylabel("σ")
    rms = float(np.sqrt(np.nanmean(plot.residual**2)))
    right.set_title(f"{labels[0]} − {labels[1]}: rms {rms:.2f} σ")
    for axes in (left, right):
        axes.set_xlabel(unit)


def _axis_unit(size: float, unit: str) -> tuple[float, str]:
    """Factor and unit of an image's axes."""
    return scale(size, unit)


def _determined(measured: Measurement) -> list[int]:
    """Indices of the quantities to draw: those that are determined. A flip is either of two, and has no density."""
    known = [i for i, name in enumerate(measured.names) if name not in measured.undetermined and name != "flip"]
    return known[:MAX_QUANTITIES]


def _correlated_pairs(measured: Measurement, parts: list[int]) -> list[tuple[int, int]]:
    """The pairs that are correlated most in the likeliest reading: as many as fill the last row, or one of their own."""
    covariance = measured.readings[0].covariance
    scale = np.sqrt(np.diag(covariance))
    sizes = np.abs(covariance / np.outer(scale, scale))
    every = [(a, b) for k, a in enumerate(parts) for b in parts[k + 1 :] if sizes[a, b] > MIN_CORRELATION]
    return sorted(every, key=lambda pair: -sizes[pair])[: -len(parts) % PANELS_PER_ROW or PANELS_PER_ROW]


def _draw_posterior(
    panel: Any, measured: Measurement, parts: list[int], pairs: list[tuple[int, int]], rows: int
) -> None:
    panels = np.ravel(panel.subplots(rows, PANELS_PER_ROW, squeeze=False))
    components = measured.readings
    for axes, index in zip(panels, parts, strict=False):
        _draw_density(axes, measured, components, index)
    for axes, (a, b) in zip(panels[len(parts) :], pairs, strict=False):
        _draw_ellipse(axes, measured, components[0], a, b)
    for axes in panels[len(parts) + len(pairs) :]:
        axes.set_visible(False)


def _display_unit(measured: Measurement, part: Component, index: int) -> tuple[float, str]:
    error = math.sqrt(part.covariance[index, index])
    return scale(max(abs(float(part.mean[index])), error), measured.units[index], measured.names[index])


def _draw_density(axes: Any, measured: Measurement, readings_: list[Component], index: int) -> None:
    """The density of one quantity, with its 90 % interval shaded and each reading's value said."""
    factor, unit = _display_unit(measured, readings_[0], index)
    means = np.array([factor * component.mean[index] for component in measured.components])
    spreads = np.array([factor * math.sqrt(component.covariance[index, index]) for component in measured.components])
    weights = np.array([component.weight for component in measured.components])
    heavy = weights > 0.01 * weights.max()
    low, high = float((means - 4.5 * spreads)[heavy].min()), float((means + 4.5 * spreads)[heavy].max())
    grids = [np.linspace(m - 5.0 * s, m + 5.0 * s, 161) for m, s in zip(means, spreads, strict=True)]
    x = np.unique(np.concatenate([np.linspace(low, high, 401), *grids]))
    x = x[(x >= low) & (x <= high)]
    deviation = (x[:, None] - means) / spreads
    density, cumulative = norm.pdf(deviation) @ (weights / spreads), norm.cdf(deviation) @ weights
    inside = (cumulative > 0.05) & (cumulative < 0.95)
    axes.fill_between(x, np.where(inside, density, 0.0), color=LINE, alpha=0.22, linewidth=0)
    axes.plot(x, density, color=LINE, linewidth=1.2)
    axes.set_xlim(low, high)
    top = float(density.max())
    axes.set_ylim(0.0, 1.12 * top)
    centres = np.array([component.mean[index] for component in readings_])
    gaps = np.diff(np.sort(centres))
    several = len(readings_) > 1 and float(gaps.min()) > 4.0 * math.sqrt(readings_[0].covariance[index, index])
    for component in readings_ if several else ():
        if component.weight > 0.03 and low < factor * component.mean[index] < high:
            position = factor * float(component.mean[index])
            axes.text(
                position,
                float(np.interp(position, x, density)),
                f" {component.weight:.0%}",
                fontsize=8,
                va="bottom",
                ha="center",
            )
    value, error = rounded(
        factor * float(readings_[0].mean[index]), factor * math.sqrt(readings_[0].covariance[index, index])
    )
    share = f" ({readings_[0].weight:.0%})" if several else ""
    name = measured.names[index].replace("_", " ")
    axes.set_title(f"{name}  {value} ± {error} {unit}{share}".rstrip().replace("-", "−"), fontsize=8.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(unit or "1")
    _ticks(axes.xaxis, 4)


def _draw_ellipse(axes: Any, measured: Measurement, part: Component, a: int, b: int) -> None:
    """Where two quantities lie together with a probability of 90 %."""
    (by_a, unit_a), (by_b, unit_b) = _display_unit(measured, part, a), _display_unit(measured, part, b)
    scale = np.diag([by_a, by_b])
    covariance = scale @ part.covariance[np.ix_([a, b], [a, b])] @ scale
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    ring = ELLIPSE_RADIUS * root @ np.stack([np.cos(angle), np.sin(angle)])
    x, y = by_a * part.mean[a], by_b * part.mean[b]
    axes.fill(x + ring[0], y + ring[1], color=LINE, alpha=0.22, linewidth=0)
    axes.plot(x + ring[0], y + ring[1], color=LINE, linewidth=1.2)
    axes.plot(x, y, "+", color=INK)
    name_a, name_b = (measured.names[index].replace("_", " ") for index in (a, b))
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
    formatter = matplotlib.ticker.ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-4, 5))
    axis.set_major_formatter(formatter)
