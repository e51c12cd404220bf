"""Constants fitted to simulated readings: the true values lie within the stated errors, and the errors are not too small."""

import dataclasses

import numpy as np
import pytest
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from learn.fitting.constants import exact_span, fit_constants
from learn.fitting.laplace import peak
from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, batch, drawn, heard
from twin.records import Readings
from twin.sensors import Model, read_table

TEXT = """
schema = "emtwin.sensors/2"
name = "small"
[[constant]]
name = "walk"
unit = "kelvin/sqrt(second)"
value = 0.1
factor = 2.0
[[constant]]
name = "lag"
unit = "second"
value = 10.0
factor = 1.7
[[constant]]
name = "noise"
unit = "kelvin"
value = 0.1
factor = 1.5
[[constant]]
name = "unheard"
unit = "second"
value = 20.0
factor = 2.0
[[constant]]
name = "gain"
unit = "1"
value = 1.0
std = 0.2
[[entry]]
name = "T"
unit = "kelvin"
mean = 0.0
std = 1.0
part = "heat"
moves = { kind = "walk", rate = "walk" }
[[entry]]
name = "T.lagged"
unit = "kelvin"
mean = 0.0
std = 1.0
part = "heat"
moves = { kind = "follow", of = "T", time = "lag", gain = "gain" }
[[entry]]
name = "dark"
unit = "1"
mean = 0.0
std = 1.0
moves = { kind = "relax", std = 1.0, time = "unheard" }
[[sensor]]
channel = "coil"
unit = "kelvin"
kind = "measured"
rate = 1.0
expects = { T = 1.0 }
noise = "noise"
part = "heat"
[[sensor]]
channel = "pole"
unit = "kelvin"
kind = "measured"
rate = 1.0
expects = { "T.lagged" = 1.0 }
noise = 0.05
part = "heat"
"""
TABLE = read_table(TEXT, "small.toml")
FACTORS = {row.name: row.factor for row in TABLE.constant if row.factor}


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):  # of small matrices: threads only wait for one another
        yield


def session(seed: int, length: int = 40, **constants: float) -> list[Readings]:
    """Readings drawn from the model at these constants, once a second."""
    model, seconds = TABLE.model(constants), np.arange(1.0, length + 1)
    return heard(model, seconds, drawn(model, seconds, seed), seed)


def streamed(batches: list[Readings], model: Model) -> Stream:
    stream = Stream(model, START, span=exact_span(model), window=600.0, exact=100, outliers=0.0)
    stream.push(batches)
    return stream


@dataclasses.dataclass
class Dense:
    """Log evidence of readings of all sensors once a second from one covariance of them all; without its 2 pi, as a stream's is."""

    model: Model
    batches: list[Readings]
    now: int = START
    evidence: float = 0.0

    def settle(self, until: int) -> None:
        assert until > START
        values = np.stack([batch_.values for batch_ in self.batches], axis=1)
        length, rows, layout = len(values), self.model.rows, self.model.layout
        move, root = self.model.dynamics.discretise(1.0)
        noise, spread, powers, spreads = root @ root.T, np.diag(layout.prior_std() ** 2), [np.eye(len(layout))], []
        for _ in range(length):
            powers.append(move @ powers[-1])
            spread = move @ spread @ move.T + noise
            spreads.append(spread)
        means = np.stack(powers[1:]) @ layout.prior_mean() @ rows.T
        # covariance of what is read at i with what is read at j >= i: C P_i (A^(j-i))^T C^T
        early, later = rows @ np.stack(spreads), np.swapaxes(rows @ np.stack(powers[:-1]), 1, 2)
        i, j = np.triu_indices(length)
        covariances = np.zeros((length, length, len(rows), len(rows)))
        covariances[i, j] = early[i] @ later[j - i]
        covariances[j, i] = np.swapaxes(covariances[i, j], 1, 2)
        covariances[np.arange(length), np.arange(length)] += np.diag(
            [sensor.variance for sensor in self.model.evidence]
        )
        lower = np.linalg.cholesky(covariances.transpose(0, 2, 1, 3).reshape(values.size, values.size))
        white = solve_triangular(lower, (values - means).ravel(), lower=True, check_finite=False)
        self.evidence = float(-0.5 * white @ white - np.log(np.diag(lower)).sum())


@pytest.mark.parametrize("constants", [{}, {"walk": 0.2, "lag": 6.0, "noise": 0.07}])
def test_the_evidence_of_a_stream_is_that_of_a_dense_filter(constants):
    batches, model = session(0), TABLE.model(constants)
    stream, other = streamed(batches, model), Dense(model, batches)
    stream.settle(stream.now + 10 * SECOND)
    other.settle(stream.now)
    assert stream.settled > stream.now
    assert stream.evidence == pytest.approx(other.evidence, abs=1e-6)


def test_spans_without_crowds():
    assert exact_span(TABLE.model()) == 3.0
    with pytest.raises(ValueError, match="small: none of these channels has a rate"):
        exact_span(TABLE.model(), ["echo"])


def test_a_fit_through_a_stream():
    """Random walk and lag are recovered from wrong initial values; a constant that affects no sensor keeps its prior and is reported."""
    batches, heard_of = session(4, length=30, walk=0.22, lag=6.0), []
    fit = fit_constants(TABLE, lambda model: streamed(batches, model), ["walk", "lag", "unheard"], heard_of.append)
    assert fit.complete
    assert fit.gain > 3.0
    assert fit.evaluations == len(heard_of)
    assert heard_of[-1].gain == pytest.approx(fit.gain)
    for name, true in (("walk", 0.22), ("lag", 6.0)):
        constant = fit[name]
        assert constant.low < constant.value < constant.high
        assert abs(np.log(constant.value / true)) < 3.0 * np.log(constant.high / constant.value)
        assert constant.error_reduction > 0.3
        assert constant.gain > 0.0
    dark = fit["unheard"]
    assert (dark.value, dark.low, dark.high) == pytest.approx((20.0, 10.0, 40.0))
    assert (dark.error_reduction, dark.gain, dark.note) == (
        0.0,
        0.0,
        "not influenced by these data: the prior is unchanged",
    )
    assert fit.correlation("walk", "lag") == pytest.approx(fit.correlation("lag", "walk"))
    assert fit.correlation("walk", "lag") != 0.0
    assert fit.correlation("walk", "unheard") == 0.0
    assert len(fit.lines()) == 4
    table = fit.applied(TABLE)
    assert table.constants()["lag"] == fit["lag"].value
    assert table.constants()["noise"] == 0.1
    narrower = {row.name: row.factor for row in table.constant if row.factor}
    assert narrower["lag"] < FACTORS["lag"]
    assert narrower["unheard"] == FACTORS["unheard"]
    assert streamed(batches, table.model()).evidence == streamed(batches, TABLE.model(fit.values())).evidence


def fits(seeds: int, names: list[str], generate=lambda model: model) -> np.ndarray:
    """Errors of fits to sessions whose constants were drawn from their priors, in units of the fits' own: [seeds, names]."""
    generator, errors = np.random.default_rng(7), []
    for seed in range(seeds):
        true = {name: TABLE.constants()[name] * FACTORS[name] ** generator.standard_normal() for name in names}
        batches = generate(session(seed, **true))
        fit = fit_constants(TABLE, lambda model, batches=batches: Dense(model, batches), names)
        assert fit.gain >= -1e-6
        assert all(constant.gain >= -1e-3 for constant in fit.constants)
        errors.append([np.log(fit[n].value / true[n]) / np.log(fit[n].high / fit[n].value) for n in names])
    return np.array(errors)


@pytest.mark.slow
def test_errors_cover_the_truth_as_often_as_they_say():
    away = np.abs(fits(16, ["walk", "lag"])).ravel()
    assert 0.5 < (away < 1.0).mean() < 0.86  # about two standard deviations of 32 about 0.68
    assert (away < 1.96).mean() > 0.88
    assert away.max() < 4.5


def test_noise_that_the_table_does_not_know_of_makes_errors_too_small_and_is_noticed():
    def noisier(batches: list[Readings]) -> list[Readings]:
        generator = np.random.default_rng(1)
        return [
            Readings(channel_batch.channel, 0, channel_batch.times, channel_batch.values + size)
            for channel_batch in batches
            for size in [0.5 * generator.standard_normal(len(channel_batch.values))]
        ]

    away = np.abs(fits(4, ["walk", "lag"], noisier))
    assert (away[:, 0] < 1.96).mean() < 0.5
    stream = streamed(noisier(session(0)), TABLE.model())
    stream.settle(stream.now + 10 * SECOND)
    distrust = stream.monitors.distrust
    assert distrust is not None
    assert distrust.part == "heat"
    stream = streamed(session(0), TABLE.model())
    stream.settle(stream.now + 10 * SECOND)
    assert stream.monitors.distrust is None


def test_a_constant_known_to_plus_or_minus():
    batches = session(3, length=120, gain=1.3)
    constant = fit_constants(TABLE, lambda model: Dense(model, batches), ["gain"])["gain"]
    assert constant.high - constant.value == pytest.approx(constant.value - constant.low)
    assert abs(constant.value - 1.3) < 3 * (constant.high - constant.value)
    assert (constant.prior, constant.prior_low, constant.prior_high) == (1.0, 0.8, 1.2)
    assert constant.error_reduction > 0.1


def test_interrupted_it_keeps_what_it_has():
    batches, runs = session(4, walk=0.22, lag=6.0), []

    def tired(progress):
        runs.append(progress)
        if len(runs) == 20:
            raise KeyboardInterrupt

    fit = fit_constants(TABLE, lambda model: Dense(model, batches), ["walk", "lag"], tired)
    assert not fit.complete
    assert fit.evaluations == 20
    assert fit.gain == max(run.gain for run in runs if run.values == runs[-1].values) > 0.0
    assert fit.values() == runs[-1].values
    assert np.isnan(fit["walk"].low)
    assert fit["walk"].note.startswith("interrupted")
    at_once = fit_constants(TABLE, lambda model: Dense(model, batches), ["walk"], lambda progress: tired(runs.pop()))
    assert at_once.complete or at_once["walk"].value == 0.1


def test_data_that_contradict_the_prior_are_named():
    batches = [
        batch(channel_batch.channel, np.arange(1.0, 61), 40.0 * channel_batch.values) for channel_batch in session(0)
    ]
    constant = fit_constants(TABLE, lambda model: Dense(model, batches), ["walk"])["walk"]
    assert "the prior or the model is wrong" in constant.note
    assert constant.value == pytest.approx(0.1 * 2.0**4)
    assert np.isnan(constant.low)
    assert constant.gain > 100.0


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        (TEXT, ["heat"], r"small: there is no constant 'heat'; the constants are walk, lag"),
        (TEXT.replace("factor = 1.7\n", ""), ["lag"], "'lag' needs a prior; give it a factor or a std"),
        (TEXT.replace("factor = 1.7\n", "factor = 0.5\n"), ["lag"], "give a factor above one"),
        (TEXT.replace("std = 0.2", "std = -0.2"), ["gain"], "give a std above zero"),
    ],
)  # fmt: skip
def test_refusals(text, names, message):
    with pytest.raises(ValueError, match=message):
        fit_constants(read_table(text, "small.toml"), lambda model: Dense(model, []), names)


def test_without_a_finite_start_there_is_no_fit():
    batches = [batch(channel_batch.channel, np.arange(1.0, 3), [np.inf, np.inf]) for channel_batch in session(0)]
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="not finite at the constants' assumed values"),
    ):
        fit_constants(TABLE, lambda model: Dense(model, batches), ["walk"])


# --- the peak itself


def test_the_peak_of_a_quadratic_is_exact():
    generator = np.random.default_rng(0)
    root = generator.standard_normal((4, 4)) * np.array([30.0, 3.0, 1.0, 0.1])[:, None]
    information, centre = root @ root.T, np.array([0.7, -1.2, 0.4, 0.0])

    def likelihood(u):
        return -0.5 * float((u - centre) @ information @ (u - centre)) - 1234.5

    optimum = peak(likelihood, 4)
    covariance = np.linalg.inv(information + np.eye(4))
    np.testing.assert_allclose(optimum.covariance, covariance, rtol=1e-4, atol=1e-6)
    off = optimum.where - covariance @ information @ centre
    assert off @ np.linalg.solve(covariance, off) < 0.05
    assert optimum.determined.all()
    assert not optimum.silent.any()


def test_what_is_no_peak_is_not_determined_and_the_rest_is_fitted_without_it():
    """A likelihood that grows faster along one coordinate than its prior falls: no error can be given."""

    def likelihood(u):
        return float(0.9 * u[0] ** 2 - 2.0 * (u[1] - 0.5) ** 2 - 0.5 * u[0])

    optimum = peak(likelihood, 3)
    assert optimum.determined.tolist() == [False, True, True]
    assert optimum.silent.tolist() == [False, False, True]
    np.testing.assert_allclose(optimum.where, [0.0, 0.4, 0.0], atol=0.02)
    np.testing.assert_allclose(optimum.covariance, np.diag([1.0, 0.2, 1.0]), rtol=1e-6)
    assert optimum.without[1] == pytest.approx(-0.5)


def test_the_search_avoids_values_without_a_likelihood():
    optimum = peak(lambda u: -8.0 * float((u[0] - 1.0) ** 2) if u[0] < 1.2 else -np.inf, 1)
    assert optimum.where[0] == pytest.approx(16 / 17, abs=0.05)
    assert optimum.covariance[0, 0] == pytest.approx(1 / 17, rel=0.05)
