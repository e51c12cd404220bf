"""Small grey images in a terminal: two pixels to a character, by the upper half block."""

from collections.abc import Mapping

import numpy as np
from rich.table import Table
from rich.text import Text

LARGEST = 32
"""Pixels along a side at most; larger images are binned."""
SMALLEST = 16
"""Pixels along a side at least; smaller images are enlarged."""


def side_by_side(images: Mapping[str, np.ndarray]) -> Table:
    """``images`` [ny, nx] by name, all on one scale of grey, beside one another."""
    finite = np.concatenate([image[np.isfinite(image)].ravel() for image in images.values()])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    table = Table(box=None, pad_edge=False)
    for name in images:
        table.add_column(name, header_style="dim")
    table.add_row(*(picture(image, low, high) for image in images.values()))
    return table


def picture(image: np.ndarray, low: float, high: float) -> Text:
    """An image from black (``low``) to white (``high``); what is not a number is black."""
    grey = _grey(_resized(np.asarray(image, float)), low, high)
    if len(grey) % 2:
        grey = np.concatenate([grey, grey[-1:]])
    text = Text()
    for number, (upper, lower) in enumerate(zip(grey[::2], grey[1::2], strict=True)):
        if number:
            text.append("\n")
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append("\N{UPPER HALF BLOCK}", style=f"rgb({top},{top},{top}) on rgb({bottom},{bottom},{bottom})")
    return text


def _resized(image: np.ndarray) -> np.ndarray:
    largest = max(image.shape)
    if largest > LARGEST:
        factor = -(-largest // LARGEST)
        ny, nx = (max(size // factor, 1) for size in image.shape)
        cut = image[: ny * factor, : nx * factor]
        if min(image.shape) < factor:
            return cut[:: max(image.shape[0] // ny, 1), :: max(image.shape[1] // nx, 1)]
        return cut.reshape(ny, factor, nx, factor).mean(axis=(1, 3))
    factor = max(SMALLEST // largest, 1)
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def _grey(image: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (np.nan_to_num(image, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-300)
    return np.clip(np.round(255.0 * scaled), 0, 255).astype(int)
