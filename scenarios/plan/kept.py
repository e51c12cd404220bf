"""Whole plans, kept in the cache folder: a question that was answered before is answered again at once."""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

import scenarios
from instrument.core.result_cache import load_or_compute
from learn.feasibility.hypotheses import Hypotheses
from learn.feasibility.scans import Window
from learn.feasibility.search.front import Candidate
from scenarios.io.progress import Progress
from scenarios.plan.costs import Costs
from scenarios.plan.damage import Damage
from scenarios.plan.planned import Changed, Merit, Planned, Weighed
from scenarios.plan.search.found import Advice, Searched
from scenarios.question.options import OptionPlan
from scenarios.question.tables import Question
from twin.cache_folder import usable_cache
from twin.sample.specimen import Specimen

VERSION = 1
PACKAGES = ("instrument/core", "learn", "scenarios/plan", "scenarios/question", "twin")
"""Whose source decides about a plan's numbers."""


class Kept(NamedTuple):
    """What every kind of question finds of an option (`Judged`), without the means to find more."""

    curve: np.ndarray
    dose: float
    efficiency: float
    costs: dict[str, float]
    inseparable: tuple[str, ...]
    titles: tuple[str, str] | None
    perfect: np.ndarray
    changed: np.ndarray
    sigmas: np.ndarray


_TUPLES: dict[str, Any] = {
    each.__name__: each for each in (Advice, Candidate, Changed, Costs, Damage, Hypotheses, Kept, Merit, Searched, Weighed, Window)
}  # fmt: skip


def kept_plan(question: Question, plan: Callable[[], Planned], progress: Progress) -> Planned:
    """What ``plan`` makes of the ``question``, from the cache folder where it was made before by the same source code of the same files."""
    begun, folder = time.monotonic(), usable_cache()
    inputs = {
        "question": msgspec.json.encode(question),
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in _files(question)},
        "source": _source(),
    }

    def compute() -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        made = plan()
        text = json.dumps(_plain({name: getattr(made, name) for name in _PARTS}, arrays))
        return {**arrays, "plan": np.frombuffer(text.encode(), np.uint8)}

    store = None if folder is None else folder / "plan"
    arrays = load_or_compute(store, "plan", VERSION, inputs, compute, progress.stage)
    parts = _made(json.loads(arrays["plan"].tobytes()), arrays)
    return Planned(question=question, seconds=time.monotonic() - begun, **parts)


_PARTS = [name for name in Planned._fields if name not in ("question", "seconds")]


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """JSON data for a value of a plan; its arrays go to ``arrays``."""
    if isinstance(value, np.ndarray):
        name = f"array {len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Specimen):
        fields = {name: getattr(value, name) for name in ("positions", "u2", "symbols", "cell", "occupancy")}
        return {"specimen": _plain(fields, arrays)}
    if isinstance(value, msgspec.Struct):
        return {"option": msgspec.to_builtins(value)}
    if isinstance(value, tuple) and (names := getattr(value, "_fields", ())):
        form = type(value).__name__
        if form not in _TUPLES:
            form, names = Kept.__name__, Kept._fields
        return {"tuple": form, "fields": {name: _plain(getattr(value, name), arrays) for name in names}}
    if isinstance(value, tuple | list):
        return [_plain(each, arrays) for each in value]
    if isinstance(value, Mapping):
        return {"mapping": {name: _plain(each, arrays) for name, each in value.items()}}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a plan with a {type(value).__name__} cannot be kept; teach scenarios.plan.kept its form")


def _made(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value of `_plain`."""
    if isinstance(value, list):
        return tuple(_made(each, arrays) for each in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "specimen" in value:
        return Specimen(**_made(value["specimen"], arrays))
    if "option" in value:
        return msgspec.convert(value["option"], OptionPlan)
    if "tuple" in value:
        return _TUPLES[value["tuple"]](**{name: _made(each, arrays) for name, each in value["fields"].items()})
    return {name: _made(each, arrays) for name, each in value["mapping"].items()}


def _files(question: Question) -> Iterator[tuple[str, Path]]:
    """What the question names that is a file."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            for each in value.values():
                yield from texts(each)
        elif isinstance(value, list | tuple):
            for each in value:
                yield from texts(each)

    for name in sorted(set(texts(msgspec.to_builtins(question)))):
        path = Path(question.folder) / name
        if name and "\0" not in name and len(name) < 4096 and path.is_file():
            yield name, path


@functools.cache
def _source() -> str:
    """SHA-256 of the code that makes plans."""
    root, digest = Path(scenarios.__file__).parent.parent, hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
