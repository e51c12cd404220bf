"""What a spectrum is made of: axis, zero loss, valence losses, edges, backgrounds and camera, and so which parameters it has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twin.checks import require, require_float64
from twin.eels.spectrum import detector, dielectric, parameters
from twin.eels.spectrum.axis import Axis
from twin.eels.spectrum.edges import Edge
from twin.eels.spectrum.parameters import Parameter


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured zero loss, or low loss as a whole: ``values`` (counts) on channels of the spectrum's dispersion, zero loss in ``zero_channel``.

    ``recorded``: the same camera recorded it, so that it contains the width and the spread of channels.
    """

    values: Float[np.ndarray, " n"]
    zero_channel: float
    recorded: bool = True


@dataclass(frozen=True, eq=False)
class SpectrumModel:
    """What a spectrum is made of; see `spectrum_model`. ``energy`` of the beam in eV, ``collection`` semi-angle in radian (0: losses are collected alike)."""

    axis: Axis
    energy: float
    collection: float
    measured: Measured | None
    terms: int
    gap: float | None
    table: dielectric.Table | None
    surface: bool
    edges: tuple[Edge, ...]
    backgrounds: int
    reference: float
    parameters: tuple[Parameter, ...]

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements with edges, in order."""
        return tuple(dict.fromkeys(at.element for at in self.edges))

    @property
    def low(self) -> bool:
        """Whether there are valence losses."""
        return self.terms > 0 or self.table is not None

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; ValueError if there is none."""
        for item in self.parameters:
            if item.name == name:
                return item
        raise ValueError(
            f"the spectrum has no parameter {name!r}; it has {', '.join(item.name for item in self.parameters)}"
        )


def spectrum_model(
    axis: Axis,
    energy: float,
    *,
    collection: float = 0.0,
    measured: Measured | None = None,
    plasmons: Sequence[tuple[float, float, float]] = (),
    gap: float | None = None,
    gap_exponent: float = 0.5,
    table: dielectric.Table | None = None,
    surface: bool = False,
    edges: Sequence[Edge] = (),
    backgrounds: int = 0,
    reference: float | None = None,
    pattern: bool = False,
    excess: bool = False,
) -> SpectrumModel:
    """A spectrum on ``axis`` of a beam of ``energy`` eV, with a spectrometer that takes in the semi-angle ``collection`` in radian.

    The zero loss is the model shape of `zero_loss.field_emission`, or a ``measured`` one. Valence losses are ``plasmons`` (energy, width, strength), above a
    ``gap`` in eV where one is given, or those of a dielectric ``table``, with both ``surface`` where that is asked for; without either t/lambda has no
    meaning and there are none. Then ``edges``, and ``backgrounds`` power laws of electrons at the ``reference`` energy in eV (default: the middle of the
    axis). ``pattern``: each channel has a gain of its own; ``excess``: electrons make unlike numbers of counts. Electrons are spread over channels where
    the axis has a ``reach``. ValueError naming the edge that lies outside of the axis, or what contradicts.
    """
    require_float64()
    require(
        not (plasmons and table is not None),
        "plasmons and a dielectric function both say what valence electrons lose; give one",
    )
    require(
        not surface or table is not None,
        "losses by surfaces follow from a dielectric function; give table, or leave surface out",
    )
    require(
        table is None or collection > 0.0,
        "losses by a dielectric function need the collection semi-angle; give it in radian, above 0",
    )
    require(
        gap is None or len(plasmons) > 0,
        "a gap is one of plasmons' losses; give plasmons, or a dielectric function that has the gap",
    )
    require(
        backgrounds == 0 or axis.offset > 0.0,
        f"a power law has no value at zero loss, and the axis begins at {axis.offset:g} eV; leave backgrounds out: valence losses have their own tail",
    )
    last = float(axis.energies[-1])
    begin = axis.base * axis.dispersion / axis.oversampling
    for at in edges:
        require(
            begin <= at.onset < last,
            f"{at.label} at {at.onset:g} eV lies outside of {max(begin, axis.offset):.4g} to {last:.4g} eV; leave it out, or record a range that holds it",
        )
    listed = [
        *parameters.scale_parameters(axis.offset, axis.dispersion),
        *(parameters.zero_loss_parameters() if measured is None else ()),
        *(parameters.low_loss_parameters(plasmons, gap, surface) if plasmons or table is not None else ()),
        *parameters.edge_parameters(edges),
        *parameters.background_parameters(backgrounds, middle := reference or float(np.mean(axis.energies))),
        *detector.detector_parameters(axis.reach > 0, axis.channels if pattern else 0, excess),
    ]
    return SpectrumModel(
        axis, energy, collection, measured, len(plasmons), gap_exponent if gap is not None else None, table, surface, tuple(edges), backgrounds,
        middle, tuple(listed),
    )  # fmt: skip
