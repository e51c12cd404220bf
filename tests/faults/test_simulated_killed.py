"""A served microscope gives the same results as a local one, and a killed one is restored to its state."""

import msgspec
import numpy as np
import pytest

from instrument.core.interface import InstrumentLost
from instrument.remote.launch import launch
from instrument.remote.wire import TruthRequest
from instrument.simulation.instrument import SimulatedMicroscope, from_mapping
from tests.instrument.simulation.tiny import TINY
from tests.once import run_folder
from twin.records import Scan

SECOND = 10**9
SCAN = Scan(shape=(8, 6))


def run_legs(instrument, commands, legs):
    """A leg is a defocus, a stage move, a wait and a frame. Returns frames and readings; notes the commands as a
    session does.
    """
    frames, readings = [], []

    def give(name, **arguments):
        commands.append((name, msgspec.to_builtins(arguments), instrument.now()))
        return getattr(instrument, name)(**arguments)

    for leg in legs:
        give("apply", changes={"C10": 10.0 * leg, "stage.x": 100.0 * (leg // 2)})
        give("advance", until=instrument.now() + 7 * SECOND)
        frames.append(give("acquire", scan=SCAN))
        readings += instrument.readings()
    return frames, readings


def by_channel(readings):
    """{(channel, sequence number): (time, value)}"""
    return {
        (batch.channel, batch.first + i): (int(batch.times[i]), repr(float(batch.values[i])))
        for batch in readings
        for i in range(len(batch.values))
    }


@pytest.mark.slow
def test_killed_and_restored_it_goes_on_as_if_nothing_had_happened():
    cache = run_folder("specimens")
    local = SimulatedMicroscope(from_mapping(TINY), 3, cache)
    frames, readings = run_legs(local, [], range(4))
    commands = []
    with launch("simulated", seed=3, config=TINY, cache=cache) as launched, launched.connect() as remote:
        assert launched.ready["jax"] is False
        first_frames, first_readings = run_legs(remote, commands, range(2))
        launched.process.kill()
        with pytest.raises(InstrumentLost):
            remote.acquire(SCAN)
    with launch("simulated", seed=3, config=TINY, cache=cache) as launched, launched.connect() as remote:
        remote.restore(commands)
        last_frames, last_readings = run_legs(remote, [], range(2, 4))
        for actual, expected in zip(first_frames + last_frames, frames, strict=True):
            np.testing.assert_array_equal(actual.data, expected.data)
            assert (actual.start, actual.sequence, actual.settings) == (
                expected.start,
                expected.sequence,
                expected.settings,
            )
        assert by_channel(first_readings + last_readings) == by_channel(readings)
        assert remote.lost_messages == 0
        remote.seal()
        with launched.truth() as truth:
            requests = [TruthRequest(local.now() - SECOND, {"C10": 5.0}, SCAN, True)]
            for (a, b), (c, d) in zip(truth.expected(requests), local.truth.expected(requests), strict=True):
                np.testing.assert_array_equal(a, c)
                assert b is not None
                assert d is not None
                np.testing.assert_array_equal(b, d)
            times = np.array([local.now() - 2 * SECOND, local.now()])
            state = local.truth.state(times)
            assert all(np.array_equal(values, state[name]) for name, values in truth.state(times).items())
            assert truth.facts() == local.truth.facts()
