"""The loop over a field: an overview that finds the lattice and the settings, one look at each column, and then more where it is not decided."""

import dataclasses
import math
import threading
import time
from typing import Any

import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.feasibility.columns.lattice import Fitted, Recorded
from scenarios.acquire.detect.evidence import Evidence, Next, State
from scenarios.acquire.detect.twin import FieldTwin, Patch, Template
from scenarios.acquire.loop import plain_scan
from scenarios.io.progress import Progress
from scenarios.question.parts import LimitsPlan
from twin.records import Frame, Scan

OVERVIEW_PIXEL, OVERVIEW_DWELL = 0.4, 1e-3
"""Angstrom and second of a place of the overview."""
OVERVIEW_SHARE, MOST_OVERVIEWS = 0.08, 4
"""Dose of an overview, as a share of that of a fixed protocol, and how many there are until the lattice is `PLACED`."""
PLACED = 0.06
"""Angstrom within which a column has to be found."""
SETTLE = 1e-3
"""Second that the scan settles at a new place."""
REFITTED = 1.5
"""Growth of the electrons in all after which settings are fitted anew."""
UNLIKELY = 1e-4
"""Probability of what the counts leave below which the specimen is not that of the question."""
MOST_VISITS = 100_000


@dataclasses.dataclass
class Spent:
    """Electrons by purpose: ``overview`` and ``decisions`` through the places of scans, ``flyback``, and ``settling``."""

    overview: float = 0.0
    decisions: float = 0.0
    flyback: float = 0.0
    settling: float = 0.0

    @property
    def total(self) -> float:
        return self.overview + self.decisions + self.flyback + self.settling


class DetectLoop:
    """A running session. `run` continues to its end; the journal holds everything done after each scan. ``fixed``: each column gets the electrons of a test of
    one size at once, and nothing more (a control experiment)."""

    def __init__(
        self,
        instrument: Instrument,
        twin: FieldTwin,
        limits: LimitsPlan,
        journal: Journal,
        progress: Progress,
        start: int,
        fixed: bool = False,
    ):
        self.instrument, self.twin, self.limits, self.journal, self.progress, self.start = (
            instrument, twin, limits, journal, progress, start,
        )  # fmt: skip
        self.fixed, self.next, self.ended, self.spent, self.overview_dose = fixed, 0, "", Spent(), 0.0
        self.overviews: list[Recorded] = []
        self.fit: Fitted | None = None
        self.patch: Patch | None = None
        self.evidence: Evidence | None = None
        self.origin = (0.0, 0.0)
        self.template: Template | None = None
        self.state: State | None = None
        self.fitted_at = 0.0
        self.seconds: list[float] = []
        self.stop = threading.Event()

    @property
    def columns(self) -> np.ndarray:
        """Where the columns are, as the first look at each found the lattice: [n, 2] (x, y) in angstrom."""
        sides = np.array(self.twin.wanted.sides)
        places = self.twin.wanted.places + np.array(self.origin)
        return (places + sides / 2) % sides - sides / 2

    def run(self) -> None:
        """Look until everything is decided or a limit ends it (``ended`` says which); KeyboardInterrupt, all done so far in the journal, where ``stop`` is
        set."""
        while not self.ended:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self._step()

    def _step(self) -> None:
        if self.fit is None or (
            self.evidence is None and self.fit.placed_within > PLACED and len(self.overviews) < MOST_OVERVIEWS
        ):
            self._look_over()
            return
        if self.fit.likely < UNLIKELY:
            self.ended = "distrusted"
            return
        begun = time.perf_counter()
        if self.evidence is None:
            self._begin()
        chosen = self._chosen()
        self.seconds.append(time.perf_counter() - begun)
        if chosen is not None and not self.ended:
            self._visit(chosen)

    def _look_over(self) -> None:
        """One overview of the field."""
        dose = OVERVIEW_SHARE * self.twin.dose
        if self.limits.dose is not None and self.overview_dose + dose > self.limits.dose or self._late():
            self.ended = "dose" if not self._late() else "time"
            return
        sides = self.twin.wanted.sides
        shape = (math.ceil(sides[1] / OVERVIEW_PIXEL), math.ceil(sides[0] / OVERVIEW_PIXEL))
        scan = Scan(
            self.twin.best, shape, OVERVIEW_PIXEL, OVERVIEW_DWELL, self.twin.question.instrument.flyback, SETTLE, dose
        )
        frame = self._taken((0.0, 0.0), scan, overview=True)
        self.overview_dose += dose
        ny, nx = scan.shape
        x, y = ((np.arange(count) - (count - 1) / 2.0) * scan.pixel for count in (nx, ny))
        places = np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)
        counts = np.asarray(frame.data, float).ravel()
        self.overviews.append(Recorded(scan.detector, places, counts, np.full(len(counts), dose * scan.pixel**2)))
        total = Recorded(
            scan.detector, places, np.sum([each.counts for each in self.overviews], 0), np.sum([each.electrons for each in self.overviews], 0)
        )  # fmt: skip
        self.fit = self.twin.lattice.fitted([total], self.twin.lattice.found(total))
        self._done(
            {
                "kind": "overview",
                "dose": self.overview_dose,
                "placed_within": self.fit.placed_within,
                **self._settings(),
            }
        )

    def _begin(self) -> None:
        """Choose how columns are scanned."""
        assert self.fit is not None
        self.patch = self.twin.patch(self.fit)
        self.evidence = Evidence(len(self.twin.wanted.places), self.patch, self.twin.wanted.errors)
        self.origin = self.fit.origin
        self._renew()

    def _renew(self) -> None:
        """A template at the settings as they are fitted now."""
        assert self.fit is not None and self.patch is not None
        off = (self.origin[0] - self.fit.origin[0], self.origin[1] - self.fit.origin[1])
        self.template = self.twin.template(self.fit, self.patch, off, len(self.twin.wanted.places) - 1)

    @property
    def gain(self) -> float:
        """Of the detector of the patch."""
        assert self.fit is not None and self.patch is not None
        return self.fit.gains.get(self.patch.detector, 1.0)

    def _chosen(self) -> Next | None:
        """The next visit; None where there is none, ``ended`` says why then."""
        evidence, template = self.evidence, self.template
        assert evidence is not None and template is not None and self.patch is not None
        limit = (
            math.inf
            if self.limits.dose is None
            else self.limits.dose * self.patch.area - self.overview_dose * self.patch.area
        )
        self.state = evidence.state(template, self.gain)
        fresh = np.flatnonzero(evidence.units == 0)
        if len(fresh):
            if self.fixed:
                units = 16
            else:
                steps = evidence.steps(template, self.gain, self.state.share)
                units = (1, 2, 4, 8, 16)[int(steps.step(np.array(0.0)))]
            if units * evidence.unit > limit:
                self.ended = "dose"
            elif self._late():
                self.ended = "time"
            return Next(int(fresh[0]), units, math.nan, 1.0)
        if evidence.units.sum() * evidence.unit >= REFITTED * self.fitted_at:
            self._refit()
            if self.ended:
                return None
            self.state = evidence.state(self.template or template, self.gain)
        if self.fixed:
            self.ended = "decided"
            return None
        if np.all(self.state.decided):
            self.ended = "decided"
            return None
        if self._late():
            self.ended = "time"
            return None
        if self.next >= MOST_VISITS:
            self.ended = "visits"
            return None
        chosen = evidence.next(self.state, self.template or template, self.gain, limit)
        if chosen is None:
            left = evidence.units[self.state.decided == 0]
            self.ended = "dose" if np.any((left + 1) * evidence.unit > limit) else "model"
        return chosen

    def _refit(self) -> None:
        """Settings by all that was counted so far; distrust where it is not the crystal that was expected."""
        evidence, fit, patch, template, state = self.evidence, self.fit, self.patch, self.template, self.state
        assert (
            evidence is not None
            and fit is not None
            and patch is not None
            and template is not None
            and state is not None
        )
        electrons = evidence.units * evidence.unit
        changed = (state.posteriors * electrons * self.gain)[:, None] * template.change
        summed = Recorded(
            patch.detector, patch.places + np.array(self.origin), (evidence.counts - changed).sum(0),
            np.full(len(patch.places), electrons.sum() / len(patch.places)), True,
        )  # fmt: skip
        first = self.overviews[0]
        total = first._replace(
            counts=np.sum([each.counts for each in self.overviews], 0), electrons=np.sum([each.electrons for each in self.overviews], 0)
        )  # fmt: skip
        self.fit = self.twin.lattice.fitted([total, summed], fit.origin, fit)
        self.fitted_at = float(electrons.sum())
        self._renew()
        if self.fit.likely < UNLIKELY:
            self.ended = "distrusted"

    def _visit(self, chosen: Next) -> None:
        evidence, patch = self.evidence, self.patch
        assert evidence is not None and patch is not None and self.state is not None
        electrons = chosen.units * evidence.unit
        dwell = electrons / (patch.current * patch.size**2)
        scan = Scan(
            patch.detector, (patch.size, patch.size), patch.pixel, dwell, self.twin.question.instrument.flyback, SETTLE, electrons / patch.area
        )  # fmt: skip
        x, y = self.columns[chosen.column]
        frame = self._taken((float(x), float(y)), scan)
        before = float(self.state.ratios[chosen.column])
        evidence.add(chosen.column, chosen.units, np.asarray(frame.data, float).ravel())
        assert self.template is not None
        self.state = evidence.state(self.template, self.gain)
        payload = {
            "kind": "visit", "column": chosen.column, "units": chosen.units, "dose": float(evidence.units[chosen.column] * evidence.unit / patch.area),
            "before": before, "ratio": float(self.state.ratios[chosen.column]), "posterior": float(self.state.posteriors[chosen.column]),
            "decided": int(self.state.decided[chosen.column]), "expected": None if math.isnan(chosen.expected) else chosen.expected,
            "possible": chosen.possible, **self._settings(),
        }  # fmt: skip
        self._done(payload)

    def _settings(self) -> dict[str, Any]:
        assert self.fit is not None
        return {
            "settings": {name: float(value) for name, value in self.fit.settled.values.items()},
            "likely": self.fit.likely,
        }

    def _late(self) -> bool:
        return self.limits.time is not None and (self.instrument.now() - self.start) * 1e-9 > self.limits.time

    def _taken(self, centre: tuple[float, float], scan: Scan, overview: bool = False) -> Frame:
        changes = {"beam_shift.x": centre[0], "beam_shift.y": centre[1]}
        self._command("apply", {"changes": changes})
        self.instrument.apply(changes)
        self._command("acquire", {"scan": plain_scan(scan)})
        frame = self.instrument.acquire(scan)
        self.journal.append_frame(frame)
        exposure = frame.exposure
        self.spent.overview += exposure.pixels if overview else 0.0
        self.spent.decisions += 0.0 if overview else exposure.pixels
        self.spent.flyback += exposure.flyback
        self.spent.settling += exposure.settle_dose
        return frame

    def _command(self, name: str, arguments: dict[str, Any]) -> None:
        """Recorded with its time, so that a simulated field can be brought back to the same point."""
        self.journal.append("command", {"name": name, "args": arguments}, self.instrument.now())

    def _done(self, payload: dict[str, Any]) -> None:
        self.next += 1
        now = self.instrument.now()
        self.journal.append(
            "detect", {"step": self.next, "electrons": self.spent.total, "time_ns": now, **payload}, now
        )
        self._checkpoint()
        if self.state is None:
            self.progress.stage(f"overview: columns within {payload['placed_within']:.2g} angstrom")
            return
        done = int(np.abs(self.state.decided).sum())
        there = int((self.state.decided == 1).sum())
        self.progress.stage(
            f"{done} of {len(self.state.decided)} columns decided, {there} changed; {self.spent.total:.3g} electrons", done / len(self.state.decided)
        )  # fmt: skip

    def _checkpoint(self) -> None:
        values: dict[str, Any] = {
            "next": self.next, "start": self.start, "spent": dataclasses.asdict(self.spent), "overview_dose": self.overview_dose, "fitted_at": self.fitted_at,
            "overviews": len(self.overviews), "detector": self.overviews[0].detector, "origin": list(self.origin),
            "patch": None if self.patch is None else self.patch._asdict(), "fit": None if self.fit is None else _plain_fit(self.fit),
        }  # fmt: skip
        arrays = {"places": self.overviews[0].places, "counts": np.stack([each.counts for each in self.overviews])}
        arrays["electrons"] = np.stack([each.electrons for each in self.overviews])
        if self.evidence is not None:
            arrays |= {"column_counts": self.evidence.counts, "units": self.evidence.units}
        self.journal.append("checkpoint", values, self.instrument.now(), arrays)

    def resume(self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Any = ()) -> None:
        """Restore a checkpoint of this question. ``abandoned``: exposures after it, whose electrons were spent on an instrument that was not reset."""
        self.next, self.start = int(values["next"]), int(values["start"])
        self.spent, self.overview_dose, self.fitted_at = (
            Spent(**values["spent"]),
            values["overview_dose"],
            values["fitted_at"],
        )
        for exposure in abandoned:
            self.spent.decisions += exposure["pixels"]
            self.spent.flyback += exposure["flyback"]
            self.spent.settling += exposure["settle_dose"]
        self.overviews = [
            Recorded(values["detector"], arrays["places"], counts, electrons)
            for counts, electrons in zip(arrays["counts"], arrays["electrons"], strict=True)
        ]
        self.origin = (values["origin"][0], values["origin"][1])
        self.fit = self.twin.lattice.restored(**values["fit"])
        if values["patch"] is not None:
            self.patch = Patch(**values["patch"])
            self.evidence = Evidence(len(self.twin.wanted.places), self.patch, self.twin.wanted.errors)
            self.evidence.counts, self.evidence.units = arrays["column_counts"].copy(), arrays["units"].astype(int)
            self._renew()
            assert self.template is not None
            self.state = self.evidence.state(self.template, self.gain)


def _plain_fit(fit: Fitted) -> dict[str, Any]:
    """What `Lattice.restored` makes a fit of."""
    made = fit.settled
    return {
        "origin": list(fit.origin), "values": made.values, "covariance": made.covariance.tolist(), "misfit": made.misfit, "likely": fit.likely,
        "detectors": list(fit.gains),
    }  # fmt: skip
