"""The command ``emtwin acquire``."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import scenarios
from reconstruct.api.shipped import shipped_names
from scenarios.cli.app import Json, Keys, app
from scenarios.cli.keys import list_keys
from scenarios.cli.outcome import DISAGREES, DONE, Outcome, guarded
from scenarios.io.errors import BadInput

_PRESETS = ", ".join(shipped_names(Path(scenarios.__file__).parent / "presets"))


@app.command()
def acquire(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help=f"A TOML file (also a question of kind measure), or a preset: {_PRESETS}, focus-srtio3. Default: tune-and-map.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Session folder to make; must not exist. Default: under sessions/.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random numbers. Default: that of the scenario.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Resume an interrupted session.")] = None,
    dose: Annotated[float | None, typer.Option(help="Electrons per square angstrom of a measurement.")] = None,
    instrument: Annotated[
        str | None, typer.Option(help="Address of a running instrument, tcp://HOST:PORT. Default: start one.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of recorded data, for replay scenarios.")] = None,
    keys: Keys = False,
    as_json: Json = False,
) -> None:
    """Answer image requests from the twin where its predicted error is small, and measure the others; or a question, with the images that it takes."""
    if keys:
        raise typer.Exit(guarded(lambda: list_keys("acquire", as_json), as_json, lambda: None))
    session = resume or out

    def job() -> Outcome:
        nonlocal session
        asked = _question(scenario, out, seed, resume, dose, data)
        if asked is not None:
            session = resume or _new_folder(asked.name, out)
            return _answered(asked, session, resume, instrument, as_json)
        plan, where = _plan(scenario, out, seed, resume, dose, data, instrument)
        session = where
        from scenarios.io.progress import open_progress

        with open_progress(f"emtwin acquire {plan.name}, seed {plan.seed}") as progress:
            if plan.kind == "replay-titanate":
                from twin.compiled_programs import start_jax

                start_jax()
                from scenarios.replay.session import run_replay

                result = run_replay(plan, where, data, progress, resume=resume is not None, instrument=instrument)
            else:
                from scenarios.acquire.job import run_acquire

                result = run_acquire(
                    scenario=plan, out=where, seed=plan.seed, resume=resume, progress=progress, instrument=instrument
                )
        if not as_json:
            from scenarios.report.show import print_result

            print_result(result, where)
        return DISAGREES if result.get("model_distrusted") else DONE, result

    raise typer.Exit(guarded(job, as_json, lambda: session))


def _question(
    name: str | None, out: Path | None, seed: int | None, resume: Path | None, dose: float | None, data: Path | None
) -> Any:
    """The question that is to be answered; None where the job is another one."""
    from scenarios.acquire.question.job import recorded_question
    from scenarios.question.reading import is_question, read_question

    if resume is not None:
        asked = recorded_question(resume) if (resume / "journal.db").exists() else None
        given = {"SCENARIO": name, "--out": out, "--seed": seed, "--dose": dose, "--data": data}
    else:
        asked = read_question(name) if name is not None and is_question(name) else None
        given = {"--dose": dose, "--data": data}
    if asked is None:
        return None
    for option, value in given.items():
        if value is not None:
            raise BadInput(option, "does not go with a question", f"Leave {option} out; its file says all.")
    if seed is not None:
        import msgspec

        asked = msgspec.structs.replace(asked, seed=seed)
    return asked


def _answered(asked: Any, folder: Path, resume: Path | None, instrument: str | None, as_json: bool) -> Outcome:
    from scenarios.io.progress import open_progress

    with open_progress(f"emtwin acquire {asked.name}, seed {asked.seed}") as progress:
        from scenarios.acquire.question.job import run_question

        result = run_question(asked, folder, resume, progress, instrument)
    if not as_json:
        from rich.console import Console

        from scenarios.acquire.question.page import verdict

        console = Console(highlight=False)
        console.print(verdict(result), markup=False)
        console.print(f"page    {folder / 'report.html'}", markup=False, soft_wrap=True)
    return DONE if result["reached"] else DISAGREES, result


def _plan(
    name: str | None,
    out: Path | None,
    seed: int | None,
    resume: Path | None,
    dose: float | None,
    data: Path | None,
    instrument: str | None,
) -> tuple[Any, Path]:
    """The scenario to run and the folder of its session, all input checked before anything is made. BadInput otherwise."""
    if resume is not None:
        options = {"SCENARIO": name, "--out": out, "--seed": seed, "--dose": dose}
        for option, value in options.items():
            if value is not None:
                raise BadInput(option, "cannot be changed when a session is resumed", f"Leave {option} out.")
        from scenarios.report.show import recorded_scenario

        plan = recorded_scenario(resume)
        where = resume
    else:
        from scenarios.presets import load_scenario

        plan = load_scenario(name or "tune-and-map")
        try:
            plan = plan.changed(dose=dose, seed=seed)
        except BadInput as error:
            option = "--dose" if "scan.dose" in error.problem else "--seed"
            raise BadInput(option, error.problem, error.cure) from None
        where = _new_folder(plan.name, out)
    if plan.kind == "replay-titanate":
        if data is None:
            raise BadInput(
                "--data", f"scenario {plan.name!r} replays recorded data, and no folder is given", "Add --data FOLDER."
            )
        if data is not None and not data.is_dir():
            raise BadInput(f"--data {data}", "is not a folder", "Name the folder that holds the recorded files.")
    elif data is not None:
        raise BadInput("--data", f"scenario {plan.name!r} does not replay recorded data", "Leave --data out.")
    return plan, where


def _new_folder(name: str, out: Path | None) -> Path:
    """Where a new session goes: ``out``, or a name of its own under sessions/. Nothing is made yet."""
    if out is None:
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        out = Path("sessions") / f"{name}-{stamp}"
        for number in range(2, 1000):
            if not out.exists():
                break
            out = Path("sessions") / f"{name}-{stamp}-{number}"
    if out.exists() or out.is_symlink():
        raise BadInput(f"--out {out}", "exists already", "Name a folder that does not exist, or --resume it.")
    parent = out.resolve().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise BadInput(f"--out {out}", f"{parent} is not a folder", "Name a folder that can be made.")
    return out
