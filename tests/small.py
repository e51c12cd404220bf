"""A small twin shared by many tests: SrTiO3, 3 x 3 cells, four to ten cells deep, one phonon configuration. Computed once in a test run."""

import functools
from pathlib import Path

import numpy as np

from tests.once import made_once
from twin.image.microscope import Calibration, Microscope
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel
from twin.state import Layout, standard_layout

CELL = 3.905


def small_layout() -> Layout:
    """The standard state, with a crystal as thin as the model is."""
    return standard_layout(CELL).replaced({"thickness": (28.0, 3.0)})


@functools.cache
def small_gram() -> GramModel:
    with np.load(made_once("gram.npz", _write_gram), allow_pickle=False) as archive:
        return GramModel.from_arrays(dict(archive))


def _write_gram(path: Path) -> None:
    model = build_gram(
        srtio3_unit(),
        (3, 3),
        10,
        (4, 6, 8, 10),
        seeds=(0,),
        untilted_seeds=(),
        detector=(60e-3, 90e-3),
        gpts=128,
        degree=3,
    )
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **model.to_arrays())


@functools.cache
def small_microscope() -> Microscope:
    return Microscope(small_gram(), Calibration(), small_layout(), CELL)
