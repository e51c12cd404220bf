"""A measurement: named quantities as a small mixture of Gaussians, undetermined ones with the reason, and plots of the fit."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from reconstruct.measurement.outcome import DETERMINED, NO_FIT, SEVERAL, UNDETERMINED, Defect, FitCheck, Outcome
from reconstruct.stream.observation import Observation
from twin.units import require

DETERMINED_WEIGHT = 0.99
"""Weight from which one of several readings is the answer."""
NEAR_STDS = 3.0
"""Standard deviations of their difference within which two components are one reading."""


@dataclasses.dataclass(frozen=True)
class Component:
    """One of the readings that the data allow: ``weight``, ``mean`` [p], ``covariance`` [p, p]."""

    weight: float
    mean: np.ndarray
    covariance: np.ndarray


@dataclasses.dataclass(frozen=True)
class FitPlot:
    """A fit to look at: ``data``, ``model`` and ``residual`` (data minus model, in standard deviations), all [ny, nx] or [n].

    ``extent`` is (left, right, bottom, top) in ``unit`` for pictures and the axis's (first, last) for curves. NaN is left blank. Of curves: ``marks``, names at
    places on the axis, the rms error of the model (``band``, empty for none), and ``parts`` of the model by name.
    """

    name: str
    data: np.ndarray
    model: np.ndarray
    residual: np.ndarray
    extent: tuple[float, ...]
    unit: str
    marks: tuple[tuple[str, float], ...] = ()
    band: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    parts: tuple[tuple[str, np.ndarray], ...] = ()


@dataclasses.dataclass(frozen=True)
class Map:
    """A quantity of each spectrum of an image: ``values`` with their rms ``errors`` by noise, [ny, nx], in ``unit``; ``common``: the relative error
    that all share.

    ``extent`` as of a `FitPlot`."""

    name: str
    values: np.ndarray
    errors: np.ndarray
    unit: str
    common: float
    extent: tuple[float, ...] = ()
    extent_unit: str = "1"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Quantities ``names`` in ``units`` (angstrom, radian, ...; "1" is dimensionless) that an image of a ``kind`` says something about.

    More than one of ``components`` (weights sum to 1) are readings that the data cannot distinguish, such as both signs of defocus. What the data do not
    determine is in ``undetermined`` with the reason, and as wide as it was before. ``misfit`` is the residual's sum of squares in sigmas over its
    degrees of freedom; ``notes`` say what else a user should know.

    ``checks`` test the fit against the data; where one fails `withhold` takes the quantities back. ``defects`` were found in the data and masked or fitted.
    ``contradictions``: sentences about what was stated and the data contradict. ``principal``: the quantities that such an image is recorded for (empty: all).
    ``periods``: of quantities that lie on a circle, such as angles, after how much they are the same again.
    ``withheld``: the measurement that a failed check took back, for the study of the checks; nothing else may use it. ``maps``: quantities of each
    spectrum of an
    image; ``details``: what else was found, as plain values.
    """

    kind: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    components: tuple[Component, ...]
    undetermined: Mapping[str, str] = dataclasses.field(default_factory=dict)
    misfit: float = math.nan
    electrons: float = math.nan
    plots: tuple[FitPlot, ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[FitCheck, ...] = ()
    defects: tuple[Defect, ...] = ()
    contradictions: tuple[str, ...] = ()
    principal: tuple[str, ...] = ()
    periods: Mapping[str, float] = dataclasses.field(default_factory=dict)
    withheld: "Measurement | None" = None
    maps: tuple[Map, ...] = ()
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        p = len(self.names)
        if len(self.units) != p or len(set(self.names)) != p:
            raise ValueError(f"a measurement of {', '.join(self.names)} has units {', '.join(self.units)}; one each")
        for name, unit in zip(self.names, self.units, strict=True):
            require(unit, name)
        if not self.components or abs(sum(component.weight for component in self.components) - 1.0) > 1e-9:
            raise ValueError("the weights of a measurement's components must sum to 1")
        for component in self.components:
            if component.mean.shape != (p,) or component.covariance.shape != (p, p):
                raise ValueError(
                    f"a component over {p} quantities has mean {component.mean.shape}, covariance {component.covariance.shape}"
                )
            scale = np.sqrt(np.diag(component.covariance))
            if not (
                np.isfinite(component.mean).all() and np.isfinite(component.covariance).all() and (scale > 0).all()
            ):
                raise ValueError("a measurement must be finite with a positive variance: widen what is not determined")
            if np.linalg.eigvalsh(component.covariance / np.outer(scale, scale)).min() < -1e-9:
                raise ValueError("the covariance of a measurement is not positive")
        unknown = set(self.undetermined) - set(self.names)
        if unknown:
            raise ValueError(f"undetermined quantities {', '.join(sorted(unknown))} are not among the measured ones")

    @property
    def outcome(self) -> Outcome:
        """How it ended: "the model does not fit" where a check failed; "undetermined" where no principal quantity is determined; "several readings" where
        none of them has a weight of `DETERMINED_WEIGHT`; "determined" otherwise."""
        if any(not check.passed for check in self.checks):
            return NO_FIT
        determined = [name for name in self.names if name not in self.undetermined]
        if not set(determined) & set(self.principal or self.names):
            return UNDETERMINED
        return DETERMINED if self.readings[0].weight >= DETERMINED_WEIGHT else SEVERAL

    @property
    def failed_checks(self) -> tuple[FitCheck, ...]:
        """The checks that the fit failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def readings(self) -> list[Component]:
        """The mixture with components that lie within each other's errors taken together: what a person would call its readings, likeliest first."""
        return merge_components(self.components)

    @property
    def mean(self) -> np.ndarray:
        """Mean of the mixture, [p]."""
        return np.sum([component.weight * component.mean for component in self.components], axis=0)

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the mixture, spread between its components included, [p, p]."""
        centre = self.mean
        return np.sum(
            [
                component.weight * (component.covariance + np.outer(component.mean - centre, component.mean - centre))
                for component in self.components
            ],
            axis=0,
        )

    @property
    def std(self) -> np.ndarray:
        """[p]."""
        return np.sqrt(np.diag(self.covariance))

    def index(self, name: str) -> int:
        """Index of a quantity; ValueError if it was not measured."""
        if name not in self.names:
            raise ValueError(f"this {self.kind} does not measure {name!r}; it has {', '.join(self.names)}")
        return self.names.index(name)

    def value(self, name: str) -> tuple[float, float]:
        """(mean, standard deviation) of one quantity."""
        index = self.index(name)
        return float(self.mean[index]), float(self.std[index])

    def covers(self, name: str, truth: float, level: float = 0.9) -> bool:
        """Whether ``truth`` lies in the central interval of probability ``level`` of one quantity: its place in the mixture's distribution."""
        index = self.index(name)
        chance = sum(
            component.weight * ndtr((truth - component.mean[index]) / math.sqrt(component.covariance[index, index]))
            for component in self.components
        )
        return bool(abs(chance - 0.5) <= 0.5 * level)

    def observation(self, time: int, names: tuple[str, ...] | None = None) -> Observation:
        """As the observation that a belief is updated with at ``time`` (ns), by the mixture's moments; only determined quantities, or those ``names``."""
        selected = names if names is not None else tuple(name for name in self.names if name not in self.undetermined)
        if not selected:
            raise ValueError(f"this {self.kind} determines nothing: {'; '.join(self.undetermined.values())}")
        indices = [self.index(name) for name in selected]
        covariance = self.covariance[np.ix_(indices, indices)]
        scale = np.sqrt(np.diag(covariance))
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        floor = 1e-9  # of each variance: an Observation has noise of its own in every quantity
        factor = scale[:, None] * vectors * np.sqrt(np.maximum(values - floor, 0.0))
        return Observation(self.kind, time, selected, self.mean[indices], math.sqrt(floor) * scale, factor)


def group_components(components: Sequence[Component]) -> list[list[Component]]:
    """Components that lie within each other's errors together: each group is one reading."""
    groups: list[list[Component]] = []
    for component in sorted(components, key=lambda part: -part.weight):
        for group in groups:
            if any(_near(component, other) for other in group):
                group.append(component)
                break
        else:
            groups.append([component])
    return groups


def merge_components(components: Sequence[Component]) -> list[Component]:
    """Components that lie within each other's errors taken together, by their moments; likeliest first."""
    merged = []
    for group in group_components(components):
        weight = sum(component.weight for component in group)
        mean = np.sum([component.weight * component.mean for component in group], axis=0) / weight
        spread = np.sum(
            [
                component.weight * (component.covariance + np.outer(component.mean - mean, component.mean - mean))
                for component in group
            ],
            axis=0,
        )
        merged.append(Component(float(weight), mean, spread / weight))
    return sorted(merged, key=lambda part: -part.weight)


def _near(first: Component, second: Component) -> bool:
    std = np.sqrt(np.diag(first.covariance) + np.diag(second.covariance))
    return bool((np.abs(first.mean - second.mean) < NEAR_STDS * std).all())


def withhold(measurement: Measurement, prior: Component) -> Measurement:
    """The ``measurement`` as it is where all checks passed; else with every quantity undetermined and as wide as in ``prior``, for the finding of the first
    check that failed. Plots, checks, misfit, defects and notes stay."""
    failed = measurement.failed_checks
    if not failed:
        return measurement
    undetermined = dict.fromkeys(measurement.names, f"{NO_FIT}: {failed[0].finding}")
    return dataclasses.replace(
        measurement,
        components=(dataclasses.replace(prior, weight=1.0),),
        undetermined=undetermined,
        withheld=measurement,
    )


def select_quantities(measurement: Measurement, names: dict[str, tuple[str, str, float]]) -> Measurement:
    """Only the quantities ``names``: {name: (new name, unit, factor)}."""
    indices = [measurement.index(name) for name in names]
    factors = np.array([factor for _, _, factor in names.values()])
    components = tuple(
        Component(
            component.weight,
            component.mean[indices] * factors,
            component.covariance[np.ix_(indices, indices)] * np.outer(factors, factors),
        )
        for component in measurement.components
    )
    return dataclasses.replace(
        measurement,
        names=tuple(new for new, _, _ in names.values()),
        units=tuple(unit for _, unit, _ in names.values()),
        components=components,
        undetermined={names[name][0]: reason for name, reason in measurement.undetermined.items() if name in names},
        principal=tuple(names[name][0] for name in measurement.principal if name in names),
        periods={
            names[name][0]: period * names[name][2] for name, period in measurement.periods.items() if name in names
        },
        withheld=None if measurement.withheld is None else select_quantities(measurement.withheld, names),
    )
