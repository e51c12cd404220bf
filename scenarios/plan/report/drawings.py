"""Figures of a plan: power against dose, and what each option would show."""

import math

import numpy as np
from matplotlib.figure import Figure

from learn.feasibility.assessment import DOSES
from scenarios.plan.planned import Planned, Weighed
from scenarios.style.figure import FAINT, INK, draw
from twin.units import symbol

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a5200", "#5b6b79")
SHOWN = 4
"""Options whose images are drawn."""


def merit_curves(planned: Planned) -> str:
    """The merit against dose of every option, with what is asked and the limit of dose."""
    return draw(8.6, 3.8, lambda figure: _curves(figure, planned))


def _curves(figure: Figure, planned: Planned) -> None:
    axes = figure.add_subplot()
    merit, limit = planned.merit, planned.question.limits.dose
    for option, colour in zip(planned.options, COLOURS * 8, strict=False):
        axes.plot(DOSES, option.assessment.curve, color=colour, lw=1.8, label=option.name)
        if DOSES[0] <= option.assessment.dose <= DOSES[-1]:
            axes.plot([option.assessment.dose], [merit.asked], "o", color=colour, ms=6)
    axes.axhline(merit.asked, color=INK, lw=0.8, ls=":")
    axes.text(DOSES[0] * 1.1, merit.asked, "asked for", va="top" if merit.rising else "bottom", color=INK, fontsize=8)
    if limit is not None:
        axes.axvspan(limit, DOSES[-1], color="#c0322b", alpha=0.08, lw=0)
        axes.axvline(limit, color="#c0322b", lw=1.0)
        axes.text(
            limit * 1.08, 0.02, "beyond the limit", color="#8f231d", fontsize=8, transform=axes.get_xaxis_transform()
        )
    for damage in planned.damages:
        if DOSES[0] < damage.dose < DOSES[-1]:
            axes.axvline(damage.dose, color="#8a5200", lw=1.0, ls="--")
            axes.text(
                damage.dose * 1.08,
                0.3,
                damage.words,
                color="#7a4b00",
                fontsize=8,
                rotation=90,
                va="bottom",
                transform=axes.get_xaxis_transform(),
            )
    axes.set_xscale("log")
    axes.set_xlim(DOSES[0], DOSES[-1])
    if merit.rising:
        axes.set_ylim(0.0, 1.02)
    else:
        axes.set_yscale("log")
    axes.set_xlabel(f"dose (e/{symbol('angstrom')}²)")
    axes.set_ylabel(merit.name + (f" ({symbol(merit.unit)})" if merit.unit else ""))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def option_images(planned: Planned, option: Weighed) -> str:
    """What an option records over the cell around the place: without the change, with it, and the difference in standard deviations at its dose."""
    return draw(8.6, 2.5, lambda figure: _images(figure, planned, option), "png", grid=False)


def _images(figure: Figure, planned: Planned, option: Weighed) -> None:
    shown = option.assessment
    perfect, changed, sigmas = _summed(shown.perfect), _summed(shown.changed), _squared(shown.sigmas)
    sides, location = planned.window.sides, planned.hypotheses.location
    extent = (-sides[0] / 2, sides[0] / 2, sides[1] / 2, -sides[1] / 2)
    low, high = min(perfect.min(), changed.min()), max(perfect.max(), changed.max())
    titles = shown.titles or planned.merit.titles
    panels = figure.subplots(1, 3)
    for axes, image, title in zip(panels[:2], (perfect, changed), titles, strict=True):
        drawn = axes.imshow(image, cmap="gray", extent=extent, vmin=low, vmax=high, interpolation="bicubic")
        axes.set_title(title)
    figure.colorbar(drawn, ax=panels[:2], label="share of the beam", shrink=0.85)
    span = max(float(np.abs(sigmas).max()), 1e-9)
    difference = panels[2].imshow(sigmas, cmap="RdBu_r", extent=extent, vmin=-span, vmax=span, interpolation="nearest")
    dose = option.assessment.dose
    panels[2].set_title("difference at " + (f"{dose:.2g} e/Å²" if math.isfinite(dose) else f"{DOSES[-1]:.0e} e/Å²"))
    figure.colorbar(difference, ax=panels[2], label="σ of a place", shrink=0.85)
    for axes in panels:
        axes.set_xlabel("x (Å)")
        axes.tick_params(colors=FAINT, labelcolor=INK)
    panels[0].set_ylabel(f"y (Å) about ({location[0]:.2f}, {location[1]:.2f})", fontsize=8)


def _summed(channels: np.ndarray) -> np.ndarray:
    """One image of all channels: all electrons that are counted."""
    return channels.sum(axis=0)


def _squared(channels: np.ndarray) -> np.ndarray:
    """One image of differences: of one channel as they are, of several the root of the sum of their squares."""
    return channels[0] if len(channels) == 1 else np.sqrt((channels**2).sum(axis=0))
