"""The loop of a question: choose an image, take it, update the belief, and stop where the quantity is known as well as was asked."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.design.ambiguity import Components, components_of
from reconstruct.inference.belief import triangular
from scenarios.acquire.loop import UNAMBIGUOUS_WEIGHT, SessionLoop
from scenarios.acquire.planning.alignment import exposed, seconds_of
from scenarios.acquire.planning.linearization import Linearization
from scenarios.acquire.planning.requests import Request
from scenarios.acquire.question.choice import DEFOCI, Candidate, Choice, candidates, choose, scans_of
from scenarios.acquire.question.wanted import Wanted
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import TwinSession
from scenarios.io.progress import Progress
from scenarios.question.parts import LimitsPlan
from twin.image.microscope import PARAMETERS, affine_optics

MOST_IMAGES = 200
STALLED, LEAST_GAIN = 8, 0.03
"""Images by which the standard deviation is to fall by this share at least: else what drifts meanwhile is as large as what they tell."""
QUESTION_KEY = 3_000_000
FOCUSED = {"C10": 0.0, "beam_shift.x": 0.0, "beam_shift.y": 0.0}
LINEAR, MOST_COMPONENTS = 18.0, 9
"""Angstrom of C10 over which images count as linear in it, and components of the belief by which images are weighed."""
OTHER = 2.0
"""How many times what is asked two values of a quantity differ that are not the same answer."""


class Known(NamedTuple):
    """What is known of a quantity, in its unit: ``mean``, ``std``."""

    mean: float
    std: float


class QuestionLoop(SessionLoop):
    """A running session of a question. `run` continues to its end; the journal holds everything done after each image.

    ``series``: values of C10 (angstrom), one image of the scan's dwell time at each, instead of what is chosen: a control experiment.
    """

    blanking = False  # its candidates are longer dwells, which pay where the beam is on between the pixels

    def __init__(
        self,
        instrument: Instrument,
        twin_session: TwinSession,
        scenario: Scenario,
        wanted: Sequence[Wanted],
        limits: LimitsPlan,
        journal: Journal,
        progress: Progress,
        start: int,
        series: tuple[float, ...] = (),
    ):
        request = Request(0, 0, True, 0, 0.0, FOCUSED)
        super().__init__(instrument, twin_session, scenario, [request], [], journal, progress, start)
        self.wanted, self.limits, self.dose, self.ended = tuple(wanted), limits, 0.0, ""
        self.largest: list[float] = []
        self.deciding: list[float] = []
        """Seconds that each decision of this process took."""
        self.series = series
        microscope = twin_session.microscope
        self.rows = np.stack([each.row(microscope.layout, microscope.calibration) for each in wanted])
        self.asked = np.array([each.asked for each in wanted])
        self.candidates = candidates(self.scan)

    @property
    def known(self) -> list[Known]:
        """What the belief says of each quantity now."""
        belief = self.twin_session.belief
        stds = np.sqrt(np.einsum("qn,nm,qm->q", self.rows, belief.covariance, self.rows))
        return [Known(float(mean), float(std)) for mean, std in zip(self.rows @ belief.mean, stds, strict=True)]

    @property
    def doubt(self) -> float:
        """Weight of the components of the belief by which a quantity is another one: farther than `OTHER` times what is asked from the most probable's."""
        belief = self.twin_session.belief
        values = belief.means @ self.rows.T
        off = np.abs(values - values[int(np.argmax(belief.weights))]) / self.asked
        return float(belief.weights[np.any(off > OTHER, axis=1)].sum())

    @property
    def reached(self) -> bool:
        """Whether all quantities are known as well as was asked, by a belief that has no other values and is not distrusted."""
        session = self.twin_session
        near = all(each.std <= asked for each, asked in zip(self.known, self.asked, strict=True))
        certain = self.doubt <= 1.0 - UNAMBIGUOUS_WEIGHT and not session.belief.circular_uniform
        return near and certain and not session.trust.distrusted

    def run(self) -> None:
        """Take images until the question is answered or a limit ends it (``ended`` says which); KeyboardInterrupt, all done so far in the journal, where
        ``stop`` is set."""
        if self.next == 0:  # a session that goes on does as it would have done
            self.listen(self.instrument.now())
        while not self.ended:
            self._heed()
            self._step()

    def _step(self) -> None:
        if self.series:
            finished = self.next >= len(self.series)
        else:
            finished = self._ordered is None and self.reached and self._corrected()
        if finished:
            self.ended = "reached" if self.reached else "images"
            return
        begun = time.monotonic()
        choice = self._chosen_image()
        self.deciding.append(time.monotonic() - begun)
        chosen, ordered = self.candidates[choice.number], self._ordered
        if ordered is not None:
            scan = exposed(self.scan, ordered.dwell or chosen.scan.dwell / self.scan.dwell)
            chosen = Candidate(chosen.c10 if ordered.c10 is None else ordered.c10, scan)
            choice = choice._replace(expected=(math.nan,) * len(self.wanted), images=None)
        if over := self._over(chosen):
            self.ended = over
            return
        before = self.known
        requested, key = FOCUSED | {"C10": chosen.c10}, QUESTION_KEY + self.next
        images = self._focus_once(self.requests[0], self.next, key, requested, chosen.scan, "question")
        self.dose += chosen.scan.dose
        self.next += 1
        self._note_step(choice, chosen, before)
        self._checkpoint()
        self._show(choice, chosen, images)

    def _corrected(self) -> bool:
        """Where there are tolerances, correct all that the instrument can; whether what is known is within them after the change, too."""
        if all(each.tolerance is None for each in self.wanted):
            return True
        session = self.twin_session
        settings = session.tuned(FOCUSED)
        step = settings["C10"] - self.commanded.get("C10", 0.0)
        self._apply(settings)
        session.change_focus(step)
        payload = {"settings": settings, "time_ns": session.belief.time, "stds": [each.std for each in self.known]}
        self.journal.append("correction", payload, session.belief.time)
        return self.reached

    def _chosen_image(self) -> Choice:
        session = self.twin_session
        if self.series:
            c10 = self.series[self.next]
            number = next(n for n, each in enumerate(self.candidates) if each.c10 == c10 and each.scan == self.scan)
            return Choice(number, (math.nan,) * len(self.wanted), None, math.nan)
        linear = Linearization(session)
        focus, _ = affine_optics(session.microscope.layout, session.microscope.calibration, {})
        components = components_of(linear.belief, focus[PARAMETERS.index("C10")], LINEAR, MOST_COMPONENTS)
        tuned = [session.tuned(FOCUSED | {"C10": c10}) for c10 in DEFOCI]
        scans = scans_of(self.scan)
        responses = linear.responses(tuned, scans, components.means)
        begun = self.commanded.get("C10", 0.0)
        later = [self._drifted(components, seconds_of(each)) for each in scans]
        changed = [self._refocused(each, settings["C10"] - begun) for settings in tuned for each in later]
        return choose(components.variances(self.rows), changed, self.rows, self.asked, responses)

    def _drifted(self, components: Components, seconds: float) -> Components:
        """The components after some time."""
        matrix, factor = self.twin_session.dynamics.discretise(seconds)
        roots = [triangular(np.concatenate([matrix @ root, factor], axis=1)) for root in components.roots]
        return components._replace(roots=np.stack(roots))

    def _refocused(self, components: Components, step: float) -> Components:
        """The components after a change of focus: how much of it comes late is not known well."""
        std = self.twin_session.column.change("C10", step).std
        roots = [triangular(np.concatenate([root, np.diag(std)], axis=1)) for root in components.roots]
        return components._replace(roots=np.stack(roots))

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
        if len(self.largest) > STALLED and self.largest[-1] > (1.0 - LEAST_GAIN) * self.largest[-1 - STALLED]:
            return "drift"
        return "images" if self.next >= MOST_IMAGES else ""

    def _note_step(self, choice: Choice, chosen: Candidate, before: list[Known]) -> None:
        known = self.known
        ratios = [each.std / asked for each, asked in zip(known, self.asked, strict=True)]
        self.largest.append(max(ratios))
        payload = {
            "step": self.next, "c10": chosen.c10, "dwell": chosen.scan.dwell, "means": [each.mean for each in known], "stds": [each.std for each in known],
            "doubt": self.doubt, "ordered": self._ordered is not None, "before": [each.std for each in before], "expected": list(choice.expected),
            "images_to_go": choice.images, "electrons": self.ledger.spent, "dose": self.dose, "time_ns": self.twin_session.belief.time,
        }  # fmt: skip
        self.journal.append("question", payload, self.twin_session.belief.time)

    def _show(self, choice: Choice, chosen: Candidate, images: dict[str, np.ndarray]) -> None:
        """Tell what is believed, why the image was taken and what it looks like beside its prediction."""
        known, ratio = self.known, self.largest[-1]
        state = {
            each.name: (value.mean * each.factor, value.std * each.factor)
            for each, value in zip(self.wanted, known, strict=True)
        }
        why = f"C10 {chosen.c10:+.0f}, dwell {1e6 * chosen.scan.dwell:.0f} us"
        if self._ordered is not None:
            why = f"{why}: a person asked for it"
        elif choice.images is not None:
            why = f"{why}: {choice.images} image{'s' if choice.images > 1 else ''} to what is asked, as expected"
        self.progress.request(
            {
                "decision": "measure", "why": why, "dose_spent": self.ledger.spent, "state": state,
                "distrusted": self.twin_session.trust.distrusted, "time": (self.twin_session.belief.time - self.start) * 1e-9,
                "images": {name: images[name] for name in ("predicted", "measured")},
            }
        )  # fmt: skip
        worst = int(np.argmax([value.std / each.asked for each, value in zip(self.wanted, known, strict=True)]))
        asked, value = self.wanted[worst], known[worst]
        unit = f" {asked.unit}" if asked.unit else ""
        text = f"image {self.next}: {asked.name} {value.mean:.4g} +- {value.std:.2g}{unit}, asked {asked.asked:.3g}"
        self.progress.stage(text, 1.0 / (1.0 + max(math.log(ratio), 0.0)))

    def fixed_series(self) -> tuple[int | None, float]:
        """Images at focus, of the scan's dwell time, that would have told it as well from the prior on, and their electrons (None: more than are planned
        ahead): by the linearised images at the belief now."""
        session = self.twin_session
        layout, belief = session.microscope.layout, session.belief
        prior = Components(np.ones(1), belief.mean[None], np.diag(layout.prior_std())[None])
        responses = Linearization(session).responses([session.tuned(FOCUSED)], [self.scan], prior.means)
        made = choose(prior.variances(self.rows), [prior], self.rows, self.asked, responses)
        return made.images, made.electrons

    def resume(self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Any = ()) -> None:
        """Restore a checkpoint of this question."""
        super().resume(values, arrays, abandoned)
        # what a rewound instrument takes again has no row yet
        rows = [row.payload for row in self.journal.rows("question") if row.payload["step"] <= self.next]
        self.dose = float(rows[-1]["dose"]) if rows else 0.0
        self.largest = [float(np.max(np.array(row["stds"]) / self.asked)) for row in rows]
