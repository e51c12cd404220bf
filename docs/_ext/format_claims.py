"""Directives about foreign files, taken from the readers: ``formats``, the formats and their extensions; ``format-claims``, what is claimed from one of them.

```{formats}
```
```{format-claims} velox
```
"""

import importlib
import re
from typing import Any

from command_options import code, table
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from instrument.readers.claims.rules import Rule
from instrument.readers.formats.table import FORMATS
from twin.channels import field

PACKAGE = "instrument.readers.claims.formats"


def readable(pattern: str) -> str:
    r"""A rule's pattern as a key that a person reads: alternatives in parentheses, what may be missing in brackets.

    >>> readable(r"ImageList\.TagGroup\d+\.(ImageTags|Info)\.(Sub\.)?Cs\(mm\)")
    'ImageList.TagGroupN.(ImageTags or Info).[Sub.]Cs(mm)'
    """
    text = (
        pattern.replace(r"\d+", "N")
        .replace("(.*/)?", ".../")
        .replace("[^/]*", "*")
        .replace(".*", "*")
        .replace("[12]", "(1|2)")
    )
    shown: list[str] = []
    opened: list[int] = []
    for part in re.findall(r"\\.|\)\?|.", text):
        if part == "(":
            opened.append(len(shown))
        if part == ")?":
            shown[opened.pop()] = "["
        elif part == ")":
            opened.pop()
        shown.append({")?": "]", "|": " or "}.get(part, part[1:] if len(part) == 2 else part))
    return "".join(shown)


def unit_of(rule: Rule) -> str:
    """The unit of a rule's number, in words where the file writes it."""
    if rule.unit is None:
        return "text"
    beside = "written beside it" if rule.beside is not None and field(rule.name).unit != "1" else ""
    return " or ".join(filter(None, (rule.unit, beside)))


class Formats(SphinxDirective):
    """All formats, as a table."""

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        rows = [[nodes.Text(form.name), code(" ".join(form.suffixes))] for form in FORMATS]
        return [table(("format", "extensions"), (50, 50), rows)]


class FormatClaims(SphinxDirective):
    """The fields that one format's rules find, and its times."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The tables' nodes."""
        module = importlib.import_module(f"{PACKAGE}.{self.arguments[0]}")
        rows = [
            [code(rule.name), code(readable(rule.pattern.pattern)), nodes.Text(unit_of(rule))] for rule in module.RULES
        ]
        times = [[code(name), nodes.Text(text)] for name, texts in module.TIMES.items() for text in texts]
        return [table(("field", "key", "unit there"), (25, 55, 20), rows), table(("time", "from"), (25, 75), times)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_directive("formats", Formats)
    app.add_directive("format-claims", FormatClaims)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
