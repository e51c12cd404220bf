"""Draws of a column's constants for the instruments whose class is known, computed once and kept in the cache folder."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from instrument.core.result_cache import load_or_compute
from reconstruct.api.columns import load_column
from reconstruct.calibration.ensemble import agreeing_draws
from reconstruct.calibration.modes.classify import spread_weights
from reconstruct.calibration.rows import Row
from reconstruct.validation.session.entries import Entry
from reconstruct.validation.session.lenses import settings_of
from scenarios.io.progress import Progress
from twin.cache_folder import usable_cache
from twin.column.column import Column
from twin.column.settings import Settings

VERSION = 1
"""Raised by whoever changes the numbers of `references` or of the draws."""
DRAWS, SEED = 320, 1
CLASSES = {"titan": "titan", "themis": "titan", "spectra": "titan", "krios": "titan"}
"""Tables of columns by words in an instrument's model or class."""


class Ensemble(NamedTuple):
    """A ``column`` with ``draws`` [k, n] of its constants, and their ``weights`` [k]."""

    column: Column
    draws: np.ndarray
    weights: np.ndarray


def column_of(words: str, entries: Sequence[Entry]) -> str | None:
    """The table of columns for an instrument whose class, model or name is ``words``; None where there is none, or no file states enough lenses."""
    if not any(settings_of(entry) is not None for entry in entries):
        return None
    return next((table for word, table in CLASSES.items() if word in words.lower()), None)


def references(column: Column) -> tuple[list[Row], list[Settings]]:
    """The table's references as rows, in focus of their modes, and the settings among them whose beam was spread."""
    rows: list[Row] = []
    for reference in column.table.reference:
        settings = Settings(reference.high_tension, reference.told)
        rows += [Row(f"{reference.name}: {name}", settings, name, *value) for name, value in reference.measured.items()]
        if reference.illumination == "probe":
            rows.append(Row(f"{reference.name}: probe", settings, "probe_defocus", 0.0))
        focus = "defocus" if reference.projection == "imaging" else "pattern_defocus"
        rows.append(Row(f"{reference.name}: focus", settings, focus, 0.0))
    spread = [
        Settings(reference.high_tension, reference.told)
        for reference in column.table.reference
        if reference.illumination == "parallel"
    ]
    return rows, spread


def ensemble(name: str, progress: Progress, draws: int = DRAWS) -> Ensemble:
    """The draws for a column table, from the cache or computed (half a minute)."""
    column = Column(load_column(name))
    rows, spread = references(column)

    def compute() -> dict[str, np.ndarray]:
        progress.stage(f"columns of class {name} that agree with public references (once, half a minute)")
        agreeing = agreeing_draws(column, rows, draws, np.random.default_rng(SEED))
        return {"draws": agreeing, "weights": spread_weights(column, spread, agreeing)}

    inputs = {
        "column": name,
        "draws": draws,
        "seed": SEED,
        "rows": [[row.label, row.quantity, row.value] for row in rows],
    }
    arrays = load_or_compute(usable_cache(), "column-draws", VERSION, inputs, compute, progress.stage)
    return Ensemble(column, arrays["draws"], arrays["weights"])
