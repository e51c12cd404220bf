"""Values of fields in the units of the formats: SI in NXem, the units of HyperSpy's own metadata in HyperSpy."""

from typing import NamedTuple

from instrument.export.record import Recording
from twin.channels import FIELDS, Field

SI = {
    "volt": ("V", 1.0),
    "ampere": ("A", 1.0),
    "radian": ("rad", 1.0),
    "angstrom": ("m", 1e-10),
    "second": ("s", 1.0),
    "kelvin": ("K", 1.0),
    "electronvolt": ("eV", 1.0),
    "1": ("", 1.0),
}
"""Symbol and factor in which a value in an inside unit is written."""


class Stated(NamedTuple):
    """A field with what an export states of it: ``value`` in the inside unit, and its rms ``error`` where evidence gives one."""

    field: Field
    value: str | float | int | bool
    error: float | None


def stated_fields(recording: Recording) -> list[Stated]:
    """All fields that a recording claims, or that its verdicts correct, in the order of the vocabulary."""
    result = []
    for item in FIELDS:
        if (said := recording.stated(item.name)) is not None:
            result.append(Stated(item, *said))
    return result
