"""The dose of a session: electrons spent by cause and by part of the exposure, and electrons avoided."""

import dataclasses
from collections.abc import Mapping

import msgspec
import numpy as np

from twin.records import Exposure, Scan

CAUSES = {
    "measured": "requests measured",
    "audits": "audits",
    "arrival": "alignment at arrival",
    "ambiguous": "more while the place is ambiguous",
    "before_requests": "alignment before requests",
    "question": "images of a question",
    "abandoned": "abandoned by an interruption",
}
"""Why a frame was recorded, and the text for it. Between frames, and while the stage moves, the beam is blanked and costs nothing."""
ALIGNMENT = ("arrival", "ambiguous", "before_requests", "question")
"""The causes of frames that answer no request."""
PARTS = {"pixels": "pixels", "flyback": "flyback", "settle_dose": "settling beam"}
"""Parts of an `Exposure`, and the text for each."""

SHARES_OF_DOSE = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Doses at which measuring every request is considered, in units of that of a request."""


def empty_causes() -> dict[str, dict[str, float]]:
    """Electrons by cause and part, all 0."""
    return {cause: dict.fromkeys(PARTS, 0.0) for cause in CAUSES}


@dataclasses.dataclass
class Ledger:
    """Electrons spent so far ``by_cause`` (of `CAUSES`) and part (of `PARTS`), electrons ``avoided`` by not measuring, and counts of decisions.

    ``expected``: relative errors of the answers as the twin expected them, summed over the requests; ``all_measured``: the same had every request been
    measured at each of `SHARES_OF_DOSE`.
    """

    by_cause: dict[str, dict[str, float]] = dataclasses.field(default_factory=empty_causes)
    avoided: float = 0.0
    expected: float = 0.0
    all_measured: list[float] = dataclasses.field(default_factory=lambda: [0.0] * len(SHARES_OF_DOSE))
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
    def dose_for_same_error(self) -> float | None:
        """Share of the dose at which measuring every request is expected to have the errors of this session; None if outside `SHARES_OF_DOSE`.

        Log-log interpolation. Both errors are the twin's expectation from linearised images.
        """
        errors = np.array(self.all_measured)
        if not self.expected > 0 or not (errors > 0).all() or not errors.min() <= self.expected <= errors.max():
            return None
        order = np.argsort(errors)
        return float(np.exp(np.interp(np.log(self.expected), np.log(errors[order]), np.log(SHARES_OF_DOSE)[order])))

    @property
    def saved(self) -> float:
        """Electrons saved compared with measuring every request without alignment images."""
        return self.avoided - self.alignment


def dose_of_measuring_all(ledger: Ledger, scan: Scan, requests: int) -> dict[str, float | None]:
    """Electrons of measuring every request: with the session's ``scan``; with the beam on between the pixels; and with the exposure changed, in
    `SHARES_OF_DOSE`, until the twin expects the errors of this session (None if it cannot say).

    Where the beam cannot be blanked, an exposure changes by its dwell: flyback and settling stay.
    """
    share, cost = ledger.dose_for_same_error, electrons_of(scan)
    pixels = electrons_of(msgspec.structs.replace(scan, blanked=True))
    return {
        "same_scan": requests * cost,
        "unblanked": requests * electrons_of(msgspec.structs.replace(scan, blanked=False)),
        "same_error": None if share is None else requests * (cost + (share - 1.0) * pixels),
    }


def electrons_of(scan: Scan) -> float:
    """Expected electrons of one frame; unless it is blanked, with flyback and 20 ms of beam before the first pixel."""
    ny, nx = scan.shape
    current = scan.dose * scan.pixel**2 / scan.dwell
    idle = 0.0 if scan.blanked else ny * scan.flyback + 0.02
    return current * (ny * nx * scan.dwell + idle)
