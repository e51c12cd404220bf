"""The loop over a field: an overview that finds the lattice and the settings, one look at each column, and then more where it is not decided."""

import dataclasses
import math
import threading
import time
from typing import Any

import msgspec
import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.feasibility.columns.lattice import Fitted, Recorded
from scenarios.acquire.detect.evidence import Next
from scenarios.acquire.detect.looks import SETTLE, Looks, plain_fit
from scenarios.acquire.detect.twin import FieldTwin, Patch
from scenarios.acquire.person.heeding import heed
from scenarios.acquire.person.orders import Orders
from scenarios.io.progress import Progress
from scenarios.question.parts import LimitsPlan
from twin.records import Frame, Scan

OVERVIEW_PIXEL, OVERVIEW_DWELL = 0.4, 1e-3
"""Angstrom and second of a place of the overview."""
OVERVIEW_SHARE, OVERVIEWS = 0.04, (2, 8)
"""Dose of an overview, as a share of that of a fixed protocol, and how many there are at least and at most until the lattice is `PLACED`."""
PLACED = 0.08
"""Angstrom (standard deviation) within which a column has to be found."""
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

    def add(self, pixels: float, flyback: float, settling: float, overview: bool) -> None:
        """The electrons of one exposure."""
        self.overview += pixels if overview else 0.0
        self.decisions += 0.0 if overview else pixels
        self.flyback += flyback
        self.settling += settling

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
        self.fixed, self.next, self.ended, self.spent, self.seconds = fixed, 0, "", Spent(), []
        self.overviews: list[Recorded] = []
        self.fit: Fitted | None = None
        self.looks: Looks | None = None
        self.stop, self.orders = threading.Event(), Orders(journal.folder)

    @property
    def stopped(self) -> bool:
        return self.stop.is_set()

    @property
    def moment(self) -> int:
        """Time of the instrument."""
        return self.instrument.now()

    def halt(self) -> None:
        """Stop before the next scan."""
        self.stop.set()

    def listen(self, until: int) -> None:
        """Sensors tell nothing of a field."""
        self.instrument.readings()

    def take_back(self, before: dict[str, float]) -> None:
        """Every scan is placed anew: what a person did to the controls is only recorded."""
        self.journal.append("taken back", {"before": before}, self.moment)

    @property
    def overview_dose(self) -> float:
        """Electrons per square angstrom of all overviews."""
        return len(self.overviews) * OVERVIEW_SHARE * self.twin.dose

    @property
    def likely(self) -> float | None:
        """Probability of what the counts leave."""
        fit = self.fit if self.looks is None else self.looks.fit
        return None if fit is None else fit.likely

    def run(self) -> None:
        """Look until everything is decided or a limit ends it (``ended`` says which); KeyboardInterrupt, all done so far in the journal, where ``stop`` is
        set."""
        while not self.ended:
            heed(self)
            if self.stopped:
                raise KeyboardInterrupt
            self._step()

    def _step(self) -> None:
        if self.limits.time is not None and (self.instrument.now() - self.start) * 1e-9 > self.limits.time:
            self.ended = "time"
        elif self.looks is not None:
            self._look(self.looks)
        elif self.fit is None or self._vague(self.fit):
            self._look_over()
        elif self.fit.likely < UNLIKELY:
            self.ended = "distrusted"
        else:
            patch = self.twin.patch(self.fit.probe)
            if patch is None:
                self.ended = "dose"
                return
            self.looks = Looks(self.twin, self._overview(), self.overview_dose, self.fit, patch, self.fixed)

    def _vague(self, fit: Fitted) -> bool:
        """Whether another overview is needed."""
        least, most = OVERVIEWS
        return len(self.overviews) < least or (fit.placed_within > PLACED and len(self.overviews) < most)

    def _look(self, looks: Looks) -> None:
        """One visit, or the end."""
        begun = time.perf_counter()
        if looks.fit.likely < UNLIKELY:
            self.ended = "distrusted"
            return
        done = bool(np.all(looks.evidence.units)) and (self.fixed or bool(np.all(looks.state.decided)))
        chosen = None if done else looks.next(self.limits.dose)
        if done or chosen is None or self.next >= MOST_VISITS:
            self.ended = (
                "decided" if done else "dose" if looks.limited(self.limits.dose) else "visits" if chosen else "model"
            )
            return
        before = float(looks.state.ratios[chosen.column])
        x, y = looks.columns[chosen.column]
        chose = time.perf_counter() - begun
        frame = self._taken((float(x), float(y)), looks.scan(chosen), overview=False)
        begun = time.perf_counter()
        looks.add(chosen, np.asarray(frame.data, float).ravel())
        self.seconds.append(chose + time.perf_counter() - begun)
        self._note_visit(looks, chosen, before)

    def _look_over(self) -> None:
        """One overview of the field."""
        dose = OVERVIEW_SHARE * self.twin.dose
        if self.limits.dose is not None and self.overview_dose + dose > self.limits.dose:
            self.ended = "dose"
            return
        sides = self.twin.wanted.sides
        shape = (math.ceil(sides[1] / OVERVIEW_PIXEL), math.ceil(sides[0] / OVERVIEW_PIXEL))
        flyback = self.twin.question.instrument.flyback
        scan = Scan(self.twin.best, shape, OVERVIEW_PIXEL, OVERVIEW_DWELL, flyback, SETTLE, dose)
        frame = self._taken((0.0, 0.0), scan, overview=True)
        ny, nx = scan.shape
        x, y = ((np.arange(count) - (count - 1) / 2.0) * scan.pixel for count in (nx, ny))
        places = np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)
        counts = np.asarray(frame.data, float).ravel()
        self.overviews.append(Recorded(scan.detector, places, counts, np.full(len(counts), dose * scan.pixel**2)))
        total = self._overview()
        self.fit = self.twin.lattice.fitted([total], self.twin.lattice.located(total))
        self.next += 1
        within = self.fit.placed_within
        self._done({"kind": "overview", "dose": self.overview_dose, "placed_within": within})
        self.progress.stage(f"overview {len(self.overviews)}: columns placed within {within:.2g} angstrom")

    def _overview(self) -> Recorded:
        """All overviews as one."""
        counts, electrons = (
            np.sum([getattr(each, name) for each in self.overviews], 0) for name in ("counts", "electrons")
        )
        return self.overviews[0]._replace(counts=counts, electrons=electrons)

    def _taken(self, centre: tuple[float, float], scan: Scan, overview: bool) -> Frame:
        changes = {"beam_shift.x": centre[0], "beam_shift.y": centre[1]}
        self._command("apply", {"changes": changes})
        self.instrument.apply(changes)
        self._command("acquire", {"scan": msgspec.to_builtins(scan)})
        frame = self.instrument.acquire(scan)
        self.journal.append_frame(frame)
        self.spent.add(frame.exposure.pixels, frame.exposure.flyback, frame.exposure.settle_dose, overview)
        return frame

    def _command(self, name: str, arguments: dict[str, Any]) -> None:
        """Recorded with its time, so that a simulated field can be brought back to the same point."""
        self.journal.append("command", {"name": name, "args": arguments}, self.instrument.now())

    def _note_visit(self, looks: Looks, chosen: Next, before: float) -> None:
        state, column = looks.state, chosen.column
        self.next += 1
        self._done(
            {
                "kind": "visit", "column": column, "units": chosen.units, "dose": float(looks.doses[column]), "before": before,
                "ratio": float(state.ratios[column]), "posterior": float(state.posteriors[column]), "decided": int(state.decided[column]),
                "expected": None if math.isnan(chosen.expected) else chosen.expected, "possible": chosen.possible,
                "all_decided": int(np.abs(state.decided).sum()),
            }
        )  # fmt: skip
        done, count = int(np.abs(state.decided).sum()), len(state.decided)
        there = int((state.decided == 1).sum())
        self.progress.stage(
            f"{done} of {count} columns decided, {there} changed; {self.spent.total:.3g} electrons", done / count
        )

    def _done(self, payload: dict[str, Any]) -> None:
        """Record a scan, and a checkpoint after it."""
        fit = self.fit if self.looks is None else self.looks.fit
        assert fit is not None
        now = self.instrument.now()
        more = {"settings": {name: float(value) for name, value in fit.settled.values.items()}, "likely": fit.likely}
        self.journal.append(
            "detect", {"step": self.next, "electrons": self.spent.total, "time_ns": now, **payload, **more}, now
        )
        values: dict[str, Any] = {
            "next": self.next,
            "start": self.start,
            "spent": dataclasses.asdict(self.spent),
            "fit": plain_fit(fit),
        }
        arrays = {"counts": np.stack([each.counts for each in self.overviews])}
        arrays |= {"places": self.overviews[0].places, "electrons": self.overviews[0].electrons}
        if self.looks is not None:
            values["looks"], columns = self.looks.to_state()
            arrays |= columns
        self.journal.append("checkpoint", values, now, arrays)

    def resume(self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Any = ()) -> None:
        """Restore a checkpoint of this question. ``abandoned``: exposures after it, whose electrons were spent on an instrument that was not reset."""
        self.next, self.start, self.spent = int(values["next"]), int(values["start"]), Spent(**values["spent"])
        for exposure in abandoned:
            self.spent.add(exposure["pixels"], exposure["flyback"], exposure["settle_dose"], overview=False)
        detector = self.twin.best
        self.overviews = [
            Recorded(detector, arrays["places"], counts, arrays["electrons"]) for counts in arrays["counts"]
        ]
        self.fit = self.twin.lattice.restored(**values["fit"])
        if "looks" in values:
            saved = values["looks"]
            patch, overview = Patch(**saved["patch"]), self._overview()
            self.looks = Looks(self.twin, overview, self.overview_dose, self.fit, patch, self.fixed)
            self.looks.restore(saved, arrays)
