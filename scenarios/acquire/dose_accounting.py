"""The dose of a session: electrons spent by purpose, and electrons avoided."""

import dataclasses

from twin.image.microscope import electrons_per_pixel
from twin.records import Scan


@dataclasses.dataclass
class Ledger:
    """Electrons spent so far, by purpose (``alignment`` is part of the other three), electrons ``avoided`` by not measuring, and counts of
    decisions.
    """

    pixels: float = 0.0
    flyback: float = 0.0
    settle_dose: float = 0.0
    alignment: float = 0.0
    avoided: float = 0.0
    measured: int = 0
    simulated: int = 0
    audited: int = 0
    alignments: int = 0

    def add(self, pixels: float, flyback: float, settle_dose: float) -> None:
        """Add the electrons of one exposure."""
        self.pixels += pixels
        self.flyback += flyback
        self.settle_dose += settle_dose

    @property
    def spent(self) -> float:
        return self.pixels + self.flyback + self.settle_dose

    @property
    def saved(self) -> float:
        """Electrons saved compared with measuring every request without alignment images."""
        return self.avoided - self.alignment


def electrons_of(scan: Scan) -> float:
    """Expected electrons of one frame, with flyback and 20 ms of unblanked beam before the first pixel."""
    ny, nx = scan.shape
    current = electrons_per_pixel(scan) / scan.dwell
    return current * (ny * nx * scan.dwell + ny * scan.flyback + 0.02)
