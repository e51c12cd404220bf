"""Filter and smoother: agreement with reference implementations and between arrival orders, speed and memory. Runs as a process of its own.

``python -m tests.benchmarks.belief.engine NAME`` prints the numbers of one measurement as JSON, on one core.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

SECOND = 10**9
START = 1_700_000_000 * SECOND


def instrument(entries: int, sensors: int, rate: float) -> str:
    """A table of many entries and sensors, each sensor reading two entries."""
    rows = ['schema = "emtwin.sensors/2"', 'name = "many"', "[sources.a]", "latency = 0.005", "latency_std = 0.002"]
    for i in range(entries):
        moves = '{ kind = "walk", rate = 0.01 }' if i % 2 else '{ kind = "relax", std = 0.3, time = 100 }'
        rows += [
            "[[entry]]",
            f'name = "s{i}"',
            'unit = "1"',
            "mean = 0",
            "std = 1",
            f'part = "p{i % 5}"',
            f"moves = {moves}",
        ]
    for j in range(sensors):
        rows += ["[[sensor]]", f'channel = "c{j}"', 'source = "a"', 'unit = "1"', 'kind = "measured"', f"rate = {rate}"]
        rows += [
            f"expects = {{ s{j % entries} = 1, s{(7 * j + 3) % entries} = 0.5 }}",
            "noise = 0.1",
            f'part = "p{j % 5}"',
        ]
    return "\n".join(rows)


def _stream(entries: int, sensors: int, rate: float, **options):
    from reconstruct.stream.stream import Stream
    from twin.sensors import read_table

    return Stream(read_table(instrument(entries, sensors, rate), "many.toml").model(), START, **options)


def live(seconds: float = 20.0, interval: float = 0.01, sensors: int = 64, rate: float = 1000.0) -> dict[str, float]:
    """64 channels at 1 kHz handed over every ``interval`` s, 2 % of the batches up to 1.9 s late, the estimate read each time."""
    from twin.records import Readings

    generator = np.random.default_rng(0)
    stream = _stream(40, sensors, rate)
    batch_size, delayed, durations, count = round(rate * interval), [], [], 0
    for step in range(round(seconds / interval)):
        arrival = START + round((step + 1) * interval * 1e9) + 5_000_000
        times = START + np.round(np.arange(step * batch_size, (step + 1) * batch_size) / rate * 1e9).astype(np.int64)
        values = 0.1 * generator.standard_normal((sensors, batch_size))
        due = []
        for index in range(sensors):
            batch = Readings(f"c{index}", step * batch_size, times, values[index])
            if generator.random() < 0.02:
                delayed.append((step + int(generator.integers(1, round(1.9 / interval))), batch))
            else:
                due.append(batch)
        due += [batch for ready, batch in delayed if ready <= step]
        delayed = [(ready, batch) for ready, batch in delayed if ready > step]
        start = time.perf_counter()
        stream.push(due, arrival)
        stream.belief(arrival)
        durations.append(time.perf_counter() - start)
        count += sum(len(batch.values) for batch in due)
    warm = len(durations) // 4  # compiled by then
    lasted = np.array(durations[warm:])
    return {
        "rate": count * len(lasted) / len(durations) / lasted.sum(),
        "p50": float(np.percentile(lasted, 50)),
        "p99": float(np.percentile(lasted, 99)),
        "first": float(durations[0]),
        "late": float(sum(health.late for health in stream.health.values())),
    }


def day(hours: float = 24.0, sensors: int = 40, rate: float = 10.0) -> dict[str, float]:
    """Forty channels at 10 Hz through the filter, then the smoother back to the beginning; seconds of each and the process's memory peak."""
    from twin.records import Readings

    generator = np.random.default_rng(0)
    stream = _stream(40, sensors, rate, span=1.0)
    piece, start, filtered = 60.0, time.perf_counter(), 0.0
    for number in range(round(hours * 3600 / piece)):
        seconds = number * piece + np.arange(round(piece * rate)) / rate
        times = START + np.round(seconds * 1e9).astype(np.int64)
        values = 0.1 * generator.standard_normal((sensors, len(times)))
        stream.push(Readings(f"c{index}", 0, times, values[index]) for index in range(sensors))
    filtered = time.perf_counter() - start
    start = time.perf_counter()
    smoother = stream.smoother()
    early = smoother.belief(START + min(1234, round(1800 * hours)) * SECOND + 567)
    smoothed = time.perf_counter() - start
    assert np.isfinite(early.std).all()
    start = time.perf_counter()
    smoother.belief(START + round(0.7 * hours * 3600) * SECOND)
    return {
        "filter": filtered,
        "smoother": smoothed,
        "question": time.perf_counter() - start,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
        "readings": hours * 3600 * rate * sensors,
    }


def hour() -> dict[str, float]:
    """As `day`, for an hour."""
    return day(1.0)


def exact(readings: int = 80) -> dict[str, float]:
    """Differences in standard deviations, of up to so many ``readings`` a channel: from a dense filter and smoother, from cuthbert, between orders of arrival,
    and after serialization."""
    from reconstruct.stream.stream import Stream
    from tests.reconstruct.stream import instruments as small

    model = small.toy()
    generator = np.random.default_rng(0)
    seconds = np.sort(generator.uniform(0.1, 60.0, readings))
    batches = small.heard(model, seconds, small.drawn(model, seconds, 1), 2, keep=0.7)
    until = small.START + 61 * SECOND
    stream = Stream(model, small.START, exact=10**6, outliers=0.0, window=20.0)
    stream.push(batches)
    belief, path = stream.belief(until), small.dense(model, batches, until)
    scale = np.sqrt(np.diag(path[-1][2]))
    differences = {"dense": _largest_difference(belief.mean, belief.covariance, path[-1][1], path[-1][2], scale)}
    smoother = stream.smoother()
    worst = 0.0
    for time_, _, _, mean, covariance in small.dense(model, batches, smoother.end)[::10]:
        estimate = smoother.belief(time_)
        worst = max(
            worst,
            _largest_difference(estimate.mean, estimate.covariance, mean, covariance, np.sqrt(np.diag(covariance))),
        )
    differences["dense smoother"] = worst
    cuthbert = _cuthbert(model, batches, until)
    if cuthbert is not None:
        differences["cuthbert"] = _largest_difference(belief.mean, belief.covariance, *cuthbert, scale)
    single = [
        (int(t), batch.channel, float(v)) for batch in batches for t, v in zip(batch.times, batch.values, strict=True)
    ]
    delay = generator.uniform(0.0, 2.0, len(single))
    order = np.argsort([t * 1e-9 + d for (t, *_), d in zip(single, delay, strict=True)])
    in_order, shuffled = Stream(model, small.START), Stream(model, small.START)
    in_order.push(batches)
    for number, i in enumerate(order):
        if number == len(order) // 2:
            shuffled = Stream.from_state(model, *shuffled.to_state())
        t, channel, value = single[i]
        shuffled.push([small.batch(channel, [(t - small.START) * 1e-9], [value])])
    estimate, reference = shuffled.belief(until), in_order.belief(until)
    differences["shuffled"] = _largest_difference(
        estimate.mean, estimate.covariance, reference.mean, reference.covariance, reference.std
    )
    restored = Stream.from_state(model, *in_order.to_state()).belief(until)
    differences["restored"] = float(
        max(np.abs(restored.means - reference.means).max(), np.abs(restored.cov_sqrt - reference.cov_sqrt).max())
    )
    return differences


def _largest_difference(mean, covariance, other_mean, other_covariance, scale: np.ndarray) -> float:
    mean_difference = np.abs((mean - other_mean) / scale).max()
    return float(max(mean_difference, np.abs((covariance - other_covariance) / scale[:, None] / scale).max()))


def _cuthbert(model, batches, until: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and covariance by cuthbert's square-root filter, each reading a step of its own; None where it is not installed."""
    try:
        import cuthbert
        from cuthbert.gaussian import kalman
    except ImportError:
        return None
    import jax.numpy as jnp

    from tests.reconstruct.stream import instruments as small

    rows = {sensor.channel: (sensor, model.rows[index]) for index, sensor in enumerate(model.evidence)}
    readings = sorted(
        (int(t), batch.channel, float(v)) for batch in batches for t, v in zip(batch.times, batch.values, strict=True)
    )
    moves, noises, observed, variances, values, now = [], [], [], [], [], small.START
    for t, channel, value in [*readings, (until, readings[-1][1], np.nan)]:
        move, noise = model.dynamics.discretise((t - now) * 1e-9)
        sensor, row = rows[channel]
        moves.append(move)
        noises.append(noise)
        observed.append(row[None])
        variances.append([[np.sqrt(sensor.variance)]])
        values.append([value - sensor.offset])
        now = t
    model_arrays = tuple(np.array(column) for column in (moves, noises, observed, variances, values))
    layout = model.layout
    kalman_filter = kalman.build_filter(
        layout.prior_mean(),
        np.diag(layout.prior_std()),
        lambda model_inputs: (model_inputs[0], jnp.zeros(len(layout)), model_inputs[1]),
        lambda model_inputs: (model_inputs[2], jnp.zeros(1), model_inputs[3], model_inputs[4]),
    )
    states = cuthbert.filter(kalman_filter, model_arrays, kalman_filter.init_prepare())
    cov_sqrt = np.asarray(states.chol_cov)[-1]
    return np.asarray(states.mean)[-1], cov_sqrt @ cov_sqrt.T


def quick() -> dict[str, float]:
    """As `live`, handed over every tenth of a second: for how many readings a second there are."""
    return live(30.0, 0.1)


SMOKE: dict[str, Callable[[], dict[str, float]]] = {
    "live": lambda: live(1.0),
    "quick": lambda: live(2.0, 0.1),
    "hour": lambda: day(1.0 / 30.0),
    "exact": lambda: exact(20),
}
"""The same by name, of a moment each."""

MEASUREMENTS: dict[str, Callable[[], dict[str, float]]] = {
    "live": live,
    "quick": quick,
    "day": day,
    "hour": hour,
    "exact": exact,
}


def main(name: str) -> int:
    """Measure on one core and print it."""
    import os

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import jax

    jax.config.update("jax_enable_x64", True)
    print(json.dumps(MEASUREMENTS[name]()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
