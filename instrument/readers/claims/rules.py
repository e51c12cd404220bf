"""A rule: which key of flattened metadata holds which field, and how what stands there becomes a value in inside units."""

import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from instrument.readers.claims.times import Instant, epoch, written_time
from twin.channels import field
from twin.records import Claim, Value, last_digit
from twin.units import read_unit

Found = Iterator[tuple[str, Claim]]

_NOTHING = {"", "nan", "none", "null", "n/a", "unknown", "undefined"}
"""Words that stand for no value."""


class Rule(NamedTuple):
    """``name`` of the field, ``pattern`` of the whole dotted key, ``unit`` of the number there ("": a bare number), or None for text.

    ``beside`` (the end of the key, and what stands for it in the key of the unit) where the file writes the unit itself: the number makes a claim only with a
    unit of the field there, or, without one, in ``unit``.
    """

    name: str
    pattern: re.Pattern[str]
    unit: str | None
    beside: tuple[str, str] | None = None


def rule(name: str, pattern: str, unit: str | None = "", beside: tuple[str, str] | None = None) -> Rule:
    """A `Rule` from a regular expression; ValueError where the field is unknown or the unit is not that of the field."""
    wanted, read = field(name).unit, None if unit is None else read_unit(unit)
    if (unit and (read is None or read.unit != wanted)) or (unit == "" and wanted != "1" and beside is None):
        raise ValueError(f"rule for {name}: {unit!r} is no unit of {wanted}")
    return Rule(name, re.compile(pattern), unit, beside)


def apply_rules(rules: tuple[Rule, ...], raw: Mapping[str, Value]) -> Found:
    """Claims of all keys that a rule fits, in the order of the rules. What is no number where one is expected makes none; text is kept as it stands."""
    union = _union(rules)
    fitting = [(key, value) for key, value in raw.items() if union.fullmatch(key)]
    for item in rules:
        for key, value in fitting:
            if item.pattern.fullmatch(key) and (claim := _claim(item, raw, key, value)) is not None:
                yield item.name, claim


@functools.cache
def _union(rules: tuple[Rule, ...]) -> re.Pattern[str]:
    """What any of the rules fits: files have thousands of keys, and few of them are wanted."""
    return re.compile("|".join(f"(?:{item.pattern.pattern})" for item in rules))


def _claim(item: Rule, raw: Mapping[str, Value], key: str, value: Value) -> Claim | None:
    if item.unit is None:
        text = str(value).strip()
        return None if text.lower() in _NOTHING else Claim(text, None, key, str(value))
    unit = item.unit
    if item.beside is not None:
        end, other = item.beside
        unit = str(raw.get(key.removesuffix(end) + other, "")).strip() or unit
        if not unit and field(item.name).unit != "1":
            return None
    return number_claim(item.name, key, value, unit)


def number_claim(name: str, key: str, value: Value, unit_text: str) -> Claim | None:
    """The number ``value``, in ``unit_text``, as a claim of field ``name``; None for no finite number, or a unit that is not the field's."""
    number = finite_number(value)
    wanted = field(name).unit
    unit = read_unit(unit_text) if unit_text else None
    if number is None or (unit is None and bool(unit_text)) or (unit is not None and unit.unit != wanted):
        return None
    factor, offset = (1.0, 0.0) if unit is None else (unit.factor, unit.offset)
    text = value if isinstance(value, str) else repr(value)
    shown = f"{text.strip()} {unit_text}".strip()
    return Claim(
        number * factor + offset, wanted, key, shown, step=last_digit(text, factor) if isinstance(value, str) else 0.0
    )


def finite_number(value: Value | None) -> float | None:
    """The finite number that an entry holds; None for none. Of text only a plain number counts, a unit or "X" after a blank is left out."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        words = value.split()
        value = words[0] if words else ""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def time_claim(key: str, text: Value, instant: Instant | None) -> Claim | None:
    """A claim of a time, None where there is none."""
    return (
        None
        if instant is None
        else Claim(instant.time, "nanosecond", key, str(text).strip(), instant.zone, step=instant.step)
    )


def epoch_claim(raw: Mapping[str, Value], key: str, unit: str) -> Claim | None:
    """The time that ``key`` holds as a count since an epoch; see `epoch`."""
    value = raw.get(key)
    number = finite_number(value)
    return None if number is None or value is None else time_claim(key, value, epoch(number, unit))


def written_claim(raw: Mapping[str, Value], *keys: str) -> Claim | None:
    """The time that is written in words under ``keys`` (a date and a time of day, or both in one)."""
    parts = [str(raw[key]).strip() for key in keys if key in raw]
    return time_claim(keys[0], " ".join(parts), written_time(" ".join(parts))) if len(parts) == len(keys) else None
