"""Constants of an instrument's table fitted to recorded sessions: maximum of log evidence plus log prior, with errors.

The evidence is that of a `reconstruct.stream.stream.Stream` run over a session, so images, echoes and bad readings are treated as in live use. A stream
replaces many readings of a sensor in a span by their mean, and treats the process within a span as noise. That is accurate for the state but biases
constants: rates come out too low, and the noise of a sensor is estimated from means only. Therefore use a stream with spans of `exact_span`, cut at every
reading (``exact`` large); channels that are too fast can be excluded from it.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from learn.fitting.laplace import SEARCH_LIMIT, Peak, peak
from reconstruct.stream.readings.preprocess import MAX_SINGLE_READINGS
from twin.notebook import table
from twin.sensors.model import Model
from twin.sensors.table import Parameter, Table


class Session(Protocol):
    """A processed session: the part of `reconstruct.stream.stream.Stream` that a fit needs."""

    evidence: float
    """Log evidence of all that is settled."""

    @property
    def now(self) -> int: ...

    def settle(self, until: int) -> None: ...


SETTLING_TIME = 3600 * 10**9
"""Nanoseconds (an hour), longer than any span, by which a stream is settled beyond its end."""
MIN_ERROR_REDUCTION = 0.1
"""A constant whose error is narrower than its prior's by a smaller share than this is hardly determined."""


@dataclasses.dataclass(frozen=True)
class FittedConstant:
    """A constant after a fit: ``value`` with its 68 % interval ``low`` to ``high``, in ``unit``; likewise for the prior.

    ``error_reduction``: share by which the error is narrower than the prior's (0: no information; of logarithms, for a factor). ``gain``: log evidence
    relative to that with this constant at its prior value. ``note``: assessment in words. Unknown errors (an interrupted fit, a value at the edge of the
    search) are NaN.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    prior: float
    prior_low: float
    prior_high: float
    error_reduction: float
    gain: float
    note: str


@dataclasses.dataclass(frozen=True)
class FittedConstants:
    """Result of a fit. ``correlations`` [m, m] of the errors; ``gain`` in log evidence over the original table.

    ``evaluations``: number of runs over the session. ``complete`` is False if the fit was interrupted and holds the best point until then.
    """

    constants: tuple[FittedConstant, ...]
    correlations: np.ndarray
    gain: float
    evaluations: int
    complete: bool

    def __getitem__(self, name: str) -> FittedConstant:
        for constant in self.constants:
            if constant.name == name:
                return constant
        raise KeyError(
            f"{name!r} was not fitted; these were: {', '.join(constant.name for constant in self.constants)}"
        )

    def values(self) -> dict[str, float]:
        """Fitted values by name, as `Table.model` takes them."""
        return {constant.name: constant.value for constant in self.constants}

    def correlation(self, name: str, other: str) -> float:
        """Correlation of two constants' errors."""
        names = [each.name for each in self.constants]
        return float(self.correlations[names.index(self[name].name), names.index(self[other].name)])

    def applied(self, table: Table) -> Table:
        """The table with fitted values, and with the errors as new priors where they are known and narrower."""
        rows = []
        for row in table.constant:
            fitted = next((constant for constant in self.constants if constant.name == row.name), None)
            if fitted is not None:
                row = msgspec.structs.replace(row, value=fitted.value)
                if fitted.error_reduction > 0 and row.factor is not None:
                    row = msgspec.structs.replace(row, factor=math.sqrt(abs(fitted.high / fitted.low)))
                elif fitted.error_reduction > 0:
                    row = msgspec.structs.replace(row, std=0.5 * (fitted.high - fitted.low))
            rows.append(row)
        return msgspec.structs.replace(table, constant=rows)

    def __repr__(self) -> str:
        return f"<fitted constants: {'; '.join(self.lines())}>"

    def _repr_html_(self) -> str:
        """Each constant with its 68 % interval, before and after."""
        rows = [
            (
                each.name,
                f"{each.value:.3g}",
                f"{each.low:.3g} to {each.high:.3g}",
                f"{each.prior:.3g}",
                each.unit,
                each.note,
            )
            for each in self.constants
        ]
        headings = ("constant", "value", "68 %", "assumed", "", "")
        return table("fitted constants", headings, rows, self.lines()[:1], align="lrrrl")

    def lines(self) -> list[str]:
        """The fit as text, one line for each constant."""
        lines = [
            f"log evidence +{self.gain:.1f} in {self.evaluations} runs" + ("" if self.complete else ", interrupted")
        ]
        for constant in self.constants:
            lines.append(
                f"{constant.name}: {constant.value:.3g} ({constant.low:.3g} to {constant.high:.3g}) {constant.unit}, assumed {constant.prior:.3g} "
                f"({constant.prior_low:.3g} to {constant.prior_high:.3g}); {constant.note}"
            )
        return lines


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of a fit: stage, number of runs, best values so far and their gain in log evidence."""

    stage: str
    evaluations: int
    gain: float
    values: dict[str, float]


def exact_span(model: Model, channels: Iterable[str] | None = None) -> float:
    """The longest span (s) in which no channel of ``channels`` (default: all evidence) is replaced by its mean; ValueError if none has a rate."""
    selected = None if channels is None else set(channels)
    rates = [
        evidence.rate
        for evidence in model.evidence
        if evidence.rate > 0 and (selected is None or evidence.channel in selected)
    ]
    if not rates:
        raise ValueError(f"{model.name}: none of these channels has a rate; choose the span by how often they are read")
    return MAX_SINGLE_READINGS / max(rates)


def fit_constants(
    table: Table,
    feed: Callable[[Model], Session],
    names: Iterable[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> FittedConstants:
    """Fit the constants ``names`` of ``table`` (default: all with a prior) together to the session that ``feed`` replays.

    ``feed`` makes a stream of the model, processes the session (always the same) with it, and returns it; it is settled here. ``progress`` is called after
    every run. KeyboardInterrupt ends the fit with the best point so far. ValueError for an unknown name, a constant without a usable prior, or a session
    whose evidence is not finite at the table's own values.

    >>> import numpy as np
    >>> from reconstruct import Stream
    >>> from twin.records import Readings
    >>> from twin.sensors import read_table
    >>> table = read_table('''
    ... schema = "emtwin.sensors/2"
    ... name = "room"
    ... constant = [{ name = "noise", unit = "kelvin", value = 0.1, factor = 3.0 }]
    ... entry = [{ name = "T", unit = "kelvin", mean = 293.0, std = 1.0, moves = { kind = "walk", rate = 1e-3 } }]
    ... sensor = [{ channel = "room", unit = "kelvin", kind = "measured", rate = 1.0, expects = { T = 1.0 }, noise = "noise" }]
    ... ''', "room")
    >>> values = 293.0 + np.random.default_rng(0).normal(0.0, 0.05, 60)
    >>> def feed(model):
    ...     stream = Stream(model, 0, span=exact_span(model))
    ...     stream.push([Readings("room", 0, np.arange(60) * 10**9, values)])
    ...     return stream
    >>> fitted = fit_constants(table, feed)
    >>> bool(0.035 < fitted["noise"].value < 0.07), fitted.complete
    (True, True)
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
            stream.settle(stream.now + SETTLING_TIME)
        except FloatingPointError:
            return -math.inf
        if math.isnan(start):
            start = stream.evidence
        return stream.evidence

    def report(stage: str, best: np.ndarray, height: float) -> None:
        if progress is not None:
            progress(Progress(stage, runs, height - start, values(best)))

    with threadpool_limits(1):  # matrices of a few entries: threads only wait for one another
        optimum = peak(log_evidence, len(rows), report)
    std = np.sqrt(np.diag(optimum.covariance))
    correlations = optimum.covariance / std[:, None] / std
    correlations = np.where(optimum.beyond[:, None] | optimum.beyond, np.eye(len(rows)), correlations)
    constants = tuple(_fitted(row, optimum, index, float(std[index])) for index, row in enumerate(rows))
    return FittedConstants(constants, correlations, optimum.height - optimum.start, runs, optimum.complete)


def _rows(table: Table, names: Iterable[str] | None) -> list[Parameter]:
    known = {row.name: row for row in table.constant}
    parameters = (
        [row.name for row in table.constant if row.factor or row.std] if names is None else list(dict.fromkeys(names))
    )
    for name in parameters:
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
    return [known[name] for name in parameters]


def _value(row: Parameter, u: float) -> float:
    """The constant at ``u`` prior standard deviations from its prior value."""
    return row.value * row.factor**u if row.factor is not None else row.value + u * (row.std or 0.0)


def _fitted(row: Parameter, optimum: Peak, index: int, std: float) -> FittedConstant:
    u = float(optimum.where[index])
    low, high = sorted((_value(row, u - std), _value(row, u + std)))
    prior_low, prior_high = sorted((_value(row, -1.0), _value(row, 1.0)))
    reduction = 1.0 - std if std < 1 else 0.0
    if not optimum.complete:
        reduction, note = math.nan, "interrupted: the best so far, with no error"
    elif optimum.silent[index]:
        reduction, note = 0.0, "not influenced by these data: the prior is unchanged"
    elif not optimum.determined[index]:
        reduction, note = 0.0, "not determined by these data: the prior is unchanged"
    elif optimum.beyond[index]:
        reduction, note = (
            math.nan,
            f"{SEARCH_LIMIT:g} prior errors from the prior, at the edge of the search: the prior or the model is wrong",
        )
    elif reduction < MIN_ERROR_REDUCTION:
        note = "hardly determined by these data: mostly the prior"
    else:
        note = f"error {100 * reduction:.0f} % narrower than assumed"
    return FittedConstant(
        row.name, row.unit, _value(row, u), low, high, row.value, prior_low, prior_high, reduction,
        float(optimum.height - optimum.without[index]), note,
    )  # fmt: skip
