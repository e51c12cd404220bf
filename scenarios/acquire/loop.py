"""The main loop of a session: for each request predict, decide, measure, update the belief, and record."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.design.decision import Budget, Choice, after_measuring, choose, relative_error
from scenarios.acquire.dose_accounting import ALIGNMENT, Ledger, electrons_of
from scenarios.acquire.person.heeding import follow_person, heed
from scenarios.acquire.person.orders import Order, Orders
from scenarios.acquire.planning.alignment import AlignmentPlanner
from scenarios.acquire.planning.requests import Move, Request
from scenarios.acquire.records import event_of, journal_request
from scenarios.acquire.revision import revise
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import Answer, TwinSession
from scenarios.io.progress import Progress
from twin.image.microscope import counting_variance
from twin.image.prediction import Prediction
from twin.records import Frame, Scan

Policy = Literal["decide", "always", "random", "sensors", "blind"]
"""Who decides: the twin; always measure; measure at random; never measure; decide, but never update from images.

The last four are control experiments.
"""

ALIGNED: tuple[Policy, ...] = ("decide", "random", "blind")
"""Policies that choose alignment images before requests."""

REVISED: tuple[Policy, ...] = ("decide", "always", "random")
"""Policies whose answers are revised with later images of the site."""

ALIGNMENT_DEFOCI = (-40.0, 10.0, -20.0, 30.0)
"""Defocus (angstrom) of successive alignment images at a new site: near focus, where columns are sharp, and on both sides of it."""
ALIGNMENT_SPACING = 1.0
EXTRA_ALIGNMENTS = 2
"""Number of additional alignment images, while the belief has more than one component of large weight."""
EXTRA_ALIGNMENT_SPACING = 0.33
"""Seconds between those: settling and one frame."""
UNAMBIGUOUS_WEIGHT = 0.95
"""Weight of the largest component from which the belief counts as unambiguous."""
SITE_ALIGNMENT_KEY, REQUEST_ALIGNMENT_KEY = 1_000_000, 2_000_000


class SessionLoop:
    """A running session. `run` continues to its end; the journal holds everything done after each request.

    ``blanking``: scans are blanked outside their pixels where the instrument can.
    """

    blanking = True

    def __init__(
        self,
        instrument: Instrument,
        twin_session: TwinSession,
        scenario: Scenario,
        requests: list[Request],
        moves: list[Move],
        journal: Journal,
        progress: Progress,
        start: int,
        policy: Policy = "decide",
        chosen: frozenset[int] = frozenset(),
    ):
        self.instrument, self.twin_session, self.scenario, self.journal, self.progress = (
            instrument,
            twin_session,
            scenario,
            journal,
            progress,
        )
        self.requests, self.moves = requests, {move.site: move for move in moves}
        self.scan, self.start, self.policy, self.chosen = scenario.make_scan(), start, policy, chosen
        if self.blanking and instrument.describe().blanker:
            self.scan = msgspec.structs.replace(self.scan, blanked=True)
        self.measuring = [self.scan]
        if self.scan.blanked and policy == "decide":
            doses = sorted(self.scan.dose * share for share in scenario.measured_doses)
            self.measuring = [msgspec.structs.replace(self.scan, dose=dose) for dose in doses]
        self.ledger = Ledger()
        self.next = 0
        self.commanded: dict[str, float] = {}
        self.distrusted_after: int | None = None
        self.stop = threading.Event()
        self.orders = Orders(journal.folder)
        self._ordered: Order | None = None
        self._event: dict[str, Any] = {}
        self.alignment = AlignmentPlanner(twin_session, scenario, self.scan, self.measuring, requests, len(moves) + 1)
        reserve = int(scenario.max_measured_share * len(requests)) // (len(moves) + 1)
        self.budget = Budget(len(requests), scenario.max_measured_share, reserve)

    def run(self) -> None:
        """Process the remaining requests, or until ``stop`` is set: then KeyboardInterrupt, with everything done so far in the journal."""
        while self.next < len(self.requests):
            self._heed()
            request = self.requests[self.next]
            self._answer_request(request)
            if not request.followers and self.policy in REVISED:
                revise(self.twin_session, self.journal, request.site, self.scan, self.commanded.get("C10", 0.0))
            self.next += 1
            self._checkpoint()
            self.progress.request(self._event)

    def _heed(self) -> None:
        """Heed what a person ordered; KeyboardInterrupt where the session is to stop."""
        self._ordered = heed(self)
        if self.stop.is_set():
            raise KeyboardInterrupt

    @property
    def stopped(self) -> bool:
        return self.stop.is_set()

    @property
    def moment(self) -> int:
        return self.twin_session.belief.time

    def take_back(self, before: dict[str, float]) -> None:
        """Heed what a person did to the controls, which were as they were ``before``."""
        follow_person(self, before)

    def halt(self) -> None:
        """Stop before the next request."""
        self.stop.set()

    def _answer_request(self, request: Request) -> None:
        if request.first:
            if request.site in self.moves:
                self._move(self.moves[request.site])
            if self.policy == "decide":
                self.alignment.note_measuring_all(request, self.start, self.twin_session.belief.time, self.ledger)
            if self.policy != "sensors":
                self._focus(request)
        if self.policy in ALIGNED and self.alignment.images and not self.twin_session.trust.distrusted:
            self._align(request)
        self._wait(self.start + int(request.seconds * 1e9))
        twin_session = self.twin_session
        now = twin_session.belief.time
        settings = twin_session.tuned(request.settings)
        step = settings["C10"] - self.commanded.get("C10", 0.0)
        belief = twin_session.ahead(now + int(self.scan.settle * 1e9), step)
        prediction, _ = twin_session.predict(belief, settings, self.scan, request.index)
        choice, scan = self._decide(request, prediction)
        self.ledger.expected += choice.expected_after if choice.measures else choice.predicted_error
        arrays = {"predicted": prediction.image, "predicted_std": prediction.std}
        answer, row, at = Answer(prediction.image, prediction.std), None, now
        extra: dict[str, Any] = {}
        if choice.measures:
            frame, at = self._measure(settings, step, scan)
            row = self.journal.append_frame(frame)
            self._account(frame, "audits" if choice.decision == "audit" else "measured")
            fused, posterior, data = twin_session.assimilate(
                frame, prediction, request.index, learn=self.policy != "blind"
            )
            if self.policy != "blind":
                answer = fused
            noise = counting_variance(twin_session.microscope.calibration, frame.scan, np.maximum(fused.image, 1e-9))
            arrays |= {"measured": data, "measured_std": np.sqrt(noise)}
            extra = {
                "misfit": posterior.misfit,
                "dof": posterior.dof,
                "tension": posterior.tension,
                "learnt": posterior.determined,
                "effective": posterior.effective_samples,
                "modes": len(posterior.weights),
            }
            if self.policy == "blind":
                answer = Answer(data, np.sqrt(noise))
        else:
            self.ledger.simulated += 1
        self.ledger.avoided += electrons_of(self.scan) - (choice.electrons if choice.measures else 0.0)
        arrays |= {"answer": answer.image, "answer_std": answer.std}
        self._record(request, settings, choice, prediction, arrays, row, at, extra)

    def _decide(self, request: Request, prediction: Prediction) -> tuple[Choice, Scan]:
        """What is done about a request, and the scan if it is measured: of the dose that the plan gives it, else of the largest."""
        twin_session, scan = self.twin_session, self.measuring[-1]
        before = relative_error(prediction.covariance, prediction.mean)
        drawn = np.random.default_rng([twin_session.seed, request.index, 3]).random() < self.scenario.audit_share
        distrusted, lost = twin_session.trust.distrusted, bool(twin_session.belief.circular_uniform)
        left = self.budget.left(self.ledger.measured, len(self.moves) - request.site)
        controlled = self.policy in ("always", "random", "sensors")
        ordered, gain = self._ordered is not None, None
        if (
            not controlled
            and not ordered
            and left > 0
            and not distrusted
            and (before > self.scenario.tolerance or drawn)
        ):
            now = twin_session.belief.time
            gain, scan = self.alignment.measurement(request, self.start, now, left, self.ledger)
        noise = counting_variance(twin_session.microscope.calibration, scan, np.maximum(prediction.mean, 1e-9))
        covariance_after = after_measuring(prediction.covariance, noise, prediction.mean)
        electrons = electrons_of(scan)
        if ordered:
            return Choice("measure", "a person asked for it", before, covariance_after, 0.0, electrons), scan
        if controlled:
            selected = self.policy == "always" or request.index in self.chosen
            decision, reason = ("measure", "") if selected else ("answer", "policy")
            choice = Choice(decision, f"policy: {self.policy}", before, covariance_after, 0.0, electrons, reason)
            return choice, scan
        choice = choose(
            before,
            covariance_after,
            electrons,
            tolerance=self.scenario.tolerance,
            left=left,
            distrusted=distrusted,
            audit=drawn,
            lost=lost,
            gain=gain,
            share=electrons / electrons_of(self.scan),
        )
        return choice, scan

    def _focus(self, request: Request) -> None:
        """Alignment images before the first request at a site: position and drift of the lattice, and zeros of the optics.

        ``alignment`` of the scenario are always taken (one, if alignment images are planned), and up to `EXTRA_ALIGNMENTS` while the belief is ambiguous.
        """
        count = min(self.scenario.alignment, 1) if self.alignment.images else self.scenario.alignment
        early = [ALIGNMENT_SPACING * (count - number) for number in range(count)]
        late = [
            EXTRA_ALIGNMENT_SPACING * (EXTRA_ALIGNMENTS - number) for number in range(EXTRA_ALIGNMENTS if count else 0)
        ]
        if self.alignment.images:
            early, late = [time + self.alignment.lead for time in early], []
        for number, before in enumerate(early + late):
            if number < count or self.twin_session.belief.weights.max() < UNAMBIGUOUS_WEIGHT:
                self._wait(self.start + int((request.seconds - before) * 1e9))
                requested, scan = (
                    {"C10": ALIGNMENT_DEFOCI[number % len(ALIGNMENT_DEFOCI)], "beam_shift.x": 0.0, "beam_shift.y": 0.0},
                    self.scan,
                )
                if self.alignment.images:
                    requested, scan = self._chosen(request, forced=True) or (requested, scan)
                key = SITE_ALIGNMENT_KEY + 16 * request.site + number
                self._focus_once(request, number, key, requested, scan, "arrival" if number < count else "ambiguous")

    def _align(self, request: Request) -> None:
        """Take an alignment image before a request if it is the best use of electrons at this site."""
        self._wait(self.start + int((request.seconds - self.alignment.lead) * 1e9))
        chosen = self._chosen(request)
        if chosen is not None:
            number, key = EXTRA_ALIGNMENTS + 1 + request.index, REQUEST_ALIGNMENT_KEY + request.index
            self._focus_once(request, number, key, *chosen, "before_requests")

    def _chosen(self, request: Request, forced: bool = False) -> tuple[dict[str, float], Scan] | None:
        left = self.budget.left(self.ledger.measured, len(self.moves) - request.site)
        now = self.twin_session.belief.time
        return self.alignment.before(request, self.start, now, left, self.ledger, forced)

    def _focus_once(
        self, request: Request, number: int, key: int, requested: dict[str, float], scan: Scan, cause: str
    ) -> dict[str, np.ndarray]:
        """An image that answers no request, and the belief after it; the images ``predicted``, ``measured`` and ``answer``."""
        twin_session = self.twin_session
        settings = twin_session.tuned(requested)
        step = settings["C10"] - self.commanded.get("C10", 0.0)
        belief = twin_session.ahead(twin_session.belief.time + int(scan.settle * 1e9), step)
        prediction, _ = twin_session.predict(belief, settings, scan, key)
        frame, _ = self._measure(settings, step, scan)
        row = self.journal.append_frame(frame)
        self._account(frame, cause)
        answer, _, data = twin_session.assimilate(frame, prediction, key, learn=self.policy != "blind")
        payload = {
            "site": request.site,
            "number": number,
            "cause": cause,
            "settings": settings,
            "dwell": scan.dwell,
            "dose": scan.dose,
            "frame_row": row,
            "certainty": float(twin_session.belief.weights.max()),
            "distrusted": twin_session.trust.distrusted,
        }
        arrays = {"predicted": prediction.image, "measured": data, "answer": answer.image}
        self.journal.append("alignment", payload, frame.start, arrays)
        self._note_distrust(request.index)
        return arrays

    def _move(self, move: Move) -> None:
        self._wait(self.start + int(move.seconds * 1e9))
        before = [self.commanded.get(name, 0.0) for name in ("stage.x", "stage.y")]
        self._apply({"stage.x": move.x, "stage.y": move.y})
        self.twin_session.move_stage(move.x - before[0], move.y - before[1])

    def _wait(self, until: int) -> None:
        """Advance the instrument's time and update the belief with its sensors."""
        now = self.instrument.now()
        if until > now:
            commanded, now = now, self.instrument.advance(until)
            self._journal_command("advance", {"until": until}, commanded)
        self.listen(now)

    def listen(self, until: int) -> None:
        readings = self.instrument.readings()
        self.journal.append_readings(readings)
        self.twin_session.follow(readings, max(until, self.twin_session.belief.time))

    def _apply(self, changes: dict[str, float]) -> int:
        commanded = self.instrument.now()
        at = self.instrument.apply(changes)
        self._journal_command("apply", {"changes": changes}, commanded)
        self.commanded |= changes
        self.listen(self.instrument.now())
        return at

    def _measure(self, settings: dict[str, float], step: float, scan: Scan) -> tuple[Frame, int]:
        """A frame, with the belief propagated to its first pixel; and the time at which its settings were commanded."""
        at = self._apply(settings)
        self.twin_session.change_focus(step)
        commanded = self.instrument.now()
        frame = self.instrument.acquire(scan)
        self._journal_command("acquire", {"scan": msgspec.to_builtins(scan)}, commanded)
        self.listen(frame.start)
        return frame, at

    def _journal_command(self, name: str, arguments: dict[str, Any], time: int) -> None:
        """Record a command with its time, so that a simulated microscope can be brought back to the same point."""
        self.journal.append("command", {"name": name, "args": arguments}, time)

    def _account(self, frame: Frame, cause: str) -> None:
        ledger, alignment = self.ledger, cause in ALIGNMENT
        ledger.add(cause, frame.exposure)
        ledger.alignments += alignment
        ledger.measured += not alignment
        ledger.audited += cause == "audits"

    def _note_distrust(self, index: int) -> None:
        """Record once that the model is no longer trusted, and after how many images."""
        trust = self.twin_session.trust
        if trust.distrusted and self.distrusted_after is None:
            self.distrusted_after = self.ledger.measured + self.ledger.alignments
            finding = {
                "kind": "model_distrusted",
                "text": trust.broken,
                "evidence": {"measured": self.distrusted_after, "index": index},
            }
            self.journal.append("finding", finding, self.twin_session.belief.time)

    def _record(self, request, settings, choice, prediction, arrays, row, at, extra) -> None:
        journal_request(self, request, settings, choice, prediction, arrays, row, at, extra)
        self._note_distrust(request.index)
        self._event = event_of(self, request, choice, arrays)

    def _checkpoint(self) -> None:
        values, arrays = self.twin_session.checkpoint()
        values |= {
            "next": self.next,
            "start": self.start,
            "ledger": dataclasses.asdict(self.ledger),
            "commanded": self.commanded,
            "distrusted_after": self.distrusted_after,
        }
        self.journal.append("checkpoint", values, self.twin_session.belief.time, arrays)

    def resume(
        self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Sequence[Mapping[str, float]] = ()
    ) -> None:
        """Restore a checkpoint of this scenario.

        ``abandoned``: exposures after it, whose electrons were spent on an instrument that was not reset.
        """
        self.twin_session.restore(values, arrays)
        self.next, self.start = int(values["next"]), int(values["start"])
        self.ledger = Ledger(**values["ledger"])
        for exposure in abandoned:
            self.ledger.add("abandoned", exposure)
        self.commanded = dict(values["commanded"])
        self.distrusted_after = values["distrusted_after"]
