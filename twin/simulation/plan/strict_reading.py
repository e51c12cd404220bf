"""Strict conversion of plain values into the structs of a scenario; an error names the key, its valid values and the nearest cure."""

import difflib
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from twin.errors import BadInput
from twin.simulation.plan.keys import Key, Table, tables_of

S = TypeVar("S", bound=msgspec.Struct)
Steps = Sequence[str | int]
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[(\.\.\.)\]")


class _Place(NamedTuple):
    """Where a value stands: its ``path`` as a user would write it, its ``value``, the ``tables`` that it is or lies in, and its ``key`` (None for a table),
    of whose value it may be only a ``part``."""

    path: str
    value: Any
    tables: tuple[Table, ...]
    key: Key | None
    part: bool = False


def convert(values: dict[str, Any], struct: type[S], origin: str) -> S:
    """``values`` as a ``struct``. BadInput naming ``origin``, the key, the problem and the cure."""
    tables = tables_of(struct)
    if not values.keys() - {"folder"}:
        least = _list(_lacking({}, tables[:1], tables))
        raise BadInput(origin, "is empty", f"Give {least}, or begin with a copy of a preset.")
    refuse_nonfinite(values, origin, "")
    try:
        return msgspec.convert(values, struct, strict=True)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        location = _place(values, _steps(values, struct, path.strip("`"), str(error)), tables)
        raise _refusal(problem, location, tables, origin) from None


def refuse_nonfinite(value: Any, origin: str, path: str) -> None:
    """BadInput for the first NaN or infinity anywhere in nested plain values (range checks let NaN pass)."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(origin, f"key {path}: {value} is not a finite number", "Give a finite number.")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, item in items:
        refuse_nonfinite(item, origin, _join([path, name]) if path else str(name))


def _refusal(problem: str, location: _Place, tables: tuple[Table, ...], origin: str) -> BadInput:
    if "unknown field" in problem:
        wrong = problem.partition("`")[2].rstrip("`")
        return BadInput(
            origin, f"key {_join([location.path, wrong])}: there is no such key", _nearest(wrong, location, tables)
        )
    if "missing required field" in problem:
        lacking = _lacking(location.value, location.tables, tables)
        of = f" of [{location.path}]" if location.path else ""
        problem = f"key {lacking[0]}{of} is missing" if len(lacking) == 1 else f"keys {_list(lacking)}{of} are missing"
        return BadInput(
            origin, problem, f"Add {'it' if len(lacking) == 1 else 'them'}: {_examples(location, lacking)}."
        )
    if problem.startswith("Expected `array") and isinstance(location.value, dict) and location.key is None:
        cure = f"Write [[{location.path}]], with two brackets, once for each."
        return BadInput(origin, f"key {location.path}: is one table, and must be a list of tables", cure)
    return BadInput(
        origin, f"key {location.path}: is {_brief(location.value)}, and must be {_takes(location)}", _cure(location)
    )


def _steps(values: dict[str, Any], struct: type[msgspec.Struct], path: str, message: str) -> Steps:
    """The names and indices of msgspec's ``path``; which of a user's own names it means, which it shows as [...], is found by trying each alone."""
    steps: list[str | int] = []
    for name, index, _ in _STEP.findall(path):
        steps.append(name or (int(index) if index else _culprit(values, struct, steps, message)))
    return steps


def _culprit(values: dict[str, Any], struct: type[msgspec.Struct], steps: Steps, message: str) -> str:
    named = _at(values, steps)
    for name, item in named.items():
        try:
            msgspec.convert(_replaced(values, steps, {name: item}), struct, strict=True)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return name
    return next(iter(named))


def _at(values: Any, steps: Steps) -> Any:
    for step in steps:
        values = values[step]
    return values


def _replaced(values: Any, steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    if isinstance(values, dict):
        return {**values, first: _replaced(values[first], rest, value)}
    return [_replaced(item, rest, value) if index == first else item for index, item in enumerate(values)]


def _place(values: dict[str, Any], steps: Steps, tables: tuple[Table, ...]) -> _Place:
    """What the value at ``steps`` is: a table, or a key in one (or a part of its value)."""
    value = _at(values, steps)
    for count in range(len(steps), -1, -1):
        inside = [table for table in tables if _matches(table.path, steps[:count])]
        if not inside:
            continue
        if len(inside) > 1:  # of several kinds of table, the one that this says it is
            owner, tag = _at(values, steps[:count]), _tag_field(inside)
            kind = owner.get(tag) if isinstance(owner, dict) else None
            inside = [table for table in inside if table.where == f'{tag} = "{kind}"'] or inside
        names = [key for table in inside for key in table.keys if count < len(steps) and key.name == steps[count]]
        combined = (
            names[0]._replace(kind="one of " + ", ".join(named.kind for named in names)) if len(names) > 1 else None
        )
        key = combined or (names[0] if names else None)
        return _Place(_join(steps), value, tuple(inside), key, key is not None and len(steps) > count + 1)
    return _Place(_join(steps), value, (), None)


def _matches(path: str, steps: Steps) -> bool:
    parts, names = path.split(".") if path else [], [step for step in steps if isinstance(step, str)]
    return len(parts) == len(names) and all(part in ("NAME", name) for part, name in zip(parts, names, strict=True))


def _tag_field(tables: Sequence[Table]) -> str:
    """The key that says which of several kinds of table one is."""
    return tables[0].struct.__struct_config__.tag_field or "kind"


def _join(steps: Steps) -> str:
    """Names and indices as one path: lens.defoci[1]."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.lstrip(".")


def _list(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _lacking(content: Any, here: tuple[Table, ...], tables: tuple[Table, ...]) -> list[str]:
    """Names of required keys and tables that ``given`` lacks."""
    present = content if isinstance(content, dict) else {}
    path = here[0].path
    names = [key.name for key in here[0].keys if key.required and key.name not in present]
    for table in tables:
        above, _, last = table.path.rpartition(".")
        if table.required and table.path and above == path and last not in present:
            needed = ", ".join(inner.name for inner in table.keys if inner.required)
            names.append(f"[{table.path}] with {needed}" if needed else f"[{table.path}]")
    return names


def _examples(location: _Place, lacking: list[str]) -> str:
    """What is missing, and what it must be."""
    keys = {key.name: key for table in location.tables for key in table.keys}
    if len(location.tables) > 1:  # a table of one of several kinds, which it must say
        return f"{_tag_field(location.tables)}, one of " + ", ".join(
            f'"{table.struct.__struct_config__.tag}"' for table in location.tables
        )
    return "; ".join(f"{name}, {keys[name].takes()}" if name in keys else f"the table {name}" for name in lacking)


def _nearest(wrong: str, location: _Place, tables: tuple[Table, ...]) -> str:
    """The table that has a key of that name, or the nearest name there is, or all that there are."""
    inner = [
        other.path.rpartition(".")[2]
        for other in tables
        if other.path and _matches(other.path.rpartition(".")[0], location.path.split(".") if location.path else [])
    ]
    names = list(dict.fromkeys([*(key.name for table in location.tables for key in table.keys), *inner]))
    elsewhere = [key.path for table in tables for key in table.keys if key.name == wrong]
    elsewhere += [f"[{table.path}]" for table in tables if table.path.rpartition(".")[2] == wrong]
    if elsewhere:
        return f"Did you mean {' or '.join(dict.fromkeys(elsewhere))}?"
    units = {key.path: f"{key.path} ({key.unit})" if key.unit else key.path for table in tables for key in table.keys}
    near = difflib.get_close_matches(wrong.lower(), [name.lower() for name in names], 1, 0.6)
    if near:
        match = _join([location.path, next(name for name in names if name.lower() == near[0])])
        return f"Did you mean {units.get(match, match)}?"
    others = {key.name.lower(): key.path for table in tables for key in table.keys}
    far = difflib.get_close_matches(wrong.lower(), others, 1, 0.75)
    if far:
        return f"Did you mean {units[others[far[0]]]}?"
    return f"The keys here are {', '.join(name for name in names if name != 'NAME')}." if names else "Leave it out."


def _takes(location: _Place) -> str:
    return "a table" if location.key is None else location.key.takes(location.part)


def _brief(value: Any) -> str:
    """A value as a message shows it."""
    if isinstance(value, dict):
        return "a table"
    text = str(list(value)) if isinstance(value, tuple) else f'"{value}"' if isinstance(value, str) else str(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _cure(location: _Place) -> str:
    """What to do about a value of the wrong kind or out of range."""
    key, value = location.key, location.value
    if key is None:
        named = location.tables == () or location.tables[0].path.endswith(".NAME")
        table = f"[{location.path.rpartition('.')[0]}.NAME]" if named else f"[{location.path}]"
        return f"Write its keys below {table}" + (", one table for each NAME." if named else ".")
    kind = key.part if location.part else key.kind
    number = isinstance(value, float | int) and not isinstance(value, bool)
    if number and kind.startswith("a number") and key.mistaken is not None and value > 0:
        right = key.mistaken.right(float(value))
        if right is not None:
            return f"Is that in {key.mistaken.unit}? Write {right:.6g}."
    if number and value == 0 and (key.zero or isinstance(key.default, str)) and not location.part:
        return key.zero or f"Leave it out: {key.default}."
    if isinstance(value, list) and key.series is not None:
        return f"A series goes into {key.series}; {key.path} is one number."
    if number and kind.startswith("a list"):
        return f"Write {key.name} = [{value}]."
    if number and kind.startswith("["):
        count = kind.count(",") + 1
        return f"Write {count} of them: {key.name} = [{', '.join([str(value)] * count)}]."
    if isinstance(value, str) and _is_number(value) and "number" in kind:
        return f"Write {key.name} = {value}, without quotes."
    choices = re.findall(r'"([^"]+)"', kind)
    near = difflib.get_close_matches(value.lower(), choices, 1, 0.5) if isinstance(value, str) else []
    if near:
        return f'Did you mean "{near[0]}"?'
    return f"Its meaning: {key.meaning}." if key.meaning else "Give one of these."


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
