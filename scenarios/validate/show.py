"""Verdicts on a terminal: findings first with their cause, what agrees, what nothing could verify and what would."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reconstruct.validation.recording import Validated
from reconstruct.validation.result import claimed_text, quantity_text, size_text, summary
from reconstruct.validation.verdict import Verdict
from scenarios.validate.job import ValidatedFile, ValidatedSession

_COLOURS = {"agrees": "green", "disagrees": "bold red", "stale": "bold yellow", "unverifiable": "dim"}
_ORDER = {"disagrees": 0, "stale": 1, "agrees": 2}


def print_validated(session: ValidatedSession, console: Console | None = None) -> None:
    """All files for people, on stdout: a table for each; of many files those in which something disagrees, and a list of the others."""
    console = console or Console(highlight=False)
    done = session.files
    detailed = [item for item in done if len(done) <= 3 or not item.agrees]
    for item in detailed:
        _print_file(item, console)
    if len(done) > 1:
        good = sum(item.agrees for item in done)
        unread = sum(item.validation is None for item in done)
        console.print(
            f"[bold]{len(done)} files[/]: {good} without a finding, {len(done) - good - unread} with findings, {unread} not validated"
        )
    if session.timeline is not None and session.timeline.faults:
        console.print("\n[bold]In time[/]")
        for fault in session.timeline.faults:
            console.print(f"  {escape(fault.words)}", soft_wrap=True)
    if session.interrupted:
        console.print("\n[bold yellow]interrupted[/]: not all files were validated")


def _print_file(item: ValidatedFile, console: Console) -> None:
    name = escape(str(item.read.path))
    if item.validation is None:
        problem, cure = item.problem or ("", "")
        console.print(
            f"[bold]{name}[/]: [bold red]not validated[/]\n  {escape(problem)}. {escape(cure)}\n", soft_wrap=True
        )
        return
    colour = "green" if item.agrees else "red"
    console.print(f"[bold]{name}[/]: [{colour}]{summary(item.validation.recordings)}[/]\n", soft_wrap=True)
    for recording in item.validation.recordings:
        _print_recording(recording, len(item.validation.recordings) > 1, console)


def _print_recording(recording: Validated, several: bool, console: Console) -> None:
    if several:
        shape = " x ".join(map(str, recording.signal.data.shape))
        console.print(
            f"[bold]{escape(recording.signal.title or recording.signal.kind)}[/] ({recording.signal.kind}, {shape})"
        )
    shown = sorted(
        (item for item in recording.verdicts if item.status != "unverifiable"), key=lambda item: _ORDER[item.status]
    )
    if shown:
        console.print(_table(shown))
        console.print()
    for words in dict.fromkeys(item.words for item in recording.findings):
        first = next(item for item in recording.findings if item.words == words)
        fields = ", ".join(item.field for item in recording.findings if item.words == words)
        console.print(f"[{_COLOURS[first.status]}]{first.status}[/] {escape(fields)}: {escape(words)}", soft_wrap=True)
        if first.causes:
            several_causes = len(first.causes) > 1 or first.causes[0][1] < 0.99
            causes = " or ".join(
                f"{cause} ({share:.0%})" if several_causes else cause for cause, share in first.causes[:3]
            )
            console.print(f"  cause: {escape(causes)}. {escape(first.cure)}", soft_wrap=True)
    if recording.findings:
        console.print()
    _print_open(recording, console)
    for note in recording.notes:
        console.print(f"[dim]note[/] {escape(note)}", soft_wrap=True)


def _table(shown: Sequence[Verdict]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, side in (
        ("field", "left"),
        ("verdict", "left"),
        ("claimed", "left"),
        ("evidence", "left"),
        ("off by", "right"),
        ("sigma", "right"),
    ):
        table.add_column(heading, justify=side, no_wrap=heading != "evidence")  # type: ignore[arg-type]
    for item in shown:
        evidence = "" if item.suggested is None else quantity_text(item.field, item.suggested, item.error)
        deviation = f"{item.z:+.1f}" if item.z - item.z == 0.0 else ""
        status = f"[{_COLOURS[item.status]}]{item.status}[/]"
        table.add_row(
            escape(item.field),
            status,
            escape(claimed_text(item.field, item.claim)),
            escape(evidence),
            size_text(item),
            deviation,
        )
    return table


def _print_open(recording: Validated, console: Console) -> None:
    """Fields without evidence, grouped by the reason and what would verify them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for item in recording.verdicts:
        if item.status == "unverifiable":
            groups.setdefault((item.words, item.cure), []).append(item.field)
    if groups:
        console.print("[dim]unverifiable[/]")
    for (words, cure), names in groups.items():
        more = f" {cure}" if cure else ""
        console.print(f"  [dim]{escape(', '.join(names))}[/]: {escape(words)}.{escape(more)}", soft_wrap=True)
