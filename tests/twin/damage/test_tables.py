"""Tables of thresholds and critical doses, what is looked up in them, and what a structure loses."""

import math

import pytest

from twin import Sample
from twin.damage import (
    critical_dose,
    critical_doses,
    displacement_cross_section,
    knock_on,
    stopping_power,
    threshold,
    thresholds,
)
from twin.damage.tables import DEFAULT_SURFACE, DEFAULT_THRESHOLD, PLANAR


def test_every_value_has_a_source_and_a_sensible_size():
    listed = thresholds()
    assert len({(entry.element, entry.of) for entry in listed}) >= 40
    assert len([entry for entry in listed if entry.where == "bulk"]) >= 40
    assert all(len(entry.source) > 10 for entry in listed)
    assert all(5.0 < entry.energy < 200.0 for entry in listed if entry.where == "bulk")
    assert all(0.5 < entry.energy < 30.0 for entry in listed if entry.where == "surface")
    doses = critical_doses()
    assert len(doses) >= 25
    assert all(len(entry.source) > 10 and entry.dose > 0.0 and entry.criterion for entry in doses)
    assert all(entry.energy is None or 1e4 <= entry.energy <= 1e6 for entry in doses)


def test_a_threshold_is_of_the_material_else_of_the_element_else_assumed():
    assert threshold("O", "SrTiO3").energy == 35.7
    assert threshold("O", "SrTiO3", kind="minimum").energy == 13.0
    other = threshold("Ti", "BaTiO3")
    assert (other.energy, other.of, other.assumed) == (30.0, "Ti", False)
    guess = threshold("O", "MgO")
    assert (guess.energy, guess.assumed) == (DEFAULT_THRESHOLD, True)
    assert "assumed" in guess.source
    assert threshold("O", "MgO", where="surface").energy == DEFAULT_SURFACE


def test_thresholds_at_surfaces_are_five_thirds_of_the_sublimation_energy():
    assert threshold("Au", where="surface").energy == pytest.approx(PLANAR * 3.8)
    assert threshold("C", "graphene", where="surface").energy == 22.0
    assert threshold("S", "MoS2", where="surface").energy == pytest.approx(6.9, abs=0.05)


def test_a_structure_names_its_own_material():
    sample = Sample.crystal("SrTiO3", thickness=100)
    rows = {row.element: row for row in knock_on(sample, 300e3, 1e6)}
    assert [rows[element].share for element in ("Sr", "Ti", "O")] == pytest.approx([0.2, 0.2, 0.6])
    oxygen = rows["O"]
    assert (oxygen.threshold.energy, oxygen.threshold.of) == (35.7, "SrTiO3")
    section = displacement_cross_section(300e3, "O", 35.7, method="mott")
    assert oxygen.cross_section == pytest.approx(section)
    assert oxygen.per_atom == pytest.approx(1e6 * section)
    assert -math.expm1(-oxygen.dose * section) == pytest.approx(0.01)
    assert rows["Sr"].per_atom == 0.0
    assert rows["Sr"].dose == math.inf
    assert rows["Sr"].onset > 300e3
    assert [row.element for row in knock_on(sample.atoms, 300e3, 1e6)] == [
        row.element for row in knock_on(sample, 300e3, 1e6)
    ]


def test_thresholds_may_be_given():
    (row,) = knock_on({"C": 1}, 80e3, 1e5, thresholds={"C": 12.0})
    assert (row.threshold.energy, row.threshold.kind) == (12.0, "given")
    assert row.per_atom > 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: knock_on({}, 300e3, 1.0), "no structure"),
        (lambda: knock_on({"Qq": 1}, 300e3, 1.0), "Qq"),
        (lambda: knock_on({"C": 1}, 300e3, -1.0), "dose"),
        (lambda: knock_on({"C": 1}, 300e3, 1.0, displaced=1.0), "share"),
        (lambda: critical_dose("unobtainium", 300e3), "unobtainium"),
        (lambda: stopping_power(300e3, excitation=-1.0), "excitation"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_stopping_powers_are_those_of_water():
    """NIST ESTAR (ICRU 37), liquid water, collision, without the density effect below 500 keV: 4.115, 2.793, 2.355 MeV cm^2 / g."""
    assert [stopping_power(energy) for energy in (100e3, 200e3, 300e3)] == pytest.approx(
        [4.115, 2.793, 2.355], rel=1e-3
    )


def test_critical_doses_go_with_the_energy_as_the_stopping_power():
    """Measured from 100 to 300 keV: 1.57 (Peet et al. 2019); 1 / beta^2 alone gives 2.01."""
    low, high = (critical_dose("quartz", energy) for energy in (100e3, 300e3))
    assert low.scaled
    assert high.scaled
    assert 1.57 < high.dose / low.dose < 2.0
    assert critical_dose("quartz", 200e3).dose == pytest.approx(1e5)


def test_critical_doses_of_classes_and_temperatures():
    assert critical_dose("valine", 500e3, temperature=20.0).dose == 13.0
    assert critical_dose("valine", 500e3).dose < 13.0
    assert critical_dose("silicate", 200e3).record.material == "CsAlSi5O12"
    unknown = critical_dose("ZIF-8", 300e3)
    assert (unknown.dose, unknown.scaled) == (80.0, False)
