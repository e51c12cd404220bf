"""Inputs of Thon rings by `reconstruct.measure`: what cannot be measured is refused by name, with the size that would do."""

from typing import Any

import numpy as np
import pytest

from reconstruct import measure
from tests.benchmarks.spoiled.thon import draw
from twin.errors import BadInput


@pytest.mark.parametrize(
    "data, known, words",
    [
        (None, {"pixel": 1000.0}, ["too large for rings", "at most 7.1 angstrom", "raise span"]),
        (None, {"pixel": 1e-3}, ["0.256 angstrom wide", "beyond what a lens passes", "at least 1.5 angstrom"]),
        (None, {"span": 50.0}, ["rings of 5 nm", "at most 0.5 angstrom", "above 20 nm"]),
        (None, {"phase_shift": "fre"}, ['a number, or "free"']),
        (None, {"amplitude_contrast_error": 0.0}, ["amplitude_contrast_error", "above 0"]),
        (np.full((128, 128), np.nan), {}, ["no number"]),
        (np.ones((1, 512)), {}, ["1 x 512", "at least 64 pixels"]),
    ],
)
def test_bad_input_is_named_with_its_cure(data, known, words):
    sample = draw(0)
    with pytest.raises(BadInput) as error:
        measure("thon", sample.data if data is None else data, **(dict(sample.known) | known))
    for word in words:
        assert word in str(error.value)


@pytest.mark.slow
def test_an_energy_far_off_determines_nothing():
    sample = draw(0)
    known: dict[str, Any] = {**sample.known, "energy": 5e3}
    assert measure("thon", sample.data, **known).outcome == "undetermined"


def test_a_free_phase_is_a_quantity_and_a_setting_and_progress_starts_at_once():
    told = []
    sample = draw(4, "phase plate not told")
    result = measure(
        "thon", sample.data, progress=lambda text, share: told.append(share), **sample.known, phase_shift="free"
    )
    assert result.outcome == "determined"
    assert result.units["phase_shift"] == "radian"
    assert any(setting.name == "phase shift" and setting.value == "free" for setting in result.settings)
    assert told[0] == 0.0
    assert told == sorted(told)
    assert told[-1] == 1.0
