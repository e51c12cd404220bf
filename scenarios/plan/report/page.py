"""The page of a plan: verdict, power against dose, what each option costs, and predicted images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scenarios.plan.planned import Planned
from scenarios.plan.report.advice import advice_rows, advice_text, front_rows
from scenarios.plan.report.drawings import SHOWN, merit_curves, option_images
from scenarios.plan.report.words import changed_text, dominant, dose_text, needed_for, time_text, verdict_of
from scenarios.style.page import render

TEMPLATE = Path(__file__).parent / "page.html.j2"


def page_of(planned: Planned, past: Sequence[str] = ()) -> str:
    """The self-contained HTML text; ``past``: lines on what the library knows."""
    question, hypotheses = planned.question, planned.hypotheses
    rows: list[dict[str, Any]] = []
    for each in planned.options:
        known = math.isfinite(each.assessment.dose)
        rows.append(
            {
                "name": each.name,
                "feasible": each.feasible,
                "dose": dose_text(each.assessment.dose),
                "time": time_text(each.costs.seconds),
                "data": f"{each.costs.megabytes:.3g} MB" if known else "–",
                "price": f"{each.costs.price:.3g}" if each.costs.price == each.costs.price else "–",
                "dwell": f"{1e6 * each.costs.dwell:.3g} µs" if known else "–",
                "efficiency": f"{100 * each.assessment.efficiency:.2g} %",
                "why": "; ".join(each.obstacles) or dominant(each),
            }
        )
    images = [
        {"name": each.name, "image": option_images(planned, each)}
        for each in [each for each in planned.options if each.assessment.perfect.shape[-1] > 1][:SHOWN]
    ]
    return render(
        TEMPLATE,
        {
            "title": question.name,
            "description": question.description,
            "verdict": verdict_of(planned),
            "needed": needed_for(planned),
            "feasible": planned.best is not None,
            "merit": planned.merit,
            "damages": "; ".join(f"{each.words} at {dose_text(each.dose)}" for each in planned.damages),
            "curves": merit_curves(planned),
            "rows": rows,
            "images": images,
            "past": past,
            "priced": any(each.costs.price == each.costs.price for each in planned.options),
            "changed": [changed_text(each, planned.merit) for each in planned.changed],
            "advised_option": planned.changed[0].option if planned.changed else "",
            "advices": [advice_text(each) for each in (planned.searched.advices if planned.searched else ())],
            "settings": advice_rows(planned.searched),
            "front": front_rows(planned.searched),
            "seconds": f"{planned.seconds:.0f}",
            "place": f"({hypotheses.location[0]:.2f}, {hypotheses.location[1]:.2f})",
        },
    )
