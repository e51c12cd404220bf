"""Unverifiable fields by the reason, those along x and y together, for terminals and pages."""

import re
from typing import NamedTuple

from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated

_SIDE = re.compile(r",? along [xy]\b")
_WITHIN = re.compile(r"^consistent within the file \((.*)\); (.*)$")


class Reason(NamedTuple):
    """``verdicts`` that are unverifiable for the same ``words``, and what would ``verify`` them, "" where nothing is known."""

    words: str
    verify: str
    verdicts: tuple[Verdict, ...]


def reasons(recording: Validated) -> list[Reason]:
    """The unverifiable fields of a recording by their reasons: first those for which something would verify them, those without any evidence last."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for item in recording.verdicts:
        if item.status == "unverifiable":
            within = _WITHIN.match(item.words)
            key = f"; but {within[2]}" if within else without_side(item.words)
            groups.setdefault((key, item.cure), []).append(item)
    result = []
    for (words, verify), items in groups.items():
        rules = dict.fromkeys(
            without_side(rule)
            for item in items
            if (within := _WITHIN.match(item.words))
            for rule in within[1].split("; ")
        )
        text = f"consistent within the file ({'; '.join(rules)}){words}" if rules else words
        result.append(Reason(text, verify, tuple(items)))
    return sorted(result, key=lambda reason: (not reason.verify, reason.words == "no evidence on it"))


def without_side(words: str) -> str:
    """Words without the side (x or y) that they are about."""
    return _SIDE.sub("", words)


def short_names(names: list[str]) -> list[str]:
    """Names of fields, those that share a beginning together: "stage (x, y, z)"."""
    starts: dict[str, list[str]] = {}
    for name in names:
        start = f"{name.rpartition('.')[0]}."
        starts.setdefault(start if start != "." else name, []).append(name)
    return [
        f"{start[:-1]} ({', '.join(name.removeprefix(start) for name in same)})" if len(same) > 1 else same[0]
        for start, same in starts.items()
    ]
