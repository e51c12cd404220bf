"""Parameters of a spectrum: a mapping of names to float64 arrays, each with a unit, a default and bounds, and the same as one flat vector.

``counts``, ``t_over_lambda``, ``offset``, areal densities and backgrounds may have leading axes, one value for each spectrum of an image; all others are
shared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
from jaxtyping import Array, Float

from twin.checks import float64, known
from twin.eels.spectrum.edges import Edge, fine_count

Values = Mapping[str, Any]
"""Parameters by name: numbers or arrays."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: ``default`` (numbers for a vector), bounds ``low`` (excluded where ``open``) and ``high``; ``each``: may differ from spectrum to spectrum;
    ``size`` 0: a number."""

    name: str
    unit: str
    default: float
    low: float = -np.inf
    high: float = np.inf
    doc: str = ""
    each: bool = False
    open: bool = False
    size: int = 0


def scale_parameters(offset: float, dispersion: float) -> list[Parameter]:
    """Electrons, thickness and energy axis."""
    return [
        Parameter("counts", "electron", 1e6, 0.0, doc="electrons that enter the spectrometer, in all", each=True),
        Parameter("offset", "electronvolt", offset, doc="energy loss in the centre of the first channel", each=True),
        Parameter("dispersion", "electronvolt", dispersion, 0.0, doc="energy of a channel", open=True),
    ]


def zero_loss_parameters() -> list[Parameter]:
    """The model shape of the zero loss."""
    unit = "electronvolt"
    return [
        Parameter("zero_loss.gaussian", unit, 0.35, 0.0, doc="rms of its Gaussian part", open=True),
        Parameter("zero_loss.loss_tail", unit, 0.15, 0.0, doc="length of its exponential tail towards losses", open=True),
        Parameter("zero_loss.gain_tail", unit, 0.05, 0.0, doc="length of its exponential tail towards gains", open=True),
    ]  # fmt: skip


def low_loss_parameters(
    plasmons: Sequence[tuple[float, float, float]], gap: float | None, surface: bool
) -> list[Parameter]:
    """Thickness and the shape of single losses; ``plasmons``: energy, width, strength of terms, the first one's strength being the unit."""
    unit = "electronvolt"
    given = [Parameter("t_over_lambda", "1", 0.5, 0.0, doc="thickness over the inelastic mean free path", each=True)]
    for number, (energy, width, strength) in enumerate(plasmons, 1):
        name = f"plasmon{number}"
        given.append(Parameter(f"{name}.energy", unit, energy, 0.0, doc="energy of an oscillator", open=True))
        given.append(Parameter(f"{name}.width", unit, width, 0.0, doc="its full width at half maximum", open=True))
        if number > 1:
            doc = "its oscillator strength over that of plasmon1"
            given.append(Parameter(f"{name}.strength", "1", strength / plasmons[0][2], 0.0, doc=doc))
    if gap is not None:
        given.append(Parameter("gap.energy", unit, gap, 0.0, doc="band gap, below which nothing is lost"))
        given.append(Parameter("gap.softness", unit, 0.1, 0.0, doc="energy over which it opens", open=True))
    if surface:
        given.append(
            Parameter("surface.scale", "1", 1.0, 0.0, doc="losses at both faces over those of ideal ones", each=True)
        )
    return given


def edge_parameters(edges: Sequence[Edge]) -> list[Parameter]:
    """Areal densities of the elements, and the shape of each edge."""
    elements = dict.fromkeys(at.element for at in edges)
    unit = "1/angstrom^2"
    given = [
        Parameter(f"{element}.areal_density", unit, 0.0, 0.0, doc="atoms per area", each=True) for element in elements
    ]
    for at in edges:
        given += [msgspec.structs.replace(item, name=f"{at.label}.{item.name}") for item in _shape(at)]
    return given


def _shape(at: Edge) -> list[Parameter]:
    unit, share = "electronvolt", "1"
    shape = [
        Parameter("shift", unit, 0.0, doc="of all its onsets and lines from those of the table"),
        Parameter("onset_width", unit, 0.5, 0.0, doc="full width of the onset's Lorentzian", open=True),
    ]
    if at.white:
        shape += [
            Parameter(
                "white_lines",
                share,
                at.white_area,
                0.0,
                doc="their area over that of the continuum from 50 to 100 eV above the onset",
            ),
            Parameter(
                "ratio", share, 2.0, 0.0, doc="area of the first onset's lines over that of the second's (L3/L2)"
            ),
            Parameter("line_width", unit, 1.0, 0.0, doc="full width of the first onset's lines", open=True),
            Parameter(
                "line_width_ratio", share, 1.3, 0.0, doc="width of the second onset's lines over that", open=True
            ),
        ]
    if at.split:
        shape += [
            Parameter("crystal_field", unit, 2.0, doc="splitting of t2g (lower, where it is positive) and eg"),
            Parameter(
                "eg_share",
                share,
                0.4,
                0.0,
                1.0,
                doc="share of a line's area in eg: 4 of 10 empty states where d is empty",
            ),
        ]
    for number in range(1, at.lines + 1):
        shape += [
            Parameter(f"line{number}.position", unit, 5.0 * number, doc="of a line, from the first onset"),
            Parameter(f"line{number}.width", unit, 3.0, 0.0, doc="its full width at half maximum", open=True),
            Parameter(f"line{number}.area", share, 0.0, doc="its area over that of the continuum from 50 to 100 eV"),
        ]
    if at.knots:
        doc = (
            "fine structure: coefficients of cubic B-splines by which the continuum is more than the atom's, as a share"
        )
        shape.append(Parameter("fine", share, 0.0, doc=doc, size=fine_count(at)))
    return shape


def background_parameters(count: int, reference: float) -> list[Parameter]:
    """Power laws below edges, of electrons at the ``reference`` energy in eV."""
    given = []
    for number in range(1, count + 1):
        name = f"background{number}"
        doc = f"electrons per eV at {reference:g} eV"
        given.append(Parameter(f"{name}.level", "electron/electronvolt", 0.0, 0.0, doc=doc, each=True))
        given.append(Parameter(f"{name}.exponent", "1", 3.0, doc="r of E^-r", each=True))
    return given


def defaults(parameters: Sequence[Parameter]) -> dict[str, Array]:
    """Every parameter at its default, as float64."""
    return {item.name: float64(np.full(item.size, item.default) if item.size else item.default) for item in parameters}


def completed(parameters: Sequence[Parameter], values: Values) -> dict[str, Array]:
    """``values`` with defaults for what is missing, as float64; ValueError naming the parameter for an unknown name, a wrong shape, or a value out of
    bounds."""
    known_names = {item.name: item for item in parameters}
    for name in values:
        if name not in known_names:
            raise ValueError(f"the spectrum has no parameter {name!r}; it has {', '.join(known_names)}")
    full = {**defaults(parameters), **{name: float64(value) for name, value in values.items()}}
    for name, value in full.items():
        _check(known_names[name], value)
    return full


def _check(item: Parameter, value: Array) -> None:
    tail = (item.size,) if item.size else ()
    if (not item.each and value.shape != tail) or (item.each and tail and value.shape[-len(tail) :] != tail):
        cure = "one number for all spectra" if not tail else f"{item.size} numbers for all spectra"
        raise ValueError(f"{item.name} has the shape {value.shape}; give {cure}")
    if not known(value):
        return
    number = np.asarray(value)
    low = number > item.low if item.open else number >= item.low
    if not bool((np.isfinite(number) & low & (number <= item.high)).all()):
        span = f"{'above' if item.open else 'of at least'} {item.low:g}" if np.isfinite(item.low) else "finite"
        span += f" and at most {item.high:g}" if np.isfinite(item.high) else ""
        wrong = number.ravel()[int(np.argmin((np.isfinite(number) & low & (number <= item.high)).ravel()))]
        raise ValueError(f"{item.name} is {wrong:g} {item.unit}, and must be {span}; it is the {item.doc}")


def flatten(values: Values, names: Sequence[str]) -> Float[Array, " n"]:
    """The parameters ``names`` as one vector, in that order, arrays row by row."""
    return jnp.concatenate([jnp.ravel(float64(values[name])) for name in names])


def unflatten(vector: Float[Array, " n"], values: Values, names: Sequence[str]) -> dict[str, Any]:
    """``values`` with the parameters ``names`` taken from a vector of `flatten`; the shapes are those in ``values``. ValueError for another length."""
    updated, start = dict(values), 0
    total = sum(int(np.prod(np.shape(values[name]), dtype=int)) for name in names)
    if total != vector.shape[0]:
        raise ValueError(f"the vector has {vector.shape[0]} numbers, the parameters {total}; flatten the same names")
    for name in names:
        shape = np.shape(values[name])
        count = int(np.prod(shape, dtype=int))
        updated[name] = jnp.reshape(vector[start : start + count], shape)
        start += count
    return updated


def labels(values: Values, names: Sequence[str]) -> tuple[str, ...]:
    """The name of each number of `flatten`: ``counts[3]`` for those of arrays."""
    listed: list[str] = []
    for name in names:
        shape = np.shape(values[name])
        listed += [name] if not shape else [f"{name}{list(index)}" for index in np.ndindex(shape)]
    return tuple(listed)
