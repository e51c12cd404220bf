"""The preset scenarios, TOML files in this folder."""

import tomllib
from pathlib import Path

from scenarios.acquire.scenario import Scenario, read_scenario
from scenarios.io.errors import BadInput
from scenarios.simulate.reading import read_simulation
from twin.simulation.plan.tables import Simulation

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
    _refuse_unknown(path, text, preset_names(), "simulate", simulation_names())
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
    _refuse_unknown(path, text, simulation_names(), "acquire", preset_names())
    return read_simulation(path)


def described(names: list[str]) -> dict[str, str]:
    """The description of each of these presets."""
    paths = {path.stem: path for folder in (_FOLDER, _SIMULATIONS) for path in folder.glob("*.toml")}
    return {name: str(tomllib.loads(paths[name].read_text("utf-8"))["description"]) for name in names}


def _refuse_unknown(path: Path, text: str, presets: list[str], other: str, other_presets: list[str]) -> None:
    """BadInput for what looks like a preset's name and is neither one nor a file; ``theirs`` are those of the ``other`` command."""
    if path.exists() or path.suffix == ".toml" or path.name != text:
        return
    if text in other_presets:
        raise BadInput(
            text, f"is a preset of emtwin {other}", f"Run emtwin {other} {text}, or name one of {', '.join(presets)}."
        )
    raise BadInput(text, "is neither a preset nor a file", f"Name a TOML file, or a preset: {', '.join(presets)}.")
