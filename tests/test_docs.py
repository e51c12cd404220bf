"""The documentation checked against the program: pages are reachable, commands, options, names and keys exist, and examples run."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest

import scenarios.cli.main as cli
from instrument.core.interface import Instrument, InstrumentError
from instrument.remote.launch import parser as serve_parser
from reconstruct.api.columns import load_column
from reconstruct.api.models import table_names
from reconstruct.calibration.table import read_table as read_calibration
from reconstruct.stream.readings.health import VERDICTS
from scenarios.acquire.scenario import tables as acquisition_keys
from scenarios.presets import load_scenario, load_simulation, preset_names, simulation_names
from scenarios.question.reading import question_names, read_question
from scenarios.question.tables import tables as question_keys
from tests.commands_named import blocks, commands, files, leaves, options, parsed, spans
from twin.channels import lenses
from twin.channels.fields import FIELDS
from twin.column.column import Column
from twin.dynamics import inputs, moves
from twin.optics import aberrations
from twin.records import Scan
from twin.sensors import model, read_table, table
from twin.simulation.plan.tables import tables as simulation_keys

QUESTIONS = ("detect", "measure")
"""Kinds of scenario that are questions."""
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MADE = ("_build", "examples", "reference/api")
PAGES = {
    name: path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if not (name := path.relative_to(DOCS).as_posix()).startswith(MADE) or name == "reference/api.md"
}
CALLS = [(page, arguments) for page, text in PAGES.items() for arguments in commands(text, mentions=False)]


def test_every_page_is_in_a_table_of_contents():
    listed = {"index.md"}
    for page, text in PAGES.items():
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.M | re.S):
            names = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {os.path.normpath(f"{Path(page).parent}/{name}.md") for name in names}
    assert set(PAGES) - listed == set()
    assert {name for name in listed if not name.startswith(MADE) or name == "reference/api.md"} - set(PAGES) == set()


def test_every_job_page_begins_with_a_command_or_a_file():
    for page, text in PAGES.items():
        if page.startswith("jobs/") and page != "jobs/index.md":
            first = re.search(r"^```(\{?\w+\}?)", text, re.M)
            assert first is not None, page
            assert first[1] in ("bash", "text"), f"{page} begins with a block of {first[1]}"
            assert text[: first.start()].count("\n") < 8, f"{page}: its first command comes late"


@pytest.mark.parametrize(("page", "arguments"), CALLS, ids=[f"{page} {' '.join(words)}" for page, words in CALLS])
def test_a_command_has_what_a_page_gives_it(page, arguments):
    path, parameters = parsed(arguments)
    if path == ["instrument", "serve"]:
        serve_parser().parse_args(parameters["args"])
    if path == ["acquire"] and parameters["resume"] is None:
        name = parameters["scenario"] or "tune-and-map"
        assert name in files(PAGES[page]) or name in (*preset_names(), *question_names())
    if path == ["simulate"] and parameters["scenario"] is not None:
        assert parameters["scenario"] in files(PAGES[page]) or parameters["scenario"] in simulation_names()


def test_commands_mentioned_in_the_text_exist():
    for page, text in PAGES.items():
        for span in spans(text):
            words = [word for word in span.split() if not word.startswith("-")]
            if words[:1] == ["emtwin"] and len(words) > 1:
                prefixes = {path[:size] for path in leaves() for size in (1, 2)}
                assert any(tuple(words[1:size]) in prefixes for size in (2, 3)), f"{page}: {span}"
                if (words[1],) not in leaves() and len(words) > 2 and words[2] != "KIND":
                    assert tuple(words[1:3]) in prefixes, f"{page}: {span}"


def test_every_command_has_a_page_with_its_options():
    documented = [
        tuple(words.split())
        for text in PAGES.values()
        for words in re.findall(r"^```\{command-options\} (.*)$", text, re.M)
    ]
    assert sorted(documented) == sorted(leaves())
    called = {tuple(parsed(arguments)[0]) for _, arguments in CALLS}
    assert leaves() <= called


def benchmark_options() -> set[str]:
    """Options of ``python -m tests.benchmarks``."""
    source = (ROOT / "tests" / "benchmarks" / "__main__.py").read_text(encoding="utf-8")
    return set(re.findall(r'"(--[a-z-]+)"', source))


def test_options_named_in_the_text_exist():
    for page, text in PAGES.items():
        if not page.startswith("develop/changelog"):
            named = {word.partition("=")[0] for span in spans(text) for word in span.split() if word.startswith("--")}
            assert named - options() - {"--help"} - benchmark_options() == set(), page


def test_presets_tables_and_extras_are_all_named():
    assert set(simulation_names()) <= set(spans(PAGES["jobs/simulate.md"]))
    assert set(preset_names()) <= {
        span.rpartition(" ")[2] for page in ("acquire", "replay") for span in spans(PAGES[f"jobs/{page}.md"])
    } | {word for _, arguments in CALLS for word in arguments}
    assert set(table_names()) <= set(spans(PAGES["jobs/watch.md"]))
    assert set(question_names()) <= set(spans(PAGES["jobs/plan.md"]))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= set(spans(PAGES["install.md"]))


def test_verdicts_on_sensors_are_explained():
    assert [name for name, _ in table_of("jobs/watch.md", "## What a verdict means")] == list(VERDICTS)


def test_exit_codes_are_those_of_the_command_line():
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["jobs/output.md"], re.M)}
    assert codes == {cli.DONE, cli.DISAGREES, cli.BAD_INPUT, cli.LOST, cli.FAULT, cli.INTERRUPTED}


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, text in PAGES.items() for name in files(text)])
def test_a_scenario_of_a_page_is_accepted(page, name, tmp_path):
    path = tmp_path / name
    path.write_text(files(PAGES[page])[name], encoding="utf-8")
    kind = tomllib.loads(path.read_text(encoding="utf-8"))["kind"]
    if kind in QUESTIONS:
        assert read_question(str(path)).name == path.stem
    else:
        assert (load_simulation if kind == "simulate" else load_scenario)(path).name == path.stem


def test_names_of_modules_and_functions_in_the_text_exist():
    """Dotted names of the five packages, wherever they stand as code; a path of a file or folder exists too."""
    count = 0
    for page, text in PAGES.items():
        for span in spans(text):
            if re.fullmatch(r"(twin|reconstruct|learn|instrument|scenarios)(\.\w+)+", span):
                count += 1
                assert _exists(span), f"{page}: there is no {span}"
            elif re.fullmatch(r"(twin|reconstruct|learn|instrument|scenarios|docs|tests)/[\w/]*", span):
                assert (ROOT / span).exists(), f"{page}: there is no {span}"
    assert count > 3


def test_names_that_examples_import_exist():
    """Of every page and the README: ``from package import name``."""
    texts = {**PAGES, "README.md": (ROOT / "README.md").read_text(encoding="utf-8")}
    count = 0
    for page, text in texts.items():
        for example in blocks(text, "python"):
            for module, names in re.findall(r"^from ([\w.]+) import ([\w, ]+)$", example, re.M):
                if module.partition(".")[0] in ("twin", "reconstruct", "learn", "instrument", "scenarios"):
                    for name in names.split(", "):
                        count += 1
                        assert _exists(f"{module}.{name}"), f"{page}: from {module} import {name}"
    assert count > 15


def _exists(name: str) -> bool:
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:size]))
        except ModuleNotFoundError:
            continue
        for part in parts[size:]:
            value = getattr(value, part, None)
        return value is not None
    return False


# the heading on the page, and the struct whose keys stand under it
STRUCTS = {
    "At the top": None,
    "`[sources.NAME]`": model.Clock,
    "`[[constant]]`": table.Parameter,
    "`[[entry]]`": table.EntryRow,
    "`[[sensor]]`": table.SensorRow,
    "`[[input]]`": inputs.Input,
    "`[[jump]]`": table.JumpRow,
    "`[[reset]]`": model.Reset,
    "`[[quantity]]`": table.QuantityRow,
}


def test_every_key_of_a_sensor_table_is_documented_with_its_default():
    page = PAGES["reference/sensor-table.md"]
    sections = {
        title.partition(": ")[0]: body for title, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    }
    assert set(sections) == set(STRUCTS)
    tables = {field.name for field in msgspec.structs.fields(table.Table)}
    assert {re.sub(r"\W|NAME|\.", "", name.strip("`")) for name in sections} >= tables - {"schema", "name", "doc"}
    for title, struct in STRUCTS.items():
        rows = dict(re.findall(r"^\| `(\w+)` \| (?:[^|]*\| )??(required|none|[^|]*?) \|", sections[title], re.M))
        if struct is None:
            assert set(rows) == {"schema", "name", "doc"}
            continue
        fields = msgspec.structs.fields(struct)
        field_names = {field.name for field in fields}
        if struct is table.QuantityRow:
            field_names |= {field.name for field in msgspec.structs.fields(table.TermRow)}
        assert field_names <= set(rows), f"{title}: {field_names - set(rows)} not documented"
        for field in fields:
            line = re.search(rf"^\| `{field.name}` \|(.*)$", sections[title], re.M)
            assert line is not None
            assert field.required == ("| required |" in f"|{line[1]}"), f"{title} {field.name}"
            if isinstance(field.default, float):
                defaults = [float(cell) for cell in line[1].split("|") if re.fullmatch(r"\s*[\d.]+(e-?\d+)?\s*", cell)]
                assert defaults[:1] == [field.default], f"{title} {field.name}"
    named = {
        name.__struct_config__.tag for name in (moves.Walk, moves.Relax, moves.Follow, moves.Integrate, moves.Constant)
    }
    assert named <= set(spans(sections["`[[entry]]`"]))


def table_of(page: str, heading: str) -> list[list[str]]:
    """The rows, as cells without code marks, of the first table under a heading."""
    body = PAGES[page].partition(f"{heading}\n")[2]
    lines = re.search(r"^\|.*?(?=\n\n|\Z)", body, re.M | re.S)
    assert lines is not None, f"{page} has no table under {heading}"
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


def test_names_of_aberrations_are_those_of_the_twin():
    rows = table_of("reference/conventions.md", "### Aberrations")
    assert {ceos: (name, float(factor)) for name, _, ceos, factor in rows} == aberrations.CEOS


def test_names_of_lenses_are_those_that_files_are_read_by():
    rows = table_of("reference/conventions.md", "### Names of lenses")
    thermo, tia = ({row[column]: row[0] for row in rows if row[column]} for column in (1, 2))
    assert thermo.items() <= lenses.THERMO_LENSES.items()
    assert tia == lenses.TIA_LENSES
    jeol = {row[3]: row[0] for row in rows if row[3] in lenses.JEOL_LENSES}
    assert jeol.items() <= lenses.JEOL_LENSES.items()
    assert len(jeol) == 6


def test_the_example_of_a_sensor_table_is_read():
    (example,) = blocks(PAGES["reference/sensor-table.md"], "toml")
    sensor_model = read_table(example, "the page").model()
    assert [sensor.channel for sensor in sensor_model.evidence] == ["holder.thermometer"]


def test_the_example_of_a_calibration_table_is_read(tmp_path):
    (example,) = blocks(PAGES["jobs/calibrate.md"], "text")
    path = tmp_path / "table.csv"
    path.write_text(example, encoding="utf-8")
    rows = read_calibration(path, Column(load_column("generic-300")))
    lengths = [row.value for row in rows if row.quantity == "camera_length"]
    assert lengths == pytest.approx([185e7])


def test_the_example_of_an_instrument_is_one():
    (example,) = blocks(PAGES["develop/add-instrument.md"], "python")
    space: dict = {"__name__": "scope"}
    exec(compile(example, "add-instrument.md", "exec"), space)
    scope = space["make"]({}, 0, None, None)
    methods = [name for name in vars(Instrument) if not name.startswith("_")]
    assert methods
    assert all(callable(getattr(scope, name)) for name in methods)
    page = PAGES["develop/add-instrument.md"]
    assert all(f"| `{name}(" in page for name in methods)
    scope.apply({"C10": 50.0})
    with pytest.raises(InstrumentError, match="C10 cannot be 5000"):
        scope.apply({"C10": 5000.0})
    frame = scope.acquire(Scan(shape=(4, 6)))
    assert frame.data.shape == (4, 6)
    assert frame.settings == {"C10": 50.0}
    first, second = scope.readings(), scope.readings()
    assert [batches[0].first for batches in (first, second)] == [0, 1]
    assert first[0].times.dtype == np.int64


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> str:
    """The pages that are made from the program, as Sphinx renders them, in XML."""
    pytest.importorskip("sphinx", reason="needs the extra docs")
    pytest.importorskip("myst_parser", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("made")
    keys = "\n".join(f"## {kind}\n\n```{{scenario-keys}} {kind}\n```\n" for kind in ("simulate", "acquire", "plan"))
    listed = "\n".join(f"```{{command-options}} {' '.join(path)}\n```\n" for path in sorted(leaves()))
    fields = "# Fields\n\n```{field-table}\n```\n"
    (folder / "index.md").write_text(f"# Made\n\n{keys}\n\n# Options\n\n{listed}\n\n{fields}", encoding="utf-8")
    extensions = "extensions=myst_parser,command_options,field_table,scenario_keys"
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-C",
        "-b",
        "xml",
        "-D",
        extensions,
        str(folder),
        str(folder / "out"),
    ]
    path = os.pathsep.join([str(DOCS / "_ext"), str(ROOT)])
    process = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return (folder / "out" / "index.xml").read_text(encoding="utf-8")


def test_every_option_of_every_command_is_rendered(rendered):
    for option in options() - {"--help", "--version", "-h", "--parent"}:
        assert f">{option}</literal>" in rendered, option


def test_every_scenario_key_is_rendered(rendered):
    assert "[beam]" in rendered
    for key_table in (*simulation_keys(), *acquisition_keys(), *question_keys()):
        for key in key_table.keys:
            assert f">{key.name}</literal>" in rendered, key.path
            assert key.meaning, f"{key.path} has no meaning"
        if key_table.path:
            assert f"[{key_table.path}]" in rendered


def test_every_field_with_a_place_is_rendered(rendered):
    for item in FIELDS:
        if item.nxem and not item.name.startswith("lens."):
            assert f">{item.name}</literal>" in rendered
            assert f">{item.nxem}</literal>" in rendered
        if item.glossary:
            assert f'refuri="https://purls.helmholtz-metadaten.de/emg/{item.glossary}"' in rendered
    assert ">instrument/ebeam_column/lens_NAME/power_setting</literal>" in rendered


def test_every_public_module_is_in_the_api(monkeypatch):
    pytest.importorskip("sphinx", reason="needs the extra docs")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    modules_of = importlib.import_module("api_pages").modules_of
    (named,) = re.findall(r"^```\{toctree\}\n(.*?)^```$", PAGES["reference/api.md"], re.M | re.S)
    pending, documented = [line.removeprefix("api/") for line in named.splitlines() if not line.startswith(":")], set()
    assert pending == ["twin", "reconstruct", "learn", "instrument"]
    files = {path.relative_to(ROOT).with_suffix("") for name in pending for path in (ROOT / name).rglob("*.py")}
    while pending:
        modules, inner = modules_of(importlib.import_module(pending.pop()))
        documented |= set(modules)
        pending += inner
    assert documented == {".".join(path.parts) for path in files if not path.name.startswith("_")}
