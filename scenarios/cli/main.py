"""The entry point of the command line: ``emtwin acquire``, ``simulate``, ``plan``, ``watch``, ``measure KIND``, ``instrument``, ``session``, ``library``.

A command imports what is heavy when it runs: ``--help`` is quick, and ``instrument serve`` runs without JAX.
"""

import functools
import os
import sys
from typing import Annotated, Any

import typer

from scenarios.cli.app import app
from scenarios.cli.commands import acquire, instrument, library, plan, session, simulate, validate, watch
from scenarios.cli.commands.measure import measure_commands
from scenarios.cli.outcome import BAD_INPUT, DISAGREES, DONE, FAULT, INTERRUPTED, LOST, complain, guarded

__all__ = ["BAD_INPUT", "DISAGREES", "DONE", "FAULT", "INTERRUPTED", "LOST", "app", "main", "run"]

# click's ClickException, wherever this version of typer keeps it
_UsageError: Any = typer.BadParameter.__mro__[2]

# Importing a module of commands adds them to the application, in the order in which --help lists them.
COMMANDS = (acquire, simulate, plan, validate, watch, instrument, session, library)

app.add_typer(measure_commands(guarded), name="measure")


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("emtwin")
        except PackageNotFoundError:
            number = "(a checkout that is not installed)"
        typer.echo(f"emtwin {number}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A digital twin of a (scanning) transmission electron microscope."""


def run(arguments: list[str]) -> int:
    """Run the command line on ``arguments``; returns the exit code."""
    as_json = "--json" in arguments
    try:
        return int(_command()(args=arguments or ["--help"], prog_name="emtwin", standalone_mode=False) or DONE)
    except _UsageError as error:
        problem = error.format_message()
        return complain(as_json, BAD_INPUT, "command line", problem, "See emtwin --help.")
    except KeyboardInterrupt:
        return complain(as_json, INTERRUPTED, "keyboard", "interrupted", "")


@functools.cache
def _command() -> Any:
    """The command of all jobs, read from their functions once."""
    return typer.main.get_command(app)


def main() -> None:
    """The ``emtwin`` command."""
    # Before NumPy is imported, for processes that it starts too. Matrices are small: threads of linear algebra would wait for one another, at the
    # cost of a core, and their rounding would depend on how many there are.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
