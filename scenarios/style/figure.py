"""Figures in the style of all jobs, as bytes or as a self-contained ``data:`` address."""

import base64
import io
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

INK, FAINT, LINE, ORANGE = "#22303c", "#9aa7b2", "#0072b2", "#d55e00"
STYLE: dict[Any, Any] = {
    "font.size": 9.0, "font.family": "DejaVu Sans", "axes.edgecolor": FAINT, "axes.labelcolor": INK, "axes.titlesize": 9.5,
    "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.spines.top": False, "axes.spines.right": False,
    "text.color": INK, "xtick.color": INK, "ytick.color": INK, "legend.frameon": False, "svg.hashsalt": "emtwin",
}  # fmt: skip
GRID: dict[Any, Any] = {"axes.grid": True, "grid.color": "#e8ecef", "grid.linewidth": 0.7}
Painter = Callable[[Figure], None]
DPI = 150
QUALITIES = (88, 75, 60, 45, 30)
"""Qualities of a JPEG that are tried until it is small enough."""
_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg"}


def draw(
    width: float,
    height: float,
    paint: Painter,
    form: str = "svg",
    layout: Any = "constrained",
    grid: bool = True,
    limit: int | None = None,
) -> str:
    """`drawn` as a ``data:`` address."""
    return data_address(drawn(width, height, paint, form, layout, grid, limit))


def drawn(
    width: float,
    height: float,
    paint: Painter,
    form: str = "svg",
    layout: Any = "constrained",
    grid: bool = True,
    limit: int | None = None,
) -> bytes:
    """A figure of ``width`` x ``height`` inches painted by ``paint``: "svg", "png" or "jpg"; without ``layout`` in a third of the time.

    With a ``limit`` in bytes, a PNG that is larger is made as a JPEG, and a JPEG again at lower qualities; the last one is taken as it is.
    """
    with matplotlib.rc_context({**STYLE, **GRID} if grid else STYLE):
        figure = Figure(figsize=(width, height), layout=layout)
        paint(figure)
        content = _saved(figure, form, QUALITIES[0])
        for quality in QUALITIES if limit is not None and form != "svg" else ():
            if len(content) <= (limit or 0):
                break
            content = _saved(figure, "jpg", quality)
    return content


def _saved(figure: Figure, form: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None}, "png": {"Software": None}}.get(form)
    more: dict[str, Any] = {"pil_kwargs": {"quality": quality, "optimize": True}} if form == "jpg" else {}
    figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata, **more)
    return buffer.getvalue()


def data_address(content: bytes) -> str:
    """The bytes of a PNG, JPEG or SVG as a ``data:`` address."""
    kind = _TYPES.get(content[:4], "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
