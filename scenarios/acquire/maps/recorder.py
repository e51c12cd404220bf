"""Exposures from the instrument, each recorded in the session's journal; those that it holds already are not made again."""

import time
from typing import Any, Literal

import msgspec
import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from instrument.replay import SURVEY
from scenarios.acquire.person.heeding import POLL
from scenarios.acquire.person.orders import Orders
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.replay.recording import Played
from twin.records import Frame, Scan


class DosedRecorder:
    """See `learn.mapping.dosed.session.DosedSource`. ``dwell`` and ``visit`` in seconds; frames of an interrupted session are taken in their order. What a
    person orders (`Orders`) is heeded between two exposures: KeyboardInterrupt where the session is to stop."""

    def __init__(
        self, instrument: Instrument, journal: Journal, played: Played, dwell: float, visit: float, progress: Progress
    ):
        self._instrument, self._journal, self._played, self._progress = instrument, journal, played, progress
        self._orders = Orders(journal.folder)
        self._dwell, self._visit = dwell, visit
        self._start = played.survey.start
        self._end = frame_end(played.survey)
        self.spent = {"survey": played.survey.exposure.total, "pixels": 0.0, "visits": 0.0}
        self._past = [frame for frame in frames_of(journal) if frame.scan.detector == played.detector]
        self._noted: dict[str, int] = {}
        for row in journal.rows():
            self._noted[row.kind] = self._noted.get(row.kind, 0) + 1

    @property
    def electrons(self) -> float:
        """Electrons spent so far."""
        return sum(self.spent.values())

    @property
    def seconds(self) -> float:
        """Time of the instrument since the survey began."""
        return (self._end - self._start) * 1e-9

    def expose(self, row: int, column: int, dwells: int) -> np.ndarray:
        """The data of a pixel by one exposure. BadInput where an interrupted session did something else at this point."""
        if self._past:
            frame = self._past.pop(0)
            at = int(frame.settings["pixel.y"]), int(frame.settings["pixel.x"]), round(frame.scan.dwell / self._dwell)
            if at != (row, column, dwells):
                problem = (
                    f"exposed pixel {at[:2]} where it would now be {(row, column)}: it is of another machine or version"
                )
                raise BadInput(str(self._journal.folder), problem, "Start a new session.")
        else:
            self._heed()
            self._instrument.apply({"pixel.y": float(row), "pixel.x": float(column)})
            scan = Scan(
                self._played.detector, (1, 1), self._played.pixel_size, dwells * self._dwell, self._visit, 0.0, 0.0
            )
            frame = self._instrument.acquire(scan)
            self._journal.append_frame(frame)
        self._end = frame_end(frame)
        self.spent["pixels"] += frame.exposure.pixels
        self.spent["visits"] += frame.exposure.flyback + frame.exposure.settle_dose
        return frame.data

    def _heed(self) -> None:
        """Stop, or wait until the instrument is given back."""
        held = False
        while True:
            for order in self._orders.new():
                self._journal.append("order", msgspec.to_builtins(order), self._end)
                if order.word == "stop":
                    raise KeyboardInterrupt
                if order.word == "measure":
                    self._progress.note("a map chooses its pixels itself: measure is left out")
                held = order.word == "hold" or (held and order.word != "go-on")
            if not held:
                return
            self._progress.stage("held by a person; emtwin session tell SESSION go-on ends it")
            time.sleep(POLL)

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """A row of the journal, at the time of the last exposure; those that an interrupted session wrote are not written again."""
        if self._noted.get(kind, 0) > 0:
            self._noted[kind] -= 1
            return
        self._journal.append(kind, payload, self._end, arrays)


def frame_end(frame: Frame) -> int:
    """Time (ns) at which a frame was over."""
    rows, columns = frame.scan.shape
    return frame.start + round((rows * (columns * frame.scan.dwell + frame.scan.flyback)) * 1e9)


def frames_of(journal: Journal) -> list[Frame]:
    """The frames that a session holds, in order."""
    return [frame for row in journal.rows("frame") if (frame := journal.frame(row)) is not None]


def survey_of(journal: Journal) -> Frame | None:
    """The survey of a session; None where it was interrupted before."""
    return next((frame for frame in frames_of(journal) if frame.scan.detector == SURVEY), None)


def commands_of(journal: Journal) -> list[tuple[Literal["apply", "acquire"], dict[str, Any], int]]:
    """The commands by which the frames of a session came about, for `RemoteInstrument.restore`."""
    made: list[tuple[Literal["apply", "acquire"], dict[str, Any], int]] = []
    for frame in frames_of(journal):
        at = frame.start - round(frame.scan.settle * 1e9)
        made += [("apply", {"changes": dict(frame.settings)}, at), ("acquire", {"scan": frame.scan}, at)]
    return made
