"""How near records are to what is looked for: a distance from 0 to 1 whose parts are told in words."""

import math
from typing import Any, NamedTuple

from scenarios.library.record import Query, Record

UNSTATED = 0.5
"""Distance of what is looked for and a record does not state."""
WEIGHTS = {
    "technique": 3.0, "elements": 3.0, "dose": 1.5, "energy": 1.0, "semiangle": 0.5, "inner": 0.5, "collection": 0.5, "pixel": 0.5,
    "dwell": 0.25, "thickness": 0.5,
}  # fmt: skip
"""What each part counts. Technique and elements together outweigh everything else."""
SPANS = {
    "dose": 1e3,
    "energy": 5.0,
    "semiangle": 4.0,
    "inner": 4.0,
    "collection": 4.0,
    "pixel": 10.0,
    "dwell": 1e3,
    "thickness": 5.0,
}
"""The ratio of two numbers at which they are as far as can be."""
_WORDS = {
    "dose": ("dose", 1.0, "e/Å²"), "energy": ("beam energy", 1e-3, "keV"), "semiangle": ("semi-angle", 1e3, "mrad"), "inner": ("inner angle", 1e3, "mrad"),
    "collection": ("collection angle", 1e3, "mrad"), "pixel": ("pixel", 1.0, "Å"), "dwell": ("dwell", 1e6, "us"), "thickness": ("thickness", 1.0, "Å"),
}  # fmt: skip


class Match(NamedTuple):
    """A record, its ``distance`` from what was looked for, and why, in words."""

    record: Record
    distance: float
    why: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"distance": self.distance, "why": list(self.why), **self.record.as_dict()}


def nearest(query: Query, records: list[Record], count: int = 5) -> list[Match]:
    """The ``count`` records nearest to ``query``, the nearest first; of equal ones the latest first."""
    matches = [Match(record, *distance(query, record)) for record in records]
    return sorted(matches, key=lambda match: (match.distance, -match.record.id))[:count]


def distance(query: Query, record: Record) -> tuple[float, tuple[str, ...]]:
    """The mean of the parts' distances by their `WEIGHTS`, of those parts that ``query`` states, and each part in
    words.

    Technique: 0 the same, 0.5 of the same family (scans of a probe; plane illumination), else 1. Elements: 1 - shared
    / all (Jaccard). Numbers: the logarithm of their ratio over that of `SPANS`, at most 1. What the record does not
    state counts `UNSTATED`.
    """
    parts: dict[str, float] = {}
    why: list[str] = []
    if query.techniques:
        parts["technique"], words = _technique(query.techniques, record.technique)
        why.append(words)
    if query.elements:
        parts["elements"], words = _elements(query, record)
        why.append(words)
    asked = {"dose": query.dose, **{name: query.settings.get(name) for name in SPANS if name != "dose"}}
    has = {"dose": record.dose, **record.settings}
    for name, wanted in asked.items():
        if isinstance(wanted, (int, float)) and wanted > 0.0:
            parts[name], words = _number(name, float(wanted), has.get(name))
            why.append(words)
    total = sum(WEIGHTS[name] for name in parts)
    if not total:
        return 1.0, ("nothing to compare",)
    return sum(WEIGHTS[name] * value for name, value in parts.items()) / total, tuple(why)


def _technique(wanted: tuple[str, ...], has: str) -> tuple[float, str]:
    if has in wanted:
        return 0.0, f"same technique, {has}"
    if not has:
        return UNSTATED, "technique not known"
    if any(_family(has) == _family(name) for name in wanted):
        return 0.5, f"related technique, {has} for {' or '.join(wanted)}"
    return 1.0, f"other technique, {has} for {' or '.join(wanted)}"


def _family(technique: str) -> str:
    return "plane" if technique in ("hrtem", "exit-wave", "diffraction") else "probe"


def _elements(query: Query, record: Record) -> tuple[float, str]:
    wanted, has = set(query.elements), set(record.elements)
    if not has:
        return UNSTATED, "elements not known"
    shared = wanted & has
    if wanted == has:
        same = query.structure and query.structure == record.structure
        return 0.0, f"same structure, {record.structure}" if same else f"same elements, {', '.join(sorted(has))}"
    if not shared:
        return 1.0, f"no element in common, {', '.join(sorted(has))}"
    return 1.0 - len(shared) / len(
        wanted | has
    ), f"{', '.join(sorted(shared))} of {', '.join(sorted(wanted | has))} in common"


def _number(name: str, wanted: float, has: Any) -> tuple[float, str]:
    word, factor, unit = _WORDS[name]
    if isinstance(has, bool) or not isinstance(has, (int, float)) or not has > 0.0:
        return UNSTATED, f"{word} not known"
    off = min(abs(math.log(has / wanted)) / math.log(SPANS[name]), 1.0)
    told = f"{factor * has:.3g} {unit}"
    return off, f"same {word}, {told}" if abs(
        has / wanted - 1.0
    ) < 0.005 else f"{word} {told} for {factor * wanted:.3g}"
