"""Directive ``field-table``: every field of the vocabulary that a format has a place for, taken from `twin.channels.FIELDS`.

```{field-table}
```
"""

from typing import Any

from command_options import code, table
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from instrument.export.writers.hyperspy import PLACES
from instrument.export.writers.provenance import GLOSSARY
from twin.channels import FIELDS, Field

HEADER = ("field", "meaning", "NXem, below an event", "HyperSpy, below Acquisition_instrument.TEM", "EM Glossary")
WIDTHS = (16, 26, 30, 16, 12)


def placed() -> list[Field]:
    """Fields with a place in NXem or HyperSpy, or a term of the glossary; lenses as one."""
    known = [item for item in FIELDS if item.nxem or item.glossary or item.name in PLACES]
    lenses = [item for item in known if item.name.startswith("lens.")]
    return [item for item in known if item not in lenses[1:]]


def row_of(item: Field) -> list[nodes.Node]:
    """One field as cells."""
    lens = item.name.startswith("lens.")
    name = "lens.NAME" if lens else item.name
    path = item.nxem.replace(item.name.replace(".", "_"), "lens_NAME") if lens else item.nxem
    where = PLACES[item.name][0].removeprefix("Acquisition_instrument.TEM.") if item.name in PLACES else ""
    term = nodes.reference("", item.glossary, refuri=GLOSSARY + item.glossary) if item.glossary else nodes.Text("")
    return [code(name), nodes.Text(item.doc), code(path), code(where), term]


class FieldTable(SphinxDirective):
    """The fields as a table."""

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        return [table(HEADER, WIDTHS, [row_of(item) for item in placed()])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_directive("field-table", FieldTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
