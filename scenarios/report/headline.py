"""The numbers at the top of a session's report."""

from typing import Any

import numpy as np

from scenarios.io.progress import electrons
from scenarios.report.session import Session
from scenarios.report.verdict import Verdict


def headline(session: Session, verdict: Verdict | None) -> list[tuple[str, str, str]]:
    """The numbers at the top: (what, value, note)."""
    result = session.result or {}
    count = len(session.requests)
    measured = sum(bool(row.payload.get("measured")) for row in session.requests)
    audited = sum(row.payload.get("decision") == "audit" for row in session.requests)
    numbers: list[tuple[str, str, str]] = []
    if count:
        numbers.append(("requests", str(count), f"{count - measured} answered by the twin alone"))
        numbers.append(
            ("measured", str(measured), f"{100 * measured / count:.0f} % of the requests, {audited} of them audits")
        )
        if verdict is not None:
            note = f"of {verdict.answers} answers, tolerance {100 * verdict.tolerance:.3g} %"
            numbers.append(("answers above tolerance", str(verdict.above_total), note))
    elif "measured" in result:
        numbers.append(("pixels measured", str(result["measured"]), f"of {result.get('requests', '?')}"))
        if finite(result.get("tolerance")) and finite(result.get("uncertainty")):
            reached = "reached" if result.get("tolerance_reached") else "not reached"
            note = f"of the map's range; tolerance {100 * result['tolerance']:.3g} %, {reached}"
            numbers.append(("largest standard deviation", f"{figures(100 * result['uncertainty'])} %", note))
    rmse, always = result.get("rmse"), result.get("rmse_always")
    if rmse is not None:
        note = (
            f"against {figures(100 * always)} % measuring every {'request' if count else 'pixel'}"
            if always is not None
            else ""
        )
        numbers.append(("RMS error / mean", f"{figures(100 * rmse)} %", note))
    if result.get("r2") is not None:
        numbers.append(("R² on unmeasured pixels", f"{result['r2']:.3f}", ""))
    if result.get("coverage90") is not None:
        numbers.append(
            (
                "coverage of 90 % intervals",
                f"{100 * result['coverage90']:.1f} %",
                "of the named numbers of all requests" if count else "of the pixels that were not measured",
            )
        )
    if finite(result.get("dose_spent")):
        saved = result.get("dose_saved", np.nan)
        numbers.append(
            ("dose spent", electrons(result["dose_spent"]), f"{electrons(saved)} saved" if finite(saved) else "")
        )
    if result.get("seconds") is not None:
        numbers.append(("took", f"{result['seconds']:.0f} s", "wall clock"))
    return numbers


MODELS = {
    "deep": "Gaussian process with a deep kernel",
    "compared": "average of a Gaussian process and one with a deep kernel",
}


def about_map(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What a replayed map was made of: (what, value)."""
    determined = result.get("determined", {})
    rows = [("recording", result.get("recording", "")), ("quantity", result.get("title", ""))]
    rows.append(("survey image", result.get("survey", "")))
    if "counts_per_electron" in determined:
        value = determined["counts_per_electron"]
        shown = "none" if value < 1e-9 else f"{value:.3g}"
        rows.append(("counts per electron", f"{shown} ({determined.get('counts_per_electron_source', '')})"))
    for name, label in (("background_eV", "background window"), ("signal_eV", "signal window")):
        if name in determined:
            rows.append((label, f"{determined[name][0]:.4g} to {determined[name][1]:.4g} eV"))
    process = MODELS.get(str(result.get("model")), "Gaussian process")
    rows.append(("model", process + (" over the map of a crystal" if result.get("host") else "")))
    if result.get("without_value"):
        rows.append(("measured pixels without a value", str(result["without_value"])))
    if result.get("survey_is_virtual"):
        text = "the survey is made of the data of all pixels: it shows what a survey of its own might, and no dose is saved"
        rows.append(("note", text))
    return [row for row in rows if row[1]] + [("note", text) for text in result.get("notes", [])]


def figures(value: float) -> str:
    """Three figures, never in powers of ten."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and bool(np.isfinite(value))
