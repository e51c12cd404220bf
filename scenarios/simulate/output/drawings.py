"""Pictures of simulated signals, in the house style of `drawings`: images with a scale bar in length, patterns with angles as axes.

Patterns span orders of magnitude: they are drawn by the fourth root of their intensity, and the colour bar says so.
"""

import base64
import textwrap
from collections.abc import Callable

import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from scenarios.style.figure import draw
from scenarios.style.images import scale_bar
from twin.simulation.recording import Axis, Recording

Picture = tuple[float, float, Callable[[Figure], None]]
"""Width and height in inches, and what paints it."""
CHARACTERS = 14
"""Characters of a caption in an inch."""
MOST = 6
"""Images of a series, channels of a detector, or configurations that are drawn at most."""


def picture(recording: Recording, signal: str, name: str, caption: str = "") -> bytes:
    """A PNG of ``recording``, one of the signals of `twin.simulation.plan.tables.SIGNALS`, with a line of text under it."""
    painted = {"exit-wave": _exit_wave, "hrtem": _images, "stem": _images, "4d-stem": _scan_of_patterns}
    if recording.patterns is not None:
        painted["stem"] = _images_and_patterns
    width, height, paint = painted.get(signal, _one_pattern)(recording, name)

    def with_caption(figure: Figure) -> None:
        paint(figure)
        if caption:
            words = textwrap.fill(caption, int(width * CHARACTERS))
            figure.supxlabel(words, fontsize="small", color="0.3")

    lines = len(textwrap.wrap(caption, int(width * CHARACTERS)))
    return base64.b64decode(draw(width, height + 0.2 * lines, with_caption, "png").partition(",")[2])


def _images(recording: Recording, name: str) -> Picture:
    """Images side by side, each with a colour bar of its own."""
    rows, columns = recording.axes[-2:]
    stack = recording.data.reshape(-1, rows.size, columns.size)[:MOST]
    titles = _titles(recording, name, len(stack))

    def paint(figure: Figure) -> None:
        for axes, image, title in zip(
            np.ravel(figure.subplots(*_rows_of(len(stack)), squeeze=False)), stack, titles, strict=False
        ):
            _image(figure, axes, image, rows, columns, title, recording.unit)
        _hide_rest(figure, len(stack))

    down, across = _rows_of(len(stack))
    tall = rows.size * rows.scale / (columns.size * columns.scale)
    return 3.6 * across, (2.9 * min(max(tall, 0.4), 2.0) + 0.5) * down, paint


def _images_and_patterns(recording: Recording, name: str) -> Picture:
    """Images, then the mean pattern, and those where the first channel is darkest and brightest."""
    rows, columns = recording.axes[-2:]
    stack = recording.data[:MOST]
    titles, patterns = _titles(recording, name, len(stack)), recording.patterns
    assert patterns is not None
    shown = [("mean pattern", patterns.data.mean(axis=(0, 1), dtype=np.float64))]
    for most, index in (("darkest", np.argmin(stack[0])), ("brightest", np.argmax(stack[0]))):
        row, column = np.unravel_index(int(index), stack[0].shape)
        shown.append((f"{most} in {titles[0]}", patterns.data[row, column]))

    def paint(figure: Figure) -> None:
        above, below = np.ravel(figure.subfigures(2, 1, squeeze=False))
        for axes, image, title in zip(above.subplots(1, len(stack), squeeze=False)[0], stack, titles, strict=True):
            _image(above, axes, image, rows, columns, title, recording.unit)
        for axes, (title, values) in zip(below.subplots(1, len(shown)), shown, strict=True):
            _pattern(below, axes, values, patterns.axes[-2:], title, patterns.unit)

    return 3.8 * max(len(stack), len(shown)), 7.0, paint


def _titles(recording: Recording, name: str, count: int) -> list[str]:
    if recording.data.ndim == 2:
        return [name]
    first = recording.axes[0]
    named = first.labels or tuple(
        f"{first.name} {value:g} {'Å' if first.unit == 'angstrom' else first.unit}" for value in first.values()
    )
    return [named[index] for index in range(count)]


def _exit_wave(recording: Recording, name: str) -> Picture:
    """Amplitude and phase of the first configuration's wave."""
    rows, columns = recording.axes[-2:]
    wave = recording.data[0]

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _image(figure, left, np.abs(wave), rows, columns, f"{name}: amplitude", "1 in vacuum")
        _image(
            figure,
            right,
            np.angle(wave * np.exp(-1j * np.angle(wave.mean()))),
            rows,
            columns,
            "phase about its mean",
            "rad",
            "twilight",
        )

    return 7.2, 3.4, paint


def _one_pattern(recording: Recording, name: str) -> Picture:
    def paint(figure: Figure) -> None:
        _pattern(figure, figure.subplots(), recording.data, recording.axes[-2:], name, recording.unit)

    return 4.6, 3.9, paint


def _scan_of_patterns(recording: Recording, name: str) -> Picture:
    """The mean pattern, the pattern at the brightest place of the dark field, and the images of both halves of the angles."""
    data, angles = recording.data, recording.axes[-2:]
    rows, columns = recording.axes[:2]
    mean = data.mean(axis=(0, 1), dtype=np.float64)
    theta = np.hypot(angles[0].values()[:, None], angles[1].values()[None, :])
    # the disc of the direct beam, seen in the mean pattern: where it falls to half of what it is inside
    bright = mean > 0.5 * np.median(mean[mean > 0.2 * mean.max()])
    edge = float(theta[bright].max()) if bright.any() else float(theta.max())
    inner = np.einsum("ijkl,kl->ij", data, (theta <= edge).astype(data.dtype))
    outer = np.einsum("ijkl,kl->ij", data, (theta > edge).astype(data.dtype))
    row, column = (int(index) for index in np.unravel_index(int(np.argmax(outer)), outer.shape))
    at = f"at x = {columns.values()[column]:.2f}, y = {rows.values()[row]:.2f} Å"

    def paint(figure: Figure) -> None:
        panels = np.ravel(figure.subplots(2, 2))
        _pattern(figure, panels[0], mean, angles, f"{name}: mean pattern", recording.unit)
        _pattern(figure, panels[1], data[row, column], angles, at, recording.unit)
        _image(figure, panels[2], inner, rows, columns, f"within {edge:.1f} mrad", recording.unit)
        _image(figure, panels[3], outer, rows, columns, f"beyond {edge:.1f} mrad", recording.unit)

    return 8.4, 7.0, paint


def _image(
    figure: Figure | SubFigure,
    axes: Axes,
    image: np.ndarray,
    rows: Axis,
    columns: Axis,
    title: str,
    unit: str,
    colours: str = "cividis",
) -> None:
    """An image with y down, coordinates in angstrom, a scale bar and a colour bar."""
    factor, shown = (
        (100.0, "% of beam") if unit == "fraction of the beam" else (1.0, "1 in vacuum" if unit == "1" else unit)
    )
    half_x, half_y = 0.5 * columns.scale, 0.5 * rows.scale
    x, y = columns.values(), rows.values()
    extent = (x[0] - half_x, x[-1] + half_x, y[-1] + half_y, y[0] - half_y)
    axes.grid(False)
    drawn = axes.imshow(factor * image, extent=extent, interpolation="nearest", cmap=colours)
    if unit == "rad":
        drawn.set_clim(-np.pi, np.pi)  # the colours close a circle
    bar = axes.inset_axes((0.0, 0.0, 1.0, 1.0))
    width, height = columns.size * columns.scale, rows.size * rows.scale
    bar.set(xlim=(0.0, width), ylim=(height, 0.0))
    bar.axis("off")
    scale_bar(bar, width, height)
    axes.set(title=title, xlabel="x (Å)", ylabel="y (Å)")
    figure.colorbar(drawn, ax=axes, shrink=0.85, label=shown)


def _pattern(
    figure: Figure | SubFigure, axes: Axes, values: np.ndarray, angles: tuple[Axis, ...], title: str, unit: str
) -> None:
    """A diffraction pattern with angles in mrad, by the fourth root of its intensity."""
    rows, columns = angles
    x, y = columns.values(), rows.values()
    half_x, half_y = 0.5 * columns.scale, 0.5 * rows.scale
    norm = matplotlib.colors.PowerNorm(0.25, vmin=0.0, vmax=max(float(values.max()), 1e-30))
    axes.grid(False)
    drawn = axes.imshow(
        np.maximum(values, 0.0), extent=(x[0] - half_x, x[-1] + half_x, y[-1] + half_y, y[0] - half_y),
        interpolation="nearest", cmap="inferno", norm=norm,
    )  # fmt: skip
    axes.set(title=title, xlabel=r"$\theta_x$ (mrad)", ylabel=r"$\theta_y$ (mrad)")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85, label=f"{unit} per pixel (fourth-root scale)")
    bar.ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))


def _rows_of(count: int) -> tuple[int, int]:
    """Rows and columns of panels."""
    across = min(count, 3)
    return -(-count // across), across


def _hide_rest(figure: Figure, count: int) -> None:
    down, across = _rows_of(count)
    for axes in figure.axes[count : down * across]:
        axes.set_visible(False)
