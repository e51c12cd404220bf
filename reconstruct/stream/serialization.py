"""The format of a stream's saved state: plain values (for JSON or a journal's row) and arrays by name.

Each class makes its own state in `to_state` and goes on from it in `from_state`; here states are put together and taken apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.sensors.model import Model

FORMAT = "emtwin-stream/2"

State = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Plain values and arrays, each by name."""


def identity(model: Model) -> dict[str, Any]:
    """What a saved state needs to have in common with the model that goes on from it."""
    return {
        "model": model.name,
        "names": list(model.layout.names),
        "channels": [sensor.channel for sensor in model.evidence],
    }


def check_state(model: Model, values: Mapping[str, Any]) -> None:
    """ValueError if a stream's saved ``values`` are of another format or of a model with other entries or sensors."""
    saved = values.get("format")
    if saved != FORMAT:
        description = "a stream saved by emtwin 0.1" if saved == "emtwin-stream/1" else "not a stream that was saved"
        raise ValueError(f"this is {description} ({saved!r}); this emtwin reads {FORMAT!r}: follow the readings again")
    expected = identity(model)
    if values["names"] != expected["names"] or values["channels"] != expected["channels"]:
        raise ValueError(
            f"the saved stream is of {values['model']!r}, with other entries or sensors than {model.name!r}; give its own table"
        )


def put(name: str, part: State, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Add the state ``part`` of a member to the state of its owner."""
    values[name] = part[0]
    arrays |= {f"{name}.{key}": array for key, array in part[1].items()}


def put_all(name: str, parts: Sequence[State], values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Add the states of a list of members."""
    values[name] = [part[0] for part in parts]
    for number, part in enumerate(parts):
        arrays |= {f"{name}.{number}.{key}": array for key, array in part[1].items()}


def taken(name: str, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> State:
    """The state of a member that `put` added."""
    return values[name], _below(f"{name}.", arrays)


def taken_all(name: str, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> list[State]:
    """The states of a list of members that `put_all` added."""
    return [(part, _below(f"{name}.{number}.", arrays)) for number, part in enumerate(values[name])]


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
