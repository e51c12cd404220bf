"""The commands ``emtwin measure KIND FILE``: one for each of `scenarios.measure.kinds`. Everything heavy is imported by the command that needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from scenarios.measure.kinds import KINDS, Kind
from scenarios.measure.options import Counts, Output, with_options

DONE, DISAGREES = 0, 1

Guarded = Callable[[Callable[[], tuple[int, dict[str, Any]]], bool, Callable[[], Path | None]], int]
"""Runs a command's work and makes a message and an exit code of what it raises."""


def measure_commands(guarded: Guarded) -> typer.Typer:
    """The sub-application ``emtwin measure``."""
    app = typer.Typer(
        help="Measure quantities with errors from a file; list what is undetermined and what contradicts the file.",
        rich_markup_mode=None,
    )
    for name, kind in KINDS.items():
        app.command(name, help=kind.description)(
            with_options(kind.options, kind.several, _command(name, kind, guarded))
        )
    return app


def _command(name: str, kind: Kind, guarded: Guarded) -> Callable[[tuple[Path, ...], Counts, Output], None]:
    def run(files: tuple[Path, ...], options: Counts, output: Output) -> None:
        raise typer.Exit(guarded(lambda: _run(name, kind, files, options, output), output.as_json, lambda: None))

    return run


def _run(name: str, kind: Kind, files: tuple[Path, ...], options: Counts, output: Output) -> tuple[int, dict[str, Any]]:
    """Measure, draw, then write; existing output files are refused before anything is computed."""
    from reconstruct.measurement.recorded.known import KINDS as MEASUREMENTS
    from scenarios.io.atomic_output import new_files, write_whole
    from scenarios.io.progress import open_progress
    from scenarios.measure.given import inputs_of

    inputs = inputs_of(name, options)
    new_files(output.out, output.figure)
    from twin.compiled_programs import start_jax

    start_jax()
    from scenarios.measure.files import open_file, open_spectra, read_references
    from scenarios.measure.output.result import to_dict, to_json

    measure = MEASUREMENTS[name]
    with open_progress(f"emtwin measure {name} {files[0]}") as progress:
        inputs = read_references(inputs)
        if measure.spectra:
            recordings = tuple(open_spectra(path, options.signal, inputs) for path in files)
        else:
            recordings = tuple(open_file(path, options.signal, inputs, measure.scan) for path in files)
        measurement = measure.function(recordings if kind.several else recordings[0], progress.stage)
    result = to_dict(measurement)
    content = to_json(result)
    if output.figure is not None:
        from scenarios.measure.output.figure import draw_measured

        write_whole(draw_measured(measurement, output.figure.suffix[1:]), output.figure)
    if output.out is not None:
        write_whole(content, output.out)
    if not output.as_json:
        from scenarios.measure.output.show import print_measured

        print_measured(result)
    return DONE if measurement.agrees else DISAGREES, result
