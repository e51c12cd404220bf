"""The commands ``emtwin session show``, ``tell`` and ``export``."""

from pathlib import Path
from typing import Annotated

import typer

from scenarios.cli.app import Json, session_app
from scenarios.cli.outcome import DISAGREES, DONE, Outcome, guarded


@session_app.command("show")
def show(session: Annotated[Path, typer.Argument(help="A session folder.")], as_json: Json = False) -> None:
    """Summarise a session, complete or interrupted, and check its record."""

    def job() -> Outcome:
        from scenarios.report.show import print_summary, summarise

        summary = summarise(session)
        if not as_json:
            print_summary(summary)
        return DISAGREES if summary["problems"] else DONE, summary

    raise typer.Exit(guarded(job, as_json, lambda: session))


@session_app.command("tell")
def tell(
    session: Annotated[Path, typer.Argument(help="The folder of a session that runs.")],
    word: Annotated[
        str,
        typer.Argument(
            metavar="stop|hold|go-on|measure",
            help="stop: end it, to be resumed; hold: the instrument is yours until go-on; measure: the next image or request is measured.",
        ),
    ],
    c10: Annotated[float | None, typer.Option(help="measure (a question): C10 in angstrom, from focus.")] = None,
    dwell: Annotated[float | None, typer.Option(help="measure (a question): times the usual dwell time.")] = None,
    as_json: Json = False,
) -> None:
    """Tell a running session to stop, to leave the instrument to you, to go on, or to measure now."""

    def job() -> Outcome:
        from scenarios.acquire.person.orders import give, order_of

        give(session, order_of(word, c10, dwell))
        if not as_json:
            typer.echo(f"{word}: the session heeds it after what it does now")
        return DONE, {"order": word}

    raise typer.Exit(guarded(job, as_json, lambda: session))


@session_app.command("export")
def export(
    session: Annotated[Path, typer.Argument(help="A session folder, or a file with the JSON of emtwin validate.")],
    to: Annotated[str, typer.Option("--to", help="nxem, prov, rocrate, hspy or emd.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File or folder to make.", show_default=False)],
    elements: Annotated[str, typer.Option(help="Elements of the specimen, as Sr,Ti,O. NXem requires them.")] = "",
    prepared: Annotated[
        str, typer.Option(help="When the specimen was prepared, in ISO 8601 with a time zone. NXem requires it.")
    ] = "",
    sample: Annotated[str, typer.Option(help="Name of the specimen.")] = "",
    start: Annotated[
        str, typer.Option(help="When recordings began that state no time in a known zone, in ISO 8601 with a zone.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Write recordings with claims, verdicts and evidence as NXem, W3C PROV, RO-Crate, HyperSpy or EMD 1.0 files."""

    def job() -> Outcome:
        from instrument.export.record import Sample
        from scenarios.export.job import export as export_job
        from scenarios.export.times import moment, symbols

        specimen = Sample(sample, symbols(elements), moment(prepared, "--prepared") if prepared else None)
        done = export_job(session, to, out, specimen, moment(start, "--start") if start else None)
        if not as_json:
            told = ", ".join(f"{count} {status}" for status, count in done["verdicts"].items() if count)
            typer.echo(f"{out}: {done['words']}; {done['recordings']} recordings{'; ' + told if told else ''}")
            if done["corrected"]:
                typer.echo(
                    f"  {done['corrected']} refuted values are replaced by the suggested ones; the claims stand beside them"
                )
        return DONE, done

    raise typer.Exit(guarded(job, as_json, lambda: None))
