"""The README checked against the program: commands, options, presets, scenarios, extras, links and exit codes exist."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import scenarios.cli.main as cli
from instrument.remote.launch import parser as serve_parser
from instrument.simulation.instrument import presets
from scenarios.presets import load_scenario, load_simulation, simulation_names
from scenarios.question.reading import is_question
from tests.benchmarks.__main__ import names as benchmark_names
from tests.commands_named import blocks, commands, files, leaves, options, parsed, spans

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


EMTWIN = commands(TEXT)
FILES = files(TEXT)


def test_the_readme_shows_every_command():
    all_commands = leaves()
    in_readme = {tuple(parsed(call)[0]) for call in EMTWIN if "KIND" not in call}
    kinds = {path[1] for path in all_commands if path[0] == "measure"}
    assert {path for path in all_commands if path[0] != "measure"} <= in_readme
    assert {path[1] for path in in_readme if path[0] == "measure"} <= kinds
    assert kinds <= set(spans(TEXT))


@pytest.mark.parametrize("arguments", EMTWIN, ids=" ".join)
def test_a_command_has_what_the_readme_gives_it(arguments):
    if "KIND" in arguments:
        arguments = ["pacbed" if word == "KIND" else word for word in arguments]
    path, parameters = parsed(arguments)
    if path == ["instrument", "serve"]:
        served = serve_parser().parse_args(parameters["args"])
        assert served.preset is None or served.preset in presets()
    if path == ["acquire"] and parameters["resume"] is None:
        name = parameters["scenario"] or "tune-and-map"
        assert name in FILES or is_question(name) or load_scenario(name).name == name
    if path == ["simulate"] and parameters["scenario"] is not None:
        assert parameters["scenario"] in FILES or parameters["scenario"] in simulation_names()


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


def test_extras_benchmarks_and_their_parts_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {extra for group in re.findall(r"pip install [^\n]*\.\[([\w,]+)\]", TEXT) for extra in group.split(",")}
    assert named
    assert named <= set(extras)
    called = [call[0] for call in commands(TEXT, "python -m tests.benchmarks") if not call[0].startswith("-")]
    assert called
    assert set(called) <= set(benchmark_names())
    numbers = (ROOT / "docs" / "reference" / "numbers.md").read_text(encoding="utf-8")
    parts = re.search(r"column.part` and\n((?:`\w+`(?:, | or )?)+)", numbers)
    assert parts is not None
    for part in re.findall(r"`(\w+)`", parts[1]):
        assert importlib.util.find_spec(f"tests.benchmarks.column.{part}") is not None, part


def test_links_lead_to_files():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_exit_codes_are_those_of_the_command_line():
    sentence = re.search(r"Exit codes: (.*?)\n\n", TEXT, re.S)
    assert sentence is not None
    codes = {int(code) for code in re.findall(r"(?:^|; )\s*(\d+) ", sentence[1])}
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
