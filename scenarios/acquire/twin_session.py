"""The twin during a session: the belief, its predictions, and the model discrepancy estimated from checked predictions."""

import dataclasses
from typing import Any

import numpy as np
from scipy.special import chdtrc

from learn.discrepancy.field import Discrepancy, Inflation
from learn.discrepancy.trust import Limits, Trust, misfit_excess
from reconstruct.inference.belief import Belief, mixed, prior_belief
from reconstruct.inference.filter import Filter
from reconstruct.inference.image_inference import ModelError, Posterior, absorb, covariance, fit
from twin.channels import control
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
from twin.sensors import Model

MISREAD_PROBABILITY = 3e-3
"""Prior probability, at each image, that earlier images at this site were misread, or that the optics have jumped since."""
REREAD_CHANCE = 1e-2
"""An image whose p-value under the belief is smaller is also fitted from the site prior, without the earlier images of this site."""
LOST_POSITION_STD = 0.33
"""Standard deviation of the position, as a share of the cell, above which the phase of the lattice is treated as unknown."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answered image: expected fraction of the incident beam ``image`` [ny, nx] and its standard deviation."""

    image: np.ndarray
    std: np.ndarray


class TwinSession:
    """Belief and model discrepancy, updated by readings, commands and frames."""

    def __init__(
        self,
        microscope: Microscope,
        column: Model,
        start: int,
        seed: int,
        limits: Limits | None = None,
    ):
        self.microscope, self.column, self.seed = microscope, column, seed
        self.dynamics = column.dynamics
        self.limits = limits or Limits()
        self._untuned = affine_optics(microscope.layout, microscope.calibration, {})
        sensors = {sensor.channel: sensor for sensor in column.evidence}
        self.filter = Filter(self.dynamics, sensors)
        self._site_filter = Filter(self.dynamics, sensors)
        self.belief: Belief = prior_belief(microscope.layout, start, circular_uniform=("x", "y"))
        self.site_prior = self.belief
        """The belief at arrival at this site, propagated without its images: the prior if they turn out to be misread."""
        self.discrepancy = Discrepancy.prior()
        self.inflation = Inflation()
        self.trust = Trust()

    def follow(self, readings: list[Readings], until: int) -> None:
        """Update with readings up to the time ``until`` (ns)."""
        self.belief = self._placed(self.filter.advance(self.belief, until, readings))
        self.site_prior = self._site_filter.advance(self.site_prior, until, readings)

    def move_stage(self, x: float, y: float) -> None:
        """Update for a stage move by (``x``, ``y``) angstrom: the belief becomes the prior of the new site."""
        axis, step = max((("stage.x", x), ("stage.y", y)), key=lambda each: abs(each[1]))
        self.site_prior = self.belief = self.belief.widened(*self.column.change(axis, step))

    def forget(self) -> None:
        """The prior again: what a person did to the column is not known."""
        self.belief = prior_belief(self.microscope.layout, self.belief.time, circular_uniform=("x", "y"))
        self.site_prior = self.belief

    def change_focus(self, step: float) -> None:
        """Update for a commanded change of focus by ``step`` angstrom."""
        if step:
            self.belief = self.belief.widened(*self.column.change("C10", step))
            self.site_prior = self.site_prior.widened(*self.column.change("C10", step))

    def tuned(self, requested: dict[str, float]) -> dict[str, float]:
        """Commands that give the settings ``requested``: the estimated zeros of defocus and astigmatism are subtracted."""
        matrix, offset = self._untuned
        zero = matrix @ self.belief.mean + offset
        tuned = dict(requested)
        for parameter, name in (("C10", "C10"), ("C12a", "C12.a"), ("C12b", "C12.b")):
            value = requested.get(name, 0.0) - zero[PARAMETERS.index(parameter)]
            known = control(name)
            tuned[name] = float(np.clip(value, known.lowest, known.highest))
        return tuned

    def ahead(self, until: int, step: float, belief: Belief | None = None) -> Belief:
        """The ``belief`` (None: that of now) at a later time if the focus were changed by ``step``; the session itself is not changed."""
        belief = self.belief if belief is None else belief
        belief = belief.widened(*self.column.change("C10", step)) if step else belief
        return self._placed(Filter(self.dynamics, self.filter.sensors).advance(belief, until))

    def _placed(self, belief: Belief) -> Belief:
        """The belief, with the phase of the lattice set to unknown if it is too wide for a Gaussian on its cell.

        The width of each component counts: several narrow components at different positions are not an unknown position.
        """
        indices = [belief.layout.index("x"), belief.layout.index("y")]
        variances = (belief.cov_sqrt[:, indices, :] ** 2).sum(axis=2)
        if (
            belief.circular_uniform
            or np.sqrt(belief.weights @ variances).max() < LOST_POSITION_STD * self.microscope.cell
        ):
            return belief
        return dataclasses.replace(belief, circular_uniform=("x", "y")).forgotten()

    def predict(self, belief: Belief, settings: dict[str, float], scan: Scan, index: int) -> tuple[Prediction, View]:
        """Predicted image with these settings at the belief's time, and the view it is computed for."""
        generator = np.random.default_rng([self.seed, index, 1])
        request = view(self.microscope, settings, scan, drift_of(belief.layout, belief.mean))
        states = belief.sample(ENSEMBLE_SIZE, generator)

        def error(images: np.ndarray) -> np.ndarray:
            return self.discrepancy.sample(images, request.scan, generator)

        return predict(self.microscope, states, request, error, self.inflation.factor), request

    def assimilate(
        self, frame: Frame, prediction: Prediction, index: int, learn: bool = True
    ) -> tuple[Answer, Posterior, np.ndarray]:
        """The answer from belief and frame; with ``learn`` belief, discrepancy and trust are updated.

        Returns the answer, the posterior of the image parameters, and the measured image as fractions. ``prediction`` was computed before the frame.
        """
        generator = np.random.default_rng([self.seed, index, 2])
        request = view(self.microscope, frame.settings, frame.scan, drift_of(self.belief.layout, self.belief.mean))
        error = self.error(request.scan)
        posterior = fit(self.microscope, self.belief, request, frame.data, error, generator)
        posterior_belief = absorb(self.belief, request, posterior)
        data = to_fraction(self.microscope.calibration, frame.scan, frame.data).reshape(-1)
        if self._has_images and chdtrc(max(posterior.determined, 1.0), posterior.tension) < REREAD_CHANCE:
            again = fit(self.microscope, self.site_prior, request, frame.data, error, generator)
            odds = again.evidence - posterior.evidence + np.log(MISREAD_PROBABILITY)
            share = float(1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0))))
            posterior_belief = mixed(posterior_belief, absorb(self.site_prior, request, again), share)
            if share > 0.5:
                posterior = dataclasses.replace(again, tension=again.tension - 2.0 * float(np.log(MISREAD_PROBABILITY)))
        answer = self._fused_answer(
            posterior_belief, request, self._without_detector(posterior_belief, data, frame.scan), generator
        )
        if learn:
            self.belief = posterior_belief
            self._update_model(request, posterior, data, prediction)
        return answer, posterior, data.reshape(frame.scan.shape)

    @property
    def _has_images(self) -> bool:
        """Whether the belief includes an image of this site: it then differs from the site prior."""
        return self.belief.circular_uniform != self.site_prior.circular_uniform or not np.array_equal(
            self.belief.means, self.site_prior.means
        )

    def _without_detector(self, belief: Belief, data: np.ndarray, scan: Scan) -> np.ndarray:
        """Measured fractions corrected for the estimated gain and black level of the detector."""
        layout = self.microscope.layout
        dark = belief.mean[layout.index("black")] * black_scale(self.microscope.calibration, scan)
        return (data - dark) * np.exp(-belief.mean[layout.index("gain")])

    def answer(
        self, belief: Belief, settings: dict[str, float], scan: Scan, data: np.ndarray | None, index: int
    ) -> Answer:
        """The answer of request ``index`` from a ``belief`` that has its image, whose fractions are ``data`` [pixels] (None: it was not measured)."""
        generator = np.random.default_rng([self.seed, index, 4])
        request = view(self.microscope, settings, scan, drift_of(belief.layout, belief.mean))
        data = None if data is None else self._without_detector(belief, data, scan)
        return self._fused_answer(belief, request, data, generator)

    def _fused_answer(
        self, belief: Belief, request: View, data: np.ndarray | None, generator: np.random.Generator
    ) -> Answer:
        """Posterior of the image given the frame: mean image of the belief plus the part of the residual that the discrepancy explains."""
        states = belief.sample(ENSEMBLE_SIZE, generator)
        plain = evaluate(
            self.microscope, without_detector(states @ request.matrix.T + request.offset[None, :]), request
        )
        mean = plain.mean(axis=0)
        scattered = plain - mean[None, :]
        of_state = scattered.T @ scattered / (len(plain) - 1)
        model_covariance = self.discrepancy.covariance(mean, request.scan)
        if data is None:
            variance = np.maximum(np.diag(of_state) + np.diag(model_covariance), 0.0)
            return Answer(mean.reshape(request.scan.shape), np.sqrt(variance).reshape(request.scan.shape))
        total = covariance(self.microscope, mean, lambda _: model_covariance, request.scan)
        gain = np.linalg.solve(total, model_covariance).T
        left = model_covariance - gain @ model_covariance
        variance = np.maximum(np.diag(of_state) + np.diag(left), 0.0)
        return Answer(
            (mean + gain @ (data - mean)).reshape(request.scan.shape), np.sqrt(variance).reshape(request.scan.shape)
        )

    def _update_model(self, request: View, posterior: Posterior, data: np.ndarray, prediction: Prediction) -> None:
        signal = posterior.signal
        noise = counting_variance(self.microscope.calibration, request.scan, np.maximum(signal, 1e-9))
        was_lost = prediction.statistics["phase.plus"].std > 1.0
        self.discrepancy = self.discrepancy.update(request.scan, signal, posterior.innovation, posterior.slopes, noise)
        if not was_lost:
            self.inflation = self.inflation.update(
                self._checked(request, prediction, self._without_detector(self.belief, data, request.scan), noise)
            )
        allowed = self.discrepancy.covariance(signal, request.scan, amplitude=self.limits.discrepancy)
        fourth = counting_cumulant(request.scan, signal)
        self.trust = self.trust.update(
            misfit_excess=misfit_excess(posterior.residual, np.diag(noise) + allowed, fourth, posterior.dof),
            discrepancy_above=self.discrepancy.above(self.limits.discrepancy),
            tension=posterior.tension,
            tension_dof=posterior.determined,
            inflation=self.inflation.factor,
            limits=self.limits,
        )

    def _checked(self, request: View, prediction: Prediction, data: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Standardised errors of the linear numbers of a prediction against the measured image, including counting noise."""
        shape = request.scan.shape
        patterns = _patterns(shape)
        difference = patterns @ (data - prediction.mean)
        variance = np.einsum("kp,pq,kq->k", patterns, prediction.covariance, patterns) / self.inflation.factor**2
        counting = (patterns**2) @ noise
        return difference / np.sqrt(variance + counting)

    def error(self, scan: Scan) -> ModelError:
        """Covariance of the model error in an image of this scan, as estimated so far."""
        return lambda expected: self.discrepancy.covariance(expected, scan)

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The state as plain values and arrays, for a journal."""
        belief_values, belief_arrays = self.belief.to_state()
        site_values, site_arrays = self.site_prior.to_state()
        values = {
            **belief_values,
            "site_prior": site_values,
            "discrepancy": {"images": self.discrepancy.images},
            "inflation": dataclasses.asdict(self.inflation),
            "trust": dataclasses.asdict(self.trust),
            "filter": self.filter.to_state(),
        }
        arrays = {
            **belief_arrays,
            **{f"site_prior.{name}": array for name, array in site_arrays.items()},
            "discrepancy": self.discrepancy.log_weights,
        }
        return values, arrays

    def restore(self, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Restore a checkpoint; ValueError if its state vector is different."""
        layout = self.microscope.layout
        if tuple(values["names"]) != layout.names:
            raise ValueError(
                f"the checkpoint's state has entries {values['names']}, this version has {list(layout.names)}; it cannot be resumed"
            )
        if "filter" not in values or "site_prior" not in values:
            raise ValueError("the checkpoint is of emtwin 0.1, whose belief has another format; begin a new session")
        self.belief = Belief.from_state(layout, values, arrays)
        site_arrays = {name: arrays[f"site_prior.{name}"] for name in ("weights", "means", "cov_sqrt")}
        self.site_prior = Belief.from_state(layout, values["site_prior"], site_arrays)
        self.discrepancy = Discrepancy(arrays["discrepancy"], int(values["discrepancy"]["images"]))
        self.inflation = Inflation(**values["inflation"])
        self.trust = Trust(**values["trust"])
        for sensor_filter in (self.filter, self._site_filter):
            sensor_filter.from_state(values["filter"])


def _patterns(shape: tuple[int, int]) -> np.ndarray:
    """Unit patterns [9, pixels] whose products with an image are its mean and lowest harmonics."""
    ny, nx = shape
    y, x = np.meshgrid(2 * np.pi * np.arange(ny) / ny, 2 * np.pi * np.arange(nx) / nx, indexing="ij")
    rows = [np.ones(shape)]
    for angle in (x, y, x + y, x - y):
        rows += [np.cos(angle), np.sin(angle)]
    return np.stack([row.reshape(-1) / np.linalg.norm(row) for row in rows])


def describe_state(belief: Belief) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the entries that are displayed."""
    mean, std = belief.mean, belief.std
    names = ("C10", "C12a", "C12b", "x", "y", "thickness")
    return {name: (float(mean[belief.layout.index(name)]), float(std[belief.layout.index(name)])) for name in names}
