"""An instrument as a TOML table: the entries of its state and their dynamics, sensors, clocks, and derived quantities.

`read_table` turns the text of a TOML file into a `Table`, strictly; `Table.model` into the matrices that a filter needs, with the named
constants at their values or at others (so they can be fitted). Keys, units and an example: the tables beside this package.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal

import msgspec

from twin.channels import FIELDS, Kind
from twin.dynamics.moves import Constant as Still
from twin.dynamics.moves import Follow, Integrate, Move, Value, equation
from twin.sensors.model import Clock, Input, Jump, Model, Quantity, Reset, Term
from twin.sensors.sensor import Reports, Sensor
from twin.state import Entry, Layout
from twin.units import require

SCHEMA, PREVIOUS_SCHEMA = "emtwin.sensors/2", "emtwin.sensors/1"
"""The format of a table, and that of emtwin 0.1, in which commanded inputs had another name."""


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named constant of the model: assumed ``value``, known to a ``factor`` (one sigma, multiplicative) or to +- ``std``; ``doc`` gives the source."""

    name: str
    unit: str
    value: float
    factor: float | None = None
    std: float | None = None
    doc: str = ""


class EntryRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the state: prior ``mean`` +- ``std``, the ``part`` of the model it belongs to, and how it ``moves``; one with a ``period`` is uniform on it
    while it is unknown."""

    name: str
    unit: str
    mean: Value
    std: Value | None = None
    period: Value = 0.0
    part: str = ""
    moves: Move | list[Move] = Still()
    doc: str = ""


class SensorRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel. ``expects`` maps entries (and "input:NAME") to coefficients; ``lag`` is the time in s by which it follows them.

    ``field`` is the field of files' metadata that it tells of, ``bias`` the entry among those it expects that is its own constant error.
    """

    channel: str
    unit: str
    kind: Kind
    source: str = ""
    reports: Reports = "periodic"
    rate: float = 0.0
    expects: dict[str, Value] = {}
    offset: Value = 0.0
    noise: Value = 0.0
    quantisation: float = 0.0
    lag: Value = 0.0
    valid: str = ""
    part: str = ""
    field: str = ""
    bias: str = ""
    doc: str = ""


class TermRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """coefficient * entry * times * input; omitted factors are 1."""

    entry: str = ""
    times: str = ""
    input: str = ""
    coefficient: Value = 1.0


class QuantityRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something wanted of the state: a sum of terms."""

    name: str
    unit: str
    terms: list[TermRow]
    part: str = ""
    doc: str = ""


class JumpRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an input changes by a step larger than ``least``: ``entry`` jumps by mean * step +- (std * |step| + fixed), or is ``set`` to its
    prior (uniform on its period, where it has one)."""

    on: str
    entry: str
    least: float = 0.0
    mean: Value = 0.0
    std: Value = 0.0
    fixed: Value = 0.0
    set: Literal["", "prior"] = ""
    doc: str = ""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file. ``sources`` are the clocks that stamp the channels."""

    schema: str
    name: str
    doc: str = ""
    sources: dict[str, Clock] = {}
    constant: list[Parameter] = []
    entry: list[EntryRow] = []
    input: list[Input] = []
    jump: list[JumpRow] = []
    reset: list[Reset] = []
    sensor: list[SensorRow] = []
    quantity: list[QuantityRow] = []

    def constants(self) -> dict[str, float]:
        """The named constants at the values the file assumes."""
        return {constant.name: constant.value for constant in self.constant}

    def model(self, values: Mapping[str, float] | None = None) -> Model:
        """The model with these values of named constants (those left out as assumed); ValueError for a name that is not there."""
        constants = self.constants()
        for name in values or {}:
            if name not in constants:
                raise ValueError(
                    f"{self.name}: there is no constant {name!r}; the constants are {', '.join(constants)}"
                )
        constants |= dict(values or {})

        def number(value: Value) -> float:
            if isinstance(value, str):
                name, sign = value.removeprefix("-"), -1.0 if value.startswith("-") else 1.0
                if name not in constants:
                    raise ValueError(f"{self.name}: {name!r} is no constant; the constants are {', '.join(constants)}")
                return sign * float(constants[name])
            return float(value)

        moves: dict[str, list[Move]] = {
            row.name: row.moves if isinstance(row.moves, list) else [row.moves] for row in self.entry
        }
        entries = [_entry(row, number) for row in self.entry]
        parts = [row.part for row in self.entry]
        priors = {entry.name: entry for entry in entries}
        sensors = []
        for row in self.sensor:
            states, inputs = {}, {}
            for name, value in row.expects.items():
                target = inputs if name.startswith("input:") else states
                target[name.removeprefix("input:")] = number(value)
            lag = number(row.lag)
            if lag > 0 and row.kind != "echo":
                states, lagged, equations = _lagged(row, states, lag, priors)
                entries.append(lagged)
                parts.append(row.part)
                moves[lagged.name] = equations
            sensors.append(
                Sensor(
                    row.channel, states, number(row.offset), number(row.noise), row.unit, row.kind, inputs,
                    row.quantisation, row.rate, row.reports, row.source or row.channel.split(".")[0], row.valid, row.part, row.doc, row.field, row.bias,
                )
            )  # fmt: skip
        layout = Layout(tuple(entries))
        quantities = tuple(
            Quantity(
                row.name,
                row.unit,
                tuple(Term(t.entry, t.times, t.input, number(t.coefficient)) for t in row.terms),
                row.part,
                row.doc,
            )
            for row in self.quantity
        )
        jumps = tuple(
            Jump(row.on, row.entry, row.least, number(row.mean), number(row.std), number(row.fixed), row.set)
            for row in self.jump
        )
        sources = dict(self.sources)
        for sensor in sensors:
            sources.setdefault(sensor.source, Clock())
        return Model(
            self.name, layout, tuple(parts), equation(layout, moves, number), tuple(sensors), sources,
            tuple(self.input), jumps, quantities, tuple(self.reset),
        )  # fmt: skip


def _entry(row: EntryRow, number: Callable[[Value], float]) -> Entry:
    period = number(row.period)
    if (row.std is None) == (period == 0.0):
        raise ValueError(f"entry {row.name!r}: give its std, or the period over which it is uniform")
    std = period / 12.0**0.5 if row.std is None else number(row.std)
    return Entry(row.name, row.unit, number(row.mean), std, row.doc, period)


def _lagged(row: SensorRow, states: dict[str, float], lag: float, priors: Mapping[str, Entry]):
    """The entry of a slow sensor: its lagged reading follows the entries that it measures."""
    name = f"{row.channel}.lagged"
    for entry_name in states:
        if entry_name not in priors:
            raise ValueError(
                f"sensor {row.channel!r} expects {entry_name!r}, and there is no such entry; name one of the file's entries"
            )
    mean = sum(value * priors[entry_name].mean for entry_name, value in states.items())
    std = sum((value * priors[entry_name].std) ** 2 for entry_name, value in states.items()) ** 0.5
    first, *others = states.items()
    equations: list[Move] = [
        Follow(first[0], lag, first[1]),
        *(Integrate(entry_name, value / lag) for entry_name, value in others),
    ]
    return {name: 1.0}, Entry(name, row.unit, mean, std, f"what {row.channel} shows, {lag:g} s behind"), equations


def _check_field(row: SensorRow, where: str) -> None:
    """ValueError where a sensor's field of metadata is not known or of another unit, or its bias is no entry that it expects."""
    fields = {item.name: item.unit for item in FIELDS}
    if row.field and fields.get(row.field) != row.unit:
        known = f"is in {fields[row.field]}" if row.field in fields else "is not known"
        raise ValueError(
            f"{where}: sensor {row.channel!r} is in {row.unit}, and its field {row.field!r} {known}; name a field in that unit"
        )
    if row.bias and row.bias not in row.expects:
        raise ValueError(
            f"{where}: sensor {row.channel!r} has the bias {row.bias!r}, which it does not expect; name an entry under expects"
        )


def _number(value: Value, constants: Mapping[str, float]) -> float | None:
    """A number, or the value of the constant of that name; None for none."""
    return constants.get(value.removeprefix("-")) if isinstance(value, str) else float(value)


def read_table(text: str, where: str) -> Table:
    """The table of a TOML file's text; ValueError naming ``where``, the row and the cure for anything that cannot be used."""
    try:
        plain = tomllib.loads(text)
        if plain.get("schema") == PREVIOUS_SCHEMA:
            raise ValueError(
                f'{where}: schema {PREVIOUS_SCHEMA!r} is of emtwin 0.1; write {SCHEMA!r}, and for inputs kind = "commanded" instead of "told"'
            )
        table = msgspec.convert(plain, Table, strict=True)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not TOML ({error}); mend that line") from error
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}: {error}; see the tables that come with emtwin") from error
    if table.schema != SCHEMA:
        raise ValueError(f"{where}: schema {table.schema!r} is not known; this emtwin reads {SCHEMA!r}")
    for field, names in (
        ("constants", [row.name for row in table.constant]),
        ("entries", [row.name for row in table.entry]),
        ("sensors", [row.channel for row in table.sensor]),
        ("inputs", [row.name for row in table.input]),
        ("quantities", [row.name for row in table.quantity]),
    ):
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"{where}: two {field} of one name ({', '.join(twice)}); give each a name of its own")
    for row in (*table.constant, *table.entry, *table.quantity):
        require(row.unit, f"{where}: {row.name!r}")
    entries = {row.name for row in table.entry}
    for row in table.entry:
        for move in row.moves if isinstance(row.moves, list) else [row.moves]:
            of = getattr(move, "of", None)
            if of is not None and of not in entries:
                raise ValueError(
                    f"{where}: entry {row.name!r} moves with {of!r}, and there is no such entry; name one of the file's entries"
                )
    for row in table.sensor:
        require(row.unit, f"{where}: sensor {row.channel!r}")
        constants = table.constants()
        _check_field(row, where)
        for field in ("rate", "quantisation", "noise", "lag", "offset"):
            value = _number(getattr(row, field), constants)
            if value is not None and not (isfinite(value) and (value >= 0 or field == "offset")):
                raise ValueError(
                    f"{where}: sensor {row.channel!r}: {field} = {value}; give a finite number, zero or more"
                )
        for name, coefficient in row.expects.items():
            value = _number(coefficient, constants)
            if value is not None and not isfinite(value):
                raise ValueError(
                    f"{where}: sensor {row.channel!r}: coefficient of {name!r} is {value}; give a finite number"
                )
            if not name.startswith("input:") and name not in entries:
                raise ValueError(
                    f"{where}: sensor {row.channel!r} expects {name!r}, and there is no such entry; name one of the file's entries"
                )
        if row.kind == "echo" and any(not name.startswith("input:") for name in row.expects):
            raise ValueError(
                f"{where}: sensor {row.channel!r} is an echo, which is no evidence; let it expect no entry"
            )
    try:
        model = table.model()
        for sensor in model.sensors:
            sensor.row(model.layout)
            if sensor.evidence and not (0 < sensor.variance < float("inf")):
                raise ValueError(f"sensor {sensor.channel!r} has no noise; give noise or quantisation above zero")
        model.check()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return table
