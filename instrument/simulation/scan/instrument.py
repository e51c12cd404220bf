"""A simulated scan as an instrument: each exposure of a pixel is counted anew, for the dwell time that is asked."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.commands import checked, run_again
from instrument.core.interface import Description, InstrumentError
from instrument.replay import DATA, SURVEY, meta_of
from instrument.simulation.scan.config import ScanConfig, from_mapping
from instrument.simulation.scan.expectation import expected_scan
from instrument.simulation.truth.config import generator
from twin.channels import Control
from twin.records import Exposure, Frame, Readings, RecordedScan, Scan

EPOCH = 1_700_000_000 * 10**9
"""Time (ns UTC) at which a session begins."""
LONGEST = 600.0
"""Second of one exposure."""
MOST_VALUES = 2**23
"""Numbers of one frame."""


def open_scan(
    data: Path,
    survey: Path | None,
    config: Mapping[str, Any],
    seed: int,
    progress: Callable[[str, float], None] = lambda text, share: None,
) -> "DosedScan":
    """The scan of what the file ``data`` lets expect; see `expected_scan`. ValueError for what cannot be used."""
    made = from_mapping(config)
    progress("expected counts of all pixels", 0.0)
    return DosedScan(expected_scan(data, survey, made, seed), made, seed)


class DosedScan:
    """A scan with a stepped clock (interface.Instrument).

    Controls ``pixel.x`` and ``pixel.y`` place the beam. Detector "survey" takes the whole survey image [y, x]; "EELS" (a spectrum) or "4D-STEM" (a pattern)
    the pixel under the beam where the `Scan` has the shape (1, 1), else the whole scan, line by line. Dwell time, settling and flyback are the scan's; the
    beam is on all the time, and ``scan.dose`` follows from the current. Counts are Poisson distributed, each exposure for itself. There are no sensors.
    """

    def __init__(self, scan: RecordedScan, config: ScanConfig, seed: int):
        self._scan, self._config, self._seed = scan, config, int(seed)
        self._detector = DATA[scan.content]
        rows, columns = scan.shape
        self._controls = (
            Control("pixel.x", "1", 0.0, float(columns - 1), "column of the scan, a whole number"),
            Control("pixel.y", "1", 0.0, float(rows - 1), "row of the scan, a whole number"),
        )
        claims = {"gain": config.gain, "beam_current": config.current * 1.602176634e-19, "pixel": config.pixel}
        self._meta = meta_of(scan) | {"unit": "counts", "electrons": math.nan, "survey.virtual": False}
        self._meta |= {f"claim.{name}": value for name, value in claims.items()}
        self._settings = {"pixel.x": 0.0, "pixel.y": 0.0}
        self._now, self._frames = EPOCH, 0
        angle = generator(seed, "drift").uniform(0.0, 2.0 * math.pi)
        self._direction = np.array([math.sin(angle), math.cos(angle)])
        self.truth = ScanTruth(scan, config)

    def describe(self) -> Description:
        note = f"a simulated scan of {self._scan.shape[0]} x {self._scan.shape[1]} pixels that may be exposed at will"
        return Description("simulated scan", "scan", "stepped", 0.0, self._controls, (), (SURVEY, self._detector), note)

    def now(self) -> int:
        return self._now

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def apply(self, changes: dict[str, float]) -> int:
        """Place the beam. InstrumentError, changing nothing, for an unknown control or a value that is no whole number in range."""
        self._settings.update(checked(changes, self._controls, whole=True))
        return self._now

    def advance(self, until: int) -> int:
        self._now = max(self._now, int(until))
        return self._now

    def acquire(self, scan: Scan) -> Frame:
        """The survey, the pixel under the beam, or the whole scan. InstrumentError, with nothing done, for a scan that cannot be run."""
        frame = self._acquire(scan, True)
        assert frame is not None
        return frame

    def _acquire(self, scan: Scan, recorded: bool) -> Frame | None:
        """As `acquire`; with ``recorded`` false only time and the count of frames move."""
        shape = self._admit(scan)
        config, sequence = self._config, self._frames
        start = self._now + round(scan.settle * 1e9)
        self._now = start + round((shape[0] * (shape[1] * scan.dwell + scan.flyback)) * 1e9)
        self._frames += 1
        if not recorded:
            return None
        shares = self._expected(scan, shape, (start - EPOCH) * 1e-9)
        rng = generator(self._seed, "frame", sequence)
        electrons = config.current * scan.dwell
        counts = rng.poisson(electrons * shares) + config.readout * rng.standard_normal(shares.shape)
        if scan.detector == SURVEY:
            counts = np.maximum(counts, 0.0)
        exposure = Exposure(
            electrons * shape[0] * shape[1], config.current * scan.flyback * shape[0], config.current * scan.settle
        )
        dose = electrons / config.pixel**2
        told = Scan(scan.detector, shape, config.pixel, scan.dwell, scan.flyback, scan.settle, dose)
        data = (config.gain * counts).astype(np.float32)
        return Frame(data, sequence, start, told, self.settings(), exposure, "measured", dict(self._meta))

    def _expected(self, scan: Scan, shape: tuple[int, int], seconds: float) -> np.ndarray:
        if scan.detector == SURVEY:
            return self._scan.survey
        rows, columns = self._scan.shape
        if shape == (1, 1) and (rows, columns) != (1, 1):
            return self._at(np.array([[self._settings["pixel.y"], self._settings["pixel.x"]]]), seconds)[0]
        places = np.moveaxis(np.mgrid[:rows, :columns], 0, -1).reshape(-1, 2).astype(float)
        return self._at(places, seconds).reshape(*shape, *self._scan.data.shape[2:])

    def _at(self, places: np.ndarray, seconds: float) -> np.ndarray:
        """Shares of the beam at ``places`` [n, 2] (row, column), where the beam has drifted meanwhile."""
        away = self._config.drift * seconds / self._config.pixel
        highest = np.array(self._scan.shape) - 1
        y, x = np.clip(places + away * self._direction, 0.0, highest).T
        low_y, low_x = np.floor(y).astype(int), np.floor(x).astype(int)
        high_y, high_x = np.minimum(low_y + 1, highest[0]), np.minimum(low_x + 1, highest[1])
        data, extra = self._scan.data, (None,) * (self._scan.data.ndim - 2)
        u, v = (y - low_y)[:, *extra], (x - low_x)[:, *extra]
        upper = (1.0 - v) * data[low_y, low_x] + v * data[low_y, high_x]
        lower = (1.0 - v) * data[high_y, low_x] + v * data[high_y, high_x]
        return (1.0 - u) * upper + u * lower

    def _admit(self, scan: Scan) -> tuple[int, int]:
        """What the scan covers; InstrumentError for one that cannot be run."""
        if scan.detector not in (SURVEY, self._detector):
            names = f"The detectors are {SURVEY} and {self._detector}."
            raise InstrumentError(f"there is no detector {scan.detector!r}.", names)
        for name in ("dwell", "flyback", "settle"):
            value = getattr(scan, name)
            if not (math.isfinite(value) and (value > 0.0 or (value == 0.0 and name != "dwell"))):
                raise InstrumentError(f"scan: {name} = {value!r} is no time.", "Give seconds.")
        if scan.detector == SURVEY:
            rows, columns = self._scan.survey.shape
            return int(rows), int(columns)
        shape = (int(scan.shape[0]), int(scan.shape[1]))
        if shape not in ((1, 1), self._scan.shape):
            rows, columns = self._scan.shape
            cure = f"Give (1, 1), the pixel under the beam, or ({rows}, {columns}), the whole scan."
            raise InstrumentError(f"scan: shape {shape} cannot be used.", cure)
        if shape[0] * shape[1] * math.prod(self._scan.data.shape[2:]) > MOST_VALUES:
            raise InstrumentError("scan: a frame of it all is too large.", "Take pixels one by one.")
        if scan.dwell > LONGEST:
            raise InstrumentError(f"scan: dwell = {scan.dwell:g} s is too long.", f"Give at most {LONGEST:g} s.")
        return shape

    def readings(self) -> list[Readings]:
        return []

    def restore(self, commands: Iterable[tuple[str, Mapping[str, object], int]]) -> int:
        """Restore the state after earlier ``commands`` (name, arguments, time in ns); see `SimulatedMicroscope.restore`. Frames are counted, not computed."""
        if self._frames or self._now != EPOCH:
            raise ValueError("restore: the instrument has been used already; restore right after starting it")
        run_again(self, commands, lambda scan: self._acquire(scan, False))
        return self._now

    def close(self) -> None:
        """Nothing to release."""


class ScanTruth:
    """The hidden truth, for scoring: `expected` data of pixels, as shares of the beam."""

    def __init__(self, scan: RecordedScan, config: ScanConfig):
        self._scan, self._config = scan, config

    def expected(self, requests: Sequence[Any]) -> list[tuple[np.ndarray, None]]:
        """The noise-free data of the pixel that the settings of each request name, without drift; a spectrum as one row."""
        made = []
        for request in requests:
            settings = request["settings"] if isinstance(request, Mapping) else request.settings
            row, column = int(settings["pixel.y"]), int(settings["pixel.x"])
            made.append((np.atleast_2d(np.array(self._scan.data[row, column], np.float64)), None))
        return made

    def state(self, times: Any) -> dict[str, np.ndarray]:
        """Nothing of a scan changes but the place of the beam."""
        return {"time": np.asarray(times, np.int64)}

    def facts(self) -> dict[str, float]:
        """Constants of the session."""
        return {
            "rows": float(self._scan.shape[0]),
            "columns": float(self._scan.shape[1]),
            "current": self._config.current,
        }
