"""Options of ``emtwin watch``, checked before heavy imports."""

import dataclasses
import math
from pathlib import Path

from scenarios.io.errors import BadInput

FORMS = (".png", ".svg")


@dataclasses.dataclass(frozen=True)
class WatchOptions:
    """Options: ``seconds`` (wall clock) after which to stop, ``speed`` relative to the recording, ``out`` for the figure."""

    source: str
    table: str | None = None
    seconds: float | None = None
    speed: float | None = None
    out: Path | None = None

    def check(self) -> None:
        """BadInput for options that cannot be used."""
        for option, value in (("--duration", self.seconds), ("--speed", self.speed)):
            if value is not None and not 0 < value < math.inf:
                raise BadInput(f"{option} {value}", "is not a number above zero", "Give one, or leave it out.")
        out = self.out
        if out is None:
            return
        if out.suffix.lower() not in FORMS:
            raise BadInput(f"--out {out}", "is no figure that can be drawn", "Name a .png or .svg file.")
        if out.exists() or out.is_symlink():
            raise BadInput(f"--out {out}", "exists already", "Name a file that does not exist.")
        if not out.resolve().parent.is_dir():
            raise BadInput(f"--out {out}", f"{out.parent} is not a folder", "Name a file in a folder that exists.")
