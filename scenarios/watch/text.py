"""Words, colours and small tables shared by the screen and the summary of ``emtwin watch``."""

import datetime
import math
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from twin.units import value_text

BARS = "▁▂▃▄▅▆▇█"
# blue, yellow and magenta stay apart for every kind of colour vision; the words say it too
STYLES = {"ok": "bright_blue", "held": "bright_blue", "waiting": "dim", "no evidence": "dim", "silent": "yellow"}
BAD = "bold bright_magenta"


def event_words(item: dict[str, Any]) -> str:
    """An event as a short text; ``item`` as under ``--json``."""
    size = ""
    if item["unit"] == "sigma":
        size = f", {item['size']:.1f} σ"
    elif item["unit"]:
        size = f", {value_text(item['size'], item['unit'])}"
    return f"{item['kind'].replace('_', ' ')}: {item['name']}{size}" + (f", {item['note']}" if item["note"] else "")


def spark(values: np.ndarray, band: float, width: int) -> str:
    """A sparkline; full height is the range of the values, or their 90 % ``band`` if wider, so that an insignificant change looks flat."""
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    chosen = values[np.linspace(0, len(values) - 1, min(width, len(values))).round().astype(int)]
    middle = 0.5 * (chosen.min() + chosen.max())
    size = max(float(np.ptp(chosen)), 2 * band if math.isfinite(band) else 0.0, 1e-300)
    level = np.clip(np.round((chosen - middle) / size * (len(BARS) - 1) + (len(BARS) - 1) / 2), 0, len(BARS) - 1)
    return "".join(BARS[int(height)] for height in level)


def headed(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(
            head.lstrip(">"), justify="right" if head.startswith(">") else "left", no_wrap=True, overflow="ellipsis"
        )
    return table


def plain(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def safe(text: str) -> str:
    return escape(plain(text))


def clock(time: int) -> str:
    return datetime.datetime.fromtimestamp(time / 1e9, datetime.UTC).strftime("%H:%M:%S")
