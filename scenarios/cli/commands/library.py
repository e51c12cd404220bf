"""The commands ``emtwin library add``, ``like``, ``list`` and ``remove``."""

from pathlib import Path
from typing import Annotated

import typer

from scenarios.cli.app import Json, library_app
from scenarios.cli.outcome import DONE, Outcome, guarded

File = Annotated[
    Path | None,
    typer.Option(
        "--library", help="The library's file. Default: EMTWIN_LIBRARY, or the user's data folder.", show_default=False
    ),
]


@library_app.command("add")
def add(
    paths: Annotated[list[str], typer.Argument(metavar="SESSION|FILE", help="Session folders and recorded files.")],
    specimen: Annotated[
        str | None,
        typer.Option(help="What they show: a name such as SrTiO3, a formula, or a structure file.", show_default=False),
    ] = None,
    planned: Annotated[
        Path | None,
        typer.Option(help="What was planned: the JSON of emtwin plan, or of power, std, dose.", show_default=False),
    ] = None,
    reached: Annotated[
        Path | None, typer.Option(help="What came of it: JSON of detected, error, std, ...", show_default=False)
    ] = None,
    library: File = None,
    as_json: Json = False,
) -> None:
    """Add sessions and files. Those that cannot be read are named and left out; exit code 2 where all are."""

    def job() -> Outcome:
        from scenarios.library import job as jobs
        from scenarios.library.plans import read_planned, read_reached
        from scenarios.library.show import print_added

        plan, outcome = read_planned(planned) if planned else None, read_reached(reached) if reached else None
        done = jobs.add(paths, library, specimen, plan, outcome)
        if not as_json:
            print_added(done)
        return DONE, done

    raise typer.Exit(guarded(job, as_json, lambda: None))


@library_app.command("like")
def like(
    question: Annotated[
        str, typer.Argument(metavar="QUESTION|FILE", help="A question, a scenario, a session or a recorded file.")
    ],
    count: Annotated[int, typer.Option(help="How many.", min=1)] = 5,
    library: File = None,
    as_json: Json = False,
) -> None:
    """Show the nearest records, how far they are and why, and how well plans held then."""

    def job() -> Outcome:
        from scenarios.library import job as jobs
        from scenarios.library.show import print_matches

        done = jobs.like(question, library, count)
        if not as_json:
            print_matches(done)
        return DONE, done

    raise typer.Exit(guarded(job, as_json, lambda: None))


@library_app.command("list")
def list_records(library: File = None, as_json: Json = False) -> None:
    """List all records."""

    def job() -> Outcome:
        from scenarios.library import job as jobs
        from scenarios.library.show import print_list

        done = jobs.listed(library)
        if not as_json:
            print_list(done)
        return DONE, done

    raise typer.Exit(guarded(job, as_json, lambda: None))


@library_app.command("remove")
def remove(
    ids: Annotated[list[int], typer.Argument(metavar="NUMBER", help="Numbers of records, as list shows them.")],
    library: File = None,
    as_json: Json = False,
) -> None:
    """Remove records from the library; the sessions and files themselves stay."""

    def job() -> Outcome:
        from scenarios.library import job as jobs

        done = jobs.remove(ids, library)
        if not as_json:
            typer.echo(f"{done['library']}: {done['removed']} removed; {done['records']} records")
        return DONE, done

    raise typer.Exit(guarded(job, as_json, lambda: None))
