"""The commands ``emtwin instrument serve``, ``learn-sensors`` and ``calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from scenarios.cli.app import Json, instrument_app
from scenarios.cli.outcome import DISAGREES, DONE, Outcome, guarded


@instrument_app.command(
    "serve",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def serve(context: typer.Context) -> None:
    """Serve an instrument: ``simulated`` or ``replay``, with its own options (``--help`` lists them)."""
    from instrument.remote.launch import serve_main

    raise typer.Exit(guarded(lambda: (serve_main(list(context.args)), {}), False, lambda: None))


@instrument_app.command("learn-sensors")
def learn_sensors(
    log: Annotated[
        Path, typer.Argument(help="A log: HealthMonitor .xml(.gz), Protochips .csv, DENS .dens, columns .csv.")
    ],
    columns: Annotated[
        Path | None, typer.Option(help="Column table (TOML) of a plain log. Default: LOG.columns.toml beside it.")
    ] = None,
    log_zone: Annotated[
        str | None, typer.Option(help="Time zone of a log that does not state it: Europe/Berlin, +02:00.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Sensor table to make, TOML; must not exist.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also show channels with too few values.")] = False,
    as_json: Json = False,
) -> None:
    """Analyse each channel of a log: reporting pattern, unit, step, noise, drift and lag, each with an error or with what is missing."""

    def job() -> Outcome:
        from scenarios.io.atomic_output import new_file
        from scenarios.io.progress import open_progress
        from scenarios.sensors.learn import learn_log

        if out is not None:
            new_file(out)
        with open_progress(f"emtwin instrument learn-sensors {log}") as progress:
            analysis = learn_log(log, progress, columns, log_zone)
        if out is not None:
            from scenarios.sensors.table import write_table

            write_table(analysis, out)
        if not as_json:
            from scenarios.sensors.show import print_learnt

            print_learnt(analysis, every, out)
        return DONE, analysis

    raise typer.Exit(guarded(job, as_json, lambda: None))


@instrument_app.command("calibrate")
def calibrate(
    table: Annotated[Path, typer.Argument(help="CSV: settings, and the quantities measured at them.")],
    column: Annotated[str, typer.Option(help="Column: a name or a TOML file.")] = "generic-300",
    out: Annotated[
        Path | None, typer.Option(help="Calibration to make, JSON; must not exist.", show_default=False)
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Figure to make, .png or .svg; must not exist.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate the constants of a column from a table of settings and measurements, and find the rows that do not fit."""

    def job() -> Outcome:
        from scenarios.io.atomic_output import new_files, write_whole
        from scenarios.io.progress import open_progress

        new_files(out, figure)
        from twin.compiled_programs import start_jax

        start_jax()
        from scenarios.calibrate.job import calibrate_table, write_calibration

        with open_progress(f"emtwin instrument calibrate {table}") as progress:
            result = calibrate_table(table, column, progress)
        if out is not None:
            write_calibration(result, out)
        from scenarios.calibrate.show import draw_calibration, print_calibration

        if figure is not None:
            write_whole(draw_calibration(result, figure.suffix[1:]), figure)
        if not as_json:
            print_calibration(result)
        return DISAGREES if result["outliers"] else DONE, result

    raise typer.Exit(guarded(job, as_json, lambda: None))
