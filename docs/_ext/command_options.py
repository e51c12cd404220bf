"""Directive ``command-options``: the arguments and options of a command of ``emtwin``, taken from the program.

```{command-options} measure thon
```
"""

import argparse
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from instrument.remote.launch import parser as serve_parser
from scenarios.cli.main import app as emtwin

Row = tuple[str, str]
"""Name, meaning."""


def table(header: tuple[str, ...], widths: tuple[int, ...], rows: list[list[nodes.Node]]) -> nodes.table:
    """A table of docutils nodes, one list of cells a row."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in header)))
    group += nodes.tbody(
        "", *(nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in row)) for row in rows)
    )
    return nodes.table("", group)


def code(text: str) -> nodes.Node:
    """``text`` as code; nothing where it is empty."""
    return nodes.literal("", text) if text else nodes.Text("")


def options_of(path: str) -> list[Row]:
    """Arguments, then options, of the command at ``path`` ("measure thon"); ValueError if there is no such command."""
    if path == "instrument serve":
        shown = [
            action for action in serve_parser()._actions if action.dest != "help" and action.help != argparse.SUPPRESS
        ]
        return [(", ".join(action.option_strings) or action.dest.upper(), action.help or "") for action in shown]
    command = typer.main.get_command(emtwin)
    for name in path.split():
        inner = getattr(command, "commands", {})
        if name not in inner:
            raise ValueError(f"emtwin has no command {path!r}; at {name!r} it has {', '.join(inner) or 'no more'}")
        command = inner[name]
    rows: list[Row] = []
    for parameter in command.params:
        name = parameter.opts[0] if parameter.param_type_name == "option" else str(parameter.name).upper()
        meaning = getattr(parameter, "help", None) or ""
        if (
            getattr(parameter, "show_default", False)
            and parameter.default is not None
            and parameter.default is not False
        ):
            default = f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)
            meaning = f"{meaning} Default: {default}."
        rows.append((name, meaning))
    return sorted(rows, key=lambda row: row[0].startswith("-"))


class CommandOptions(SphinxDirective):
    """The options of one command as a table."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        rows = [[code(name), nodes.Text(meaning)] for name, meaning in options_of(self.arguments[0])]
        return [table(("option", "meaning"), (25, 75), rows)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_directive("command-options", CommandOptions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
