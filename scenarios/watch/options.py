"""Options of ``emtwin watch``, checked before heavy imports."""

import dataclasses
import math
from pathlib import Path

from scenarios.io.errors import BadInput

FORMS = (".png", ".svg")


@dataclasses.dataclass(frozen=True)
class WatchOptions:
    """Options: ``seconds`` (wall clock) after which to stop, ``speed`` relative to the recording, ``out`` for the figure.

    ``columns`` and ``log_zone`` are of a log of sensors: its column table, and the time zone of its clock.
    """

    source: str
    table: str | None = None
    seconds: float | None = None
    speed: float | None = None
    out: Path | None = None
    columns: Path | None = None
    log_zone: str | None = None

    def check(self) -> None:
        """BadInput for options that cannot be used."""
        for option, value in (("--duration", self.seconds), ("--speed", self.speed)):
            if value is not None and not 0 < value < math.inf:
                raise BadInput(f"{option} {value}", "is not a number above zero", "Give one, or leave it out.")
        for option, given in (("--columns", self.columns), ("--log-zone", self.log_zone)):
            if given is not None and ("://" in self.source or Path(self.source).is_dir()):
                raise BadInput(f"{option} {given}", "is of a log, and this is none", "Leave it out.")
        out = self.out
        if out is None:
            return
        if out.suffix.lower() not in FORMS:
            raise BadInput(f"--out {out}", "is no figure that can be drawn", "Name a .png or .svg file.")
        if out.exists() or out.is_symlink():
            raise BadInput(f"--out {out}", "exists already", "Name a file that does not exist.")
        if not out.resolve().parent.is_dir():
            raise BadInput(f"--out {out}", f"{out.parent} is not a folder", "Name a file in a folder that exists.")
