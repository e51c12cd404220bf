"""The map of a quantity over an area by exposures of single pixels: where, how long, and when it is enough."""

import time
from typing import NamedTuple

import jax
import numpy as np

from learn.design.sampling import spread_out
from learn.gp.spectra import GPMap, image_features
from learn.mapping.dosed.choice import Exposure, best_exposure, loss_weights, worthwhile
from learn.mapping.dosed.exposures import Exposures
from learn.mapping.dosed.plan import DosedPlan, check_dosed
from learn.mapping.dosed.session import DosedSession, DosedSource
from learn.mapping.loop import BATCH_SHARE, LEAST_BATCH, SPREAD_OVER, Survey, first_pixels
from learn.mapping.session import Progress
from reconstruct.measurement.scanned import PixelQuantity, QuantityName
from reconstruct.measurement.scanned.quantity import least_values
from twin.errors import BadInput, from_twin

FIRST = 4
"""Shortest dwell times of the first exposures; twice as many where these show too little, and so on."""
MOST_EXPOSURES = 50_000
DRAWS, FITTED = 8, 256
"""Sets of the model's parameters that are averaged over, and pixels that they are estimated from: more would make the instrument wait."""


class DosedMap(NamedTuple):
    """A finished session, and why it ``ended``: "reached", "dose", "time", "distrusted", "exposures". ``decisions``: seconds that each choice took,
    ``fits``: seconds of each estimation of the model's parameters; ``first_answer``: seconds to the first map; ``notes`` in words."""

    session: DosedSession
    ended: str
    decisions: list[float]
    fits: list[float]
    first_answer: float
    determined: dict


def acquire_dosed(
    source: DosedSource,
    survey: Survey,
    name: QuantityName,
    quantity: PixelQuantity,
    plan: DosedPlan,
    gain: float,
    progress: Progress,
) -> DosedMap:
    """Expose pixels until the map is known as well as the ``plan`` asks for, or a limit ends it.

    The model is a Gaussian process over position and features of the survey (`learn.mapping.models`), its parameters integrated over; between two
    estimations of these each exposure updates the map by Gaussian conditioning. ``gain``: counts per electron. The same seed gives the same result.
    BadInput for what cannot be used.
    """
    begun = time.monotonic()
    shape = survey.image.shape[0] // survey.finer, survey.image.shape[1] // survey.finer
    check_dosed(plan, shape)
    with jax.enable_x64(True):
        features = image_features(survey.image.astype(np.float32).astype(np.float64), survey.finer)
        model = GPMap(shape, features, draws=DRAWS, fitted=FITTED)
        points = np.concatenate([model.positions * SPREAD_OVER / max(shape), features], axis=1)
        exposures = Exposures(quantity, plan.electrons, gain, points, plan.readout)
        session = DosedSession(source, model, exposures, plan, progress)
        rng = np.random.default_rng(plan.seed)
        determined = _begin(session, name, points, rng)
        loop = _Loop(session, rng)
        loop.fit()
        first_answer = time.monotonic() - begun
        ended = loop.run()
    return DosedMap(session, ended, loop.decisions, loop.fits, first_answer, determined)


def _begin(session: DosedSession, name: QuantityName, points: np.ndarray, rng: np.random.Generator) -> dict:
    """Expose the first pixels until they have values, and what these determine."""
    count, plan = len(points), session.plan
    pixels = spread_out(points, first_pixels(count), np.arange(count), rng)
    dwells = min(FIRST, plan.dwells[-1])
    while True:
        for pixel in pixels:
            session.first(int(pixel), dwells)
        try:
            determined = session.exposures.learn()
            _, values, _ = session.exposures.values()
            whole = np.concatenate([values, np.full(len(pixels) - len(values), np.nan)])
            if not least_values(whole):
                raise ValueError(f"{len(values)} of the first {len(pixels)} pixels have a value of it")
            return determined
        except BadInput:
            raise
        except ValueError as error:
            spent = float(session.exposures.dwells.max())
            if 2 * dwells > plan.dwells[-1] or (plan.most is not None and spent + 2 * dwells > plan.most):
                raise from_twin(
                    f"quantity {name.text!r}", error, "Ask for another quantity, or allow more dose."
                ) from error
            dwells *= 2


class _Loop:
    """Choices until an end."""

    def __init__(self, session: DosedSession, rng: np.random.Generator):
        self.session, self.rng = session, rng
        self.decisions: list[float] = []
        self.fits: list[float] = []
        self.batch = max(LEAST_BATCH, len(session.model.positions) // BATCH_SHARE)

    def fit(self) -> None:
        """Estimate the model's parameters anew."""
        begun = time.monotonic()
        self.session.refit()
        self.fits.append(time.monotonic() - begun)

    def run(self) -> str:
        """Until an end; which one."""
        session = self.session
        while True:
            if session.hopeless:
                return "distrusted"
            if session.reached:
                if session.fitted < session.count:  # a claim is made by parameters of all exposures
                    self.fit()
                    continue
                ended = self._confirm()
                if ended:
                    return ended
                continue
            ended = self._step()
            if ended:
                return ended
            if session.stale:
                self.fit()

    def _confirm(self) -> str:
        """Random pixels check a first claim to be sure; empty where it does not hold."""
        for _ in range(self.batch):
            if over := self._step(audit=True):
                return over
        self.fit()
        return "reached" if self.session.reached else ""

    def _step(self, audit: bool = False) -> str:
        """One exposure; which limit ends the session instead, if one does."""
        session, begun = self.session, time.monotonic()
        audit = audit or bool(self.rng.random() < session.plan.audit_share)
        chosen = self._chosen(audit)
        self.decisions.append(time.monotonic() - begun)
        if chosen is None:
            return "dose"
        plan = session.plan
        if plan.seconds is not None and session.source.seconds + chosen.price / plan.current > plan.seconds:
            return "time"
        if session.count >= MOST_EXPOSURES:
            return "exposures"
        session.expose(chosen, "audit" if audit else "measure")
        return ""

    def _chosen(self, audit: bool) -> Exposure | None:
        session, plan = self.session, self.session.plan
        dwells = plan.dwells
        room = np.inf if plan.most is None else plan.most - session.exposures.dwells
        allowed = np.array(dwells)[None, :] <= np.broadcast_to(room, len(session.noise))[:, None] + 1e-9
        if audit and allowed.any():
            pixel = self.rng.choice(np.flatnonzero(allowed.any(axis=1)))
            own = np.zeros_like(allowed)
            own[pixel] = allowed[pixel]
            allowed = own
        variances = np.maximum(np.diag(session.prediction.covariance), 0.0)
        weights = loss_weights(variances, plan.everywhere)
        allowed = allowed & worthwhile(session.discrepancy * variances, session.noise, session.asked, dwells)
        noise = np.asarray(session.exposures.noise_of(session.noise[:, None], np.array(dwells, float)[None, :]))
        return best_exposure(session.prediction.covariance, noise, weights, dwells, plan.prices, allowed)
