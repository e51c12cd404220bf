"""What a sensor table's model says of a log: one pass of the stream over it, and the smoothed readings at any time."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reconstruct.stream.readings.health import FAULTS
from reconstruct.stream.stream import Stream
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from twin.records import Readings
from twin.sensors.model import Model
from twin.sensors.sensor import Sensor

PIECES = 400
"""Pieces in time that a log is given to the stream in."""
SMOOTHING_BATCH = 30
"""Times that the smoother is asked for at once: more would not fit into one size of its kernel."""
DOUBTED = ("spiking", "noisy", "late", "clock off", *FAULTS)
"""Verdicts of the stream with which the model's error of a sensor is not to be believed."""


class Fault(NamedTuple):
    """A sensor was ``kind`` ("stuck", "saturated") from ``since`` to ``until`` (ns)."""

    kind: str
    since: int
    until: int


class Smoothed:
    """The stream of ``model`` over the channels of a log that it holds, in the units that it holds them in."""

    def __init__(self, record: SensorRecord, model: Model):
        self.sensors: dict[str, Sensor] = {}
        logged: list[LoggedSensor] = []
        modelled = {sensor.channel: sensor for sensor in model.sensors}
        for item in record.sensors:
            sensor = modelled.get(item.channel)
            if sensor is not None and sensor.unit == item.unit and len(item.times):
                self.sensors[item.channel] = sensor
                logged.append(item)
        start = min([record.start, *(int(item.times[0]) for item in logged)])
        self._end = max([record.end, *(int(item.times[-1]) for item in logged)])
        self.stream = Stream(model, start)
        edges = [start - 1, *(start + (self._end - start) * index // PIECES for index in range(1, PIECES + 1))]
        for before, edge in itertools.pairwise(edges):
            batches = [piece for item in logged if (piece := _piece(item, before, edge)) is not None]
            if batches:
                self.stream.push(batches)
        self.stream.settle(self.stream.now + self.stream.span)
        self._smoother = self.stream.smoother()
        self.verdicts = self.stream.verdicts()

    def usable(self, channel: str) -> bool:
        """Whether the model predicts this channel, and its verdict on it lets its errors be believed."""
        sensor = self.sensors.get(channel)
        return (
            sensor is not None
            and sensor.evidence
            and sensor.kind != "last-measured"
            and not sensor.inputs
            and self.verdicts.get(channel) not in set(DOUBTED) - set(FAULTS)
        )

    def faults(self, channel: str) -> tuple[Fault, ...]:
        """When the sensor was stuck or saturated."""
        faults: list[Fault] = []
        for event in self.stream.events:
            if event.name != channel:
                continue
            if event.kind in ("stuck_sensor", "saturated_sensor"):
                faults.append(Fault(event.kind.partition("_")[0], event.time, self._end))
            elif event.kind == "sensor_recovered" and faults:
                faults[-1] = faults[-1]._replace(until=event.time)
        return tuple(faults)

    def at(self, channels: Sequence[str], times: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations [t, c] of what the sensors read without noise and their own constant error, at ``times`` (ns)."""
        model, sensors = self.stream.model, [self.sensors[name] for name in channels]
        rows = np.stack([_own_error_left_out(sensor).row(model.layout) for sensor in sensors])
        offsets = np.array([sensor.offset for sensor in sensors])
        mean, std = np.empty((len(times), len(sensors))), np.empty((len(times), len(sensors)))
        order = np.argsort(np.asarray(times, np.int64), kind="stable")[::-1]
        for begin in range(0, len(order), SMOOTHING_BATCH):
            part = order[begin : begin + SMOOTHING_BATCH]
            asked = [int(times[index]) for index in part]
            within = [min(max(time, self._smoother.start), self._smoother.end) for time in asked]
            for index, time, belief in zip(part, asked, self._smoother.beliefs(within), strict=True):
                if time > self._smoother.end:
                    belief = self.stream.belief(max(time, self.stream.settled))
                mean[index] = offsets + rows @ belief.means[0]
                std[index] = np.linalg.norm(rows @ belief.cov_sqrt[0], axis=1)
        return mean, std


def _piece(item: LoggedSensor, after: int, until: int) -> Readings | None:
    """Readings later than ``after`` up to ``until``."""
    first, stop = np.searchsorted(item.times, [after, until], side="right").tolist()
    return Readings(item.channel, first, item.times[first:stop], item.values[first:stop]) if stop > first else None


def _own_error_left_out(sensor: Sensor) -> Sensor:
    kept = {name: value for name, value in sensor.coefficients.items() if name != sensor.bias}
    return Sensor(sensor.channel, kept, sensor.offset, sensor.noise, sensor.unit)
