"""A small instrument as a table, states drawn from its model, and a dense Kalman filter and smoother as the reference."""

import functools

import numpy as np

from twin.records import Readings
from twin.sensors import Model, read_table

SECOND = 10**9
START = 1_700_000_000 * SECOND

TABLE = """
schema = "emtwin.sensors/2"
name = "toy"
[sources.lens]
latency = 0.02
latency_std = 0.01
[sources.room]
latency = 0.02
latency_std = 0.01
[[constant]]
name = "lag"
unit = "second"
value = 40.0
factor = 1.5
[[entry]]
name = "T"
unit = "kelvin"
mean = 0.0
std = 1.0
part = "heat"
moves = { kind = "walk", rate = 0.03 }
[[entry]]
name = "T.lagged"
unit = "kelvin"
mean = 0.0
std = 1.0
part = "heat"
moves = { kind = "follow", of = "T", time = "lag" }
[[entry]]
name = "T.bias"
unit = "kelvin"
mean = 295.0
std = 2.0
part = "heat"
[[entry]]
name = "HT"
unit = "1e-6"
mean = 0.0
std = 0.6
part = "gun"
moves = { kind = "relax", std = 0.6, time = 30.0 }
[[entry]]
name = "x"
unit = "angstrom"
mean = 0.0
std = 5.0
part = "stage"
moves = [{ kind = "integrate", of = "v" }, { kind = "walk", rate = 0.05 }]
[[entry]]
name = "v"
unit = "angstrom/second"
mean = 0.0
std = 0.2
part = "stage"
moves = { kind = "relax", std = 0.2, time = 60.0 }
[[entry]]
name = "heat"
unit = "angstrom/kelvin"
mean = 20.0
std = 5.0
part = "optics"
[[entry]]
name = "C10"
unit = "angstrom"
mean = 0.0
std = 30.0
part = "optics"
moves = { kind = "walk", rate = 0.5 }
[[input]]
name = "focus"
kind = "commanded"
of = "focus.commanded"
[[input]]
name = "lens"
kind = "commanded"
of = "lens.echo"
[[reset]]
name = "focus"
shown = "focus"
actual = "lens"
tolerance = 1.0
[[jump]]
on = "lens"
entry = "C10"
std = 0.02
[[sensor]]
channel = "coil.temperature"
source = "lens"
unit = "kelvin"
kind = "measured"
rate = 2.0
expects = { T = 1.0, "T.bias" = 1.0 }
noise = 0.02
part = "heat"
[[sensor]]
channel = "pole.temperature"
source = "room"
unit = "kelvin"
kind = "measured"
rate = 1.0
expects = { "T.lagged" = 1.0 }
offset = 290.0
noise = 0.05
quantisation = 0.02
part = "heat"
[[sensor]]
channel = "high.tension"
source = "lens"
unit = "volt"
kind = "measured"
rate = 5.0
expects = { HT = 0.2 }
offset = 2e5
noise = 0.1
part = "gun"
[[sensor]]
channel = "encoder"
source = "room"
unit = "angstrom"
kind = "measured"
rate = 1.0
expects = { x = 1.0 }
noise = 3.0
part = "stage"
[[sensor]]
channel = "focus.commanded"
source = "lens"
unit = "angstrom"
kind = "echo"
rate = 5.0
[[sensor]]
channel = "lens.echo"
source = "lens"
unit = "angstrom"
kind = "echo"
rate = 5.0
[[quantity]]
name = "defocus"
unit = "angstrom"
part = "optics"
terms = [{ entry = "C10" }, { input = "lens" }, { entry = "heat", times = "T.lagged" }]
[[quantity]]
name = "place"
unit = "angstrom"
part = "stage"
terms = [{ entry = "x" }]
"""


def toy(**values: float) -> Model:
    """The model of `TABLE`, some of its constants at other values."""
    return read_table(TABLE, "toy.toml").model(values)


def batch(channel: str, seconds, values) -> Readings:
    """Readings ``seconds`` after `START`."""
    times = START + np.round(np.asarray(seconds, dtype=float) * 1e9).astype(np.int64)
    return Readings(channel, 0, times, np.asarray(values, dtype=float))


def drawn(model: Model, seconds: np.ndarray, seed: int) -> np.ndarray:
    """A state drawn from the priors and moved by the model's own equation: [times, n], ``seconds`` rising from zero or later."""
    generator = np.random.default_rng(seed)
    layout = model.layout
    state = layout.prior_mean() + layout.prior_std() * generator.standard_normal(len(layout))
    last, states = 0.0, []
    for moment in seconds:
        move, noise = model.dynamics.discretise(float(moment - last))
        state = move @ state + noise @ generator.standard_normal(len(layout))
        last = moment
        states.append(state)
    return np.stack(states)


def heard(model: Model, seconds: np.ndarray, states: np.ndarray, seed: int, keep: float = 1.0) -> list[Readings]:
    """What the sensors read at ``seconds``, a share ``keep`` of it."""
    generator = np.random.default_rng([seed, 1])
    batches = []
    for index, sensor in enumerate(model.evidence):
        values = sensor.offset + states @ model.rows[index] + sensor.noise * generator.standard_normal(len(seconds))
        if sensor.quantisation:
            values = np.round(values / sensor.quantisation) * sensor.quantisation
        reported = generator.random(len(seconds)) < keep
        batches.append(batch(sensor.channel, seconds[reported], values[reported]))
    return batches


def dense(model: Model, batches: list[Readings], until: int, outliers: bool = False):
    """Kalman's filter and Rauch's smoother with covariances, each reading at its own time: lists of (time, filtered, smoothed) mean and covariance."""
    rows = {sensor.channel: (sensor, model.rows[index]) for index, sensor in enumerate(model.evidence)}
    readings = sorted(
        (int(time), sensor_readings.channel, float(value))
        for sensor_readings in batches
        for time, value in zip(sensor_readings.times, sensor_readings.values, strict=True)
    )
    mean, covariance, now = model.layout.prior_mean(), np.diag(model.layout.prior_std() ** 2), START
    path: list[tuple] = [(now, mean, covariance, None, mean, covariance)]
    for time, name, value in [*readings, (until, "", 0.0)]:
        move, noise = model.dynamics.discretise((time - now) * 1e-9)
        ahead, spread = move @ mean, move @ covariance @ move.T + noise @ noise.T
        mean, covariance, now = ahead, spread, time
        if name:
            sensor, row = rows[name]
            gain = covariance @ row / (row @ covariance @ row + sensor.variance)
            mean = mean + gain * (value - sensor.offset - row @ mean)
            left = np.eye(len(row)) - np.outer(gain, row)
            covariance = left @ covariance @ left.T + sensor.variance * np.outer(gain, gain)
        path.append((now, mean, covariance, move, ahead, spread))
    smooth = [(path[-1][0], path[-1][1], path[-1][2])]
    for k in range(len(path) - 2, -1, -1):
        time, mean_k, covariance_k = path[k][:3]
        _, _, _, move, ahead, spread = path[k + 1]
        gain = np.linalg.solve(spread, move @ covariance_k).T
        smooth.append(
            (time, mean_k + gain @ (smooth[-1][1] - ahead), covariance_k + gain @ (smooth[-1][2] - spread) @ gain.T)
        )
    return [(p[0], p[1], p[2], s[1], s[2]) for p, s in zip(path, reversed(smooth), strict=True)]


THERMOMETER = """
[[sensor]]
channel = "{}"
source = "holder"
unit = "kelvin"
kind = "measured"
rate = 10.0
expects = {{ T = 1.0 }}
noise = {}
quantisation = 0.001
"""
HOLDER = """
schema = "emtwin.sensors/2"
name = "holder"
[[entry]]
name = "T"
unit = "kelvin"
mean = 298.0
std = 300.0
moves = { kind = "integrate", of = "rate" }
[[entry]]
name = "rate"
unit = "kelvin/second"
mean = 0.0
std = 1.0
moves = { kind = "walk", rate = 0.12 }
"""


@functools.cache
def holder(*noises: float) -> Model:
    """One temperature and its rate, read by sensors of these noises."""
    return read_table(
        HOLDER + "".join(THERMOMETER.format(f"s{i}", noise) for i, noise in enumerate(noises)), "holder"
    ).model()
