"""Evidence about the fields of a file: measured or computed combinations of them, with covariance, and what they do not depend on.

A statement is one combination. With ``form`` "log" it is the logarithm of a product of powers (``terms``: {"convergence_semiangle": 1, "pixel.angle.x": -1} is
the radius of a disk in pixels); with "linear" a sum with coefficients; with "circle" such a sum, known up to ``period``. So a recorded
value, an arithmetic rule and a sensor's reading are one type, and a fault is a change of fields that shows in all statements on them.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from reconstruct.measurement.measurement import Component, merge_components

Form = Literal["log", "linear", "circle"]
Source = Literal["data", "lenses", "sensors", "session", "arithmetic"]


@dataclasses.dataclass(frozen=True)
class Statement:
    """One combination ``terms`` {field: power or coefficient} that evidence says something about; ``label`` names it, ``period`` is of a circle."""

    label: str
    terms: Mapping[str, float]
    form: Form = "log"
    period: float = 0.0

    def of(self, values: Mapping[str, float]) -> float:
        """The combination for ``values`` of the fields in inside units; NaN where a field is missing, or no logarithm exists."""
        total = 0.0
        for name, power in self.terms.items():
            value = values.get(name, math.nan)
            if self.form == "log":
                if not value > 0.0:
                    return math.nan
                value = math.log(value)
            total += power * value
        return total


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a finding is drawn from: ``kind`` is "fit" (a `FitPlot`), "curve", "track" or "image"; ``content`` what that kind needs, ``caption`` a sentence."""

    kind: str
    content: Any
    caption: str


@dataclasses.dataclass(frozen=True)
class Since:
    """The claim of ``field`` is not what the evidence says now, but was earlier: last at ``time`` (ns, of a clock in ``zone``), known to ``error`` (ns, rms).

    ``density`` (per inside unit of the field) is how probable the claim is if it is the true value of an earlier time that nobody wrote anew.
    """

    field: str
    time: int
    error: int
    density: float
    zone: Literal["UTC", "local"] = "UTC"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What ``name`` (a measurement, a sensor, a rule) says of ``statements`` [m]: a mixture of ``components`` with mean [m] and covariance [m, m].

    ``source`` is the class of evidence; ``independent_of`` names what it does not rest on ("high tension", "lens settings"); ``rests_on`` the fields of the
    file that it took as claimed, with the sensitivity in the statements' terms left out: their faults are faults of this evidence too. ``words`` says in one
    sentence what was found, ``pictures`` show it. ``tolerance`` [m]: half widths of rounding within which a statement holds whatever its covariance.
    ``since``: the evidence goes back in time, and the claim that it refutes was true then; it is no ground for a finding by itself.
    """

    name: str
    source: Source
    statements: tuple[Statement, ...]
    components: tuple[Component, ...]
    words: str
    independent_of: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tolerance: tuple[float, ...] = ()
    since: Since | None = None

    def __post_init__(self):
        m = len(self.statements)
        if not m or not self.components:
            raise ValueError(f"evidence {self.name!r} makes no statement")
        for part in self.components:
            if part.mean.shape != (m,) or part.covariance.shape != (m, m):
                raise ValueError(
                    f"evidence {self.name!r} has {m} statements, mean {part.mean.shape} and covariance {part.covariance.shape}"
                )
            if not (
                np.isfinite(part.mean).all()
                and np.isfinite(part.covariance).all()
                and (np.diag(part.covariance) > 0).all()
            ):
                raise ValueError(f"evidence {self.name!r} must be finite with positive variances")

    @property
    def readings(self) -> list[Component]:
        """The mixture with components about one value taken together, likeliest first: components of one mean are the tails of one reading."""
        return merge_components(self.components)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that it says something about."""
        return tuple(dict.fromkeys(name for statement in self.statements for name in statement.terms))


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """A claim that cannot be: outside of what exists, or ruled out by the file's own statements. ``field`` is wrong whatever else holds.

    ``cause`` names the class of fault (`faults.CAUSES`), "" where several are possible; ``status`` "stale" says that the value was true at another time,
    up to ``since`` (ns, of a clock in ``since_zone``).
    ``weighed``: the value is a number that evidence can be held against all the same, to find the cause.
    """

    field: str
    status: Literal["disagrees", "stale"]
    words: str
    cause: str = ""
    suggested: float | None = None
    error: float | None = None
    source: Source = "arithmetic"
    since: int | None = None
    since_zone: Literal["UTC", "local"] = "UTC"
    pictures: tuple[Picture, ...] = ()
    weighed: bool = False


@dataclasses.dataclass(frozen=True)
class Gap:
    """Evidence that is not there: for ``fields``, ``why`` not, and what would ``verify`` them."""

    fields: tuple[str, ...]
    why: str
    verify: str = ""


def gaussian(values: list[float], errors: list[float]) -> tuple[Component, ...]:
    """One component with independent rms ``errors``."""
    return (Component(1.0, np.asarray(values, np.float64), np.diag(np.square(np.asarray(errors, np.float64)))),)
