"""A stream compared with a dense filter and smoother, in any order of readings."""

import tracemalloc

import numpy as np
import pytest

from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, batch, dense, drawn, heard, toy

MODEL = toy()


def close(belief, mean, covariance, tolerance: float = 1e-7):
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((belief.mean - mean) / scale, 0.0, atol=tolerance)
    np.testing.assert_allclose(
        belief.covariance / scale[:, None] / scale, covariance / scale[:, None] / scale, atol=tolerance
    )


@pytest.mark.slow
def test_every_reading_at_its_own_time_against_a_dense_filter_and_smoother():
    generator = np.random.default_rng(0)
    seconds = np.sort(generator.uniform(0.1, 60.0, 80))
    batches = heard(MODEL, seconds, drawn(MODEL, seconds, 1), 2, keep=0.7)
    stream = Stream(MODEL, START, exact=10**6, outliers=0.0, window=20.0)
    stream.push(batches)
    until = START + 61 * SECOND
    path = dense(MODEL, batches, until)
    close(stream.belief(until), path[-1][1], path[-1][2])
    smoother = stream.smoother()
    last = {time: (mean, covariance) for time, _, _, mean, covariance in path if time <= smoother.end}
    known = dense(MODEL, batches, smoother.end)
    last = {time: (mean, covariance) for time, _, _, mean, covariance in known}
    for time in list(last)[:: len(last) // 12]:
        close(smoother.belief(time), *last[time], tolerance=1e-6)
    with pytest.raises(ValueError, match="outside the session"):
        smoother.belief(START - 1)


@pytest.mark.slow
def test_spans_of_half_a_second_are_as_good():
    """In a span that is not cut at every reading, the drift within it is linear and its noise is counted as the reading's."""
    generator = np.random.default_rng(5)
    seconds = np.sort(generator.uniform(0.1, 40.0, 500))
    batches = heard(MODEL, seconds, drawn(MODEL, seconds, 3), 4)
    until = START + 41 * SECOND
    streamed, exact = (Stream(MODEL, START, exact=cut, outliers=0.0) for cut in (0, 10**6))
    for stream in (streamed, exact):
        stream.push(batches)
    belief, exact_belief = streamed.belief(until), exact.belief(until)
    assert np.abs((belief.mean - exact_belief.mean) / exact_belief.std).max() < 0.2
    np.testing.assert_allclose(belief.std, exact_belief.std, rtol=0.03)
    middle = START + 20 * SECOND + 123_456_789
    belief, exact_belief = streamed.smoother().belief(middle), exact.smoother().belief(middle)
    assert np.abs((belief.mean - exact_belief.mean) / exact_belief.std).max() < 0.2
    assert (belief.std > 0.99 * exact_belief.std).all()  # what it does not use makes it less sure, never surer
    assert (belief.std < 1.15 * exact_belief.std).all()


def pieces(batches, generator, lag: float):
    """The same readings one by one, each handed over within ``lag`` seconds of when it was taken, in order of handing over."""
    single = [
        (int(time), batch.channel, float(value))
        for batch in batches
        for time, value in zip(batch.times, batch.values, strict=True)
    ]
    delays = generator.uniform(0.0, lag, len(single))
    order = np.argsort([time * 1e-9 + delay for (time, *_), delay in zip(single, delays, strict=True)])
    return [(single[i], single[i][0] + round(delays[i] * 1e9)) for i in order]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.slow
def test_any_order_within_the_lag_gives_the_same_state(seed):
    seconds = np.arange(0.1, 40.0, 0.21)
    batches = heard(MODEL, seconds, drawn(MODEL, seconds, seed), seed)
    echo = np.where(np.arange(0.05, 40, 0.2) < 17.3, 0.0, 100.0)
    batches += [
        batch("lens.echo", np.arange(0.05, 40, 0.2), echo),
        batch("focus.commanded", np.arange(0.05, 40, 0.2), echo),
    ]
    until = START + 40 * SECOND
    whole = Stream(MODEL, START)
    whole.push(batches)
    generator = np.random.default_rng(seed)
    shuffled, twice = Stream(MODEL, START), Stream(MODEL, START)
    scattered = pieces(batches, generator, 2.0)
    for stream, copies in ((shuffled, 1), (twice, 2)):
        for (time, channel, value), _ in scattered:
            for _ in range(copies):
                stream.push([batch(channel, [(time - START) * 1e-9], [value])])
            if generator.random() < 0.02:
                stream.belief()
    for stream in (shuffled, twice):
        belief, whole_belief = stream.belief(until), whole.belief(until)
        np.testing.assert_allclose(
            belief.mean / whole_belief.std, whole_belief.mean / whole_belief.std, rtol=1e-9, atol=1e-9
        )
        np.testing.assert_allclose(
            belief.cov_sqrt @ belief.cov_sqrt.swapaxes(1, 2),
            whole_belief.cov_sqrt @ whole_belief.cov_sqrt.swapaxes(1, 2),
            rtol=1e-9,
        )
        assert not stream.health["encoder"].late
    assert twice.health["encoder"].repeated > 0


@pytest.mark.slow
@pytest.mark.smoke
def test_with_arrival_times_too():
    """Clocks are learnt from arrivals; handing the same arrivals over in another order changes nothing."""
    seconds = np.arange(0.1, 40.0, 0.21)
    batches = heard(MODEL, seconds, drawn(MODEL, seconds, 0), 0)
    generator = np.random.default_rng(8)
    scattered = pieces(batches, generator, 1.5)
    late = sorted(scattered, key=lambda pair: pair[1] + generator.uniform(0, 5e8))
    until = START + 42 * SECOND
    streamed = []
    for order in (scattered, late):
        stream = Stream(MODEL, START)
        for (time, channel, value), arrival in order:
            stream.push([batch(channel, [(time - START) * 1e-9], [value])], arrival)
        streamed.append(stream.belief(until))
        offset, std = stream.clock("room").offset(40.0)
        assert abs(offset) < 3 * std
        assert std < 0.05
    np.testing.assert_allclose(
        streamed[0].mean / streamed[1].std, streamed[1].mean / streamed[1].std, rtol=1e-9, atol=1e-9
    )


def test_history_stores_few_states_per_chapter(monkeypatch):
    """Smoothing runs whole chapters again; afterwards only the states at the ends of each are in memory."""
    monkeypatch.setattr("reconstruct.stream.stream.CHAPTER_STEPS", 32)
    model, seconds = toy(), np.arange(0.25, 400.0, 0.5)
    stream = Stream(model, START)
    stream.push(heard(model, seconds, drawn(model, seconds, 3), 3))
    stream.settle(START + 400 * SECOND)
    n, smoother = len(model.layout), stream.smoother()
    chapters = len(stream.chapters)
    assert chapters > 20
    smoother.belief(START + 399 * SECOND)  # compiled
    for chapter in stream.chapters:
        chapter.pack()
    tracemalloc.start()
    smoother.all()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # a chapter's 32 steps would be four times as much
    assert held < 8 * chapters * 8 * (n * n + n)
