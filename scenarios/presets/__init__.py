"""The preset scenarios, TOML files in this folder."""

import tomllib
from pathlib import Path

from scenarios.acquire.scenario import AnyScenario, Scenario, read_scenario
from scenarios.io.errors import BadInput
from scenarios.simulate.reading import read_simulation
from twin.simulation.plan.reading import AnySimulation

_FOLDER = Path(__file__).parent
_SIMULATIONS = _FOLDER / "simulate"


def preset_names() -> list[str]:
    """The names of the presets, in order."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_scenario(name_or_path: str | Path) -> AnyScenario:
    """A preset by its name, or a scenario by the path of its TOML file; BadInput (a ValueError) where there is neither."""
    return read_scenario(_file_of(str(name_or_path), _FOLDER, preset_names(), "simulate", simulation_names()))


def default_scenario() -> Scenario:
    """The preset ``tune-and-map``, which ``emtwin acquire`` runs by default."""
    scenario = load_scenario("tune-and-map")
    assert isinstance(scenario, Scenario)
    return scenario


def simulation_names() -> list[str]:
    """The names of the presets of ``emtwin simulate``, in order."""
    return sorted(path.stem for path in _SIMULATIONS.glob("*.toml"))


def load_simulation(name_or_path: str | Path) -> AnySimulation:
    """A preset of ``emtwin simulate`` by its name, or a simulation by the path of its TOML file; BadInput where there is neither."""
    return read_simulation(_file_of(str(name_or_path), _SIMULATIONS, simulation_names(), "acquire", preset_names()))


def described(names: list[str]) -> dict[str, str]:
    """The description of each of these presets."""
    paths = {path.stem: path for folder in (_FOLDER, _SIMULATIONS) for path in folder.glob("*.toml")}
    return {name: str(tomllib.loads(paths[name].read_text("utf-8"))["description"]) for name in names}


def _file_of(name_or_path: str, folder: Path, presets: list[str], other: str, other_presets: list[str]) -> Path:
    """The file of a preset, or the path itself; BadInput for a name that is neither (``other_presets`` are those of the command ``other``)."""
    if name_or_path in presets:
        return folder / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if path.exists() or path.suffix == ".toml" or path.name != name_or_path:
        return path
    names = ", ".join(presets)
    if name_or_path in other_presets:
        raise BadInput(
            name_or_path,
            f"is a preset of emtwin {other}",
            f"Run emtwin {other} {name_or_path}, or name one of {names}.",
        )
    raise BadInput(name_or_path, "is neither a preset nor a file", f"Name a TOML file, or a preset: {names}.")
