"""The public interface of twin: lazy and complete."""

import subprocess
import sys
from types import ModuleType

import pytest

import twin

NAMES: list[str] = vars(twin)["__all__"]


def test_the_import_is_light():
    code = (
        "import sys, twin, twin.channels, twin.records, twin.errors; "
        "sys.exit(bool({'jax', 'equinox', 'ase', 'abtem', 'xarray', 'matplotlib', 'gemmi', 'pint'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_name_of_the_face_is_there():
    assert {
        "Sample",
        "Microscope",
        "Annular",
        "Segmented",
        "Pixelated",
        "Camera",
        "EdgeMap",
        "Scan",
        "simulate",
        "to_hyperspy",
    } <= set(NAMES)
    assert {"hrtem", "exit_wave", "diffraction", "cbed", "stem", "stem4d", "ronchigram"} <= set(NAMES)
    for name in NAMES:
        assert not isinstance(getattr(twin, name), ModuleType), "a function must not share its name with a module"


@pytest.mark.slow
def test_the_face_comes_without_abtem():
    code = "import sys, twin; [getattr(twin, name) for name in twin.__all__]; sys.exit(bool({'ase', 'abtem'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
