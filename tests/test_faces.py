"""The public interfaces of the packages above the twin: complete, light to import, and named after no module."""

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

FACES = {
    "reconstruct": {"Stream", "load_model", "Belief", "Observation", "measure", "calibrate", "validate"},
    "learn": {"plan", "Discrepancy", "fit_constants", "GPMap"},
    "instrument": {"connect", "simulated", "Journal"},
}


@pytest.mark.smoke
@pytest.mark.parametrize(("package", "names"), FACES.items())
def test_every_name_is_there_whatever_was_imported_before(package: str, names: set[str]) -> None:
    """A subpackage that is imported becomes an attribute of its package: no public name may be that of one."""
    face = importlib.import_module(package)
    assert names <= set(vars(face)["__all__"])
    modules = {path.name.removesuffix(".py") for path in _folder(face)}
    assert modules & set(vars(face)["__all__"]) == set()
    for name in vars(face)["__all__"]:
        assert not isinstance(getattr(face, name), ModuleType), name
        assert getattr(face, name).__doc__ or isinstance(getattr(face, name), str), f"{package}.{name} has no docstring"


def _folder(face: ModuleType):
    from pathlib import Path

    return [
        path for path in Path(face.__path__[0]).iterdir() if path.suffix in ("", ".py") and path.name != "__pycache__"
    ]


@pytest.mark.parametrize("package", FACES)
def test_the_import_is_light(package: str) -> None:
    heavy = "{'jax', 'equinox', 'ase', 'abtem', 'xarray', 'matplotlib', 'gemmi', 'pint', 'zmq', 'zarr', 'scipy'}"
    code = f"import sys, {package}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_instruments_names_come_without_jax() -> None:
    code = "import sys, instrument; [getattr(instrument, n) for n in instrument.__all__]; sys.exit(bool({'jax', 'abtem'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
