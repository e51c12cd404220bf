"""The unit of a HealthMonitor parameter and the reason for it: the stated unit if the values are possible in it, else the label's, else unknown.

The export states two units: StorageUnit, that of the values, and DisplayUnit, that of the vendor's viewer. With DisplayUnit a coil at 327 K would be
at 327 °C and a high tension would be 299 MV; some exports state only DisplayUnit. A unit that neither the log nor the label states stays unknown.
"""

import re
from collections.abc import Mapping, Sequence

from twin.units import CELSIUS, KELVIN, NUMBER, SHARE, Unit, read_unit

_COUNT = re.compile(r"\b(number of|count(er)?|inserts? counter|cycles)\b|^nr[A-Z]|TotalNumber", re.IGNORECASE)
_PER = re.compile(r"\((?:%|Pa) per (?:(\d+) )?(hour|minutes?)\)", re.IGNORECASE)
_DIFFERENCE = re.compile(r"\bdelta\b|difference|from setpoint", re.IGNORECASE)
_PERIODS = {"hour": 3600.0, "minute": 60.0, "minutes": 60.0}

UnitAndReason = tuple[Unit | None, str]
"""The unit (None: unknown), and why."""


def evident_unit(
    declared: Mapping[str, str], values: Sequence[float], span: tuple[float | None, float | None]
) -> UnitAndReason:
    """The unit of a parameter with attributes ``declared``, ``values`` as they stand in the file and limits ``span`` as declared."""
    name, label = declared.get("Name", ""), declared.get("DisplayName", "")
    if codes := declared.get("EnumerationName"):
        return NUMBER, f"enumeration {codes}: codes, not a quantity"
    storage_unit, display_unit = declared.get("StorageUnit", "").strip(), declared.get("DisplayUnit", "").strip()
    text = storage_unit or display_unit
    if not text:
        return _by_label(name, label, span)
    unit = read_unit(text)
    if unit is None:
        return None, f"unit stated as {text!r}, which is not a known unit: unknown"
    display_note = (
        f", shown as {display_unit}" if storage_unit and display_unit and display_unit != storage_unit else ""
    )
    if unit == CELSIUS and _DIFFERENCE.search(label):
        return KELVIN, f"unit stated ({text}), but of a difference: kelvin without the offset"
    if (period := _PER.search(label)) and unit.unit in ("1", "pascal"):
        seconds = float(period.group(1) or 1) * _PERIODS[period.group(2).lower()]
        reason = f"unit stated ({text}), and the label adds {period.group(0).strip('()')}"
        return Unit(f"{unit.unit}/second", unit.factor / seconds), reason
    sample_values = [value for value in (*values[:1], *values[-1:]) if value == value]
    if unit == CELSIUS and (kelvin := _in_kelvin(sample_values, span)):
        return KELVIN, f"temperature labelled {text}, but {kelvin}: kelvin"
    if text == "kV" and (volts := _in_volts(sample_values, span)):
        return Unit("volt", 1.0), f"voltage labelled kV, but {volts}: volts"
    if unit == KELVIN and display_note and (kelvin := _in_kelvin(sample_values, span)):
        return (
            KELVIN,
            f"unit stated (stored as K{display_note}); {kelvin} agree{'s' if 'limits' not in kelvin else ''} with kelvin",
        )
    if unit.unit == "volt" and display_unit == "kV" and (volts := _in_volts(sample_values, span)):
        return Unit("volt", 1.0), f"unit stated (stored as V{display_note}); {volts} can only be volts"
    if unit.unit == "byte":
        return unit, f"unit stated ({text}{display_note}); taken as a power of ten, though some mean a power of two"
    return unit, f"unit stated ({text}{display_note})"


def _in_kelvin(sample_values: Sequence[float], span: tuple[float | None, float | None]) -> str:
    """Evidence that values are in kelvin and not in degrees Celsius, in words; empty if there is none.

    Limits of 273.15 to 373.15 are 0 to 100 °C. Without limits, values count as kelvin only if no part of a microscope reaches them in °C.
    """
    low, high = span
    if low is not None and low >= 200.0 and all(low - 60.0 <= value for value in sample_values):
        value_text = f"{sample_values[-1]:.5g} and " if sample_values else ""
        return (
            f"{value_text}limits of {low:g} to {high:g}"
            if high is not None
            else f"{value_text}a least limit of {low:g}"
        )
    if low is None and sample_values and all(270.0 <= value < 400.0 for value in sample_values):
        return f"{sample_values[-1]:.5g}, which no part of a microscope reaches in °C,"
    return ""


def _in_volts(sample_values: Sequence[float], span: tuple[float | None, float | None]) -> str:
    """Evidence that values are in volts and not in kilovolts, in words: no column reaches 3,500 kV."""
    high = span[1]
    if any(abs(value) > 3500.0 for value in sample_values):
        return f"{max(sample_values, key=abs):.7g}" + (
            f" and a limit of {high:g}" if high is not None and high > 3500.0 else ""
        )
    return f"a limit of {high:g}" if high is not None and high > 3500.0 else ""


def _by_label(name: str, label: str, span: tuple[float | None, float | None]) -> UnitAndReason:
    """The unit of a parameter that states none, by what its name and label say."""
    if label.lower().startswith("percentage"):
        return SHARE, "no unit stated; the label says percentage"
    if "[pe/px]" in label:
        return Unit("electron", 1.0), "no unit stated; the label says primary electrons, of each pixel [pe/px]"
    if label == "Power-On Hours":
        return Unit("second", 3600.0), "no unit stated; the label says hours"
    if _COUNT.search(label) or _COUNT.search(name):
        return NUMBER, "no unit stated: a dimensionless count, by its label"
    if re.search(r"\bIndex\b|Spot Size|Images per Hole", label):
        return NUMBER, "no unit stated: a dimensionless index, by its label"
    if "Magnification" in label:
        return NUMBER, "no unit stated: a magnification is a dimensionless ratio"
    if re.search(r"\b(ID|Serial Number|Instrument key)\b", label):
        return NUMBER, "no unit stated: an identifier, not a quantity"
    if span == (0.0, 1.0):
        return NUMBER, "no unit stated: a flag, as its limits are 0 and 1"
    if span == (0.0, 4095.0):
        return NUMBER, "no unit stated: steps of a 12-bit converter, as its limits are 0 and 4095"
    if span == (0.0, 100.0):
        return None, "no unit stated; limits of 0 to 100 look like percent, but nothing says so: unknown"
    return None, "no unit stated, and the name does not determine it: unknown"
