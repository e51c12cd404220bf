"""Import rules: layers are imported in one direction, the instrument server does not load JAX, and dependencies are those that are imported."""

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest

from tests.test_house import ROOT, tracked

PACKAGES = ("twin", "instrument", "reconstruct", "learn", "scenarios")
OWN = {*PACKAGES, "tests", "conftest"}
LOADED_BY_OTHERS = {"sparse"}
"""Dependencies that a library of ours loads by itself: RosettaSciIO for spectra of Velox files."""
TOOLS = {"pytest-xdist", "ruff", "pyright", "import-linter", "build", "pydata-sphinx-theme", "myst-parser", "sphinx-gallery", "sphinx-design"}  # fmt: skip
"""Distributions of the extras that are run, or named in a configuration, and not imported."""
USERS = {"hyperspy"}
"""Modules that a function imports where the user has them, and whose absence it reports."""
ELSEWHERE = {"exspy", "rdflib", "rocrate_validator"}
"""Modules of scripts that `tests.checkers` and benchmarks run in environments of their own."""
WITH = {"docutils": "sphinx"}
"""Modules that are part of another distribution's interface."""

# Run in a process of its own, since this one has JAX already; prints which forbidden modules got loaded.
_PROBE = """
import sys
{body}
print("loaded:", sorted(set(sys.modules) & {{"jax", "jaxlib", "equinox", "jaxtyping"}}))
"""


def _loaded_by(body: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", _PROBE.format(body=body)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip().splitlines()[-1]


@pytest.mark.smoke
def test_probe_sees_jax():
    assert "'jax'" in _loaded_by("import jax")


@pytest.mark.parametrize(
    "module",
    [
        "twin", "twin.channels", "twin.records", "instrument", "instrument.remote.server", "instrument.remote.client", "instrument.remote.launch",
        "instrument.core.journal", "instrument.simulation.instrument", "instrument.replay", "scenarios.cli.main",
    ],
)  # fmt: skip
def test_module_loads_no_jax(module: str):
    assert _loaded_by(f"import {module}") == "loaded: []"


@pytest.mark.parametrize("kind", ["simulated", "replay"])
def test_serve_command_loads_no_jax(kind: str):
    body = f"""
from scenarios.cli.main import run
import contextlib, io
try:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        run(["instrument", "serve", "{kind}", "--help"])
except SystemExit as end:
    assert end.code in (0, None), end.code
assert "--port" in output.getvalue(), output.getvalue()
"""
    assert _loaded_by(body) == "loaded: []"


def test_layers_hold():
    """import-linter's contracts, as CI checks them; each contract is one that the code could break."""
    process = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in process.stdout


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    """Names of the distributions in ``dependencies`` (key "") and in each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {re.split(r"[\[<>=!~; ]", line)[0].lower() for line in lines} for extra, lines in lists.items()}


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Third-party modules that are imported, also by a name in quotes (``import_module("rsciio.emd")``), below each top folder or file."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: git knows which files are the project's")
    result: dict[str, set[str]] = {}
    for path in tracked("*.py", "*.pyi"):
        top = path.relative_to(ROOT).parts[0]
        # Sphinx's extensions stand in a folder of the search path and import each other by name
        siblings = {sibling.stem for sibling in path.parent.glob("*.py")} if top == "docs" else set()
        names = _imports(ast.parse(path.read_text(encoding="utf-8")))
        modules = {name.split(".")[0] for name in names} - OWN - sys.stdlib_module_names - siblings
        result.setdefault(top, set()).update(modules)
    return result


def _imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
        elif isinstance(node, ast.Constant) and re.fullmatch(r"rsciio\.\w+", str(node.value)):
            names.add(str(node.value))
    return names


_installed = functools.cache(importlib.metadata.packages_distributions)
"""Distributions by the module that they install; reading them takes a quarter of a second."""


def _distributions(module: str) -> set[str]:
    """The distributions that install a module, as pyproject.toml spells them; the module's own name where none is installed."""
    names = [WITH[module]] if module in WITH else _installed().get(module, [module])
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def test_every_import_is_declared(declared: dict[str, set[str]], imported: dict[str, set[str]]) -> None:
    everything = set().union(*declared.values())
    allowed = dict.fromkeys(PACKAGES, declared[""]) | {
        "instrument": declared[""] | declared["export"],
        "docs": declared[""] | declared["docs"],
        "tests": everything - declared["docs"],
        "conftest.py": declared[""] | declared["test"],
    }
    missing = {
        top: {name for name in modules - USERS - ELSEWHERE if not _distributions(name) & allowed[top]}
        for top, modules in imported.items()
    }
    assert {top: sorted(names) for top, names in missing.items() if names} == {}


def test_every_dependency_is_imported(declared: dict[str, set[str]], imported: dict[str, set[str]]) -> None:
    def used(*tops: str) -> set[str]:
        return {name for top in tops for module in imported[top] for name in _distributions(module)}

    assert declared[""] - used(*PACKAGES) - LOADED_BY_OTHERS == set(), (
        "dependencies that no package imports: drop them, or move them to an extra"
    )
    extras = set().union(*(names for extra, names in declared.items() if extra))
    assert extras - used("instrument", "tests", "conftest.py", "docs") - TOOLS == set(), (
        "dependencies of an extra that nothing uses"
    )
