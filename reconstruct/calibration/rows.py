"""Rows of a calibration table: settings, and what was measured there."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from reconstruct.calibration.quantities import NAMES, on_scale
from twin.column.column import Column
from twin.column.elements import Aperture, Deflector, Lens, Stigmator
from twin.column.settings import Key, Settings


@dataclasses.dataclass(frozen=True)
class Row:
    """At ``settings`` the ``quantity`` was ``value`` +- ``std`` in inside units (0: not stated, to be learnt). ``label`` names it to the user."""

    label: str
    settings: Settings
    quantity: str
    value: float
    std: float = 0.0


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows ready for a fit: ``told`` [n, m] controls and ``energy`` [n] eV, which quantity ``kind`` [n], ``value`` and ``std`` [n] on its scale, ``keys``."""

    labels: tuple[str, ...]
    told: np.ndarray
    energy: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    std: np.ndarray
    keys: tuple[Key, ...]

    def __len__(self) -> int:
        return len(self.labels)


def needed(column: Column, quantity: str) -> tuple[str, ...]:
    """The controls that a quantity hangs on: lenses above the specimen for the beam, from the objective on for images, apertures for angles."""
    table = column.table
    beam = quantity in ("semi_angle", "current", "probe_size", "probe_defocus")
    specimen = [one.name for one in table.element].index(table.of_specimen().name)
    names: dict[str, None] = {}
    for number, one in enumerate(table.element):
        if isinstance(one, Lens) and one.control:
            objective = one.name == table.of_specimen().objective
            if objective or (number < specimen) == beam:
                names[one.control] = None
        elif isinstance(one, Aperture) and quantity in ("semi_angle", "current", "probe_size") and number < specimen:
            names[one.control] = None
    return tuple(names)


def prepared(column: Column, rows: Sequence[Row]) -> Table:
    """Rows on their scales; ValueError naming the row and what it lacks, and for no rows at all."""
    if not rows:
        raise ValueError("the calibration table has no rows; give at least one setting with what was measured there")
    told, kinds, values, stds = [], [], [], []
    indifferent = {
        name for one in column.table.element if isinstance(one, Deflector | Stigmator) for name in one.controls
    }
    for row in rows:
        try:
            value, std = on_scale(row.quantity, row.value, row.std)
        except ValueError as error:
            raise ValueError(f"{row.label}: {error}") from None
        missing = [name for name in needed(column, row.quantity) if name not in row.settings.controls]
        if missing:
            raise ValueError(
                f"{row.label}: {row.quantity} hangs on {', '.join(missing)}, which the row does not report; add it, or leave out the row"
            )
        vector = row.settings.vector(column.controls)
        for place, name in enumerate(column.controls):
            if math.isnan(vector[place]) and (name in indifferent or name not in needed(column, row.quantity)):
                vector[place] = 0.0  # what the quantity does not hang on
        told.append(vector)
        kinds.append(NAMES.index(row.quantity))
        values.append(value)
        stds.append(std)
    return Table(
        tuple(row.label for row in rows),
        np.array(told),
        np.array([row.settings.high_tension for row in rows]),
        np.array(kinds),
        np.array(values),
        np.array(stds),
        tuple(row.settings.key for row in rows),
    )


def contradictions(table: Table, tolerance: float) -> list[tuple[int, int]]:
    """Pairs of rows that say of one setting what cannot both be true: more than ``tolerance`` apart on their scale and beyond 5 of their own sigmas."""
    found = []
    for i in range(len(table)):
        for j in range(i + 1, len(table)):
            same = (
                table.kind[i] == table.kind[j]
                and table.energy[i] == table.energy[j]
                and table.keys[i] == table.keys[j]
                and np.array_equal(table.told[i], table.told[j])
            )
            apart = abs(table.value[i] - table.value[j])
            if same and apart > max(tolerance, 5 * math.hypot(table.std[i], table.std[j])):
                found.append((i, j))
    return found
