"""The constants of an instrument's table, fitted to what was recorded: maximum of log evidence plus log prior, with errors.

The evidence is that of a `reconstruct.stream.stream.Stream` run over a session, so images, echoes and bad readings are treated as they are live.
A stream takes more than a few readings of a sensor in a span by their mean, and what the process does within the span for noise. That is
good for the state and bad for its constants: rates come out too low, and a sensor's own noise is told of by the means alone. Let a feed
make its stream of spans of `exact_span`, cut at every reading (``exact`` large); channels too quick for that can be left out of it.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from learn.fitting.laplace import LIMIT, Peak, peak
from reconstruct.stream.readings.preprocess import MAX_SINGLE_READINGS
from twin.sensors.model import Model
from twin.sensors.table import Parameter, Table


class Session(Protocol):
    """A session that has been run through: what a fit needs of a `reconstruct.stream.stream.Stream`."""

    evidence: float
    """Log evidence of all that is settled."""

    @property
    def now(self) -> int: ...

    def settle(self, until: int) -> None: ...


LONGEST = 3600 * 10**9
"""Nanoseconds (an hour) longer than any span, by which a stream is settled past its end."""
HARDLY = 0.1
"""A constant whose error is narrower than its prior's by a smaller share than this is hardly told of."""


@dataclasses.dataclass(frozen=True)
class FittedConstant:
    """A constant after a fit: ``value`` with 68 % between ``low`` and ``high``, all in ``unit``; the prior's alike.

    ``told`` is the share by which the error is narrower than the prior's (0: the data said nothing; logarithms, for a factor). ``gain`` is
    by how much the log evidence is above what it is with this one put back to its prior value. ``note`` says in words what to think of it.
    Where no error is known (an interrupted fit, a value at the edge of what was searched) it is NaN.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    prior: float
    prior_low: float
    prior_high: float
    told: float
    gain: float
    note: str


@dataclasses.dataclass(frozen=True)
class FittedConstants:
    """What a fit found. ``correlations`` [m, m] of the errors, in order; ``gain`` in log evidence over the table as it was; ``evaluations`` is
    how often the session was run through; ``complete`` is False if the fit was interrupted, and holds the best point until then."""

    constants: tuple[FittedConstant, ...]
    correlations: np.ndarray
    gain: float
    evaluations: int
    complete: bool

    def __getitem__(self, name: str) -> FittedConstant:
        for one in self.constants:
            if one.name == name:
                return one
        raise KeyError(f"{name!r} was not fitted; these were: {', '.join(one.name for one in self.constants)}")

    def values(self) -> dict[str, float]:
        """Fitted values by name, as `Table.model` takes them."""
        return {one.name: one.value for one in self.constants}

    def correlation(self, one: str, other: str) -> float:
        """Correlation of two constants' errors."""
        names = [each.name for each in self.constants]
        return float(self.correlations[names.index(self[one].name), names.index(self[other].name)])

    def applied(self, table: Table) -> Table:
        """The table with the fitted values for the old ones, and the errors as new priors where they are known and narrower."""
        rows = []
        for row in table.constant:
            found = next((one for one in self.constants if one.name == row.name), None)
            if found is not None:
                row = msgspec.structs.replace(row, value=found.value)
                if found.told > 0 and row.factor is not None:
                    row = msgspec.structs.replace(row, factor=math.sqrt(abs(found.high / found.low)))
                elif found.told > 0:
                    row = msgspec.structs.replace(row, std=0.5 * (found.high - found.low))
            rows.append(row)
        return msgspec.structs.replace(table, constant=rows)

    def lines(self) -> list[str]:
        """The fit in words, a line a constant."""
        found = [
            f"log evidence +{self.gain:.1f} in {self.evaluations} runs" + ("" if self.complete else ", interrupted")
        ]
        for one in self.constants:
            found.append(
                f"{one.name}: {one.value:.3g} ({one.low:.3g} to {one.high:.3g}) {one.unit}, assumed {one.prior:.3g} "
                f"({one.prior_low:.3g} to {one.prior_high:.3g}); {one.note}"
            )
        return found


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a fit is: what it does, how often the session was run, the best values so far and their gain in log evidence."""

    stage: str
    evaluations: int
    gain: float
    values: dict[str, float]


def exact_span(model: Model, channels: Iterable[str] | None = None) -> float:
    """The longest span (s) in which none of ``channels`` (default: all that are evidence) is a crowd by its rate; ValueError if none has one."""
    asked = None if channels is None else set(channels)
    rates = [one.rate for one in model.evidence if one.rate > 0 and (asked is None or one.channel in asked)]
    if not rates:
        raise ValueError(f"{model.name}: none of these channels has a rate; choose the span by how often they are read")
    return MAX_SINGLE_READINGS / max(rates)


def fit_constants(
    table: Table,
    feed: Callable[[Model], Session],
    names: Iterable[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> FittedConstants:
    """The constants ``names`` of ``table`` (default: all that have a prior), fitted together to what ``feed`` replays.

    ``feed`` makes a stream of the model it is given, pushes a session through it, the same each time, and returns it; it is settled here.
    ``progress`` hears of every run. KeyboardInterrupt ends the fit and keeps the best so far. ValueError for a name that is not there, a
    constant without a usable prior, or a session whose evidence is not finite at the table's own values.
    """
    rows = _rows(table, names)
    runs, start = 0, math.nan

    def values(where: np.ndarray) -> dict[str, float]:
        return {row.name: _value(row, float(u)) for row, u in zip(rows, where, strict=True)}

    def log_evidence(where: np.ndarray) -> float:
        nonlocal runs, start
        runs += 1
        try:
            model = table.model(values(where))
        except ValueError:
            return -math.inf  # no model has such values
        try:
            stream = feed(model)
            stream.settle(stream.now + LONGEST)
        except FloatingPointError:
            return -math.inf
        if math.isnan(start):
            start = stream.evidence
        return stream.evidence

    def told(stage: str, best: np.ndarray, height: float) -> None:
        if progress is not None:
            progress(Progress(stage, runs, height - start, values(best)))

    with threadpool_limits(1):  # matrices of a few entries: threads only wait for one another
        found = peak(log_evidence, len(rows), told)
    std = np.sqrt(np.diag(found.covariance))
    correlations = found.covariance / std[:, None] / std
    correlations = np.where(found.beyond[:, None] | found.beyond, np.eye(len(rows)), correlations)
    constants = tuple(_fitted(row, found, place, float(std[place])) for place, row in enumerate(rows))
    return FittedConstants(constants, correlations, found.height - found.start, runs, found.complete)


def _rows(table: Table, names: Iterable[str] | None) -> list[Parameter]:
    known = {row.name: row for row in table.constant}
    asked = (
        [row.name for row in table.constant if row.factor or row.std] if names is None else list(dict.fromkeys(names))
    )
    for name in asked:
        if name not in known:
            raise ValueError(f"{table.name}: there is no constant {name!r}; the constants are {', '.join(known)}")
        row = known[name]
        if (row.factor is None) == (row.std is None):
            raise ValueError(
                f"{table.name}: the constant {name!r} needs a prior; give it a factor or a std (one of them)"
            )
        if row.factor is not None and not (1 < row.factor < math.inf and row.value != 0 and math.isfinite(row.value)):
            raise ValueError(
                f"{table.name}: the constant {name!r} = {row.value} within a factor {row.factor}; give a factor above one "
                "and a value that is not zero"
            )
        if row.std is not None and not (0 < row.std < math.inf and math.isfinite(row.value)):
            raise ValueError(f"{table.name}: the constant {name!r} = {row.value} +- {row.std}; give a std above zero")
    return [known[name] for name in asked]


def _value(row: Parameter, u: float) -> float:
    """The constant ``u`` prior standard deviations from what is assumed."""
    return row.value * row.factor**u if row.factor is not None else row.value + u * (row.std or 0.0)


def _fitted(row: Parameter, found: Peak, place: int, std: float) -> FittedConstant:
    u = float(found.where[place])
    low, high = sorted((_value(row, u - std), _value(row, u + std)))
    prior_low, prior_high = sorted((_value(row, -1.0), _value(row, 1.0)))
    told = 1.0 - std if std < 1 else 0.0
    if not found.complete:
        told, note = math.nan, "interrupted: the best so far, with no error"
    elif found.silent[place]:
        told, note = 0.0, "these data say nothing of it: prior stands"
    elif not found.determined[place]:
        told, note = 0.0, "not determined by these data: prior stands"
    elif found.beyond[place]:
        told, note = math.nan, f"{LIMIT:g} prior errors off and no end: the prior or the model is wrong"
    elif told < HARDLY:
        note = "hardly told of by these data: little but the prior"
    else:
        note = f"error {100 * told:.0f} % narrower than assumed"
    return FittedConstant(
        row.name, row.unit, _value(row, u), low, high, row.value, prior_low, prior_high, told,
        float(found.height - found.without[place]), note,
    )  # fmt: skip
