"""A small instrument for the tests of the wire: two channels, one control, a detector that records a ramp. Stepped
clock, no physics.
"""

import contextlib
import threading
import time

import numpy as np

from instrument.core.interface import Description, InstrumentError
from instrument.remote.server import Server
from tests.waiting import PATIENCE
from twin.channels import Channel, Control
from twin.records import Exposure, Frame, Readings, Scan

START = 1_700_000_000 * 10**9
RATES = {"fast": 100.0, "slow": 0.5}


class Toy:
    """Values of a channel are its sequence numbers, NaN at every tenth; ``slow_acquire`` is how long a frame takes on
    the wall.
    """

    def __init__(self, slow_acquire: float = 0.0, skip: int | None = None):
        self._now, self._settings, self._frames = START, {"C10": 0.0}, 0
        self._read = dict.fromkeys(RATES, 0)
        self._slow, self._skip = slow_acquire, skip
        self.truth = ToyTruth()
        self.closed = False

    def describe(self) -> Description:
        channels = tuple(Channel(name, "1", "measured", rate) for name, rate in RATES.items())
        return Description(
            "toy", "toy", "stepped", 0.0, (Control("C10", "angstrom", -100.0, 100.0),), channels, ("HAADF",)
        )

    def now(self) -> int:
        return self._now

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def apply(self, changes: dict[str, float]) -> int:
        for name, value in changes.items():
            if name not in self._settings or not -100 <= value <= 100:
                raise InstrumentError(f"{name} cannot be {value};", "C10 goes from -100 to 100")
        self._settings |= changes
        return self._now

    def advance(self, until: int) -> int:
        self._now = max(self._now, until)
        return self._now

    def acquire(self, scan: Scan) -> Frame:
        if self._settings["C10"] == 13:
            raise RuntimeError("a bug in the instrument")
        time.sleep(self._slow)
        start = self._now
        self._now += int(scan.dwell * 1e9) * scan.shape[0] * scan.shape[1]
        self._frames += 1
        data = np.arange(scan.shape[0] * scan.shape[1], dtype=np.float32).reshape(scan.shape) + self._settings["C10"]
        return Frame(
            data, self._frames, start, scan, self.settings(), Exposure(1.0, 2.0, 3.0), meta={"claim": None, "kV": 200.0}
        )

    def readings(self) -> list[Readings]:
        batches = []
        for name, rate in RATES.items():
            stop = int((self._now - START) / 1e9 * rate)
            numbers = np.arange(self._read[name], stop, dtype=np.int64)
            if self._skip is not None and name == "fast":
                numbers = numbers[numbers != self._skip]
            self._read[name] = stop
            for part in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
                if part.size:
                    values = np.where(part % 10 == 9, np.nan, part.astype(np.float64))
                    batches.append(Readings(name, int(part[0]), START + (part * (1e9 / rate)).astype(np.int64), values))
        return batches

    def restore(self, commands: list[tuple[str, dict, int]]) -> None:
        for name, arguments, time_ns in commands:
            if self._now != time_ns:
                raise InstrumentError(f"{name} was given at {time_ns}, not {self._now};", "restore all commands")
            getattr(self, name)(**arguments)

    def close(self) -> None:
        self.closed = True


class ToyTruth:
    def expected(self, requests):
        return [
            (np.full(r.scan.shape, r.settings.get("C10", 0.0)), np.ones(r.scan.shape, np.float32) if r.noisy else None)
            for r in requests
        ]

    def state(self, times):
        return {"C10": np.asarray(times, np.float64) * 2}

    def facts(self):
        return {"energy": 200e3, "matrix": np.eye(2), "name": "toy", "tilt": [0.0, 1.0]}


def make(config: dict, seed: int, cache, progress) -> Toy:
    """What `emtwin instrument serve tests.instrument.remote.toy:make` calls."""
    building = config.pop("building", 0.0)
    if config.pop("broken", False):
        raise ValueError("toy.broken is true; make it false")
    if config.pop("chatty", False):
        print("a library says hello")
    for step in range(10):
        progress("building the toy", step / 10)
        time.sleep(building / 10)
    return Toy(**config)


@contextlib.contextmanager
def serving(instrument, **options):
    """A server of that instrument (or builder) in a thread of this process."""
    server = Server(instrument, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
