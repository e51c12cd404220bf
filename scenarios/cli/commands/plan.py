"""The command ``emtwin plan``."""

from pathlib import Path
from typing import Annotated, Any

import typer

import scenarios
from reconstruct.api.shipped import shipped_names
from scenarios.cli.app import Json, Keys, app
from scenarios.cli.keys import list_keys
from scenarios.cli.outcome import DISAGREES, DONE, Outcome, guarded
from scenarios.io.errors import BadInput

_PRESETS = ", ".join(shipped_names(Path(scenarios.__file__).parent / "presets" / "questions"))


@app.command()
def plan(
    question: Annotated[
        str | None, typer.Argument(help=f"A TOML file, or a preset: {_PRESETS}.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Page to make, .html.", show_default=False)] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Search for settings that need less dose, as a table [search] does.")
    ] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Weigh the best option on thinner, thicker and tilted specimens, too.")
    ] = False,
    scenario: Annotated[
        Path | None,
        typer.Option(
            help="Scenario of emtwin simulate to make, .toml, of the advised option; its structure is a .cif beside it.",
            show_default=False,
        ),
    ] = None,
    keys: Keys = False,
    as_json: Json = False,
) -> None:
    """Which technique and dose answer a question, and is it worth the beam time? Exit code 1 where no option is feasible."""
    if keys:
        raise typer.Exit(guarded(lambda: list_keys("plan", as_json), as_json, lambda: None))

    def job() -> Outcome:
        from scenarios.question.reading import question_names, read_question

        if question is None:
            raise BadInput("QUESTION", "is missing", f"Name a TOML file, or a preset: {', '.join(question_names())}.")
        read = _asked(read_question(question), question, search, what_if)
        if out is not None:
            from scenarios.io.atomic_output import new_file

            if out.suffix != ".html":
                raise BadInput(f"--out {out}", "is no page", "Name a file that ends in .html.")
            new_file(out)
        if scenario is not None:
            from scenarios.plan.scenario import check_scenario

            check_scenario(scenario)
        from scenarios.io.progress import open_progress

        with open_progress(f"emtwin plan {read.name}") as progress:
            from twin.compiled_programs import start_jax

            start_jax()
            from scenarios.plan.job import plan_question, result_of

            planned = plan_question(read, progress)
            result = result_of(planned)
            from scenarios.plan.report.past import past_lines, past_of

            past = past_of(question)
            result["library"] = past
            if out is not None:
                from scenarios.io.atomic_output import write_whole
                from scenarios.plan.report.page import page_of

                progress.stage("writing the page")
                write_whole(page_of(planned, past_lines(past)).encode(), out)
                result["page"] = str(out)
            if scenario is not None:
                from scenarios.plan.scenario import write_scenario

                result["scenario"] = [str(path) for path in write_scenario(planned, scenario)]
        if not as_json:
            from scenarios.plan.report.show import print_planned

            print_planned(planned, out, past=past_lines(past))
        return DONE if planned.best is not None else DISAGREES, result

    raise typer.Exit(guarded(job, as_json, lambda: None))


def _asked(read: Any, origin: str, search: bool, what_if: bool) -> Any:
    """The question with what the options add to it."""
    import msgspec

    from scenarios.question.parts import WhatIfPlan
    from scenarios.question.reading import with_search

    if search:
        read = with_search(read, origin)
    if what_if and read.what_if is None:
        read = msgspec.structs.replace(read, what_if=WhatIfPlan())
    return read
