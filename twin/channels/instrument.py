"""Names, units and kinds of all controls and sensor channels.

Units are the ones used inside emtwin (angstrom, radian, volt, second, ampere, kelvin, pascal, tesla); "1" is dimensionless.
A control is a value that the console can set. A channel is a value that the instrument reports; its kind says what evidence it is:

- ``echo``           the command repeated back: no evidence about the column;
- ``measured``       a physical measurement, with noise, bias and quantisation of its own;
- ``derived``        computed by the instrument from other things;
- ``last-measured``  the value of the most recent measurement, which may be old.
"""

from typing import Literal

import msgspec

Kind = Literal["echo", "measured", "derived", "last-measured"]


class Control(msgspec.Struct, frozen=True):
    """A value that the console can set: name, unit, and range of commands."""

    name: str
    unit: str
    lowest: float
    highest: float
    doc: str = ""


class Channel(msgspec.Struct, frozen=True):
    """Something the instrument reports: its name, unit, kind and nominal rate in hertz."""

    name: str
    unit: str
    kind: Kind
    rate: float
    doc: str = ""


CONTROLS: tuple[Control, ...] = (
    Control(
        "C10",
        "angstrom",
        -2000.0,
        2000.0,
        "commanded defocus coefficient of the objective lens, relative to the user's zero",
    ),
    Control("C12.a", "angstrom", -500.0, 500.0, "commanded two-fold astigmatism of the stigmator, cosine part"),
    Control("C12.b", "angstrom", -500.0, 500.0, "commanded two-fold astigmatism of the stigmator, sine part"),
    Control("beam_shift.x", "angstrom", -500.0, 500.0, "commanded position of the scan's centre by the deflectors"),
    Control("beam_shift.y", "angstrom", -500.0, 500.0, "commanded position of the scan's centre by the deflectors"),
    Control("stage.x", "angstrom", -1e7, 1e7, "stage position asked for"),
    Control("stage.y", "angstrom", -1e7, 1e7, "stage position asked for"),
    Control(
        "C10.zero",
        "angstrom",
        -1e5,
        1e5,
        "where the user's zero of defocus stands: what C10 says is relative to it; the lens is asked for C10 + C10.zero",
    ),
    Control("normalise", "1", 0.0, 1e9, "a counter; raising it takes the objective lens to its remanence"),
    Control(
        "holder.temperature", "kelvin", 0.0, 1600.0, "commanded temperature of the holder; 0 switches the heater off"
    ),
    Control("flash", "1", 0.0, 1e9, "a counter; raising it flashes the emitter"),
)

CHANNELS: tuple[Channel, ...] = (
    Channel("lens.condenser1", "1", "echo", 1.0),
    Channel("lens.condenser2", "1", "echo", 1.0),
    Channel("lens.condenser3", "1", "echo", 1.0),
    Channel("lens.objective", "1", "echo", 10.0, "normalised excitation as commanded"),
    Channel("lens.diffraction", "1", "echo", 0.5),
    Channel("lens.projector", "1", "echo", 0.5),
    Channel("C10.commanded", "angstrom", "echo", 10.0),
    Channel("C12.a.commanded", "angstrom", "echo", 1.0),
    Channel("C12.b.commanded", "angstrom", "echo", 1.0),
    Channel("beam_shift.x.commanded", "angstrom", "echo", 10.0),
    Channel("beam_shift.y.commanded", "angstrom", "echo", 10.0),
    Channel(
        "gun.high_tension",
        "volt",
        "measured",
        10.0,
        "through a divider: biased by up to a few parts in a thousand, and coarse",
    ),
    Channel("gun.emission", "ampere", "measured", 1.0, "emission is not beam current"),
    Channel("gun.pressure", "pascal", "measured", 0.1),
    Channel("column.pressure", "pascal", "measured", 0.1),
    Channel("objective.current", "1", "measured", 10.0, "relative deviation of the coil current from its set value"),
    Channel("objective.temperature", "kelvin", "measured", 1.0, "coil temperature; focus follows it with a lag"),
    Channel("water.in.temperature", "kelvin", "measured", 1.0),
    Channel("water.out.temperature", "kelvin", "measured", 1.0),
    Channel("room.temperature", "kelvin", "measured", 0.2),
    Channel("room.pressure", "pascal", "measured", 0.1),
    Channel("field.x", "tesla", "measured", 100.0, "stray magnetic field, mains included"),
    Channel("field.y", "tesla", "measured", 100.0, "stray magnetic field, mains included"),
    Channel(
        "stage.x",
        "angstrom",
        "measured",
        10.0,
        "encoder: fine steps, but the specimen is elsewhere by tenths of a micron",
    ),
    Channel(
        "stage.y",
        "angstrom",
        "measured",
        10.0,
        "encoder: fine steps, but the specimen is elsewhere by tenths of a micron",
    ),
    Channel("stage.z", "angstrom", "measured", 1.0),
    Channel("stage.alpha", "radian", "measured", 1.0),
    Channel("stage.beta", "radian", "measured", 1.0),
    Channel("holder.temperature", "kelvin", "measured", 1.0),
    Channel("screen.current", "ampere", "last-measured", 0.1, "valid only from when the screen was last in the beam"),
    Channel("corrector.C12.a", "angstrom", "last-measured", 0.1, "from the last tableau; stale from then on"),
    Channel("corrector.C12.b", "angstrom", "last-measured", 0.1, "from the last tableau; stale from then on"),
    Channel("corrector.C30", "angstrom", "last-measured", 0.1, "from the last tableau; stale from then on"),
    Channel("haadf.black", "count", "measured", 1.0, "detector level per pixel with the beam blanked"),
    Channel("stage.x.commanded", "angstrom", "echo", 1.0),
    Channel("stage.y.commanded", "angstrom", "echo", 1.0),
    Channel("holder.temperature.commanded", "kelvin", "echo", 1.0, "0 is off"),
    Channel("gun.high_tension.commanded", "volt", "echo", 1.0),
    Channel("extraction.voltage.commanded", "volt", "echo", 1.0),
    Channel("lens.intermediate", "1", "echo", 0.5),
    Channel("lens.adl", "1", "echo", 0.5),
    Channel("stigmator.objective.x", "1", "echo", 1.0),
    Channel("stigmator.objective.y", "1", "echo", 1.0),
    Channel("scan.rotation", "radian", "echo", 1.0),
    Channel("magnification", "1", "echo", 1.0),
    Channel("camera_length", "angstrom", "echo", 0.5),
    Channel("spot_size", "1", "echo", 0.5),
    Channel("spectrometer.drift_tube", "volt", "echo", 0.5, "voltage of the spectrometer's drift tube, as commanded"),
)


def control(name: str) -> Control:
    """The control of that name; ValueError if there is none."""
    for item in CONTROLS:
        if item.name == name:
            return item
    raise ValueError(f"unknown control {name!r}; the controls are {', '.join(c.name for c in CONTROLS)}")


def channel(name: str) -> Channel:
    """The channel of that name; ValueError if there is none."""
    for item in CHANNELS:
        if item.name == name:
            return item
    raise ValueError(f"unknown channel {name!r}; the channels are {', '.join(c.name for c in CHANNELS)}")
