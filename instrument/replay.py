"""A recording as an instrument: a measurement at a pixel returns the data recorded there.

`ReplayInstrument` plays a titanate spectrum image: the HAADF, recorded whole, and one EELS spectrum for each of its 49x6 pixels.
"""

import math
from pathlib import Path

import numpy as np

from instrument.core.interface import Description, InstrumentError
from instrument.readers import VendorError, read_vendor
from twin.channels import Control
from twin.records import Exposure, Frame, Readings, Scan, Signal, coordinates

HAADF_FILE = "titanate-si-haadf.dm3"
EELS_FILE = "titanate-si-eels.dm3"
CLAIMS_KEPT = (
    "high_tension",
    "convergence_semiangle",
    "collection_semiangle",
    "dwell",
    "exposure",
    "probe_current",
    "instrument",
)


def find_recording(folder: str | Path) -> Path:
    """The folder that holds both files of the recording: ``folder`` or its sub-folder ``spectra``. VendorError if neither does."""
    for candidate in (Path(folder), Path(folder) / "spectra"):
        if (candidate / HAADF_FILE).is_file() and (candidate / EELS_FILE).is_file():
            return candidate
    problem = f"holds no {HAADF_FILE} with {EELS_FILE}, nor does its sub-folder spectra"
    raise VendorError(str(folder), problem, "Give the folder of the recorded data.")


class ReplayInstrument:
    """A recorded spectrum image, driven like a microscope (interface.Instrument) with a stepped clock.

    Controls ``pixel.x`` and ``pixel.y`` choose a pixel of the spectrum image. Detector "HAADF" returns the whole recorded image [y, x], on a
    grid an integer times finer than the spectra; "EELS" the spectrum [channels] recorded at the chosen pixel, in camera counts. Of a
    `Scan` only detector and settle have a meaning here; the returned frame's scan says what was recorded. The file reports no probe current,
    so the electrons of an exposure are NaN, not zero. There are no sensors: ``readings`` is always empty.
    """

    def __init__(self, folder: str | Path, timeout: float = 60.0):
        """Reads both files through the vendor worker. Raises VendorError (a ValueError) if they cannot be read or do not belong together."""
        recording = find_recording(folder)
        haadf = _single_signal(recording / HAADF_FILE, "image", timeout)
        eels = _single_signal(recording / EELS_FILE, "spectrum-image", timeout)
        if eels.data.ndim != 3 or eels.axes[-1].unit != "electronvolt":
            raise VendorError(
                eels.path, f"is no spectrum image with an energy axis but {eels.data.shape}", "Give the recorded data."
            )
        rows, columns = eels.data.shape[:2]
        pixel_ratio = haadf.data.shape[0] // rows
        if pixel_ratio < 1 or haadf.data.shape != (rows * pixel_ratio, columns * pixel_ratio):
            problem = f"has {haadf.data.shape} pixels, no whole multiple of the spectra's {(rows, columns)}"
            raise VendorError(haadf.path, problem, "Give an image and spectra of one recording.")
        self._haadf = np.asarray(haadf.data, dtype=np.float32)
        self._eels = np.asarray(eels.data, dtype=np.float32)
        if not (np.isfinite(self._haadf).all() and np.isfinite(self._eels).all()):
            raise VendorError(
                str(recording), "holds values that are not finite", "The recording is damaged; copy it again."
            )
        self.finer = pixel_ratio
        energies = coordinates(eels.axes[-1])
        self._first_energy, self._energy_step = float(energies[0]), float(eels.axes[-1].scale)
        self._dwell = _positive_claim(eels, "dwell", 0.2)
        self._claims: dict[str, str | float | int | bool | None] = {
            f"claim.{name}": eels.claims[name].value for name in CLAIMS_KEPT if name in eels.claims
        }
        self._settings = {"pixel.x": 0.0, "pixel.y": 0.0}
        self._controls = (
            Control("pixel.x", "1", 0.0, float(columns - 1), "column of the recorded spectrum image, a whole number"),
            Control("pixel.y", "1", 0.0, float(rows - 1), "row of the recorded spectrum image, a whole number"),
        )
        self._now = _recorded_at(eels)
        self._sequence = 0
        self._times_returned: dict[tuple[str, int, int], int] = {}

    def describe(self) -> Description:
        note = "Recorded data: the same pixel returns the same record every time. Electrons per exposure were not reported."
        return Description(
            "titanate spectrum image", "replay", "stepped", 0.0, self._controls, (), ("HAADF", "EELS"), note
        )

    def now(self) -> int:
        return self._now

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def apply(self, changes: dict[str, float]) -> int:
        """Choose a pixel. InstrumentError, changing nothing, for an unknown control or a value that is no whole number in range."""
        controls = {control.name: control for control in self._controls}
        for name, value in changes.items():
            control = controls.get(name)
            if control is None:
                raise InstrumentError(f"unknown control {name!r}.", f"The controls are {', '.join(controls)}.")
            if not math.isfinite(value) or value != round(value) or not control.lowest <= value <= control.highest:
                cure = f"Give a whole number from {control.lowest:g} to {control.highest:g}."
                raise InstrumentError(f"{name} = {value!r} is not a pixel of the recording.", cure)
        self._settings.update({name: float(value) for name, value in changes.items()})
        return self._now

    def advance(self, until: int) -> int:
        self._now = max(self._now, int(until))
        return self._now

    def acquire(self, scan: Scan) -> Frame:
        """The recorded image ("HAADF") or the chosen pixel's spectrum ("EELS"); ``meta`` says how often it has been returned before."""
        if scan.detector not in ("HAADF", "EELS"):
            raise InstrumentError(f"there is no detector {scan.detector!r}.", "The detectors are HAADF and EELS.")
        if not (math.isfinite(scan.settle) and scan.settle >= 0):
            raise InstrumentError(f"settle = {scan.settle!r} is not a time.", "Give seconds, 0 or more.")
        column, row = int(self._settings["pixel.x"]), int(self._settings["pixel.y"])
        key = (scan.detector, row, column) if scan.detector == "EELS" else (scan.detector, 0, 0)
        times_returned = self._times_returned.get(key, 0)
        self._times_returned[key] = times_returned + 1
        start = self._now + round(scan.settle * 1e9)
        meta: dict[str, str | float | int | bool | None] = {
            "replayed": True,
            "returned_before": times_returned,
            "same_record": times_returned > 0,
            "rows": self._eels.shape[0],
            "columns": self._eels.shape[1],
            **self._claims,
        }
        if scan.detector == "EELS":
            data = self._eels[row, column].copy()
            meta |= {
                "energy.first": self._first_energy,
                "energy.step": self._energy_step,
                "energy.unit": "eV",
                "file": EELS_FILE,
            }
            shape, dwell, electrons = (1, 1), self._dwell, math.nan
        else:  # recorded together with the spectra: no further electrons
            data = self._haadf.copy()
            meta |= {"finer": self.finer, "file": HAADF_FILE}
            shape, dwell, electrons = self._haadf.shape, self._dwell / self.finer**2, 0.0
        recorded = Scan(scan.detector, (int(shape[0]), int(shape[1])), math.nan, dwell, 0.0, scan.settle, math.nan)
        self._sequence += 1
        self._now = start + (round(self._dwell * 1e9) if scan.detector == "EELS" else 0)
        exposure = Exposure(electrons, 0.0, 0.0)
        return Frame(data, self._sequence, start, recorded, self.settings(), exposure, "measured", meta)

    def readings(self) -> list[Readings]:
        return []

    def close(self) -> None:
        """Nothing to release."""


def _single_signal(path: Path, kind: str, timeout: float) -> Signal:
    matching = [signal for signal in read_vendor(path, timeout=timeout) if signal.kind == kind]
    if len(matching) != 1:
        raise VendorError(str(path), f"holds {len(matching)} of kind {kind}, not one", "Give the recorded data.")
    return matching[0]


def _positive_claim(signal: Signal, name: str, otherwise: float) -> float:
    claim = signal.claims.get(name)
    value = float(claim.value) if claim is not None else math.nan
    return value if math.isfinite(value) and value > 0 else otherwise


def _recorded_at(signal: Signal) -> int:
    """Time the file claims (ns; its time zone is not given and taken as UTC), or the epoch where it claims none."""
    start = signal.claims.get("time.start")
    return 0 if start is None else int(start.value)
