"""The loop of a session: sensors, belief, prediction, decision, measurement, assimilation, record; one request after the other."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.design.decision import Budget, Choice, after_measuring, choose, relative_error
from learn.design.lookahead import best_plan
from scenarios.acquire.alignment import HORIZON, Aligning
from scenarios.acquire.dose_accounting import Ledger, electrons_of
from scenarios.acquire.linearization import Foresight
from scenarios.acquire.requests import Move, Request
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import Answer, Following, describe_state
from scenarios.io.progress import Progress
from twin.image.microscope import counting_variance
from twin.image.prediction import STATISTICS, Prediction
from twin.records import Frame, Scan

Policy = Literal["decide", "always", "random", "sensors", "blind"]
"""Who decides: the twin; always measure; measure at random; never measure; decide, but never learn from images. The last four are controls."""

ALIGNED: tuple[Policy, ...] = ("decide", "random", "blind")
"""Policies that choose alignment images in front of requests."""

FOCUS = (-40.0, 10.0, -20.0, 30.0)
"""Defocus (angstrom) of the images taken for focusing, in turn: near focus, where columns are sharp, and on both sides of it."""
FOCUS_SPACING = 1.0
FOCUS_MORE = 2
"""As many more are taken, one right after the other, while what was seen still has more than one reading."""
FOCUS_PACE = 0.33
"""Seconds between those: the settling and one frame."""
SETTLED = 0.95
"""Weight of the belief's heaviest component from which on there is but one reading."""
FOCUS_KEY, ALIGN_KEY = 1_000_000, 2_000_000


class Walk:
    """A session under way. `run` goes to its end; what is done is in the journal after every request."""

    def __init__(
        self,
        instrument: Instrument,
        following: Following,
        scenario: Scenario,
        requests: list[Request],
        moves: list[Move],
        journal: Journal,
        progress: Progress,
        start: int,
        policy: Policy = "decide",
        chosen: frozenset[int] = frozenset(),
    ):
        self.instrument, self.following, self.scenario, self.journal, self.progress = (
            instrument,
            following,
            scenario,
            journal,
            progress,
        )
        self.requests, self.moves = requests, {move.site: move for move in moves}
        self.scan, self.start, self.policy, self.chosen = scenario.make_scan(), start, policy, chosen
        self.ledger = Ledger()
        self.next = 0
        self.commanded: dict[str, float] = {}
        self.distrusted_after: int | None = None
        self.stop = threading.Event()
        self._event: dict[str, Any] = {}
        self.aligning = Aligning(following, scenario, requests, len(moves) + 1)
        reserve = int(scenario.max_measured_share * len(requests)) // (len(moves) + 1)
        self.budget = Budget(len(requests), scenario.max_measured_share, reserve)

    def run(self) -> None:
        """From the next request to the last, or until ``stop`` is set: then KeyboardInterrupt, with all that was done on record."""
        while self.next < len(self.requests):
            if self.stop.is_set():
                raise KeyboardInterrupt
            self._one(self.requests[self.next])
            self.next += 1
            self._checkpoint()
            self.progress.request(self._event)

    def _one(self, request: Request) -> None:
        if request.first:
            if request.site in self.moves:
                self._move(self.moves[request.site])
            if self.policy != "sensors":
                self._focus(request)
        if self.policy in ALIGNED and self.aligning.wanted and not self.following.trust.distrusted:
            self._align(request)
        self._wait(self.start + int(request.seconds * 1e9))
        following = self.following
        now = following.belief.time
        settings = following.tuned(request.settings)
        step = settings["C10"] - self.commanded.get("C10", 0.0)
        belief = following.ahead(now + int(self.scan.settle * 1e9), step)
        prediction, _ = following.predict(belief, settings, self.scan, request.index)
        choice = self._decide(request, prediction)
        arrays = {"predicted": prediction.image, "predicted_std": prediction.std}
        answer, row, at = Answer(prediction.image, prediction.std), None, now
        extra: dict[str, Any] = {}
        if choice.measures:
            frame, at = self._measure(settings, step, self.scan)
            row = self.journal.append_frame(frame)
            self._account(frame, audit=choice.decision == "audit")
            fused, posterior, data = following.assimilate(
                frame, prediction, request.index, learn=self.policy != "blind"
            )
            if self.policy != "blind":
                answer = fused
            noise = counting_variance(following.microscope.calibration, self.scan, np.maximum(fused.image, 1e-9))
            arrays |= {"measured": data, "measured_std": np.sqrt(noise)}
            extra = {
                "misfit": posterior.misfit,
                "dof": posterior.dof,
                "tension": posterior.tension,
                "learnt": posterior.learnt,
                "effective": posterior.effective,
                "modes": len(posterior.weights),
            }
            if self.policy == "blind":
                answer = Answer(data, np.sqrt(noise))
        else:
            self.ledger.simulated += 1
            self.ledger.avoided += choice.electrons
        arrays |= {"answer": answer.image, "answer_std": answer.std}
        self._record(request, settings, choice, prediction, arrays, row, at, extra)

    def _decide(self, request: Request, prediction: Prediction) -> Choice:
        following = self.following
        noise = counting_variance(following.microscope.calibration, self.scan, np.maximum(prediction.mean, 1e-9))
        before = relative_error(prediction.covariance, prediction.mean)
        after = after_measuring(prediction.covariance, noise, prediction.mean)
        electrons = electrons_of(self.scan)
        drawn = np.random.default_rng([following.seed, request.index, 3]).random() < self.scenario.audit_share
        distrusted = following.trust.distrusted
        if self.policy in ("always", "random", "sensors"):
            wanted = self.policy == "always" or request.index in self.chosen
            decision, reason = ("measure", "") if wanted else ("answer", "policy")
            return Choice(decision, f"policy: {self.policy}", before, after, 0.0, electrons, reason)
        left = self.budget.left(self.ledger.measured, len(self.moves) - request.site)
        lost = bool(following.belief.lost)
        gain = None
        if left > 0 and not lost and not distrusted and before > self.scenario.tolerance:
            gain = self._look_ahead(request, left)
        return choose(
            before,
            after,
            electrons,
            tolerance=self.scenario.tolerance,
            left=left,
            distrusted=distrusted,
            audit=drawn,
            lost=lost,
            gain=gain,
        )

    def _look_ahead(self, request: Request, left: int) -> float:
        """What measuring this request saves, it and those that follow at this place taken together."""
        if self.aligning.wanted:
            return self.aligning.gain(request, self.start, self.following.belief.time, left, self.ledger)
        ahead = self.requests[request.index : request.index + 1 + min(request.followers, HORIZON - 1)]
        times = [max(int((one.seconds - request.seconds) * 1e9), 0) for one in ahead]
        settings = [self.following.tuned(one.settings) for one in ahead]
        steps, _ = Foresight(self.following).steps(settings, self.scan, times)
        return best_plan(self.following.belief.covariance, steps, min(left, len(steps))).gain

    def _focus(self, request: Request) -> None:
        """Images before the first request at a place: where the lattice is, how it drifts, and the zeros of the optics.

        ``focusing`` of the scenario are taken in any case (one, where alignment images are chosen), and up to `FOCUS_MORE` where they leave the belief
        ambiguous.
        """
        count = min(self.scenario.focusing, 1) if self.aligning.wanted else self.scenario.focusing
        early = [FOCUS_SPACING * (count - number) for number in range(count)]
        late = [FOCUS_PACE * (FOCUS_MORE - number) for number in range(FOCUS_MORE if count else 0)]
        if self.aligning.wanted:
            early, late = [one + self.aligning.lead for one in early], []
        for number, before in enumerate(early + late):
            if number < count or self.following.belief.weights.max() < SETTLED:
                self._wait(self.start + int((request.seconds - before) * 1e9))
                asked, scan = {"C10": FOCUS[number % len(FOCUS)], "beam_shift.x": 0.0, "beam_shift.y": 0.0}, self.scan
                if self.aligning.wanted:
                    asked, scan = self._chosen(request, forced=True) or (asked, scan)
                self._focus_once(request, number, FOCUS_KEY + 16 * request.site + number, asked, scan)

    def _align(self, request: Request) -> None:
        """An alignment image in front of a request, where it saves most per electron of all that could be done here."""
        self._wait(self.start + int((request.seconds - self.aligning.lead) * 1e9))
        chosen = self._chosen(request)
        if chosen is not None:
            self._focus_once(request, FOCUS_MORE + 1 + request.index, ALIGN_KEY + request.index, *chosen)

    def _chosen(self, request: Request, forced: bool = False) -> tuple[dict[str, float], Scan] | None:
        left = self.budget.left(self.ledger.measured, len(self.moves) - request.site)
        now = self.following.belief.time
        return self.aligning.before(request, self.start, now, left, self.ledger, forced)

    def _focus_once(self, request: Request, number: int, key: int, asked: dict[str, float], scan: Scan) -> None:
        following = self.following
        settings = following.tuned(asked)
        step = settings["C10"] - self.commanded.get("C10", 0.0)
        belief = following.ahead(following.belief.time + int(scan.settle * 1e9), step)
        prediction, _ = following.predict(belief, settings, scan, key)
        frame, _ = self._measure(settings, step, scan)
        row = self.journal.append_frame(frame)
        self._account(frame, focusing=True)
        answer, _, data = following.assimilate(frame, prediction, key, learn=self.policy != "blind")
        payload = {
            "site": request.site,
            "number": number,
            "settings": settings,
            "dwell": scan.dwell,
            "frame_row": row,
            "certainty": float(following.belief.weights.max()),
            "distrusted": following.trust.distrusted,
        }
        arrays = {"predicted": prediction.image, "measured": data, "answer": answer.image}
        self.journal.append("focusing", payload, frame.start, arrays)
        self._note_distrust(request.index)

    def _move(self, move: Move) -> None:
        self._wait(self.start + int(move.seconds * 1e9))
        self._apply({"stage.x": move.x, "stage.y": move.y})
        self.following.moved_stage()

    def _wait(self, until: int) -> None:
        """Let the instrument's time pass, and the belief follow its sensors."""
        now = self.instrument.now()
        if until > now:
            given, now = now, self.instrument.advance(until)
            self._journal_command("advance", {"until": until}, given)
        self._listen(now)

    def _listen(self, until: int) -> None:
        readings = self.instrument.readings()
        self.journal.append_readings(readings)
        self.following.follow(readings, max(until, self.following.belief.time))

    def _apply(self, changes: dict[str, float]) -> int:
        given = self.instrument.now()
        at = self.instrument.apply(changes)
        self._journal_command("apply", {"changes": changes}, given)
        self.commanded |= changes
        self._listen(self.instrument.now())
        return at

    def _measure(self, settings: dict[str, float], step: float, scan: Scan) -> tuple[Frame, int]:
        """The frame, with the belief brought to its first pixel; and when its settings were commanded."""
        at = self._apply(settings)
        self.following.focused(step)
        given = self.instrument.now()
        frame = self.instrument.acquire(scan)
        self._journal_command("acquire", {"scan": plain_scan(scan)}, given)
        self._listen(frame.start)
        return frame, at

    def _journal_command(self, name: str, arguments: dict[str, Any], time: int) -> None:
        """Keep a command with the time it was given at: what a simulated microscope needs to come back to the same point."""
        self.journal.append("command", {"name": name, "args": arguments}, time)

    def _account(self, frame: Frame, audit: bool = False, focusing: bool = False) -> None:
        ledger, exposure = self.ledger, frame.exposure
        ledger.add(exposure.pixels, exposure.flyback, exposure.parked)
        ledger.focusing += exposure.total if focusing else 0.0
        ledger.focused += focusing
        ledger.measured += not focusing
        ledger.audited += audit

    def _note_distrust(self, index: int) -> None:
        """Record once that the model is no longer trusted, and after how many images."""
        trust = self.following.trust
        if trust.distrusted and self.distrusted_after is None:
            self.distrusted_after = self.ledger.measured + self.ledger.focused
            finding = {
                "kind": "model_distrusted",
                "text": trust.broken,
                "evidence": {"measured": self.distrusted_after, "index": index},
            }
            self.journal.append("finding", finding, self.following.belief.time)

    def _record(self, request, settings, choice, prediction, arrays, row, at, extra) -> None:
        following, trust = self.following, self.following.trust
        payload = {
            "index": request.index,
            "site": request.site,
            "time_ns": following.belief.time,
            "command_ns": at,
            "asked": request.settings,
            "settings": settings,
            "decision": choice.decision,
            "why": choice.why,
            "reason": choice.reason,
            "predicted_error": choice.predicted_error,
            "expected_after": choice.expected_after,
            "gain_per_electron": choice.gain_per_electron,
            "electrons": choice.electrons,
            "measured": choice.measures,
            "numbers": {name: _numbers(prediction, name) for name in STATISTICS},
            "frame_row": row,
            "distrusted": trust.distrusted,
            "discrepancy": following.discrepancy.amplitude,
            "jitter": following.discrepancy.jitter,
            "inflation": following.inflation.factor,
            **extra,
        }
        self.journal.append("request", payload, following.belief.time, arrays)
        belief = following.belief
        self.journal.append(
            "state",
            {"time_ns": belief.time, "names": list(belief.layout.names)},
            belief.time,
            {"mean": belief.mean, "std": belief.std},
        )
        self._note_distrust(request.index)
        self._event = {
            "index": request.index,
            "count": len(self.requests),
            "decision": choice.decision,
            "why": choice.why,
            "predicted_error": choice.predicted_error,
            "dose_spent": self.ledger.spent,
            "dose_saved": self.ledger.saved,
            "state": describe_state(belief),
            "distrusted": trust.distrusted,
            "time": (belief.time - self.start) * 1e-9,
        }

    def _checkpoint(self) -> None:
        values, arrays = self.following.checkpoint()
        values |= {
            "next": self.next,
            "start": self.start,
            "ledger": dataclasses.asdict(self.ledger),
            "commanded": self.commanded,
            "distrusted_after": self.distrusted_after,
        }
        self.journal.append("checkpoint", values, self.following.belief.time, arrays)

    def resume(
        self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Sequence[Mapping[str, float]] = ()
    ) -> None:
        """Back to a checkpoint of this scenario. ``abandoned``: exposures since then, whose electrons were spent on an instrument that went on."""
        self.following.restore(values, arrays)
        self.next, self.start = int(values["next"]), int(values["start"])
        self.ledger = Ledger(**values["ledger"])
        for exposure in abandoned:
            self.ledger.add(exposure["pixels"], exposure["flyback"], exposure["parked"])
        self.commanded = dict(values["commanded"])
        self.distrusted_after = values["distrusted_after"]


def plain_scan(scan: Scan) -> dict[str, Any]:
    """A scan as plain values, for the journal."""
    return msgspec.to_builtins(scan)


def _numbers(prediction: Prediction, name: str) -> list[float]:
    interval = prediction.statistics[name]
    return [interval.centre, interval.centre + interval.low, interval.centre + interval.high, interval.std]
