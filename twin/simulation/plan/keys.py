"""Keys of a scenario, as the structs that hold them define them: path, unit, kind of value, range, default and meaning of each.

A field's annotation carries its unit and meaning (`key`). Reading, messages, ``--keys`` and the documentation take them from there.
"""

import functools
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Union

import msgspec
from msgspec import Meta


class Mistaken(NamedTuple):
    """A unit in which a value is often given by mistake: value times ``factor`` is the correct value, which usually lies between ``low`` and
    ``high``.
    """

    unit: str
    factor: float
    low: float
    high: float

    def right(self, value: float) -> float | None:
        """The value in the key's own unit, where ``value`` is plausible only in the mistaken one."""
        meant = value * self.factor
        usual = self.low <= abs(value) <= self.high
        return meant if not usual and self.low <= abs(meant) <= self.high else None


RAD = Mistaken("rad", 1e3, 0.02, 500.0)
"""Angles in mrad that may be small: tilts, edges, gaps."""
RADIUS = Mistaken("rad", 1e3, 0.3, 500.0)
"""Angles in mrad that a detector or an aperture reaches."""
DEGREES = Mistaken("degrees", 3.141592653589793 / 180.0, 0.0, 6.3)


def key(
    unit: str,
    meaning: str,
    *,
    mistaken: Mistaken | None = None,
    series: str | None = None,
    default: str | None = None,
    zero: str | None = None,
    **bounds: Any,
) -> Meta:
    """Unit and meaning of a field, with msgspec's ``bounds`` of its value. ``series``: the key that takes several such values; ``default``: in words,
    where none is fixed; ``zero``: what to do instead of giving 0."""
    extra = {"unit": unit, "mistaken": mistaken, "series": series, "default": default, "zero": zero}
    return Meta(description=meaning, extra=extra, **bounds)


class Key(NamedTuple):
    """One key: its ``path`` (NAME stands for a name of the user's), ``where`` it exists ('kind = "annular"'), and what it takes; ``part``: the kind
    of each value in a list or table."""

    path: str
    where: str
    unit: str
    kind: str
    range: str
    default: Any
    required: bool
    meaning: str
    part: str = ""
    mistaken: Mistaken | None = None
    series: str | None = None
    zero: str | None = None

    @property
    def name(self) -> str:
        """Without its table."""
        return self.path.rpartition(".")[2]

    def takes(self, part: bool = False) -> str:
        """What its value, or each part of it, must be: "a number above 0 (mrad)"."""
        unit = f"({self.unit})" if self.unit else ""
        return " ".join(word for word in ((self.part if part else "") or self.kind, self.range, unit) if word)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {
            "key": self.path, "where": self.where, "unit": self.unit, "kind": self.kind, "range": self.range,
            "default": self.default, "required": self.required, "meaning": self.meaning,
        }  # fmt: skip


class Table(NamedTuple):
    """A table of a scenario: its ``path`` ("" at the top), the ``struct`` that holds it, what it is for, and its keys."""

    path: str
    where: str
    struct: type[msgspec.Struct]
    meaning: str
    required: bool
    keys: tuple[Key, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        plain = {"table": self.path, "where": self.where, "meaning": self.meaning, "required": self.required}
        return {**plain, "keys": [key.as_dict() for key in self.keys]}


@functools.cache
def tables_of(struct: type[msgspec.Struct], path: str = "", required: bool = True) -> tuple[Table, ...]:
    """The table that ``struct`` defines, and all tables in it."""
    return tuple(_tables(struct, path, required))


def _tables(struct: type[msgspec.Struct], path: str, required: bool) -> Iterator[Table]:
    hints = typing.get_type_hints(struct, include_extras=True)
    config = struct.__struct_config__
    where = f'{config.tag_field} = "{config.tag}"' if config.tag is not None else ""
    keys, inner = [], []
    if config.tag is not None:
        keys.append(
            Key(f"{path}.{config.tag_field}".lstrip("."), where, "", f'"{config.tag}"', "", None, True, "what this is")
        )
    for field in msgspec.structs.fields(struct):
        if field.name == "folder":  # set by the reader, not by the user
            continue
        key_path = f"{path}.{field.name}".lstrip(".")
        held = structs_in(hints[field.name])
        if held:
            named = is_table_of_tables(hints[field.name])
            for member_struct in held:
                inner += _tables(member_struct, f"{key_path}.NAME" if named else key_path, field.required)
        else:
            keys.append(_key(key_path, where, hints[field.name], field))
    yield Table(path, where, struct, " ".join((struct.__doc__ or "").split()), required, tuple(keys))
    yield from inner


def _key(path: str, where: str, annotation: Any, field: Any) -> Key:
    description, extra = "", {}
    for meta in metas(annotation):
        description, extra = meta.description or description, meta.extra or extra
    default = None if field.required or field.default is msgspec.NODEFAULT else field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return Key(
        path, where, extra.get("unit", ""), kind_of(annotation), range_of(annotation),
        extra.get("default") if default is None else default, field.required, description,
        "" if element(annotation) is annotation else kind_of(element(annotation)), extra.get("mistaken"), extra.get("series"), extra.get("zero"),
    )  # fmt: skip


def metas(annotation: Any) -> list[Meta]:
    """Of ``annotation`` itself and of what it may be, the outermost last."""
    if typing.get_origin(annotation) is Annotated:
        inner, *annotated = typing.get_args(annotation)
        return [*metas(inner), *(meta for meta in annotated if isinstance(meta, Meta))]
    metadata = []
    for member in _members(annotation):
        if member is not annotation:
            metadata += metas(member)
    return metadata


def bare(annotation: Any) -> Any:
    """``annotation`` without Meta and without None."""
    if typing.get_origin(annotation) is Annotated:
        return bare(typing.get_args(annotation)[0])
    members = _members(annotation)
    return bare(members[0]) if len(members) == 1 and members[0] is not annotation else annotation


def structs_in(annotation: Any) -> tuple[type[msgspec.Struct], ...]:
    """The structs that a field holds, by itself, by name in a table, or in an array of tables."""
    kind = bare(annotation)
    if is_table_of_tables(annotation):
        kind = bare(typing.get_args(kind)[1])
    elif typing.get_origin(kind) is list:  # an array of tables
        kind = bare(typing.get_args(kind)[0])
    return tuple(
        member
        for member in map(bare, _members(kind))
        if isinstance(member, type) and issubclass(member, msgspec.Struct)
    )


def is_table_of_tables(annotation: Any) -> bool:
    """Whether a field is a table whose names are the user's and whose values are tables."""
    kind = bare(annotation)
    if typing.get_origin(kind) is not dict:
        return False
    return any(
        isinstance(member, type) and issubclass(member, msgspec.Struct)
        for member in _members(bare(typing.get_args(kind)[1]))
    )


def element(annotation: Any, index: int = 0) -> Any:
    """What a list, a tuple or a table of values holds; ``annotation`` itself for anything else."""
    for member in _members(bare(annotation)):
        kind, arguments = typing.get_origin(bare(member)), typing.get_args(bare(member))
        if kind is tuple:
            return arguments[min(index, len(arguments) - 1)]
        if kind is list:
            return arguments[0]
        if kind is dict:
            return arguments[1]
    return annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    """Of a union, without None; of anything else itself."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return tuple(member for member in typing.get_args(annotation) if member is not type(None))
    return (annotation,)


_WORDS = {float: "number", int: "whole number", str: "text", bool: "true or false"}


def kind_of(annotation: Any) -> str:
    """What a value is, in words: "a number", "[number, number]", "a table of numbers"."""
    kind = bare(annotation)
    members = _members(kind)
    if len(members) > 1:
        return " or ".join(kind_of(member) for member in members)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(f'"{argument}"' for argument in arguments)
    if origin is tuple:
        return "[" + ", ".join(_plain(argument) for argument in arguments) + "]"
    if origin is list:
        return f"a list of {_plain(arguments[0])}s"
    if origin is dict:
        return f"a table of {' or '.join(_plain(argument) + 's' for argument in _members(bare(arguments[1])))}"
    word = _WORDS.get(kind, "value")
    return word if word in ("text", "true or false") else f"a {word}"


def _plain(annotation: Any) -> str:
    return kind_of(annotation).removeprefix("a ")


def range_of(annotation: Any) -> str:
    """The bounds of a value or of each of its elements: "above 0", "from 1 to 10000"."""
    bounds: dict[str, float] = {}
    inner = element(annotation)
    for meta in [*(metas(inner) if inner is not annotation else []), *metas(annotation)]:
        bounds |= {name: getattr(meta, name) for name in ("gt", "ge", "lt", "le") if getattr(meta, name) is not None}
    shown = {name: str(bound) if isinstance(bound, int) else f"{bound:g}" for name, bound in bounds.items()}
    least = [meta.min_length for meta in metas(annotation) if meta.min_length]
    if least:
        few = "not empty" if bare(annotation) is str else f"{least[0]} of them at least"
        return f"({few})" if not shown else f"of at least {shown.get('ge', '')} ({few})"
    low = f"above {shown['gt']}" if "gt" in shown else f"of at least {shown['ge']}" if "ge" in shown else ""
    high = f"below {shown['lt']}" if "lt" in shown else f"at most {shown['le']}" if "le" in shown else ""
    if "ge" in shown and "le" in shown:
        return f"from {shown['ge']} to {shown['le']}"
    return " and ".join(part for part in (low, high) if part)
