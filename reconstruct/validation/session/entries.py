"""Files of one session against each other: what changed that was not commanded, and what did not change though what it depends on did.

A program that derives a number from lens settings writes other digits when these change. The same digits beside other settings are a number that was not
computed anew: stale since the last file whose settings it fits.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from reconstruct.validation.evidence import Contradiction
from reconstruct.validation.rules.ranges import projection
from reconstruct.validation.sensors.drifts import Drift
from twin.channels import field
from twin.records import Claim
from twin.units import value_text

UNCHANGED = 1e-7
"""Relative difference of lens settings below which they are unchanged: consoles write them with more digits."""
CHANGED = 1e-3
"""Relative difference of a lens setting from which what depends on it must differ in its digits."""
DIGITS = 1e-6
"""Relative difference below which two derived numbers have the same digits."""
PLAIN = 4
"""Significant digits up to which equal numbers may be equal by chance or by rounding."""
TENSION = 0.01
"""Relative change of high tension that no column makes without other lens currents."""
_CONDENSERS = ("lens.condenser1", "lens.condenser2", "lens.condenser3", "lens.minicondenser")
_PROJECTORS = ("lens.diffraction", "lens.intermediate", "lens.projector1", "lens.projector2")
TIMES = ("time.start", "time.unstated", "time.end", "time.saved")
"""Fields of the time of a recording, from the most telling."""
DRIVERS: dict[str, tuple[str, ...]] = {
    "convergence_semiangle": (*_CONDENSERS[1:], "high_tension"),
    "camera_length": (*_PROJECTORS, "high_tension"),
    "magnification": (*_PROJECTORS, "high_tension"),
}
"""Fields that an instrument derives from others of its settings."""
MOVED_BY: dict[str, tuple[str, ...]] = {
    "C10": ("lens.objective", "high_tension"),
    "camera_length": (*_PROJECTORS, "high_tension"),
}
"""Fields that cannot move while these settings stay; apertures move a semi-angle, and the scan a magnification."""
LEAST_MOVE = 1.0
"""Angstrom of defocus from which it moved."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A recording of a session: ``name``, its ``claims``, and its ``time`` (int64 ns; None where it claims none)."""

    name: str
    claims: Mapping[str, Claim]
    time: int | None

    def number(self, name: str) -> float:
        """A claim as a number; NaN for none."""
        claim = self.claims.get(name)
        return math.nan if claim is None or isinstance(claim.value, (str, bool)) else float(claim.value)

    @property
    def instrument(self) -> str:
        claim = self.claims.get("instrument")
        return "" if claim is None else str(claim.value)


def time_of(claims: Mapping[str, Claim]) -> int | None:
    """The time (ns) by which a recording is put in order: its start, else what it has."""
    for name in TIMES:
        if name in claims:
            return int(claims[name].value)
    return None


def in_order(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Recordings of each instrument in the order of their times; those without a time are left out."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.time is not None:
            groups.setdefault(entry.instrument, []).append(entry)
    return [sorted(group, key=lambda entry: entry.time or 0) for group in groups.values()]


def zone_of(claims: Mapping[str, Claim]) -> Literal["UTC", "local"]:
    """The zone of the clock of `time_of`."""
    named = next((name for name in TIMES if name in claims), "")
    return "UTC" if named and claims[named].zone == "UTC" else "local"


def contradictions_of_session(entries: Sequence[Entry]) -> dict[str, list[Contradiction]]:
    """What the files of a session say against each other, by the name of the file that it is said of."""
    said: dict[str, list[Contradiction]] = {}
    for group in in_order(entries):
        for source in (_same_digits, _moved_zero, _tension_without_lenses):
            for name, item in source(group):
                said.setdefault(name, []).append(item)
    return said


Said = Iterator[tuple[str, Contradiction]]


def _same_digits(group: list[Entry]) -> Said:
    """Derived numbers that kept their digits while the settings changed that they are derived from."""
    for name, drivers in DRIVERS.items():
        for index, entry in enumerate(group):
            value = entry.number(name)
            if not math.isfinite(value) or value == 0.0 or _plain(value):
                continue
            earlier = [
                other
                for other in group[:index]
                if _alike(other.number(name), value, DIGITS) and _comparable(name, other, entry)
            ]
            if not earlier or not all(set(_changed(other, entry, drivers)) - {"high_tension"} for other in earlier):
                continue  # a high tension that changed alone is a fault of its own
            last = earlier[-1]
            moved = " and ".join(
                f"{driver} went from {last.number(driver):.4g} to {entry.number(driver):.4g}"
                for driver in _changed(last, entry, drivers)[:3]
            )
            words = f"the same digits as in {last.name}, though since then {moved}: it was not computed anew"
            yield (
                entry.name,
                Contradiction(
                    name,
                    "stale",
                    words,
                    "stale value",
                    source="session",
                    since=last.time,
                    since_zone=zone_of(last.claims),
                ),
            )


def _moved_zero(group: list[Entry]) -> Said:
    """A defocus that changed while objective lens and high tension did not: its zero was moved. The value of most files with these settings is right."""
    reported = [entry for entry in group if math.isfinite(entry.number("C10")) and entry.number("lens.objective") > 0.0]
    while reported:
        first = reported[0]
        same = [entry for entry in reported if _unchanged(first, entry, ("lens.objective", "high_tension"))]
        reported = [entry for entry in reported if entry not in same]
        values = [entry.number("C10") for entry in same]
        reference = max(
            values, key=lambda value: (sum(abs(other - value) < LEAST_MOVE for other in values), -values.index(value))
        )
        before = next(entry for entry in same if entry.number("C10") == reference)
        for entry in same:
            moved = entry.number("C10") - reference
            if abs(moved) >= LEAST_MOVE:
                words = (
                    f"differs by {value_text(moved, 'angstrom')} from {before.name}, though neither the objective lens nor the high tension changed "
                    "between them: the zero of defocus was moved"
                )
                yield entry.name, Contradiction("C10", "disagrees", words, "defocus", reference, None, "session")


def _tension_without_lenses(group: list[Entry]) -> Said:
    """A high tension that differs from that of files with the same lens currents: all lenses follow the high tension."""
    for entry in group:
        tension = entry.number("high_tension")
        if not math.isfinite(tension):
            continue
        lenses = tuple(name for name in entry.claims if name.startswith("lens.") and entry.number(name) != 0.0)
        if len(lenses) < 3:
            continue
        alike = [
            other
            for other in group
            if other is not entry and _unchanged(entry, other, lenses) and math.isfinite(other.number("high_tension"))
        ]
        others = [other.number("high_tension") for other in alike]
        differing = [other for other in others if abs(other / tension - 1.0) > TENSION]
        if (
            differing
            and len(differing) > len(others) / 2.0
            and (len(others) > 1 or entry is max(group, key=lambda item: item.time or 0))
        ):
            words = (
                f"{value_text(tension, 'volt')} with the same {len(lenses)} lens currents as {alike[0].name} at {value_text(differing[0], 'volt')}: "
                "lens currents follow the high tension"
            )
            yield (
                entry.name,
                Contradiction("high_tension", "disagrees", words, "high tension", differing[0], None, "session"),
            )


def moved_between_files(entries: Sequence[Entry]) -> list[tuple[Drift, str]]:
    """Claims that differ between successive files of an instrument though the lenses that move them do not, with the name of the later file."""
    moved = []
    for group in in_order(entries):
        for name, drivers in MOVED_BY.items():
            stated = [entry for entry in group if all(math.isfinite(entry.number(item)) for item in (name, *drivers))]
            for before, entry in itertools.pairwise(stated):
                change = entry.number(name) - before.number(name)
                least = CHANGED * abs(entry.number(name)) if field(name).form == "scale" else LEAST_MOVE
                if (
                    abs(change) < least
                    or not _unchanged(before, entry, drivers)
                    or not _comparable(name, before, entry)
                ):
                    continue
                first, last = before.time or 0, entry.time or 0
                drift = Drift(
                    name, field(name).unit, "", "", first, last, change, 0.0, "lenses stayed", zone_of(entry.claims)
                )
                moved.append((drift, entry.name))
    return moved


def _comparable(name: str, first: Entry, second: Entry) -> bool:
    """Whether two files should derive a field in the same way: lengths of the projection system in the same mode."""
    if name in ("convergence_semiangle", "C10"):
        return True
    return projection(first.claims) == projection(second.claims)


def _changed(first: Entry, second: Entry, drivers: Sequence[str]) -> list[str]:
    """Those of the settings that differ between two files by enough to show."""
    return [
        name
        for name in drivers
        if math.isfinite(first.number(name) + second.number(name))
        and not _alike(first.number(name), second.number(name), CHANGED)
    ]


def _unchanged(first: Entry, second: Entry, names: Sequence[str]) -> bool:
    return all(_alike(first.number(name), second.number(name), UNCHANGED) for name in names)


def _alike(first: float, second: float, tolerance: float) -> bool:
    return abs(first - second) <= tolerance * max(abs(first), abs(second), 1e-300)


def _plain(value: float) -> bool:
    """Whether a number has few significant digits, so that two files may well share it."""
    return float(f"{value:.{PLAIN - 1}e}") == value
