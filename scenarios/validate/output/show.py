"""Verdicts on a terminal: findings first with their cause, what agrees, what nothing could verify and what would."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated
from reconstruct.validation.result import claimed_text, quantity_text, size_text, summary
from reconstruct.validation.session.timeline import Timeline, alike, together
from scenarios.validate.job import ValidatedFile, ValidatedSession
from scenarios.validate.output.findings import findings_in, title, words_of
from scenarios.validate.output.reasons import reasons, short_names
from scenarios.validate.output.words import detectable_text, files_text, share_text, shortener, sigma_text, stale_text

_COLOURS = {"agrees": "green", "disagrees": "bold red", "stale": "bold yellow", "unverifiable": "dim"}
_ORDER = {"disagrees": 0, "stale": 1, "agrees": 2}
MOST_CAUSES = 3
MOST_FAULTS = 20
"""Faults in time, logs and drifts that are listed, of each."""
WIDE = 110
"""Columns of a terminal from which the table says which errors would have been finding."""


def print_validated(session: ValidatedSession, console: Console | None = None) -> None:
    """All files for people, on stdout: a table for each; of many files those in which something disagrees, and a list of the others."""
    console = console or Console(highlight=False)
    done = session.files
    detailed = [item for item in done if len(done) <= 3 or not item.agrees]
    short = shortener([item.read.path for item in done])
    for item in detailed:
        _print_file(item, console, short)
    if len(done) > 1:
        good = sum(item.agrees for item in done)
        unread = sum(item.validation is None for item in done)
        console.print(
            f"[bold]{len(done)} files[/]: {good} without a finding, {len(done) - good - unread} with findings, {unread} not validated"
        )
    if session.timeline is not None and (pairs := _in_time(session.timeline, short)):
        console.print()
        _print_pairs(pairs, console)
    if session.interrupted:
        console.print("\n[bold yellow]interrupted[/]: not all files were validated")


def _in_time(times: Timeline, short: Callable[[str], str]) -> list[tuple[str, str]]:
    """Faults of a session, what its logs cover, and drifts."""
    faults = [short(together(group)) for group in alike(times.faults)]
    drifts = [
        f"{drift.words}{f': {names}' if (names := files_text(files, short)) else ''}" for drift, files in times.drifts
    ]
    logs = [
        f"{log.words}{f'; not covered: {files_text(log.outside, short)}' if log.outside else ''}" for log in times.logs
    ]
    return [*_listed("in time", faults), *_listed("logs", logs), *_listed("drifts", drifts)]


def _listed(heading: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Lines under a heading, up to a limit."""
    left = len(lines) - MOST_FAULTS
    shown = [*lines[:MOST_FAULTS], *([f"and {left} more: --out and --json have them"] if left > 0 else [])]
    return [("" if number else f"[bold]{heading}[/]", escape(line)) for number, line in enumerate(shown)]


def print_file(item: ValidatedFile, console: Console) -> None:
    """One file for people: a table, the findings, what is open."""
    _print_file(item, console, shortener([item.read.path]))


def _print_file(item: ValidatedFile, console: Console, short: Callable[[str], str]) -> None:
    name = escape(str(item.read.path))
    if item.validation is None:
        problem, cure = item.problem or ("", "")
        console.print(f"[bold]{name}[/]: [bold red]not validated[/]", soft_wrap=True)
        _print_pairs([("", f"{escape(problem)}. {escape(cure)}")], console)
        return
    colour = "green" if item.agrees else "red"
    console.print(f"[bold]{name}[/]: [{colour}]{summary(item.validation.recordings)}[/]\n", soft_wrap=True)
    for recording in item.validation.recordings:
        _print_recording(recording, len(item.validation.recordings) > 1, console, short)


def _print_recording(recording: Validated, several: bool, console: Console, short: Callable[[str], str]) -> None:
    if several:
        shape = " x ".join(map(str, recording.signal.data.shape))
        console.print(
            f"[bold]{escape(recording.signal.title or recording.signal.kind)}[/] ({recording.signal.kind}, {shape})"
        )
    shown = sorted(
        (item for item in recording.verdicts if item.status != "unverifiable"), key=lambda item: _ORDER[item.status]
    )
    if shown:
        console.print(_table(shown, console.width >= WIDE))
        console.print()
    _print_pairs([*_findings(recording, short), *_unverifiable(recording), *_notes(recording)], console)


def _table(shown: Sequence[Verdict], wide: bool) -> Table:
    """Findings first; without the columns in which nothing stands."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = [
        ("field", "left", [escape(item.field) for item in shown]),
        ("verdict", "left", [f"[{_COLOURS[item.status]}]{item.status}[/]" for item in shown]),
        ("claimed", "left", [escape(claimed_text(item.field, item.claim)) for item in shown]),
        ("evidence", "left", ["" if item.suggested is None else escape(quantity_text(item.field, item.suggested, item.error)) for item in shown]),
        ("off by", "right", [size_text(item) for item in shown]),
        ("sigma", "right", [sigma_text(item) for item in shown]),
        ("detectable", "right", [detectable_text(item) if wide else "" for item in shown]),
    ]  # fmt: skip
    columns = [column for column in columns if any(column[2])]
    for heading, side, _ in columns:
        table.add_column(heading, justify=side, no_wrap=heading != "evidence")  # type: ignore[arg-type]
    for cells in zip(*(column[2] for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _print_pairs(pairs: Sequence[tuple[str, str]], console: Console) -> None:
    """Words beside what they are about, wrapped to the width of the terminal."""
    if not pairs:
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for about, words in pairs:
        grid.add_row(about, words)
    console.print(grid)
    console.print()


def _findings(recording: Validated, short: Callable[[str], str]) -> list[tuple[str, str]]:
    pairs = []
    for finding in findings_in(recording):
        pairs.append((f"[{_COLOURS[finding.status]}]{finding.status}[/]", f"[bold]{escape(title(finding))}[/]"))
        since = stale_text(finding.verdicts[0], recording)
        pairs.append(("", escape(short(f"{words_of(finding)} {since}".rstrip()))))
        for number, item in enumerate(finding.explanations[:MOST_CAUSES]):
            share = "" if item.probability > 0.99 else f" ({share_text(item.probability)})"
            more = f": {item.words}" if item.words else ""
            pairs.append(("[dim]  cause[/]" if number == 0 else "[dim]  or[/]", escape(f"{item.cause}{share}{more}")))
        if finding.verdicts[0].cure:
            pairs.append(("[dim]  cure[/]", escape(finding.verdicts[0].cure)))
    return pairs


def _unverifiable(recording: Validated) -> list[tuple[str, str]]:
    """Fields without evidence, by the reason and what would verify them."""
    pairs = []
    for reason in reasons(recording):
        names = ", ".join(short_names([item.field for item in reason.verdicts]))
        words = f"{escape(names)}: [dim]{escape(reason.words)}{'' if reason.words.endswith('.') else '.'} {escape(reason.verify)}[/]"
        pairs.append(("[dim]unverifiable[/]", words))
    return pairs


def _notes(recording: Validated) -> list[tuple[str, str]]:
    return [("[dim]note[/]", escape(note)) for note in recording.notes]
