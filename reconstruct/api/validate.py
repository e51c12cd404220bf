"""`validate`: a verdict on every field that recordings claim, as ``emtwin validate`` gives them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from reconstruct.api.data import signal_of
from reconstruct.validation.data.options import CELL_ERROR, Known, silent
from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import FALSE_ALARMS, Further, Validated, distinct, validate_recording
from reconstruct.validation.result import html_of, summary, to_dict
from twin.compiled_programs import double_precision
from twin.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Validation:
    """Verdicts on the ``recordings`` of one file (or array) called ``name``."""

    name: str
    recordings: tuple[Validated, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All verdicts, in the order of the claims."""
        return tuple(verdict for recording in self.recordings for verdict in recording.verdicts)

    @property
    def findings(self) -> tuple[Verdict, ...]:
        """What disagrees or is stale."""
        return tuple(verdict for recording in self.recordings for verdict in recording.findings)

    @property
    def agrees(self) -> bool:
        """Whether nothing disagrees and nothing is stale: the command's exit code is then 0."""
        return not self.findings

    def __getitem__(self, field: str) -> Verdict:
        """The verdict on a field, of the first recording that claims it; ValueError for none."""
        for recording in self.recordings:
            if field in recording.claims:
                return recording.verdict(field)
        raise ValueError(f"{self.name} claims no {field!r}")

    def to_dict(self) -> dict[str, Any]:
        """All but the pictures, as plain values in inside units."""
        return {
            "name": self.name,
            "agrees": self.agrees,
            "recordings": [to_dict(recording) for recording in self.recordings],
        }

    def __repr__(self) -> str:
        return f"<validation of {self.name}: {summary(self.recordings)}>"

    def _repr_html_(self) -> str:
        """Verdicts with evidence; what disagrees below."""
        return html_of(self.name, self.recordings)


def validate(
    data: Any,
    *,
    specimen: Any = None,
    zone: Any = None,
    x: Any = None,
    cell_error: float = CELL_ERROR,
    spherical: float | None = None,
    thorough: bool = False,
    false_alarms: float = FALSE_ALARMS,
    progress: Callable[[str, float | None], None] | None = None,
    further: Further = Further(),
) -> Validation:
    """A verdict on every field that ``data`` claims of the instrument: agrees, disagrees, stale or unverifiable.

    ``data``: what `instrument.readers.read_vendor` reads from a file (a list of `twin.records.Signal`, or one of them), or what `twin.simulate` returns.
    ``specimen``: the crystal that is seen ("SrTiO3", the path of a CIF, a `twin.Sample`), along ``zone`` with ``x`` to the right; its cell is known to the
    relative rms ``cell_error``; "amorphous" is a film. ``spherical``: C30 of the lens in angstrom, 0 for a corrected one (None: as the file claims).
    ``thorough``: averaged patterns are fitted by multislice, too, which takes up to a minute each.
    ``false_alarms``: the rate of correct recordings in which anything is said to disagree, over all fields together.
    ``further``: evidence from outside of the recording (sensors, other files).

    Returns a `Validation`: verdicts with standard deviations, suggested values with errors, causes with probabilities; notebooks show it.
    `twin.errors.BadInput` (a ValueError) where data or options cannot be used.

    >>> import numpy as np
    >>> validate(np.ones((64, 64)))
    <validation of data: claims nothing>
    """
    check_rate("false_alarms", false_alarms, 0.5)
    known = known_of(specimen, zone, x, cell_error, spherical, thorough)
    parts = list(data) if isinstance(data, (list, tuple)) else [data]
    if not parts:
        raise BadInput("data", "is an empty list", "Give the signals of a file, or an array with coordinates.")
    signals = [signal_of(part, "data" if len(parts) == 1 else f"data[{number}]") for number, part in enumerate(parts)]
    tell = progress or silent
    name = signals[0].path or "data"
    with double_precision():
        recordings = [
            validate_recording(name, signal, known, further, false_alarms, tell) for signal in distinct(signals)
        ]
    return Validation(name, tuple(recordings))


def known_of(specimen: Any, zone: Any, x: Any, cell_error: float, spherical: float | None, thorough: bool) -> Known:
    """What the user knows; BadInput for a ``cell_error`` that is none."""
    check_rate("cell_error", cell_error, 1.0)
    return Known(specimen, zone, x, cell_error, spherical, thorough)


def check_rate(name: str, value: float, highest: float) -> None:
    """BadInput for a ``value`` that is no number between 0 and ``highest``."""
    if not 0.0 < value < highest:
        raise BadInput(
            f"{name} = {value!r}", f"is no rate between 0 and {highest:g}", f"Give {name} a number such as 0.01."
        )
