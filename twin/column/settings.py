"""Settings of a column, converted from the names and units of each vendor. A control that was not reported is absent, not zero."""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from twin.channels.lenses import JEOL_LENSES, THERMO_LENSES, TIA_LENSES

JEOL_NEUTRAL = 0x8000
"""The 16-bit word at which a JEOL deflector or stigmator is off."""
JEOL_FULL = 0xFFFF
JEOL_OBJECTIVE = "lens.objective"
JEOL_FINE_PER_COARSE = 1.0 / 32.0
"""What a step of OLf is worth in steps of OLc; an assumption, differs between models."""


@dataclasses.dataclass(frozen=True)
class Key:
    """What a calibration holds for: high tension is in `Settings`; here mode, magnification range, spot and how lenses were normalised. "" is not reported."""

    mode: str = ""
    range: str = ""
    spot: str = ""
    normalisation: str = ""


@dataclasses.dataclass(frozen=True)
class Settings:
    """``high_tension`` in volts; ``controls`` by name: lens excitations as shares of full scale, apertures as diameters in angstrom, the rest in the
    units of the column's table; ``tableau_age`` in seconds since the corrector's last tableau, None if unknown."""

    high_tension: float
    controls: Mapping[str, float]
    tableau_age: float | None = None
    key: Key = Key()

    def __post_init__(self):
        if not (math.isfinite(self.high_tension) and 1e3 <= self.high_tension <= 1e7):
            raise ValueError(
                f"high_tension is {self.high_tension}; give volts between 1000 and 10000000, e.g. 200e3 for 200 kV"
            )
        if self.tableau_age is not None and not (math.isfinite(self.tableau_age) and self.tableau_age >= 0.0):
            raise ValueError(
                f"tableau_age is {self.tableau_age}; give seconds since the last tableau, 0 or more, or None if there was none"
            )
        for name, value in self.controls.items():
            if not math.isfinite(value):
                raise ValueError(f"the setting {name} is {value}; leave out what was not reported")
        object.__setattr__(self, "controls", MappingProxyType(dict(self.controls)))

    def vector(self, names: tuple[str, ...]) -> np.ndarray:
        """Values of ``names`` [n]; not a number where a control was not reported."""
        return np.array([self.controls.get(name, math.nan) for name in names])


def from_thermo(
    high_tension: float,
    intensities: Mapping[str, float],
    others: Mapping[str, float] | None = None,
    key: Key = Key(),
    tableau_age: float | None = None,
) -> Settings:
    """Settings from Thermo's normalised intensities (names as in its files, see THERMO_LENSES); ValueError for a name that is no lens or a value beyond 1.

    ``others`` are controls that are in our names and units already.
    """
    return _from(THERMO_LENSES, 1.0, "intensity", high_tension, intensities, others, key, tableau_age)


def from_percent(
    high_tension: float,
    percents: Mapping[str, float],
    others: Mapping[str, float] | None = None,
    key: Key = Key(),
    tableau_age: float | None = None,
) -> Settings:
    """Settings from lens currents in percent of full scale, by the names that TIA files use (TIA_LENSES)."""
    return _from(TIA_LENSES, 0.01, "percentage", high_tension, percents, others, key, tableau_age)


def _from(names, factor, word, high_tension, readings, others, key, tableau_age) -> Settings:
    controls = dict(others or {})
    for name, value in readings.items():
        if name not in names:
            raise ValueError(f"{name!r} is no lens {word} that is known; they are {', '.join(names)}")
        if not abs(value * factor) <= 1.0:
            raise ValueError(f"{name} is {value}; a lens {word} lies within {-1 / factor:g} and {1 / factor:g}")
        controls[names[name]] = value * factor
    return Settings(high_tension, controls, tableau_age, key)


def from_jeol(
    high_tension: float,
    words: Mapping[str, int],
    others: Mapping[str, float] | None = None,
    key: Key = Key(),
    tableau_age: float | None = None,
) -> Settings:
    """Settings from JEOL's 16-bit words: a lens from 0 (off) to 65535 (full); OLc and OLf together are the objective.

    Deflectors and stigmators (any other name) become -1 to 1 about the neutral 32768. ValueError for values outside 16 bits, and for half of the objective.
    """
    controls = dict(others or {})
    for name, word in words.items():
        if not 0 <= word <= JEOL_FULL or word != int(word):
            raise ValueError(f"{name} is {word}; a JEOL word is a whole number from 0 to {JEOL_FULL}")
        if name in JEOL_LENSES:
            controls[JEOL_LENSES[name]] = word / JEOL_FULL
        elif name not in ("OLc", "OLf"):
            controls[name] = (word - JEOL_NEUTRAL) / JEOL_NEUTRAL
    halves = [name for name in ("OLc", "OLf") if name in words]
    if len(halves) == 1:
        raise ValueError(f"of the objective's two words only {halves[0]} is there; give OLc and OLf")
    if halves:
        fine = (words["OLf"] - JEOL_NEUTRAL) * JEOL_FINE_PER_COARSE
        controls[JEOL_OBJECTIVE] = (words["OLc"] + fine) / JEOL_FULL
    return Settings(high_tension, controls, tableau_age, key)
