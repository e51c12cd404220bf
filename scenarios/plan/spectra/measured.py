"""What one energy-loss spectrum of the field tells of a quantity."""

import math

import numpy as np

from learn.feasibility.measuring.assessment import Measurement, measurement
from learn.feasibility.measuring.sensitivity import Sensitivity
from learn.feasibility.scans import Window
from learn.feasibility.spectra.image import BACKGROUND, CROSS_SECTION, EXPONENT, OFFSET
from learn.feasibility.spectra.information import (
    GAIN,
    THICKNESS,
    SpectralInformation,
    SpectralQuantity,
    spectral_information,
)
from learn.information import fisher_information
from scenarios.io.errors import BadInput
from scenarios.plan.spectra.edges import areal_of, edge_of, key_of, onset_of, parted, spectrum_of
from scenarios.plan.spectra.image import BEFORE
from scenarios.question.options import SpectrumOption
from scenarios.question.tables import Question
from twin.errors import from_twin
from twin.sample.specimen import Specimen

BELOW_ZERO = 20.0
"""Energy in eV that is recorded below the zero loss, by default."""
TRACE = 1e-6
"""Share of an element's atoms that one which is not there yet has, so that its edge is known."""


def spectral_quantity(question: Question) -> SpectralQuantity:
    """The quantity of a question that spectra tell; BadInput naming the key for one that they do not."""
    given = question.quantity
    if given is None or question.asked.std is None:
        missing = "quantity" if given is None else "asked.std"
        raise BadInput(
            question.name, f"key {missing} is missing", 'A question of kind "measure" has [quantity] and asked.std.'
        )
    if given.kind == "composition" and given.element is None:
        raise BadInput("quantity.element", "is missing", "Name the element whose composition is measured.")
    if given.kind == "composition" and given.over is not None and given.by is not None:
        raise BadInput(
            "quantity.over", "and quantity.by are both given", "Give one: a ratio of atoms, or a share of sites."
        )
    if given.kind == "edge_shift" and given.edge is None:
        raise BadInput("quantity.edge", "is missing", 'Name the edge whose shift is measured, as in "Ti L".')
    return SpectralQuantity(given.kind, given.element, given.over, given.by, given.edge)  # pyright: ignore[reportArgumentType]


def information_of(question: Question, option: SpectrumOption, specimen: Specimen) -> SpectralInformation:
    """What one spectrum of the field of ``specimen`` tells, for each electron. BadInput, naming the key, for what the spectrum does not have."""
    asked = spectral_quantity(question)
    areal, thickness = areal_of(specimen), specimen.thickness
    for element, cause in ((asked.element, "element"), (asked.over, "over")):
        if element is not None and element not in areal:
            raise BadInput(f"quantity.{cause}", f"the specimen has no {element}", f"Give one of {', '.join(areal)}.")
    if asked.by is not None:
        areal.setdefault(asked.by, TRACE * areal[str(asked.element)])
    offset = _first(question, option, asked, areal, thickness)
    ready = spectrum_of(
        question, option, areal, thickness, offset, option.dispersion, option.channels, option.resolution
    )
    unknown, free = question.unknown, math.inf
    priors = {
        GAIN: free if unknown.gain is None else unknown.gain, OFFSET: unknown.energy_offset,
        BACKGROUND: free if unknown.background is None else unknown.background, EXPONENT: free if unknown.exponent is None else unknown.exponent,
        THICKNESS: unknown.thickness * ready.t_over_lambda / thickness,
        **{CROSS_SECTION + at.label: unknown.cross_section for at in ready.model.edges},
    }  # fmt: skip
    try:
        return spectral_information(ready, asked, priors)
    except ValueError as error:
        cure = "Move the range of the spectrum (offset, dispersion, channels) to it."
        raise from_twin(f"{key_of(question, option)}.offset", error, cure) from None


def _first(
    question: Question, option: SpectrumOption, asked: SpectralQuantity, areal: dict[str, float], thickness: float
) -> float:
    """Energy in eV of the first channel: as given, or below what is asked for."""
    if option.offset is not None:
        return option.offset
    if asked.kind == "edge_shift" or option.edge is not None:
        label = str(asked.edge if asked.kind == "edge_shift" else option.edge)
        edge_of(question, _named(option, label), areal, thickness, [])
        return round(onset_of(*parted(label))) - BEFORE
    if asked.kind == "composition":
        wanted = [element for element in (asked.by or asked.element, asked.over) if element is not None]
        labels = [edge_of(question, option, areal, thickness, [element]) for element in wanted]
        return round(min(onset_of(*parted(label)) for label in labels)) - BEFORE
    return -BELOW_ZERO


def _named(option: SpectrumOption, label: str) -> SpectrumOption:
    return SpectrumOption(edge=label, collection_mrad=option.collection_mrad)


def spectral_measurement(question: Question, option: SpectrumOption, specimen: Specimen) -> Measurement:
    """How well one spectrum of the field measures the quantity; limits are those of all else being known, without readout noise."""
    told = information_of(question, option, specimen)
    area = specimen.extent[0] * specimen.extent[1]
    limit = fisher_information(told.jacobian[:, :1], told.rates, 1.0)[0, 0]
    columns = {
        name: told.jacobian[None, :, number] for number, name in enumerate(told.names) if number and name != GAIN
    }
    window = Window(np.zeros((1, 2)), (1, 1), (specimen.extent[0], specimen.extent[1]))
    seen = Sensitivity(
        told.rates[None], told.jacobian[None, None, :, 0], columns, window, float(limit), option.readout**2
    )
    priors = dict(zip(told.names, told.priors, strict=True))
    priors.setdefault(GAIN, 0.0)
    return measurement(seen, priors, 0.0, float(question.asked.std or math.nan), area, 1.0, told.names[:1])
