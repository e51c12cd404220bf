"""Without JAX's float64, functions that need it raise an error instead of computing in float32."""

import re
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import TABLE as SENSORS
from twin import checks
from twin.column.column import Column
from twin.column.table import read_column
from twin.lenses.fields import GlaserBell
from twin.lenses.paraxial import transfer
from twin.optics.aberrations import phase
from twin.optics.illumination import Illumination
from twin.optics.probe import probe
from twin.optics.transfer import Imaging
from twin.sample.specimen import srtio3
from twin.scattering.multislice import propagator
from twin.scattering.signals import exit_waves
from twin.scattering.stem.smatrix import scattering_matrix
from twin.sensors.table import read_table

ROOT = Path(__file__).resolve().parents[2]
COLUMN = (ROOT / "twin" / "column" / "tables" / "generic-300.toml").read_text()
EXTENT, GPTS, NONE = (8.0, 8.0), (16, 16), np.zeros(25)
SPECIMEN = srtio3((1, 1, 1))

CALLS: dict[str, Callable[[], object]] = {
    "illumination": lambda: Illumination(NONE, 200e3, 0.02),
    "imaging": lambda: Imaging(NONE, 200e3),
    "phase": lambda: phase(NONE, np.zeros(3), np.zeros(3), 0.025),
    "probe": lambda: probe(NONE, np.zeros(2), np.ones(GPTS), EXTENT, 200e3),
    "propagator": lambda: propagator(GPTS, EXTENT, 200e3, 2.0),
    "slices": lambda: SPECIMEN.slices(GPTS, 2),
    "exit waves": lambda: next(iter(exit_waves([lambda: SPECIMEN.slices(GPTS, 2)], 200e3))),
    "scattering matrix": lambda: scattering_matrix(
        jnp.ones((2, *GPTS), "complex64"), jnp.ones(GPTS, "complex64"), EXTENT, 200e3, 0.02
    ),
    "lens": lambda: transfer(GlaserBell(1.0, 1e7), -1e7, 1e7, 200e3),
    "column": lambda: Column(read_column(COLUMN)),
    "stream": lambda: Stream(read_table(SENSORS, "toy.toml").model({}), 0),
}


@pytest.mark.parametrize("name", CALLS)
def test_single_precision_is_refused(name: str):
    with jax.enable_x64(False), pytest.raises(ValueError, match=r'jax\.config\.update\("jax_enable_x64", True\)'):
        CALLS[name]()


def test_double_precision_passes():
    checks.require_float64()
    assert checks.float64(1).dtype == np.float64


def test_every_use_of_float64_in_jax_is_checked():
    """An array made with that dtype would be one of float32, where JAX has no other."""
    unchecked = re.compile(r"jnp\.(asarray|array|zeros|ones|full|arange|linspace|empty|eye)\([^\n]*jnp\.float64")
    for package in ("twin", "reconstruct", "learn"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path != ROOT / "twin" / "checks.py":
                assert not unchecked.search(path.read_text(encoding="utf-8")), path
