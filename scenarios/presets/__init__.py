"""Scenarios that come with emtwin, as TOML files beside this one."""

from pathlib import Path

from scenarios.errors import BadInput
from scenarios.scenario import Scenario, read_scenario
from scenarios.simulate.plan import Simulation
from scenarios.simulate.reading import read_simulation

_FOLDER = Path(__file__).parent
_SIMULATIONS = _FOLDER / "simulate"


def preset_names() -> list[str]:
    """The names of the presets, in order."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """A preset by its name, or a scenario by the path of its TOML file; BadInput (a ValueError) where there is neither."""
    text = str(name_or_path)
    if text in preset_names():
        return read_scenario(_FOLDER / f"{text}.toml")
    path = Path(name_or_path)
    if not path.exists() and path.suffix != ".toml" and path.name == text:
        raise BadInput(
            text, "is neither a preset nor a file", f"Name a TOML file, or a preset: {', '.join(preset_names())}."
        )
    return read_scenario(path)


def simulation_names() -> list[str]:
    """The names of the presets of ``emtwin simulate``, in order."""
    return sorted(path.stem for path in _SIMULATIONS.glob("*.toml"))


def load_simulation(name_or_path: str | Path) -> Simulation:
    """A preset of ``emtwin simulate`` by its name, or a simulation by the path of its TOML file; BadInput where there is neither."""
    text = str(name_or_path)
    if text in simulation_names():
        return read_simulation(_SIMULATIONS / f"{text}.toml")
    path = Path(name_or_path)
    if not path.exists() and path.suffix != ".toml" and path.name == text:
        raise BadInput(
            text, "is neither a preset nor a file", f"Name a TOML file, or a preset: {', '.join(simulation_names())}."
        )
    return read_simulation(path)
