"""One row of a benchmark."""

from typing import Any

Case = dict[str, Any]


def case(name: str, value: Any, unit: str = "", bar: str | None = "", holds: Any = None) -> Case:
    """A measured ``value`` in ``unit``; its ``bar`` in words and whether it ``holds`` (None where nothing is required)."""
    return {"case": name, "value": value, "unit": unit, "bar": bar, "holds": None if holds is None else bool(holds)}
