"""The README checked against the program: commands, options, presets, scenarios, extras, links and exit codes exist, and its Python runs."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import scenarios.cli as cli
from instrument.launch import parser as serve_parser
from instrument.simulated import presets
from scenarios.presets import load_scenario, load_simulation, simulation_names
from scenarios.tables import table_names
from tests.benchmarks.__main__ import names as benchmark_names

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)


def spans() -> list[str]:
    """Code within the text, where a line may end inside it."""
    return [
        " ".join(span.split())
        for span in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", TEXT, flags=re.M | re.S))
    ]


def scripts() -> list[tuple[str, dict[str, str]]]:
    """Each bash block without its here-documents, and those by the names of the files they make."""
    found = []
    for block in blocks("bash"):
        files = dict(re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", block, re.M | re.S))
        found.append((re.sub(r"^cat > .*?^END$", "", block, flags=re.M | re.S), files))
    return found


def commands(program: str) -> list[list[str]]:
    """The arguments of every call of a program, in bash blocks and in the text."""
    lines = [part.strip(" &") for script, _ in scripts() for part in re.split(r"\n|&&|\|", script)]
    words = [shlex.split(line, comments=True) for line in [*lines, *spans()] if program in line]
    starts = [
        (one, at)
        for one in words
        for at in range(len(one))
        if " ".join(one[at:]).removeprefix(".venv/bin/").startswith(f"{program} ")
    ]
    return [one[at + program.count(" ") + 1 :] for one, at in starts]


EMTWIN = commands("emtwin")
FILES = {name: content for _, files in scripts() for name, content in files.items()}


def parsed(arguments: list[str]) -> tuple[list[str], dict]:
    """The path of subcommands that ``arguments`` lead to, and their parameters; a usage error of Click where there are none such."""
    command, path = typer.main.get_command(cli.app), []
    while True:
        context = command.make_context(
            path[-1] if path else "emtwin", list(arguments), resilient_parsing="--help" in arguments
        )
        resolve = getattr(command, "resolve_command", None)
        if resolve is None:
            return path, {**context.params, "args": context.args}
        name, command, arguments = resolve(context, [*context._protected_args, *context.args])
        path.append(name)


def test_the_readme_shows_every_command():
    leaves, todo = set(), [((), typer.main.get_command(cli.app))]
    while todo:
        path, command = todo.pop()
        inner = getattr(command, "commands", {})
        todo += [((*path, name), one) for name, one in inner.items()]
        leaves |= set() if inner else {path}
    shown = {tuple(parsed(one)[0]) for one in EMTWIN if "KIND" not in one}
    kinds = {path[1] for path in leaves if path[0] == "measure"}
    assert {path for path in leaves if path[0] != "measure"} <= shown
    assert {path[1] for path in shown if path[0] == "measure"} <= kinds
    assert kinds <= set(spans())


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
    known = {"--json", "--short"}
    todo = [typer.main.get_command(cli.app)]
    while todo:
        command = todo.pop()
        todo += getattr(command, "commands", {}).values()
        known |= {option for parameter in command.params for option in parameter.opts}
    named = {word for span in spans() for word in span.split() if word.startswith("--")}
    assert named - {"--help"} <= known | {
        option for action in serve_parser()._actions for option in action.option_strings
    }
    assert named, "the README names no option"


def test_presets_and_tables_are_all_named():
    assert set(simulation_names()) <= set(spans())
    assert set(table_names()) <= set(spans())


def test_extras_benchmarks_and_their_parts_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {extra for group in re.findall(r"pip install [^\n]*\.\[([\w,]+)\]", TEXT) for extra in group.split(",")}
    assert named
    assert named <= set(extras)
    called = [one[0] for one in commands("python -m tests.benchmarks") if not one[0].startswith("-")]
    assert called
    assert set(called) <= set(benchmark_names())
    parts = re.search(r"_column_part` and\n((?:`\w+`(?:, | or )?)+)", TEXT)
    assert parts is not None
    for part in re.findall(r"`(\w+)`", parts[1]):
        assert importlib.util.find_spec(f"tests.benchmarks._column_{part}") is not None, part


def test_links_lead_to_files():
    places = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert places
    assert [place for place in places if not (ROOT / place).is_file()] == []


def test_exit_codes_are_those_of_the_command_line():
    said = re.search(r"Exit codes: (.*?)\n\n", TEXT, re.S)
    assert said is not None
    codes = {int(code) for code in re.findall(r"(?:^|; )\s*(\d+) ", said[1])}
    assert codes == {cli.DONE, cli.DISAGREES, cli.BAD_INPUT, cli.LOST, cli.FAULT, cli.INTERRUPTED}


@pytest.mark.parametrize("example", blocks("python"))
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
