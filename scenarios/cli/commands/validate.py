"""The command ``emtwin validate``."""

from pathlib import Path
from typing import Annotated

import typer

from scenarios.cli.app import Json, app
from scenarios.cli.outcome import DISAGREES, DONE, INTERRUPTED, Outcome, guarded

Paths = Annotated[list[Path], typer.Argument(help="Files of a microscope, or folders of them.", show_default=False)]
Specimen = Annotated[
    str | None,
    typer.Option(
        help='The crystal that is seen: a name such as SrTiO3, or a CIF; "amorphous" is a film.', show_default=False
    ),
]
Zone = Annotated[str | None, typer.Option(help="Its zone axis: u,v,w.", show_default=False)]
Right = Annotated[str | None, typer.Option("--x", help="Its direction to the right: u,v,w.", show_default=False)]
CellError = Annotated[float, typer.Option("--cell-error-percent", help="How well its cell is known, rms.")]
Spherical = Annotated[
    float | None,
    typer.Option(
        "--cs-mm", help="Spherical aberration of the lens; 0: corrected. Default: the file's.", show_default=False
    ),
]
Thorough = Annotated[bool, typer.Option("--thorough", help="Also fits that take up to a minute for each file.")]
FalseAlarms = Annotated[
    float, typer.Option("--false-alarms-percent", help="Share of correct files in which anything is said to disagree.")
]
Sensors = Annotated[
    list[Path] | None, typer.Option(help="A log of sensors, or a session folder; may be repeated.", show_default=False)
]
Columns = Annotated[Path | None, typer.Option(help="Column table (TOML) of a plain CSV log.", show_default=False)]
LogZone = Annotated[
    str | None,
    typer.Option(help="Time zone of a log that does not state it: Europe/Berlin, +02:00.", show_default=False),
]
SensorTable = Annotated[
    str | None,
    typer.Option(
        help="Sensor table of the logs: a name or a TOML file. Default: by what they are.", show_default=False
    ),
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with files as they land, until Ctrl-C.")]
Duration = Annotated[float | None, typer.Option(help="With --follow: stop after so many seconds.", show_default=False)]
Sidecar = Annotated[
    bool, typer.Option("--sidecar", help="Write FILE.emtwin.json beside each file: corrected values and evidence.")
]
Corrected = Annotated[
    Path | None,
    typer.Option(
        "--write-corrected", help="Corrected copy of one HyperSpy or Zarr file; must not exist.", show_default=False
    ),
]
Out = Annotated[Path | None, typer.Option(help="Page to make, .html; must not exist.", show_default=False)]


@app.command()
def validate(
    paths: Paths, specimen: Specimen = None, zone: Zone = None, x: Right = None, cell_error: CellError = 0.2, spherical: Spherical = None,
    thorough: Thorough = False, false_alarms: FalseAlarms = 1.0, sensors: Sensors = None, columns: Columns = None, log_zone: LogZone = None,
    table: SensorTable = None, follow: Follow = False, duration: Duration = None, sidecar: Sidecar = False, corrected: Corrected = None,
    out: Out = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Give a verdict on every field of files' metadata: against physics, sensors and the data themselves."""

    def job() -> Outcome:
        from scenarios.validate.options import ValidateOptions, known_of

        known = known_of(specimen, zone, x, cell_error, spherical, thorough)
        options = ValidateOptions(
            tuple(paths), known, false_alarms / 100.0, out, tuple(sensors or ()), columns, log_zone, table, follow, duration, sidecar, corrected
        )  # fmt: skip
        options.check()
        from twin.compiled_programs import start_jax

        start_jax()
        from scenarios.validate.run import run_validate

        session, result = run_validate(options, as_json)
        return (INTERRUPTED if session.interrupted else DONE if session.agrees else DISAGREES), result

    raise typer.Exit(guarded(job, as_json, lambda: None))
