"""The command ``emtwin validate``."""

from pathlib import Path
from typing import Annotated

import typer

from scenarios.cli.app import Json, app
from scenarios.cli.outcome import DISAGREES, DONE, INTERRUPTED, Outcome, guarded


@app.command()
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Files of a microscope, or folders of them.", show_default=False)],
    specimen: Annotated[
        str | None, typer.Option(help="The crystal that is seen: a name such as SrTiO3, or a CIF.", show_default=False)
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Its zone axis: u,v,w.", show_default=False)] = None,
    x: Annotated[str | None, typer.Option("--x", help="Its direction to the right: u,v,w.", show_default=False)] = None,
    cell_error: Annotated[
        float | None,
        typer.Option("--cell-error-percent", help="How well its cell is known, rms. Default: 0.2.", show_default=False),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option("--false-alarms-percent", help="Share of correct files in which anything is said to disagree."),
    ] = 1.0,
    sensors: Annotated[
        list[Path] | None,
        typer.Option(help="A log of sensors, or a session folder; may be repeated.", show_default=False),
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(help="Column table (TOML) of a plain CSV log.", show_default=False)
    ] = None,
    log_zone: Annotated[
        str | None,
        typer.Option(help="Time zone of a log that does not state it: Europe/Berlin, +02:00.", show_default=False),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="Sensor table of the logs: a name or a TOML file. Default: by what they are.", show_default=False
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Page to make, .html; must not exist.", show_default=False)] = None,
    sidecar: Annotated[bool, typer.Option("--sidecar", help="Write FILE.emtwin.json beside each file.")] = False,
    corrected: Annotated[
        Path | None,
        typer.Option(
            "--write-corrected",
            help="Copy of the one file (.hspy, .zspy, .zarr) to make, refuted values replaced.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a verdict on every field of files' metadata: against physics, sensors and the data themselves."""

    def job() -> Outcome:
        from scenarios.validate.options import ValidateOptions, known_of

        options = ValidateOptions(
            tuple(paths), known_of(specimen, zone, x, cell_error), false_alarms / 100.0, out,
            tuple(sensors or ()), columns, log_zone, table, sidecar, corrected,
        )  # fmt: skip
        options.check()
        from twin.compiled_programs import start_jax

        start_jax()
        from scenarios.export.sidecar import write_beside
        from scenarios.io.progress import open_progress
        from scenarios.validate.job import to_dict, validate_files, write_page

        with open_progress(f"emtwin validate {paths[0]}") as progress:
            session = validate_files(options, progress)
            progress.stage("drawing")
            write_page(session, options)
        report = to_dict(session, options)
        written = write_beside(report, options)
        if not as_json:
            from scenarios.validate.output.show import print_validated

            print_validated(session)
            for line in written.lines():
                typer.echo(line)
        code = INTERRUPTED if session.interrupted else DONE if session.agrees else DISAGREES
        return code, report | written.as_dict()

    raise typer.Exit(guarded(job, as_json, lambda: None))
