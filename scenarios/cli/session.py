"""The command ``emtwin session show``."""

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
