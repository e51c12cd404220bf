"""A search over settings in words and tables."""

import math
from collections.abc import Mapping
from typing import Any

from scenarios.plan.report.words import dose_text, time_text
from scenarios.plan.search.found import Advice, Searched

TITLES = {"annular": "An annular detector", "dpc": "DPC", "4d-stem": "4D-STEM", "hrtem": "HRTEM"}
WORDS = {
    "semiangle_mrad": "{:g} mrad semi-angle", "defocus": "{:+g} Å defocus", "inner_mrad": "from {:g} mrad", "outer_mrad": "to {:g} mrad",
    "reach_mrad": "reach {:g} mrad", "aperture_mrad": "aperture {:g} mrad", "cs_mm": "Cs {:g} mm", "sectors": "{:g} sectors",
}  # fmt: skip
NAMES = {
    "semiangle_mrad": "semi-angle", "defocus": "defocus", "inner_mrad": "inner angle", "outer_mrad": "outer angle", "reach_mrad": "reach",
    "aperture_mrad": "aperture", "cs_mm": "Cs", "sectors": "sectors",
}  # fmt: skip


def advice_text(advice: Advice) -> str:
    """One sentence: which settings need how much less dose, or that those given are as good as any."""
    title = TITLES[advice.technique]
    if not advice.better:
        return f"{title}: no settings were found that need less dose than those of {advice.given_name}."
    changed = {name: value for name, value in advice.advised.items() if value != advice.given[name]}
    if not math.isfinite(advice.factor):
        return f"{title} at {settings_text(changed)} answers it with {dose_text(advice.dose)}; {advice.given_name} does at no dose."
    return f"{title} at {settings_text(changed)} needs {_times(advice.factor)} times less dose than {advice.given_name} as given."


def settings_text(settings: Mapping[str, float]) -> str:
    """Settings by their keys, in words."""
    return ", ".join(WORDS[name].format(value) for name, value in settings.items())


def gains_text(advice: Advice) -> str:
    """What each of the settings gains, the most first."""
    ordered = sorted(advice.gains.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{NAMES[name]} {_times(factor)}" for name, factor in ordered)


def advice_rows(searched: Searched | None) -> list[dict[str, Any]]:
    """Rows of the page's table of settings."""
    return [
        {
            "technique": each.technique,
            "given": f"{each.given_name}: {settings_text(each.given)}",
            "given_dose": dose_text(each.given_dose),
            "advised": settings_text(each.advised) if each.better else "as given",
            "dose": dose_text(each.dose),
            "factor": _times(each.factor) if math.isfinite(each.factor) else "∞",
            "gains": gains_text(each),
        }
        for each in (searched.advices if searched else ())
    ]


def front_rows(searched: Searched | None) -> list[dict[str, Any]]:
    """Rows of the page's table of the front."""
    return [
        {"option": each.what, "dose": dose_text(each.dose), "time": time_text(each.seconds), "error": f"{each.error:g}"}
        for each in sorted(searched.front if searched else (), key=lambda each: (-each.error, each.dose))
    ]


def _times(factor: float) -> str:
    """A factor with two digits, or the whole number."""
    return f"{factor:.2g}" if factor < 100.0 else f"{factor:.0f}"
