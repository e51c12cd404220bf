"""A recording as an instrument: a measurement at a pixel returns the spectrum or the pattern recorded there.

`ReplayInstrument` plays a scan of any file that the readers open: its survey image, seen whole, and the data of one pixel at a time.
"""

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.core.commands import checked
from instrument.core.interface import Description, InstrumentError
from instrument.readers import VendorError, read_vendor
from instrument.readers.reader import EXTENSIONS, FOLDERS
from twin.channels import Control
from twin.records import Content, Exposure, Frame, Readings, RecordedScan, Scan, Signal, Wanted, scan_of

SURVEY = "survey"
DATA = {"spectrum": "EELS", "pattern": "4D-STEM"}
"""Names of the detectors: the survey image, and what a pixel holds."""
CLAIMS_KEPT = (
    "high_tension",
    "convergence_semiangle",
    "collection_semiangle",
    "dwell",
    "exposure",
    "beam_current",
    "gain",
    "instrument",
)
USUAL_DWELL = 0.2
"""Second at a pixel where the recording does not say."""


class ReplayPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is played of a recording: its ``content`` (None: what the file holds), ``energies`` in eV that its spectra must cover, one ``signal`` by number or
    title; ``bin`` pixels along each side are summed to one."""

    content: Content | None = None
    energies: tuple[float, float] | None = None
    signal: str | None = None
    bin: int = 1


def open_replay(
    data: str | Path, survey: str | Path | None = None, config: dict[str, Any] | None = None, timeout: float = 60.0
) -> "ReplayInstrument":
    """The recording in the file ``data``, with the survey image in the file ``survey`` where it is one of its own; ``config``: fields of `ReplayPlan`.

    ValueError (VendorError, BadInput) for files that cannot be read, hold no scan of what is wanted, or do not belong together.
    """
    return ReplayInstrument(opened_scan(data, survey, config, timeout))


def opened_scan(
    data: str | Path, survey: str | Path | None = None, config: dict[str, Any] | None = None, timeout: float = 60.0
) -> RecordedScan:
    """The scan in the files, as `open_replay` takes them."""
    try:
        plan = msgspec.convert(config or {}, ReplayPlan)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"the configuration of a replay: {error}; give {', '.join(ReplayPlan.__struct_fields__)}"
        ) from None
    signals = _signals(data, timeout)
    images = None if survey is None else _signals(survey, timeout)
    content = plan.content or _content(signals)
    return scan_of(signals, Wanted(content, plan.energies, plan.signal, plan.bin), images, str(data))


def _signals(path: str | Path, timeout: float) -> list[Signal]:
    file = Path(path)
    if file.is_dir() and file.suffix.lower() not in FOLDERS:
        cure = f"Give one file of the recording ({', '.join(EXTENSIONS)})."
        raise VendorError(str(path), "is a folder", cure)
    return read_vendor(file, timeout=timeout)


def _content(signals: list[Signal]) -> Content:
    """Spectra where the file holds a spectrum image, else patterns."""
    spectra = any(signal.kind == "spectrum-image" for signal in signals)
    return "spectrum" if spectra else "pattern"


class ReplayInstrument:
    """A recorded scan, driven like a microscope (interface.Instrument) with a stepped clock.

    Controls ``pixel.x`` and ``pixel.y`` choose a pixel of the scan. Detector "survey" returns the whole survey image [y, x], on the scan's grid or one a whole
    number of times finer; "EELS" the spectrum [channels], "4D-STEM" the pattern [ky, kx] recorded at the chosen pixel, as recorded. Of a
    `Scan` only detector and settle have a meaning here; the returned frame's scan says what was recorded. Where the recording does not tell the
    electrons of an exposure they are NaN, not zero. There are no sensors: ``readings`` is always empty.
    """

    def __init__(self, scan: RecordedScan):
        self.scan = scan
        self.detector = DATA[scan.content]
        rows, columns = scan.shape
        self._dwell = _positive_claim(scan.cube, "dwell", USUAL_DWELL)
        self._meta = meta_of(scan)
        self._settings = {"pixel.x": 0.0, "pixel.y": 0.0}
        self._controls = (
            Control("pixel.x", "1", 0.0, float(columns - 1), "column of the recorded scan, a whole number"),
            Control("pixel.y", "1", 0.0, float(rows - 1), "row of the recorded scan, a whole number"),
        )
        self._now = _recorded_at(scan.cube)
        self._sequence = 0
        self._times_returned: dict[tuple[str, int, int], int] = {}

    def describe(self) -> Description:
        note = "Recorded data: the same pixel returns the same record every time."
        if math.isnan(self.scan.electrons):
            note += " Electrons per exposure were not reported."
        name = self.scan.cube.title or Path(self.scan.cube.path).name or "recorded scan"
        detectors = (SURVEY, self.detector)
        return Description(name, "replay", "stepped", 0.0, self._controls, (), detectors, note)

    def now(self) -> int:
        return self._now

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def apply(self, changes: dict[str, float]) -> int:
        """Choose a pixel. InstrumentError, changing nothing, for an unknown control or a value that is no whole number in range."""
        self._settings.update(checked(changes, self._controls, whole=True))
        return self._now

    def advance(self, until: int) -> int:
        self._now = max(self._now, int(until))
        return self._now

    def acquire(self, scan: Scan) -> Frame:
        """The survey image, or the data of the chosen pixel; ``meta`` says how often it has been returned before."""
        if scan.detector not in (SURVEY, self.detector):
            names = f"The detectors are {SURVEY} and {self.detector}."
            raise InstrumentError(f"there is no detector {scan.detector!r}.", names)
        if not (math.isfinite(scan.settle) and scan.settle >= 0):
            raise InstrumentError(f"settle = {scan.settle!r} is not a time.", "Give seconds, 0 or more.")
        column, row = int(self._settings["pixel.x"]), int(self._settings["pixel.y"])
        surveyed = scan.detector == SURVEY
        key = (SURVEY, 0, 0) if surveyed else (self.detector, row, column)
        times_returned = self._times_returned.get(key, 0)
        self._times_returned[key] = times_returned + 1
        start = self._now + round(scan.settle * 1e9)
        meta = {"replayed": True, "returned_before": times_returned, "same_record": times_returned > 0, **self._meta}
        if surveyed:  # recorded together with the data: no further electrons
            data = np.array(self.scan.survey, dtype=np.float32)
            shape, dwell, electrons = data.shape, self._dwell / self.scan.finer**2, 0.0
        else:
            data = np.array(self.scan.data[row, column], dtype=np.float32)  # a frame is the caller's own
            shape, dwell, electrons = (1, 1), self._dwell, self.scan.electrons
        recorded = Scan(scan.detector, (int(shape[0]), int(shape[1])), math.nan, dwell, 0.0, scan.settle, math.nan)
        self._sequence += 1
        self._now = start + (0 if surveyed else round(self._dwell * 1e9))
        exposure = Exposure(electrons, 0.0, 0.0)
        return Frame(data, self._sequence, start, recorded, self.settings(), exposure, "measured", meta)

    def readings(self) -> list[Readings]:
        return []

    def close(self) -> None:
        """Nothing to release."""


def meta_of(scan: RecordedScan) -> dict[str, str | float | int | bool | None]:
    """What every frame says of the recording: its pixels, the axes of a pixel's data, the survey, what the file claims."""
    rows, columns = scan.shape
    meta: dict[str, str | float | int | bool | None] = {
        "content": scan.content,
        "rows": rows,
        "columns": columns,
        "finer": scan.finer,
        "survey": scan.survey_name,
        "survey.virtual": scan.virtual,
        "electrons": scan.electrons,
        "unit": str(scan.cube.raw.get("unit", "")),
        "title": scan.cube.title,
        "file": Path(scan.cube.path).name,
    }
    for index, axis in enumerate(scan.axes):
        meta |= {
            f"axis{index}.name": axis.name, f"axis{index}.size": axis.size, f"axis{index}.offset": axis.offset,
            f"axis{index}.scale": axis.scale, f"axis{index}.unit": axis.unit or "",
        }  # fmt: skip
    claims = {f"claim.{name}": scan.cube.claims[name].value for name in CLAIMS_KEPT if name in scan.cube.claims}
    return meta | claims


def _positive_claim(signal: Signal, name: str, otherwise: float) -> float:
    claim = signal.claims.get(name)
    value = float(claim.value) if claim is not None else math.nan
    return value if math.isfinite(value) and value > 0 else otherwise


def _recorded_at(signal: Signal) -> int:
    """Time the file claims (ns; its time zone is not given and taken as UTC), or the epoch where it claims none."""
    start = signal.claims.get("time.start")
    return 0 if start is None else int(start.value)
