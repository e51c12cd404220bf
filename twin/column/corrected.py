"""Estimates of a column's aberrations: from the settings and from the set values of a corrector, with their variances.

A corrector's coefficients are the set values of its last tableau. They are known within the tableau's errors; afterwards each coefficient follows a
random walk: its variance is after^2 + walk^2 age, linear in the age of the tableau. Without a tableau the coefficients that a corrector controls are
unknown (NaN).
"""

import math
from typing import NamedTuple

import numpy as np

from twin.column.elements import Corrector
from twin.column.settings import Settings
from twin.column.table import ColumnTable
from twin.optics.aberrations import NAMES, index

SIDES = ("probe", "image")
ANGSTROM_PER_NM = 10.0


class Aberrations(NamedTuple):
    """``mean`` [25] and ``variance`` [25] (angstrom, angstrom^2) in the order of `twin.optics.aberrations.NAMES`, independent of each other; what is
    ``unknown`` has not a number for a mean and an infinite variance. Errors of the column's constants are not in it."""

    mean: np.ndarray
    variance: np.ndarray
    unknown: tuple[str, ...] = ()

    @property
    def std(self) -> np.ndarray:
        """[25] in angstrom."""
        return np.sqrt(self.variance)

    def value(self, name: str) -> tuple[float, float]:
        """(mean, standard deviation) of one coefficient in angstrom; ValueError for a name that is none."""
        position = index(name)
        return float(self.mean[position]), math.sqrt(float(self.variance[position]))


def corrector_of(table: ColumnTable, side: str) -> Corrector | None:
    """The corrector of one half of the objective, or None; ValueError for a side that is none."""
    if side not in SIDES:
        raise ValueError(f"the side is {side!r}; give {' or '.join(SIDES)}")
    return next((corrector for corrector in table.of(Corrector) if corrector.side == side), None)


def left(corrector: Corrector, settings: Settings) -> Aberrations:
    """Residual aberrations of a corrector at ``settings``: its set values, with variances by the age of its tableau; 0 and exact for others."""
    mean, variance = np.zeros(len(NAMES)), np.zeros(len(NAMES))
    age = settings.tableau_age
    for name in governed(corrector):
        position = index(name)
        control = corrector.controls.get(name)
        # set to 0, unless a control gives another value
        mean[position] = 0.0 if control is None else settings.controls.get(control, math.nan)
        tableau_std, walk = (
            ANGSTROM_PER_NM * _of(drifts, name) for drifts in (corrector.after_tableau_nm, corrector.walk_nm)
        )
        variance[position] = math.inf if age is None else tableau_std**2 + walk**2 * age
    return _known(mean, variance)


def governed(corrector: Corrector) -> tuple[str, ...]:
    """The coefficients that a corrector controls."""
    names = {*corrector.after_tableau_nm, *corrector.walk_nm, *corrector.controls}
    return tuple(name for name in NAMES if name in names or name[:3] in names)


def together(lenses: dict[str, float], corrector: Corrector | None, settings: Settings) -> Aberrations:
    """Aberrations of one side: C10 and C12 of the ``lenses`` and stigmators plus the corrector's residual, C30 of the lenses unless it controls it."""
    if corrector is None:
        mean, variance = np.zeros(len(NAMES)), np.zeros(len(NAMES))
    else:
        mean, variance, _ = left(corrector, settings)
        mean, variance = mean.copy(), variance.copy()
    for name, value in lenses.items():
        if not (name == "C30" and corrector is not None and "C30" in governed(corrector)):
            mean[index(name)] += value
    return _known(mean, variance)


def set_values(corrector: Corrector | None, settings: Settings) -> dict[str, float]:
    """Set values of a corrector by control; NaN where there was no tableau."""
    if corrector is None or settings.tableau_age is not None:
        return {}
    return dict.fromkeys(corrector.controls.values(), math.nan)


def _known(mean: np.ndarray, variance: np.ndarray) -> Aberrations:
    is_unknown = ~(np.isfinite(mean) & np.isfinite(variance))
    unknown = tuple(name for name, missing in zip(NAMES, is_unknown, strict=True) if missing)
    return Aberrations(np.where(is_unknown, np.nan, mean), np.where(is_unknown, np.inf, variance), unknown)


def _of(values: dict[str, float], name: str) -> float:
    """What is given of a coefficient, by its name or that of both its parts."""
    return values.get(name, values.get(name[:3], 0.0))
