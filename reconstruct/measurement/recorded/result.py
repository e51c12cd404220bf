"""The measurement of recordings, its comparison with what they claim, and disagreements."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from reconstruct.measurement.measurement import Component, Map, Measurement
from reconstruct.measurement.outcome import DETERMINED, NO_FIT, Defect, FitCheck, Outcome
from reconstruct.measurement.recorded.claims import Claimed, compare_claims
from reconstruct.measurement.recorded.hyperspy import maps_to_hyperspy
from reconstruct.measurement.recorded.recording import Recording, Setting
from reconstruct.stream.observation import Observation
from twin.notebook import table
from twin.units import rounded, scale, shown

Tell = Callable[[str, float | None], None]
"""Called with the name of a step and the share of it that is done (None: not known)."""
MAX_COLUMNS = 4
"""Readings that are shown beside each other."""


@dataclasses.dataclass(frozen=True)
class RecordedMeasurement:
    """A ``measurement`` of a ``kind`` from ``recordings``, and what they claim of it.

    Quantities are a mixture of Gaussians: more than one of `components` are readings that the data cannot distinguish.
    """

    kind: str
    recordings: tuple[Recording, ...]
    measurement: Measurement
    claimed: tuple[Claimed, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "measurement", name_inputs(self.measurement, self.recordings[0].inputs.words.named))

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
        return self.measurement.readings

    @property
    def outcome(self) -> Outcome:
        """ "determined", "several readings", "the model does not fit" or "undetermined": see `Measurement.outcome`."""
        return self.measurement.outcome

    @property
    def checks(self) -> tuple[FitCheck, ...]:
        """The tests of the fit against the data."""
        return self.measurement.checks

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What was found in the data that is not of the specimen, and masked or fitted: of the preparation, then of the fit."""
        prepared = [defect for recording in self.recordings for defect in recording.defects]
        return (*dict.fromkeys(prepared), *self.measurement.defects)

    @property
    def agrees(self) -> bool:
        """Whether it is determined and nothing disagrees: the command's exit code is then 0."""
        return self.outcome == DETERMINED and not self.disagreements

    @property
    def undetermined(self) -> dict[str, str]:
        """The quantities that the data do not determine, each with the reason; they keep the width that they had before."""
        return dict(self.measurement.undetermined)

    @property
    def claims(self) -> list[dict[str, object]]:
        """What the recording claims, beside what was measured: quantity, claimed, measured, error, unit, agrees, words."""
        return compare_claims(self.measurement, self.claimed, self.recordings[0].inputs.words.origin)

    @property
    def disagreements(self) -> list[str]:
        """What disagrees, as sentences; empty where nothing does."""
        messages = [str(comparison["words"]) for comparison in self.claims if not comparison["agrees"]]
        messages += [f"{NO_FIT}: {check.finding}" for check in self.measurement.failed_checks]
        messages += self.measurement.contradictions
        return list(dict.fromkeys(messages))

    @property
    def settings(self) -> list[Setting]:
        """Every number that the measurement rests on, with its unit and source."""
        return [setting for recording in self.recordings for setting in recording.settings]

    def __getitem__(self, name: str) -> tuple[float, float]:
        """(mean, standard deviation) of one quantity; ValueError if it was not measured."""
        return self.measurement.value(name)

    def observation(self, time: int, names: tuple[str, ...] | None = None) -> Observation:
        """As the observation that `Stream.observe` takes at ``time`` (ns); only determined quantities, or those ``names``. ValueError for none."""
        return self.measurement.observation(time, names)

    def to_dict(self) -> dict[str, Any]:
        """All but the plots, as plain values in inside units; `covariance` and each quantity's value and error are of the whole mixture."""
        measured, first = self.measurement, self.recordings[0].signal
        return {
            "kind": self.kind,
            "outcome": self.outcome,
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
            "checks": [
                {"name": check.name, "value": _finite_or_none(check.value), "limit": check.limit, "passed": check.passed, "finding": check.finding}
                for check in self.checks
            ],
            "defects": [dataclasses.asdict(defect) for defect in self.defects],
            "electrons": _finite_or_none(measured.electrons),
            "claims": self.claims,
            "disagreements": self.disagreements,
            "notes": list(measured.notes),
            **({"details": dict(measured.details)} if measured.details else {}),
            **({"maps": self.maps_to_dict()} if getattr(self.recordings[0].inputs.known, "map", False) else {}),
        }  # fmt: skip

    @property
    def maps(self) -> tuple[Map, ...]:
        """Quantities of each spectrum of an image; empty for other kinds."""
        return self.measurement.maps

    def maps_to_dict(self) -> list[dict[str, Any]]:
        """The maps as plain values; None where there is no value."""
        return [
            {
                "name": item.name, "unit": item.unit, "values": _grid(item.values), "errors": _grid(item.errors),
                "common_error": item.common, "extent": list(item.extent), "extent_unit": item.extent_unit,
            }
            for item in self.maps
        ]  # fmt: skip

    def to_hyperspy(self) -> list[Any]:
        """The maps as HyperSpy signals, each with its errors as variance; ImportError where HyperSpy is not installed."""
        return maps_to_hyperspy(self.maps)

    def __repr__(self) -> str:
        known = [
            f"{name} {shown(*self[name], unit)}" for name, unit in self.units.items() if name not in self.undetermined
        ]
        return f"<{self.kind}, {self.outcome}: {'; '.join(known) or 'nothing is determined'}>"

    def _repr_html_(self) -> str:
        """Quantities with errors, one pair of columns for each reading; claims, what is open, and what disagrees below."""
        return html_of(self)


def name_inputs(measurement: Measurement, named: Callable[[str], str]) -> Measurement:
    """A measurement whose texts call inputs as the user does, by ``named``."""
    return dataclasses.replace(
        measurement,
        undetermined={name: named(reason) for name, reason in measurement.undetermined.items()},
        checks=tuple(dataclasses.replace(check, finding=named(check.finding)) for check in measurement.checks),
        contradictions=tuple(map(named, measurement.contradictions)),
        notes=tuple(map(named, measurement.notes)),
    )


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
    notes += [f"{defect.treatment}: {defect.description}" for defect in recorded.defects]
    names = ", ".join(recording.signal.title or recording.name for recording in recorded.recordings)
    return table(
        f"{recorded.kind} of {names}: {recorded.outcome}",
        [*headings, ""],
        rows,
        [*notes, *recorded.measurement.notes],
        recorded.disagreements,
        f"l{'rr' * len(columns)}l",
    )


def _grid(values: np.ndarray) -> list[list[float | None]]:
    return [[_finite_or_none(value) for value in row] for row in values.tolist()]


def _plain(components: Iterable[Component]) -> list[dict[str, Any]]:
    return [
        {"weight": float(part.weight), "mean": part.mean.tolist(), "covariance": part.covariance.tolist()}
        for part in components
    ]


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
