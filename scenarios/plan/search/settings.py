"""Settings of an option: what it has, what may vary, and the option that has others."""

from collections.abc import Mapping

import msgspec

from scenarios.question.options import (
    AnnularOption,
    CameraOption,
    ImageOption,
    OptionPlan,
    PatternOption,
    SegmentedOption,
    SpectrumOption,
)
from scenarios.question.parts import SearchPlan
from scenarios.question.tables import Question

KEYS = {
    "semiangle": "semiangle_mrad", "defocus": "defocus", "inner": "inner_mrad", "outer": "outer_mrad", "reach": "reach_mrad",
    "aperture": "aperture_mrad", "c30": "cs_mm",
}  # fmt: skip
"""Keys of a question by the names that a search has for them."""
UNITS = {"defocus": 1.0, "c30": 1e-7}
"""What one of a setting inside is in the unit of its key; of angles 1e3."""
DIGITS = {"defocus": 0, "cs_mm": 5}
"""Digits behind the point to which advice is rounded; of angles 1."""
BAND = 0.8
"""Largest objective aperture as a share of the angles that are computed: an image has twice the band of its waves."""
LEAST_RING = 1.0
"""Mrad that a ring is wide at least."""


def given_of(option: OptionPlan, question: Question) -> dict[str, float]:
    """Settings of an option by the names of a search: angstrom and radian."""
    alpha = question.instrument.semiangle_mrad
    if isinstance(option, ImageOption):
        return {"defocus": option.defocus, "c30": 1e7 * option.cs_mm, "aperture": 1e-3 * option.aperture_mrad}
    settings = {"semiangle": 1e-3 * alpha, "defocus": question.instrument.defocus}
    if isinstance(option, AnnularOption | SegmentedOption):
        outer = alpha if option.outer_mrad is None else option.outer_mrad
        return {**settings, "inner": 1e-3 * option.inner_mrad, "outer": 1e-3 * outer}
    if isinstance(option, SpectrumOption):
        return settings
    return {**settings, "reach": 1e-3 * (option.reach_mrad or 3.0 * alpha)}


def ranges_of(option: OptionPlan, search: SearchPlan, alpha: float, reach: float) -> dict[str, tuple[float, float]]:
    """Bounds of what may vary of an option, in angstrom and radian; ``alpha`` and ``reach`` in mrad bound the semi-angle and all angles."""
    low, high = search.semiangle_mrad or (min(8.0, 0.5 * alpha), alpha)
    rings = search.inner_mrad or (0.0, 0.9 * reach), search.outer_mrad or (2.0 * LEAST_RING, reach)
    bounds: dict[str, tuple[float, float]] = {}
    if isinstance(option, ImageOption):
        aperture = search.aperture_mrad or (min(8.0, 0.4 * BAND * reach), min(40.0, BAND * reach))
        bounds = {"defocus": search.defocus, "aperture": aperture, "c30": search.cs_mm}
    elif isinstance(option, AnnularOption | SegmentedOption):
        bounds = {"semiangle": (low, high), "defocus": search.defocus, "inner": rings[0], "outer": rings[1]}
    else:
        bounds = {"semiangle": (low, high), "defocus": search.defocus, "reach": search.reach_mrad or (low, reach)}
    varied = {"angles": ("inner", "outer"), "cs": ("c30",)}
    names = {name for each in search.varied for name in varied.get(each, (each,))}
    return {
        name: (pair[0] / _unit(name), pair[1] / _unit(name)) for name, pair in bounds.items() if name in names
    }  # fmt: skip


def told(settings: Mapping[str, float]) -> dict[str, float]:
    """By the keys of a question, rounded."""
    values = {KEYS[name]: value * _unit(name) for name, value in settings.items()}
    return {name: round(value, DIGITS.get(name, 1)) + 0.0 for name, value in values.items()}


def inside(settings: Mapping[str, float]) -> dict[str, float]:
    """From the keys of a question back to the names and units of a search."""
    names = {key: name for name, key in KEYS.items()}
    return {names[key]: value / _unit(names[key]) for key, value in settings.items()}


def with_settings(option: OptionPlan, settings: Mapping[str, float], sectors: int | None = None) -> OptionPlan:
    """The option with other settings, by their keys; those of the probe are not in it."""
    own = {name: value for name, value in settings.items() if hasattr(option, name)}
    if isinstance(option, AnnularOption | SegmentedOption):
        own["outer_mrad"] = max(own["outer_mrad"], own["inner_mrad"] + LEAST_RING)
    title = {
        AnnularOption: "annular {inner_mrad:g}-{outer_mrad:g} mrad",
        SegmentedOption: "DPC",
        CameraOption: "4D-STEM",
    }
    name = title.get(type(option), "HRTEM").format(**own)
    changed = msgspec.structs.replace(option, **own, name=f"{name} as advised")
    if isinstance(changed, SegmentedOption) and sectors is not None:
        changed = msgspec.structs.replace(changed, sectors=sectors)
    return changed


def widened(question: Question) -> Question:
    """The question with the largest semi-angle that is searched, its options as they are."""
    search, instrument = question.search, question.instrument
    if search is None or search.semiangle_mrad is None or search.semiangle_mrad[1] <= instrument.semiangle_mrad:
        return question
    options = []
    for option in question.options():
        if isinstance(option, SegmentedOption) and option.outer_mrad is None:
            option = msgspec.structs.replace(option, outer_mrad=instrument.semiangle_mrad)
        if isinstance(option, CameraOption | PatternOption) and option.reach_mrad is None:
            option = msgspec.structs.replace(option, reach_mrad=3.0 * instrument.semiangle_mrad)
        options.append(option)
    wide = msgspec.structs.replace(instrument, semiangle_mrad=search.semiangle_mrad[1])
    return msgspec.structs.replace(question, instrument=wide, option=options)


def _unit(name: str) -> float:
    return UNITS.get(name, 1e3)
