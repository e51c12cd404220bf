"""What a question of kind "map" asks, and what is refused before anything moves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenarios.acquire.maps.library import THICKNESSES, counted, library_of
from scenarios.acquire.maps.wanted import wanted_map
from scenarios.cli.main import BAD_INPUT, run
from scenarios.io.errors import BadInput
from scenarios.question.reading import is_question, question_of, read_question
from twin.optics.electrons import ELEMENTARY_CHARGE

VALUES: dict[str, Any] = {
    "name": "q", "kind": "map", "specimen": {"structure": "Si", "thickness": 400}, "quantity": {"kind": "map", "name": "t/lambda"}, "asked": {"std": 0.01},
    "area": {"nx": 12, "ny": 10, "pixel": 10}, "instrument": {"energy_keV": 200, "semiangle_mrad": 10, "current_pA": 5, "flyback": 1e-4},
    "option": [{"technique": "eels", "collection_mrad": 20, "dispersion": 0.5, "channels": 200, "seconds": 1e-3}],
}  # fmt: skip
SPECTRA = VALUES["option"][0]


def changed(**tables: Any):
    values = dict(VALUES)
    for name, value in tables.items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return question_of({name: value for name, value in values.items() if value is not None}, "test")


def test_what_is_asked_in_the_units_of_the_quantity() -> None:
    made = wanted_map(changed())
    electrons = 5e-12 * 1e-3 / ELEMENTARY_CHARGE
    assert (made.plan.asked, made.plan.relative, made.plan.visit) == (0.01, False, 1e-4)
    assert made.plan.electrons == pytest.approx(electrons)
    assert made.survey == pytest.approx(1e-3 / 20)
    assert wanted_map(changed(quantity={"name": "0-30 eV"})).plan.relative
    energy = wanted_map(changed(quantity={"name": "plasmon energy"}, asked={"std": 0.2, "everywhere": True}))
    assert (energy.plan.asked, energy.plan.everywhere) == (0.2, True)
    # a dose for the survey and ten of the shortest dwell times
    limited = wanted_map(changed(limits={"dose": (10.0 + 0.05) * electrons / 100.0}))
    assert limited.plan.most == pytest.approx(10.0)
    assert limited.plan.dwells == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"quantity": {"name": "Xx L"}}, "is no element"),
        ({"quantity": {"name": "colour"}}, "is no quantity"),
        ({"quantity": {"name": "com magnitude"}}, "larger the fewer electrons"),
        ({"quantity": {"name": "centre of mass x"}}, "none records"),
        ({"quantity": {"name": "centre of mass x"}, "option": None}, r"area\.expected"),
        ({"area": {"nx": 100, "ny": 100}}, "10000 pixels, and a map may have 2500"),
        ({"area": {"nx": 4, "ny": 4}}, "16 are exposed at first"),
        ({"limits": {"time": 1e-3}}, r"limits\.time.*first exposures take"),
        ({"limits": {"dose": 1.0}}, r"limits\.dose"),
    ],
)
def test_what_cannot_be_mapped(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        wanted_map(changed(**tables))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"area": None}, "key area is missing"),
        ({"quantity": {"kind": "thickness"}}, r"quantity\.name is missing"),
        ({"quantity": {"name": None}}, r"quantity\.name is missing"),
        ({"asked": {"std": None}}, r"asked\.std is missing"),
        ({"area": {"nx": 31623}}, r"area\.nx"),
        ({"kind": "measure"}, r"area: goes with questions of kind .map."),
        ({"kind": "measure", "area": None}, r"quantity\.kind: goes with"),
    ],
)
def test_questions_that_are_none(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        changed(**tables)


def test_spectra_that_do_not_hold_the_quantity_are_refused() -> None:
    with pytest.raises(BadInput, match=r"needs .* eV, and the spectra have"):
        library_of(
            question := changed(quantity={"name": "O K"}, option=[{**SPECTRA, "offset": -10}]), wanted_map(question)
        )


def test_phases_that_cannot_be_computed() -> None:
    for phase, message in (
        ({"formula": "Fe"}, r"area\.phase\[0\]"), ({"formula": "Fe", "structure": "Si", "density": 7.9}, r"area\.phase\[0\]: structure and formula are given"),
        ({"formula": "Qq2", "density": 7.9}, r"area\.phase\[0\]|Qq"),
    ):  # fmt: skip
        question = changed(area={"phase": [phase]})
        with pytest.raises(BadInput, match=message):
            library_of(question, wanted_map(question))
    question = changed(area={"thickness": [500, 300]})
    with pytest.raises(BadInput, match=r"area\.thickness"):
        library_of(question, wanted_map(question))


def test_a_library_is_of_the_phases_and_their_thickness() -> None:
    question = changed(
        area={"phase": [{"structure": "Si"}, {"formula": "SiO2", "density": 2.65}], "thickness": [200, 600]}
    )
    made = library_of(question, wanted_map(question))
    assert made.spectra.shape == (2, THICKNESSES, 200)
    assert made.energy == (-10.0, 0.5)
    # electrons are conserved but for losses beyond the last channel
    total = made.spectra.sum(axis=2)
    assert ((total > 0.85) & (total <= 1.0 + 1e-6)).all()
    zero = made.spectra[0, :, 18:23].sum(axis=1)
    thickness = np.linspace(200, 600, THICKNESSES)
    slope = np.polyfit(thickness, -np.log(zero), 1)[0]
    # the zero loss falls by the mean free path of silicon, 1300 to 1900 angstrom (Iakoubovskii et al. 2008)
    assert 1300 < 1.0 / slope < 1900
    assert (np.diff(made.survey, axis=1) > 0.0).all()


def test_an_annular_detector_counts_by_rutherford_at_high_angles() -> None:
    from twin.optics.electrons import REST_ENERGY_EV, wavelength

    energy, angles = 200e3, (300.0, 400.0)
    theta = 1e-3 * np.linspace(*angles, 2000)
    gamma = 1.0 + energy / REST_ENERGY_EV
    # gamma 2 Z / (a0 q^2), with q = 4 pi sin(theta / 2) / lambda
    q = 4.0 * np.pi * np.sin(theta / 2.0) / wavelength(energy)
    rutherford = (gamma * 2.0 * 14 / (0.529177 * q**2)) ** 2
    sigma = np.trapezoid(2.0 * np.pi * np.sin(theta) * rutherford, theta)
    told = counted({"Si": 0.05}, np.array([100.0]), energy, angles)[0]
    assert told == pytest.approx(0.05 * 100.0 * sigma, rel=0.06)


def test_the_command_refuses_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "q.toml"
    file.write_text(
        'name = "q"\nkind = "map"\n[specimen]\nstructure = "Si"\nthickness = 400\n[quantity]\nkind = "map"\nname = "Ti Q"\n'
        "[area]\nnx = 12\nny = 12\n[asked]\nstd = 0.1\n"
    )
    assert is_question(str(file))
    assert run(["acquire", str(file), "--out", str(tmp_path / "s")]) == BAD_INPUT
    assert "Ti has no edge Q" in " ".join(capsys.readouterr().err.split()) or not (tmp_path / "s").exists()
    assert not (tmp_path / "s").exists()
    assert run(["plan", str(file)]) == BAD_INPUT


def test_the_preset_can_be_asked() -> None:
    question = read_question("map-ti-layers")
    assert wanted_map(question).name.element == "Ti"
