"""Choice of exposures against brute force, the factor on the model's variances, even scans, and a whole map by exposures."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from learn.gp.spectra import MapPrediction
from learn.mapping.dosed.choice import Prices, best_exposure, conditioned, loss_weights, worthwhile
from learn.mapping.dosed.even import even_dwells, even_dwells_denoised, even_electrons
from learn.mapping.dosed.exposures import Exposures
from learn.mapping.dosed.loop import DosedMap, acquire_dosed
from learn.mapping.dosed.plan import DosedPlan, check_dosed
from learn.mapping.dosed.session import variance_factor
from learn.mapping.loop import Survey
from reconstruct.measurement.scanned import PixelData, pixel_quantity, quantity_named
from twin.errors import BadInput
from twin.records import Axis

RNG = np.random.default_rng(5)
ROOT = RNG.normal(size=(6, 6))
COVARIANCE = ROOT @ ROOT.T
NOISE = RNG.uniform(0.5, 4.0, 6)
DWELLS = (1, 4, 16)
BY_DWELLS = NOISE[:, None] / np.array(DWELLS)
PRICES = Prices(2.0, 3.0)
EVERY = np.ones((6, 3), dtype=bool)


def after(pixel: int, noise: float) -> np.ndarray:
    """The covariance after a measurement, by adding precisions."""
    precision = np.linalg.inv(COVARIANCE)
    precision[pixel, pixel] += 1.0 / noise
    return np.linalg.inv(precision)


def test_an_exposure_is_a_gaussian_update() -> None:
    mean = RNG.normal(size=6)
    made = conditioned(MapPrediction(mean, COVARIANCE), 2, 1.5, 0.7)
    expected = after(2, 0.7)
    np.testing.assert_allclose(made.covariance, expected, rtol=1e-6, atol=1e-9)
    precision_mean = np.linalg.solve(COVARIANCE, mean)
    precision_mean[2] += 1.5 / 0.7
    np.testing.assert_allclose(made.mean, expected @ precision_mean, rtol=1e-6)


@pytest.mark.parametrize("everywhere", [False, True])
def test_the_best_exposure_is_that_of_all(everywhere: bool) -> None:
    weights = loss_weights(np.diag(COVARIANCE), everywhere)
    made = best_exposure(COVARIANCE, BY_DWELLS, weights, DWELLS, PRICES, EVERY)
    assert made is not None
    falls = {
        (pixel, dwells): float(weights @ np.diag(COVARIANCE - after(pixel, NOISE[pixel] / dwells))) / PRICES.of(dwells)
        for pixel in range(6)
        for dwells in DWELLS
    }
    best = max(falls, key=lambda key: falls[key])
    assert (made.pixel, made.dwells) == best
    assert made.fall / made.price == pytest.approx(falls[best], rel=1e-6)
    assert made.price == 3.0 + 2.0 * made.dwells


def test_only_what_is_allowed_is_chosen() -> None:
    allowed = np.zeros_like(EVERY)
    assert best_exposure(COVARIANCE, BY_DWELLS, np.ones(6), DWELLS, PRICES, allowed) is None
    allowed[4, 1] = True
    made = best_exposure(COVARIANCE, BY_DWELLS, np.ones(6), DWELLS, PRICES, allowed)
    assert made is not None
    assert (made.pixel, made.dwells) == (4, 4)


def test_one_visit_goes_half_of_the_way_at_least() -> None:
    # of variance 1, asked 0.25: a noise of 1/3 does it, by 24 dwell times of noise 8
    allowed = worthwhile(np.array([1.0]), np.array([8.0]), 0.5, (1, 8, 16, 64))
    assert allowed.tolist() == [[False, False, True, True]]
    assert worthwhile(np.array([0.2]), np.array([8.0]), 0.5, (1, 8)).all()


def test_the_factor_on_variances_follows_errors() -> None:
    rng = np.random.default_rng(1)
    variance, noise = rng.uniform(0.5, 2.0, 4000), rng.uniform(0.1, 1.0, 4000)
    for factor in (0.4, 1.0, 3.0):
        off = rng.normal(0.0, np.sqrt(factor * variance + noise))
        told = variance_factor(list(zip(off, variance, noise, strict=True)))
        assert told == pytest.approx(factor, rel=0.1)
    assert variance_factor([]) == 1.0
    # one error says little
    assert 0.7 < variance_factor([(3.0, 1.0, 1.0)]) < 1.6


def test_an_even_scan_by_its_noise() -> None:
    noise = np.array([1.0, 2.0, 3.0])
    assert even_dwells(noise, 0.5, False) == pytest.approx(8.0)
    assert even_dwells(noise, 0.5, True) == pytest.approx(12.0)
    # 2 / n + 3 / n^2 = 0.25
    told = even_dwells(noise, 0.5, False, 3.0)
    assert 2.0 / told + 3.0 / told**2 == pytest.approx(0.25)
    plan = DosedPlan(0.5, False, 1e-3, 2e-4, 1e6)
    assert even_electrons(plan, (4, 5), 3.0) == pytest.approx(1e6 * 4 * (5 * 3e-3 + 2e-4))


@pytest.mark.parametrize(
    ("plan", "shape", "message"),
    [
        (DosedPlan(0.1, False, 1e-3, 0.0, 1e6), (4, 4), "16 are exposed at first"),
        (DosedPlan(0.1, False, 1e-3, 0.0, 1e6), (100, 100), "a map may have 2500"),
        (DosedPlan(0.0, False, 1e-3, 0.0, 1e6), (9, 9), "standard deviation"),
        (DosedPlan(0.1, False, 1e-3, 0.0, 1e6, most=0.4), (9, 9), r"limits\.dose"),
    ],
)
def test_plans_that_cannot_be_followed(plan: DosedPlan, shape: tuple[int, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_dosed(plan, shape)


ROWS, COLUMNS, CHANNELS = 9, 11, 40
Y, X = np.mgrid[:ROWS, :COLUMNS]
SHARES = 1e-3 * (1.5 + np.sin(X / 3.0) + 0.3 * np.cos(Y / 2.0))
"""Of the beam, in the window that is summed."""


class Source:
    """Counts of a smooth map, ``noisier`` than Poisson by that factor, on the sum over a window of a spectrum."""

    def __init__(self, plan: DosedPlan, seed: int = 0, jumps: float = 0.0):
        self.plan, self.rng, self.jumps = plan, np.random.default_rng(seed), jumps
        self.electrons, self.seconds = 0.0, 0.0
        self.notes: list[tuple[str, dict[str, Any]]] = []

    def expose(self, row: int, column: int, dwells: int) -> np.ndarray:
        self.electrons += self.plan.prices.of(dwells)
        self.seconds += dwells * self.plan.dwell + self.plan.visit
        brightness = np.exp(self.jumps * self.rng.standard_normal())
        mean = brightness * SHARES[row, column] * dwells * self.plan.electrons / 20.0
        spectrum = np.zeros(CHANNELS)
        spectrum[10:30] = self.rng.poisson(mean, 20)
        return spectrum + self.plan.readout * self.rng.standard_normal(CHANNELS)

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        self.notes.append((kind, payload))


class Silent:
    def stage(self, text: str, fraction: float | None = None) -> None: ...

    def request(self, event: dict[str, Any]) -> None: ...


def mapped(plan: DosedPlan, **options: Any) -> tuple[DosedMap, Source]:
    source = Source(plan, **options)
    survey = np.random.default_rng(1).poisson(400.0 * SHARES / SHARES.mean()).astype(float)
    name = quantity_named("109-130 eV")
    quantity = pixel_quantity(name, PixelData((Axis("e", CHANNELS, 1.0, 100.0, "electronvolt"),), 1.0, "given"))
    return acquire_dosed(source, Survey(survey, 1), name, quantity, plan, 1.0, Silent()), source


PLAN = DosedPlan(0.05, True, 1e-3, 1e-4, 5e7)


@pytest.mark.slow
def test_a_map_is_exposed_until_it_is_known() -> None:
    made, source = mapped(PLAN)
    session = made.session
    assert made.ended == "reached"
    assert session.std <= session.bound <= session.asked == pytest.approx(0.05 * session.prediction.mean.mean())
    off = session.prediction.mean - SHARES.ravel()
    assert np.sqrt((off**2).mean()) < 1.2 * session.asked
    assert (np.abs(off) < 1.645 * session.prediction.std).mean() > 0.75
    # pixel by pixel it takes more
    alone = even_electrons(PLAN, (ROWS, COLUMNS), even_dwells(session.noise, session.asked, False))
    assert source.electrons < 0.9 * alone
    denoised = even_dwells_denoised(session, session.asked)
    assert denoised is not None
    # of all pixels exposed so long the model expects the error that is asked for
    variances = session.model.variances_if_all(session.noise / denoised)  # pyright: ignore[reportAttributeAccessIssue]
    assert np.sqrt(session.discrepancy * variances.mean()) == pytest.approx(session.asked, rel=0.02)
    kinds = [payload["decision"] for kind, payload in source.notes if kind == "exposure"]
    assert kinds.count("initial") == 16
    assert len(kinds) == session.count
    assert sum(session.exposures.dwells) * PLAN.electrons < source.electrons
    # the same seed does the same
    again, _ = mapped(PLAN)
    np.testing.assert_array_equal(again.session.prediction.mean, session.prediction.mean)


@pytest.mark.slow
def test_limits_end_a_map() -> None:
    made, _ = mapped(DosedPlan(0.002, True, 1e-3, 1e-4, 5e7, most=8.0))
    assert made.ended == "dose"
    assert made.session.exposures.dwells.max() <= 8.0
    made, source = mapped(DosedPlan(0.002, True, 1e-3, 1e-4, 5e7, seconds=0.2))
    assert made.ended == "time"
    assert source.seconds <= 0.2


@pytest.mark.slow
def test_noise_of_the_readout_makes_visits_fewer() -> None:
    quiet, _ = mapped(PLAN)
    loud, _ = mapped(dataclasses.replace(PLAN, readout=30.0))
    assert loud.ended == "reached"
    off = loud.session.prediction.mean - SHARES.ravel()
    assert np.sqrt((off**2).mean()) < 1.2 * loud.session.asked
    per_visit = [made.session.exposures.dwells.sum() / made.session.count for made in (quiet, loud)]
    assert per_visit[1] > 1.5 * per_visit[0]


@pytest.mark.slow
def test_noise_that_is_not_of_counting_is_not_told_away() -> None:
    """A beam whose current jumps from one exposure to the next: the variances grow, or the model is distrusted."""
    made, _ = mapped(PLAN, jumps=0.4)
    session = made.session
    assert session.distrusted or session.discrepancy > 1.0
    off = session.prediction.mean - SHARES.ravel()
    assert made.ended != "reached" or np.sqrt((off**2).mean()) < 1.5 * session.asked


def test_values_are_shares_of_the_beam_whatever_the_dwell_time() -> None:
    name = quantity_named("109-130 eV")
    quantity = pixel_quantity(name, PixelData((Axis("e", CHANNELS, 1.0, 100.0, "electronvolt"),), 2.0, "given"))
    exposures = Exposures(quantity, 1000.0, 2.0, np.zeros((5, 1)))
    spectrum = np.zeros(CHANNELS)
    spectrum[10:30] = 2.0  # one electron each
    exposures.add(3, spectrum, 1.0)
    exposures.add(3, 3.0 * spectrum, 3.0)
    pixels, values, noise = exposures.values()
    assert pixels.tolist() == [3]
    assert values[0] == pytest.approx(20.0 / 1000.0)
    # 80 electrons in 4 dwell times: the variance of a share of one is 20 / 1000^2
    assert noise[0] == pytest.approx(20.0 / 1000.0**2)
    assert exposures.value(spectrum, 1.0) == pytest.approx((0.02, 20.0 / 1000.0**2))
    np.testing.assert_allclose(exposures.unit_noise(), 20.0 / 1000.0**2)


def test_noise_of_the_readout_counts_with_every_exposure() -> None:
    name = quantity_named("109-130 eV")
    quantity = pixel_quantity(name, PixelData((Axis("e", CHANNELS, 1.0, 100.0, "electronvolt"),), 2.0, "given"))
    exposures = Exposures(quantity, 1000.0, 2.0, np.zeros((40, 1)), readout=3.0)
    for pixel in range(40):
        exposures.add(pixel, np.full(CHANNELS, 50.0), 4.0)
    exposures.learn()
    # 22 channels of 3 electrons each, over 1000 electrons
    assert exposures.reading == pytest.approx(22 * 9.0 / 1000.0**2, rel=0.15)
    noise = float(exposures.noise_of(2.0, 4.0, 3.0))
    assert noise == pytest.approx(0.5 + 3.0 * exposures.reading / 16.0)
