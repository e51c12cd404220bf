"""What a question of kind "map" asks, checked against what the instrument's data hold, before anything moves."""

import math
from pathlib import Path
from typing import NamedTuple

import msgspec

from learn.mapping.dosed.plan import DosedPlan, check_dosed
from learn.mapping.loop import first_pixels
from reconstruct.measurement.scanned import PixelData, QuantityName, pixel_quantity, quantity_named
from scenarios.io.errors import BadInput
from scenarios.question.area import AreaPlan
from scenarios.question.options import CameraOption, SpectrumOption
from scenarios.question.tables import Question
from twin.optics.electrons import ELEMENTARY_CHARGE
from twin.records import Axis

BELOW_EDGE, BELOW_ZERO = 10.0, 10.0
"""eV that are recorded before the background of an edge, and below the zero loss, where a question gives no offset."""
SURVEYED = 20.0
"""Dwell times of the survey in one of the data, where a question does not say."""
MILLI = {"electronvolt": 1.0, "radian": 1e-3}
"""What one unit of asked.std is, of a quantity's own: eV and mrad; else shares."""


class WantedMap(NamedTuple):
    """The quantity by ``name``, with the area, the option that records it, and what is asked."""

    name: QuantityName
    area: AreaPlan
    option: SpectrumOption | CameraOption
    plan: DosedPlan

    @property
    def survey(self) -> float:
        """Dwell time of a pixel of the survey in seconds."""
        return survey_dwell(self.area, self.plan.dwell)

    @property
    def collection(self) -> float | None:
        """Collection semi-angle in mrad that the option gives."""
        return self.option.collection_mrad if isinstance(self.option, SpectrumOption) else None


def wanted_map(question: Question) -> WantedMap:
    """What a question asks of an area; BadInput naming the key for what cannot be mapped so."""
    assert question.area is not None
    assert question.quantity is not None
    area = question.area
    name = quantity_named(str(question.quantity.name))
    if name.form == "com magnitude":
        problem = f"{name.text!r} is larger the fewer electrons there are: no map of it is right at every dose"
        raise BadInput("quantity.name", problem, 'Ask for "centre of mass x" and "centre of mass y".')
    option = _option(question, name)
    if area.expected is None and name.content == "pattern":
        problem = f"{name.text!r} is of patterns, and without a recording the area has spectra alone"
        raise BadInput("area.expected", problem, "Name a 4D-STEM scan, such as emtwin simulate 4d-stem makes.")
    return WantedMap(name, area, option, _plan(question, area, option, name))


def _option(question: Question, name: QuantityName) -> SpectrumOption | CameraOption:
    wanted = SpectrumOption if name.content == "spectrum" else CameraOption
    fitting = [each for each in question.options() if isinstance(each, wanted)]
    if not fitting:
        technique = "eels" if name.content == "spectrum" else "4d-stem"
        problem = f"none records {name.text!r}, which is of {'spectra' if name.content == 'spectrum' else 'patterns'}"
        raise BadInput("option", problem, f'Give [[option]] with technique = "{technique}", or leave options out.')
    option = fitting[0]
    if isinstance(option, SpectrumOption) and option.offset is None:
        return msgspec.structs.replace(option, offset=_offset(name))
    return option


def _offset(name: QuantityName) -> float:
    """Energy of the first channel: below the background of an edge, or below what is summed; else below the zero loss."""
    if name.form == "edge":
        return math.floor(name.background[0] - BELOW_EDGE)
    return math.floor(name.limits[0] - BELOW_EDGE) if name.form == "window" else -BELOW_ZERO


def _plan(question: Question, area: AreaPlan, option: SpectrumOption | CameraOption, name: QuantityName) -> DosedPlan:
    instrument, limits = question.instrument, question.limits
    current = 1e-12 * instrument.current_pA / ELEMENTARY_CHARGE
    dwell = option.seconds if isinstance(option, SpectrumOption) else 1.0 / option.frames_per_second
    assert question.asked.std is not None
    unit = _unit(name)
    most = None
    if limits.dose is not None:
        spared = limits.dose * area.pixel**2 - current * survey_dwell(area, dwell)
        most = spared / (current * dwell)
    plan = DosedPlan(
        question.asked.std * MILLI.get(unit, 1.0), unit == "count", dwell, instrument.flyback, current, question.asked.everywhere, most, limits.time,
        seed=question.seed, readout=option.readout,
    )  # fmt: skip
    if area.expected is None:
        check_limits(plan, area, (area.ny, area.nx))
    return plan


def check_limits(plan: DosedPlan, area: AreaPlan, shape: tuple[int, int]) -> None:
    """BadInput for an area that is too large, and for limits below what the first exposures take."""
    check_dosed(plan, shape)
    count, flyback = shape[0] * shape[1], plan.visit
    least = count * survey_dwell(area, plan.dwell) + shape[0] * flyback + first_pixels(count) * (plan.dwell + flyback)
    if plan.seconds is not None and plan.seconds < least:
        problem = f"is {plan.seconds:g} s; the survey and the first exposures take {least:.3g} s"
        raise BadInput("limits.time", problem, "Allow more time, or a smaller area.")


def survey_dwell(area: AreaPlan, dwell: float) -> float:
    """Dwell time of a pixel of the survey in seconds, by the shortest ``dwell`` time of the data."""
    return dwell / SURVEYED if area.survey is None else area.survey


def _unit(name: QuantityName) -> str:
    """The unit of a quantity's values; of a centre of mass by the camera's, in angles."""
    units = {
        "plasmon": "electronvolt",
        "zero loss": "electronvolt",
        "thickness": "1",
        "com x": "radian",
        "com y": "radian",
    }
    return units.get(name.form, "count")


def check_spectra(wanted: WantedMap, energy: float) -> None:
    """BadInput where spectra of the option do not hold the quantity; ``energy`` of the beam in eV."""
    option = wanted.option
    assert isinstance(option, SpectrumOption)
    axis = Axis("energy_loss", option.channels, option.dispersion, float(option.offset or 0.0), "electronvolt")
    pixel_quantity(wanted.name, PixelData((axis,), 1.0, "given", energy))


def file_of(question: Question, name: str | None, key: str) -> Path | None:
    """A file that a question names, relative to its own; BadInput where there is none."""
    if name is None:
        return None
    path = Path(question.folder) / name
    if not path.exists():
        raise BadInput(key, f"there is no {path}", "Check the path, which is relative to the question's file.")
    return path.resolve()
