"""Specimens with and without a change: what is changed, where, and that nothing else is."""

import numpy as np
import pytest

from learn.feasibility.hypotheses import Change, hypotheses_of
from twin.errors import BadInput
from twin.sample.specimen import srtio3

CELL = srtio3((1, 1, 1))
REPEATS = (3, 3, 4)


def test_one_atom_in_a_column_in_the_middle_at_several_depths() -> None:
    made = hypotheses_of(CELL, REPEATS, Change("substitution", "Sr", "La"))
    assert len(made.changed) == 3
    assert made.columns == 9
    assert made.location == (pytest.approx(3.905), pytest.approx(3.905))
    for changed, depth in zip(made.changed, made.depths, strict=True):
        (atom,) = np.flatnonzero(np.array(changed.symbols) != np.array(made.perfect.symbols))
        assert (changed.symbols[atom], made.perfect.symbols[atom]) == ("La", "Sr")
        assert changed.positions[atom, 2] == depth
        np.testing.assert_array_equal(changed.positions, made.perfect.positions)
        np.testing.assert_array_equal(changed.displacements(3), made.perfect.displacements(3))
    assert len(set(made.depths)) == 3


def test_vacancies_columns_and_atoms_that_come() -> None:
    vacancy = hypotheses_of(CELL, REPEATS, Change("vacancy", "O", depth=0.0, column=1))
    assert vacancy.perfect.occupancy.sum() - vacancy.changed[0].occupancy.sum() == 1.0
    column = hypotheses_of(CELL, REPEATS, Change("column", "Ti", shift=(0.2, 0.0, 0.0)))
    moved = np.flatnonzero(np.any(column.changed[0].positions != column.perfect.positions, axis=1))
    assert len(moved) == REPEATS[2]
    adatom = hypotheses_of(CELL, REPEATS, Change("adatom", by="Au", position=(0.5, 0.0)))
    assert (adatom.perfect.occupancy[-1], adatom.changed[0].occupancy[-1]) == (0.0, 1.0)
    np.testing.assert_array_equal(adatom.changed[0].displacements(1), adatom.perfect.displacements(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change("substitution", "Fe", "La"), "no Fe"),
        (Change("substitution", "Sr", "Sr"), "in place of Sr"),
        (Change("vacancy", "O", column=3), "number 3"),
        (Change("vacancy", "O", depth=99.0), "not within the specimen"),
        (Change("displacement", "Ti"), "zero"),
        (Change("adatom", by="Au"), "position"),
        (Change("interstitial", position=(0.0, 0.0)), "by"),
    ],
)
def test_a_defect_that_cannot_be_is_refused(change: Change, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        hypotheses_of(CELL, REPEATS, change)
