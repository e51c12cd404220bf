"""Rows of a calibration table: settings and a measured quantity."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from reconstruct.calibration.quantities import NAMES, on_scale
from twin.column.column import Column
from twin.column.elements import Aperture, Deflector, Lens, Stigmator
from twin.column.settings import Key, Settings

BEAM = ("semi_angle", "current", "probe_size", "probe_defocus")
"""Quantities of the illumination, which lenses above the specimen make; the others are of the image."""


@dataclasses.dataclass(frozen=True)
class Row:
    """At ``settings`` the ``quantity`` was ``value`` +- ``std`` in inside units (0: not stated, to be estimated). ``label`` names it in messages."""

    label: str
    settings: Settings
    quantity: str
    value: float
    std: float = 0.0


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows prepared for a fit: ``excitations`` [n, m] of controls and ``energy`` [n] eV, which quantity ``kind`` [n], ``value`` and ``std`` [n] on its
    scale, ``keys``."""

    labels: tuple[str, ...]
    excitations: np.ndarray
    energy: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    std: np.ndarray
    keys: tuple[Key, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: np.ndarray) -> "Table":
        """The rows with indices ``chosen`` [k]."""
        return Table(
            tuple(self.labels[i] for i in chosen),
            self.excitations[chosen],
            self.energy[chosen],
            self.kind[chosen],
            self.value[chosen],
            self.std[chosen],
            tuple(self.keys[i] for i in chosen),
        )


def needed(column: Column, quantity: str) -> tuple[str, ...]:
    """The controls that a quantity depends on: lenses above the specimen for the beam, from the objective on for images, apertures for angles."""
    table = column.table
    beam = quantity in BEAM
    specimen = [element.name for element in table.element].index(table.of_specimen().name)
    names: dict[str, None] = {}
    for number, element in enumerate(table.element):
        if isinstance(element, Lens) and element.control:
            objective = element.name == table.of_specimen().objective
            if objective or (number < specimen) == beam:
                names[element.control] = None
        elif (
            isinstance(element, Aperture) and quantity in ("semi_angle", "current", "probe_size") and number < specimen
        ):
            names[element.control] = None
    return tuple(names)


def prepared(column: Column, rows: Sequence[Row]) -> Table:
    """Rows on their scales; ValueError naming the row and what it lacks, and for no rows at all."""
    if not rows:
        raise ValueError("the calibration table has no rows; give at least one setting with a measured quantity")
    excitations, kinds, values, stds = [], [], [], []
    deflections = {
        name
        for element in column.table.element
        if isinstance(element, Deflector | Stigmator)
        for name in element.controls
    }
    for row in rows:
        try:
            value, std = on_scale(row.quantity, row.value, row.std)
        except ValueError as error:
            raise ValueError(f"{row.label}: {error}") from None
        missing = [name for name in needed(column, row.quantity) if name not in row.settings.controls]
        if missing:
            raise ValueError(
                f"{row.label}: {row.quantity} depends on {', '.join(missing)}, which the row does not report; add it, or leave out the row"
            )
        vector = row.settings.vector(column.controls)
        for index, name in enumerate(column.controls):
            if math.isnan(vector[index]) and (name in deflections or name not in needed(column, row.quantity)):
                vector[index] = 0.0  # the quantity does not depend on it
        excitations.append(vector)
        kinds.append(NAMES.index(row.quantity))
        values.append(value)
        stds.append(std)
    return Table(
        tuple(row.label for row in rows),
        np.array(excitations),
        np.array([row.settings.high_tension for row in rows]),
        np.array(kinds),
        np.array(values),
        np.array(stds),
        tuple(row.settings.key for row in rows),
    )


def contradictions(table: Table, tolerance: float) -> list[tuple[int, int]]:
    """Pairs of rows with the same setting and different values: more than ``tolerance`` apart on their scale and beyond 5 of their own sigmas."""
    pairs = []
    for i in range(len(table)):
        for j in range(i + 1, len(table)):
            same = (
                table.kind[i] == table.kind[j]
                and table.energy[i] == table.energy[j]
                and table.keys[i] == table.keys[j]
                and np.array_equal(table.excitations[i], table.excitations[j])
            )
            difference = abs(table.value[i] - table.value[j])
            if same and difference > max(tolerance, 5 * math.hypot(table.std[i], table.std[j])):
                pairs.append((i, j))
    return pairs
