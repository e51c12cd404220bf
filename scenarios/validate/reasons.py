"""Unverifiable fields by the reason, those along x and y together, for terminals and pages."""

import re
from typing import NamedTuple

from reconstruct.validation.recording import Validated
from reconstruct.validation.verdict import Verdict

_SIDE = re.compile(r",? along [xy]\b")
_WITHIN = re.compile(r"^consistent within the file \((.*)\); (.*)$")


class Reason(NamedTuple):
    """``verdicts`` that are unverifiable for the same ``words``, and what would ``verify`` them, "" where nothing is known."""

    words: str
    verify: str
    verdicts: tuple[Verdict, ...]


def reasons(recording: Validated) -> list[Reason]:
    """The unverifiable fields of a recording by their reasons, in the order of the claims."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for item in recording.verdicts:
        if item.status == "unverifiable":
            groups.setdefault((merged(item.words), item.cure), []).append(item)
    return [Reason(words, verify, tuple(items)) for (words, verify), items in groups.items()]


def merged(words: str) -> str:
    """A reason without the side (x or y) that it is about, and each rule of arithmetic once."""
    within = _WITHIN.match(words)
    if within is None:
        return _SIDE.sub("", words)
    rules = dict.fromkeys(_SIDE.sub("", rule) for rule in within[1].split("; "))
    return f"consistent within the file ({'; '.join(rules)}), but {within[2]}"


def short_names(names: list[str]) -> list[str]:
    """Names of fields with those that share a beginning together: "stage.x, y, z"."""
    starts: dict[str, list[str]] = {}
    for name in names:
        first, dot, last = name.rpartition(".")
        starts.setdefault(first if dot else name, []).append(last if dot else "")
    return [
        start if ends == [""] else f"{start}.{', '.join(end for end in ends if end)}" for start, ends in starts.items()
    ]
