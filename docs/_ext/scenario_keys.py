"""Directive ``scenario-keys``: every key of the scenarios that a command runs, with unit, default and meaning, taken from the program.

```{scenario-keys} simulate
```
"""

from typing import Any

from command_options import code, table
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from scenarios.acquire.scenario import tables as acquisition
from scenarios.keys.show import default_of
from scenarios.question.tables import tables as question
from twin.simulation.plan.keys import Key, Table
from twin.simulation.plan.spectrum_tables import listed as spectra
from twin.simulation.plan.tables import tables as simulation

HEADER = ("key", "unit", "default", "value", "meaning")
WIDTHS = (20, 12, 15, 18, 35)


def tables_for(command: str) -> tuple[Table, ...]:
    """The tables of a scenario for ``emtwin`` ``command``."""
    tables = {"simulate": simulation, "acquire": acquisition, "plan": question}
    if command not in tables:
        raise ValueError(f"emtwin {command} runs no scenario; name one of {', '.join(tables)}")
    return (*tables[command](), *(spectra() if command == "simulate" else ()))


def row_of(key: Key) -> list[nodes.Node]:
    """One key as cells."""
    must = key._replace(unit="").takes()
    return [
        code(key.name),
        nodes.Text(key.unit),
        nodes.Text(default_of(key)),
        nodes.Text(must),
        nodes.Text(key.meaning),
    ]


class ScenarioKeys(SphinxDirective):
    """A section for each table of a scenario."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The sections' nodes."""
        command, sections = self.arguments[0], []
        for keys_table in tables_for(command):
            title = f"[{keys_table.path}]" if keys_table.path else "At the top"
            needed = " Required." if keys_table.required and keys_table.path else ""
            where = f" with {keys_table.where}" if keys_table.where else ""
            section = nodes.section(
                ids=[nodes.make_id(f"keys {command} {keys_table.path} {keys_table.where}")], names=[]
            )
            section += nodes.title("", title + where)
            section += nodes.paragraph("", keys_table.meaning + needed)
            section += table(HEADER, WIDTHS, [row_of(key) for key in keys_table.keys])
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_directive("scenario-keys", ScenarioKeys)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
