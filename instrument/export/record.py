"""What is exported, whatever the format: recordings with claims, the verdict on each claim, the evidence behind it, who did what and when. Plain values."""

import math
from typing import Literal

import msgspec

from twin.channels import field
from twin.records import Claim, Signal, Value

Status = Literal["agrees", "disagrees", "stale", "unverifiable"]
REFUTED: tuple[Status, ...] = ("disagrees", "stale")


class ExportError(ValueError):
    """An export that cannot be made: ``input`` names what is at fault, ``problem`` says what is wrong, ``cure`` what to do."""

    def __init__(self, input: str, problem: str, cure: str):
        super().__init__(f"{input}: {problem}. {cure}")
        self.input, self.problem, self.cure = input, problem, cure


class Evidence(msgspec.Struct, frozen=True):
    """What a verdict rests on: ``id`` within its recording, ``name`` of the measurement, sensor or rule, ``source`` its class (data, lenses, sensors, session,
    arithmetic), one sentence of ``words``, and what it does not depend on."""

    id: str
    name: str
    source: str = ""
    words: str = ""
    independent_of: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on the first claim of a ``field``, numbers in the inside ``unit`` of that field.

    ``claimed`` with ``key`` and ``text`` is the claim; ``value`` +- ``error`` (1 rms) what the evidence says, ``z`` their difference in standard deviations,
    ``suggested`` +- ``suggested_error`` what should stand there. ``cause`` names the class of fault, ``evidence`` the ids of what it rests on; ``since``
    (ns UTC) is when a stale value was last true.
    """

    field: str
    status: Status
    claimed: Value | None = None
    unit: str | None = None
    text: str = ""
    key: str = ""
    value: float | None = None
    error: float | None = None
    z: float | None = None
    suggested: Value | None = None
    suggested_error: float | None = None
    cause: str = ""
    words: str = ""
    evidence: tuple[str, ...] = ()
    since: int | None = None

    @property
    def corrects(self) -> bool:
        """Whether exports state ``suggested`` in place of the claim: it is refuted, and there is a value (numbers finite) to put there."""
        if self.status not in REFUTED or self.suggested is None:
            return False
        return not isinstance(self.suggested, float) or math.isfinite(self.suggested)


class Recording(msgspec.Struct, frozen=True):
    """One image, spectrum or array of them in a file, or one frame of a session, with its ``signal`` (None where only its provenance is wanted).

    ``claims`` holds all claims of a field, first ones first; ``path`` and ``sha256`` are of the file (of the frame's chunk); ``start`` and ``end`` in ns UTC,
    None where nothing states them in a known time zone; ``simulated``: there was no specimen.
    """

    id: str
    name: str
    path: str = ""
    sha256: str = ""
    signal: Signal | None = None
    claims: dict[str, tuple[Claim, ...]] = {}
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    start: int | None = None
    end: int | None = None
    simulated: bool = False

    def __post_init__(self):
        known = {item.id for item in self.evidence}
        for verdict in self.verdicts:
            field(verdict.field)
            if missing := [name for name in verdict.evidence if name not in known]:
                raise ValueError(
                    f"{self.name}: the verdict on {verdict.field} rests on evidence that is not there: {', '.join(missing)}"
                )

    def verdict(self, name: str) -> Verdict | None:
        """The verdict on a field; None for none."""
        return next((item for item in self.verdicts if item.field == name), None)

    def stated(self, name: str) -> tuple[Value, float | None] | None:
        """What an export states of a field, with its error where there is one: the claim, or the suggested value where it is refuted. None for no claim, and
        for a refuted one without a value to put there."""
        verdict = self.verdict(name)
        if verdict is not None and verdict.status in REFUTED:
            return (
                (verdict.suggested, verdict.suggested_error)
                if verdict.corrects and verdict.suggested is not None
                else None
            )
        claims = self.claims.get(name, ())
        return (claims[0].value, None) if claims else None


class Agent(msgspec.Struct, frozen=True):
    """An instrument or a program that took part, ``version`` where it is known."""

    id: str
    kind: Literal["instrument", "software"]
    name: str
    version: str = ""


class Activity(msgspec.Struct, frozen=True):
    """An acquisition or a validation: by which ``agents``, from when to when (ns UTC), with ids of the recordings that it made (acquisition) or judged, and
    its ``settings``."""

    id: str
    kind: Literal["acquisition", "validation"]
    agents: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    settings: dict[str, Value] = {}


class Sample(msgspec.Struct, frozen=True):
    """The specimen, as the user or the scenario states it: ``elements`` as symbols, ``prepared`` in ns UTC."""

    name: str = ""
    elements: tuple[str, ...] = ()
    prepared: int | None = None
    simulated: bool = False


class Record(msgspec.Struct, frozen=True):
    """All that one export writes. ``source`` is the path of the session or of the validation report, ``base`` the folder below which the paths of recordings
    are, ``created`` ns UTC of the export."""

    name: str
    source: str
    base: str
    recordings: tuple[Recording, ...]
    agents: tuple[Agent, ...] = ()
    activities: tuple[Activity, ...] = ()
    sample: Sample = Sample()
    created: int = 0

    def agent(self, kind: str) -> Agent | None:
        """The first agent of a kind; None for none."""
        return next((item for item in self.agents if item.kind == kind), None)

    @property
    def start(self) -> int | None:
        """When the first recording began; None where no recording has a time."""
        return min((item.start for item in self.recordings if item.start is not None), default=None)

    @property
    def end(self) -> int | None:
        """When the last recording ended (began, where no end is known)."""
        ends = [item.end if item.end is not None else item.start for item in self.recordings]
        return max((time for time in ends if time is not None), default=None)
