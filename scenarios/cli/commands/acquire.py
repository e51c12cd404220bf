"""The command ``emtwin acquire``."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import scenarios
from reconstruct.api.shipped import shipped_names
from scenarios.cli.app import Json, Keys, app
from scenarios.cli.keys import list_keys
from scenarios.cli.outcome import DISAGREES, DONE, Outcome, guarded
from scenarios.io.errors import BadInput

if TYPE_CHECKING:
    from scenarios.acquire.scenario import AnyScenario

REPLAY = "Replay of a recording"
_PRESETS = ", ".join(shipped_names(Path(scenarios.__file__).parent / "presets"))


Data = Annotated[
    Path | None,
    typer.Option(help="Recording to replay: a spectrum image or a 4D-STEM scan.", rich_help_panel=REPLAY),
]
Survey = Annotated[
    Path | None,
    typer.Option(
        help="Its survey image. Default: an image of the same file, or one made of the data.",
        rich_help_panel=REPLAY,
    ),
]
Quantity = Annotated[
    str | None,
    typer.Option(
        help='What is mapped: "Ti L", "plasmon energy", "t/lambda", "zero-loss position", "450-470 eV"; "centre of mass x", "com magnitude", '
        '"20-60 mrad".',
        rich_help_panel=REPLAY,
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(help="Largest standard deviation of the map, as a share of its range.", rich_help_panel=REPLAY),
]
Budget = Annotated[int | None, typer.Option(help="Most pixels that are measured.", rich_help_panel=REPLAY)]
Gain = Annotated[float | None, typer.Option(help="Counts of one electron.", rich_help_panel=REPLAY)]
PixelAngle = Annotated[float | None, typer.Option(help="Angle of a camera pixel.", rich_help_panel=REPLAY)]
SignalName = Annotated[
    str | None,
    typer.Option(help="Number or title of the scan, where a file holds several.", rich_help_panel=REPLAY),
]
Bin = Annotated[
    int | None,
    typer.Option(help="Pixels along each side that are summed to one.", rich_help_panel=REPLAY),
]
Model = Annotated[
    str | None,
    typer.Option(help="What predicts the other pixels: plain, host, deep or compared.", rich_help_panel=REPLAY),
]
Rule = Annotated[
    str | None,
    typer.Option(help="Which are measured next: variance, novelty, improvement or confidence.", rich_help_panel=REPLAY),
]


@app.command()
def acquire(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help=f"A TOML file (also a question), or a preset: {_PRESETS}, focus-srtio3, tune-srtio3, se-vacancy-wse2, map-ti-layers. Default: tune-and-map.",
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
    data: Data = None,
    survey: Survey = None,
    quantity: Quantity = None,
    tolerance: Tolerance = None,
    budget: Budget = None,
    gain: Gain = None,
    pixel_mrad: PixelAngle = None,
    signal: SignalName = None,
    bin: Bin = None,
    model: Model = None,
    rule: Rule = None,
    keys: Keys = False,
    as_json: Json = False,
) -> None:
    """Answer image requests from the twin where its predicted error is small, and measure the others; or a question, with the images and looks that it takes;
    or map a recorded scan from part of its pixels."""
    if keys:
        raise typer.Exit(guarded(lambda: list_keys("acquire", as_json), as_json, lambda: None))
    session = resume or out

    replayed = {
        "quantity": quantity, "tolerance": tolerance, "budget": budget, "gain": gain, "pixel_mrad": pixel_mrad, "signal": signal, "bin": bin,
        "model": model, "rule": rule,
    }  # fmt: skip

    def job() -> Outcome:
        nonlocal session
        changes = {name: value for name, value in replayed.items() if value is not None}
        asked = _question(scenario, out, seed, resume, dose, {"--data": data, "--survey": survey, **_options(changes)})
        if asked is not None:
            session = resume or _new_folder(asked.name, out)
            return _answered(asked, session, resume, instrument, as_json)
        if resume is not None and out is not None:
            raise BadInput("--out", "cannot be changed when a session is resumed", "Leave --out out.")
        plan = _plan(scenario, seed, resume, dose, changes)
        from scenarios.replay.scenario import ReplayScenario

        files = _recording(plan, data, survey, instrument)
        session = where = resume or _new_folder(plan.name, out)
        from scenarios.io.progress import open_progress

        with open_progress(f"emtwin acquire {plan.name}, seed {plan.seed}") as progress:
            if isinstance(plan, ReplayScenario):
                from twin.compiled_programs import start_jax

                start_jax()
                from scenarios.replay.session import run_replay

                result = run_replay(plan, where, files, progress, resume=resume is not None, instrument=instrument)
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
    name: str | None,
    out: Path | None,
    seed: int | None,
    resume: Path | None,
    dose: float | None,
    replayed: dict[str, Any],
) -> Any:
    """The question that is to be answered; None where the job is another one. ``replayed``: options of a replay."""
    from scenarios.acquire.question.job import recorded_question
    from scenarios.question.reading import is_question, read_question

    if resume is not None:
        asked = recorded_question(resume) if (resume / "journal.db").exists() else None
        given = {"SCENARIO": name, "--out": out, "--seed": seed, "--dose": dose, **replayed}
    else:
        asked = read_question(name) if name is not None and is_question(name) else None
        given = {"--dose": dose, **replayed}
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
        from scenarios.acquire.question.answers import answer

        result = answer(asked, folder, resume, progress, instrument)
    if not as_json:
        from scenarios.report.show import print_result

        print_result(result, folder)
    return DONE if result["reached"] else DISAGREES, result


def _plan(
    name: str | None, seed: int | None, resume: Path | None, dose: float | None, changes: dict[str, Any]
) -> "AnyScenario":
    """The scenario to run, with what the options change in it. BadInput for a scenario or an option that cannot be used."""
    from scenarios.acquire.scenario import any_from_dict
    from scenarios.replay.scenario import ReplayScenario

    if resume is not None:
        options: dict[str, Any] = {"SCENARIO": name, "--seed": seed, "--dose": dose, **_options(changes)}
        for option, value in options.items():
            if value is not None:
                raise BadInput(option, "cannot be changed when a session is resumed", f"Leave {option} out.")
        from scenarios.report.show import recorded_scenario

        return recorded_scenario(resume)
    from scenarios.presets import load_scenario

    plan = load_scenario(name or "tune-and-map")
    if isinstance(plan, ReplayScenario):
        if dose is not None:
            raise BadInput("--dose", f"scenario {plan.name!r} replays recorded data", "Leave --dose out.")
        changes |= {} if seed is None else {"seed": seed}
        for option, value in _options(changes).items():
            try:
                key = option.removeprefix("--").replace("-", "_")
                plan = any_from_dict({**plan.as_dict(), key: value}, plan.name)
            except BadInput as error:
                problem = error.problem.removeprefix(f"key {key}: ")
                raise BadInput(f"{option} {value}", problem, error.cure) from None
        return plan
    for option in _options(changes):
        raise BadInput(option, f"scenario {plan.name!r} does not replay recorded data", f"Leave {option} out.")
    try:
        return plan.changed(dose=dose, seed=seed)
    except BadInput as error:
        option = "--dose" if "scan.dose" in error.problem else "--seed"
        raise BadInput(option, error.problem, error.cure) from None


def _options(changes: dict[str, Any]) -> dict[str, Any]:
    """Keys of a replay's scenario as options."""
    return {f"--{name.replace('_', '-')}": value for name, value in changes.items()}


def _recording(plan: "AnyScenario", data: Path | None, survey: Path | None, instrument: str | None) -> Any:
    """The files of a replay; None where an instrument plays them, or the scenario is none. BadInput for options that do not belong together."""
    from scenarios.replay.scenario import ReplayScenario

    given = {"--data": data, "--survey": survey}
    for option, value in given.items():
        if value is not None and not isinstance(plan, ReplayScenario):
            raise BadInput(option, f"scenario {plan.name!r} does not replay recorded data", f"Leave {option} out.")
        if value is not None and instrument is not None:
            raise BadInput(option, "is played by the instrument at its address", f"Leave {option} or --instrument out.")
    if not isinstance(plan, ReplayScenario):
        return None
    from scenarios.replay.session import named_quantity

    named_quantity(plan)
    if instrument is not None:
        return None
    from scenarios.replay.recording import recording_of

    return recording_of(plan, data, survey)


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
