"""One recording with one fault, or none: what `validate` says, and what it should."""

import math
import time
from typing import Any

from reconstruct.validation.judgement.estimates import power
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import FALSE_ALARMS, Further, Validated, validate_recording
from tests.benchmarks._groups import Row
from tests.benchmarks.validate.injected import Class, Injected
from tests.benchmarks.validate.recordings.made import Made, signal_of
from twin.channels import field
from twin.compiled_programs import double_precision


def run(made: Made, kind: str, seed: int, fault: Class | None, injected: Injected | None) -> Row:
    """The row of a trial: whether it was ``found``, ``named``, the power that was ``predicted``, and scores of suggested values."""
    claimed = dict(made.written or made.values) if injected is None else injected.claimed
    begun = time.process_time()
    with double_precision():
        signal = signal_of(made, claimed)
        further = Further() if made.outside is None else made.outside(signal)
        result = validate_recording(kind, signal, made.known, further)
    seconds = time.process_time() - begun
    wrong = () if injected is None else injected.fields
    right = made.written or made.values
    changed = tuple(name for name in wrong if claimed[name] != right.get(name))
    blamed = [item.field for item in result.findings]
    row: Row = {
        "kind": kind, "seed": seed, "fault": None if fault is None else fault.name, "seconds": seconds, "findings": blamed,
        "found": bool(set(blamed) & set(wrong)), "false": bool(set(blamed) - set(wrong)) if injected is None else False,
        "predicted": None, "named": None, "scores": _scores(result, made, changed), "cause": None,
    }  # fmt: skip
    if fault is not None and injected is not None:
        certain = fault.logical or any(_impossible(name, claimed[name]) for name in wrong)
        if made.tells_time is not None and "time.start" in wrong:
            row["predicted"] = float(made.tells_time(claimed["time.start"]))
        else:
            row["predicted"] = 1.0 if certain else _predicted(result, made)
        causes = {
            item.field: item.causes[0][0] if item.causes else "" for item in result.findings if item.field in wrong
        }
        row["cause"] = next(iter(causes.values()), None)
        row["named"] = bool(set(causes.values()) & set(fault.causes))
    return row


def _predicted(result: Validated, made: Made) -> float:
    """The power that the evidence which was there has for this fault."""
    claimed = numbers(result.claims)
    truth = {name: made.values[name] for name in claimed if name in made.values}
    return power(result.evidence, truth, claimed, FALSE_ALARMS)


def _impossible(name: str, value: float) -> bool:
    """Whether no microscope has such a value."""
    about = field(name)
    return not about.low <= value <= about.high


def _scores(result: Validated, made: Made, wrong: tuple[str, ...]) -> list[float]:
    """Deviations of suggested values from the truth, in their errors: of findings that are right to be found."""
    scores: list[Any] = []
    for item in result.findings:
        if item.field in wrong and item.suggested is not None and item.error:
            off = item.suggested - made.values[item.field]
            if item.field in ("pattern_rotation", "scan_rotation"):
                off = (off + math.pi) % (2.0 * math.pi) - math.pi
            scores.append(off / item.error)
    return [float(score) for score in scores]
