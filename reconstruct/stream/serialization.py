"""A stream put away and taken up again: all that it knows, as plain values (for JSON or a journal's row) and arrays, exactly.

What is open is kept as it came and is run again when it is asked for; what is settled is kept as it was settled.
"""

import dataclasses
from typing import Any

import numpy as np

from reconstruct.stream.batching import Jump, Step
from reconstruct.stream.filter_step import FilterCheckpoint
from reconstruct.stream.history import Chapter
from reconstruct.stream.observation import Observation
from reconstruct.stream.readings.health import Health
from reconstruct.stream.readings.preprocess import Runs
from reconstruct.stream.readings.time_bins import Cell
from reconstruct.stream.resets import Event
from reconstruct.stream.stream import Stream
from twin.dynamics.inputs import Path
from twin.sensors.model import Model

FORMAT = "emtwin-stream/2"

Kept = tuple[dict[str, Any], dict[str, np.ndarray]]


def put_away(stream: Stream) -> Kept:
    """All that changes in a stream, as plain values and arrays by name."""
    values: dict[str, Any] = {
        "format": FORMAT,
        "model": stream.model.name,
        "names": list(stream.model.layout.names),
        "channels": [one.channel for one in stream.model.evidence],
        "start": stream.start,
        "span": stream.span,
        "window": stream.window,
        "exact": stream.exact,
        "outliers": stream._runner.share,
        "settled": stream._settled,
        "plateaus": stream._plateaus.state(),
        "inputs": stream.inputs.state(),
        "monitors": stream.monitors.state(),
        "resets": stream.resets.judged,
        "events": [dataclasses.asdict(one) for one in stream.events],
        "evidence": stream.evidence,
        "heard": stream._heard,
        "health": {name: dataclasses.asdict(one) for name, one in stream.health.items()},
        "seen": [{"name": one.name, "time": one.time, "names": list(one.names)} for one in stream._seen],
    }
    arrays: dict[str, np.ndarray] = {}
    for number, one in enumerate(stream._seen):
        arrays |= {f"seen.{number}.value": one.value, f"seen.{number}.noise": one.noise}
        if one.factor is not None:
            arrays[f"seen.{number}.factor"] = one.factor
    newest = max(number for number in stream._marks if number <= stream._settled)
    mark = stream._marks[newest]
    values["mark"] = {"number": newest, "time": mark.time, "lost": [list(pair) for pair in mark.lost.items()]}
    arrays |= {"mark.mean": mark.mean, "mark.root": mark.cov_sqrt}
    arrays |= {f"mark.{name}": column for name, column in zip(Runs._fields, mark.runs, strict=True)}
    _put_inbox(stream, values, arrays)
    values["chapters"] = [_put_chapter(one, f"chapter.{i}", arrays) for i, one in enumerate(stream.chapters)]
    arrays |= {"chapter.mean": stream._chapter_end[0], "chapter.root": stream._chapter_end[1]}
    return values, arrays


def take_up(model: Model, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Stream:
    """The stream that was put away; ValueError if it was of another model or format."""
    if values.get("format") != FORMAT:
        found = values.get("format")
        old = "a stream saved by emtwin 0.1" if found == "emtwin-stream/1" else "not a stream that was saved"
        raise ValueError(f"this is {old} ({found!r}); this emtwin reads {FORMAT!r}: follow the readings again")
    channels = [one.channel for one in model.evidence]
    if values["names"] != list(model.layout.names) or values["channels"] != channels:
        raise ValueError(
            f"the stream that was put away followed {values['model']!r} with other entries or sensors than {model.name!r} has; give its own table"
        )
    stream = Stream(
        model, values["start"], span=values["span"] * 1e-9, window=values["window"] * 1e-9, exact=values["exact"], outliers=values["outliers"]
    )  # fmt: skip
    stream._settled = values["settled"]
    stream._plateaus.restore(values["plateaus"])
    stream.inputs.restore(values["inputs"])
    stream.monitors.restore(values["monitors"])
    stream.resets.judged = {name: int(time) for name, time in values["resets"].items()}
    stream.events = [Event(**one) for one in values["events"]]
    stream.evidence, stream._heard = values["evidence"], values["heard"]
    stream.health.update({name: Health(**one) for name, one in values["health"].items()})
    stream._seen = [
        Observation(
            one["name"], one["time"], tuple(one["names"]), arrays[f"seen.{i}.value"], arrays[f"seen.{i}.noise"], arrays.get(f"seen.{i}.factor")
        )
        for i, one in enumerate(values["seen"])
    ]  # fmt: skip
    runs = Runs(*(arrays[f"mark.{name}"] for name in Runs._fields))
    lost = {int(place): int(count) for place, count in values["mark"]["lost"]}
    mark = FilterCheckpoint(values["mark"]["time"], arrays["mark.mean"], arrays["mark.root"], runs, lost=lost)
    stream._marks = {values["mark"]["number"]: mark}
    _take_inbox(stream, values, arrays)
    stream.chapters = [_take_chapter(one, f"chapter.{i}", arrays) for i, one in enumerate(values["chapters"])]
    stream._chapter_end = (arrays["chapter.mean"], arrays["chapter.root"])
    return stream


def _put_inbox(stream: Stream, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    inbox, cells = stream._inbox, stream._inbox.cells
    values["inbox"] = {
        "now": inbox.now,
        "heard": sorted(inbox._heard),
        "clocks": {name: clock.state() for name, clock in inbox._clocks.items()},
        "frozen": [list(one) for one in cells._frozen],
        "held": [list(one) for one in cells._held],
        "open": sorted(cells._open),
        "valid": {name: [path.times, path.values] for name, path in cells._valid.items()},
        "lasting": {name: [path.times, path.values] for name, path in cells._lasting.items()},
    }
    memory = cells.memory
    arrays |= {
        f"memory.{what}": column for what, column in zip(("place", "time", "value"), memory.packed(), strict=True)
    }
    arrays |= {"memory.low": memory.low, "memory.high": memory.high}
    for number, cell in cells._open.items():
        place, time, value = (np.concatenate(column) for column in zip(*cell.parts, strict=True))
        arrays |= {f"cell.{number}.place": place, f"cell.{number}.time": time, f"cell.{number}.value": value}


def _take_inbox(stream: Stream, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    inbox, cells, kept = stream._inbox, stream._inbox.cells, values["inbox"]
    inbox.now, inbox.settled = kept["now"], stream._settled
    inbox._heard = set(kept["heard"])
    for name, state in kept["clocks"].items():
        inbox._clocks[name].restore(state)
    cells._frozen = [(int(place), int(since), int(until)) for place, since, until in kept["frozen"]]
    cells._held = [(int(place), int(since)) for place, since in kept["held"]]
    place, time, value = (arrays[f"memory.{what}"] for what in ("place", "time", "value"))
    cells.memory.restore((place, time, value), arrays["memory.low"], arrays["memory.high"])
    for paths, name in ((cells._valid, "valid"), (cells._lasting, "lasting")):
        for channel, (times, told) in kept[name].items():
            paths[channel] = Path(list(times), list(told))
    for number in kept["open"]:
        place, time, value = (arrays[f"cell.{number}.{what}"] for what in ("place", "time", "value"))
        stale = np.zeros(len(stream.model.evidence), dtype=bool)
        stale[place] = True
        cells._open[int(number)] = Cell([(place, time, value)], stale, int(time.max()))


def _put_chapter(chapter: Chapter, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    chapter.pack()
    arrays |= {
        f"{name}.mean": chapter.mean,
        f"{name}.root": chapter.cov_sqrt,
        f"{name}.ends": chapter.ends,
        f"{name}.stops": chapter.stops,
    }
    arrays |= {f"{name}.{column}": values for column, values in chapter.columns.items()}
    special = []
    for number, step in chapter.special.items():
        own = {"row": step.row, "time": step.time, "value": step.value, "variance": step.variance, "floor": step.floor}
        if step.own is not None:
            own["own"] = step.own
        if step.jump is not None:
            own |= {"move": step.jump.move, "shift": step.jump.shift, "noise": step.jump.noise}
        arrays |= {f"{name}.{number}.{what}": value for what, value in own.items()}
        special.append([number, step.end])
    return {"start": chapter.start, "special": special}


def _take_chapter(kept: dict[str, Any], name: str, arrays: dict[str, np.ndarray]) -> Chapter:
    chapter = Chapter.begin(kept["start"], arrays[f"{name}.mean"], arrays[f"{name}.root"])
    chapter.ends, chapter.stops = arrays[f"{name}.ends"], arrays[f"{name}.stops"]
    chapter.columns = {column: arrays[f"{name}.{column}"] for column in chapter.columns}
    for number, end in kept["special"]:
        own = {what: arrays[f"{name}.{number}.{what}"] for what in ("row", "time", "value", "variance", "floor")}
        jump = None
        if f"{name}.{number}.move" in arrays:
            jump = Jump(*(arrays[f"{name}.{number}.{what}"] for what in ("move", "shift", "noise")))
        chapter.special[int(number)] = Step(end, jump, **own, own=arrays.get(f"{name}.{number}.own"))
    return chapter
