"""The verdict on a question in words."""

import math

from scenarios.plan.planned import Changed, Merit, Planned, Weighed

UNKNOWNS = {
    "x": "the place of the scan", "y": "the place of the scan", "C10": "defocus", "C12a": "astigmatism", "C12b": "astigmatism",
    "source": "the source's size", "thickness": "thickness", "gain": "the gain",
    "background": "an even background", "tilt.x": "tilt", "tilt.y": "tilt", "model": "an error of the model",
    "level below the edge": "what lies below the edge", "exponent below the edge": "what lies below the edge", "energy offset": "the energy axis",
}  # fmt: skip
NOTICED = 1.05
"""Factor on the dose from which an unknown is worth a word."""


def verdict_of(planned: Planned) -> str:
    """One or two sentences: what is feasible at which dose and time, and why the others are not."""
    best = planned.best
    parts = []
    if best is not None:
        goal = "" if planned.merit.rising else f": {planned.merit.text}"
        head = (
            f"Feasible{goal} with {best.name} at {dose_text(best.assessment.dose)} in {time_text(best.costs.seconds)}"
        )
        others = [each for each in planned.options if each is not best and each.feasible]
        parts.append(head + (f"; also with {_list([each.name for each in others])}" if others else ""))
    else:
        parts.append(f"Not feasible: no option reaches {planned.merit.text} within the limits")
    for each in (each for each in planned.options if not each.feasible):
        colon = ":" if math.isinf(each.assessment.dose) else ""
        parts.append(f"{each.name}{colon} {each.obstacles[0]}")
    return "; ".join(parts) + "."


def needed_for(planned: Planned) -> str:
    """What would have to give where nothing is feasible; empty otherwise."""
    if planned.best is not None:
        return ""
    possible = [each for each in planned.options if math.isfinite(each.assessment.dose)]
    if not possible:
        return "No dose is enough: know more of the recording beforehand ([unknown]), or compare with like columns (asked.references)."
    least = min(possible, key=lambda each: each.assessment.dose)
    return f"{least.name} would answer it: {'; '.join(least.obstacles)}."


def changed_text(changed: Changed, merit: Merit) -> str:
    """What another specimen would change: "at 300 Å instead of 200 Å: power 0.62; dose for power 0.95: 3e+04 e/Å²"."""
    unit = f" {merit.unit}" if merit.unit else ""
    return f"{changed.what}: {merit.name} {changed.merit:.2g}{unit}; dose for {merit.text}: {dose_text(changed.dose)}"


def dominant(option: Weighed) -> str:
    """The unknown that costs most dose, in words; empty where none costs a twentieth."""
    costs: dict[str, float] = {}
    for name, factor in option.assessment.costs.items():
        text = UNKNOWNS.get(name, f"the {name}")
        costs[text] = max(costs.get(text, 1.0), factor)
    if not costs:
        return ""
    name, factor = max(costs.items(), key=lambda pair: pair[1])
    return f"knowing {name} exactly would save a factor of {factor:.2f} of dose" if factor > NOTICED else ""


def obstacle(names: tuple[str, ...]) -> str:
    """Why no dose is enough, by the ``names`` of unknowns that stand in the way."""
    if not names:
        return "what is not known outweighs the change"
    if names == ("phonons",):
        return "frozen phonons do not agree on any effect (compute.phonons)"
    words = list(dict.fromkeys(UNKNOWNS.get(name, f"the {name}") for name in names))
    return "it cannot be told from " + (words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}")


def dose_text(dose: float) -> str:
    """Electrons per square angstrom."""
    return f"{dose:.2g} e/Å²" if math.isfinite(dose) else "no dose"


def time_text(seconds: float) -> str:
    """A duration."""
    if not math.isfinite(seconds):
        return "–"
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.3g} min"
        if seconds < 7200
        else f"{seconds / 3600:.3g} h"
    )


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
