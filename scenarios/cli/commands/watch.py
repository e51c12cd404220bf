"""The command ``emtwin watch``."""

from pathlib import Path
from typing import Annotated

import typer

from scenarios.cli.app import Json, app
from scenarios.cli.outcome import DISAGREES, DONE, INTERRUPTED, LOST, Outcome, complain, guarded


@app.command()
def watch(
    source: Annotated[
        str,
        typer.Argument(
            help="tcp://HOST:PORT, a session folder, or a log: .xml(.gz), .csv, .tsv, .dens.", show_default=False
        ),
    ],
    table: Annotated[
        str | None, typer.Option(help="Sensor table: a name or a TOML file. Default: by what SOURCE is.")
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(help="Column table (TOML) of a plain log. Default: LOG.columns.toml beside it.")
    ] = None,
    log_zone: Annotated[
        str | None, typer.Option(help="Time zone of a log that does not state it: Europe/Berlin, +02:00.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Figure to make, .png or .svg; must not exist. Default: watch.png, or the next.")
    ] = None,
    seconds: Annotated[float | None, typer.Option("--duration", help="Stop after so many seconds.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Replay a recording so many times as fast as it happened. Default: at once.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate the state of an instrument from its sensors (live, in a session or in a log), and check the sensors."""

    def job() -> Outcome:
        from scenarios.watch.options import WatchOptions

        options = WatchOptions(source, table, seconds, speed, out, columns, log_zone)
        options.check()
        from twin.compiled_programs import start_jax

        start_jax()
        from scenarios.watch.job import run_watch
        from scenarios.watch.show import print_watched

        result = run_watch(options)
        if not as_json:
            print_watched(result)
            if "error" in result:
                complain(
                    False, LOST, **{"where" if key == "input" else key: text for key, text in result["error"].items()}
                )
        ended = {"lost": LOST, "interrupted": INTERRUPTED}.get(result["ended"])
        return (DISAGREES if result["disagrees"] else DONE) if ended is None else ended, result

    raise typer.Exit(guarded(job, as_json, lambda: None))
