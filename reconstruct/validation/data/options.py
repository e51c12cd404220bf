"""What the evidence of data may rest on besides the file."""

import dataclasses
from collections.abc import Callable
from typing import Any

CELL_ERROR = 2e-3
"""Relative rms by which a specimen's cell differs from that of its structure file: composition, strain, temperature (SrTiO3 between two literature values and
300 to 600 K: 0.2 %)."""

AMORPHOUS = "amorphous"
"""What a specimen without a lattice is called."""


@dataclasses.dataclass(frozen=True)
class Known:
    """What the user knows: the ``specimen`` ("SrTiO3", the path of a CIF, a `twin.Sample`; None: unknown), its ``zone`` axis and direction ``x``, and the
    relative rms ``cell_error`` of its cell; "amorphous" is a film. ``spherical``: C30 of the lens in angstrom (0: corrected; None: as the file claims).
    ``thorough``: fits that take a minute each are made too."""

    specimen: Any = None
    zone: Any = None
    x: Any = None
    cell_error: float = CELL_ERROR
    spherical: float | None = None
    thorough: bool = False


Tell = Callable[[str, float | None], None]


def silent(text: str, share: float | None = None) -> None:
    """Nobody is told."""
