"""The Typer applications of the command line, and the options that several commands share."""

from typing import Annotated

import typer

app = typer.Typer(
    name="emtwin",
    help="A digital twin of a (scanning) transmission electron microscope.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
instrument_app = typer.Typer(
    help="Serve an instrument over the wire; learn its sensors from a log; calibrate its column.", rich_markup_mode=None
)
session_app = typer.Typer(help="Recorded sessions.", rich_markup_mode=None)
library_app = typer.Typer(
    help="Past sessions and recordings, and the nearest ones to a question.", rich_markup_mode=None
)
app.add_typer(instrument_app, name="instrument")
app.add_typer(session_app, name="session")
app.add_typer(library_app, name="library")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Keys = Annotated[bool, typer.Option("--keys", help="List every key of a scenario: unit, default, meaning.")]
