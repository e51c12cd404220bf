"""The loop of a question: choose an image, take it, update the belief, and stop where the quantity is known as well as was asked."""

import math
from typing import Any, NamedTuple

import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from scenarios.acquire.linearization import Linearization
from scenarios.acquire.loop import UNAMBIGUOUS_WEIGHT, SessionLoop
from scenarios.acquire.question.choice import Candidate, Choice, candidates, choose
from scenarios.acquire.question.wanted import Wanted
from scenarios.acquire.requests import Request
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import TwinSession
from scenarios.io.progress import Progress
from scenarios.question.parts import LimitsPlan

MOST_IMAGES = 200
STALLED, LEAST_GAIN = 8, 0.03
"""Images by which the standard deviation is to fall by this share at least: else what drifts meanwhile is as large as what they tell."""
QUESTION_KEY = 3_000_000


class Known(NamedTuple):
    """What is known of the quantity, in its unit: ``mean``, ``std``; ``weight`` of the most probable component of the belief."""

    mean: float
    std: float
    weight: float


class QuestionLoop(SessionLoop):
    """A running session of a question. `run` continues to its end; the journal holds everything done after each image.

    ``series``: values of C10 (angstrom) that are taken in turn with the scan's dwell time, instead of what is chosen: a control experiment.
    """

    def __init__(
        self,
        instrument: Instrument,
        twin_session: TwinSession,
        scenario: Scenario,
        wanted: Wanted,
        limits: LimitsPlan,
        journal: Journal,
        progress: Progress,
        start: int,
        series: tuple[float, ...] = (),
    ):
        request = Request(0, 0, True, 0, 0.0, {"C10": 0.0, "beam_shift.x": 0.0, "beam_shift.y": 0.0})
        super().__init__(instrument, twin_session, scenario, [request], [], journal, progress, start)
        self.wanted, self.limits, self.dose, self.ended = wanted, limits, 0.0, ""
        self.stds: list[float] = []
        self.series = series
        microscope = twin_session.microscope
        self.row = wanted.row(microscope.layout, microscope.calibration)
        self.candidates = candidates(self.scan)

    @property
    def known(self) -> Known:
        """What the belief says of the quantity now."""
        belief = self.twin_session.belief
        std = float(np.sqrt(self.row @ belief.covariance @ self.row))
        return Known(float(self.row @ belief.mean), std, float(belief.weights.max()))

    @property
    def reached(self) -> bool:
        """Whether the quantity is known as well as was asked, by an unambiguous belief that is not distrusted."""
        known, session = self.known, self.twin_session
        certain = known.weight >= UNAMBIGUOUS_WEIGHT and not session.belief.circular_uniform
        return known.std <= self.wanted.asked and certain and not session.trust.distrusted

    def run(self) -> None:
        """Take images until the question is answered or a limit ends it (``ended`` says which); KeyboardInterrupt, all done so far in the journal, where
        ``stop`` is set."""
        if self.next == 0:  # a session that goes on does as it would have done
            self._listen(self.instrument.now())
        while not self.ended:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self._step()

    def _step(self) -> None:
        if self.reached:
            self.ended = "reached"
            return
        choice = self._chosen_image()
        chosen = self.candidates[choice.number]
        if over := self._over(chosen):
            self.ended = over
            return
        before = self.known
        requested = {"C10": chosen.c10, "beam_shift.x": 0.0, "beam_shift.y": 0.0}
        self._focus_once(self.requests[0], self.next, QUESTION_KEY + self.next, requested, chosen.scan)
        self.dose += chosen.scan.dose
        self.next += 1
        self._note_step(choice, chosen, before)
        self._checkpoint()

    def _chosen_image(self) -> Choice:
        session = self.twin_session
        if self.series:
            c10 = self.series[self.next % len(self.series)]
            number = next(n for n, each in enumerate(self.candidates) if each.c10 == c10 and each.scan == self.scan)
            return Choice(number, math.nan, None, math.nan)
        tuned = [session.tuned({"C10": each.c10, "beam_shift.x": 0.0, "beam_shift.y": 0.0}) for each in self.candidates]
        linear = Linearization(session)
        exposures = linear.exposures([tuned], [each.scan for each in self.candidates])[0]
        return choose(linear.belief.covariance, self.row, self.wanted.asked, exposures)

    def _over(self, chosen: Candidate) -> str:
        """Which limit one more image would exceed; empty: none."""
        seconds = (self.instrument.now() - self.start) * 1e-9
        dose, time = self.limits.dose, self.limits.time
        if dose is not None and self.dose + chosen.scan.dose > dose:
            return "dose"
        if time is not None and seconds > time:
            return "time"
        if self.twin_session.trust.distrusted:
            return "distrusted"
        if len(self.stds) > STALLED and self.stds[-1] > (1.0 - LEAST_GAIN) * self.stds[-1 - STALLED]:
            return "drift"
        return "images" if self.next >= MOST_IMAGES else ""

    def _note_step(self, choice: Choice, chosen: Candidate, before: Known) -> None:
        known, asked = self.known, self.wanted
        self.stds.append(known.std)
        payload = {
            "step": self.next, "c10": chosen.c10, "dwell": chosen.scan.dwell, "mean": known.mean, "std": known.std, "weight": known.weight,
            "before": before.std, "expected": choice.expected, "images_to_go": choice.images, "electrons": self.ledger.spent, "dose": self.dose,
            "time_ns": self.twin_session.belief.time,
        }  # fmt: skip
        self.journal.append("question", payload, self.twin_session.belief.time)
        done = math.log(max(before.std, asked.asked) / asked.asked)
        unit = f" {asked.unit}" if asked.unit else ""
        text = f"image {self.next}: {asked.name} {known.mean:.4g} +- {known.std:.2g}{unit}, asked {asked.asked:g}"
        self.progress.stage(text, 1.0 / (1.0 + done))

    def fixed_series(self) -> tuple[int | None, float]:
        """Images at focus, of the scan's dwell time, that would have told it as well from the prior on, and their electrons (None: more than are planned
        ahead): by the linearised images at the belief now."""
        session, number = (
            self.twin_session,
            next(n for n, each in enumerate(self.candidates) if each.c10 == 0.0 and each.scan == self.scan),
        )
        linear = Linearization(session)
        settings = session.tuned({"C10": 0.0, "beam_shift.x": 0.0, "beam_shift.y": 0.0})
        exposure = linear.exposures([[settings]], [self.candidates[number].scan])[0]
        prior = np.diag(session.microscope.layout.prior_std() ** 2)
        made = choose(prior, self.row, self.wanted.asked, exposure)
        return made.images, made.electrons

    def resume(self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Any = ()) -> None:
        """Restore a checkpoint of this question."""
        super().resume(values, arrays, abandoned)
        # what a rewound instrument takes again has no row yet
        rows = [row.payload for row in self.journal.rows("question") if row.payload["step"] <= self.next]
        self.dose = float(rows[-1]["dose"]) if rows else 0.0
        self.stds = [float(row["std"]) for row in rows]
