"""The layout of the project: folders of a dozen files, modules and functions of readable size, and descriptive names."""

import ast
import builtins
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES, LINES, FUNCTION = 12, 400, 80
TABLES = {"twin/sample/potential/lobato.py", "twin/sample/potential/kirkland.py"}
"""Modules that are one published table each."""
MODULES = {
    "aligning", "alignment_film", "cells", "chapters", "digest", "exposing", "foresight", "haadf_before", "haadf_told", "inbox", "keeping", "ledger",
    "new_files", "pieces", "planning", "sandwich", "settling", "spans", "tails", "told", "twinning", "walk", "wander", "watch_told", "watch_wish",
    "watch_words",
}  # fmt: skip
IDENTIFIERS = {"_aside", "door", "Following", "found", "learnt", "one", "place", "put_away", "take_up", "Way"}
"""Retired names: they do not describe what they hold, and no search finds them."""


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.fixture(scope="module")
def modules() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: git knows which files are the project's")
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in tracked("*.py")}


@pytest.fixture(scope="module")
def nodes(modules: dict[str, str]) -> dict[str, list[ast.AST]]:
    return {name: list(ast.walk(ast.parse(text))) for name, text in modules.items()}


def test_a_folder_has_a_dozen_files(modules: dict[str, str]) -> None:
    count: dict[Path, int] = {}
    for name in modules:
        count[Path(name).parent] = count.get(Path(name).parent, 0) + 1
    assert {str(folder): number for folder, number in count.items() if number > FILES} == {}


def test_modules_and_functions_can_be_read_at_once(modules: dict[str, str], nodes: dict[str, list[ast.AST]]) -> None:
    long = {name: text.count("\n") for name, text in modules.items() if name not in TABLES}
    assert {name: lines for name, lines in long.items() if lines > LINES} == {}
    functions = {
        f"{name}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name, within in nodes.items()
        for node in within
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > FUNCTION} == {}


def test_every_name_is_bound(nodes: dict[str, list[ast.AST]]) -> None:
    """Within its module, in whatever scope: linters cannot look, since shapes in annotations look like names."""
    unbound = {}
    for name, within in nodes.items():
        if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in within):
            continue
        bound = {*dir(builtins), "__file__"}
        for node in within:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).partition(".")[0])
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                bound.add(node.name)
            elif isinstance(node, ast.MatchMapping) and node.rest:
                bound.add(node.rest)
        loaded = {node.id for node in within if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        if missing := loaded - bound:
            unbound[name] = sorted(missing)
    assert unbound == {}


def test_retired_names_stay_retired(modules: dict[str, str], nodes: dict[str, list[ast.AST]]) -> None:
    assert {name for name in modules if Path(name).stem in MODULES} == set()
    left = {}
    for name, within in nodes.items():
        named = {
            *(node.id for node in within if isinstance(node, ast.Name)),
            *(node.arg for node in within if isinstance(node, ast.arg | ast.keyword)),
            *(node.name for node in within if isinstance(node, ast.FunctionDef | ast.ClassDef)),
        }
        if here := named & IDENTIFIERS:
            left[name] = sorted(here)
    assert left == {}
