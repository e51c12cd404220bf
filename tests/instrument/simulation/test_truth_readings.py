"""Arrival of the simulated microscope's readings: delayed, out of order, each once; and sensors that freeze."""

import time

import numpy as np
import pytest
from msgspec.structs import replace

from instrument.simulation.instrument import SimulatedConfig, TruthSession, presets
from twin.channels import CHANNELS

LATE = SimulatedConfig(delay_max=2.0, dropout=0.05, stuck_count=2)


def with_commands(session: TruthSession) -> TruthSession:
    session.apply(11.0, {"C10": 60.0})
    session.apply(40.0, {"stage.x": 2e4, "holder.temperature": 320.0})
    return session


def polled(session: TruthSession, times: np.ndarray) -> dict[tuple[str, int], tuple[int, float, float, float]]:
    """(time in ns, value, poll before, poll) of each reading; none may come twice."""
    out, previous_poll = {}, -np.inf
    for t in times:
        for batch in session.published(t):
            for n, (time_ns, value) in enumerate(zip(batch.times, batch.values, strict=True)):
                assert (batch.channel, batch.first + n) not in out
                out[batch.channel, batch.first + n] = (int(time_ns), float(value), previous_poll, t)
        previous_poll = t
    return out


@pytest.mark.parametrize("delay_max", [0.0, 2.0])
def test_each_reading_arrives_once_when_it_arrives_however_often_one_asks(delay_max):
    config = replace(LATE, delay_max=delay_max)
    rng, session = np.random.default_rng(0), with_commands(TruthSession(config, 1))
    arrived = {
        (arrivals.channel, int(n)): (int(time_ns), float(value), (arrival - session.epoch) / 1e9)
        for arrivals in session.arrivals(60.0)
        for n, time_ns, value, arrival in zip(
            arrivals.numbers, arrivals.times, arrivals.values, arrivals.arrival, strict=True
        )
    }
    for polls in (np.array([60.0]), np.arange(1.0, 61.0), np.append(np.sort(rng.uniform(0, 60, 25)), 60.0)):
        readings = polled(with_commands(TruthSession(config, 1)), polls)
        assert readings.keys() == arrived.keys()
        for key, (time_ns, value, previous_poll, now) in readings.items():
            assert (time_ns, value) == pytest.approx(arrived[key][:2], rel=0, abs=0, nan_ok=True)
            assert previous_poll - 1e-6 < arrived[key][2] <= now + 1e-6
    assert not with_commands(TruthSession(config, 1)).published(0.01)


def test_delays_are_mostly_short_never_longer_than_the_longest_and_change_the_order():
    session, prompt = TruthSession(LATE, 1), TruthSession(replace(LATE, delay_max=0.0), 1)
    delays, late = [], 0
    names = [channel.name for channel in CHANNELS if channel.rate <= 10]
    for channel, delayed, undelayed in zip(
        names, session.arrivals(600.0, names), prompt.arrivals(600.0, names), strict=True
    ):
        rate = next(c.rate for c in CHANNELS if c.name == channel)
        taken_at = (delayed.numbers + session.sensors._phase[channel]) / rate
        delays.append((delayed.arrival - session.epoch) / 1e9 - taken_at - LATE.latency)
        late += int(np.sum(np.diff(delayed.arrival) < 0))
        common, in_delayed, in_undelayed = np.intersect1d(delayed.numbers, undelayed.numbers, return_indices=True)
        assert (
            len(common) == len(delayed.numbers) >= len(undelayed.numbers) - 1 - 2 * rate
        )  # what is missing is under way
        np.testing.assert_array_equal(delayed.values[in_delayed], undelayed.values[in_undelayed])
        np.testing.assert_array_equal(delayed.times[in_delayed], undelayed.times[in_undelayed])
    delays = np.concatenate(delays)
    assert delays.min() >= -1e-6
    assert 1.5 < delays.max() <= 2.0
    share = np.exp(-6) / (1 - np.exp(-6))
    assert np.mean(delays) == pytest.approx(2.0 * (1 / 6 - share), rel=0.03)
    assert np.median(delays) < 0.25
    assert late > 1000


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_stuck_sensors_and_only_they_repeat_a_number(seed):
    session = TruthSession(replace(LATE, stuck_seconds=400.0, stuck_count=3, outlier=0.01), seed)
    healthy = TruthSession(replace(LATE, stuck_count=0, outlier=0.01), seed)
    stuck = session.sensors.stuck()
    assert len(stuck) == 3
    assert not healthy.sensors.stuck()
    measured = [channel for channel in CHANNELS if channel.kind == "measured" and channel.rate <= 10]
    assert set(stuck) <= {channel.name for channel in CHANNELS if channel.kind == "measured"}
    for channel in [c for c in CHANNELS if c.name in stuck] + measured[:4]:
        (arrivals,), (healthy_arrivals,) = (
            session.arrivals(1800.0, [channel.name]),
            healthy.arrivals(1800.0, [channel.name]),
        )
        taken_at = (arrivals.numbers + session.sensors._phase[channel.name]) / channel.rate
        start, stop = stuck.get(channel.name, (np.inf, np.inf))
        inside = (taken_at >= start) & (taken_at < stop)
        if channel.name in stuck:
            assert 360 <= start <= 1260
            assert stop == start + 400
            assert len(set(arrivals.values[inside])) == 1
            assert inside.sum() > 0.85 * 400 * channel.rate - 3
        np.testing.assert_array_equal(arrivals.values[~inside], healthy_arrivals.values[~inside])


def test_without_a_count_sensors_stick_as_they_did_with_noise_that_goes_on():
    for seed in range(10):
        session = TruthSession(SimulatedConfig(), seed)
        for name, (start, stop) in session.sensors.stuck().items():
            (arrivals,) = session.arrivals(2400.0, [name])
            seconds = (arrivals.times - session.epoch) / 1e9
            inside = arrivals.values[(seconds > start + 4) & (seconds < stop - 4)]
            assert len(set(inside)) > 1
            return
    pytest.fail("no sensor stuck in ten sessions, of which seven should have had one")


def test_clocks_are_what_stamps_are_off_by():
    for hours in (-3.0, 3.0):
        session = TruthSession(SimulatedConfig(late_clock=hours), 2)
        clocks = session.sensors.clocks()
        assert hours in [clocks[source] for source in ("water", "room", "holder")]
        for arrivals in session.arrivals(60.0):
            taken_at = (arrivals.numbers + session.sensors._phase[arrivals.channel]) / next(
                c.rate for c in CHANNELS if c.name == arrivals.channel
            )
            off = (arrivals.times - session.epoch) / 1e9 - taken_at
            assert np.abs(off - clocks[arrivals.channel.split(".")[0]]).max() < 3e-3


def test_forty_channels_of_which_twenty_are_echoes_can_be_chosen():
    echoes = [channel for channel in CHANNELS if channel.kind == "echo"]
    not_echoes = [channel for channel in CHANNELS if channel.kind != "echo"]
    assert len(echoes) >= 20
    assert len(not_echoes) >= 20
    assert len({channel.name for channel in CHANNELS}) == len(CHANNELS)
    session = with_commands(TruthSession(presets()["session"], 0))
    chosen = [channel.name for channel in echoes[-20:] + not_echoes[:20]]
    for arrivals in session.arrivals(120.0, chosen):
        assert len(arrivals.values) > 5
        assert np.all(np.isfinite(arrivals.values))


def test_half_an_hour_of_forty_channels_takes_no_two_seconds():
    session = with_commands(TruthSession(presets()["session"], 0))
    for n in range(150):
        session.apply(60.0 + 10 * n, {"C10": float(n % 7), "stage.x": 1e4 * (n % 3)})
    names = [c.name for c in CHANNELS if c.kind == "echo"][:20] + [c.name for c in CHANNELS if c.kind != "echo"][:20]
    start = time.process_time()
    channels = session.arrivals(1800.0, names)
    assert time.process_time() - start < 2  # about 0.3 s; two thirds of it for the stray field at 100 Hz
    assert sum(len(arrivals.values) for arrivals in channels) > 400_000
