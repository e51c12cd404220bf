"""API pages made by walking the packages: one page for each folder of modules, with every module in it.

No module is named by hand, so a module that is added or moved is documented where it stands. Docstrings are plain text with two marks, ``code`` and
`reference`; whatever else reStructuredText would read as markup is escaped.
"""

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

SHORT = 80
"""Characters of a value that is shown."""
_CODE = re.compile(r"(``.+?``|`[^`]+`)", re.S)
_MARKS = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


def plain_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape in a docstring what is markup in reStructuredText and plain text here; code, doctests and literal blocks stay as they are."""
    paragraphs, literal = re.split(r"(\n\s*\n)", "\n".join(lines)), False
    for number, paragraph in enumerate(paragraphs[::2]):
        if not (paragraph.startswith(">>>") or (literal and paragraph.startswith(" "))):
            literal = paragraph.endswith("::")
            parts = _CODE.split(paragraph)
            parts[::2] = [_MARKS.sub(r"\\\1", part) for part in parts[::2]]
            paragraphs[2 * number] = "".join(parts)
    lines[:] = "".join(paragraphs).split("\n")


def modules_of(package: ModuleType) -> tuple[list[str], list[str]]:
    """Names of the public modules directly in ``package``, and of its subpackages, in alphabetical order."""
    infos = sorted(pkgutil.iter_modules(package.__path__, f"{package.__name__}."), key=lambda info: info.name)
    public = [info for info in infos if not info.name.rpartition(".")[2].startswith("_")]
    return [info.name for info in public if not info.ispkg], [info.name for info in public if info.ispkg]


def plain_data(module: str) -> list[tuple[str, str]]:
    """Public names that a module assigns without a docstring, which autodoc leaves out, with their values where these are short."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    data = []
    for statement, following in itertools.pairwise([*body, ast.Pass()]):
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        described = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
        names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        value = ast.unparse(statement.value)
        if not described:
            short = value if len(names) == 1 and len(value) <= SHORT else ""
            data += [(name, short) for name in names if not name.startswith("_")]
    return data


def link(name: str, thing: Any) -> str:
    """A name of a package's face, linked to where the object itself is documented."""
    home, own = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    return f"`{name} <{home}.{own}>`" if isinstance(home, str) and isinstance(own, str) else f"``{name}``"


def page(package: ModuleType, modules: list[str], inner: list[str]) -> str:
    """The page of one package in reStructuredText."""
    title = f"``{package.__name__}``"
    parts = [f"{title}\n{'=' * len(title)}\n", f".. automodule:: {package.__name__}\n   :no-members:\n"]
    names = sorted(
        name for name in getattr(package, "__all__", []) if not isinstance(getattr(package, name), ModuleType)
    )
    if names:
        listed = ", ".join(link(name, getattr(package, name)) for name in names)
        parts.append(f"``from {package.__name__} import`` {listed}\n")
    if inner:
        parts.append(".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {name}\n" for name in inner))
    for name in modules:
        heading = f"``{name}``"
        parts.append(f"{heading}\n{'-' * len(heading)}\n\n.. automodule:: {name}\n")
        for data, value in plain_data(name):
            shown = f"   :value: {value}\n" if value else ""
            parts.append(f".. py:data:: {data}\n   :module: {name}\n{shown}")
    return "\n".join(parts)


def write_pages(app: Sphinx) -> None:
    """Write the pages of all packages into ``reference/api``; a page that has not changed keeps its time, one that is not wanted goes."""
    folder, wanted = Path(app.srcdir) / "reference" / "api", {}
    todo = list(app.config.api_packages)
    while todo:
        package = importlib.import_module(todo.pop())
        modules, inner = modules_of(package)
        wanted[folder / f"{package.__name__}.rst"] = page(package, modules, inner)
        todo += inner
    folder.mkdir(exist_ok=True)
    for path in set(folder.glob("*.rst")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which have no text but "Alias for field number"."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_config_value("api_packages", [], "env")
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", plain_text)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
