"""A simulated microscope: an instrument with a hidden truth that the twin may not see.

The truth is computed by abTEM with potentials, constants and drift models that differ from the twin's; see
`instrument.simulation.truth`. Its clock is stepped (time moves with `advance`, `acquire` and stage moves) unless a ``rate``
above zero ties it to the wall's.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from instrument.core.commands import run_again
from instrument.core.interface import Description
from instrument.simulation.scans import ELEMENTARY_CHARGE, admitted, frame_seconds
from instrument.simulation.truth.checks import check, from_mapping
from instrument.simulation.truth.config import SimulatedConfig, default_config, generator, presets
from instrument.simulation.truth.imaging.images import Imager
from instrument.simulation.truth.imaging.oracle import (
    ExpectedRequest,
    Truth,
    expected_frame,
    noisy_frame,
)
from instrument.simulation.truth.imaging.scattering import load_or_build
from instrument.simulation.truth.log import Log
from instrument.simulation.truth.session import TruthSession
from twin.channels import CHANNELS, CONTROLS
from twin.records import Exposure, Frame, Readings, Scan

__all__ = [
    "ExpectedRequest",
    "SimulatedConfig",
    "SimulatedMicroscope",
    "Truth",
    "TruthSession",
    "default_config",
    "from_mapping",
    "presets",
]

_DETECTOR = "HAADF"


class SimulatedMicroscope:
    """The instrument of `instrument.core.interface`, with ``truth`` for scoring and ``restore`` for starting again at the
    same point.

    ``cache`` is a folder for specimens already computed (about 20 s each on one core); ``progress`` is called with
    (text, fraction).
    """

    def __init__(
        self,
        config: SimulatedConfig | None = None,
        seed: int = 0,
        cache: Path | None = None,
        progress: Callable[[str, float], None] | None = None,
        rate: float = 0.0,
    ):
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"clock rate {rate!r} cannot be used; give 0 for a stepped clock, or a number above zero")
        self._config = check(config or default_config())
        self._seed, self._rate = int(seed), float(rate)
        session = TruthSession(self._config, self._seed)
        gram = load_or_build(self._config, session.specimen_seed, cache, progress or (lambda text, share: None))
        self._imager = Imager(gram, self._config)
        self._column, self._sensors, self._log = session.column, session.sensors, session.log
        self._epoch = session.epoch
        self._now = self._epoch
        self._frames = 0
        self._wall = time.monotonic()
        self._wall_now = self._now
        self.truth = Truth(self._column, self._imager, self._config, self._seed, self._epoch, self._log)

    def describe(self) -> Description:
        clock = "running" if self._rate > 0 else "stepped"
        note = (
            "a simulated probe-forming microscope at 200 kV"
            if self._config.energy == 200e3
            else "a simulated microscope"
        )
        return Description(
            "simulated", "simulated", clock, self._rate, CONTROLS, CHANNELS, (_DETECTOR,), note, self._config.blanker
        )

    def now(self) -> int:
        if self._rate > 0:
            elapsed = (time.monotonic() - self._wall) * self._rate
            self._now = max(self._now, self._wall_now + int(elapsed * 1e9))
        return self._now

    def settings(self) -> dict[str, float]:
        return dict(self._log.settings[-1])

    def apply(self, changes: dict[str, float]) -> int:
        """Command some controls; returns the time (ns UTC) from which they hold, for a stage move the time of its
        arrival.
        """
        now, settings = self.now(), self._log.with_changes(changes)
        if self._log.moves_stage(settings):
            now = self._pass(now + round(self._config.stage_seconds * 1e9))
        if settings != self._log.settings[-1]:
            self._log.add((now - self._epoch) / 1e9, settings)
        return now

    def advance(self, until: int) -> int:
        """Let time pass until ``until`` (ns UTC); a time already past changes nothing."""
        return self._pass(int(until)) if until > self.now() else self.now()

    def _pass(self, until: int) -> int:
        if self._rate > 0:
            while (left := until - self.now()) > 0:
                time.sleep(min(0.1, left / 1e9 / self._rate))
        self._now = max(self._now, until)
        return self._now

    def acquire(self, scan: Scan) -> Frame:
        """Settle, unblank, scan, blank. InstrumentError, with nothing done, for a scan that cannot be run."""
        frame, _ = self._acquire(scan, recorded=True)
        if frame is None:
            raise RuntimeError("a recorded scan gave no frame")
        return frame

    def _acquire(self, scan: Scan, recorded: bool) -> tuple[Frame | None, int]:
        """As `acquire`; with ``recorded`` false only time and the count of frames move."""
        current = admitted(scan, (_DETECTOR,), self._config.dose_limit, self._config.blanker)
        start = self.now() + round(scan.settle * 1e9)
        seconds = frame_seconds(scan)
        log = Log(list(self._log.times), list(self._log.settings))
        self._pass(start + round(seconds * 1e9))
        sequence = self._frames
        self._frames += 1
        if not recorded:
            return None, self._now
        seconds_from_start = (start - self._epoch) / 1e9
        fraction, electrons = expected_frame(self._column, self._imager, log, seconds_from_start, scan)
        data = noisy_frame(
            self._column, fraction, electrons, seconds_from_start, generator(self._seed, "frame", sequence)
        )
        c, ny, nx = self._config, *scan.shape
        exposure = Exposure(
            pixels=current * nx * ny * scan.dwell,
            flyback=0.0 if scan.blanked else current * ny * scan.flyback,
            settle_dose=0.0 if scan.blanked else current * min(c.parked, scan.settle),
        )
        meta: dict[str, str | float | int | bool | None] = {
            "high_tension": c.energy,
            "semiangle": c.semiangle,
            "detector.inner": c.haadf_inner,
            "detector.outer": c.haadf_outer,
            "detector.gain": c.gain,
            "detector.black": c.black,
            "beam_current": current * ELEMENTARY_CHARGE,
        }
        return Frame(data, sequence, start, scan, dict(log.settings[-1]), exposure, "measured", meta), self._now

    def readings(self) -> list[Readings]:
        return self._sensors.published((self.now() - self._epoch) / 1e9, self._log)

    def restore(self, commands: Iterable[tuple[str, Mapping[str, object], int]]) -> int:
        """Restore the state after earlier ``commands`` (name, arguments, time in ns at which each was given).

        Names are apply {"changes"}, advance {"until"}, acquire {"scan"}; others do not change the state and are skipped.
        Frames are counted, not computed; readings of that time are not published again. ValueError unless it is the first
        call. Returns the time after the last command.
        """
        if self._frames or len(self._log.times) > 1 or (self._rate == 0 and self._now != self._epoch):
            raise ValueError("restore: the instrument has been used already; restore right after starting it")
        rate, self._rate = self._rate, 0.0
        try:
            run_again(self, commands, lambda scan: self._acquire(scan, recorded=False))
        finally:
            self._rate, self._wall, self._wall_now = rate, time.monotonic(), self._now
        self.readings()
        return self._now

    def close(self) -> None:
        """Nothing is held open."""
