"""What an option costs at a dose: electrons, time and data; and which limits it exceeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scenarios.plan.damage import Damage
from scenarios.question.options import CameraOption, ImageOption, OptionPlan, PatternOption, SpectrumOption
from scenarios.question.parts import InstrumentPlan
from scenarios.question.tables import Question
from twin.optics.electrons import ELEMENTARY_CHARGE


class Costs(NamedTuple):
    """Of the whole field: ``electrons``, ``seconds`` with setting up and a change of mode, ``megabytes`` of data, the ``dwell`` time (second) at a place, and
    the ``price`` of the time (nan: none is given)."""

    electrons: float
    seconds: float
    megabytes: float
    dwell: float
    price: float = math.nan


def costs_of(
    question: Question, option: OptionPlan, dose: float, extent: tuple[float, float], places: float, channels: int
) -> Costs:
    """Costs of recording the field ``extent`` (x, y) in angstrom at ``dose`` electrons per square angstrom on a number of ``places``; nan for an infinite dose.

    A dwell time shorter than detector or scan allow is made of a smaller current.
    """
    if not math.isfinite(dose):
        return Costs(math.nan, math.nan, math.nan, math.nan)
    electrons, seconds, megabytes, dwell = _recording(question.instrument, option, dose, extent, places, channels)
    instrument = question.instrument
    change = instrument.mode_change if isinstance(option, ImageOption) != (instrument.mode == "tem") else 0.0
    seconds += instrument.overhead + change
    price = math.nan if instrument.price_per_hour is None else instrument.price_per_hour * seconds / 3600.0
    return Costs(electrons, seconds, megabytes, dwell, price)


def _recording(
    instrument: InstrumentPlan,
    option: OptionPlan,
    dose: float,
    extent: tuple[float, float],
    places: float,
    channels: int,
) -> tuple[float, float, float, float]:
    """Electrons, seconds, megabytes and dwell of the recording alone."""
    electrons = dose * extent[0] * extent[1]
    if isinstance(option, ImageOption):
        exposure = max(dose / option.flux, option.seconds)
        return electrons, exposure, 1e-6 * places * option.bytes_per_pixel, exposure
    if isinstance(option, PatternOption):  # of the place and of every reference
        exposure = max(electrons * ELEMENTARY_CHARGE / (1e-12 * instrument.current_pA) / places, option.seconds)
        return electrons, places * exposure, 1e-6 * places * channels * option.bytes_per_pixel, exposure
    dwell = electrons * ELEMENTARY_CHARGE / (1e-12 * instrument.current_pA) / places
    least = instrument.dwell_least
    size = 4.0
    if isinstance(option, CameraOption):
        least, size = max(least, 1.0 / option.frames_per_second), option.bytes_per_pixel
    elif isinstance(option, SpectrumOption):
        least, size = max(least, option.seconds), option.bytes_per_channel
    dwell = max(dwell, least)
    return electrons, places * dwell + math.sqrt(places) * instrument.flyback, 1e-6 * places * channels * size, dwell


def over_limits(
    question: Question, dose: float, wanted: str, costs: Costs, damages: Sequence[Damage] = (), reason: str = ""
) -> tuple[str, ...]:
    """What keeps an option that needs ``dose`` (electrons per square angstrom) for what is ``wanted`` from answering the question, in words; ``reason``: why
    no dose is enough."""
    limits = question.limits
    if not math.isfinite(dose):
        return (f"no dose gives {wanted}: {reason}",)
    exceeded = []
    if limits.dose is not None and dose > limits.dose:
        times = dose / limits.dose
        exceeded.append(f"needs {dose:.2g} e/Å², {times:.3g} times the limit")
    for damage in damages:
        if dose > damage.dose:
            exceeded.append(f"needs {dose:.2g} e/Å², which {damage.words} from {damage.dose:.2g} e/Å² on")
    if limits.time is not None and costs.seconds > limits.time:
        exceeded.append(f"takes {costs.seconds:.3g} s, the limit is {limits.time:g} s")
    if limits.megabytes is not None and costs.megabytes > limits.megabytes:
        exceeded.append(f"makes {costs.megabytes:.3g} MB, the limit is {limits.megabytes:g} MB")
    return tuple(exceeded)
