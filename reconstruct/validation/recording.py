"""One recording validated: claims, all evidence on them, and a verdict on each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from reconstruct.validation.data.collect import evidence_of_data
from reconstruct.validation.data.options import Known, Tell, silent
from reconstruct.validation.evidence import Contradiction, Evidence, Gap
from reconstruct.validation.judgement.verdict import Judgement, Verdict, judge, numbers
from reconstruct.validation.rules.arithmetic import repeats, rules, usable
from reconstruct.validation.rules.ranges import impossible, out_of_mode, unlike_pixels
from reconstruct.validation.sensors.records import Placed
from twin.records import Claim, Signal

FALSE_ALARMS = 0.01
"""Default rate of files in which any correct field is said to disagree."""


@dataclasses.dataclass(frozen=True)
class Further:
    """Evidence that comes from outside of the recording: sensors, lens settings, other files; and where the recording is ``placed`` in logs of sensors."""

    evidence: tuple[Evidence, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    placed: tuple[Placed, ...] = ()


@dataclasses.dataclass(frozen=True)
class Validated:
    """A recording ``name`` with its ``claims``, the ``evidence`` and ``contradictions`` on them, ``gaps`` of evidence, and the ``judgement``;
    where it is ``placed`` in logs of sensors."""

    name: str
    signal: Signal
    claims: Mapping[str, Claim]
    evidence: tuple[Evidence, ...]
    contradictions: tuple[Contradiction, ...]
    gaps: tuple[Gap, ...]
    judgement: Judgement
    notes: tuple[str, ...] = ()
    placed: tuple[Placed, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each claim."""
        return self.judgement.verdicts

    @property
    def findings(self) -> tuple[Verdict, ...]:
        """What disagrees or is stale."""
        return tuple(verdict for verdict in self.verdicts if verdict.status in ("disagrees", "stale"))

    @property
    def agrees(self) -> bool:
        """Whether nothing disagrees and nothing is stale."""
        return not self.findings

    def verdict(self, field: str) -> Verdict:
        """The verdict on a field; ValueError if the file does not claim it."""
        for item in self.verdicts:
            if item.field == field:
                return item
        raise ValueError(f"{self.name} claims no {field!r}; it claims {', '.join(self.claims) or 'nothing'}")


def validate_recording(
    name: str,
    signal: Signal,
    known: Known = Known(),
    further: Further = Further(),
    false_alarms: float = FALSE_ALARMS,
    tell: Tell = silent,
) -> Validated:
    """Verdicts on all claims of ``signal``."""
    claims = signal.claims
    contradictions = [
        *impossible(claims),
        *out_of_mode(claims, signal.repeated),
        *repeats(claims, signal.repeated),
        *further.contradictions,
    ]
    contradictions = merged(contradictions)
    values = numbers(claims, {item.field: item for item in contradictions if not item.weighed})
    evidence, gaps = evidence_of_data(signal, values, known, tell)
    evidence = [*usable(rules(claims, signal), claims), *evidence, *further.evidence]
    gaps = [*gaps, *further.gaps]
    if signal.kind in ("image", "image-stack"):
        measured = {name for item in evidence if item.source != "arithmetic" for name in item.fields}
        contradictions += [item for item in unlike_pixels(claims) if item.field not in measured]
    tell("weighing the evidence", None)
    judgement = judge(claims, evidence, contradictions, gaps, false_alarms)
    return Validated(
        name,
        signal,
        claims,
        tuple(evidence),
        tuple(contradictions),
        tuple(gaps),
        judgement,
        further.notes,
        further.placed,
    )


def merged(contradictions: Sequence[Contradiction]) -> list[Contradiction]:
    """One contradiction a field: the first, with the words of the others, and the time since when it was stale."""
    first: dict[str, Contradiction] = {}
    for item in contradictions:
        before = first.get(item.field)
        if before is None:
            first[item.field] = item
            continue
        words = before.words if item.words in before.words else f"{before.words}; {item.words}"
        first[item.field] = dataclasses.replace(
            before, words=words, cause=before.cause or item.cause, since=before.since if before.since is not None else item.since,
            since_zone=before.since_zone if before.since is not None else item.since_zone,
            suggested=before.suggested if before.suggested is not None else item.suggested, error=before.error if before.error is not None else item.error,
        )  # fmt: skip
    return list(first.values())


def joined(parts: Sequence[Further]) -> Further:
    """Several pieces of evidence from outside as one."""
    return Further(
        tuple(item for part in parts for item in part.evidence),
        tuple(item for part in parts for item in part.contradictions),
        tuple(item for part in parts for item in part.gaps),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        tuple(item for part in parts for item in part.placed),
    )


def distinct(signals: Sequence[Signal]) -> list[Signal]:
    """One signal for each set of claims of a file, the largest of its kind: several detectors of one scan say the same of the instrument."""
    groups: dict[Any, Signal] = {}
    for signal in signals:
        key = (
            signal.kind,
            tuple(
                (name, claim.value) for name, claim in sorted(signal.claims.items()) if not name.startswith("detector")
            ),
        )
        if key not in groups or signal.data.size > groups[key].data.size:
            groups[key] = signal
    return list(groups.values())
