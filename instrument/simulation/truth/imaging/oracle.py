"""Expected frames of the true instrument, for commands that were given or are hypothetical."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from instrument.simulation.truth.column.column import Column
from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.imaging.images import ABERRATIONS, Imager
from instrument.simulation.truth.imaging.specimen import wavelength
from instrument.simulation.truth.log import Log
from twin.channels import CONTROLS
from twin.records import Scan


class Request(Protocol):
    """What a request of `Truth.expected` has; see `ExpectedRequest`."""

    @property
    def command_time(self) -> int: ...
    @property
    def settings(self) -> dict[str, float]: ...
    @property
    def scan(self) -> Scan: ...
    @property
    def noisy(self) -> bool: ...


_FROZEN_SECONDS = 0.25  # s of a frame over which the optics are taken as still


class ExpectedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frame, as if ``settings`` (all or some controls) had been commanded at ``command_time`` (ns UTC)."""

    command_time: int
    settings: dict[str, float] = {}
    scan: Scan = Scan()
    noisy: bool = False


def expected_frame(column: Column, imager: Imager, log: Log, start: float, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of the incident beam [ny, nx] and electrons of each line [ny], for a scan whose first pixel begins at
    ``start`` (s).
    """
    ny, nx = scan.shape
    line = nx * scan.dwell + scan.flyback
    group = max(1, int(_FROZEN_SECONDS / line))
    row, column_offset = np.arange(ny), (np.arange(nx) - (nx - 1) / 2) * scan.pixel
    fraction = np.empty((ny, nx))
    for first in range(0, ny, group):
        rows = row[first : first + group]
        times = (start + rows[:, None] * line + (np.arange(nx) + 0.5)[None, :] * scan.dwell).ravel()
        scan_x = np.broadcast_to(column_offset[None, :], (len(rows), nx)).ravel()
        scan_y = np.broadcast_to(((rows - (ny - 1) / 2) * scan.pixel)[:, None], (len(rows), nx)).ravel()
        positions = column.beam(times, scan_x, scan_y, log) - column.specimen(times, log)
        middle = np.array([0.5 * (times[0] + times[-1])])
        thickness = float(column.thickness(positions.mean(axis=0, keepdims=True))[0])
        harmonics = imager.harmonics(column.aberrations(middle, log)[0], thickness)
        fraction[first : first + group] = imager.intensity(harmonics, positions[:, 0], positions[:, 1]).reshape(
            len(rows), nx
        )
    electrons = scan.dose * scan.pixel**2 * column.dose_factor(start + (row + 0.5) * line, log)
    return np.maximum(fraction, 0.0), electrons


def noisy_frame(
    column: Column, fraction: np.ndarray, electrons: np.ndarray, start: float, rng: np.random.Generator
) -> np.ndarray:
    """One recorded frame float32 [ny, nx] in counts: counting noise, gain, black level, readout noise."""
    black = column.black(np.array([start]))[0]
    counted = rng.poisson(electrons[:, None] * fraction)
    return (column.gain * counted + black + column.config.readout * rng.standard_normal(fraction.shape)).astype(
        np.float32
    )


class Truth:
    """The hidden truth of one session, for scoring. Its methods do not change the state."""

    def __init__(self, column: Column, imager: Imager, config: SimulatedConfig, seed: int, epoch: int, log: Log):
        self._column, self._imager, self._config = column, imager, config
        self._seed, self._epoch, self._log = seed, epoch, log

    def _seconds(self, times: np.ndarray) -> np.ndarray:
        t = (np.asarray(times, dtype=np.int64) - self._epoch) / 1e9
        if t.size and t.min() < 0:
            raise ValueError(f"time {int(np.min(times))} ns is before the session; it began at {self._epoch} ns")
        return t

    def expected(
        self, requests: Sequence[Request | Mapping[str, object]]
    ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """For each request the expected frame (float64 [ny, nx], fraction of the incident beam) and, if ``noisy``, one
        in counts (float32 [ny, nx]) else None.

        A request is an `ExpectedRequest`, a mapping of its fields, or anything with these attributes. The scan starts
        ``scan.settle`` after the command; the history is that of the commands given strictly before it. Noise depends
        on the seed and on the request, and is independent of that of recorded frames.
        """
        return [self._expected_frame(msgspec.convert(r, ExpectedRequest, from_attributes=True)) for r in requests]

    def _expected_frame(self, request: ExpectedRequest) -> tuple[np.ndarray, np.ndarray | None]:
        unknown = set(request.settings) - {control.name for control in CONTROLS}
        if unknown:
            raise ValueError(
                f"unknown controls {sorted(unknown)}; the controls are {', '.join(c.name for c in CONTROLS)}"
            )
        command_seconds = float(self._seconds(np.array([request.command_time]))[0])
        log = self._log.until(command_seconds)
        log.add(command_seconds, log.settings[-1] | request.settings)
        start = (request.command_time + round(request.scan.settle * 1e9) - self._epoch) / 1e9
        fraction, electrons = expected_frame(self._column, self._imager, log, start, request.scan)
        if not request.noisy:
            return fraction, None
        rng = generator(self._seed, "asked", msgspec.json.encode(request, order="sorted").decode())
        return fraction, noisy_frame(self._column, fraction, electrons, start, rng)

    def state(self, times: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        """The hidden state at ``times`` [n] ns: named float64 arrays [n]. Controls' coefficients are actual minus
        commanded, C10's minus what the display says.

        ``x``, ``y``: how far the specimen stands from where its corner column was on the axis; ``thickness`` at the
        beam without scan.
        """
        t = self._seconds(np.asarray(times, dtype=np.int64)).reshape(-1)
        column, log, c = self._column, self._log, self._config
        out = dict(zip(ABERRATIONS, column.aberrations(t, log).T.copy(), strict=True))
        for name in ("C10", "C12.a", "C12.b"):
            out[name] = out[name] - log.commanded(name, t)
        position = column.specimen(t, log)
        no_scan = np.zeros_like(t)
        beam = column.beam(t, no_scan, no_scan, log)
        tilt = self._imager.gram.tilt
        out |= {"x": position[:, 0], "y": position[:, 1], "thickness": column.thickness(beam - position)}
        out |= {"tilt.x": np.full_like(t, tilt[0]), "tilt.y": np.full_like(t, tilt[1])}
        out |= {"beam.x": beam[:, 0], "beam.y": beam[:, 1], "source_sigma": np.full_like(t, c.source_sigma)}
        out |= {
            "gain": np.full_like(t, column.gain),
            "black": column.black(t),
            "dose_factor": column.dose_factor(t, log),
        }
        out |= {f"temperature.{name}": column.paths.value(name, t) for name in ("room", "water")}
        out |= {"temperature.coil": column.heat.coil(t), "temperature.lagged": column.heat.lagged_temperature(t)}
        out["high_tension.ppm"] = column.paths.value("ht", t)
        return out

    def facts(self) -> dict[str, float]:
        """The constants of this session: optics, detector, specimen."""
        c, gram = self._config, self._imager.gram
        facts = self._column.facts() | {f"tilt.{axis}": float(gram.tilt[i]) for i, axis in enumerate("xy")}
        facts |= {
            "energy": c.energy,
            "wavelength": wavelength(c.energy),
            "semiangle": c.semiangle,
            "focal_spread": c.focal_spread,
        }
        facts |= {
            "source_sigma": c.source_sigma,
            "source_tail": c.source_tail,
            "source_tail_length": c.source_tail_length,
        }
        facts |= {"haadf_inner": (c.haadf_inner + c.haadf_inner_error) * c.detector_scale, "lattice": c.lattice}
        facts |= {"haadf_outer": (c.haadf_outer + c.haadf_outer_error) * c.detector_scale, "c30_offset": c.c30_offset}
        facts |= {"thickness_shallowest": float(gram.depths[0]), "thickness_deepest": float(gram.depths[-1])}
        return facts
