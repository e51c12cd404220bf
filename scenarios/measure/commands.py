"""The commands ``emtwin measure KIND FILE``: one for each kind, with its own options. Everything heavy is imported by the command that needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scenarios.measure.image_commands import add_images
from scenarios.measure.pattern_commands import add_patterns

if TYPE_CHECKING:
    from scenarios.measure.found import Found
    from scenarios.progress import Progress

DONE, DISAGREES = 0, 1

Guarded = Callable[[Callable[[], tuple[int, dict[str, Any]]], bool, Callable[[], Path | None]], int]
"""Runs a command's work and makes a message and an exit code of what it raises."""


def measure_commands(guarded: Guarded) -> typer.Typer:
    """The sub-application ``emtwin measure``."""
    app = typer.Typer(
        help="Images as sensors: quantities with errors out of a file, what it leaves open, and what it contradicts.",
        rich_markup_mode=None,
    )

    def finish(
        kind: str, path: Path, work: Callable[["Progress"], "Found"], out: Path | None, figure: Path | None, js: bool
    ) -> None:
        raise typer.Exit(guarded(lambda: _run(kind, path, work, out, figure, js), js, lambda: None))

    add_images(app, finish)
    add_patterns(app, finish)
    return app


def _run(
    kind: str, path: Path, work: Callable[["Progress"], "Found"], out: Path | None, figure: Path | None, as_json: bool
) -> tuple[int, dict[str, Any]]:
    """Measure, draw, and only then write; refuse files that are in the way before anything is computed."""
    from scenarios.new_files import new_files, write_whole
    from scenarios.progress import open_progress

    new_files(out, figure)
    from scenarios.numerics import start_jax

    start_jax()
    from scenarios.measure.told import as_json as strict
    from scenarios.measure.told import tell

    with open_progress(f"emtwin measure {kind} {path}") as progress:
        found = work(progress)
    told = tell(found)
    content = strict(told)
    if figure is not None:
        from scenarios.measure.figure import draw_measured

        write_whole(draw_measured(found, figure.suffix[1:]), figure)
    if out is not None:
        write_whole(content, out)
    if not as_json:
        from scenarios.measure.show import print_measured

        print_measured(told)
    return DISAGREES if told["disagreements"] else DONE, told
