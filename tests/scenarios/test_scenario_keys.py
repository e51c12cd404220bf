"""Every key of a scenario: listed with unit and meaning, and every wrong value of it refused at once, by its name."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenarios.acquire import scenario
from scenarios.cli.main import BAD_INPUT, DONE, run
from scenarios.io.errors import BadInput
from scenarios.question.reading import question_of
from scenarios.question.tables import tables as question_tables
from scenarios.simulate import job
from tests.scenarios.simulate.test_simulate import values
from twin.simulation.plan import tables as plan
from twin.simulation.plan.keys import Key
from twin.simulation.plan.reading import spectrum_from_dict
from twin.simulation.plan.spectrum_tables import spectrum_tables

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = "accepted"
TABLES = {"annular": "stem", "segmented": "stem", "pixelated": "cbed"}
WRONG: tuple[Any, ...] = (
    "words", 3, -3, 0, 0.5, -0.5, True, 1e300, -1e300, 1e-300, 2**70, math.nan, math.inf, [], [1], [1, 2], [1.5, -2.5, 3.5],
    [1, 2, 3, 4], ["a", "b"], [[1, 2], [3]], {}, {"words": 1}, {"Sr": -1}, {"Sr": 7.0}, {"C10": [1, 2, 3]}, "",
)  # fmt: skip
NUMPY = ("zero-size", "numbered by", "array(", "dtype", "broadcast", "np.float", "nan to", "traceback", "Expected `")


def simulation(key: Key) -> dict[str, Any]:
    """A scenario in which ``key`` has a meaning."""
    table, kind = key.path.split(".")[0], key.where.partition('"')[2].rstrip('"')
    signal = {"lens": "hrtem", "scan": "4d-stem", "camera": "cbed", "dose": "cbed"}.get(table, TABLES.get(kind, "stem"))
    scenario_values = values(signal, specimen={"repeats": [4, 4], "cells": 1}, grid={"gpts": [64, 64]})
    detectors = {
        "annular": {"kind": "annular", "inner_mrad": 8, "outer_mrad": 40},
        "segmented": {"kind": "segmented", "radii_mrad": [8, 40]},
        "pixelated": {"kind": "pixelated", "shape": [8, 8], "pixel_mrad": 2.0},
        "eels": {"kind": "eels", "edge": "Ti L", "window": [456, 476], "collection_mrad": 20},
    }
    if signal == "stem" or kind:
        scenario_values["detectors"] = {"NAME": detectors[kind or "annular"]}
    if table in ("camera", "dose"):
        scenario_values["dose"] = {"electrons": 100.0}
    if table == "camera":
        scenario_values["camera"] = {}
    if table == "lens":
        scenario_values["lens"] = {"aperture_mrad": 10.0}
    return scenario_values


def spectrum(key: Key) -> dict[str, Any]:
    """A scenario of a spectrum in which ``key`` has a meaning."""
    tables = {"scan": {"shape": [2, 2]}, "backgrounds": {"NAME": {"level": 1e-6, "energy": 400.0}}}
    needed = {name: table for name, table in tables.items() if key.path.startswith(f"{name}.")}
    return {
        "name": "small", "kind": "simulate", "signal": "eels", "specimen": {"structure": "SrTiO3", "thickness": 300.0}, "beam": {"energy_keV": 200.0},
        "spectrometer": {"collection_mrad": 30.0, "dispersion": 0.5, "offset": 440.0}, **needed,
    }  # fmt: skip


def with_value(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *tables, name = path.split(".")
    table_values = content
    for table in tables:
        table_values = table_values.setdefault(table, {"configurations": 1} if table == "phonons" else {})
    table_values[name] = value
    return content


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "mine.toml"
    path.write_text("\n".join(f"{json.dumps(name)} = {toml(item)}" for name, item in content.items()))
    return path


def keys_of(tables: Any) -> list[Any]:
    return [pytest.param(key, id=f"{key.path} {key.where}".strip()) for table in tables for key in table.keys]


def assert_said(error: dict[str, str], key: Key, value: Any, captured: str) -> None:
    """The error about ``key`` is readable for a user."""
    text = " ".join(error.values())
    assert (
        key.path in text
        or key.name in text
        or any(
            other.path in text
            for table in (*plan.tables(), *spectrum_tables(), *question_tables())
            for other in table.keys
        )
    ), (value, error)
    assert error["problem"], (value, error)
    assert error["cure"], (value, error)
    for word in NUMPY:
        assert word not in text, (value, error)
    assert text.count("(") == text.count(")"), (value, error)
    assert text.count("[") == text.count("]"), (value, error)
    assert "(0.0 mrad" not in text, (value, error)
    assert "Traceback" not in captured, (value, captured)


@pytest.mark.parametrize("key", keys_of(plan.tables()))
def test_wrong_value_of_a_simulation(key: Key, tmp_path, monkeypatch, capsys):
    def accepted(*_: Any) -> None:
        raise BadInput(ACCEPTED, ACCEPTED, ACCEPTED)

    monkeypatch.setattr(job, "sampling_of", accepted)
    monkeypatch.chdir(tmp_path)
    number = key.kind.startswith(("a number", "a whole number"))
    for value in WRONG:
        path = write(tmp_path, with_value(simulation(key), key.path, value))
        assert run(["simulate", str(path), "--out", "out.zarr", "--json"]) == BAD_INPUT, value
        captured = capsys.readouterr()
        error = json.loads(captured.out)["error"]
        assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"], value
        if error["input"] != ACCEPTED:
            assert_said(error, key, value, captured.err)
        unlike = isinstance(value, str | list | dict | bool) or not math.isfinite(value)
        if number and unlike:
            assert f"key {key.path}" in error["problem"], (value, error)


@pytest.mark.parametrize("key", keys_of(spectrum_tables()))
def test_wrong_value_of_a_spectrum(key: Key):
    number = key.kind.startswith(("a number", "a whole number"))
    for value in WRONG:
        told = spectrum_refusal(with_value(spectrum(key), key.path, value))
        unlike = isinstance(value, str | list | dict | bool) or not math.isfinite(value)
        if told is not None:
            assert_said(told, key, value, "")
        if number and unlike:
            assert told is not None, value
            assert f"key {key.path}" in told["problem"], (value, told)


def spectrum_refusal(content: dict[str, Any]) -> dict[str, str] | None:
    """What the scenario of a spectrum is refused with; None where it is accepted."""
    try:
        spectrum_from_dict(content, "mine.toml")
    except BadInput as error:
        return {"input": error.input, "problem": error.problem, "cure": error.cure}
    return None


@pytest.mark.parametrize("key", keys_of(scenario.tables()))
def test_wrong_value_of_an_acquisition(key: Key, tmp_path):
    number = key.kind.startswith(("a number", "a whole number"))
    for value in WRONG:
        content = with_value({"name": "small", "kind": key.where.split('"')[1]}, key.path, value)
        error = refusal(content)
        if error is not None:
            assert key.path in error["problem"], (value, error)
            assert_said(error, key, value, "")
        elif number:
            assert isinstance(value, int | float), value
            assert not isinstance(value, bool), value
            assert math.isfinite(value)


@pytest.mark.parametrize("key", keys_of(question_tables()))
def test_wrong_value_of_a_question(key: Key):
    number = key.kind.startswith(("a number", "a whole number"))
    for value in WRONG:
        content, path = asked(key), key.path
        table = key.path.partition(".")[0]
        if table in ("option", "candidate"):
            content[table][0][key.name] = value
            path = f"{table}[0].{key.name}"
        elif key.path.startswith("area.phase."):
            content["area"] = {"phase": [{key.name: value}]}
            path = f"area.phase[0].{key.name}"
        else:
            content = with_value(content, key.path, value)
        told = question_refusal(content)
        if told is not None:
            assert_said(told, key, value, "")
        if number and (isinstance(value, str | list | dict | bool) or not math.isfinite(value)):
            assert told is not None, value
            assert f"key {path}" in told["problem"], (value, told)


def asked(key: Key) -> dict[str, Any]:
    """A question in which ``key`` has a meaning."""
    technique = key.where.partition('"')[2].rstrip('"') or "annular"
    rings = {"inner_mrad": 10.0, "outer_mrad": 20.0} if technique == "annular" else {}
    return {
        "name": "small", "kind": "detect", "specimen": {"structure": "SrTiO3", "thickness": 20.0}, "defect": {"kind": "vacancy", "element": "O"},
        "option": [{"technique": technique, **rings}], "candidate": [{"name": "another"}],
    }  # fmt: skip


@pytest.mark.parametrize("table", ["option", "candidate"])
def test_one_table_in_place_of_several_is_told(table: str):
    told = question_refusal({"name": "small", "kind": "detect", "specimen": {}, table: {"name": "another"}})
    assert told is not None
    assert "list of tables" in told["problem"]
    assert f"[[{table}]]" in told["cure"]


def question_refusal(content: dict[str, Any]) -> dict[str, str] | None:
    """What a question is refused with; None where it is accepted."""
    try:
        question_of(content, "mine.toml")
    except BadInput as error:
        return {"input": error.input, "problem": error.problem, "cure": error.cure}
    return None


def refusal(content: dict[str, Any]) -> dict[str, str] | None:
    """What an acquisition is refused with; None where it is accepted."""
    try:
        scenario.any_from_dict(content, "mine.toml")
    except BadInput as error:
        return {"input": error.input, "problem": error.problem, "cure": error.cure}
    return None


@pytest.mark.parametrize("command", ["simulate", "acquire", "plan"])
def test_keys_are_listed_with_unit_default_and_meaning(command: str, capsys):
    assert run([command, "--keys", "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "emtwin.keys/1"
    keys = [key for table in result["tables"] for key in table["keys"]]
    assert all(key["meaning"] and key["kind"] for key in keys)
    assert all(table["meaning"] for table in result["tables"])
    for key in keys:
        for ending in ("keV", "mrad", "MB"):
            assert not key["key"].endswith(f"_{ending}") or key["unit"] == ending
    assert run([command, "--keys"]) == DONE
    printed = capsys.readouterr().out
    for key in keys:
        assert key["key"].rpartition(".")[2] in printed
    for preset in result["presets"]:
        assert f"{preset}: " in printed
    assert run([command, "--help"]) == DONE
    # lines end behind hyphens, too
    output = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    assert all(preset in output for preset in result["presets"])


def test_every_field_is_a_key():
    """The list is of all that is read: no field of any struct is missing from it."""
    for tables in (plan.tables(), spectrum_tables(), scenario.tables(), question_tables()):
        inner = {table.path.rpartition(".")[2] for table in tables} | {"detectors", "edges", "backgrounds", "folder"}
        for table in tables:
            assert set(table.struct.__struct_fields__) - {key.name for key in table.keys} <= inner


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("beam.energy_keV", 200000, "Is that in eV? Write 200."),
        ("beam.semiangle_mrad", 0.0214, "Is that in rad? Write 21.4."),
        ("beam.defocus", [-80, 0], "A series goes into lens.defoci"),
        ("beam.defoci", [-80, 0], "Did you mean lens.defoci?"),
        ("fov", [8, 8], "Did you mean scan.fov?"),
        ("scan.fov", 8, "fov = [8, 8]"),
        ("beam.energy", 200, "Did you mean beam.energy_keV (keV)?"),
        ("detectors.NAME.outer_mrad", 0.14, "Is that in rad? Write 140."),
        ("signal", "STEM", 'Did you mean "stem"?'),
        ("specimen.phonons", 8, "[specimen.phonons]"),
        ("specimen.phonons.configurations", 0, "Leave [specimen.phonons] out"),
        ("dose.electrons", 0, "Leave [dose] out"),
        ("beam.semiangle_mrad", "20", "Write semiangle_mrad = 20, without quotes."),
        ("beam.aberrations", {"A1": [20.0, 45.0]}, "Is that in degrees? Write A1 = [20, 0.7854]."),
    ],
)
def test_cure_is_the_nearest(path: str, value: Any, message: str, tmp_path, capsys):
    content = with_value(simulation(next(key for table in plan.tables() for key in table.keys)), path, value)
    assert run(["simulate", str(write(tmp_path, content)), "--out", str(tmp_path / "a.zarr"), "--json"]) == BAD_INPUT
    assert message in json.loads(capsys.readouterr().out)["error"]["cure"]


@pytest.mark.parametrize("command", ["simulate", "acquire"])
def test_empty_file_and_exit_of_the_process(command: str, tmp_path):
    """In a process of its own: a fault of a library at the end of one would change its exit code."""
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "mine.toml").write_text('name = "a"\nkind = "KIND"\nsignal = "hrtem"\n[beam]\nenergy_keV = 2e5\n')
    for name, message in (("empty.toml", "is empty"), ("mine.toml", "must be")):
        done = subprocess.run(
            [sys.executable, "-m", "scenarios.cli.main", command, name, "--out", "out.zarr"], cwd=tmp_path, capture_output=True,
            text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (BAD_INPUT, "")
        assert message in done.stderr
