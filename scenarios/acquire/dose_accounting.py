"""The dose of a session: electrons spent by cause and by part of the exposure, and electrons avoided."""

import dataclasses
from collections.abc import Mapping

from twin.records import Exposure, Scan

CAUSES = {
    "measured": "requests measured",
    "audits": "audits",
    "arrival": "alignment at arrival",
    "ambiguous": "more while the place is ambiguous",
    "before_requests": "alignment before requests",
    "abandoned": "abandoned by an interruption",
}
"""Why a frame was recorded, and the text for it. Between frames, and while the stage moves, the beam is blanked and costs nothing."""
ALIGNMENT = ("arrival", "ambiguous", "before_requests")
"""The causes of frames that answer no request."""
PARTS = {"pixels": "pixels", "flyback": "flyback", "settle_dose": "settling beam"}
"""Parts of an `Exposure`, and the text for each."""


def empty_causes() -> dict[str, dict[str, float]]:
    """Electrons by cause and part, all 0."""
    return {cause: dict.fromkeys(PARTS, 0.0) for cause in CAUSES}


@dataclasses.dataclass
class Ledger:
    """Electrons spent so far ``by_cause`` (of `CAUSES`) and part (of `PARTS`), electrons ``avoided`` by not measuring, and counts of decisions."""

    by_cause: dict[str, dict[str, float]] = dataclasses.field(default_factory=empty_causes)
    avoided: float = 0.0
    measured: int = 0
    simulated: int = 0
    audited: int = 0
    alignments: int = 0

    def add(self, cause: str, exposure: Exposure | Mapping[str, float]) -> None:
        """Add the electrons of one exposure; KeyError for a cause that is not among `CAUSES`."""
        for part in PARTS:
            self.by_cause[cause][part] += exposure[part] if isinstance(exposure, Mapping) else getattr(exposure, part)

    @property
    def by_part(self) -> dict[str, float]:
        """Electrons of each of `PARTS`, of all causes."""
        return {part: sum(parts[part] for parts in self.by_cause.values()) for part in PARTS}

    def cause(self, name: str) -> float:
        """Electrons of one of `CAUSES`, all parts."""
        return sum(self.by_cause[name].values())

    @property
    def alignment(self) -> float:
        """Electrons of frames that answer no request."""
        return sum(map(self.cause, ALIGNMENT))

    @property
    def spent(self) -> float:
        return sum(map(self.cause, CAUSES))

    @property
    def saved(self) -> float:
        """Electrons saved compared with measuring every request without alignment images."""
        return self.avoided - self.alignment


def electrons_of(scan: Scan) -> float:
    """Expected electrons of one frame; unless it is blanked, with flyback and 20 ms of beam before the first pixel."""
    ny, nx = scan.shape
    current = scan.dose * scan.pixel**2 / scan.dwell
    idle = 0.0 if scan.blanked else ny * scan.flyback + 0.02
    return current * (ny * nx * scan.dwell + idle)
