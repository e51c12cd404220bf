"""The twin of a field: what its detectors count of a column without the change and with it, at any settings, and what tests of these counts promise."""

import functools
import math
from typing import NamedTuple

import msgspec
import numpy as np

from learn.design.sequential import Errors, Steps, best_steps
from learn.feasibility.assessment import Asked, assess
from learn.feasibility.columns.counted import Counted, of_channel
from learn.feasibility.columns.lattice import Fitted, Lattice
from learn.feasibility.columns.placed import placed
from learn.feasibility.scanned import signatures_of
from learn.feasibility.scans import Probe
from learn.information import Detection, Signature, Tests
from learn.information.doses import dose_at
from scenarios.acquire.detect.wanted import GAIN, Wanted
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.kinds import detect
from scenarios.plan.readings import reading_of
from scenarios.plan.scene import Scene, settings_of
from scenarios.question.tables import Question
from twin.optics.electrons import ELEMENTARY_CHARGE

SHAPES = ((1, 2), (1, 3), (1, 4), (2, 2), (2, 3), (3, 3), (3, 4), (4, 4), (5, 5), (6, 6))
"""Lines and places of each of the scans about a column that are weighed."""
PIXELS = (0.2, 0.3, 0.4, 0.5)
"""Angstrom between the places."""
UNITS = 16
"""Units of electrons in a test of one size."""
STEPS = (1, 2, 4, 8, 16)
"""Units of a visit."""
FIRST_SHARE = 0.1
"""Share of changed columns before anything is recorded."""
SPARED = 1.2
"""Times as many electrons as are needed at least that may spare dose: smaller patches need fewer electrons at a larger dose."""
MOST_ELECTRONS = 1e8
"""On a patch: with more all that a few places count would be fitted."""
LEAST_CURRENT = 0.01
"""pA: a smaller beam is not asked for."""
FIXED_DWELL = 1e-2
"""Second at a place in which a test of one size is recorded, where the current allows it."""


class Patch(NamedTuple):
    """Places about a column, ``pixel`` angstrom apart in ``lines`` of ``width`` places, scanned with a ``detector`` by a ``current`` in electrons/second;
    ``electrons`` of a test of one size with the errors that are asked for, and how many more ``flyback`` takes in each visit."""

    detector: str
    lines: int
    width: int
    pixel: float
    current: float
    electrons: float
    flyback: float

    @property
    def places(self) -> np.ndarray:
        """[lines width, 2] (x, y) from the column, row by row."""
        x, y = ((np.arange(count) - (count - 1) / 2.0) * self.pixel for count in (self.width, self.lines))
        return np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)

    @property
    def area(self) -> float:
        """In angstrom^2."""
        return self.lines * self.width * self.pixel**2


@functools.lru_cache(maxsize=256)
def steps_of(errors: Errors, share: float, information: float, flyback: float) -> Steps:
    """The best next number of units by likelihood ratio: of a unit's ``information``, each visit costing ``flyback`` units more; costs in units."""
    sizes = np.array(STEPS, float)
    return best_steps(errors.thresholds, share, information * sizes, sizes + flyback)


class Template:
    """The counts of a patch about a column: ``signature`` for each electron on it, of the change in ``change`` [m], and tests at any number of electrons."""

    def __init__(self, signature: Signature, references: int):
        self.signature = signature
        self.change = signature.changed.mean(0) - signature.rates
        self._tests = Tests(signature, references)
        self._made: dict[float, Detection] = {}

    def test(self, electrons: float) -> Detection:
        """At ``electrons`` on the patch."""
        if electrons not in self._made:
            self._made[electrons] = self._tests.at(electrons, weights=True)
        return self._made[electrons]

    def shift(self, electrons: float) -> float:
        """By how many standard deviations the change moves its sum (root mean square over its ways)."""
        return float(np.sqrt(np.mean(np.square(self.test(electrons).shifts))))


class FieldTwin:
    """The twin of the field of a ``question``: `lattice` finds it in scans, `patch` says how a column is scanned, `template` what its counts are."""

    def __init__(self, question: Question, wanted: Wanted, progress: Progress):
        self.question = msgspec.structs.replace(question, option=list(wanted.options.values()))
        self.wanted = wanted
        self.scene: Scene = detect.scene(self.question, progress)
        scene = self.scene
        progress.stage("weighing the detectors")
        readings = [reading_of(each, scene, progress) for each in self.question.option]
        self.detectors = {each.name: each.detector for each in readings}
        self.counted = Counted(scene.matrices[0], scene.matrices[1:], self.detectors, scene.window, scene.thicker)
        self.unknown = detect.unknown_of(self.question, readings[0].seen.derivatives)
        columns, asked = len(wanted.places), question.asked
        tests = columns if asked.where == "anywhere" else 1
        told = Asked(asked.power, asked.false_alarms, tests, columns - 1)
        self.doses = {each.name: assess(each.seen, each.detector, self.unknown, told).dose for each in readings}
        if not math.isfinite(min(self.doses.values())):
            problem = "no dose of any annular detector tells the change with the power asked for"
            raise BadInput("option", problem, "Give other angles, or weigh the question with emtwin plan.")
        gain = question.unknown.gain
        priors = settings_of(self.question) | {"gain": GAIN if gain is None else max(gain, 1e-3)}
        self.lattice = Lattice(self.counted, wanted.alike, scene.probe, priors, question.unknown.model)
        if self.patch(scene.probe) is None:
            problem = f"is {question.limits.dose:g}; no scan about a column tells the change within it"
            raise BadInput("limits.dose", problem, "Allow a larger dose, or leave the limit out.")

    @property
    def best(self) -> str:
        """The detector that needs the least dose at the settings that are assumed."""
        return min(self.doses, key=self.doses.__getitem__)

    @property
    def dose(self) -> float:
        """That a fixed protocol gives the whole field, in electrons per square angstrom: what `emtwin plan` promises."""
        return self.doses[self.best]

    def patch(self, probe: Probe) -> Patch | None:
        """The detector and the places by which a column is expected to be decided with the fewest electrons, with a ``probe``, and of those that need hardly
        more (`SPARED`) the ones of the least dose; None where the limit of dose allows none."""
        limit = self.question.limits.dose
        made = [
            self._patch(probe, Patch(name, lines, width, pixel, 0.0, math.inf, 0.0))
            for name in self.detectors
            for lines, width in SHAPES
            for pixel in PIXELS
            if width * pixel <= min(self.scene.window.sides)
        ]
        finite = [each for each in made if math.isfinite(each.electrons)]
        allowed = [each for each in finite if limit is None or each.electrons / each.area <= limit]
        if not allowed:
            return None
        costs = [self._cost(each) for each in allowed]
        near = [each for each, cost in zip(allowed, costs, strict=True) if cost <= SPARED * min(costs)]
        return min(near, key=lambda each: each.electrons / each.area)

    def _patch(self, probe: Probe, patch: Patch) -> Patch:
        """With current and electrons of a test of one size."""
        errors, instrument = self.wanted.errors, self.question.instrument
        tests = Tests(self._signature(probe, patch, (0.0, 0.0)), len(self.wanted.places) - 1)
        electrons = dose_at(lambda dose: errors.power - tests.at(min(dose, MOST_ELECTRONS)).power(errors.false_alarms))
        if not math.isfinite(electrons):
            return patch
        picoampere = 1e-12 / ELEMENTARY_CHARGE
        slow = electrons / (patch.lines * patch.width * FIXED_DWELL)
        current = min(max(slow, LEAST_CURRENT * picoampere), instrument.current_pA * picoampere)
        return patch._replace(current=current, electrons=electrons, flyback=current * patch.lines * instrument.flyback)

    def _cost(self, patch: Patch) -> float:
        """Electrons that are expected until a column is decided, flyback included."""
        unit, errors = patch.electrons / UNITS, self.wanted.errors
        steps = steps_of(errors, FIRST_SHARE, errors.fixed / UNITS, patch.flyback / unit)
        return float(steps.expected_cost(np.array(0.0))) * unit

    def template(self, fit: Fitted, patch: Patch, off: tuple[float, float], references: int) -> Template:
        """Of a patch whose places lie ``off`` (x, y) in angstrom further than the columns by the ``fit``."""
        return Template(self._signature(fit.probe, patch, off), references)

    def _signature(self, probe: Probe, patch: Patch, off: tuple[float, float]) -> Signature:
        channel, detector = self.counted.channel(patch.detector)
        scan = of_channel(self.counted.scanned(probe), channel)
        signature = signatures_of(scan, detector, self.unknown)[0][0]
        return placed(signature, self.scene.window, patch.places + np.array(off) + self.lattice.location)
