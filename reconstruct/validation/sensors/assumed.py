"""What is assumed of a channel of which neither a sensor table nor its own readings tell: constant error, noise, how fast the quantity wanders, and which
change of it matters."""

from typing import NamedTuple

from twin.channels import Field


class Assumed(NamedTuple):
    """Rms of a constant error (``bias``), of the ``noise`` of one reading, and of the ``drift`` in one second (it grows with the root of time).
    A change by ``matters`` shows in recordings.

    Shares of the value where ``relative``, else in the field's unit. Assumptions, wide on purpose; noise and drift only start a fit to the readings.
    """

    bias: float
    noise: float
    drift: float
    relative: bool
    matters: float


_ASSUMED = {
    "high_tension": Assumed(2e-3, 1e-5, 1e-7, True, 1e-5),  # a divider is off by parts in a thousand; the voltage itself is regulated to ppm
    "extraction_voltage": Assumed(5e-3, 1e-4, 1e-5, True, 2e-3),
    "emission": Assumed(0.02, 5e-3, 1e-4, True, 0.02),
    "beam_current": Assumed(0.05, 0.01, 1e-3, True, 0.05),
    "screen_current": Assumed(0.05, 0.01, 1e-3, True, 0.05),
    "temperature": Assumed(0.0, 0.05, 0.01, False, 1.0),  # a file and a log repeat one thermometer
    "stage.x": Assumed(2000.0, 10.0, 20.0, False, 500.0),  # encoder and specimen differ by tenths of a micron
    "stage.y": Assumed(2000.0, 10.0, 20.0, False, 500.0),
    "stage.z": Assumed(2000.0, 10.0, 20.0, False, 500.0),
    "stage.alpha": Assumed(1e-3, 1e-4, 1e-5, False, 1e-3),
    "stage.beta": Assumed(1e-3, 1e-4, 1e-5, False, 1e-3),
    "drift_tube": Assumed(0.1, 0.01, 1e-3, False, 0.1),
}  # fmt: skip
_SCALE, _SIGNED = Assumed(0.01, 1e-3, 1e-3, True, 0.01), Assumed(0.0, 1e-3, 1e-3, False, 0.01)


def assumed(field: Field, size: float) -> Assumed:
    """The assumptions for ``field`` where its readings are of about ``size``, all in the field's unit."""
    item = _ASSUMED.get(field.name, _SCALE if field.form == "scale" else _SIGNED)
    if not item.relative and field.name in _ASSUMED:
        return item
    size = abs(size) or (10.0 * field.low if field.low > 0 else 1.0)
    return Assumed(item.bias * size, item.noise * size, item.drift * size, False, item.matters * size)
