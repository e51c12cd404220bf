"""A validated recording as plain values, for JSON and exports, and as an HTML table for notebooks."""

import math
from collections.abc import Sequence
from typing import Any

from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated
from twin.channels import field
from twin.notebook import table
from twin.records import Claim
from twin.units import age, moment, scale

MARKS = {"agrees": "agrees", "disagrees": "DISAGREES", "stale": "STALE", "unverifiable": "unverifiable"}


def to_dict(validated: Validated) -> dict[str, Any]:
    """All of it but pictures, in inside units; numbers that are not finite become None."""
    signal = validated.signal
    return {
        "title": signal.title,
        "format": signal.format,
        "kind": signal.kind,
        "shape": list(signal.data.shape),
        "axes": [{"name": axis.name, "size": axis.size, "scale": axis.scale, "offset": axis.offset, "unit": axis.unit} for axis in signal.axes],
        "limit": validated.judgement.limit,
        "verdicts": [_verdict(item) for item in validated.verdicts],
        "evidence": [
            {
                "id": item.name, "name": item.name, "source": item.source, "words": item.words, "independent_of": list(item.independent_of),
                "statements": [
                    {"label": statement.label, "terms": dict(statement.terms), "form": statement.form, "value": float(item.readings[0].mean[number]),
                     "error": math.sqrt(float(item.readings[0].covariance[number, number])), "readings": len(item.readings)}
                    for number, statement in enumerate(item.statements)
                ],
            }
            for item in validated.evidence
        ],
        "explanations": [
            {"probability": item.probability, "causes": [change.cause for change in item.changes], "words": [change.words for change in item.changes]}
            for item in validated.judgement.explanations
        ],
        "gaps": [{"fields": list(gap.fields), "why": gap.why, "verify": gap.verify} for gap in validated.gaps],
        "notes": list(validated.notes),
    }  # fmt: skip


def _verdict(item: Verdict) -> dict[str, Any]:
    about = field(item.field)
    return {
        "field": item.field, "status": item.status, "claimed": item.claim.value, "unit": about.unit, "text": item.claim.text, "key": item.claim.key,
        "zone": item.claim.zone, "value": item.suggested, "error": item.error, "z": _finite(item.z), "size": _finite(item.size),
        "suggested": item.suggested if item.status in ("disagrees", "stale") else None, "detectable": _finite(item.detectable),
        "cause": item.causes[0][0] if item.causes else None, "causes": [{"cause": cause, "probability": share} for cause, share in item.causes],
        "words": item.words, "cure": item.cure, "evidence": list(item.evidence), "since": item.since,
        "since_zone": None if item.since is None else item.since_zone, "glossary": about.glossary, "nxem": about.nxem,
    }  # fmt: skip


def claimed_text(name: str, claim: Claim) -> str:
    """A claim for people, in the unit of the field."""
    about = field(name)
    if about.form == "time":
        return moment(int(claim.value), claim.zone)
    if isinstance(claim.value, str):
        return claim.value
    return quantity_text(name, float(claim.value))


NEGLIGIBLE = 1e-4
"""Relative deviation within its error that is shown as none."""
BROAD = 0.3
"""Relative error from which a positive quantity is known to within a factor."""


def quantity_text(name: str, value: float, error: float | None = None, signed: bool = False) -> str:
    """A number in inside units for people: "10.013 pm", "9.731 ± 0.023 pm"; with a plus where it is ``signed`` (a change).

    Errors of positive quantities multiply: one that is not small is a factor, "142 mm ×/÷ 2.6".
    """
    about = field(name)
    if about.form == "count":
        return f"{value:g}"
    if error is None or not math.isfinite(error) or error <= 0.0:
        factor, word = scale(abs(value), about.unit, name)
        return f"{value * factor:{'+' if signed else ''}.5g} {word}".rstrip()
    if about.form == "scale" and not signed and error > BROAD * value > 0.0:
        ratio = math.exp(min(error / value, 50.0))
        factor, word = scale(value, about.unit, name)
        return f"{value * factor:.3g} {word}".rstrip() + f" ×/÷ {ratio:.1f}"
    factor, word = scale(max(abs(value), error), about.unit, name)
    digits = min(max(0, 1 - math.floor(math.log10(error * factor))), 9)
    return f"{value * factor:{'+' if signed else ''}.{digits}f} ± {error * factor:.{digits}f} {word}".rstrip()


def size_text(item: Verdict) -> str:
    """How far off a claim is, for people: "+4.4 %", "x 10", "+3.2 nm"."""
    if not math.isfinite(item.size):
        return ""
    about = field(item.field)
    if about.form != "scale":
        factor, word = scale(abs(item.size), about.unit, item.field)
        return f"{item.size * factor:+.3g} {word}".rstrip()
    ratio = 1.0 + item.size
    if ratio > 2.0 or 0.0 < ratio < 0.5:
        return f"x {ratio:.3g}" if ratio > 1.0 else f"/ {1.0 / ratio:.3g}"
    if abs(item.size) < NEGLIGIBLE and abs(item.z) < 1.0:
        return "0 %"
    return f"{100.0 * item.size:+.2g} %" if abs(item.size) < 0.1 else f"{100.0 * item.size:+.0f} %"


def since_text(item: Verdict, now: int | None) -> str:
    """Since when a claim was stale, for people; empty where that is not known."""
    if item.since is None:
        return ""
    ago = "" if now is None else f", {age((now - item.since) * 1e-9)} before the recording"
    return f"since {moment(item.since, item.since_zone)}{ago}"


def html_of(name: str, recordings: Sequence[Validated]) -> str:
    """The verdicts as HTML, findings first."""
    rows, notes, alerts = [], [], []
    order = {"disagrees": 0, "stale": 1, "agrees": 2, "unverifiable": 3}
    for validated in recordings:
        for item in sorted(validated.verdicts, key=lambda verdict: order[verdict.status]):
            if item.status == "unverifiable":
                continue
            evidence = "" if item.suggested is None else quantity_text(item.field, item.suggested, item.error)
            deviation = f"{item.z:+.1f} σ" if math.isfinite(item.z) else ""
            rows.append(
                (
                    item.field,
                    MARKS[item.status],
                    claimed_text(item.field, item.claim),
                    evidence,
                    deviation,
                    size_text(item),
                )
            )
        open_fields = [item.field for item in validated.verdicts if item.status == "unverifiable"]
        notes += [f"unverifiable: {', '.join(open_fields)}"] if open_fields else []
        alerts += list(dict.fromkeys(item.words for item in validated.findings))
        notes += list(validated.notes)
    return table(
        f"{name}: {summary(recordings)}",
        ["field", "verdict", "claimed", "evidence", "off by", "size"],
        rows,
        notes,
        alerts,
        "llllrr",
    )


def summary(recordings: Sequence[Validated]) -> str:
    """Counts of verdicts in words: "2 disagree, 1 is stale, 3 agree, 20 unverifiable"."""
    counts = {status: sum(item.status == status for part in recordings for item in part.verdicts) for status in MARKS}
    if not any(counts.values()):
        return "claims nothing"
    words = []
    for status, singular, plural in (
        ("disagrees", "disagrees", "disagree"),
        ("stale", "is stale", "are stale"),
        ("agrees", "agrees", "agree"),
    ):
        if counts[status]:
            words.append(f"{counts[status]} {singular if counts[status] == 1 else plural}")
    return ", ".join([*words, f"{counts['unverifiable']} unverifiable"])


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
