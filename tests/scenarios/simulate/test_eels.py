"""``emtwin simulate`` of energy-loss spectra: atoms per area, electrons and thickness as stated, files that are read again, and what is refused."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from instrument.readers import read_vendor
from scenarios.cli.main import BAD_INPUT, DONE, run
from scenarios.presets import load_simulation
from tests.scenarios.test_scenario_keys import write
from twin import Microscope, Sample, Scan, Spectrometer, simulate
from twin.eels.spectrum import iakoubovskii
from twin.errors import BadInput
from twin.simulation.plan.reading import any_from_dict, spectrum_from_dict
from twin.simulation.plan.spectrum_tables import SpectrumSimulation
from twin.simulation.spectrum.composition import composition_of, free_plasmon, valence_electrons
from twin.simulation.spectrum.ready import make_spectrum
from twin.simulation.spectrum.run import run_spectrum


def values(**tables: Any) -> dict[str, Any]:
    """A small scenario of SrTiO3, with ``tables`` put in or (by dots as __) changed; None takes away."""
    plain: dict[str, Any] = {
        "name": "small", "kind": "simulate", "signal": "eels", "specimen": {"structure": "SrTiO3", "thickness": 300.0},
        "beam": {"energy_keV": 200.0, "semiangle_mrad": 15.0},
        "spectrometer": {"collection_mrad": 30.0, "channels": 300, "dispersion": 0.5, "offset": 440.0},
    }  # fmt: skip
    for key, value in tables.items():
        table, _, name = key.partition("__")
        owner = plain.setdefault(table, {}) if name else plain
        owner[name or table] = value
        if value is None:
            del owner[name or table]
    return plain


def plan(**tables: Any) -> SpectrumSimulation:
    return spectrum_from_dict(values(**tables), "test")


def test_a_crystal_has_its_atoms_per_area_and_a_formula_and_numbers_the_same():
    crystal = composition_of(plan())
    # 300 angstrom of cells of 3.905 angstrom, each with one Sr and Ti and three O
    assert crystal.areal["Ti"] == pytest.approx(300.0 / 3.905**3)
    assert crystal.areal["O"] == pytest.approx(3.0 * crystal.areal["Ti"])
    formula = composition_of(plan(specimen={"formula": "SrTiO3", "density": crystal.density, "thickness": 300.0}))
    given = composition_of(plan(specimen={"areal_density": crystal.areal, "thickness": 300.0}))
    for other in (formula, given):
        assert other.density == pytest.approx(crystal.density)
        assert {name: other.areal[name] / crystal.areal[name] for name in crystal.areal} == pytest.approx(
            dict.fromkeys(crystal.areal, 1.0)
        )
    short = composition_of(plan(specimen__occupancy={"O": 0.9}))
    assert short.areal["O"] == pytest.approx(0.9 * crystal.areal["O"])
    assert short.areal["Ti"] == crystal.areal["Ti"]


def test_aluminium_has_the_plasmon_of_three_free_electrons():
    made = composition_of(plan(specimen={"structure": "Al", "thickness": 100.0}))
    assert [valence_electrons(name) for name in ("Al", "Ti", "O", "Sr", "Cu")] == [3, 4, 6, 2, 1]
    plasmon = free_plasmon(made)
    assert plasmon is not None
    assert plasmon[0] == pytest.approx(15.8, abs=0.05)  # Egerton, table 3.1
    assert plasmon[1] == 3


def test_thickness_is_in_mean_free_paths():
    ready = make_spectrum(plan())
    assert ready.composition.density is not None
    path = iakoubovskii(200e3, ready.composition.density, 0.03, 0.015)
    assert ready.mean_free_path == pytest.approx(path)
    assert ready.t_over_lambda == pytest.approx(300.0 / path)
    assert make_spectrum(plan(low_loss={"mean_free_path": 1000.0})).t_over_lambda == pytest.approx(0.3)
    assert make_spectrum(plan(low_loss={"t_over_lambda": 0.7})).mean_free_path == pytest.approx(300.0 / 0.7)
    by_formula = make_spectrum(plan(low_loss={"formula": "malis"})).mean_free_path
    assert by_formula == pytest.approx(path, rel=0.3)


@pytest.fixture(scope="module")
def low_loss() -> Any:
    """Aluminium with its zero loss, noise-free."""
    spectrometer = {"collection_mrad": 10.0, "channels": 1200, "dispersion": 0.2, "offset": -20.0}
    return run_spectrum(
        plan(
            specimen={"structure": "Al", "thickness": 1000.0},
            spectrometer=spectrometer,
            low_loss={"plasmons": [[15.0, 1.0, 1.0]]},
        )
    )


def test_shares_of_the_beam_are_those_of_poisson(low_loss: Any):
    data, thickness = low_loss.recording.data, low_loss.ready.t_over_lambda
    assert low_loss.recording.unit == "fraction of the beam"
    assert data.sum() == pytest.approx(1.0, abs=0.02)
    zero = data[np.abs(low_loss.energies) < 4.0].sum()
    # t/lambda is that of all losses, to cores as well
    assert zero == pytest.approx(np.exp(-thickness), rel=0.01)
    assert low_loss.energies[np.argmax(np.where(low_loss.energies > 5.0, data, 0.0))] == pytest.approx(15.0, abs=0.2)
    parts = low_loss.provenance["edges"]
    assert [part["edge"] for part in parts] == ["Al L", "Al L1"]


@pytest.mark.slow
def test_electrons_are_current_times_exposure_and_noise_is_theirs():
    made = run_spectrum(
        plan(
            beam__current_pA=16.02176634, spectrometer__exposure=1.0, spectrometer__gain=10.0, spectrometer__readout=5.0
        )
    )
    assert made.provenance["electrons"] == pytest.approx(1e8)
    assert made.recording.unit == "counts"
    residual = made.recording.data - made.expected
    # counts of g n have the variance g^2 n, and readout noise
    score = residual / np.sqrt(10.0 * made.expected + 25.0)
    assert np.mean(score**2) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 300.0))
    again = run_spectrum(
        plan(
            beam__current_pA=16.02176634, spectrometer__exposure=1.0, spectrometer__gain=10.0, spectrometer__readout=5.0
        )
    )
    np.testing.assert_array_equal(again.recording.data, made.recording.data)


@pytest.mark.slow
def test_high_tension_and_drift_tube_move_edges_that_the_axis_does_not_know_of():
    still = run_spectrum(plan())
    moved = run_spectrum(plan(spectrometer__drift_tube=3.0, beam__high_tension_change=2.0))
    assert moved.recording.axes[-1].offset == 440.0
    assert moved.energies[0] == pytest.approx(445.0)
    np.testing.assert_allclose(moved.recording.data[:-10], still.recording.data[10:], rtol=1e-5)


def test_a_wedge_becomes_thicker_along_its_columns():
    made = run_spectrum(plan(scan={"shape": [2, 5], "pixel": 3.0}, specimen__wedge=300.0))
    data = made.recording.data
    assert data.shape == (2, 5, 300)
    assert [axis.name for axis in made.recording.axes] == ["y", "x", "energy_loss"]
    np.testing.assert_array_equal(data[0], data[1])  # without noise
    thick = run_spectrum(plan(specimen__thickness=600.0))
    np.testing.assert_allclose(data[1, 4], thick.recording.data, rtol=1e-5)


@pytest.mark.slow
def test_python_gives_the_same_as_a_scenario():
    scenario = values(
        name="x", dose={"electrons": 1e7}, scan={"shape": [2, 3], "pixel": 2.0}, seed=5, specimen__occupancy={"O": 0.9},
        edges={"Ti L": {"crystal_field": 2.0}}, zero_loss={"width": 1.2},
    )  # fmt: skip
    with jax.enable_x64(True):
        made = run_spectrum(spectrum_from_dict(scenario, "test"))
    with jax.enable_x64(False):
        sample = Sample.crystal("SrTiO3", thickness=300.0, vacancies={"O": 0.1}, seed=5)
        spectrometer = Spectrometer(collection=30e-3, dispersion=0.5, offset=440.0, channels=300, resolution=1.2)
        dataset = simulate(
            sample, Microscope(energy=200e3, semiangle=15e-3), "eels", spectrometer=spectrometer, scan=Scan((2, 3), fov=(6.0, 4.0)),
            dose=1e7, edges={"Ti L": {"crystal_field": 2.0}}, name="x",
        )  # fmt: skip
    np.testing.assert_array_equal(dataset["data"].values, made.recording.data)
    assert dataset["data"].dims == ("y", "x", "energy_loss")
    assert dataset["energy_loss"].attrs["units"] == "eV"
    np.testing.assert_allclose(dataset["energy_loss"], spectrometer.energies)
    assert dataset.provenance["edges"][0]["edge"] == "Ti M1"
    assert dataset.attrs["t_over_lambda"] == pytest.approx(made.provenance["t_over_lambda"])
    dataset.plot()


@pytest.mark.parametrize("scan", [None, {"shape": [2, 2], "pixel": 4.0}])
@pytest.mark.slow
def test_the_command_writes_a_file_that_is_read_as_a_spectrum(scan: Any, tmp_path: Path, capsys):
    path = write(tmp_path, values(dose={"electrons": 1e8}, spectrometer__gain=8.0, scan=scan))
    out = tmp_path / "made.zarr"
    assert run(["simulate", str(path), "--out", str(out), "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "emtwin.simulate/1"
    assert {edge["edge"] for edge in result["edges"]} >= {"Ti L", "O K"}
    assert Path(result["picture"]).read_bytes().startswith(b"\x89PNG")
    (signal,) = read_vendor(out)
    assert signal.kind == ("spectrum" if scan is None else "spectrum-image")
    claims = {name: claim.value for name, claim in signal.claims.items()}
    assert claims["dispersion"] == 0.5
    assert claims["energy_offset"] == 440.0
    assert claims["collection_semiangle"] == pytest.approx(0.03)
    assert claims["convergence_semiangle"] == pytest.approx(0.015)
    assert claims["high_tension"] == 200e3
    assert claims["thickness"] == 300.0
    assert claims["gain"] == 8.0
    assert run(["simulate", str(path), "--out", str(out), "--json"]) == BAD_INPUT  # it is there
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_the_preset_validates_on_its_own_specimen(tmp_path: Path, capsys):
    out = tmp_path / "eels.zarr"
    assert run(["simulate", "eels", "--out", str(out), "--json"]) == DONE
    assert run(["validate", str(out), "--specimen", "SrTiO3", "--json"]) == DONE
    text = capsys.readouterr().out.strip().splitlines()[-1]
    (recording,) = json.loads(text)["files"][0]["recordings"]
    fields = {item["field"]: item["status"] for item in recording["verdicts"]}
    assert fields["dispersion"] == fields["energy_offset"] == "agrees"


@pytest.mark.parametrize("name", ["eels", "eels-low-loss"])
def test_presets_are_plans(name: str):
    preset = load_simulation(name)
    assert isinstance(preset, SpectrumSimulation)
    assert any_from_dict(preset.as_dict(), name) == preset


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"spectrometer__dispersion": 0}, ["spectrometer.dispersion", "above 0"]),
        ({"spectrometer__dispersion": 500.0}, ["spectrometer.dispersion", "meV", "0.5"]),
        ({"spectrometer__collection_mrad": 0.03}, ["spectrometer.collection_mrad", "Is that in rad? Write 30"]),
        ({"spectrometer__offset": -1000.0}, ["spectrometer.offset", "before any loss"]),
        ({"spectrometer__offset": 1200.0, "spectrometer__channels": 100}, ["no edge of Sr, Ti, O lies in 1200", "Ti L 456 eV", "Move spectrometer.offset"]),
        ({"spectrometer": None}, ["spectrometer", "collection_mrad, dispersion, offset"]),
        ({"specimen": {}}, ["specimen", "nothing says", "exactly one"]),
        ({"specimen__formula": "TiO2"}, ["specimen", "structure and formula"]),
        ({"specimen": {"formula": "TiO2", "thickness": 100.0}}, ["specimen.density", "g/cm^3"]),
        ({"specimen": {"formula": "Xx2", "density": 4.0, "thickness": 100.0}}, ["specimen.formula", "no formula"]),
        ({"specimen": {"structure": "SrTiO3"}}, ["specimen.thickness", "angstrom"]),
        ({"specimen__thickness": -3.0}, ["specimen.thickness", "above 0"]),
        ({"specimen__thickness": 300.0, "specimen__structure": "absent.cif"}, ["absent.cif"]),
        ({"specimen": {"areal_density": {"Q": 1.0}, "thickness": 1.0}}, ["areal_density", '"Q" is no element']),
        ({"specimen": {"areal_density": {"Ti": 1.0}}}, ["t_over_lambda", "specimen.thickness"]),
        ({"specimen": {"areal_density": {"Ti": 1.0}}, "low_loss": {"t_over_lambda": 1.0}}, ["low_loss.plasmons", "specimen.thickness"]),
        ({"specimen__occupancy": {"Fe": 0.5}}, ["specimen.occupancy", "Fe is not in the specimen"]),
        ({"specimen__wedge": 10.0}, ["specimen.wedge", "scan"]),
        ({"specimen__wedge": -400.0, "scan": {"shape": [2, 2]}}, ["specimen.wedge", "-300"]),
        ({"low_loss": {"t_over_lambda": -0.5}}, ["low_loss.t_over_lambda", "from 0 to 20"]),
        ({"low_loss": {"surface": True}}, ["low_loss.surface", "dielectric"]),
        ({"low_loss": {"dielectric": "absent.txt"}}, ["low_loss.dielectric", "absent.txt"]),
        ({"low_loss": {"plasmons": [[15.0, 1.0, 0.0]]}}, ["low_loss.plasmons", "first"]),
        ({"edges": {"Fe L": {}}}, ["edges.Fe L", "no such edge", '"Ti L" (456 eV)']),
        ({"edges": {"Sr L": {}}}, ["edges.Sr L", "1940 eV", "lies outside"]),
        ({"edges": {"O K": {"crystal_field": 1.0}}}, ["edges", "partners", "lines"]),
        ({"edges": {"Ti L": {"white_lines": 0.0, "ratio": 2.0}}}, ["edges.Ti L.ratio", "white lines"]),
        ({"dose": {"electrons": 1e6}, "beam__current_pA": 3.0, "spectrometer__exposure": 1.0}, ["dose.electrons", "three"]),
        ({"beam__current_pA": 3.0}, ["spectrometer.exposure", "missing"]),
        ({"spectrometer__gain": 3.0}, ["spectrometer.gain", "dose"]),
        ({"dose": {"electrons": 0}}, ["dose.electrons", "Leave [dose] out"]),
        ({"zero_loss": {"width": 800.0}}, ["zero_loss.width", "meV"]),
        ({"zero_loss": {"width": 0.05}}, ["zero_loss.width", "narrower than its tails"]),
        ({"backgrounds": {"A": {"level": 1e-6, "energy": 400.0}}, "spectrometer__offset": -10.0}, ["backgrounds", "no value at zero loss"]),
        ({"scan": {"shape": [2000, 2000]}}, ["memory_MB", "recording takes"]),
        ({"signal": "eel"}, ["signal", "eels"]),
        ({"camera": {}}, ["camera", "no such key"]),
    ],
)  # fmt: skip
def test_refused_before_anything_is_written(tables: dict[str, Any], said: list[str], tmp_path: Path, capsys):
    path = write(tmp_path, values(**tables))
    assert run(["simulate", str(path), "--out", str(tmp_path / "out.zarr"), "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    text = " ".join(error.values())
    for words in said:
        assert words in text, error
    assert error["cure"]
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
def test_a_dielectric_function_is_read_from_three_columns(tmp_path: Path):
    energies = np.linspace(0.1, 60.0, 600)
    eps = 1.0 - 15.0**2 / (energies**2 + 1j * energies)
    file = tmp_path / "al.csv"
    np.savetxt(file, np.stack([energies, eps.real, eps.imag], axis=1), delimiter=",", header="eV, eps1, eps2")
    low = {"dielectric": "al.csv", "surface": True}
    spectrometer = {"collection_mrad": 10.0, "channels": 500, "dispersion": 0.2, "offset": -20.0}
    made = run_spectrum(
        plan(
            specimen={"structure": "Al", "thickness": 300.0},
            spectrometer=spectrometer,
            low_loss=low,
            folder=str(tmp_path),
        )
    )
    at, data = made.energies, made.recording.data
    assert made.ready.mean_free_path == pytest.approx(1640.0, rel=0.02)
    surface, volume = (data[np.argmin(np.abs(at - energy))] for energy in (10.6, 15.0))
    assert 0.02 < surface / volume < 0.5
    np.savetxt(file, np.stack([energies, eps.real], axis=1), delimiter=",")
    with pytest.raises(BadInput, match="2 columns"):
        make_spectrum(
            plan(
                specimen={"structure": "Al", "thickness": 300.0},
                spectrometer=spectrometer,
                low_loss=low,
                folder=str(tmp_path),
            )
        )


def test_a_plan_in_radians_is_told():
    notes = " ".join(make_spectrum(plan(beam__semiangle_mrad=0.015)).notes)
    assert "beam.semiangle_mrad = 0.015" in notes
    assert "valence losses are those of 24 free electrons" in notes
