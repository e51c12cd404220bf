"""The page of a session that looked for changed columns: ``SESSION/report.html``, from its journal alone."""

from pathlib import Path
from typing import Any

from instrument.core.journal import Journal
from scenarios.acquire.detect.drawings import Session, bars, evidence, maps
from scenarios.io.atomic_output import write_whole
from scenarios.io.progress import electrons
from scenarios.style.figure import draw
from scenarios.style.page import render

TEMPLATE = Path(__file__).parent / "page.html.j2"
ENDS = {
    "dose": "the dose allowed on a column was spent", "time": "the time allowed was over", "visits": "as many looks were taken as a session takes",
    "model": "more electrons would not decide the rest: the model is not known well enough",
    "distrusted": "the specimen is not the one of the question: what the columns have in common is not what it would give",
}  # fmt: skip
"""Why a session ended with columns undecided."""
UNITS = {"C10": " Å", "C12a": " Å", "C12b": " Å", "source": " Å"}


def write_page(folder: Path) -> Path:
    """Write the page of a session; returns its path."""
    with Journal.open(folder) as journal:
        plan = next(iter(journal.rows("scenario"))).payload
        result = next(iter(journal.rows("result"))).payload
        rows = [row.payload for row in journal.rows("detect")]
        last = list(journal.rows("checkpoint"))[-1] if rows else None
    session = Session(plan["question"], result, rows, {} if last is None else last.arrays)
    path = folder / "report.html"
    write_whole(_page(session).encode(), path)
    return path


def verdict(result: dict[str, Any]) -> str:
    """The answer in one sentence."""
    known = f"{result['present']} changed, {result['absent']} not"
    if result["reached"]:
        return f"All {result['columns']} columns decided: {known}; with {electrons(result['electrons'])}."
    return f"{result['undecided']} of {result['columns']} columns undecided ({known}): {ENDS[result['ended']]}."


def _page(session: Session) -> str:
    result, question, truth = session.result, session.question, session.changed
    columns = result.get("of_columns", [])
    looks = [sum(row.get("column") == number for row in session.visits) for number in range(len(columns))]
    rows = [
        {
            "x": f"{each['x']:.2f}", "y": f"{each['y']:.2f}", "verdict": each["verdict"], "posterior": f"{each['posterior']:.3g}",
            "ratio": f"{each['log_ratio']:.2f}", "dose": f"{each['dose']:,.0f}", "looks": looks[number],
            "truth": "" if truth is None else ("changed" if truth[number] else "not"),
        }
        for number, each in enumerate(columns)
    ]  # fmt: skip
    patch, settings = result.get("patch"), session.rows[-1]["settings"] if session.rows else {}
    patches = result.get("fixed_patches_electrons")
    return render(
        TEMPLATE,
        {
            "title": question["name"], "description": question["description"], "reached": result["reached"], "verdict": verdict(result),
            "maps": draw(9.6, 4.4, lambda figure: maps(figure, session), grid=False) if columns else "",
            "evidence": draw(8.6, 3.6, lambda figure: evidence(figure, session)) if columns else "",
            "bars": draw(8.6, 2.4, lambda figure: bars(figure, session)), "scored": truth is not None,
            "power": f"{result['asked']['power']:g}", "alarms": f"{result['asked']['false_alarms_of_a_column']:.2g}",
            "fixed_dose": f"{result['fixed_dose']:,.0f}", "electrons": electrons(result["electrons"]),
            "share": f"{100.0 * result['electrons'] / result['fixed_electrons']:.0f} %",
            "patches": None if patches is None else f"{100.0 * result['electrons'] / patches:.0f} %",
            "dose": f"{result['dose']:,.0f}", "visits": result["visits"], "overviews": result["overviews"],
            "minutes": f"{result['instrument_seconds']:.2g} s",
            "patch": None if patch is None else _patch(patch, result["detector"]),
            "rows": rows, "settings": [(name, f"{value:+.3g}{UNITS.get(name, '')}") for name, value in settings.items() if name not in ("x", "y")],
            "likely": "not known" if result["likely"] is None else f"{result['likely']:.2g}", "seconds": f"{result['seconds']:.0f}",
        },
    )  # fmt: skip


def _patch(patch: dict[str, Any], detector: str) -> str:
    lines, width = patch["shape"]
    return f"{lines} × {width} places {patch['pixel']:g} Å apart by {detector}, at {patch['current_pA']:.2g} pA"
