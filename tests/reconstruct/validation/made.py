"""Evidence and claims made by hand for the tests of judgements."""

import numpy as np

from reconstruct.measurement.measurement import Component
from reconstruct.validation.evidence import Evidence, Source, Statement, gaussian
from twin.channels import field
from twin.records import Claim


def claims_of(**values: float) -> dict[str, Claim]:
    """Claims by field name, with "__" for the dot of a name."""
    names = {name.replace("__", "."): value for name, value in values.items()}
    return {name: Claim(value, field(name).unit, name, f"{value:g}") for name, value in names.items()}


def measured(name: str, terms: dict[str, float], value: float, error: float, source: Source = "data") -> Evidence:
    """One logarithmic statement."""
    return Evidence(
        name, source, (Statement(name, terms),), gaussian([np.log(value)], [error]), f"{name} is {value:g}."
    )


def linear(name: str, field_name: str, value: float, error: float, period: float = 0.0) -> Evidence:
    """One statement on a signed field or an angle."""
    form = "circle" if period else "linear"
    return Evidence(name, "data", (Statement(name, {field_name: 1.0}, form, period),), gaussian([value], [error]), "")


def mixed(name: str, field_name: str, parts: list[tuple[float, float, float]]) -> Evidence:
    """A linear statement with several components (weight, mean, error)."""
    components = tuple(Component(weight, np.array([mean]), np.array([[error**2]])) for weight, mean, error in parts)
    return Evidence(name, "data", (Statement(name, {field_name: 1.0}, "linear"),), components, "")
