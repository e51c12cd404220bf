"""Draws of a column's constants for the instruments whose class is known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reconstruct.api.columns import load_column
from reconstruct.calibration.ensemble import agreeing_draws
from reconstruct.calibration.modes.classify import spread_weights
from reconstruct.calibration.rows import Row
from reconstruct.validation.session.entries import Entry
from reconstruct.validation.session.lenses import settings_of
from twin.column.column import Column
from twin.column.settings import Settings

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


def draws_of(name: str, draws: int = DRAWS) -> Ensemble:
    """Draws of the constants of a column table that agree with its references: half a minute."""
    column = Column(load_column(name))
    rows, spread = references(column)
    agreeing = agreeing_draws(column, rows, draws, np.random.default_rng(SEED))
    return Ensemble(column, agreeing, spread_weights(column, spread, agreeing))
