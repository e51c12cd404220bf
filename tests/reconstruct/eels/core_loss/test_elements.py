"""Which elements rises speak for, and where their onsets are seen."""

import numpy as np
import pytest

from reconstruct.eels.core_loss.elements import axis_shift, edges_for, propose, rises_of
from tests.synthetic.eels.spectra import COLLECTION, HIGH_TENSION, background, edge

ENERGIES = 350.0 + 0.5 * np.arange(1024)


def _spectra(elements: dict[str, float], shift: float = 0.0) -> np.ndarray:
    """Counts of an axis that reads ``shift`` eV too much; shares of the background's electrons."""
    true = ENERGIES - shift
    mean = background(true, 3e6)
    for name, share in elements.items():
        curve = edge(name, true, lines=0.5 if name != "O" else 0.0)
        mean = mean + share * 3e6 * curve / curve.sum()
    return np.random.default_rng(0).poisson(mean / 20.0, (20, 1024)).astype(float)


@pytest.mark.parametrize("shift", [0.0, -5.0, 8.0])
def test_elements_are_proposed_whatever_the_axis_is_off(shift: float) -> None:
    rises = rises_of(_spectra({"Ti": 0.1, "O": 0.1}, shift))
    proposals = propose(rises, ENERGIES)
    assert {item.element for item in proposals} == {"Ti", "O"}
    assert all(item.plausibility > 0.7 for item in proposals)
    assert axis_shift(rises, ENERGIES, ("Ti", "O")) == pytest.approx(shift, abs=2.5)


def test_told_elements_are_not_proposed_again() -> None:
    proposals = propose(rises_of(_spectra({"Ti": 0.1, "O": 0.1})), ENERGIES, ("Ti",))
    assert [item.element for item in proposals] == ["O"]
    assert propose(rises_of(_spectra({})), ENERGIES) == []


def test_edges_lie_where_they_are_seen() -> None:
    rises = rises_of(_spectra({"Ti": 0.1, "O": 0.1}, -5.0))
    shift = axis_shift(rises, ENERGIES, ("Ti", "O"))
    (oxygen,) = edges_for("O", ENERGIES, HIGH_TENSION, COLLECTION, rises=rises, shift=shift)
    assert oxygen.onset == pytest.approx(532.0 - 5.0, abs=2.0)
    titanium = edges_for("Ti", ENERGIES, HIGH_TENSION, COLLECTION)
    assert [(item.name, item.shaped) for item in titanium] == [("L2,3", True), ("L1", False)]
    assert edges_for("C", ENERGIES, HIGH_TENSION, COLLECTION) == []  # K at 284 eV
