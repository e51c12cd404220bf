"""What a plan promised, and what was reached, as numbers by name."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.io.errors import BadInput
from scenarios.library.scenario import number

PLANNED = ("power", "std", "dose")
"""What a plan may promise."""


def read_planned(path: Path) -> dict[str, float]:
    """The promises of the JSON of ``emtwin plan`` (its best option), or of an object with `PLANNED`. BadInput for
    neither.
    """
    values = _read(path)
    if isinstance(values.get("options"), list):
        values = _promise(values, path)
    return _numbers({name: values[name] for name in PLANNED if name in values}, path, ", ".join(PLANNED))


def read_reached(path: Path) -> dict[str, float]:
    """Scores by name, of a JSON object. BadInput for what is none."""
    return _numbers(_read(path), path, "detected, error, std")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BadInput(str(path), f"cannot be read as JSON ({error})", "Give one JSON object.") from None
    if not isinstance(values, dict):
        raise BadInput(str(path), "is no JSON object", "Give one JSON object.")
    return values


def _promise(plan: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Dose and power, or standard deviation, of the option that a plan advises, else of its first one."""
    options = [option for option in plan["options"] if isinstance(option, Mapping)]
    best = next((option for option in options if option.get("name") == plan.get("best")), options[0] if options else {})
    asked, wanted = plan.get("asked"), number(best.get("dose"))
    if (
        isinstance(asked, Mapping)
        and asked.get("name") == "std"
        and wanted is not None
        and number(asked.get("value")) is not None
    ):
        return {"dose": wanted, "std": asked["value"]}
    dose, doses, powers = number(best.get("dose")), plan.get("doses"), best.get("powers")
    if dose is None or not isinstance(doses, list) or not isinstance(powers, list) or len(doses) != len(powers):
        raise BadInput(str(path), "advises no option with a dose", "Give the JSON of emtwin plan --json.")
    return {"dose": dose, "power": _between(math.log(dose), [math.log(each) for each in doses], powers)}


def _between(at: float, places: list[float], values: list[float]) -> float:
    """Linear interpolation on rising ``places``; the end's value beyond the ends."""
    for low, high, before, after in zip(places, places[1:], values, values[1:], strict=False):
        if at <= high:
            return before + (after - before) * min(max((at - low) / (high - low), 0.0), 1.0)
    return values[-1]


def _numbers(values: Mapping[str, Any], path: Path, wanted: str) -> dict[str, float]:
    numbers = {
        name: float(value) for name, value in values.items() if isinstance(value, bool) or number(value) is not None
    }
    if not values or len(numbers) != len(values):
        wrong = next((name for name in values if name not in numbers), None)
        problem = f"{wrong} is no number" if wrong else f"has none of {wanted}"
        raise BadInput(str(path), problem, f'Give numbers by name: {{"{wanted.split(", ")[0]}": 0.9}}.')
    return numbers
