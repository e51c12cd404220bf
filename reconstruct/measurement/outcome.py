"""How a measurement ends: four outcomes, the checks of a fit against its data, and the defects of an image that were left out or fitted.

A noise level that is fitted absorbs what a model misses, so a misfit of 1 says nothing by itself. A `FitCheck` compares the fit with something that it was not
free to absorb: data that were left out, the counting noise, or the whiteness of the residual.
"""

import dataclasses
import math
from typing import Literal

Outcome = Literal["determined", "several readings", "the model does not fit", "undetermined"]
DETERMINED: Outcome = "determined"
SEVERAL: Outcome = "several readings"
NO_FIT: Outcome = "the model does not fit"
UNDETERMINED: Outcome = "undetermined"


@dataclasses.dataclass(frozen=True)
class FitCheck:
    """One test of a fit: ``value`` of the statistic called ``name``, and the ``limit`` that a model which is right stays below.

    ``finding``: what the residual looks like and what that may be, used where the check fails; it names the cure. NaN fails.
    Inputs stand in it as "{mask}": `Wording.named` calls them as the user does. ``measured``: what the data say of a number that was
    stated, with its rms error.
    """

    name: str
    value: float
    limit: float
    finding: str
    measured: tuple[float, float] | None = None

    @property
    def passed(self) -> bool:
        """Whether the fit passes."""
        return math.isfinite(self.value) and self.value <= self.limit


@dataclasses.dataclass(frozen=True)
class Defect:
    """Something in the data that is not of the specimen: its ``kind`` ("hot pixels", "ring", "descan"), how many pixels, rows or the like it has (``count``;
    None where it is not counted), whether it was "masked", "fitted" or "equalised" (``treatment``), and a ``description`` in few words, numbers in units for
    people."""

    kind: str
    count: int | None
    treatment: Literal["masked", "fitted", "equalised"]
    description: str
