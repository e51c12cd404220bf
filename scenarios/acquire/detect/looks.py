"""How single columns are looked at: the patch about each, what was counted there, and a template at settings that are fitted anew as counts come in."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from learn.feasibility.columns.lattice import Fitted, Recorded
from scenarios.acquire.detect.evidence import Evidence, Next, State
from scenarios.acquire.detect.twin import STEPS, UNITS, FieldTwin, Patch
from twin.records import Scan

SETTLE = 1e-3
"""Second that the scan settles at a new place."""
REFITTED = 1.5
"""Growth of the electrons in all after which settings are fitted anew."""


class Looks:
    """Looks at the columns of a field that an ``overview`` (`Recorded`, of ``dose`` electrons per square angstrom) placed by a ``fit``. ``fixed``: each column
    gets the electrons of a test of one size at once."""

    def __init__(
        self, twin: FieldTwin, overview: Recorded, dose: float, fit: Fitted, patch: Patch, fixed: bool = False
    ):
        self.twin, self.overview, self.dose, self.fit, self.patch, self.fixed = twin, overview, dose, fit, patch, fixed
        self.origin = fit.origin
        self.evidence = Evidence(len(twin.wanted.places), patch, twin.wanted.errors)
        self.fitted_at = 0.0
        self._renew()

    def _renew(self) -> None:
        """A template at the settings as they are fitted now, and the state by it."""
        off = (self.origin[0] - self.fit.origin[0], self.origin[1] - self.fit.origin[1])
        self.template = self.twin.template(self.fit, self.patch, off, len(self.twin.wanted.places) - 1)
        self.state: State = self.evidence.state(self.template, self.gain)

    @property
    def gain(self) -> float:
        """Of the detector of the patch."""
        return self.fit.gains.get(self.patch.detector, 1.0)

    @property
    def decided(self) -> np.ndarray:
        """Verdicts [n]: 1, -1, or 0 where there is none; by a test of one size where each column gets the electrons of one."""
        if not self.fixed:
            return self.state.decided
        test = self.template.test(self.patch.electrons * self.gain)
        return np.where(self.state.ratios > test.threshold(self.twin.wanted.errors.false_alarms), 1, -1)

    @property
    def columns(self) -> np.ndarray:
        """Where the columns are looked at: [n, 2] (x, y) in angstrom."""
        return columns_at(self.twin, self.origin)

    @property
    def doses(self) -> np.ndarray:
        """Electrons per square angstrom on each column [n], the overview included."""
        return self.dose + self.evidence.units * self.evidence.unit / self.patch.area

    def next(self, dose: float | None) -> Next | None:
        """The next visit within a limit of ``dose``; None where no column is left that may be decided."""
        evidence = self.evidence
        limit = math.inf if dose is None else max(dose - self.dose, 0.0) * self.patch.area
        fresh = np.flatnonzero(evidence.units == 0)
        if len(fresh):
            steps = evidence.steps(self.template, self.gain, self.state.share)
            units = UNITS if self.fixed else STEPS[int(steps.step(np.array(0.0)))]
            return Next(int(fresh[0]), units, math.nan, 1.0) if units * evidence.unit <= limit else None
        return None if self.fixed else evidence.next(self.state, self.template, self.gain, limit)

    def limited(self, dose: float | None) -> bool:
        """Whether it is the limit of ``dose`` that keeps a column from more electrons."""
        open_columns = self.evidence.units[self.state.decided == 0]
        return dose is not None and bool(
            np.any(self.dose + (open_columns + 1) * self.evidence.unit / self.patch.area > dose)
        )

    def scan(self, visit: Next) -> Scan:
        """Of a visit."""
        patch, electrons = self.patch, visit.units * self.evidence.unit
        dwell = electrons / (patch.current * patch.lines * patch.width)
        flyback = self.twin.question.instrument.flyback
        return Scan(
            patch.detector, (patch.lines, patch.width), patch.pixel, dwell, flyback, SETTLE, electrons / patch.area
        )

    def add(self, visit: Next, counts: np.ndarray) -> None:
        """What was counted in a visit; settings are fitted anew where there is much more than before."""
        self.evidence.add(visit.column, visit.units, counts)
        self.state = self.evidence.state(self.template, self.gain)
        electrons = float(self.evidence.units.sum() * self.evidence.unit)
        if np.all(self.evidence.units) and electrons >= REFITTED * self.fitted_at:
            self.fitted_at = electrons
            self._refit()

    def _refit(self) -> None:
        """Settings by all that was counted so far."""
        electrons = self.evidence.units * self.evidence.unit
        changed = (self.state.posteriors * electrons * self.gain)[:, None] * self.template.change
        count = len(self.patch.places)
        summed = Recorded(
            self.patch.detector, self.patch.places + np.array(self.origin), (self.evidence.counts - changed).sum(0),
            np.full(count, electrons.sum() / count), True,
        )  # fmt: skip
        self.fit = self.twin.lattice.fitted([self.overview, summed], self.fit.origin, self.fit)
        self._renew()

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain values and arrays of which `restore` makes the same."""
        values = {
            "patch": self.patch._asdict(),
            "origin": list(self.origin),
            "fit": plain_fit(self.fit),
            "fitted_at": self.fitted_at,
        }
        return values, {
            "column_counts": self.evidence.counts,
            "units": self.evidence.units,
            "decided": self.state.decided,
        }

    def restore(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """What `to_state` gave."""
        self.origin, self.fitted_at = (values["origin"][0], values["origin"][1]), values["fitted_at"]
        self.evidence.counts, self.evidence.units = arrays["column_counts"].copy(), arrays["units"].astype(int)
        self.evidence.decided = arrays["decided"].astype(int)
        self._renew()


def columns_at(twin: FieldTwin, origin: tuple[float, float]) -> np.ndarray:
    """Places [n, 2] of the columns of a lattice one of whose columns is at an ``origin``, within the field."""
    sides = np.array(twin.wanted.sides)
    return (twin.wanted.places + np.array(origin) + sides / 2) % sides - sides / 2


def plain_fit(fit: Fitted) -> dict[str, Any]:
    """What `Lattice.restored` makes a fit of."""
    made = fit.settled
    return {
        "origin": list(fit.origin), "values": made.values, "covariance": made.covariance.tolist(), "misfit": made.misfit, "likely": fit.likely,
        "detectors": list(fit.gains),
    }  # fmt: skip
