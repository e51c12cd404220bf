"""Pictures of simulated energy-loss spectra: one recording, what is expected, its parts, and the edges by name."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scenarios.simulate.output.drawings import CHARACTERS
from scenarios.style.figure import FAINT, INK, LINE, ORANGE, drawn
from twin.eels.spectrum import Edge
from twin.simulation.spectrum.run import SimulatedSpectrum, caption_of

COLOURS = (ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#5b5ea6", "#7f7f7f")
LEAST = 2e-3
"""Share of the largest expected value that an edge must reach to be drawn."""
DECADES = 6.0
"""Decades of a spectrum with its zero loss that are drawn."""
CROWDED = 0.035
"""Share of the width within which two labels would stand on each other."""


def spectrum_picture(made: SimulatedSpectrum, name: str) -> bytes:
    """A PNG of a spectrum (of a spectrum image: its mean, and the image of its counts)."""
    image = made.recording.data.ndim == 3
    width, height = 8.4, 8.2 if image else 5.6
    caption = textwrap.fill(caption_of(made.ready), int(width * CHARACTERS))

    def paint(figure: Figure) -> None:
        panels = figure.subplots(3 if image else 2, 1, height_ratios=(3, 2, 2.4) if image else (3, 2))
        _whole(panels[0], made, name)
        _parts(panels[1], made)
        if image:
            _map(figure, panels[2], made)
        figure.supxlabel(caption, fontsize="small", color="0.3")

    return drawn(width, height, paint, "png")


def _zero_loss_in(made: SimulatedSpectrum) -> bool:
    return bool(made.energies[0] < 0.0)


def _whole(axes: Axes, made: SimulatedSpectrum, name: str) -> None:
    """One recording and what is expected, on a logarithmic scale where the zero loss is there."""
    data = np.asarray(made.recording.data, np.float64).reshape(-1, made.recording.data.shape[-1]).mean(axis=0)
    if made.ready.electrons is not None:
        axes.plot(
            made.energies,
            data,
            color=FAINT,
            linewidth=0.6,
            label="one recording" if made.recording.data.ndim == 1 else "mean of all",
        )
    axes.plot(made.energies, made.expected, color=LINE, linewidth=1.2, label="expected")
    unit = made.recording.unit
    axes.set(
        title=name, ylabel="share of the beam a channel" if unit == "fraction of the beam" else f"{unit} a channel"
    )
    if _zero_loss_in(made):
        top = float(made.expected.max())
        axes.set(
            yscale="log", ylim=(max(top * 10.0**-DECADES, float(made.expected[made.expected > 0.0].min())), 3.0 * top)
        )
    else:
        axes.set_ylim(0.0, 1.25 * float(max(made.expected.max(), data.max())))
    _name_edges(axes, made)
    axes.set_xlim(made.energies[0], made.energies[-1])
    axes.legend(loc="upper right", fontsize="small")


def _name_edges(axes: Axes, made: SimulatedSpectrum) -> None:
    """The edges that are seen, at their onsets; names that would stand on each other are set lower."""
    span, levels = made.energies[-1] - made.energies[0], [-np.inf] * 3
    for at in sorted(_seen(made), key=lambda at: at.onset):
        onset = at.onset + float(made.ready.values.get(f"{at.label}.shift", 0.0))
        level = next((index for index, last in enumerate(levels) if onset - last > CROWDED * span * 2.0), 0)
        levels[level] = onset
        axes.axvline(onset, color=INK, linewidth=0.7, linestyle=":", ymax=0.94 - 0.07 * level)
        axes.text(
            onset, 0.95 - 0.07 * level, at.label, transform=axes.get_xaxis_transform(), ha="center", fontsize="small"
        )


def _seen(made: SimulatedSpectrum) -> list[Edge]:
    """Edges with onsets on the axis."""
    return [at for at in made.ready.model.edges if made.energies[0] <= at.onset <= made.energies[-1]]


def _parts(axes: Axes, made: SimulatedSpectrum) -> None:
    """What the spectrum consists of: edges on the axis by themselves, all else as one below edges, zero loss and valence losses by themselves where they are
    seen."""
    seen = [at.label for at in _seen(made)]
    shown = {label: made.parts[label] for label in seen}
    rest = {name: part for name, part in made.parts.items() if name not in seen}
    if _zero_loss_in(made):
        shown = {name: rest.pop(name) for name in ("zero loss", "valence losses")} | shown
        axes.set_yscale("log")
        top = max(float(part.max()) for part in shown.values())
        axes.set_ylim(top * 10.0**-DECADES, 3.0 * top)
    else:
        axes.plot(made.energies, sum(rest.values()), color=FAINT, linewidth=1.0, label="valence losses and lower edges")
    for (name, part), colour in zip(shown.items(), COLOURS * 4, strict=False):
        if part.max() > LEAST * max(float(other.max()) for other in shown.values()) or _zero_loss_in(made):
            axes.plot(made.energies, np.maximum(part, 0.0), color=colour, linewidth=1.1, label=name)
    unit = "share" if made.recording.unit == "fraction of the beam" else made.recording.unit
    axes.set(
        title="its parts, each with its plural scattering",
        xlabel="energy loss (eV)",
        ylabel=f"{unit} a channel",
        xlim=(made.energies[0], made.energies[-1]),
    )
    axes.legend(loc="upper right", fontsize="small", ncols=2)


def _map(figure: Figure, axes: Axes, made: SimulatedSpectrum) -> None:
    """The image of all counts of a spectrum image."""
    rows, columns = made.recording.axes[:2]
    total = made.recording.data.sum(axis=-1, dtype=np.float64)
    axes.grid(False)
    half = 0.5 * columns.scale
    extent = (-half, columns.values()[-1] + half, rows.values()[-1] + half, -half)
    shown = axes.imshow(total, extent=extent, interpolation="nearest", cmap="cividis")
    axes.set(title="counts of each spectrum", xlabel="x (Å)", ylabel="y (Å)")
    figure.colorbar(shown, ax=axes, label=made.recording.unit)
