"""The README checked against the program: commands, options, presets, scenarios, extras, links and exit codes exist, and its Python runs."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import scenarios.cli.main as cli
from instrument.remote.launch import parser as serve_parser
from instrument.simulated.instrument import presets
from scenarios.io.tables import table_names
from scenarios.presets import load_scenario, load_simulation, simulation_names
from tests.benchmarks.__main__ import names as benchmark_names
from tests.commands_named import blocks, commands, files, leaves, options, parsed, spans

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


EMTWIN = commands(TEXT)
FILES = files(TEXT)


def test_the_readme_shows_every_command():
    known = leaves()
    shown = {tuple(parsed(one)[0]) for one in EMTWIN if "KIND" not in one}
    kinds = {path[1] for path in known if path[0] == "measure"}
    assert {path for path in known if path[0] != "measure"} <= shown
    assert {path[1] for path in shown if path[0] == "measure"} <= kinds
    assert kinds <= set(spans(TEXT))


@pytest.mark.parametrize("arguments", EMTWIN, ids=" ".join)
def test_a_command_has_what_the_readme_gives_it(arguments):
    if "KIND" in arguments:
        arguments = ["pacbed" if one == "KIND" else one for one in arguments]
    path, given = parsed(arguments)
    if path == ["instrument", "serve"]:
        served = serve_parser().parse_args(given["args"])
        assert served.preset is None or served.preset in presets()
    if path == ["acquire"] and given["resume"] is None:
        name = given["scenario"] or "tune-and-map"
        assert name in FILES or load_scenario(name).name == name
    if path == ["simulate"] and given["scenario"] is not None:
        assert given["scenario"] in FILES or given["scenario"] in simulation_names()


@pytest.mark.parametrize("name", FILES)
def test_a_scenario_of_the_readme_is_accepted(name, tmp_path):
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    kind = tomllib.loads(FILES[name])["kind"]
    loaded = (load_simulation if kind == "simulate" else load_scenario)(path)
    assert loaded.name == path.stem


def test_options_named_in_the_text_exist():
    named = {word for span in spans(TEXT) for word in span.split() if word.startswith("--")}
    assert named - {"--help", "--short", "--smoke"} <= options()
    assert named, "the README names no option"


def test_presets_and_tables_are_all_named():
    assert set(simulation_names()) <= set(spans(TEXT))
    assert set(table_names()) <= set(spans(TEXT))


def test_extras_benchmarks_and_their_parts_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {extra for group in re.findall(r"pip install [^\n]*\.\[([\w,]+)\]", TEXT) for extra in group.split(",")}
    assert named
    assert named <= set(extras)
    called = [one[0] for one in commands(TEXT, "python -m tests.benchmarks") if not one[0].startswith("-")]
    assert called
    assert set(called) <= set(benchmark_names())
    parts = re.search(r"column.part` and\n((?:`\w+`(?:, | or )?)+)", TEXT)
    assert parts is not None
    for part in re.findall(r"`(\w+)`", parts[1]):
        assert importlib.util.find_spec(f"tests.benchmarks.column.{part}") is not None, part


def test_links_lead_to_files():
    places = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert places
    assert [place for place in places if not (ROOT / place).is_file()] == []


def test_exit_codes_are_those_of_the_command_line():
    said = re.search(r"Exit codes: (.*?)\n\n", TEXT, re.S)
    assert said is not None
    codes = {int(code) for code in re.findall(r"(?:^|; )\s*(\d+) ", said[1])}
    assert codes == {cli.DONE, cli.DISAGREES, cli.BAD_INPUT, cli.LOST, cli.FAULT, cli.INTERRUPTED}


def test_the_simulation_from_python_runs_smaller(tmp_path, monkeypatch):
    """The README's example with a sample, a scan and angles that take a moment."""
    from ase.io import write

    from twin import Sample

    (example,) = [text for text in blocks(TEXT, "python") if "simulate(" in text]
    for large, small in (("thickness=100", "thickness=8"), ("(64, 64)", "(4, 4)"), ("0.06, 0.2", "0.03, 0.06")):
        assert large in example
        example = example.replace(large, small)
    monkeypatch.chdir(tmp_path)
    write("mine.cif", Sample.crystal("SrTiO3").atoms)
    space: dict = {"__name__": "readme"}
    exec(compile(example, "README.md", "exec"), space)
    assert space["image"]["data"].shape == (1, 4, 4)
    assert 0.0 < float(space["image"]["data"].min()) < float(space["image"]["data"].max())


@pytest.mark.parametrize("example", [text for text in blocks(TEXT, "python") if "stream" in text])
def test_an_example_runs(example, monkeypatch, capsys):
    """The Python of the README as it stands there; its sensor is healthy and its state that which its readings were drawn about."""
    monkeypatch.chdir(ROOT)
    space: dict = {"__name__": "readme"}
    exec(compile(example, "README.md", "exec"), space)
    assert capsys.readouterr().out
    stream, second = space["stream"], space["second"]
    assert stream.verdicts()["objective.temperature"] == "ok"
    assert stream.monitors.distrust is None
    warmed = stream.quantities(["T"])[0] - stream.smoother().quantities(["T"], [space["start"] + 10 * second])[0][0]
    assert warmed[0] == pytest.approx(0.5, abs=0.1)  # its readings rise by 0.01 K a second, for 50 s
