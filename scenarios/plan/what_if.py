"""What changes a plan: its best option on a specimen of another thickness or tilt."""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from learn.feasibility.assessment import DOSES
from scenarios.plan.planned import Changed, Judged, Planned, Weighed
from scenarios.question.parts import WhatIfPlan
from scenarios.question.tables import Question

Judge = Callable[[Question], Judged]
"""How the only option of a question is judged, all computed anew."""


def what_if(planned: Planned, plan: WhatIfPlan, judge: Judge) -> tuple[Changed, ...]:
    """The option of the least dose on every specimen of the ``plan``; none where no dose is enough for any option."""
    option = planned.best or min(planned.options, key=lambda each: each.assessment.dose)
    if not math.isfinite(option.assessment.dose):
        return ()
    rows = []
    for what, question in _questions(planned, plan, option):
        judged = judge(question)
        merit = float(np.interp(math.log(option.assessment.dose), np.log(DOSES), judged.curve))
        rows.append(Changed(what, option.name, merit, judged.dose))
    return tuple(rows)


def _questions(planned: Planned, plan: WhatIfPlan, option: Weighed) -> Sequence[tuple[str, Question]]:
    """The same question on other specimens, with the option alone."""
    instrument = msgspec.structs.replace(planned.question.instrument, **option.probe)
    question = msgspec.structs.replace(
        planned.question, instrument=instrument, option=[option.option], search=None, what_if=None
    )
    specimen, now = question.specimen, planned.hypotheses.perfect.thickness
    made = []
    defect = question.defect
    least = 0.0 if defect is None or defect.depth == "unknown" else float(defect.depth)
    for thickness in plan.thickness or (() if plan.tilt_mrad else (round(0.5 * now), round(1.5 * now))):
        if thickness < least:
            continue
        other = msgspec.structs.replace(specimen, thickness=float(thickness), cells=None)
        made.append((f"at {thickness:g} Å instead of {now:.0f} Å", msgspec.structs.replace(question, specimen=other)))
    for lean in plan.tilts:
        x, y = specimen.tilt_mrad
        other = msgspec.structs.replace(specimen, tilt_mrad=(x + lean, y))
        made.append((f"tilted by {lean:g} mrad more along x", msgspec.structs.replace(question, specimen=other)))
    return made
