"""The page of a session that answered a question of kind "map": ``SESSION/report.html``, from its journal alone."""

from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.journal import Journal, Row
from scenarios.acquire.maps import drawings
from scenarios.io.atomic_output import write_whole
from scenarios.io.progress import electrons
from scenarios.style.figure import draw
from scenarios.style.page import render

TEMPLATE = Path(__file__).parent / "page.html.j2"
SHOWN = 40
"""Exposures that are listed, the first and the last of a session."""
ENDS = {
    "dose": "no pixel may have more dose", "time": "the time allowed was over", "exposures": "as many exposures were made as a session takes",
    "distrusted": "the model is distrusted: values differ from what it predicts by more than it can explain",
}  # fmt: skip
"""Why a session ended without the answer."""


def write_page(folder: Path) -> Path:
    """Write the page of a session; returns its path."""
    with Journal.open(folder) as journal:
        plan = next(iter(journal.rows("scenario"))).payload
        exposures = list(journal.rows("exposure"))
        result = next(iter(journal.rows("result"))).payload
        arrays = next(iter(journal.rows("score"))).arrays
    path = folder / "report.html"
    write_whole(_page(plan, exposures, result, arrays).encode(), path)
    return path


def _page(plan: dict[str, Any], exposures: list[Row], result: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    scored = "truth" in arrays
    words = ""
    if scored:
        words = f"{100 * result['coverage90']:.1f} % of the 90 % intervals hold; root mean square error {shown(result, result['rmse'])}."
    size = drawings.size_of(arrays)
    return render(
        TEMPLATE,
        {
            "title": plan["scenario"]["name"],
            "description": plan["scenario"]["description"],
            "good": result["reached"],
            "verdict": verdict(result),
            "what": result["title"],
            "scored": words,
            "maps": draw(*size, lambda figure: drawings.maps(figure, arrays, result), "png", grid=False),
            "curve": draw(9.0, 3.2, lambda figure: drawings.curve(figure, arrays, result)),
            "calibration": draw(8.4, 3.2, lambda figure: drawings.calibration(figure, arrays, result))
            if scored
            else "",
            "costs": costs(result),
            "rows": [_line(row.payload, result) for row in _ends(exposures)],
            "notes": result["notes"],
            "seconds": f"{result['seconds']:.0f}",
            "decision": f"{result['decision_seconds'] or 0.0:.2g}",
            "first": f"{result['first_answer_seconds']:.1f}",
        },
    )


def _ends(rows: list[Row]) -> list[Row]:
    return rows if len(rows) <= SHOWN else [*rows[: SHOWN // 2], *rows[-SHOWN // 2 :]]


def _line(payload: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    factor, _ = drawings.scale_of(result)

    def text(value: float) -> str:
        return f"{value / factor:.4g}" if np.isfinite(value) else ""

    return {
        "number": payload["index"] + 1, "row": payload["row"], "column": payload["column"], "dwells": payload["dwells"], "value": text(payload["value"]),
        "predicted": text(payload["predicted"]), "std": text(payload["predicted_std"]), "why": payload["why"],
    }  # fmt: skip


def shown(result: dict[str, Any], value: float) -> str:
    """A value in the unit of the map."""
    factor, unit = drawings.scale_of(result)
    return f"{value / factor:.3g}{f' {unit}' if unit else ''}"


def verdict(result: dict[str, Any]) -> str:
    """The answer in one or two sentences."""
    rows, columns = result["pixels"]
    which = "largest standard deviation" if result["everywhere"] else "root mean square standard deviation"
    share = "" if result["asked_share"] is None else f" ({100 * result['asked_share']:.3g} % of the mean)"
    text = f"{result['title']} over {columns} x {rows} pixels: {which} {shown(result, result['std'])}, asked {shown(result, result['asked'])}{share}"
    spent = f"{result['exposures']} exposures of {result['exposed']} pixels and {electrons(result['electrons'])}"
    if not result["reached"]:
        return f"{text}; not reached with {spent}: {ENDS[result['ended']]}."
    return f"{text}; reached with {spent}, {100 * result['electrons'] / result['even_electrons']:.0f} % of those of an even scan."


def costs(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Electrons by purpose, and what even scans take."""
    names = {"survey": "survey image", "pixels": "exposures", "visits": "going to pixels"}
    rows = [(f"electrons: {names[name]}", electrons(value)) for name, value in result["electrons_by_purpose"].items()]
    rows.append(("electrons in all", electrons(result["electrons"])))
    rows.append(("largest dose of a pixel", f"{result['dose_largest']:.3g} electrons per Å²"))
    rows.append(("time of the instrument", f"{result['instrument_seconds']:.3g} s"))
    rows.append(
        (
            "even scan, every pixel for itself",
            f"{electrons(result['even_electrons'])}, {result['even_dwells']:.3g} shortest dwell times each",
        )
    )
    if result["even_electrons_denoised"] is not None:
        rows.append(
            (
                "even scan with the same model",
                f"{electrons(result['even_electrons_denoised'])}, {result['even_dwells_denoised']:.3g} each, and the survey",
            )
        )
    return rows
