"""Hints for valid values that were probably given in another unit: radians for mrad, millimetres for angstrom."""

from collections.abc import Iterator
from typing import Any

from twin.simulation.plan.keys import Table


def doubts(values: dict[str, Any], tables: tuple[Table, ...]) -> Iterator[str]:
    """A sentence on each of ``values`` (a scenario's, plain) that is usual only in a unit that its key is often mistaken for."""
    for table in tables:
        for path, owner in _owners(values, table):
            for key in table.keys:
                if key.mistaken is None:
                    continue
                for number in _numbers(owner.get(key.name)):
                    right = key.mistaken.right(number)
                    if right is not None:
                        yield f"{path}.{key.name} = {number:g} {key.unit} is unusual: if it is in {key.mistaken.unit}, write {right:.4g}"
                        break


def _owners(values: dict[str, Any], table: Table) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables that ``table`` describes, with their paths."""
    owners = [("", values)]
    for part in table.path.split(".") if table.path else []:
        below = []
        for path, owner in owners:
            names = list(owner) if part == "NAME" else [part]
            below += [
                (f"{path}.{name}".lstrip("."), owner[name]) for name in names if isinstance(owner.get(name), dict)
            ]
        owners = below
    for path, owner in owners:
        if not table.where or table.where == f'kind = "{owner.get("kind")}"':
            yield path, owner


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, float | int):
        yield float(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _numbers(item)
