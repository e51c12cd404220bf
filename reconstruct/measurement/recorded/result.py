"""The measurement of recordings, its comparison with what they claim, and disagreements."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from reconstruct.measurement.measurement import Component, Measurement
from reconstruct.measurement.recorded.recording import Recording, Setting
from twin.notebook import table
from twin.units import rounded, scale, shown

Tell = Callable[[str, float | None], None]
"""Called with the name of a step and the share of it that is done (None: not known)."""
MAX_COLUMNS = 4
"""Readings that are shown beside each other."""
CLAIM_INTERVAL = 0.997
"""Central interval of a quantity in which a claim must lie not to be contradicted."""
MAX_MISFIT = 2.0
"""Sum of squares over degrees of freedom from which a fit disagrees with its data."""
NO_FIT = "the structure does not fit"
"""How the estimators of a known crystal begin when the image is of another."""


class Claimed(NamedTuple):
    """What a recording says of a ``quantity``, in the measurement's unit, described by ``description``."""

    quantity: str
    value: float
    description: str


@dataclasses.dataclass(frozen=True)
class RecordedMeasurement:
    """A ``measurement`` of a ``kind`` from ``recordings``, and what they claim of it; ``judged``: its misfit is 1 for a model that is right.

    Quantities are a mixture of Gaussians: more than one of `components` are readings that the data cannot distinguish.
    """

    kind: str
    recordings: tuple[Recording, ...]
    measurement: Measurement
    claimed: tuple[Claimed, ...] = ()
    judged: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities [p]."""
        return self.measurement.names

    @property
    def units(self) -> dict[str, str]:
        """Inside unit of each quantity."""
        return dict(zip(self.names, self.measurement.units, strict=True))

    @property
    def values(self) -> dict[str, float]:
        """Mean of each quantity, of the whole mixture."""
        return dict(zip(self.names, self.measurement.mean.tolist(), strict=True))

    @property
    def errors(self) -> dict[str, float]:
        """Standard deviation of each quantity, of the whole mixture."""
        return dict(zip(self.names, self.measurement.std.tolist(), strict=True))

    @property
    def covariance(self) -> np.ndarray:
        """Covariance [p, p] of the quantities, of the whole mixture."""
        return self.measurement.covariance

    @property
    def components(self) -> tuple[Component, ...]:
        """The mixture, as it was found."""
        return self.measurement.components

    @property
    def readings(self) -> list[Component]:
        """The mixture with components within each other's errors taken together, likeliest first."""
        return readings(self.measurement)

    @property
    def undetermined(self) -> dict[str, str]:
        """The quantities that the data do not determine, each with the reason; they keep the width that they had before."""
        return dict(self.measurement.undetermined)

    @property
    def claims(self) -> list[dict[str, object]]:
        """What the recording claims, beside what was measured: quantity, claimed, measured, error, unit, agrees, words."""
        return compare_claims(self)

    @property
    def disagreements(self) -> list[str]:
        """What disagrees, as sentences; empty where nothing does."""
        return disagreements(self)

    @property
    def settings(self) -> list[Setting]:
        """Every number that the measurement rests on, with its unit and source."""
        return [setting for recording in self.recordings for setting in recording.settings]

    def __getitem__(self, name: str) -> tuple[float, float]:
        """(mean, standard deviation) of one quantity; ValueError if it was not measured."""
        return self.measurement.value(name)

    def to_dict(self) -> dict[str, Any]:
        """All but the plots, as plain values in inside units; `covariance` and each quantity's value and error are of the whole mixture."""
        measured, first = self.measurement, self.recordings[0].signal
        return {
            "kind": self.kind,
            "files": [recording.name for recording in self.recordings],
            "signal": {
                "title": first.title, "format": first.format, "shape": list(first.data.shape),
                "axes": [{"name": axis.name, "size": axis.size, "scale": axis.scale, "unit": axis.unit} for axis in first.axes],
            },
            "settings": [
                {"file": recording.name, "name": setting.name, "value": setting.value, "unit": setting.unit, "from": setting.source}
                for recording in self.recordings
                for setting in recording.settings
            ],
            "quantities": [
                {"name": name, "unit": unit, "value": value, "error": error, "determined": name not in measured.undetermined}
                for (name, unit), value, error in zip(self.units.items(), self.values.values(), self.errors.values(), strict=True)
            ],
            "covariance": self.covariance.tolist(),
            "components": _plain(self.components),
            "readings": _plain(self.readings),
            "undetermined": self.undetermined,
            "misfit": _finite_or_none(measured.misfit),
            "misfit_judged": self.judged,
            "electrons": _finite_or_none(measured.electrons),
            "claims": self.claims,
            "disagreements": self.disagreements,
            "notes": list(measured.notes),
        }  # fmt: skip

    def __repr__(self) -> str:
        known = [
            f"{name} {shown(*self[name], unit)}" for name, unit in self.units.items() if name not in self.undetermined
        ]
        several = f" ({len(self.readings)} readings)" if len(self.readings) > 1 else ""
        return f"<{self.kind}{several}: {'; '.join(known) or 'nothing is determined'}>"

    def _repr_html_(self) -> str:
        """Quantities with errors, one pair of columns for each reading; claims, what is open, and what disagrees below."""
        return html_of(self)


def html_of(recorded: RecordedMeasurement) -> str:
    """The measurement as HTML, in units for people."""
    columns, headings = recorded.readings[:MAX_COLUMNS], ["quantity"]
    for reading in columns:
        headings += [f"{reading.weight:.1%}" if len(columns) > 1 else "value", "±"]
    rows = []
    for i, (name, unit) in enumerate(recorded.units.items()):
        if name in recorded.undetermined:
            continue
        means, errors = (
            [float(part.mean[i]) for part in columns],
            [math.sqrt(part.covariance[i, i]) for part in columns],
        )
        factor, word = scale(max(*map(abs, means), *errors), unit, name)
        cells = [
            cell for mean, error in zip(means, errors, strict=True) for cell in rounded(mean * factor, error * factor)
        ]
        rows.append((name, *cells, word))
    reasons: dict[str, list[str]] = {}
    for name, reason in recorded.undetermined.items():
        reasons.setdefault(reason, []).append(name)
    notes = [str(claim["words"]) for claim in recorded.claims if claim["agrees"]]
    notes += [f"undetermined: {', '.join(names)} ({reason})" for reason, names in reasons.items()]
    misfit = recorded.measurement.misfit
    notes += [f"misfit {misfit:.3g}"] if math.isfinite(misfit) else []
    names = ", ".join(recording.signal.title or recording.name for recording in recorded.recordings)
    return table(
        f"{recorded.kind} of {names}",
        [*headings, ""],
        rows,
        [*notes, *recorded.measurement.notes],
        recorded.disagreements,
    )


def _plain(components: Iterable[Component]) -> list[dict[str, Any]]:
    return [
        {"weight": float(part.weight), "mean": part.mean.tolist(), "covariance": part.covariance.tolist()}
        for part in components
    ]


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def probability_below(measurement: Measurement, name: str, value: float) -> float:
    """The probability that a quantity is below ``value``."""
    index = measurement.index(name)
    return float(
        sum(
            component.weight * ndtr((value - component.mean[index]) / math.sqrt(component.covariance[index, index]))
            for component in measurement.components
        )
    )


def compare_claims(recorded: RecordedMeasurement) -> list[dict[str, object]]:
    """Each claim against what was measured: its values, and whether it agrees; those of what is undetermined are left out."""
    comparisons, measured = [], recorded.measurement
    origin = recorded.recordings[0].inputs.words.origin
    for claim in recorded.claimed:
        if claim.quantity not in measured.names or claim.quantity in measured.undetermined:
            continue
        index = measured.index(claim.quantity)
        likeliest = readings(measured)[0]
        mean, std, unit = (
            float(likeliest.mean[index]),
            math.sqrt(likeliest.covariance[index, index]),
            measured.units[index],
        )
        agrees = abs(probability_below(measured, claim.quantity, claim.value) - 0.5) <= 0.5 * CLAIM_INTERVAL
        factor, word = scale(max(abs(mean), std), unit, claim.quantity)
        number, error = rounded(mean * factor, std * factor)
        claimed = f"{claim.value * factor:.5g} {word}".rstrip()
        comparisons.append({
            "quantity": claim.quantity, "claimed": claim.value, "measured": mean, "error": std, "unit": unit, "agrees": agrees,
            "words": f"{origin} claims {claim.description} of {claimed}, measured {number} ± {error} {word}".rstrip(),
        })  # fmt: skip
    return comparisons


def disagreements(recorded: RecordedMeasurement) -> list[str]:
    """What disagrees, as sentences: claims, a misfit that is far above 1, a structure that does not fit."""
    messages = [str(comparison["words"]) for comparison in compare_claims(recorded) if not comparison["agrees"]]
    measured = recorded.measurement
    rejections = [reason for reason in measured.undetermined.values() if reason.startswith(NO_FIT)]
    if rejections:
        messages.append(rejections[0])
    if recorded.judged and math.isfinite(measured.misfit) and measured.misfit > MAX_MISFIT:
        messages.append(f"the misfit is {measured.misfit:.2g}, where a model that is right leaves 1")
    return list(dict.fromkeys(messages))


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
    )


def readings(measurement: Measurement) -> list[Component]:
    """The mixture with components that lie within each other's errors taken together: what a person would call its readings, likeliest first."""
    groups: list[list[Component]] = []
    for component in sorted(measurement.components, key=lambda part: -part.weight):
        for group in groups:
            if any(_near(component, other) for other in group):
                group.append(component)
                break
        else:
            groups.append([component])
    merged = []
    for group in groups:
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
    return bool((np.abs(first.mean - second.mean) < 3.0 * std).all())
