"""The command line: ``emtwin acquire``, ``simulate``, ``watch``, ``measure KIND``, ``instrument serve|learn-sensors|calibrate``, ``session show``.

Exit codes: 0 done; 1 done, and something disagrees (the model is distrusted, a check fails); 2 bad input; 3 instrument lost; 130 interrupted.
Under ``--json`` stdout holds one object, also for an error: {"error": {"input", "problem", "cure"}}. All else goes to stderr.
Everything heavy is imported by the command that needs it: ``instrument serve`` runs without JAX.
"""

import contextlib
import datetime
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from scenarios.cli.measure import measure_commands
from scenarios.io.errors import BadInput
from scenarios.io.shipped import shipped_names

DONE, DISAGREES, BAD_INPUT, LOST, FAULT, INTERRUPTED = 0, 1, 2, 3, 70, 130

Outcome = tuple[int, dict[str, Any]]
"""A command's exit code, and what it prints under ``--json``."""

# click's ClickException, wherever this version of typer keeps it
_UsageError: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="emtwin",
    help="A digital twin of a (scanning) transmission electron microscope.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
instrument_app = typer.Typer(
    help="Serve an instrument over the wire; learn its sensors from a log; calibrate its column.", rich_markup_mode=None
)
session_app = typer.Typer(help="Look at what was recorded.", rich_markup_mode=None)
app.add_typer(instrument_app, name="instrument")
app.add_typer(session_app, name="session")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Keys = Annotated[bool, typer.Option("--keys", help="List every key of a scenario: unit, default, meaning.")]
_PRESETS = Path(__file__).parent / "presets"
_ACQUIRE, _SIMULATE = (", ".join(shipped_names(folder)) for folder in (_PRESETS, _PRESETS / "simulate"))


def _show_version(wanted: bool) -> None:
    if wanted:
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


@app.command()
def acquire(
    scenario: Annotated[
        str | None,
        typer.Argument(help=f"A TOML file, or a preset: {_ACQUIRE}. Default: tune-and-map.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Session folder to make; must not exist. Default: under sessions/.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all chance; the scenario's own where not given.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted session.")] = None,
    dose: Annotated[float | None, typer.Option(help="Electrons per square angstrom of a measurement.")] = None,
    instrument: Annotated[
        str | None, typer.Option(help="Address of a running instrument, tcp://HOST:PORT. Default: start one.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of recorded data, for replay scenarios.")] = None,
    keys: Keys = False,
    as_json: Json = False,
) -> None:
    """Answer requests from the twin where it is sure, and measure where it is not."""
    if keys:
        raise typer.Exit(_guarded(lambda: _list_keys("acquire", as_json), as_json, lambda: None))
    session = resume or out

    def job() -> Outcome:
        nonlocal session
        plan, where = _plan(scenario, out, seed, resume, dose, data, instrument)
        session = where
        from scenarios.io.progress import open_progress

        with open_progress(f"emtwin acquire {plan.name}, seed {plan.seed}") as progress:
            if plan.kind == "replay-titanate":
                from scenarios.io.numerics import start_jax

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

    raise typer.Exit(_guarded(job, as_json, lambda: session))


@app.command()
def simulate(
    scenario: Annotated[
        str | None,
        typer.Argument(help=f"A TOML file (kind = simulate), or a preset: {_SIMULATE}.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to make, .zarr or .hspy; its picture goes beside it.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all chance; the scenario's own where not given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted simulation.")] = False,
    keys: Keys = False,
    as_json: Json = False,
) -> None:
    """Compute what a microscope would record: images, diffraction patterns, scans, 4D-STEM."""
    if keys:
        raise typer.Exit(_guarded(lambda: _list_keys("simulate", as_json), as_json, lambda: None))

    def job() -> Outcome:
        plan, where = _simulation(scenario, out, seed, resume)
        from scenarios.io.progress import open_progress

        with open_progress(f"emtwin simulate {plan.name if plan else where}") as progress:
            from scenarios.io.numerics import start_jax

            start_jax()
            from scenarios.simulate.job import run_simulate

            result = run_simulate(plan, where, resume, progress)
        if not as_json:
            from scenarios.simulate.output.show import print_simulated

            print_simulated(result)
        return DONE, result

    def unfinished() -> Path | None:
        return None if out is None else out.with_name(out.name + ".part")

    raise typer.Exit(_guarded(job, as_json, unfinished, f"emtwin simulate --out {out} --resume"))


@app.command()
def watch(
    source: Annotated[
        str,
        typer.Argument(help="tcp://HOST:PORT, a session folder, or a log: .xml(.gz), .csv, .dens.", show_default=False),
    ],
    table: Annotated[
        str | None, typer.Option(help="Sensor table: a name or a TOML file. Default: by what SOURCE is.")
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
    """Follow an instrument, a session or a log by its sensors: what state it is in, and which sensors to trust."""

    def job() -> Outcome:
        from scenarios.watch.options import Wish

        wish = Wish(source, table, seconds, speed, out)
        wish.check()
        from scenarios.io.numerics import start_jax

        start_jax()
        from scenarios.watch.job import run_watch
        from scenarios.watch.show import print_watched

        found = run_watch(wish)
        if not as_json:
            print_watched(found)
            if "error" in found:
                _complain(
                    False, LOST, **{"where" if key == "input" else key: text for key, text in found["error"].items()}
                )
        ended = {"lost": LOST, "interrupted": INTERRUPTED}.get(found["ended"])
        return (DISAGREES if found["disagrees"] else DONE) if ended is None else ended, found

    raise typer.Exit(_guarded(job, as_json, lambda: None))


@instrument_app.command(
    "serve",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def serve(context: typer.Context) -> None:
    """Serve an instrument: ``simulated`` or ``replay``, with its own options (``--help`` lists them)."""
    from instrument.remote.launch import serve_main

    raise typer.Exit(_guarded(lambda: (serve_main(list(context.args)), {}), False, lambda: None))


@instrument_app.command("learn-sensors")
def learn_sensors(
    log: Annotated[Path, typer.Argument(help="A log: HealthMonitor .xml(.gz), Protochips .csv, DENS .dens.")],
    out: Annotated[
        Path | None, typer.Option(help="Sensor table to make, TOML; must not exist.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show channels of which too little is known, too.")] = False,
    as_json: Json = False,
) -> None:
    """What a log tells of each channel: how it reports, its unit, step, noise, drift and lag, or that it tells too little."""

    def job() -> Outcome:
        from scenarios.io.atomic_output import new_file
        from scenarios.io.progress import open_progress
        from scenarios.sensors.learn import learn_log

        if out is not None:
            new_file(out)
        with open_progress(f"emtwin instrument learn-sensors {log}") as progress:
            learnt = learn_log(log, progress)
        if out is not None:
            from scenarios.sensors.table import write_table

            write_table(learnt, out)
        if not as_json:
            from scenarios.sensors.show import print_learnt

            print_learnt(learnt, every, out)
        return DONE, learnt

    raise typer.Exit(_guarded(job, as_json, lambda: None))


@instrument_app.command("calibrate")
def calibrate(
    table: Annotated[Path, typer.Argument(help="CSV: settings, and what was measured at them.")],
    column: Annotated[str, typer.Option(help="Column: a name or a TOML file.")] = "generic-300",
    out: Annotated[
        Path | None, typer.Option(help="Calibration to make, JSON; must not exist.", show_default=False)
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Figure to make, .png or .svg; must not exist.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """What a table of settings and measurements says of a column's constants, which rows do not fit, and what stays unknown."""

    def job() -> Outcome:
        from scenarios.io.atomic_output import new_files, write_whole
        from scenarios.io.progress import open_progress

        new_files(out, figure)
        from scenarios.io.numerics import start_jax

        start_jax()
        from scenarios.calibrate.job import calibrate_table, write_calibration

        with open_progress(f"emtwin instrument calibrate {table}") as progress:
            told = calibrate_table(table, column, progress)
        if out is not None:
            write_calibration(told, out)
        from scenarios.calibrate.show import draw_calibration, print_calibration

        if figure is not None:
            write_whole(draw_calibration(told, figure.suffix[1:]), figure)
        if not as_json:
            print_calibration(told)
        return DISAGREES if told["outliers"] else DONE, told

    raise typer.Exit(_guarded(job, as_json, lambda: None))


@session_app.command("show")
def show(session: Annotated[Path, typer.Argument(help="A session folder.")], as_json: Json = False) -> None:
    """What a session did, whole or interrupted, and whether its record is intact."""

    def job() -> Outcome:
        from scenarios.report.show import print_summary, summarise

        summary = summarise(session)
        if not as_json:
            print_summary(summary)
        return DISAGREES if summary["problems"] else DONE, summary

    raise typer.Exit(_guarded(job, as_json, lambda: session))


def _list_keys(command: str, as_json: bool) -> Outcome:
    """Every key of the scenarios that ``command`` runs, printed or as plain values."""
    from scenarios import presets
    from scenarios.acquire import scenario
    from scenarios.keys.show import keys_as_dict, print_keys
    from twin.simulation.plan import tables as plan

    simulating = command == "simulate"
    tables = plan.tables() if simulating else scenario.tables()
    named = presets.described(presets.simulation_names() if simulating else presets.preset_names())
    if not as_json:
        print_keys(command, tables, named)
    return DONE, keys_as_dict(command, tables, named)


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
        given = {"SCENARIO": name, "--out": out, "--seed": seed, "--dose": dose}
        for option, value in given.items():
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


def _simulation(name: str | None, out: Path | None, seed: int | None, resume: bool) -> tuple[Any, Path]:
    """The simulation to run (None: the one to resume, as it was begun) and its file. BadInput otherwise."""
    if out is None:
        raise BadInput("--out", "is missing", "Add --out FILE.zarr or --out FILE.hspy.")
    if resume and seed is not None:
        raise BadInput("--seed", "cannot be changed when a simulation is resumed", "Leave --seed out.")
    from scenarios.presets import load_simulation, simulation_names
    from scenarios.simulate.reading import reseeded

    if name is None and not resume:
        raise BadInput("SCENARIO", "is missing", f"Name a TOML file, or a preset: {', '.join(simulation_names())}.")
    plan = None if name is None else load_simulation(name)
    if plan is not None and seed is not None:
        try:
            plan = reseeded(plan, seed)
        except BadInput as error:
            raise BadInput("--seed", error.problem, error.cure) from None
    return plan, out


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


def _guarded(
    job: Callable[[], Outcome], as_json: bool, session: Callable[[], Path | None], again: str | None = None
) -> int:
    """Run a command's work; turn what it raises into a message and an exit code, with a traceback only for our own faults.

    ``session`` says which folder keeps what was done, ``again`` with which command it goes on (default: that of a session).
    """
    from instrument.core.interface import InstrumentError, InstrumentLost

    def begun() -> Path | None:
        folder = session()
        return folder if folder is not None and folder.is_dir() else None

    quiet = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    try:
        with quiet:
            code, found = job()
        if as_json:
            _print_json(found)
        return code
    except KeyboardInterrupt:
        folder = begun()
        command = again or f"emtwin acquire --resume {folder}"
        cure = f"What was done is kept: go on with: {command}" if folder else "Nothing was written."
        return _complain(as_json, INTERRUPTED, "keyboard", "interrupted", cure)
    except InstrumentLost as error:
        folder = begun()
        if folder is None:
            return _complain(as_json, BAD_INPUT, "instrument", str(error), "Check its address, and that it runs.")
        cure = f"What was done is kept: go on with: emtwin acquire --resume {folder}"
        return _complain(as_json, LOST, "instrument", str(error), cure)
    except InstrumentError as error:
        return _complain(as_json, BAD_INPUT, "instrument", error.problem, error.cure)
    except ValueError as error:
        where = getattr(error, "input", None) or getattr(error, "path", None) or "input"
        problem = getattr(error, "problem", None) or str(error)
        return _complain(as_json, BAD_INPUT, str(where), str(problem), str(getattr(error, "cure", "")))
    except OSError as error:
        where = str(error.filename or "system")
        return _complain(
            as_json, BAD_INPUT, where, error.strerror or str(error), "Check the path, its permissions and the disk."
        )
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return _complain(as_json, FAULT, "emtwin", f"a fault of its own: {error!r}", "Please report the lines above.")


def _complain(as_json: bool, code: int, where: str, problem: str, cure: str) -> int:
    """Say what is wrong: three lines on stderr, or one JSON object on stdout; returns the exit code."""
    if as_json:
        _print_json({"error": {"input": where, "problem": problem, "cure": cure}})
    else:
        lines = [f"emtwin: {where}", f"  problem: {problem}"] + ([f"  cure:    {cure}"] if cure else [])
        print("\n".join(lines), file=sys.stderr)
    return code


def _print_json(value: dict[str, Any]) -> None:
    """One object on stdout; numbers that are not finite become null."""
    print(json.dumps(_finite(value), allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    """Plain JSON values out of nested ones with numpy scalars, arrays and paths in them."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


app.add_typer(measure_commands(_guarded), name="measure")


def run(arguments: list[str]) -> int:
    """Run the command line on ``arguments``; returns the exit code."""
    as_json = "--json" in arguments
    try:
        return int(app(args=arguments or ["--help"], prog_name="emtwin", standalone_mode=False) or DONE)
    except _UsageError as error:
        problem = error.format_message()
        return _complain(as_json, BAD_INPUT, "command line", problem, "See emtwin --help.")
    except KeyboardInterrupt:
        return _complain(as_json, INTERRUPTED, "keyboard", "interrupted", "")


def main() -> None:
    """The ``emtwin`` command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
