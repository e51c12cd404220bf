"""Directives for tables of the program: ``fault-table``, the causes that `validate` weighs; ``crystal-table``, the crystals that are known by name;
``threshold-table`` and ``critical-dose-table``, damage by the beam.

```{fault-table}
```
```{crystal-table}
```
```{threshold-table}
```
```{critical-dose-table}
```
"""

from typing import Any

from command_options import code, table
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reconstruct.validation.judgement.faults import CAUSES
from twin.damage import critical_doses, thresholds
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


class ThresholdTable(SphinxDirective):
    """Displacement thresholds with their sources."""

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        rows = []
        for entry in sorted(thresholds(), key=lambda entry: (entry.of != entry.element, entry.of, entry.element)):
            error = "" if entry.error is None else f" ± {entry.error:g}"
            words = (
                entry.of,
                entry.element,
                f"{entry.energy:g}{error} eV",
                f"{entry.kind}, {entry.where}",
                entry.source,
            )
            rows.append([nodes.Text(word) for word in words])
        return [table(("material", "element", "threshold", "kind", "source"), (16, 10, 14, 18, 42), rows)]


class CriticalDoseTable(SphinxDirective):
    """Critical doses with their criteria and sources."""

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        rows = []
        for entry in critical_doses():
            energy = "not stated" if entry.energy is None else f"{entry.energy / 1e3:g} keV"
            kelvin = "not stated" if entry.temperature is None else f"{entry.temperature:g} K"
            dose = f"{entry.bound} {entry.dose:.3g}".strip()
            words = (entry.material, entry.material_class, dose, f"{energy}, {kelvin}", entry.criterion, entry.source)
            rows.append([nodes.Text(word) for word in words])
        header = ("material", "class", "electrons / Å²", "at", "until", "source")
        return [table(header, (15, 13, 10, 14, 18, 30), rows)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.add_directive("fault-table", FaultTable)
    app.add_directive("crystal-table", CrystalTable)
    app.add_directive("threshold-table", ThresholdTable)
    app.add_directive("critical-dose-table", CriticalDoseTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
