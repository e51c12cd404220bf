"""A model of an instrument for a filter: layout, equation of motion, sensors, clocks, inputs, jumps, and derived quantities."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from twin.dynamics.inputs import Input
from twin.dynamics.linear import Dynamics
from twin.sensors.sensor import Sensor
from twin.state import Layout


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source's clock: prior of its offset (s, its clock minus ours) and rate (s/s), and the delay of its readings.

    ``latency`` is the least time (s) from taking to arriving, known to ``latency_std``; a reading may be late by ``latest`` s.
    """

    offset_std: float = 1.0
    rate_std: float = 1e-5
    latency: float = 0.05
    latency_std: float = 0.05
    latest: float = 2.0


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reset of a user's zero: the input ``shown`` (displayed by the console) changes and ``actual`` (sent to the lens) does not, to within
    ``tolerance`` (its unit).
    """

    name: str
    shown: str
    actual: str
    tolerance: float
    doc: str = ""


class Jump(msgspec.Struct, frozen=True):
    """The jump of an entry when an input changes: see `twin.sensors.table.JumpRow`."""

    on: str
    entry: str
    least: float
    mean: float
    std: float
    fixed: float
    set: str


class Change(NamedTuple):
    """What a command does to the state: ``mean`` [n] and standard deviations ``std`` [n] that are added, and entries that become ``uniform``."""

    mean: np.ndarray
    std: np.ndarray
    uniform: tuple[str, ...] = ()


class Term(msgspec.Struct, frozen=True):
    """coefficient * entry * times * input; a name left empty counts as one."""

    entry: str
    times: str
    input: str
    coefficient: float


class Quantity(msgspec.Struct, frozen=True):
    """Something wanted of the state, such as the defocus: a sum of terms, at most quadratic in the state."""

    name: str
    unit: str
    terms: tuple[Term, ...]
    part: str = ""
    doc: str = ""

    def value(self, layout: Layout, state: np.ndarray, inputs: Mapping[str, float]) -> float:
        """The quantity in one state [n]."""
        return float(
            sum(
                t.coefficient * _of(t.input, inputs) * _at(layout, t.entry, state) * _at(layout, t.times, state)
                for t in self.terms
            )
        )

    def linear(self, layout: Layout, state: np.ndarray, inputs: Mapping[str, float]) -> tuple[np.ndarray, float]:
        """Row [n] and offset of the tangent at ``state``: quantity = row @ x + offset near it."""
        row = np.zeros(len(layout))
        for t in self.terms:
            size = t.coefficient * _of(t.input, inputs)
            if t.entry:
                row[layout.index(t.entry)] += size * _at(layout, t.times, state)
            if t.times:
                row[layout.index(t.times)] += size * _at(layout, t.entry, state)
        return row, self.value(layout, state, inputs) - float(row @ state)

    def curvature(self, layout: Layout, inputs: Mapping[str, float]) -> np.ndarray:
        """Second derivative [n, n], symmetric."""
        hessian = np.zeros((len(layout), len(layout)))
        for t in self.terms:
            if t.entry and t.times:
                row, column = layout.index(t.entry), layout.index(t.times)
                size = t.coefficient * _of(t.input, inputs)
                hessian[row, column] += size
                hessian[column, row] += size
        return hessian


def _of(name: str, inputs: Mapping[str, float]) -> float:
    return inputs[name] if name else 1.0


def _at(layout: Layout, name: str, state: np.ndarray) -> float:
    return float(state[layout.index(name)]) if name else 1.0


class Model(msgspec.Struct, frozen=True, dict=True):
    """What `Table.model` makes. ``parts`` [n] names the part of the model that each entry belongs to."""

    name: str
    layout: Layout
    parts: tuple[str, ...]
    dynamics: Dynamics
    sensors: tuple[Sensor, ...]
    sources: dict[str, Clock]
    inputs: tuple[Input, ...] = ()
    jumps: tuple[Jump, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    resets: tuple[Reset, ...] = ()

    @functools.cached_property
    def evidence(self) -> tuple[Sensor, ...]:
        """The sensors whose readings are evidence, in order."""
        return tuple(sensor for sensor in self.sensors if sensor.evidence)

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """Rows of the sensors that are evidence, [c, n]."""
        n = len(self.layout)
        return np.stack([sensor.row(self.layout) for sensor in self.evidence]) if self.evidence else np.zeros((0, n))

    def quantity(self, name: str) -> Quantity:
        """The quantity of that name; a state's entry is one of itself. ValueError if there is neither."""
        for quantity in self.quantities:
            if quantity.name == name:
                return quantity
        entry = self.layout.entries[self.layout.index(name)]
        return Quantity(name, entry.unit, (Term(name, "", "", 1.0),), self.parts[self.layout.index(name)])

    def change(self, on: str, step: float) -> Change:
        """What a ``step`` of the commanded input ``on`` does (nothing: where the model has no such input)."""
        mean, variance, uniform = np.zeros(len(self.layout)), np.zeros(len(self.layout)), list[str]()
        for jump in self.jumps:
            if jump.on != on or abs(step) <= jump.least:
                continue
            index = self.layout.index(jump.entry)
            if jump.set:
                uniform.append(jump.entry)
                continue
            mean[index] += jump.mean * step
            variance[index] += (abs(jump.std * step) + jump.fixed) ** 2
        return Change(mean, np.sqrt(variance), tuple(uniform))

    def with_priors(self, priors: Mapping[str, tuple[float, float]]) -> "Model":
        """The same model with some priors replaced by ``{name: (mean, std)}``; ValueError for an unknown name."""
        layout = self.layout.replaced(priors)
        return msgspec.structs.replace(
            self, layout=layout, dynamics=msgspec.structs.replace(self.dynamics, layout=layout)
        )

    def check(self) -> None:
        """ValueError where a term, jump, input or sensor refers to an unknown name."""
        known = {spec.name for spec in self.inputs}
        channels = {sensor.channel for sensor in self.sensors}

        def need(name: str, names: set[str], owner: str, role: str) -> None:
            if name and name not in names:
                raise ValueError(
                    f"{owner} names the {role} {name!r}, and there is none; there are {', '.join(sorted(names)) or 'none'}"
                )

        for sensor in self.sensors:
            need(sensor.valid, channels, f"sensor {sensor.channel!r}", "channel")
            for name in sensor.inputs:
                need(name, known, f"sensor {sensor.channel!r}", "input")
        for quantity in self.quantities:
            for term in quantity.terms:
                need(term.input, known, f"quantity {quantity.name!r}", "input")
                for name in (term.entry, term.times):
                    need(name, set(self.layout.names), f"quantity {quantity.name!r}", "entry")
        commanded = {spec.name for spec in self.inputs if spec.kind == "commanded"}
        for jump in self.jumps:
            need(jump.on, commanded, f"the jump of {jump.entry!r}", "commanded input")
            self.layout.index(jump.entry)
        for reset in self.resets:
            need(reset.shown, commanded, f"reset {reset.name!r}", "commanded input")
            need(reset.actual, commanded, f"reset {reset.name!r}", "commanded input")
        earlier: set[str] = set()
        for spec in self.inputs:
            if spec.kind != "commanded":
                need(spec.of, earlier & commanded, f"input {spec.name!r}", "commanded input above it")
                need(spec.reset, earlier & commanded, f"input {spec.name!r}", "commanded input above it")
                if (spec.kind == "play" and not spec.width > 0) or (spec.kind == "creep" and not spec.time > 0):
                    raise ValueError(f"input {spec.name!r} needs a width (play) or time (creep) above zero")
            elif not spec.of.startswith("control:"):
                need(spec.of, channels, f"input {spec.name!r}", "channel")
            earlier.add(spec.name)
