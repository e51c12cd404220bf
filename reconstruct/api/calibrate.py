"""`calibrate`: constants of a column from a table of settings and measurements, as ``emtwin instrument calibrate`` estimates them."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reconstruct.api.columns import load_column
from reconstruct.calibration.fit import Calibration, Prediction
from reconstruct.calibration.fit import calibrate as fit
from reconstruct.calibration.quantities import quantity
from reconstruct.calibration.rows import Row
from reconstruct.calibration.table import read_table, table_rows
from twin.column.column import Column
from twin.column.table import ColumnTable
from twin.errors import BadInput, from_twin
from twin.notebook import table
from twin.units import rounded, scale


@dataclasses.dataclass(frozen=True)
class CalibrationResult:
    """Constants of a column as ``rows`` of a table determine them; ``source`` is what the table is called.

    ``fit`` holds the estimate in full: `Calibration.predict` says what the column gives at other settings.
    """

    fit: Calibration
    rows: tuple[Row, ...]
    source: str

    @property
    def names(self) -> tuple[str, ...]:
        """The constants [n] that are free."""
        return tuple(constant.name for constant in self.fit.column.constants if constant.std > 0)

    @property
    def units(self) -> dict[str, str]:
        """Inside unit of each constant."""
        return {constant.name: constant.unit for constant in self.fit.column.constants if constant.std > 0}

    @property
    def values(self) -> dict[str, float]:
        """Estimate of each constant; those that the table does not determine stay near their prior."""
        return {name: float(self.fit.constants[i]) for name, i in self._indices().items()}

    @property
    def errors(self) -> dict[str, float]:
        """Standard deviation of each constant."""
        return {name: float(self.fit.std[i]) for name, i in self._indices().items()}

    @property
    def covariance(self) -> np.ndarray:
        """Covariance [n, n] of the constants, in the order of `names`."""
        free = list(self._indices().values())
        return self.fit.covariance[np.ix_(free, free)]

    @property
    def undetermined(self) -> tuple[str, ...]:
        """The constants that the table does not determine."""
        return self.fit.undetermined

    @property
    def outliers(self) -> dict[str, str]:
        """Rows that were left out, with the reason."""
        return self.fit.outliers

    def __getitem__(self, name: str) -> tuple[float, float]:
        """(value, standard deviation) of one constant; ValueError for a name that is none."""
        if name not in self.units:
            raise ValueError(
                f"{name!r} is no free constant of {self.fit.column.table.name}; it has {', '.join(self.names)}"
            )
        return self.values[name], self.errors[name]

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        """What the column gives at the settings of ``rows`` (their values are not used), with the model's error."""
        with jax.enable_x64(True):
            return self.fit.predict(rows)

    def _indices(self) -> dict[str, int]:
        return {constant.name: i for i, constant in enumerate(self.fit.column.constants) if constant.std > 0}

    def to_dict(self) -> dict[str, Any]:
        """Constants, their correlation, rows that do not fit, and the model's own errors, as plain values in inside units."""
        estimate, column = self.fit, self.fit.column
        free = list(self._indices().values())
        size = estimate.std[free]
        return {
            "table": self.source,
            "column": column.table.name,
            "rows": len(self.rows),
            "constants": [
                {
                    "name": constant.name, "unit": constant.unit, "value": float(estimate.constants[i]), "error": float(estimate.std[i]),
                    "prior": constant.mean, "prior_error": constant.std, "determined": constant.name not in estimate.undetermined,
                }
                for i, constant in enumerate(column.constants)
                if constant.std > 0
            ],
            "correlation": (self.covariance / np.outer(size, size)).tolist(),
            "undetermined": list(estimate.undetermined),
            "outliers": [{"row": label, "why": why} for label, why in estimate.outliers.items()],
            "residuals": [
                {"row": label, "quantity": row.quantity, "residual": float(away), "sigmas": float(sigmas)}
                for label, row, away, sigmas in zip(estimate.labels, self.rows, estimate.residuals, estimate.sigmas, strict=True)
            ],
            "lenses_err_by": {
                **dict(zip(("strength", "width", "place"), estimate.hyper.own_excitation.tolist(), strict=True)),
                "all": estimate.hyper.all_excitations,
                "length": estimate.hyper.length,
            },
            "noise": [{"quantity": name, "scale": quantity(name).scale, "noise": noise} for name, noise in estimate.noise.items()],
        }  # fmt: skip

    def __repr__(self) -> str:
        known = len(self.names) - len(self.undetermined)
        name, left_out = self.fit.column.table.name, len(self.outliers)
        return f"<calibration of {name}: {known} of {len(self.names)} constants from {len(self.rows)} rows, {left_out} left out>"

    def _repr_html_(self) -> str:
        """The constants that are determined, before and after, and the rows that were left out."""
        rows = []
        for constant in self.fit.column.constants:
            if constant.std <= 0 or constant.name in self.undetermined:
                continue
            value, error = self[constant.name]
            factor, unit = scale(max(abs(value), abs(constant.mean)), constant.unit)
            numbers = (
                *rounded(value * factor, error * factor),
                *rounded(constant.mean * factor, constant.std * factor),
            )
            rows.append((constant.name, *numbers, unit))
        notes = [f"not determined: {', '.join(self.undetermined)}"] if self.undetermined else []
        alerts = [f"left out: {label} {why}" for label, why in self.outliers.items()]
        title = f"{self.fit.column.table.name} from {len(self.rows)} rows"
        return table(title, ("constant", "value", "±", "was", "±", ""), rows, notes, alerts, "lrrrrl")


def calibrate(
    data: str | os.PathLike[str] | Sequence[Row] | Any,
    column: str | os.PathLike[str] | ColumnTable | Column = "generic-300",
    *,
    progress: Callable[[str, float], None] | None = None,
) -> CalibrationResult:
    """Estimate the constants of a ``column`` from a table of settings and measurements, and find the rows that do not fit.

    ``data``: the path of a CSV file, a pandas DataFrame with the same columns ("high_tension [kV]", "lens.objective", "camera_length [mm]", "camera_length
    error [mm]" ...; see the page of ``emtwin instrument calibrate``), or `reconstruct.calibration.rows.Row` objects in inside units. ``column``: one
    that comes with emtwin by its name, the path of a column's TOML file, or what was read of one. ``progress`` is told the step and the share that is done.
    The same computation and numbers as the command; float64 is switched on for the time it takes.

    `twin.errors.BadInput` (a ValueError) naming the table, the row and the cell, what is wrong and the cure.
    Method: Bennett, Inverse Methods in Physical Oceanography (Cambridge, 1992); see `reconstruct.calibration.fit`.

    >>> calibrate([])
    Traceback (most recent call last):
        ...
    twin.errors.BadInput: rows: the calibration table has no rows. Give at least one setting with a measured quantity.
    """
    with jax.enable_x64(True):
        instrument = (
            column
            if isinstance(column, Column)
            else Column(column if isinstance(column, ColumnTable) else load_column(column))
        )
        source, rows = _rows(data, instrument)
        try:
            return CalibrationResult(fit(instrument, rows, progress), tuple(rows), source)
        except ValueError as error:
            raise from_twin(source, error, "") from error


def _rows(data: Any, column: Column) -> tuple[str, list[Row]]:
    """What the table is called, and its rows."""
    if isinstance(data, (str, os.PathLike)):
        return str(data), read_table(Path(data), column)
    if hasattr(data, "to_csv"):
        return "table", table_rows("table", data.to_csv(index=False), column)
    if isinstance(data, Sequence) and all(isinstance(row, Row) for row in data):
        return "rows", list(data)
    cure = "Give the path of a CSV file, a DataFrame, or a list of reconstruct.calibration.rows.Row."
    raise BadInput("data", f"is a {type(data).__name__}, which is no calibration table", cure)
