"""Damage of the specimen by the beam: displacement of atoms by collisions (knock-on), and critical doses of
ionisation (radiolysis).

Pure functions in NumPy, float64; thresholds and doses stand in tables that ship, each value with its source.
"""

from twin.damage.cross_section import BARN, displacement_cross_section
from twin.damage.displacement import Displacement, knock_on
from twin.damage.radiolysis import CriticalDose, critical_dose, stopping_power
from twin.damage.tables import Critical, Threshold, critical_doses, threshold, thresholds
from twin.damage.transfer import largest_transfer, thermal_velocity, threshold_energy

__all__ = [
    "BARN",
    "Critical",
    "CriticalDose",
    "Displacement",
    "Threshold",
    "critical_dose",
    "critical_doses",
    "displacement_cross_section",
    "knock_on",
    "largest_transfer",
    "stopping_power",
    "thermal_velocity",
    "threshold",
    "threshold_energy",
    "thresholds",
]
