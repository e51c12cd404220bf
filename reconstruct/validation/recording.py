"""One recording validated: claims, all evidence on them, and a verdict on each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from reconstruct.validation.arithmetic import repeats, rules, usable
from reconstruct.validation.data.collect import evidence_of_data
from reconstruct.validation.data.options import Known, Tell, silent
from reconstruct.validation.evidence import Contradiction, Evidence, Gap
from reconstruct.validation.ranges import impossible, out_of_mode, unlike_pixels
from reconstruct.validation.verdict import Judgement, Verdict, judge, numbers
from twin.records import Claim, Signal

FALSE_ALARMS = 0.01
"""Default rate of files in which any correct field is said to disagree."""


@dataclasses.dataclass(frozen=True)
class Further:
    """Evidence that comes from outside of the recording: sensors, lens settings, other files."""

    evidence: tuple[Evidence, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Validated:
    """A recording ``name`` with its ``claims``, the ``evidence`` and ``contradictions`` on them, ``gaps`` of evidence, and the ``judgement``."""

    name: str
    signal: Signal
    claims: Mapping[str, Claim]
    evidence: tuple[Evidence, ...]
    contradictions: tuple[Contradiction, ...]
    gaps: tuple[Gap, ...]
    judgement: Judgement
    notes: tuple[str, ...] = ()

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
    contradictions = list({item.field: item for item in reversed(contradictions)}.values())
    values = numbers(claims, {item.field: item for item in contradictions})
    evidence, gaps = evidence_of_data(signal, values, known, tell)
    evidence = [*usable(rules(claims, signal), claims), *evidence, *further.evidence]
    gaps = [*gaps, *further.gaps]
    if signal.kind in ("image", "image-stack"):
        measured = {name for item in evidence if item.source != "arithmetic" for name in item.fields}
        contradictions += [item for item in unlike_pixels(claims) if item.field not in measured]
    tell("weighing the evidence", None)
    judgement = judge(claims, evidence, contradictions, gaps, false_alarms)
    return Validated(
        name, signal, claims, tuple(evidence), tuple(contradictions), tuple(gaps), judgement, further.notes
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
