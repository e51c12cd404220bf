"""`validate_session`: the files of a session against each other and against logs of its sensors, as ``emtwin validate FOLDER --sensors LOG`` does."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reconstruct.api.data import signal_of
from reconstruct.api.validate import Validation, check_rate, known_of
from reconstruct.validation.data.options import CELL_ERROR, silent
from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import FALSE_ALARMS, distinct, validate_recording
from reconstruct.validation.result import html_of
from reconstruct.validation.sensors.logs import Log, tracks_of
from reconstruct.validation.session.columns import draws_of
from reconstruct.validation.session.outside import evidence_from_outside
from reconstruct.validation.session.timeline import Timeline, timeline
from twin.compiled_programs import double_precision
from twin.errors import BadInput
from twin.records import Signal

_draws_of = functools.lru_cache(maxsize=4)(draws_of)


@dataclasses.dataclass(frozen=True)
class SessionValidation(Mapping[str, Validation]):
    """The validations of the ``files`` of a session by their names, and the ``timeline``: what files claim and logs tell in time, drifts, and faults with
    their windows."""

    files: Mapping[str, Validation]
    timeline: Timeline

    @property
    def findings(self) -> dict[str, tuple[Verdict, ...]]:
        """What disagrees or is stale, of each file where anything does."""
        return {name: item.findings for name, item in self.files.items() if item.findings}

    @property
    def agrees(self) -> bool:
        """Whether nothing disagrees and nothing is stale in any file."""
        return not self.findings

    def __getitem__(self, name: str) -> Validation:
        return self.files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        wrong = sum(len(items) for items in self.findings.values())
        return f"<validation of {len(self)} files: {wrong} findings in {len(self.findings)}>"

    def _repr_html_(self) -> str:
        """Each file's verdicts with evidence, files with findings first."""
        order = sorted(self.files.items(), key=lambda pair: pair[1].agrees)
        return "".join(html_of(name, item.recordings) for name, item in order)


def validate_session(
    files: Mapping[str, Any],
    *,
    logs: Sequence[Log] = (),
    lenses: bool = False,
    specimen: Any = None,
    zone: Any = None,
    x: Any = None,
    cell_error: float = CELL_ERROR,
    spherical: float | None = None,
    thorough: bool = False,
    false_alarms: float = FALSE_ALARMS,
    progress: Callable[[str, float | None], None] | None = None,
) -> SessionValidation:
    """Verdicts on every field of every file, with what the other files and the sensors say, and the session in time.

    ``files``: by a name of each what `instrument.readers.read_vendor` reads from it, or anything that `validate` takes. ``logs``: what
    `instrument.readers.read_log` reads. ``lenses``: lens currents that files state are compared with a model of the column where its class is known; its draws
    take half a minute, once in a process. Other options as of `validate`, for every file.

    Returns a `SessionValidation`, a mapping from names to what `validate` returns. `twin.errors.BadInput` (a ValueError) where files, logs or options cannot
    be used.

    >>> import numpy as np
    >>> validate_session({"a": np.ones((64, 64)), "b": np.ones((64, 64))})
    <validation of 2 files: 0 findings in 0>
    """
    check_rate("false_alarms", false_alarms, 0.5)
    known = known_of(specimen, zone, x, cell_error, spherical, thorough)
    if not files:
        raise BadInput("files", "is empty", "Give the recordings of one file at least, by its name.")
    recordings: list[tuple[str, str, Signal]] = []
    for name, data in files.items():
        parts = list(data) if isinstance(data, (list, tuple)) else [data]
        signals = distinct([signal_of(part, name) for part in parts])
        if not signals:
            raise BadInput(name, "has no recording", "Leave the file out.")
        labels = [name] if len(signals) == 1 else [f"{name}#{number}" for number in range(len(signals))]
        recordings += [(name, label, signal) for label, signal in zip(labels, signals, strict=True)]
    tell = progress or silent
    tracks = [tracks_of(log) for log in logs]
    named = [(label, signal) for _, label, signal in recordings]
    outside = evidence_from_outside(named, tracks, _draws_of if lenses else None, tell)
    done: dict[str, list[Any]] = {name: [] for name in files}
    with double_precision():
        for number, (name, label, signal) in enumerate(recordings):
            tell(f"validating {label}", number / len(recordings))
            done[name].append(validate_recording(label, signal, known, outside[label], false_alarms))
    validations = {name: Validation(name, tuple(items)) for name, items in done.items()}
    return SessionValidation(validations, timeline([item for items in done.values() for item in items], tracks))
