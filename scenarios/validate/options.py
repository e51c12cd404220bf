"""Options of ``emtwin validate``, checked before anything is read."""

import dataclasses
import math
from pathlib import Path

from reconstruct.measurement.recorded.known import MM
from reconstruct.validation.data.options import Known
from reconstruct.validation.recording import FALSE_ALARMS
from scenarios.io.atomic_output import new_file
from scenarios.io.errors import BadInput

MAX_SPHERICAL = 50.0
"""Millimetres."""


@dataclasses.dataclass(frozen=True)
class ValidateOptions:
    """``paths`` of files and folders; what is ``known`` of the specimen; ``false_alarms`` a file; ``page`` (HTML) to make, which must not exist;
    ``sensors``: logs and session folders, with the ``columns`` (a column table), time ``zone`` and sensor ``table`` of them all. ``follow`` files as they land
    for ``duration`` (s); write a ``sidecar`` of each file, and a ``corrected`` copy of one."""

    paths: tuple[Path, ...]
    known: Known = dataclasses.field(default_factory=Known)
    false_alarms: float = FALSE_ALARMS
    page: Path | None = None
    sensors: tuple[Path, ...] = ()
    columns: Path | None = None
    zone: str | None = None
    table: str | None = None
    follow: bool = False
    duration: float | None = None
    sidecar: bool = False
    corrected: Path | None = None

    def check(self) -> None:
        """BadInput for what cannot be."""
        for option, value, highest in (
            ("--false-alarms-percent", self.false_alarms, 0.5),
            ("--cell-error-percent", self.known.cell_error, 0.5),
        ):
            if not (math.isfinite(value) and 0.0 < value < highest):
                problem = f"is no rate between 0 and {100 * highest:g} %"
                raise BadInput(f"{option} {100 * value:g}", problem, f"Give it in per cent, such as {option} 1.")
        for option, given in (("--columns", self.columns), ("--log-zone", self.zone), ("--table", self.table)):
            if given is not None and not self.sensors:
                raise BadInput(f"{option} {given}", "is of no log", "Give --sensors with it.")
        if self.duration is not None and not (self.follow and math.isfinite(self.duration) and self.duration > 0.0):
            raise BadInput(
                f"--duration {self.duration:g}", "is no time to follow for", "Give seconds above 0, with --follow."
            )
        if self.corrected is not None and self.follow:
            raise BadInput(f"--write-corrected {self.corrected}", "is of one file", "Leave --follow out.")
        if self.sidecar or self.corrected is not None:
            from scenarios.export.sidecar import check_beside

            check_beside(self.paths, self.sidecar, self.corrected)
        for path in (*self.paths, *self.sensors):
            if not path.exists():
                raise BadInput(str(path), "is not there", "Check the path.")
        if self.page is not None:
            if self.page.suffix.lower() not in (".html", ".htm"):
                raise BadInput(f"--out {self.page}", "is no .html", "Name a file that ends in .html.")
            new_file(self.page)


def known_of(
    specimen: str | None,
    zone: str | None,
    x: str | None,
    cell_error_percent: float,
    spherical_mm: float | None,
    thorough: bool,
) -> Known:
    """What the options say of specimen and lens."""
    if specimen is None and (zone is not None or x is not None):
        raise BadInput("--zone" if zone is not None else "--x", "is of no specimen", "Give --specimen with it.")
    if spherical_mm is not None and not abs(spherical_mm) <= MAX_SPHERICAL:
        raise BadInput(f"--cs-mm {spherical_mm:g}", "is none of a lens", "Give millimetres, such as --cs-mm 1.2.")
    spherical = None if spherical_mm is None else spherical_mm * MM
    return Known(specimen, zone, x, cell_error_percent / 100.0, spherical, thorough)
