"""A stream that is saved and restored in the middle of a session goes on exactly."""

import io
import json

import numpy as np
import pytest

from reconstruct.stream.observation import Observation
from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, batch, drawn, heard, holder, toy

MODEL = toy()


def through_a_file(values, arrays):
    """Values and arrays after a round trip through JSON and npz."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as saved:
        return json.loads(json.dumps(values)), dict(saved)


def feed(stream, pieces, first, last):
    for number in range(first, last):
        stream.push(pieces[number], START + round((number + 1) * 0.5e9))
        if number == 50:
            image = Observation("image", START + 24 * SECOND, ("defocus",), np.array([12.0]), np.array([3.0]))
            assert stream.observe(image)
    return stream


def session():
    seconds = np.arange(0.05, 60.0, 0.17)
    batches = heard(MODEL, seconds, drawn(MODEL, seconds, 5), 5)
    lens = np.arange(0.1, 60.0, 0.2)
    batches += [batch(name, lens, np.where(lens < 30, 0.0, 150.0)) for name in ("lens.echo", "focus.commanded")]
    pieces = []
    for number in range(120):
        inside_batches = []
        for sensor_readings in batches:
            inside = (sensor_readings.times > START + number * 0.5e9 - 1e8) & (
                sensor_readings.times <= START + (number + 1) * 0.5e9 - 1e8
            )
            if inside.any():
                inside_batches.append(
                    batch(
                        sensor_readings.channel,
                        (sensor_readings.times[inside] - START) * 1e-9,
                        sensor_readings.values[inside],
                    )
                )
        pieces.append(inside_batches)
    return pieces


@pytest.mark.parametrize("middle", [3, 52, 90])
@pytest.mark.slow
def test_a_stream_saved_and_restored_goes_on_exactly(middle):
    pieces = session()
    whole = feed(Stream(MODEL, START), pieces, 0, 120)
    first = feed(Stream(MODEL, START), pieces, 0, middle)
    restored = feed(Stream.from_state(MODEL, *through_a_file(*first.to_state())), pieces, middle, 120)
    at = START + 60 * SECOND
    restored_belief, whole_belief = restored.belief(at), whole.belief(at)
    np.testing.assert_array_equal(restored_belief.means, whole_belief.means)
    np.testing.assert_array_equal(restored_belief.cov_sqrt, whole_belief.cov_sqrt)
    assert restored.evidence == whole.evidence
    assert {name: (h.used, h.outlier, h.late, h.verdict()) for name, h in restored.health.items()} == {
        name: (h.used, h.outlier, h.late, h.verdict()) for name, h in whole.health.items()
    }
    early = START + 7 * SECOND
    np.testing.assert_array_equal(restored.smoother().belief(early).means, whole.smoother().belief(early).means)
    assert restored.clock("room").offset(60.0) == whole.clock("room").offset(60.0)
    assert [e.kind for e in restored.events] == [e.kind for e in whole.events]


def test_another_model_is_refused():
    values, arrays = Stream(MODEL, START).to_state()
    with pytest.raises(ValueError, match="give its own table"):
        Stream.from_state(MODEL, values | {"names": ["x"]}, arrays)
    with pytest.raises(ValueError, match="not a stream"):
        Stream.from_state(MODEL, {"format": "x"}, arrays)
    with pytest.raises(ValueError, match=r"saved by emtwin 0\.1"):
        Stream.from_state(MODEL, values | {"format": "emtwin-stream/1"}, arrays)


@pytest.mark.parametrize("middle", [14, 30, 52, 60])
def test_runs_of_equal_readings_are_restored_too(middle):
    """A hold and its end, and a sensor that sticks, cut anywhere."""
    seconds = np.arange(0.05, 40.0, 0.1)
    still = np.round(np.interp(seconds, [0.0, 5.0, 10.0, 25.0, 40.0], [300.0, 300.0, 305.0, 305.0, 290.0]), 3)
    noisy = np.round(still + 0.02 * np.random.default_rng(0).standard_normal(len(seconds)), 3)
    noisy[140:200] = noisy[140]
    model = holder(0.0055, 0.02)

    def fed(stream, first, last):
        for number in range(first, last):
            inside_batches = (seconds >= 0.5 * number) & (seconds < 0.5 * number + 0.5)
            stream.push(
                [
                    batch(name, seconds[inside_batches], values[inside_batches])
                    for name, values in (("s0", still), ("s1", noisy))
                ]
            )
        return stream

    whole = fed(Stream(model, START), 0, 80)
    first = fed(Stream(model, START), 0, middle)
    restored = fed(Stream.from_state(model, *through_a_file(*first.to_state())), middle, 80)
    at = START + 40 * SECOND
    np.testing.assert_array_equal(restored.belief(at).means, whole.belief(at).means)
    np.testing.assert_array_equal(restored.belief(at).cov_sqrt, whole.belief(at).cov_sqrt)
    assert [(e.kind, e.name, e.time) for e in restored.events] == [(e.kind, e.name, e.time) for e in whole.events]
    assert [e.kind for e in whole.events if e.name == "s1" and e.kind != "prior_reset"] == [
        "stuck_sensor",
        "sensor_recovered",
    ]
