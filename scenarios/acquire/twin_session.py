"""The twin at work in a session: a belief that follows readings and images, predictions from it, and what checking them has taught."""

import dataclasses
from typing import Any

import numpy as np
from scipy.special import chdtrc

from learn.discrepancy.field import Discrepancy, Inflation, prior_discrepancy
from learn.discrepancy.trust import Limits, Trust, misfit_excess
from reconstruct.inference.belief import Belief, mixed, prior_belief
from reconstruct.inference.filter import Filter
from reconstruct.inference.image_inference import ModelError, Posterior, absorb, covariance, fit
from twin.channels import control
from twin.dynamics import ColumnDynamics, command_focus, move_stage
from twin.image.microscope import (
    PARAMETERS,
    Microscope,
    affine_optics,
    black_scale,
    counting_cumulant,
    counting_variance,
    to_fraction,
)
from twin.image.prediction import ENSEMBLE_SIZE, Prediction, View, drift_of, evaluate, predict, view, without_detector
from twin.records import Frame, Readings, Scan
from twin.sensors import Sensor

SURPRISE = 3e-3
"""Probability, at each image, that earlier images at this place were misread, or that the optics have jumped since."""
DOUBT = 1e-2
"""An image that the belief allows with a smaller chance is read anew without those before it."""
LOSE_PLACE = 0.33
"""Standard deviation of the position, as a share of the cell, from which the lattice's phase counts as lost."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An image as answered: expected fraction of the incident beam ``image`` [ny, nx] and its standard deviation."""

    image: np.ndarray
    std: np.ndarray


class Following:
    """A belief and what was learnt about the model, moved along by readings, commands and frames."""

    def __init__(
        self,
        microscope: Microscope,
        dynamics: ColumnDynamics,
        sensors: dict[str, Sensor],
        start: int,
        seed: int,
        limits: Limits | None = None,
    ):
        self.microscope, self.dynamics, self.seed = microscope, dynamics, seed
        self.limits = limits or Limits()
        self._untuned = affine_optics(microscope.layout, microscope.calibration, {})
        self.filter = Filter(dynamics, sensors)
        self._aside = Filter(dynamics, sensors)
        self.belief: Belief = prior_belief(microscope.layout, start, lost=("x", "y"))
        self.arrived = self.belief
        """The belief as it was when the stage came here, moved along without the images taken here: where to begin again."""
        self.discrepancy: Discrepancy = prior_discrepancy()
        self.inflation = Inflation()
        self.trust = Trust()

    def follow(self, readings: list[Readings], until: int) -> None:
        """Readings up to a time."""
        self.belief = self._placed(self.filter.advance(self.belief, until, readings))
        self.arrived = self._aside.advance(self.arrived, until, readings)

    def moved_stage(self) -> None:
        """The stage was told to go elsewhere."""
        self.arrived = self.belief = self.belief.widened(*move_stage(self.dynamics))

    def focused(self, step: float) -> None:
        """The focus was told to change by ``step`` angstrom."""
        if step:
            self.belief = self.belief.widened(*command_focus(self.dynamics, step))
            self.arrived = self.arrived.widened(*command_focus(self.dynamics, step))

    def tuned(self, asked: dict[str, float]) -> dict[str, float]:
        """The commands that give what was asked for: zeros of defocus and astigmatism as believed now are taken off."""
        matrix, offset = self._untuned
        zero = matrix @ self.belief.mean + offset
        tuned = dict(asked)
        for parameter, name in (("C10", "C10"), ("C12a", "C12.a"), ("C12b", "C12.b")):
            value = asked.get(name, 0.0) - zero[PARAMETERS.index(parameter)]
            known = control(name)
            tuned[name] = float(np.clip(value, known.lowest, known.highest))
        return tuned

    def ahead(self, until: int, step: float) -> Belief:
        """The belief at a later time if the focus were told to change by ``step`` now; nothing is changed."""
        belief = self.belief.widened(*command_focus(self.dynamics, step)) if step else self.belief
        return self._placed(Filter(self.dynamics, self.filter.sensors).advance(belief, until))

    def _placed(self, belief: Belief) -> Belief:
        """The belief, with the lattice's phase given up where it has become too wide to be a Gaussian on its cell.

        Each reading counts by its own width: several places that are each well known, with optics of their own, are not a lost place.
        """
        place = [belief.layout.index("x"), belief.layout.index("y")]
        own = (belief.factors[:, place, :] ** 2).sum(axis=2)
        if belief.lost or np.sqrt(belief.weights @ own).max() < LOSE_PLACE * self.microscope.cell:
            return belief
        return dataclasses.replace(belief, lost=("x", "y")).forgotten()

    def predict(self, belief: Belief, settings: dict[str, float], scan: Scan, index: int) -> tuple[Prediction, View]:
        """What an image with these settings would show at the belief's time, before anything is measured."""
        generator = np.random.default_rng([self.seed, index, 1])
        request = view(self.microscope, settings, scan, drift_of(belief.layout, belief.mean))
        states = belief.sample(ENSEMBLE_SIZE, generator)

        def error(images: np.ndarray) -> np.ndarray:
            return self.discrepancy.sample(images, request.scan, generator)

        return predict(self.microscope, states, request, error, self.inflation.factor), request

    def assimilate(
        self, frame: Frame, prediction: Prediction, index: int, learn: bool = True
    ) -> tuple[Answer, Posterior, np.ndarray]:
        """The answer from belief and frame; with ``learn`` the belief, the discrepancy and the trust take it in.

        Returns the answer, the posterior over the image's parameters, and the measured image as fractions. ``prediction`` was made before.
        """
        generator = np.random.default_rng([self.seed, index, 2])
        request = view(self.microscope, frame.settings, frame.scan, drift_of(self.belief.layout, self.belief.mean))
        error = self.error(request.scan)
        posterior = fit(self.microscope, self.belief, request, frame.data, error, generator)
        after = absorb(self.belief, request, posterior)
        data = to_fraction(self.microscope.calibration, frame.scan, frame.data).reshape(-1)
        if self._taught and chdtrc(max(posterior.learnt, 1.0), posterior.tension) < DOUBT:
            again = fit(self.microscope, self.arrived, request, frame.data, error, generator)
            odds = again.evidence - posterior.evidence + np.log(SURPRISE)
            share = float(1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0))))
            after = mixed(after, absorb(self.arrived, request, again), share)
            if share > 0.5:
                posterior = dataclasses.replace(again, tension=again.tension - 2.0 * float(np.log(SURPRISE)))
        answer = self._fuse(after, request, self._freed(after, data, frame.scan), generator)
        if learn:
            self.belief = after
            self._learn(request, posterior, data, prediction)
        return answer, posterior, data.reshape(frame.scan.shape)

    @property
    def _taught(self) -> bool:
        """Whether an image taken here is in the belief: it has then parted from the one that is moved along without them."""
        return self.belief.lost != self.arrived.lost or not np.array_equal(self.belief.means, self.arrived.means)

    def _freed(self, belief: Belief, data: np.ndarray, scan: Scan) -> np.ndarray:
        """Measured fractions with the detector's gain and level, as believed, taken out."""
        layout = self.microscope.layout
        dark = belief.mean[layout.index("black")] * black_scale(self.microscope.calibration, scan)
        return (data - dark) * np.exp(-belief.mean[layout.index("gain")])

    def _fuse(self, belief: Belief, request: View, data: np.ndarray, generator: np.random.Generator) -> Answer:
        """The image given the frame: the posterior's, moved by what a discrepancy explains of the residual."""
        states = belief.sample(ENSEMBLE_SIZE, generator)
        plain = evaluate(
            self.microscope, without_detector(states @ request.matrix.T + request.offset[None, :]), request
        )
        mean = plain.mean(axis=0)
        scattered = plain - mean[None, :]
        of_state = scattered.T @ scattered / (len(plain) - 1)
        own = self.discrepancy.covariance(mean, request.scan)
        total = covariance(self.microscope, mean, lambda _: own, request.scan)
        gain = np.linalg.solve(total, own).T
        left = own - gain @ own
        variance = np.maximum(np.diag(of_state) + np.diag(left), 0.0)
        return Answer(
            (mean + gain @ (data - mean)).reshape(request.scan.shape), np.sqrt(variance).reshape(request.scan.shape)
        )

    def _learn(self, request: View, posterior: Posterior, data: np.ndarray, prediction: Prediction) -> None:
        signal = posterior.signal
        noise = counting_variance(self.microscope.calibration, request.scan, np.maximum(signal, 1e-9))
        was_lost = prediction.statistics["phase.plus"].std > 1.0
        self.discrepancy = self.discrepancy.learnt(request.scan, signal, posterior.innovation, posterior.slopes, noise)
        if not was_lost:
            self.inflation = self.inflation.learnt(
                self._checked(request, prediction, self._freed(self.belief, data, request.scan), noise)
            )
        allowed = self.discrepancy.covariance(signal, request.scan, amplitude=self.limits.discrepancy)
        fourth = counting_cumulant(request.scan, signal)
        self.trust = self.trust.heard(
            misfit_excess=misfit_excess(posterior.residual, np.diag(noise) + allowed, fourth, posterior.dof),
            discrepancy_above=self.discrepancy.above(self.limits.discrepancy),
            tension=posterior.tension,
            learnt=posterior.learnt,
            inflation=self.inflation.factor,
            limits=self.limits,
        )

    def _checked(self, request: View, prediction: Prediction, data: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Standardised errors of a prediction's linear numbers against the measured image, its counting noise allowed for."""
        shape = request.scan.shape
        patterns = _patterns(shape)
        difference = patterns @ (data - prediction.mean)
        variance = np.einsum("kp,pq,kq->k", patterns, prediction.covariance, patterns) / self.inflation.factor**2
        counting = (patterns**2) @ noise
        return difference / np.sqrt(variance + counting)

    def error(self, scan: Scan) -> ModelError:
        """The model's error in an image of this scan, as learnt so far."""
        return lambda expected: self.discrepancy.covariance(expected, scan)

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """All that changes, as plain values and arrays, for a journal."""
        belief = self.belief
        values = {
            "time_ns": belief.time,
            "lost": list(belief.lost),
            "arrived.lost": list(self.arrived.lost),
            "names": list(belief.layout.names),
            "discrepancy": {"images": self.discrepancy.images},
            "inflation": dataclasses.asdict(self.inflation),
            "trust": dataclasses.asdict(self.trust),
            "filter": self.filter.kept(),
        }
        arrays = {
            "weights": belief.weights,
            "means": belief.means,
            "factors": belief.factors,
            "arrived.weights": self.arrived.weights,
            "arrived.means": self.arrived.means,
            "arrived.factors": self.arrived.factors,
            "discrepancy": self.discrepancy.log_weights,
        }
        return values, arrays

    def restore(self, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Back to a checkpoint; ValueError if it is of another state."""
        layout = self.microscope.layout
        if tuple(values["names"]) != layout.names:
            raise ValueError(
                f"the checkpoint's state has entries {values['names']}, this version has {list(layout.names)}; it cannot go on from there"
            )
        if "filter" not in values:
            raise ValueError(
                "the checkpoint is of an earlier version, which kept its filter otherwise; begin a new session"
            )
        self.belief = Belief(
            layout, int(values["time_ns"]), arrays["weights"], arrays["means"], arrays["factors"], tuple(values["lost"])
        )
        self.arrived = Belief(
            layout,
            int(values["time_ns"]),
            arrays["arrived.weights"],
            arrays["arrived.means"],
            arrays["arrived.factors"],
            tuple(values["arrived.lost"]),
        )
        self.discrepancy = Discrepancy(arrays["discrepancy"], int(values["discrepancy"]["images"]))
        self.inflation = Inflation(**values["inflation"])
        self.trust = Trust(**values["trust"])
        for one in (self.filter, self._aside):
            one.take_up(values["filter"])


def _patterns(shape: tuple[int, int]) -> np.ndarray:
    """Unit patterns [9, pixels] whose products with an image are its mean and lowest harmonics."""
    ny, nx = shape
    y, x = np.meshgrid(2 * np.pi * np.arange(ny) / ny, 2 * np.pi * np.arange(nx) / nx, indexing="ij")
    rows = [np.ones(shape)]
    for angle in (x, y, x + y, x - y):
        rows += [np.cos(angle), np.sin(angle)]
    return np.stack([row.reshape(-1) / np.linalg.norm(row) for row in rows])


def describe_state(belief: Belief) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the entries a person looks at."""
    mean, std = belief.mean, belief.std
    wanted = ("C10", "C12a", "C12b", "x", "y", "thickness")
    return {name: (float(mean[belief.layout.index(name)]), float(std[belief.layout.index(name)])) for name in wanted}
