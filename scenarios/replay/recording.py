"""The files of a replay, and the instrument that plays them as a source of pixels: each measurement is recorded in the session's journal."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from instrument.readers.reader import FOLDERS
from instrument.replay import DATA, SURVEY
from reconstruct.measurement.scanned import PixelData, QuantityName, pixel_data
from scenarios.io.errors import BadInput
from scenarios.replay.scenario import ReplayScenario
from twin.records import Axis, Frame, Scan


class Recording(NamedTuple):
    """Files of a replay: the ``data``, and the ``survey`` where it is a file of its own."""

    data: Path
    survey: Path | None


def recording_of(scenario: ReplayScenario, data: Path | None, survey: Path | None) -> Recording:
    """The files that the options --data and --survey name, else the scenario. BadInput where there is none, or one that is missing.

    --data may be a folder where the scenario names the files: they are looked for in it, and one folder deeper.
    """
    named = scenario.path_of(scenario.data)
    images = survey if survey is not None else scenario.path_of(scenario.survey)
    if data is None:
        if named is None:
            raise BadInput(
                "--data", f"scenario {scenario.name!r} replays a recording, and none is given", "Add --data FILE."
            )
        if not named.exists():
            problem = f"scenario {scenario.name!r} names {scenario.data}, and there is no such file beside it"
            raise BadInput("--data", problem, "Add --data with the file, or the folder that holds it.")
        data = named
    elif data.is_dir() and data.suffix.lower() not in FOLDERS:
        if scenario.data is None:
            raise BadInput(f"--data {data}", "is a folder", "Name the file of the recording in it.")
        folder, data = data, _in(data, Path(scenario.data).name)
        if survey is None and scenario.survey is not None:
            images = _in(folder, Path(scenario.survey).name)
    if not data.exists():
        raise BadInput(f"--data {data}", "there is no such file", "Check the path.")
    if images is not None and not images.exists():
        raise BadInput(f"--survey {images}", "there is no such file", "Check the path.")
    return Recording(data.resolve(), None if images is None else images.resolve())


def _in(folder: Path, name: str) -> Path:
    """The file called ``name`` in a folder, or in a folder of it."""
    for path in (folder / name, *sorted(folder.glob(f"*/{name}"))):
        if path.exists():
            return path
    raise BadInput(f"--data {folder}", f"holds no {name}, nor does a folder in it", "Give the folder of the recording.")


class Played(NamedTuple):
    """What an instrument plays: ``shape`` (rows, columns) of the scan, its ``survey`` frame, and the ``detector`` of a pixel's data."""

    shape: tuple[int, int]
    survey: Frame
    detector: str

    @property
    def finer(self) -> int:
        """Pixels of the survey along each side of one of the scan."""
        return self.survey.data.shape[0] // self.shape[0]

    @property
    def pixel_size(self) -> float:
        """Side of a pixel in angstrom, where the instrument tells it."""
        return float(self.survey.scan.pixel)

    def pixel(self, gain: float | None, pixel_angle: float | None) -> PixelData:
        """What is known of a pixel's data."""
        meta = self.survey.meta
        axes = []
        for index in range(2):
            if f"axis{index}.size" not in meta:
                continue
            part = {name: meta.get(f"axis{index}.{name}") for name in ("name", "size", "scale", "offset", "unit")}
            size, scale, offset = (float(str(part[name])) for name in ("size", "scale", "offset"))
            axes.append(Axis(str(part["name"]), int(size), scale, offset, str(part["unit"]) or None))
        claims = {name.removeprefix("claim."): value for name, value in meta.items() if name.startswith("claim.")}
        return pixel_data(tuple(axes), claims, str(meta.get("unit", "")), gain, pixel_angle)

    @property
    def electrons(self) -> float:
        """Electrons of one pixel; NaN where the recording does not tell."""
        value = self.survey.meta.get("electrons")
        return float(value) if isinstance(value, int | float) else float("nan")


def played_by(instrument: Instrument, name: QuantityName) -> Played:
    """What an instrument plays, its survey taken. BadInput for one that plays no scan, or one of other data than the quantity is of."""
    shape, detector = scan_played(instrument, name)
    return played_with(shape, instrument.acquire(Scan(detector=SURVEY, settle=0.0)), detector)


def scan_played(instrument: Instrument, name: QuantityName) -> tuple[tuple[int, int], str]:
    """Rows and columns of the scan that an instrument has, and the detector of a pixel's data, before anything is taken. BadInput as `played_by`."""
    description = instrument.describe()
    controls = {control.name: control for control in description.controls}
    missing = [each for each in ("pixel.x", "pixel.y") if each not in controls]
    missing += [SURVEY] if SURVEY not in description.detectors else []
    missing += [] if set(DATA.values()) & set(description.detectors) else [" or ".join(DATA.values())]
    if missing:
        problem = f"{description.name!r} ({description.kind}) has no {', '.join(missing)}"
        raise BadInput("instrument", problem, "Connect to `emtwin instrument serve replay --data FILE`.")
    detector = DATA[name.content]
    if detector not in description.detectors:
        others = "spectra" if name.content == "pattern" else "patterns"
        raise BadInput(
            f"quantity {name.text!r}", f"is none of {others}, which the instrument records", "Ask for another one."
        )
    return (int(controls["pixel.y"].highest) + 1, int(controls["pixel.x"].highest) + 1), detector


def played_with(shape: tuple[int, int], frame: Frame, detector: str) -> Played:
    """What an instrument plays whose survey is this ``frame``; BadInput where it does not fit the scan."""
    size = frame.data.shape
    if frame.data.ndim != 2 or size[0] % shape[0] or size[1] * shape[0] != size[0] * shape[1]:
        problem = f"its survey of {size} pixels does not fit a scan of {shape[0]} x {shape[1]}"
        raise BadInput(
            "instrument", problem, "Use a recording whose survey covers the scan on its grid or a finer one."
        )
    return Played(shape, frame, detector)


class Recorder:
    """Pixels from the instrument, recorded in the journal; one that the journal already holds is not measured again (`learn.mapping.session.Source`)."""

    def __init__(self, instrument: Instrument, journal: Journal, detector: str):
        self._instrument, self._journal, self._detector = instrument, journal, detector
        self._known = instrument.describe().kind == "replay"
        self._recorded: dict[tuple[int, int], np.ndarray] = {}
        self._start: int | None = None
        self._noted: set[str] = {row.kind for row in journal.rows()}
        for row in journal.rows("frame"):
            frame = journal.frame(row)
            if frame is not None and frame.scan.detector == detector:
                key = int(frame.settings["pixel.y"]), int(frame.settings["pixel.x"])
                self._recorded[key] = frame.data

    def data(self, row: int, column: int) -> tuple[np.ndarray, bool]:
        """The data of a pixel, and whether they were measured now."""
        cached = self._recorded.get((row, column))
        if cached is not None:
            return cached, False
        changes = {"pixel.y": float(row), "pixel.x": float(column)}
        self.note("command", {"name": "apply", "changes": changes})
        self._instrument.apply(changes)
        frame = self._instrument.acquire(Scan(detector=self._detector, settle=0.0))
        self._journal.append_frame(frame)
        self._start = frame.start
        return frame.data, True

    def unrecorded(self, row: int, column: int) -> np.ndarray | None:
        """The data of a pixel for scoring: they leave no frame in the journal. None where only measuring would tell."""
        if not self._known:
            return None
        self._instrument.apply({"pixel.y": float(row), "pixel.x": float(column)})
        return self._instrument.acquire(Scan(detector=self._detector, settle=0.0)).data

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """A row of the journal, at the time of the last measurement."""
        self._journal.append(kind, payload, self._start, arrays)


def recorded_survey(journal: Journal) -> Frame | None:
    """The survey frame that a session holds; None where it was interrupted before."""
    for row in journal.rows("frame"):
        frame = journal.frame(row)
        if frame is not None and frame.scan.detector == SURVEY:
            return frame
    return None


def map_arrays(journal: Journal) -> dict[str, np.ndarray]:
    """Arrays of a finished session's map, by name (see `figures`); BadInput if the session is not complete."""
    last = None
    for row in journal.rows("score"):
        last = row
    if last is None:
        raise BadInput(str(journal.folder), "has no finished map", "Resume the session first.")
    return last.arrays
