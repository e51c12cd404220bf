"""What the evidence of data may rest on besides the file."""

import dataclasses
from collections.abc import Callable
from typing import Any

CELL_ERROR = 2e-3
"""Relative rms by which a specimen's cell differs from that of its structure file: composition, strain, temperature (SrTiO3 between two literature values and
300 to 600 K: 0.2 %)."""


@dataclasses.dataclass(frozen=True)
class Known:
    """What the user knows: the ``specimen`` ("SrTiO3", the path of a CIF, a `twin.Sample`; None: unknown), its ``zone`` axis and direction ``x``, and the
    relative rms ``cell_error`` of its cell."""

    specimen: Any = None
    zone: Any = None
    x: Any = None
    cell_error: float = CELL_ERROR


Tell = Callable[[str, float | None], None]


def silent(text: str, share: float | None = None) -> None:
    """Nobody is told."""
