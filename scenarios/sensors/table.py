"""Writes a sensor table (TOML, schema emtwin.sensors/2) from the analysis of a log.

Each channel gets an entry of the state, and a sensor that reads it.
"""

import json
from pathlib import Path
from typing import Any

from twin.sensors.table import SCHEMA


def write_table(analysis: dict[str, Any], out: Path) -> None:
    """Write the sensor table to ``out``, which must not exist."""
    text = table_text(analysis)
    with out.open("x", encoding="utf-8") as file:
        file.write(text)


def table_text(analysis: dict[str, Any]) -> str:
    """The table as TOML."""
    used = [item for item in analysis["channels"] if _usable(item)]
    lines = [
        f"schema = {_text(SCHEMA)}",
        f"name = {_text(Path(analysis['log']).name.partition('.')[0])}",
        f"doc = {_text('Learnt from one log: numbers hold for its hour and its instrument. ' + analysis['clock'] + '.')}",
        "",
        "[sources.log]",
        "offset_std = 1.0            # s, assumed",
        "rate_std = 1e-5             # s/s, assumed",
        "latency = 0.1               # s, assumed",
        "latest = 2.0                # s, assumed",
    ]
    for item in used:
        lines += ["", *_entry(item)]
    for item in used:
        lines += ["", *_sensor(item)]
    left = [item for item in analysis["channels"] if not _usable(item)]
    if left:
        lines += ["", f"# {len(left)} channels of the log are not in this table:"]
        lines += [f"# {_text(item['name'])}: {_missing(item)}" for item in left]
    return "\n".join(lines) + "\n"


def _usable(item: dict[str, Any]) -> bool:
    return item["unit"] is not None and bool(item["noise"]) and "value" in item["noise"]


def _missing(item: dict[str, Any]) -> str:
    if item["unit"] is None:
        return "unit unknown"
    if item["codes"] or item["unit_why"].startswith("enumeration"):
        return "codes, not a quantity"
    kinds = [verdict["kind"] for verdict in item["classes"]]
    if "silent" in kinds:
        return "no value"
    few = item["noise"] or {}
    if "needed" in few:
        return f"too few: {few['present']} of {few['needed']} {few['what']}"
    return ", ".join(kinds)


def _entry(item: dict[str, Any]) -> list[str]:
    """The state entry that a channel reads, moving as the log says: a walk, a slope in a walk, a relaxation, or not at all."""
    name, unit, process = item["name"], item["unit"], item["process"]
    spread = max(item["highest"] - item["lowest"], item["noise"]["value"], 1e-12)
    size = item["drift"]["value"] if item["drift"] else 0.0
    moves = {
        "steady": '{ kind = "constant" }',
        "walk": f'{{ kind = "walk", rate = {_number(size)} }}',
        "trend": f'{{ kind = "integrate", of = {_text(name + ".slope")} }}',
        "wander": f'{{ kind = "relax", std = {_number(size)}, time = {_number((item["time_constant"] or {}).get("value", 1.0))} }}',
    }[process]

    def lines(name: str, unit: str, mean: float, std: float, moves: str, doc: str) -> list[str]:
        return [
            "[[entry]]", f"name = {_text(name)}", f"unit = {_text(unit)}", f"mean = {_number(mean)}", f"std = {_number(std)}",
            'part = ""', f"moves = {moves}", f"doc = {_text(doc)}",
        ]  # fmt: skip

    entries = lines(name, unit, item["last"], spread, moves, item["label"])
    if process == "trend":
        span = max((item["interval"] or 1.0), 1e-6)
        entries += [
            "",
            *lines(
                name + ".slope",
                f"{unit}/second",
                0.0,
                spread / span,
                f'{{ kind = "walk", rate = {_number(size)} }}',
                "its slope",
            ),
        ]
    return entries


def _sensor(item: dict[str, Any]) -> list[str]:
    kinds = [verdict["kind"] for verdict in item["classes"]]
    reports = next((kind for kind in ("periodic", "on-change") if kind in kinds), "event")
    step = item["step"]["value"] if item["step"] and "value" in item["step"] else 0.0
    lag = item["lag"]["value"] if item["lag"] and "value" in item["lag"] else 0.0
    why = "; ".join(verdict["why"] for verdict in item["classes"])
    least = "noise is an upper limit; " if item["noise"]["at_most"] else ""
    doc = f"learnt from {item['count']} values; {least}{why}; {item['unit_why']}"
    return [
        "[[sensor]]",
        f"channel = {_text(item['name'])}",
        'source = "log"',
        f"unit = {_text(item['unit'])}",
        'kind = "measured"           # assumed: a log does not tell an echo from a measurement',
        f"reports = {_text(reports)}",
        f"rate = {_number(1.0 / item['interval'])}",
        f"expects = {{ {_text(item['name'])} = 1.0 }}",
        "offset = 0.0",
        f"noise = {_number(item['noise']['value'])}",
        f"quantisation = {_number(step)}",
        f"lag = {_number(lag)}",
        'valid = ""',
        'part = ""',
        f"doc = {_text(doc)}",
    ]


def _number(value: float) -> str:
    """A TOML float with six digits."""
    text = f"{value:.6g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
