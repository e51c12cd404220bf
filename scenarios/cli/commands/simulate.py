"""The command ``emtwin simulate``."""

from pathlib import Path
from typing import Annotated, Any

import typer

import scenarios
from reconstruct.api.shipped import shipped_names
from scenarios.cli.app import Json, Keys, app
from scenarios.cli.keys import list_keys
from scenarios.cli.outcome import DONE, Outcome, guarded
from scenarios.io.errors import BadInput

_PRESETS = ", ".join(shipped_names(Path(scenarios.__file__).parent / "presets" / "simulate"))


@app.command()
def simulate(
    scenario: Annotated[
        str | None,
        typer.Argument(help=f"A TOML file (kind = simulate), or a preset: {_PRESETS}.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to make, .zarr or .hspy; its picture goes beside it.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random numbers. Default: that of the scenario.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted simulation.")] = False,
    keys: Keys = False,
    as_json: Json = False,
) -> None:
    """Compute what a microscope would record: images, diffraction patterns, scans, 4D-STEM, energy-loss spectra."""
    if keys:
        raise typer.Exit(guarded(lambda: list_keys("simulate", as_json), as_json, lambda: None))

    def job() -> Outcome:
        plan, where = _simulation(scenario, out, seed, resume)
        from scenarios.io.progress import open_progress

        with open_progress(f"emtwin simulate {plan.name if plan else where}") as progress:
            from twin.compiled_programs import start_jax

            start_jax()
            from scenarios.simulate.job import run_simulate

            result = run_simulate(plan, where, resume, progress)
        if not as_json:
            from scenarios.simulate.output.show import print_simulated

            print_simulated(result)
        return DONE, result

    def unfinished() -> Path | None:
        return None if out is None else out.with_name(out.name + ".part")

    raise typer.Exit(guarded(job, as_json, unfinished, f"emtwin simulate --out {out} --resume"))


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
