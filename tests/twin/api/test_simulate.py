"""`simulate`: the numbers of the command line, as a Dataset with coordinates, units and provenance; and what it refuses."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from scenarios.io.progress import SilentProgress
from scenarios.simulate.job import run_simulate
from twin import Annular, Microscope, Pixelated, Sample, Scan, hrtem, simulate
from twin.api.dataset import to_hyperspy
from twin.scattering.batching import in_pieces
from twin.simulation.plan.reading import from_dict

SAMPLE = Sample.crystal("SrTiO3", cells=2, repeats=(4, 4), seed=3)
PLANE = Microscope(energy=200e3, aperture=15.3e-3, focal_spread=20.0, aberrations={"C10": -50.0, "C12": (20.0, 0.5)})
PROBE = Microscope(energy=200e3, semiangle=21.3e-3)
SPECIMEN = "[specimen]\ncells = 2\nrepeats = [4, 4]\n"
CASES: dict[str, tuple[str, Microscope, dict[str, Any]]] = {
    "hrtem": (
        ("[beam]\nenergy_keV = 200.0\nfocal_spread = 20.0\naberrations = {C10 = -50.0, C12 = [20.0, 0.5]}\n"
        "[lens]\naperture_mrad = 15.3\ndefoci = [0.0, 30.0]\n[dose]\nper_area = 1e3\n"),
        PLANE, {"defoci": [0.0, 30.0], "dose": 1e3},
    ),
    "exit-wave": ("[beam]\nenergy_keV = 200.0\nfocal_spread = 20.0\naberrations = {C10 = -50.0, C12 = [20.0, 0.5]}\n", PLANE, {}),
    "diffraction": (
        ("[beam]\nenergy_keV = 200.0\nfocal_spread = 20.0\naberrations = {C10 = -50.0, C12 = [20.0, 0.5]}\n"
        "[lens]\nselected_area = 10.0\n[detectors.pixelated]\nkind = 'pixelated'\nshape = [32, 32]\npixel_mrad = 1.7\n"),
        PLANE, {"selected_area": 10.0, "detectors": [Pixelated((32, 32), 1.7e-3)]},
    ),
    "cbed": ("[beam]\nenergy_keV = 200.0\nsemiangle_mrad = 21.3\nposition = [1.0, 0.5]\n", PROBE, {"position": (1.0, 0.5)}),
    "ronchigram": ("[beam]\nenergy_keV = 200.0\nsemiangle_mrad = 21.3\n", PROBE, {}),
    "stem": (
        ("[beam]\nenergy_keV = 200.0\nsemiangle_mrad = 21.3\n[scan]\nshape = [4, 4]\nfov = [3.905, 3.905]\n"
        "[detectors.dark]\nkind = 'annular'\ninner_mrad = 40.0\nouter_mrad = 60.0\n[dose]\nper_area = 1e5\n"),
        PROBE, {"scan": Scan((4, 4), fov=3.905), "detectors": {"dark": Annular(0.04, 0.06)}, "dose": 1e5},
    ),
    "4d-stem": (
        "[beam]\nenergy_keV = 200.0\nsemiangle_mrad = 21.3\n[scan]\nshape = [2, 3]\nfov = [3.905, 3.905]\n",
        PROBE, {"scan": Scan((2, 3), fov=3.905)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("signal", CASES)
@pytest.mark.slow
def test_a_scenario_gives_the_same_from_python_bit_for_bit(signal: str, tmp_path: Path):
    text, microscope, options = CASES[signal]
    scenario = tomllib.loads(
        f'name = "x"\nkind = "simulate"\nsignal = "{signal}"\nseed = 3\n{SPECIMEN}{text}[grid]\nsampling = 0.12\n'
    )
    out = tmp_path / "x.zarr"
    with jax.enable_x64(True):
        run_simulate(from_dict(scenario, "test"), out, False, SilentProgress())
    with jax.enable_x64(False):
        dataset = simulate(SAMPLE, microscope, signal, sampling=0.12, name="x", **options)  # type: ignore[arg-type]
    with xr.open_zarr(out, consolidated=False) as stored:
        np.testing.assert_array_equal(dataset["data"].values, stored["data"].values)
        assert stored.attrs["structure_hash"] == dataset.provenance["structure_hash"]


@pytest.fixture(scope="module")
def image() -> xr.Dataset:
    """An HRTEM image, without float64 set by the caller."""
    with jax.enable_x64(False):
        return simulate(SAMPLE, PLANE, "hrtem", sampling=0.12)


def test_a_dataset_has_coordinates_units_and_provenance(image: xr.Dataset):
    assert image["data"].dims == ("y", "x")
    assert image["x"].attrs["units"] == "angstrom"
    assert float(image["x"][1]) == pytest.approx(4 * 3.905 / image.sizes["x"])
    assert json.loads(image.attrs["provenance"])["seed"] == 3
    assert "P m -3 m" in image.attrs["structure"]
    assert "xr-wrap" in image._repr_html_()


def test_a_dataset_plots_and_comes_back_from_zarr(image: xr.Dataset, tmp_path: Path):
    drawn = image.plot()
    assert drawn.axes.get_xlabel() == "x [angstrom]"
    drawn.figure.clear()
    image.to_zarr(tmp_path / "image.zarr", zarr_format=3, consolidated=False)
    with xr.open_zarr(tmp_path / "image.zarr", consolidated=False) as again:
        xr.testing.assert_identical(image["data"], again["data"].load())
        assert again.attrs == image.attrs


@pytest.mark.slow
def test_detectors_are_drawn_with_a_scale_each_and_rows_downwards():
    rings = {"dark": Annular(0.03, 0.06), "bright": Annular(0.0, 0.01)}
    images = simulate(SAMPLE, Microscope(energy=200e3, semiangle=20e-3), "stem", scan=Scan((4, 5)), detectors=rings)
    dark, bright = images.plot()
    assert [drawn.axes.get_title() for drawn in (dark, bright)] == ["dark", "bright"]
    for drawn, name in ((dark, "dark"), (bright, "bright")):
        image = images["data"].sel(channel=name).values
        assert drawn.get_clim() == pytest.approx((image.min(), image.max()))
        low, high = drawn.axes.get_ylim()
        assert low > high
    dark.figure.clear()


def test_hyperspy_is_asked_for_by_name_where_it_is_missing(image: xr.Dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "hyperspy", None)
    with pytest.raises(ImportError, match="pip install hyperspy"):
        to_hyperspy(image)


def test_the_pure_function_is_the_signal(image: xr.Dataset):
    with jax.enable_x64(True):
        pure = hrtem(SAMPLE, PLANE, sampling=0.12)
    np.testing.assert_allclose(pure[0], image["data"], rtol=1e-4)


def test_what_cannot_be_is_refused_with_a_cure():
    with pytest.raises(ValueError, match=r"semiangle is 21.0 rad; give it in radian"):
        Microscope(energy=200e3, semiangle=21.0)
    with pytest.raises(ValueError, match="between 1000 and 1e"):
        Microscope(energy=200.0)
    with pytest.raises(ValueError, match="unknown aberration 'C99'"):
        PLANE.at(C99=1.0)
    with pytest.raises(ValueError, match="key detectors: is missing"):
        simulate(SAMPLE, PROBE, "stem", scan=Scan((4, 4)))
    with pytest.raises(ValueError, match="no file; give the path"):
        Sample.from_cif("nowhere.cif")


def test_a_sample_shows_itself_and_gives_its_atoms():
    assert "O3 Sr Ti: 5 atoms in the cell" in repr(SAMPLE)
    assert "cell 3.905 x 3.905 x 3.905 Å" in repr(SAMPLE)
    atoms = SAMPLE.atoms
    assert sorted(atoms.get_chemical_symbols()) == ["O", "O", "O", "Sr", "Ti"]
    again = Sample.from_atoms(atoms, cells=2)
    assert again.structure.density == pytest.approx(SAMPLE.structure.density)


def test_pieces_of_work_in_other_threads_have_the_precision_of_the_caller():
    def half(number: float) -> jax.Array:
        return jnp.asarray(number, float) / 2

    for precise, kind in ((True, "float64"), (False, "float32")):
        with jax.enable_x64(precise):
            assert [str(array.dtype) for array in in_pieces(half, [(1.0,), (2.0,), (3.0,)], 2)] == [kind] * 3
