"""The filter of mixture beliefs: compared with a dense Kalman filter, bad readings, calibrated intervals."""

import json

import numpy as np
import pytest

from reconstruct.api.models import load_model
from reconstruct.inference.belief import Belief, LinearObservation, prior_belief, triangular
from reconstruct.inference.filter import MAX_DELAY, PROCESS_NOISE_STEP, STUCK_REPEATS, Filter, assimilate
from twin.records import Readings
from twin.sensors import Sensor

COLUMN = load_model("probe")
LAYOUT, DYNAMICS = COLUMN.layout, COLUMN.dynamics
SENSORS = {sensor.channel: sensor for sensor in COLUMN.evidence}
SECOND = 10**9
START = 1_700_000_000 * SECOND
HT = "gun.high_tension"


def readings(channel: str, seconds, values) -> Readings:
    times = START + np.round(np.asarray(seconds, dtype=float) * 1e9).astype(np.int64)
    return Readings(channel, 0, times, np.asarray(values, dtype=float))


def simulated(seconds: np.ndarray, seed: int, noise: float = 1.0) -> tuple[np.ndarray, list[Readings]]:
    """A state drawn from the prior and moved by the model itself to each of ``seconds``, and what the sensors read there: [times, n]."""
    generator = np.random.default_rng(seed)
    state = LAYOUT.prior_mean() + LAYOUT.prior_std() * generator.standard_normal(len(LAYOUT))
    last, states, steps = 0.0, [], {}
    for moment in seconds:
        span = round(float(moment - last), 9)
        if span not in steps:
            steps[span] = DYNAMICS.discretise(span)
        transition, factor = steps[span]
        state = transition @ state + factor @ generator.standard_normal(factor.shape[1])
        last = moment
        states.append(state)
    path = np.stack(states)
    heard = []
    for name, sensor in SENSORS.items():
        values = sensor.offset + path @ sensor.row(LAYOUT) + noise * sensor.noise * generator.standard_normal(len(path))
        heard.append(readings(name, seconds, values))
    return path, heard


def dense(mean, covariance, seconds, heard):
    """Kalman's filter with covariances, one reading after the other."""
    last = 0.0
    for number, moment in enumerate(seconds):
        transition, factor = DYNAMICS.discretise(moment - last)
        mean, covariance, last = transition @ mean, transition @ covariance @ transition.T + factor @ factor.T, moment
        for batch in heard:
            sensor = SENSORS[batch.channel]
            row = sensor.row(LAYOUT)
            gain = covariance @ row / (row @ covariance @ row + sensor.noise**2)
            mean = mean + gain * (batch.values[number] - sensor.offset - row @ mean)
            # Joseph's form: positive whatever the rounding
            left = np.eye(len(row)) - np.outer(gain, row)
            covariance = left @ covariance @ left.T + sensor.noise**2 * np.outer(gain, gain)
    return mean, covariance


def test_against_a_dense_filter():
    """Readings at the ends of steps (a nanosecond before, to belong to them), where the filter makes no approximation."""
    seconds = PROCESS_NOISE_STEP * np.arange(1, 31)
    _, heard = simulated(seconds, 0)
    heard = [Readings(batch.channel, 0, batch.times - 1, batch.values) for batch in heard]
    before = prior_belief(LAYOUT, START)
    filter_ = Filter(DYNAMICS, SENSORS, outliers=0.0)
    after = filter_.advance(before, START + 15 * SECOND, heard)
    mean, covariance = dense(before.mean, before.covariance, seconds, heard)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((after.mean - mean) / scale, 0.0, atol=1e-6)
    np.testing.assert_allclose(
        after.covariance / scale[:, None] / scale[None], covariance / scale[:, None] / scale[None], atol=1e-6
    )
    assert after.time == START + 15 * SECOND
    assert {name: health.used for name, health in filter_.health.items()} == dict.fromkeys(SENSORS, 30)


def test_without_readings_only_time_passes():
    before = prior_belief(LAYOUT, START)
    after = Filter(DYNAMICS, SENSORS).advance(before, START + 7_300_000_000)
    transition, factor = DYNAMICS.discretise(7.3)
    expected = transition @ before.covariance @ transition.T + factor @ factor.T
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        after.covariance / scale[:, None] / scale[None], expected / scale[:, None] / scale[None], atol=1e-9
    )
    np.testing.assert_allclose(after.mean, transition @ before.mean, atol=1e-9)
    same = Filter(DYNAMICS, SENSORS).advance(before, START)
    np.testing.assert_allclose(same.covariance, before.covariance, atol=1e-12)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="cannot go back"):
        Filter(DYNAMICS, SENSORS).advance(prior_belief(LAYOUT, START), START - 1)


@pytest.mark.parametrize(
    ("bad", "count", "verdict"),
    [
        (readings(HT, [1.0, 2.0, 3.0], [np.nan] * 3), "not_a_number", "spiking"),
        (readings(HT, [1.0, 2.0], [np.inf, -np.inf]), "not_a_number", "spiking"),
        (readings(HT, [1.0, 2.0], [3e5, 1e5]), "outlier", "ok"),
        (readings(HT, np.linspace(0.1, 9.0, 60), np.tile([3e5, 1e5], 30)), "outlier", "spiking"),
        (readings(HT, [10.0 + MAX_DELAY + 0.1, 3600.0], [2e5, 2e5]), "future", "clock off"),
        (readings(HT, [-MAX_DELAY - 0.1, -3600.0], [2e5, 2e5]), "late", "late"),
        (readings("lens.objective", [1.0, 2.0], [0.5, 0.5]), "ignored", "no evidence"),
        (readings("no.such.channel", [1.0], [np.nan]), "ignored", "no evidence"),
    ],
)
def test_bad_readings_are_counted_and_change_nothing(bad, count, verdict):
    before = prior_belief(LAYOUT, START)
    filter_ = Filter(DYNAMICS, SENSORS)
    after = filter_.advance(before, START + 10 * SECOND, [bad])
    plain = Filter(DYNAMICS, SENSORS).advance(before, START + 10 * SECOND)
    np.testing.assert_array_equal(after.mean, plain.mean)
    # a reading that does not count still cuts time: rounding, and no more
    scale = np.sqrt(np.diag(plain.covariance))
    np.testing.assert_allclose(
        after.covariance / scale[:, None] / scale, plain.covariance / scale[:, None] / scale, rtol=0, atol=1e-13
    )
    health = filter_.health[bad.channel]
    assert getattr(health, count) == len(bad.values)
    assert health.used == 0
    assert health.verdict() == verdict


def test_a_stuck_sensor_is_no_longer_used():
    filter_ = Filter(DYNAMICS, SENSORS)
    seconds = 0.5 * np.arange(1, STUCK_REPEATS + 101)
    filter_.advance(
        prior_belief(LAYOUT, START), START + 80 * SECOND, [readings(HT, seconds, np.full(len(seconds), 199_700.0))]
    )
    health = filter_.health[HT]
    assert health.verdict() == "stuck"
    assert health.used + health.outlier == STUCK_REPEATS
    assert health.stuck == 100
    filter_.advance(prior_belief(LAYOUT, START + 80 * SECOND), START + 90 * SECOND, [readings(HT, [82.0], [199_700.1])])
    assert health.verdict() == "ok"


def test_one_outlier_among_good_readings_is_left_out():
    seconds = np.arange(1.0, 20.0)
    _, heard = simulated(seconds, 4)
    values = heard[0].values.copy()
    values[10] += 20 * SENSORS[HT].noise
    without = np.arange(19) != 10
    spoilt = [Readings(HT, 0, heard[0].times, values), *heard[1:]]
    clean = [Readings(HT, 0, heard[0].times[without], values[without]), *heard[1:]]
    before = prior_belief(LAYOUT, START)
    result, expected = (
        Filter(DYNAMICS, SENSORS).advance(before, START + 20 * SECOND, batches) for batches in (spoilt, clean)
    )
    np.testing.assert_allclose(result.mean, expected.mean, atol=1e-9)
    assert result.std[LAYOUT.index("HT")] == pytest.approx(expected.std[LAYOUT.index("HT")])


@pytest.mark.parametrize("noise", [1.0, 4.0])
def test_intervals_of_nine_in_ten_hold_nine_in_ten(noise):
    """Truth drawn from the model; with sensors four times as noisy as stated the intervals must be found too narrow."""
    names = ("HT", "HT.bias", "current", "T", "T.bias", "T.lagged", "black", "current.bias")
    indices = [LAYOUT.index(name) for name in names]
    held, total = 0, 0
    for seed in range(40):
        path, heard = simulated(np.arange(1.0, 41.0), 100 + seed, noise)
        belief = Filter(DYNAMICS, SENSORS).advance(prior_belief(LAYOUT, START), START + 40 * SECOND, heard)
        away = np.abs(path[-1] - belief.mean)[indices] / belief.std[indices]
        observed = SENSORS["haadf.black"], SENSORS["objective.temperature"]
        for sensor in observed:  # what is measured directly, as a sum of entries
            row = sensor.row(LAYOUT)
            away = np.append(away, np.abs(row @ (path[-1] - belief.mean)) / np.sqrt(row @ belief.covariance @ row))
        held += (away < 1.645).sum() if noise == 1.0 else (away[-2:] < 1.645).sum()
        total += len(away) if noise == 1.0 else 2
    if noise == 1.0:
        assert 0.85 < held / total < 0.95
    else:
        assert held / total < 0.75


def test_readings_within_a_step_are_carried_to_first_order():
    """Off the boundaries of the steps the drift is linearised over at most half a second: small against what is not known."""
    seconds = 0.37 * np.arange(1, 51)
    _, heard = simulated(seconds, 7)
    before = prior_belief(LAYOUT, START)
    until = START + round(seconds[-1] * 1e9)
    after = Filter(DYNAMICS, SENSORS, outliers=0.0).advance(before, until, heard)
    mean, covariance = dense(before.mean, before.covariance, seconds, heard)
    scale = np.sqrt(np.diag(covariance))
    assert np.abs((after.mean - mean) / scale).max() < 0.1
    np.testing.assert_allclose(after.std, scale, rtol=0.05)


def random_estimate(generator, m: int = 5) -> LinearObservation:
    scale = LAYOUT.prior_std()
    rows = generator.standard_normal((m, len(LAYOUT))) / scale[None] * (generator.random((m, len(LAYOUT))) < 0.2)
    return LinearObservation(
        rows, generator.standard_normal(m), 0.5 * generator.standard_normal((m, 2)), generator.uniform(0.2, 1.0, m)
    )


def conditioned(mean, covariance, estimate):
    noise = estimate.cov_sqrt @ estimate.cov_sqrt.T + np.diag(estimate.noise**2)
    total = estimate.rows @ covariance @ estimate.rows.T + noise
    gain = np.linalg.solve(total, estimate.rows @ covariance).T
    away = estimate.value - estimate.rows @ mean
    log_evidence = -0.5 * away @ np.linalg.solve(total, away) - 0.5 * np.linalg.slogdet(total)[1]
    return mean + gain @ away, covariance - gain @ estimate.rows @ covariance, log_evidence


def test_an_observation_updates_every_component_and_weighs_them_by_evidence():
    generator = np.random.default_rng(3)
    scale = LAYOUT.prior_std()
    n = len(LAYOUT)
    cov_sqrts = np.stack(
        [triangular(scale[:, None] * (np.eye(n) + 0.3 * generator.standard_normal((n, n)))) for _ in range(3)]
    )
    means = LAYOUT.prior_mean()[None] + scale[None] * generator.standard_normal((3, n))
    belief = Belief(LAYOUT, START, np.array([0.5, 0.3, 0.2]), means, cov_sqrts)
    estimate = random_estimate(generator)
    after = assimilate(belief, estimate)
    logs = np.log(belief.weights)
    for k in range(3):
        mean, covariance, evidence = conditioned(means[k], cov_sqrts[k] @ cov_sqrts[k].T, estimate)
        np.testing.assert_allclose(after.means[k] / scale, mean / scale, rtol=1e-8, atol=1e-8)
        result = after.cov_sqrt[k] @ after.cov_sqrt[k].T
        np.testing.assert_allclose(
            result / scale[:, None] / scale[None], covariance / scale[:, None] / scale[None], atol=1e-8
        )
        logs[k] += evidence
    np.testing.assert_allclose(after.weights, np.exp(logs) / np.exp(logs).sum(), rtol=1e-8)
    updated = assimilate(belief, estimate, component=1)
    np.testing.assert_allclose(updated.means[1], after.means[1])
    np.testing.assert_array_equal(updated.means[[0, 2]], belief.means[[0, 2]])
    np.testing.assert_allclose(updated.weights, belief.weights)
    np.testing.assert_allclose(estimate.std**2, (estimate.cov_sqrt**2).sum(axis=1) + estimate.noise**2)


def test_readings_weigh_components_by_evidence():
    """Two components apart in the detector's level: a few readings near one of them decide as Bayes's rule does."""
    prior = prior_belief(LAYOUT.replaced({"black": (0.0, 1.0)}), START)
    away = np.zeros(len(LAYOUT))
    away[LAYOUT.index("black")] = 3.0
    belief = Belief(
        prior.layout,
        START,
        np.array([0.5, 0.5]),
        np.stack([prior.mean, prior.mean + away]),
        np.repeat(prior.cov_sqrt, 2, axis=0),
    )
    after = Filter(DYNAMICS, SENSORS).advance(
        belief, START + SECOND, [readings("haadf.black", [PROCESS_NOISE_STEP], [102.0])]
    )
    variance = 1.0 + 2.0**2 + PROCESS_NOISE_STEP * 0.05**2
    log_ratio = -0.5 * ((2.0 - 3.0) ** 2 - 2.0**2) / variance
    assert after.weights[1] / after.weights[0] == pytest.approx(np.exp(log_ratio), rel=1e-4)
    assert not Filter(DYNAMICS, {"x": Sensor("x", {}, 0.0, 1.0)}).health


def test_a_saved_filter_goes_on_exactly():
    """A filter restored in the middle of a run of equal readings ends the run where the other does."""
    seconds = 0.5 * np.arange(1, STUCK_REPEATS + 21)
    heard = np.full(len(seconds), 199_700.0)
    half = len(seconds) // 2
    whole, first, second = (Filter(DYNAMICS, SENSORS) for _ in range(3))
    whole.advance(prior_belief(LAYOUT, START), START + 40 * SECOND, [readings(HT, seconds, heard)])
    first.advance(prior_belief(LAYOUT, START), START + 40 * SECOND, [readings(HT, seconds[:half], heard[:half])])
    second.from_state(json.loads(json.dumps(first.to_state())))
    second.advance(prior_belief(LAYOUT, START), START + 40 * SECOND, [readings(HT, seconds[half:], heard[half:])])
    assert second.health[HT].stuck == whole.health[HT].stuck > 0
    assert second.health[HT].verdict() == "stuck"
    state = first.to_state()
    state["health"][HT]["sticking"] = True  # a field of 0.1
    with pytest.raises(ValueError, match=r"of emtwin 0\.1 .*new session"):
        second.from_state(state)
