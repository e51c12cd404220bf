"""What is asked of a map by exposures, what an exposure costs, and which limits end it."""

import math
from dataclasses import dataclass

from learn.mapping.dosed.choice import Prices
from learn.mapping.loop import first_pixels
from twin.errors import BadInput

MOST_PIXELS = 2500
"""Pixels of an area: with more the instrument would wait for each choice."""
LADDER = (1, 2, 4, 8, 16, 32, 64)
"""Dwell times that are weighed, in shortest ones."""


@dataclass(frozen=True)
class DosedPlan:
    """A map whose standard deviation is to be ``asked``: in the quantity's unit, or (``relative``) as a share of the map's mean; root mean square over the
    area, or ``everywhere``.

    ``dwell`` is the shortest dwell time and ``visit`` what going to a pixel takes, in seconds, the beam being on; ``current`` in electrons per
    second. No pixel gets more than ``most`` shortest dwell times and the session takes no more than ``seconds``, where these are given.
    ``audit_share``: share of the exposures at random pixels. ``readout``: noise of a channel in electrons, rms, of every exposure.
    """

    asked: float
    relative: bool
    dwell: float
    visit: float
    current: float
    everywhere: bool = False
    most: float | None = None
    seconds: float | None = None
    audit_share: float = 0.1
    seed: int = 0
    readout: float = 0.0

    @property
    def electrons(self) -> float:
        """Electrons of the shortest dwell time."""
        return self.current * self.dwell

    @property
    def prices(self) -> Prices:
        """Electrons of an exposure. As the beam is always on, seconds are in proportion."""
        return Prices(self.electrons, self.current * self.visit)

    @property
    def dwells(self) -> tuple[int, ...]:
        """Dwell times that may be used."""
        return tuple(each for each in LADDER if self.most is None or each <= self.most)


def check_dosed(plan: DosedPlan, shape: tuple[int, int], label: str = "area") -> None:
    """BadInput for a plan that cannot be followed on an area of ``shape``, before anything is exposed."""
    count = shape[0] * shape[1]
    if count > MOST_PIXELS:
        problem = f"has {shape[0]} x {shape[1]} = {count} pixels, and a map may have {MOST_PIXELS}"
        raise BadInput(label, problem, "Ask for fewer, larger pixels.")
    first = first_pixels(count)
    if count <= first:
        raise BadInput(label, f"has {count} pixels, of which {first} are exposed at first", "Ask for more pixels.")
    if not (math.isfinite(plan.asked) and plan.asked > 0.0):
        raise BadInput("asked.std", f"{plan.asked!r} is no standard deviation", "Give a number above 0.")
    if not plan.dwells:
        problem = f"allows {plan.most:.3g} shortest dwell times at a pixel: less than one exposure"
        raise BadInput("limits.dose", problem, "Allow more electrons per area, or shorter exposures.")
