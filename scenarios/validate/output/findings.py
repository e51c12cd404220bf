"""Findings as people read them: fields that one cause explains together, largest first."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from reconstruct.validation.judgement.faults import PAIRS, Change
from reconstruct.validation.judgement.verdict import Verdict, relative
from reconstruct.validation.recording import Validated
from reconstruct.validation.result import claimed_text, size_text
from scenarios.validate.job import ValidatedFile
from scenarios.validate.output.reasons import without_side
from twin.channels import field

Kind = Literal["evidence", "stale", "time", "outside", "pixels", "repeated", "session", "other"]
MOST_EXPLANATIONS = 4
"""Explanations of a finding that are listed at most."""


class Explained(NamedTuple):
    """A ``cause`` with its ``probability`` and ``words``, "" where the cause says it."""

    cause: str
    probability: float
    words: str


class Finding(NamedTuple):
    """What one cause explains in a ``recording`` of file number ``file``: ``verdicts``, largest first; ``rivals``: the fields that are wrong instead if another
    of the ``explanations`` holds (causes, likeliest first); ``dependants`` follow without evidence of their own. ``also``: numbers of further files in which
    the same is wrong."""

    file: int
    recording: Validated
    kind: Kind
    verdicts: tuple[Verdict, ...]
    rivals: tuple[Verdict, ...]
    dependants: tuple[Verdict, ...]
    explanations: tuple[Explained, ...]
    also: tuple[int, ...] = ()

    @property
    def status(self) -> str:
        """ "disagrees", or "stale" where all are."""
        return "stale" if all(item.status == "stale" for item in self.verdicts) else "disagrees"

    @property
    def size(self) -> float:
        """How large it is: see `magnitude`."""
        return max(magnitude(item) for item in self.verdicts)


def findings_of(done: Sequence[ValidatedFile]) -> list[Finding]:
    """All findings, what disagrees before what is stale, each largest first.

    A claim that cannot be, and that several files share, is one finding; so is what evidence says of several recordings of one file that claim the same.
    """
    shared: dict[tuple[object, ...], Finding] = {}
    for number, item in enumerate(done):
        for recording in item.validation.recordings if item.validation is not None else ():
            for finding in findings_in(recording, number):
                said = tuple(
                    (verdict.field, claimed_text(verdict.field, verdict.claim)) for verdict in finding.verdicts
                )
                alone = (number,) if finding.kind == "evidence" else ()
                key = (finding.kind, said, *alone)
                shared[key] = _with(shared[key], finding) if key in shared else finding
    return sorted(shared.values(), key=lambda item: (item.status == "stale", -item.size, item.file))


def _with(finding: Finding, other: Finding) -> Finding:
    """One finding of two that say the same: that of which a cause is known, with the files of both."""
    first, second = (other, finding) if other.explanations and not finding.explanations else (finding, other)
    files = dict.fromkeys([*first.also, second.file, *second.also])
    return first._replace(also=tuple(number for number in files if number != first.file))


def findings_in(recording: Validated, number: int = 0) -> list[Finding]:
    """The findings of one recording, of file ``number``, in the order of their claims."""
    contradicted = {item.field for item in recording.contradictions}
    steps = _steps(recording)
    groups: dict[tuple[str, object], list[Verdict]] = {}
    for verdict in recording.findings:
        if verdict.field in contradicted:
            key: tuple[str, object] = ("contradiction", verdict.words)
        else:
            blaming = [
                index for index, step in enumerate(steps) if any(verdict.field in change.fields for change, _ in step)
            ]
            key = ("step", blaming[0]) if blaming else ("evidence", verdict.evidence)
        groups.setdefault(key, []).append(verdict)
    return [
        _of_step(number, recording, steps[int(str(which))], verdicts)
        if sort == "step"
        else _alone(number, recording, verdicts, sort == "contradiction")
        for (sort, which), verdicts in groups.items()
    ]


def wrong_fields(done: Sequence[ValidatedFile]) -> dict[str, int]:
    """How many fields of all files disagree, and are stale, by the likeliest explanations: what is wrong instead if another holds is not counted."""
    wrong = [verdict for finding in _every(done) for verdict in finding.verdicts]
    return {status: sum(verdict.status == status for verdict in wrong) for status in ("disagrees", "stale")}


def rival_fields(done: Sequence[ValidatedFile]) -> int:
    """How many fields of all files are wrong in place of others if less likely explanations hold."""
    return sum(len(finding.rivals) for finding in _every(done))


def _every(done: Sequence[ValidatedFile]) -> list[Finding]:
    recordings = [recording for item in done if item.validation is not None for recording in item.validation.recordings]
    return [finding for recording in recordings for finding in findings_in(recording)]


def _steps(recording: Validated) -> list[list[tuple[Change, float]]]:
    """For each cause of the likeliest explanation: it and the causes that may stand in its place, with their probabilities."""
    explanations = recording.judgement.explanations
    if not explanations:
        return []
    chosen = explanations[0].changes
    steps = []
    for index, change in enumerate(chosen):
        rivals = [
            (item.changes[index], item.probability) for item in explanations[1:] if item.changes[index] is not change
        ]
        steps.append([(change, 1.0 - sum(share for _, share in rivals)), *rivals])
    return steps


def _of_step(number: int, recording: Validated, step: list[tuple[Change, float]], verdicts: list[Verdict]) -> Finding:
    change = step[0][0]
    blamed = [item for item in verdicts if item.field in change.fields] or verdicts
    rivals = [item for item in verdicts if item not in blamed]
    named = {item.field for item in verdicts}
    dependants = [
        item for item in recording.verdicts
        if item.field in change.fields and item.field not in named and item.status == "unverifiable"
    ]  # fmt: skip
    explained = tuple(Explained(other.cause, share, other.words) for other, share in step[:MOST_EXPLANATIONS])
    ordered, others = (tuple(sorted(items, key=lambda item: -magnitude(item))) for items in (blamed, rivals))
    return Finding(number, recording, "evidence", ordered, others, tuple(dependants), explained)


def _alone(number: int, recording: Validated, verdicts: list[Verdict], contradicted: bool) -> Finding:
    """What is contradicted whatever else holds, or without an explanation."""
    verdicts.sort(key=lambda item: -magnitude(item))
    kind = _kind(verdicts[0], recording) if contradicted else "evidence"
    causes = tuple(Explained(cause, share, "") for cause, share in verdicts[0].causes[:MOST_EXPLANATIONS])
    return Finding(number, recording, kind, tuple(verdicts), (), (), causes)


def _kind(verdict: Verdict, recording: Validated) -> Kind:
    """What a contradiction is about, for its title and picture."""
    about = field(verdict.field)
    if about.form == "time":
        return "time"
    if verdict.status == "stale":
        return "stale"
    if "session" in verdict.evidence:
        return "session"
    if verdict.field in recording.signal.repeated:
        return "repeated"
    if about.form == "text" or isinstance(verdict.claim.value, str):
        return "other"
    value = float(verdict.claim.value)
    if not about.low <= value <= about.high:
        return "outside"
    return "pixels" if any(verdict.field in pair for pair in PAIRS) else "other"


def magnitude(verdict: Verdict) -> float:
    """How far off a claim is, for sorting: the logarithm of a ratio, a difference over the size of the values; infinite where a claim cannot be."""
    if verdict.suggested is None or isinstance(verdict.claim.value, str):
        return math.inf
    claimed = float(verdict.claim.value)
    size = relative(verdict.field, claimed, verdict.suggested) if verdict.suggested else claimed
    if field(verdict.field).form == "scale":
        return abs(math.log1p(size)) if size > -1.0 else math.inf
    typical = 0.5 * (abs(claimed) + abs(verdict.suggested))
    return abs(size) / typical if typical > 0.0 else 0.0


def words_of(finding: Finding) -> str:
    """Why, in sentences: what the evidence finding, or which rules it breaks."""
    words = list(dict.fromkeys(item.words.strip() for item in finding.verdicts if item.words.strip()))
    if not words:
        rules = dict.fromkeys(without_side(name) for item in finding.verdicts for name in item.evidence)
        words = [f"this contradicts: {'; '.join(rules)}"] if rules else []
    return " ".join(sentence(text) for text in words)


def sentence(words: str) -> str:
    """Words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) or not words else '.'}"


def title(finding: Finding) -> str:
    """A heading: "pixel.y and pixel.x: 4.4 % and 2.9 % too large"."""
    names = joined([item.field for item in finding.verdicts])
    first = finding.verdicts[0]
    if finding.kind == "outside":
        return f"{names}: {claimed_text(first.field, first.claim)} cannot be"
    words = {
        "stale": "stale", "time": "times contradict each other", "pixels": "pixels are not square",
        "repeated": "stated twice, with different values", "session": "contradicted by other files", "other": "contradicted",
    }  # fmt: skip
    if finding.kind in words:
        return f"{names}: {words[finding.kind]}"
    if finding.status == "stale":
        return f"{names}: stale, now {joined([off_text(item) for item in finding.verdicts])}"
    sizes = [off_text(item) for item in finding.verdicts]
    if len(set(sizes)) == 1:
        every = {1: "", 2: "both "}.get(len(sizes), "all ")
        return f"{names}: {every}{sizes[0]}"
    endings = {text.partition(" too ")[2] for text in sizes}
    if len(endings) == 1 and "" not in endings:
        return f"{names}: {joined([text.partition(' too ')[0] for text in sizes])} too {endings.pop()}"
    return f"{names}: {joined(sizes)}"


def off_text(verdict: Verdict) -> str:
    """How far off a claim is, in words: "4.4 % too large", "10 times too small", "off by +3.2 nm"."""
    if field(verdict.field).form != "scale" or not verdict.size > -1.0:
        return f"off by {size_text(verdict)}".rstrip()
    ratio = 1.0 + verdict.size
    direction = "large" if ratio > 1.0 else "small"
    factor = max(ratio, 1.0 / ratio)
    if factor >= 2.0:
        return f"{factor:.3g} times too {direction}"
    share = abs(100.0 * verdict.size)
    return f"{share:.2g} % too {direction}" if share < 10.0 else f"{share:.0f} % too {direction}"


def joined(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
