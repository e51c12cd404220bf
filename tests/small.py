"""A small twin shared by many tests: SrTiO3, 3 x 3 cells, four to ten cells deep, one phonon configuration. Computed once in a test run."""

import functools
from pathlib import Path

import numpy as np

from reconstruct.api.models import load_model
from tests.once import made_once
from twin.image.microscope import Calibration, Microscope
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel
from twin.sensors import Model
from twin.state import Layout

CELL = 3.905


@functools.cache
def small_column() -> Model:
    """The probe's column, above a crystal as thin as the model is."""
    return load_model("probe").with_priors({"thickness": (28.0, 3.0)})


def small_layout() -> Layout:
    """Its state."""
    return small_column().layout


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
