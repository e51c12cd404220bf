"""Draws of a column's constants, computed once and kept in the cache folder."""

import numpy as np

from instrument.core.result_cache import load_or_compute
from reconstruct.api.columns import load_column
from reconstruct.validation.session.columns import DRAWS, SEED, Ensemble, draws_of, references
from scenarios.io.progress import Progress
from twin.cache_folder import usable_cache
from twin.column.column import Column

VERSION = 1
"""Raised by whoever changes the numbers of `references` or of the draws."""


def ensemble(name: str, progress: Progress, draws: int = DRAWS) -> Ensemble:
    """The draws for a column table, from the cache or computed (half a minute)."""
    column = Column(load_column(name))
    rows, _ = references(column)

    def compute() -> dict[str, np.ndarray]:
        progress.stage(f"columns of class {name} that agree with public references (once, half a minute)")
        made = draws_of(name, draws)
        return {"draws": made.draws, "weights": made.weights}

    inputs = {
        "column": name,
        "draws": draws,
        "seed": SEED,
        "rows": [[row.label, row.quantity, row.value] for row in rows],
    }
    arrays = load_or_compute(usable_cache(), "column-draws", VERSION, inputs, compute, progress.stage)
    return Ensemble(column, arrays["draws"], arrays["weights"])
