"""A simulated microscope over a field of columns: scans of annular detectors anywhere in it, and the truth for scoring."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.core.commands import checked, run_again
from instrument.core.interface import Description
from instrument.simulation.field.config import FieldConfig, from_mapping
from instrument.simulation.field.hidden import AREA, Images, hidden_of
from instrument.simulation.field.scattering import grams_of
from instrument.simulation.scans import ELEMENTARY_CHARGE, admitted, frame_seconds
from instrument.simulation.truth.config import generator
from instrument.simulation.truth.session import epoch
from twin.channels import CONTROLS
from twin.records import Exposure, Frame, Readings, Scan

__all__ = ["FieldConfig", "FieldMicroscope", "FieldTruth", "from_mapping"]

SHIFTS = tuple(
    msgspec.structs.replace(each, lowest=-AREA / 2, highest=AREA / 2)
    for each in CONTROLS
    if each.name.startswith("beam_shift.")
)


class FieldMicroscope:
    """The instrument of `instrument.core.interface` with a stepped clock, with ``truth`` for scoring and ``restore`` for starting again at the same point.

    ``cache`` is a folder for specimens already computed; ``progress`` is called with (text, fraction). Frames are electrons that a detector counted.
    """

    def __init__(
        self,
        config: FieldConfig,
        seed: int = 0,
        cache: Path | None = None,
        progress: Callable[[str, float], None] | None = None,
    ):
        self._config, self._seed = config, int(seed)
        grams = grams_of(config, cache, progress or (lambda text, share: None))
        hidden = hidden_of(config, grams, self._seed)
        self._images = Images(config, grams, hidden)
        self._epoch = self._now = epoch(self._seed)
        self._settings = {each.name: 0.0 for each in SHIFTS}
        self._frames = 0
        self.truth = FieldTruth(config, self._images, self._epoch, grams.depths)

    def describe(self) -> Description:
        note = f"a simulated field of columns at {1e-3 * self._config.energy:g} kV"
        return Description("field", "simulated", "stepped", 0.0, SHIFTS, (), tuple(self._config.detectors), note)

    def now(self) -> int:
        return self._now

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def apply(self, changes: dict[str, float]) -> int:
        """Move the scan. InstrumentError, changing nothing, for another control or a place outside of the field."""
        self._settings.update(checked(changes, SHIFTS))
        return self._now

    def advance(self, until: int) -> int:
        """Let time pass until ``until`` (ns UTC); a time already past changes nothing."""
        self._now = max(self._now, int(until))
        return self._now

    def acquire(self, scan: Scan) -> Frame:
        """Settle, unblank, scan, blank. InstrumentError, with nothing done, for a scan that cannot be run."""
        current = self._passed(scan)
        config, (ny, nx) = self._config, scan.shape
        seconds = frame_seconds(scan)
        start = self._now - round(seconds * 1e9)
        centre = (self._settings["beam_shift.x"], self._settings["beam_shift.y"])
        rates = self._images.rates(scan.detector, places(centre, scan), (start - self._epoch) * 1e-9)
        rng = generator(self._seed, "frame", self._frames - 1)
        means = scan.dose * scan.pixel**2 * self._images.hidden.gain * rates
        counts = rng.poisson(means) + config.readout * rng.standard_normal(len(means))
        exposure = Exposure(
            pixels=current * nx * ny * scan.dwell,
            flyback=current * ny * scan.flyback,
            settle_dose=current * min(config.parked, scan.settle),
        )
        inner, outer = config.detectors[scan.detector]
        meta: dict[str, str | float | int | bool | None] = {
            "high_tension": config.energy, "semiangle": config.semiangle, "detector.inner": inner, "detector.outer": outer,
            "beam_current": current * ELEMENTARY_CHARGE,
        }  # fmt: skip
        data = counts.reshape(ny, nx).astype(np.float32)
        return Frame(data, self._frames - 1, start, scan, self.settings(), exposure, "measured", meta)

    def _passed(self, scan: Scan) -> float:
        """Let the time of a scan pass; its beam current in electrons per second."""
        current = admitted(scan, tuple(self._config.detectors), self._config.dose_limit)
        self._now += round(scan.settle * 1e9) + round(frame_seconds(scan) * 1e9)
        self._frames += 1
        return current

    def readings(self) -> list[Readings]:
        """There are no sensors."""
        return []

    def restore(self, commands: Iterable[tuple[str, Mapping[str, object], int]]) -> int:
        """Restore the state after earlier ``commands`` (name, arguments, time in ns at which each was given); frames are counted, not computed. ValueError
        unless it is the first call. Returns the time after the last command."""
        if self._frames or self._now != self._epoch:
            raise ValueError("restore: the instrument has been used already; restore right after starting it")
        run_again(self, commands, self._passed)
        return self._now

    def close(self) -> None:
        """Nothing is held open."""


class FieldTruth:
    """What is hidden of a field."""

    def __init__(self, config: FieldConfig, images: Images, start: int, depths: tuple[float, ...]):
        self._config, self._images, self._epoch, self._depths = config, images, start, depths

    def expected(self, requests: Sequence[Any]) -> list[tuple[np.ndarray, None]]:
        """Mean counts [ny, nx], as shares of the beam, of scans with ``settings`` at ``command_time`` (ns)."""
        made = []
        for each in requests:
            shift = {**dict.fromkeys((control.name for control in SHIFTS), 0.0), **each.settings}
            at = places((shift["beam_shift.x"], shift["beam_shift.y"]), each.scan)
            rates = self._images.rates(
                each.scan.detector, at, (each.command_time - self._epoch) * 1e-9 + each.scan.settle
            )
            made.append((self._images.hidden.gain * rates.reshape(each.scan.shape), None))
        return made

    def state(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Where the crystal's origin is under the beam, "x" and "y" [n], at ``times`` [n] in ns."""
        seconds = (np.asarray(times, np.int64) - self._epoch) * 1e-9
        hidden = self._images.hidden
        return {name: -hidden.origin[axis] - hidden.drift[axis] * seconds for axis, name in enumerate("xy")}

    def facts(self) -> dict[str, Any]:
        """Settings, and of each column that may be changed where the beam is over it (``columns`` [n, 2]), the ``changed`` [n] and their ``depths`` [n]."""
        hidden = self._images.hidden
        values = {
            "C10": hidden.c10, "C12.a": hidden.c12[0], "C12.b": hidden.c12[1], "source": hidden.source, "cells": hidden.cells, "gain": hidden.gain,
        }  # fmt: skip
        depths = np.where(hidden.changed >= 0, np.array(self._depths)[hidden.changed], np.nan)
        return values | {"columns": hidden.columns, "changed": (hidden.changed >= 0).astype(np.int8), "depths": depths}


def places(centre: tuple[float, float], scan: Scan) -> np.ndarray:
    """Where the beam is [ny nx, 2] (x, y) at each pixel of a scan about ``centre``, row by row, in angstrom."""
    ny, nx = scan.shape
    x = centre[0] + (np.arange(nx) - (nx - 1) / 2.0) * scan.pixel
    y = centre[1] + (np.arange(ny) - (ny - 1) / 2.0) * scan.pixel
    return np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)
