"""Verdicts: what became of every field that a file claims."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from reconstruct.validation.evidence import Contradiction, Evidence, Gap, Since
from reconstruct.validation.judgement.causes import Explanation, best, critical, deviations, explain, rejections
from reconstruct.validation.judgement.estimates import estimates
from reconstruct.validation.judgement.faults import CAUSES
from reconstruct.validation.judgement.stale import since_of
from twin.channels import field
from twin.records import Claim
from twin.units import age, moment

Status = Literal["agrees", "disagrees", "stale", "unverifiable"]

NOT_REPORTED = 0.0
"""What programs write into a number that they do not know."""
LIKELY = 0.1
"""Probability of a rival explanation from which its fields disagree as well: one of them is wrong, and the evidence does not say which."""
FULL_POWER = 2.33
"""Standard deviations beyond the limit at which an error is found with a probability of 99 %."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one ``claim``.

    ``z``: claim minus evidence in standard deviations; ``suggested`` with its rms ``error`` in inside units; ``detectable``: the smallest error (relative for
    scales) that would have been found with a probability of 99 %. ``causes``: (class of fault, probability), likeliest first. ``evidence``: names of what the
    verdict rests on. ``words`` says why, ``cure`` what to do, for unverifiable fields what would verify them. ``since``: int64 ns, from when on it was stale,
    of a clock in ``since_zone``.
    """

    field: str
    status: Status
    claim: Claim
    words: str
    z: float = math.nan
    size: float = math.nan
    suggested: float | None = None
    error: float | None = None
    detectable: float = math.nan
    causes: tuple[tuple[str, float], ...] = ()
    evidence: tuple[str, ...] = ()
    cure: str = ""
    since: int | None = None
    since_zone: Literal["UTC", "local"] = "UTC"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The ``verdicts`` on a file, one a field, and the ``explanations`` of what disagrees, likeliest first; ``limit`` is the deviation that counts."""

    verdicts: tuple[Verdict, ...]
    explanations: tuple[Explanation, ...]
    limit: float


def judge(
    claims: Mapping[str, Claim],
    evidence: Sequence[Evidence],
    contradictions: Sequence[Contradiction],
    gaps: Sequence[Gap],
    false_alarms: float,
) -> Judgement:
    """A verdict on each of ``claims``. Fields that are contradicted are left out of the statistics; ``false_alarms`` is the rate for the whole file."""
    ruled_out = {item.field: item for item in contradictions}
    values = numbers(claims, {name: item for name, item in ruled_out.items() if not item.weighed})
    usable = [item for item in evidence if not set(item.rests_on) & set(ruled_out)]
    explanations = explain(usable, values, false_alarms)
    chosen = explanations[0].changes if explanations else ()
    after = best(usable, values, chosen)
    likely = [item for item in explanations if item is explanations[0] or item.probability >= LIKELY]
    blamed = {name for item in likely for change in item.changes for name in change.fields if name in values}
    left = rejections(usable, after, false_alarms)
    unexplained = {name for item in left for name in usable[item.evidence].statements[item.statement].terms}
    limit = critical(len(deviations([item for item in usable if item.source != "arithmetic"], values)), false_alarms)
    context = _Context(usable, values, after, explanations, limit)
    verdicts = []
    for name, claim in claims.items():
        verdict = _disagreeing(name, claim, context) if name in blamed or name in unexplained else None
        if name in ruled_out:
            verdicts.append(_contradicted(name, claim, ruled_out[name], verdict))
        elif verdict is not None:
            verdicts.append(verdict)
        else:
            verdicts.append(_other(name, claim, context, gaps))
    return Judgement(tuple(verdicts), tuple(explanations), limit)


def numbers(claims: Mapping[str, Claim], ruled_out: Mapping[str, object] = {}) -> dict[str, float]:
    """The claims that are numbers and can be true, by field, in inside units; 0 for a scale is "not reported"."""
    values = {}
    for name, claim in claims.items():
        if name in ruled_out or isinstance(claim.value, (str, bool)):
            continue
        number = float(claim.value)
        if math.isfinite(number) and not (field(name).form == "scale" and number <= 0.0):
            values[name] = number
    return values


@dataclasses.dataclass(frozen=True)
class _Context:
    evidence: list[Evidence]
    values: dict[str, float]
    after: dict[str, float]
    explanations: list[Explanation]
    limit: float

    def about(self, name: str) -> list[Evidence]:
        """Evidence with a usable statement on a field."""
        direct = {name, "wavelength"} if name == "high_tension" else {name}
        return [item for item in self.evidence if direct & set(item.fields) and deviations([item], self.values)]


def _contradicted(name: str, claim: Claim, item: Contradiction, measured: Verdict | None) -> Verdict:
    """A field that cannot be as claimed; where evidence was held against it all the same (``measured``), with what that says."""
    if measured is not None and measured.status != "unverifiable":
        words = f"{item.words}. {measured.words}".rstrip()
        since = (item.since, item.since_zone) if item.since is not None else (measured.since, measured.since_zone)
        if item.status != "stale":
            since = (None, "UTC")
        return dataclasses.replace(measured, status=item.status, words=words, since=since[0], since_zone=since[1])
    causes = ((item.cause, 1.0),) if item.cause else ()
    return Verdict(
        name, item.status, claim, item.words, suggested=item.suggested, error=item.error, causes=causes, evidence=(item.source,),
        cure=CAUSES[item.cause].cure if item.cause in CAUSES else "", since=item.since, since_zone=item.since_zone,
    )  # fmt: skip


def _disagreeing(name: str, claim: Claim, context: _Context) -> Verdict:
    """A field that the likeliest explanation blames, or a rival of it, or that is contradicted without an explanation."""
    shares: dict[str, float] = {}
    for explanation in context.explanations:
        for change in explanation.changes:
            if name in change.fields:
                shares[change.cause] = shares.get(change.cause, 0.0) + explanation.probability
    causes = tuple(sorted(shares.items(), key=lambda pair: -pair[1]))
    blaming = [item for item in context.explanations if any(name in change.fields for change in item.changes)]
    after = context.after
    if blaming and blaming[0] is not context.explanations[0]:
        after = best(context.evidence, context.values, blaming[0].changes)
    together = [other for change in (blaming[0].changes if blaming else ()) for other in change.fields]
    about = context.about(name)
    evidence = context.evidence
    if not blaming:
        # which of the fields that belong together is wrong is open: the others, as claimed, are no evidence on this one
        evidence = [item for item in about if item.source != "arithmetic"] or evidence
        together = [other for item in evidence for other in item.fields]
    names = list(dict.fromkeys([name, *(other for other in together if other in context.values)]))
    estimate = estimates(evidence, after, names).get(name)
    cure = CAUSES[causes[0][0]].cure if causes else CAUSES["other"].cure
    if estimate is None or not about:
        said = [change.words for item in blaming[:1] for change in item.changes if name in change.fields]
        words = f"follows from the same cause{''.join(f' ({each})' for each in said)}; no evidence on it alone"
        return Verdict(
            name, "unverifiable", claim, words, causes=causes, evidence=tuple(item.name for item in about), cure=cure
        )
    claimed = context.values[name]
    z = (claimed - estimate.value) / estimate.error
    since = since_of(name, about)
    stale = shares.get("stale value", 0.0) / max(sum(shares.values()), 1e-300)
    sure = since is not None and stale > 1.0 - LIKELY
    earlier = [_earlier(since)] if since is not None and stale > 0.0 else []
    words = " ".join([*(item.words for item in about if item.words), *earlier])
    return Verdict(
        name, "stale" if sure else "disagrees", claim, words, z, relative(name, claimed, estimate.value), estimate.value, estimate.error,
        _detectable(name, claimed, estimate.error, context.limit), causes, tuple(item.name for item in about), cure,
        **({} if since is None or not sure else {"since": since.time, "since_zone": since.zone}),
    )  # fmt: skip


def _earlier(since: Since) -> str:
    """When a claim was true, in a sentence."""
    return f"The claim was last true at {moment(since.time, since.zone)} ± {age(since.error * 1e-9)}."


def _other(name: str, claim: Claim, context: _Context, gaps: Sequence[Gap]) -> Verdict:
    about = [item for item in context.about(name) if name in context.values]
    independent = [item for item in about if item.source != "arithmetic"]
    # what the same evidence says of other fields is open too: with these as claimed, an error that they share would be none
    together = [name, *(other for item in independent for other in item.fields if other != name)]
    estimate = estimates(independent, context.after, list(dict.fromkeys(together))).get(name) if independent else None
    reasons = [gap for gap in gaps if name in gap.fields]
    if estimate is None:
        silent = name not in context.values and not isinstance(claim.value, str) and field(name).form == "scale"
        words = "0 means that it was not reported" if silent else reasons[0].why if reasons else "no evidence on it"
        if about and not silent:
            words = f"consistent within the file ({'; '.join(item.name for item in about)}); nothing independent of it"
        verify = next((gap.verify for gap in reasons if gap.verify), "")
        return Verdict(name, "unverifiable", claim, words, evidence=tuple(item.name for item in about), cure=verify)
    claimed = context.values[name]
    words = " ".join(item.words for item in independent if item.words)
    return Verdict(
        name, "agrees", claim, words, (claimed - estimate.value) / estimate.error, relative(name, claimed, estimate.value), estimate.value, estimate.error,
        _detectable(name, claimed, estimate.error, context.limit), (), tuple(item.name for item in independent),
    )  # fmt: skip


def relative(name: str, claimed: float, estimate: float) -> float:
    """How far off a claim is: relative to the evidence for scales, else in inside units."""
    return claimed / estimate - 1.0 if field(name).form == "scale" else claimed - estimate


def _detectable(name: str, claimed: float, error: float, limit: float) -> float:
    size = (limit + FULL_POWER) * error
    return size / abs(claimed) if field(name).form == "scale" and claimed else size
