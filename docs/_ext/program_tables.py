"""Directives for tables of the program: ``fault-table``, the causes that `validate` weighs; ``crystal-table``, the crystals that are known by name.

```{fault-table}
```
```{crystal-table}
```
"""

from typing import Any

from command_options import code, table
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reconstruct.validation.judgement.faults import CAUSES
from twin.sample.standards import STANDARDS


class FaultTable(SphinxDirective):
    """Causes with their assumed rates and cures."""

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        rows = [
            [code(cause.name), nodes.Text(f"{100 * cause.rate:g} %"), nodes.Text(cause.cure)]
            for cause in CAUSES.values()
        ]
        return [table(("cause", "assumed rate, of files", "what to do"), (24, 16, 60), rows)]


class CrystalTable(SphinxDirective):
    """Crystals with their lattice parameters."""

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        rows = [
            [code(name), nodes.Text(about.prototype), nodes.Text(f"{about.a:.4f} Å"), nodes.Text(about.space_group)]
            for name, about in STANDARDS.items()
        ]
        return [table(("name", "structure", "a", "space group"), (16, 24, 20, 30), rows)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_directive("fault-table", FaultTable)
    app.add_directive("crystal-table", CrystalTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
