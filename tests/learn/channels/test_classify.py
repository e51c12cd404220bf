"""Classes of channels with reasons, noise, drift and lag with errors, "too few", and calibrated forecasts."""

import numpy as np
import pytest

from learn.channels.classify import describe_channel
from learn.channels.forecast import Forecaster, last_value_baseline, score_forecasts
from learn.channels.lag import Lag, learn_lag
from learn.channels.noise import Drift, TooFew, learn_drift
from learn.channels.steps import reporting_step

SEEDS = range(6)


def _times(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.cumsum(rng.exponential(2.0, count))


def _walk(rng: np.random.Generator, t: np.ndarray, rate: float) -> np.ndarray:
    return np.cumsum(rng.normal(size=t.size) * rate * np.sqrt(np.diff(t, prepend=t[0])))


def test_constant_and_periodic():
    t = 120.0 * np.arange(30) + np.random.default_rng(0).normal(size=30) * 0.001
    report = describe_channel(t, np.ones(30), (0.0, 3600.0))
    assert report.kinds == ("constant", "periodic")
    assert report.verdicts[1].why.startswith("reported every 120.00")
    assert "whether it changed or not" in report.verdicts[1].why
    assert isinstance(report.drift, TooFew)
    assert str(report.drift) == "too few: 0 of 12 values that vary"


def test_periodic_with_gaps_and_with_late_reports():
    rng = np.random.default_rng(1)
    t = np.delete(10.0 * np.arange(100), [13, 44])
    report = describe_channel(t, np.round(rng.normal(size=98)), (0.0, 1000.0))
    assert report.kinds == ("periodic", "quantised")
    assert "(2 of 97 intervals apart)" in report.verdicts[0].why
    late = np.sort(
        np.arange(200) + rng.uniform(-0.3, 0.3, 200)
    )  # a poll by software: no interval is right, and no error adds up
    assert describe_channel(late, rng.normal(size=200)).kinds == ("periodic",)


@pytest.mark.parametrize("seed", SEEDS)
def test_on_change(seed):
    rng = np.random.default_rng(seed)
    polls = 6.7 * np.arange(2000)
    truth = 90 + _walk(rng, polls, 0.02)
    reported = [0]
    for index in range(1, polls.size):
        if abs(truth[index] - truth[reported[-1]]) > 0.1:
            reported.append(index)
    report = describe_channel(polls[reported], np.round(truth[reported], 2))
    assert "on-change" in report.kinds
    assert "periodic" not in report.kinds
    assert "differ from the one before" in report.verdicts[0].why
    assert "times 6.7 s" in report.verdicts[0].why


def test_events():
    t = np.sort(np.random.default_rng(2).uniform(2520.0, 2820.0, 11))
    report = describe_channel(t, np.arange(11.0) % 3, (0.0, 3600.0))
    assert report.kinds[0] == "event-triggered"
    assert report.verdicts[0].why.startswith("11 records within")
    declared = describe_channel(np.array([5.0]), np.array([3.0]), (0.0, 3600.0), max_interval=0.0)
    assert declared.kinds == ("event-triggered",)


def test_irregular_silent_and_too_few():
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.pareto(1.0, 200) + 0.1)
    assert describe_channel(t, np.round(rng.normal(size=200))).kinds[0] == "irregular"
    assert describe_channel(np.zeros(0), np.zeros(0), (0.0, 3600.0)).verdicts[0].why == "no record in 60 min"
    few = describe_channel(np.arange(3.0), np.array([1.0, 2.0, 1.5]))
    assert few.kinds == ("too few",)
    assert few.verdicts[0].why.startswith("3 of the 5")
    half_hourly = describe_channel(np.array([60.0, 1860.0]), np.array([1.0, 2.0]), (0.0, 3600.0), max_interval=1800.0)
    assert half_hourly.kinds == ("periodic",)
    with pytest.raises(ValueError, match="increase"):
        describe_channel(np.array([1.0, 1.0]), np.array([1.0, 2.0]))


@pytest.mark.parametrize("seed", SEEDS)
def test_step(seed):
    rng = np.random.default_rng(seed)
    fine = 20 + _walk(rng, np.arange(300.0), 0.5)
    for step in (0.25, 0.01, 0.244141 * 133.322):
        assert reporting_step(np.round(fine * step / 0.1) * step) == pytest.approx(step, rel=1e-3)
    assert reporting_step(fine) == 0.0
    assert reporting_step(np.where(rng.random(100) < 0.5, 345.82, 351.77)) == pytest.approx(5.95)
    assert reporting_step(np.round(100 * fine, 4)) == 0.0  # digits of print, no converter


def test_noise_and_walk_are_recovered_within_their_errors():
    off = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        t = _times(rng, 300)
        drift = learn_drift(t, 5 + _walk(rng, t, 0.02) + 0.1 * rng.normal(size=300), unit="kelvin")
        assert isinstance(drift, Drift)
        assert drift.drift is not None
        assert drift.process == "walk"
        assert drift.drift.unit == "kelvin/√s"
        assert drift.noise.error is not None
        assert drift.drift.error is not None
        off += [(drift.noise.value - 0.1) / drift.noise.error, (drift.drift.value - 0.02) / drift.drift.error]
    assert np.abs(off).max() < 4
    assert 0.6 < np.sqrt(np.mean(np.square(off))) < 1.5


@pytest.mark.slow
def test_the_process_is_identified():
    right = {"steady": 0, "trend": 0, "wander": 0}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        t, noise = _times(rng, 300), 0.05 * rng.normal(size=300)
        wander = np.zeros(300)
        for i in range(1, 300):
            keep = np.exp(-(t[i] - t[i - 1]) / 20.0)
            wander[i] = keep * wander[i - 1] + 0.3 * np.sqrt(1 - keep**2) * rng.normal()
        series = {"steady": noise, "trend": 0.01 * t + noise, "wander": wander + noise}
        for process, values in series.items():
            drift = learn_drift(t, values)
            assert isinstance(drift, Drift)
            right[process] += drift.process == process
            if process == "steady":
                assert drift.noise.value == pytest.approx(0.05, rel=0.2)
    assert min(right.values()) >= 5


def test_noise_below_the_step_is_a_limit_and_few_values_are_too_few():
    t = np.arange(200.0)
    drift = learn_drift(t, np.round(0.02 * t, 1), step=0.1)
    assert isinstance(drift, Drift)
    assert drift.noise.at_most
    few = learn_drift(t[:8], np.sin(t[:8]))
    assert isinstance(few, TooFew)
    assert (few.present, few.needed) == (8, 12)


def test_lag_is_recovered_within_its_error():
    off = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        t = 0.33 * np.arange(60)
        answer = np.where(t > 5, 30 * -np.expm1(-np.maximum(t - 5, 0) / 2.0), 0.0)
        lag = learn_lag(t, 20 + answer + 0.2 * rng.normal(size=60), np.array([0.0, 5.0]), np.array([20.0, 50.0]))
        assert isinstance(lag, Lag)
        assert lag.time_constant.error is not None
        assert lag.gain == pytest.approx(1.0, abs=0.05)
        off.append((lag.time_constant.value - 2.0) / lag.time_constant.error)
    assert np.abs(off).max() < 4
    assert 0.5 < np.sqrt(np.mean(np.square(off))) < 1.6


def test_lag_shorter_than_the_readings_is_a_limit_and_no_step_is_too_few():
    rng = np.random.default_rng(0)
    t = 0.33 * np.arange(40)
    x = np.where(t > 5, 50.0, 20.0) + 0.1 * rng.normal(size=40)
    lag = learn_lag(t, x, np.array([0.0, 5.0]), np.array([20.0, 50.0]))
    assert isinstance(lag, Lag)
    assert lag.time_constant.at_most
    assert lag.time_constant.value < 0.33
    still = learn_lag(t, x, np.array([0.0]), np.array([20.0]))
    assert isinstance(still, TooFew)
    short = learn_lag(t[:18], x[:18], np.array([0.0, 5.0]), np.array([20.0, 50.0]))
    assert isinstance(short, TooFew)
    assert short.present == 2


def _channels(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """One channel of each habit, 240 values."""
    t = np.cumsum(rng.uniform(0.8, 1.2, 240))
    ramp = np.interp(t, [0, 60, 120, 180, 300], [0, 6, 6, 12, 0]) + 0.01 * rng.normal(size=240)
    cooling = 90 + 40 * np.exp(-t / 60) + 5 * np.exp(-np.maximum(t - 90, 0) / 30) * (t > 90)
    return {
        "walk": (t, _walk(rng, t, 1.0) + 0.5 * rng.normal(size=240)),
        "ramps": (t, ramp),
        "cooling, in steps": (t, np.round(cooling + 0.01 * rng.normal(size=240), 2)),
        "coarse steps": (t, 0.25 * np.round(4 * rng.normal(size=240) * 0.3)),
        "outliers": (t, rng.standard_t(2, size=240)),
    }


@pytest.mark.slow
def test_forecasts_hold_what_they_say_and_beat_the_last_value():
    inside: dict[float, list[float]] = {1.0: [], 0.6: []}
    for seed in range(2):
        for name, (t, x) in _channels(np.random.default_rng(seed)).items():
            walked = score_forecasts(t, x, 120)
            inside[1.0].append(float(walked.inside.mean()))
            if name != "outliers":
                assert walked.log_density.mean() > last_value_baseline(x, 120) - 0.1, name
            if seed == 0:
                inside[0.6].append(float(score_forecasts(t, x, 180, width=0.6).inside.mean()))
    assert 0.85 <= np.mean(inside[1.0]) <= 0.95
    assert np.mean(inside[0.6]) < 0.85  # the check of the check


def test_a_forecast_is_a_distribution():
    rng = np.random.default_rng(5)
    t = np.arange(60.0)
    forecaster = Forecaster(t[:-1], 2.0 * t[:-1] + 0.1 * rng.normal(size=59))
    forecast = forecaster.predict(59.0)
    assert forecast.mean == pytest.approx(118.0, abs=0.3)
    assert 0.03 < forecast.std < 0.5
    low, high = forecast.quantile(np.array([0.05, 0.95]))
    assert forecast.below(np.array([low, high])) == pytest.approx([0.05, 0.95], abs=1e-3)
    grid = np.linspace(low - 20, high + 20, 4001)
    density = np.exp([forecast.log_density(float(value)) for value in grid])
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="not after"):
        forecaster.predict(59.0)


def test_nothing_to_forecast_is_said():
    with pytest.raises(ValueError, match="too few"):
        Forecaster(np.arange(5.0), np.arange(5.0))
    with pytest.raises(ValueError, match="same"):
        Forecaster(np.arange(50.0), np.ones(50))
