"""``emtwin session show``: what a session did, whole or interrupted, on a terminal or as JSON."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios.io.progress import electrons
from scenarios.report.session import load_session, recorded_scenario, row_time
from scenarios.report.verdict import because, verdict_of

SCHEMA = "emtwin.session/1"

__all__ = ["print_result", "print_summary", "recorded_scenario", "summarise"]


def summarise(folder: Path) -> dict[str, Any]:
    """A session as plain values; raises SessionError (a ValueError) if the folder is not a session.

    ``resumable``: it was interrupted after at least one checkpoint. ``problems``: what is wrong with its record, as sentences.
    """
    session = load_session(folder)
    requests = session.requests
    measured = [row for row in requests if row.payload.get("measured")]
    spent = sum(
        sum(frame["exposure"][part] for part in ("pixels", "flyback", "settle_dose"))
        for frame in session.frames.values()
    )
    last = session.states[-1] if session.states else None
    seconds = (row_time(requests[-1]) - session.origin) / 1e9 if requests else 0.0
    report = folder / "report.html"
    verdict = verdict_of(session)
    return {
        "schema": SCHEMA,
        "session": str(folder),
        "scenario": session.scenario.get("name"),
        "seed": session.seed,
        "complete": session.result is not None,
        "resumable": session.result is None and (session.checkpoints > 0 or session.by_frames),
        "resumed": session.resumed,
        "requests": len(requests),
        "requests_asked": session.scenario.get("requests", {}).get("count"),
        "measured": len(measured),
        "simulated": len(requests) - len(measured),
        "audited": sum(row.payload.get("decision") == "audit" for row in requests),
        **(verdict.as_dict() if verdict is not None else {}),
        "dose_spent": spent,
        "instrument_seconds": seconds,
        "state": {
            name: [float(mean), float(std)]
            for name, mean, std in zip(last.payload["names"], last.arrays["mean"], last.arrays["std"], strict=True)
        }
        if last is not None
        else {},
        "model_distrusted": bool(requests and requests[-1].payload.get("distrusted")),
        "findings": [row.payload.get("text") or row.payload.get("kind") for row in session.findings],
        "rows": session.rows,
        "frames": len(session.frames),
        "problems": session.problems,
        "report": str(report) if report.is_file() else None,
        "result": session.result,
    }


def print_summary(summary: dict[str, Any], console: Console | None = None) -> None:
    """A summary for people, on stdout."""
    console = console or Console(highlight=False)
    complete, distrusted = summary["complete"], summary["model_distrusted"]
    status = "complete" if complete else "interrupted, can be resumed" if summary["resumable"] else "interrupted"
    table = _table()
    table.add_row("session", summary["session"])
    table.add_row("scenario", f"{summary['scenario']}, seed {summary['seed']}")
    table.add_row("status", f"[{'green' if complete else 'yellow'}]{status}[/]")
    if summary["requests"]:
        planned = summary["requests_asked"]
        table.add_row(
            "requests",
            f"{summary['requests']}{f' of {planned}' if planned else ''} in {summary['instrument_seconds'] / 60:.1f} min of instrument time",
        )
        table.add_row(
            "decisions",
            f"{summary['simulated']} answered, {summary['measured']} measured, {summary['audited']} of them audits",
        )
    if summary["result"] is None and (tolerance := _tolerance(summary)) is not None:
        table.add_row("tolerance", tolerance)
    if summary["dose_spent"] == summary["dose_spent"] and summary["dose_spent"]:
        table.add_row("dose spent", electrons(summary["dose_spent"]))
    if summary["requests"]:
        table.add_row("model", "[red]distrusted[/]" if distrusted else "[green]trusted[/]")
    for finding in summary["findings"]:
        table.add_row("finding", str(finding))
    problems = summary["problems"]
    table.add_row(
        "record",
        f"{summary['rows']} rows, {summary['frames']} frames, "
        + ("[red]damaged[/]" if problems else "[green]intact[/]"),
    )
    for problem in problems:
        table.add_row("", f"[red]{problem}[/]")
    if summary["report"]:
        table.add_row("report", summary["report"])
    console.print(table, soft_wrap=True)
    if summary["result"]:
        console.print()
        print_result(summary["result"], None, console)
    elif summary["resumable"]:
        console.print(f"\nGo on with: emtwin acquire --resume {summary['session']}", soft_wrap=True)


def print_result(result: dict[str, Any], folder: Path | None, console: Console | None = None) -> None:
    """A job's result for people, on stdout, with where its report lies."""
    console = console or Console(highlight=False)
    if "question" in result:
        from scenarios.acquire.question.answers import verdict

        console.print(verdict(result), markup=False)
        if folder is not None:
            console.print(f"page    {folder / 'report.html'}", markup=False, soft_wrap=True)
        return
    table = _table()
    count = result.get("requests")
    table.add_row(
        "measured",
        f"{result.get('measured')} of {count}, {result.get('audited')} as audits; {result.get('simulated')} "
        + ("predicted" if "survey" in result else "answered by the twin"),
    )
    if (tolerance := _tolerance(result)) is not None:
        table.add_row("tolerance", tolerance)
    rmse, always = result.get("rmse"), result.get("rmse_always")
    if rmse is not None:
        beside = f"; measuring everything: {100 * always:.3g} %" if always is not None else ""
        table.add_row("error (RMS / mean)", f"{100 * rmse:.3g} %{beside}")
    if result.get("r2") is not None:
        table.add_row("R² where not measured", f"{result['r2']:.3f}")
    if result.get("coverage90") is not None:
        table.add_row("90 % intervals hold", f"{100 * result['coverage90']:.1f} %")
    spent, saved = result.get("dose_spent"), result.get("dose_saved")
    if spent is not None and spent == spent:
        table.add_row(
            "dose",
            f"{electrons(spent)} spent"
            + (f", {electrons(saved)} saved" if saved is not None and saved == saved else ""),
        )
    if result.get("survey"):
        table.add_row("map", escape(f"{result['title']}; survey: {result['survey']}"))
    for note in result.get("notes", []):
        table.add_row("note", escape(note))
    distrusted = result.get("model_distrusted")
    table.add_row("model", "[red]distrusted[/]" if distrusted else "[green]trusted[/]")
    if (host := result.get("host")) is not None:
        zone = " ".join(str(index) for index in host["zone"])
        table.add_row(
            "physical model", escape(f"{Path(host['structure']).name} [{zone}], its columns placed by the image")
        )
    if result.get("seconds") is not None:
        table.add_row("took", f"{result['seconds']:.0f} s")
    if folder is not None:
        table.add_row("session", str(folder))
        if (folder / "report.html").is_file():
            table.add_row("report", str(folder / "report.html"))
    console.print(table, soft_wrap=True)


def _tolerance(result: dict[str, Any]) -> str | None:
    """How the answers lie to the tolerance, marked up; None where a result says nothing of it."""
    reached, tolerance = result.get("tolerance_reached"), result.get("tolerance")
    if reached is None or tolerance is None:
        return None
    text = (
        f"{100 * tolerance:.3g} %: [green]reached[/]" if reached else f"{100 * tolerance:.3g} %: [yellow]not reached[/]"
    )
    above = result.get("answers_above_tolerance")
    return text + (f"; {above} answers above it ({because(result['answers_above_because'])})" if above else "")


def _table() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    return table
