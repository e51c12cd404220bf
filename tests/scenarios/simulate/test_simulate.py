"""``emtwin simulate``: its signals obey physical laws, its files describe them, and the seed is the only source of randomness."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from scenarios.cli.main import DONE, run
from scenarios.io.progress import SilentProgress
from scenarios.presets import load_simulation, simulation_names
from scenarios.simulate.job import run_simulate
from scenarios.simulate.reading import reseeded
from twin.simulation.beam import vector
from twin.simulation.plan.reading import any_from_dict, from_dict
from twin.simulation.plan.spectrum_tables import SpectrumSimulation
from twin.simulation.ready import make_ready
from twin.simulation.specimen import make_specimen
from twin.simulation.spectrum.ready import make_spectrum

LAMBDA = 0.0250793
"""Wavelength at 200 kV in angstrom, as tables have it."""
A = 3.905


def values(signal: str, **tables: Any) -> dict[str, Any]:
    """A small scenario on SrTiO3 [001], two cells thick, with ``tables`` put in or (by dots as __) changed."""
    plain: dict[str, Any] = {
        "name": "small", "kind": "simulate", "signal": signal, "specimen": {"repeats": [3, 3], "cells": 2},
        "beam": {"energy_keV": 200.0}, "grid": {"gpts": [90, 90]}, "compute": {"workers": 1},
    }  # fmt: skip
    if signal in ("cbed", "stem", "4d-stem", "ronchigram"):
        plain["beam"]["semiangle_mrad"] = 20.0
    if signal in ("stem", "4d-stem"):
        plain["scan"] = {"shape": [4, 4]}
    for key, value in tables.items():
        table, _, name = key.partition("__")
        if name:
            plain.setdefault(table, {})[name] = value
        else:
            plain[table] = value
    return plain


DETECTORS = {
    "ring": {"kind": "annular", "inner_mrad": 8, "outer_mrad": 40},
    "quarters": {"kind": "segmented", "radii_mrad": [8, 40], "sectors": 4, "rotation": -math.pi / 4},
    "bright": {"kind": "annular", "inner_mrad": 0, "outer_mrad": 10},
}


def simulated(
    folder: Path, signal: str, ending: str = "zarr", **tables: Any
) -> tuple[np.ndarray, dict[str, Any], Path]:
    """The data, the result and the file of a small simulation."""
    out = folder / f"{signal}-{len(list(folder.iterdir()))}.{ending}"
    result = run_simulate(from_dict(values(signal, **tables), "test"), out, False, SilentProgress())
    data = np.asarray(zarr.open_array(out / "data", mode="r")[...]) if ending == "zarr" else np.empty(0)
    assert not list(folder.glob("*.part"))
    assert (folder / f"{out.stem}.png").read_bytes().startswith(b"\x89PNG")
    return data, result, out


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> tuple[np.ndarray, dict[str, Any], Path]:
    """STEM images with three detectors, noise-free, one wave for each probe."""
    return simulated(tmp_path_factory.mktemp("scan"), "stem", detectors=DETECTORS, compute__form="direct")


@pytest.mark.parametrize("name", simulation_names())
def test_presets_are_ready_and_named(name: str):
    plan = load_simulation(name)
    assert plan.name == name
    assert any_from_dict(plan.as_dict(), name) == plan
    if isinstance(plan, SpectrumSimulation):
        assert make_spectrum(plan).electrons
        return
    ready = make_ready(plan)
    assert (plan.signal in ("cbed", "stem", "4d-stem", "ronchigram")) == (ready.illumination is not None)


@pytest.mark.smoke
def test_quarters_make_the_ring_and_the_crystal_has_its_symmetry(scan):
    images, result, _ = scan
    assert result["axes"][0]["labels"] == ["ring", *(f"quarters 1.{n}" for n in (1, 2, 3, 4)), "bright"]
    np.testing.assert_allclose(images[1:5].sum(axis=0), images[0], rtol=1e-5)
    for image in (images[0], images[5]):
        np.testing.assert_allclose(image, image.T, rtol=2e-4)
        np.testing.assert_allclose(image[1, :], image[3, :], rtol=2e-4)
    # on a column the quarters see the same, and a beam right of a column is bent left of where it would have gone
    np.testing.assert_allclose(images[1:5, 0, 0], images[1, 0, 0], rtol=1e-4)
    assert images[1, 0, 1] < images[3, 0, 1]
    np.testing.assert_allclose(images[1, 0, 1], images[2, 1, 0], rtol=1e-3)


@pytest.fixture(scope="module")
def through(tmp_path_factory) -> float:
    """The share of the beam that comes through, over so many probes that their mean is the cell's."""
    fine = {"shape": [14, 14]}
    _, result, _ = simulated(
        tmp_path_factory.mktemp("fine"), "stem", detectors=DETECTORS, scan=fine, compute__form="direct"
    )
    return result["flux"]["through"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gram", "crystal"])
def test_every_form_makes_the_same_images_and_says_so(form, scan, through, tmp_path):
    # so exact that all plane waves are taken, whose share that comes through is that of a whole cell
    images, result, _ = simulated(tmp_path, "stem", detectors=DETECTORS, compute__form=form, compute__tolerance=1e-4)
    np.testing.assert_allclose(images, scan[0], rtol=2e-4)
    assert ("one unit cell" in result["form"]) == (form == "crystal")
    assert "one wave for each probe" in scan[1]["form"]
    assert result["flux"]["through"] == pytest.approx(through, abs=2e-5)


@pytest.mark.slow
def test_forms_average_frozen_phonons_alike(tmp_path):
    tables: dict[str, Any] = {
        "detectors": DETECTORS,
        "specimen__phonons": {"configurations": 2},
        "beam__aberrations": {"C10": -20.0},
        "beam__focal_spread": 15.0,
    }
    direct, of_direct, _ = simulated(tmp_path, "stem", **tables, compute__form="direct")
    gram, of_gram, _ = simulated(tmp_path, "stem", **tables, compute__form="gram")
    np.testing.assert_allclose(gram, direct, rtol=2e-3)
    assert of_gram["flux"]["through"] == pytest.approx(of_direct["flux"]["through"], abs=2e-3)
    assert "2 configurations" in of_gram["form"]


def test_patterns_sum_to_images(scan, tmp_path, monkeypatch):
    patterns, result, _ = simulated(tmp_path, "4d-stem")
    y, x = (axis["offset"] + axis["scale"] * np.arange(axis["size"]) for axis in result["axes"][-2:])
    assert math.isclose(result["axes"][-1]["scale"], 1e3 * LAMBDA / (3 * A), rel_tol=1e-5)
    disc = (np.hypot(y[:, None], x[None, :]) < 10.0).astype(np.float64)
    summed = np.einsum("ijkl,kl->ij", patterns, disc)
    # beams at the aperture's edge have their share as intensity in patterns, as amplitude in images: unlike by parts of the grid's step
    np.testing.assert_allclose(summed, scan[0][5], rtol=0.06)
    monkeypatch.setattr("twin.simulation.beam.edge_of", lambda signal: "electrons")
    alike = simulated(tmp_path, "stem", detectors=DETECTORS, compute__form="direct")[0]
    np.testing.assert_allclose(summed, alike[5], rtol=1e-5)
    np.testing.assert_allclose(patterns.sum(axis=(2, 3)).mean(), result["flux"]["through"], rtol=1e-5)


def test_plane_wave_signals_agree(tmp_path):
    waves, _, _ = simulated(tmp_path, "exit-wave")
    assert waves.shape == (1, 90, 90)
    assert waves.dtype == np.complex64
    power = np.mean(np.abs(waves[0]) ** 2)
    image, result, _ = simulated(tmp_path, "hrtem", beam__defocus=0.0)
    # a perfect lens shows the wave's own intensity
    np.testing.assert_allclose(image, np.abs(waves[0]) ** 2, atol=1e-4)
    assert math.isclose(result["flux"]["through"], power, rel_tol=1e-5)
    pattern, result, _ = simulated(tmp_path, "diffraction")
    assert math.isclose(pattern.sum(), power, rel_tol=1e-4)
    y, x = (axis["offset"] + axis["scale"] * np.arange(axis["size"]) for axis in result["axes"])
    # beams of the crystal alone, at multiples of lambda / a
    step = 1e3 * LAMBDA / A
    off = np.hypot(np.abs(y / step - np.round(y / step))[:, None], np.abs(x / step - np.round(x / step))[None, :])
    assert pattern[off > 1e-3].sum() < 1e-8
    assert np.count_nonzero(pattern[off < 1e-3] > 1e-5) > 8


@pytest.mark.slow
def test_focal_series_is_of_single_images_and_counts_are_of_the_dose(tmp_path):
    clean, result, _ = simulated(tmp_path, "hrtem", lens={"defoci": [0.0, 40.0, 100.0], "aperture_mrad": 20.0})
    assert clean.shape == (3, 90, 90)
    assert result["axes"][0]["labels"][1] == "defocus 40 angstrom"
    image, _, _ = simulated(tmp_path, "hrtem", beam__defocus=40.0, lens={"aperture_mrad": 20.0})
    np.testing.assert_allclose(image, clean[1], atol=1e-5)
    noisy, result, _ = simulated(
        tmp_path, "hrtem", beam__defocus=40.0, lens={"aperture_mrad": 20.0}, dose={"per_area": 1e4}
    )
    electrons = 1e4 * (3 * A / 90) ** 2
    assert result["unit"] == "electrons"
    excess = (noisy - electrons * image) / np.sqrt(electrons * image)
    assert abs(excess.mean()) < 5.0 / 90
    assert abs(excess.var() - 1.0) < 5.0 * math.sqrt(2.0) / 90


@pytest.mark.parametrize("form", ["direct", "crystal"])
@pytest.mark.slow
def test_source_takes_from_harmonics_what_its_transform_says(form, tmp_path):
    """On a raster that carries all of the image's harmonics: 6 of them lie within twice the aperture."""
    fine = {"shape": [14, 14]}
    sharps, _, _ = simulated(tmp_path, "stem", detectors=DETECTORS, scan=fine, compute__form=form)
    blurred, _, _ = simulated(tmp_path, "stem", detectors=DETECTORS, scan=fine, beam__source=0.5, compute__form=form)
    for sharp, soft in zip(sharps, blurred, strict=True):
        before, after = np.fft.fft2(sharp), np.fft.fft2(soft)
        assert math.isclose(after[0, 0].real, before[0, 0].real, rel_tol=1e-6)
        left = math.exp(-2.0 * math.pi**2 * 0.5**2 / A**2)
        np.testing.assert_allclose(after[0, 1], left * before[0, 1], atol=1e-5 * abs(before[0, 0]))


def test_the_seed_is_the_only_source_of_randomness(tmp_path):
    options: dict[str, Any] = {"specimen__phonons": {"configurations": 2}, "dose": {"electrons": 500.0}}
    first, _, _ = simulated(tmp_path, "cbed", **options)
    again, _, _ = simulated(tmp_path, "cbed", **options)
    other, _, _ = simulated(tmp_path, "cbed", **options, seed=1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert abs(first.sum() - 500.0) < 5.0 * math.sqrt(500.0)


@pytest.mark.slow
def test_camera_makes_counts(tmp_path):
    made, result, _ = simulated(
        tmp_path, "ronchigram", dose={"electrons": 1e6}, camera={"gain": 3.0, "dark": 10.0, "lorentzians": [[1.0, 0.5]]},
        detectors={"camera": {"kind": "pixelated", "shape": [40, 40], "pixel_mrad": 2.0}},
    )  # fmt: skip
    assert made.shape == (40, 40)
    assert result["unit"] == "counts"
    assert math.isclose(made.sum() - 16000.0, 3e6 * result["flux"]["through"], rel_tol=0.02)
    assert math.isclose(result["axes"][0]["offset"], -39.0)


def test_hyperspy_layout_holds_the_same(scan, tmp_path):
    from rsciio.hspy import file_reader

    _, _, out = simulated(tmp_path, "stem", "hspy", detectors=DETECTORS)
    signal = file_reader(str(out))[0]
    np.testing.assert_array_equal(signal["data"], scan[0])
    named = [(axis["name"], axis["units"], float(axis["scale"])) for axis in signal["axes"]]
    assert named == [("channel", "", 1.0), ("y", "Å", A / 4), ("x", "Å", A / 4)]
    kept = json.loads(signal["original_metadata"]["emtwin"])
    assert kept["scenario"]["signal"] == "stem"


def test_zarr_attributes_describe_the_simulation(scan):
    _, result, out = scan
    group = zarr.open_group(out, mode="r", zarr_format=3)
    assert json.loads((out / "data" / "zarr.json").read_text())["dimension_names"] == ["channel", "y", "x"]
    assert group["data"].attrs["units"] == "fraction of the beam"
    np.testing.assert_allclose(np.asarray(zarr.open_array(out / "x", mode="r")[...]), A / 4 * np.arange(4))
    kept: dict[str, Any] = dict(group.attrs)
    assert from_dict(kept["scenario"], "kept") == from_dict(
        values("stem", detectors=DETECTORS, compute__form="direct"), "test"
    )
    assert len(kept["structure_hash"]) == 64
    assert kept["versions"]["zarr"] == zarr.__version__
    assert math.isclose(kept["thickness"], 2 * A)
    assert kept["flux"] == result["flux"]
    assert 0.0 <= kept["flux"]["lost"] < 0.05


def test_what_a_scan_covers_stands_in_result_and_file(scan):
    _, result, out = scan
    assert dict(zarr.open_group(out, mode="r", zarr_format=3).attrs)["scan"] == result["scan"]
    np.testing.assert_allclose(result["scan"]["fov"], [A, A])
    np.testing.assert_allclose(result["scan"]["cells"], [1.0, 1.0])
    assert result["scan"]["described"] == "4 x 4 probes 0.976 Å apart over 3.905 x 3.905 Å (1 x 1 cells)"
    assert set(result["sampling"]["errors"]) == set(result["axes"][0]["labels"])


def test_slices_are_cut_between_the_planes():
    made = make_specimen(from_dict(values("exit-wave"), "test"))
    fraction = (made.specimen.positions[:, 2] / made.spacing) % 1.0
    np.testing.assert_allclose(fraction, 0.5, atol=1e-6)


@pytest.mark.parametrize(("thickness", "of_a_cell"), [(2.0, 2), (1.3, 3), (3.5, 1), (10.0, 1)])
def test_a_cell_is_cut_into_a_whole_number_of_slices(thickness: float, of_a_cell: int):
    """At most 15 % of a slice thicker than asked, and never thicker than a cell: so that cells are alike, with the crystal's quick form."""
    made = make_specimen(from_dict(values("exit-wave", specimen={"cells": 3, "slice": thickness}), "test"))
    assert made.slices == 3 * of_a_cell
    assert made.cell_specimen is not None
    assert made.spacing == pytest.approx(A / of_a_cell)


def test_zone_axis_size_vacancies_and_occupancy():
    plan = from_dict(
        values(
            "exit-wave", specimen={
                "zone": [1, 1, 0], "x": [0, 0, 1], "size": [11, 11], "thickness": 22,
                "vacancies": {"O": 0.25}, "occupancy": {"Sr": 0.9},
            },
        ), "test",
    )  # fmt: skip
    made = make_specimen(plan)
    np.testing.assert_allclose(made.unit, [A, A * math.sqrt(2), A * math.sqrt(2)], rtol=1e-9)
    np.testing.assert_allclose(made.specimen.cell, [3 * A, 2 * A * math.sqrt(2), 4 * A * math.sqrt(2)], rtol=1e-9)
    symbols = list(made.specimen.symbols)
    assert symbols.count("O") == round(0.75 * 3 * symbols.count("Ti"))
    share = made.specimen.occupancy
    assert set(share[np.array(symbols) == "Sr"]) == {0.9}
    assert set(share[np.array(symbols) == "Ti"]) == {1.0}
    assert make_specimen(plan).hash() == made.hash() != make_specimen(reseeded(plan, 3)).hash()


def test_structure_file_of_any_cell(tmp_path):
    from ase.build import bulk

    bulk("Si", "diamond", 5.431).write(tmp_path / "si.cif")
    plan = from_dict(
        values(
            "exit-wave",
            specimen={"structure": "si.cif", "zone": [0, 0, 1], "cells": 1, "repeats": [2, 2]},
            folder=str(tmp_path),
        ),
        "test",
    )
    made = make_specimen(plan)
    # [001] of the primitive cell is a <110> of the cube
    assert math.isclose(made.unit[2], 5.431 / math.sqrt(2), rel_tol=1e-3)


def test_aberrations_by_every_name():
    def of(**beam: Any) -> np.ndarray:
        return vector(from_dict(values("exit-wave", beam={"energy_keV": 200, **beam}), "test").beam)

    np.testing.assert_allclose(of(defocus=50.0), of(aberrations={"C10": -50.0}))
    np.testing.assert_allclose(of(aberrations={"A1": [20.0, 0.3]}), of(aberrations={"C12": [20.0, 0.3]}))
    np.testing.assert_allclose(
        of(aberrations={"C12": [20.0, 0.3]}),
        of(aberrations={"C12a": 20.0 * math.cos(0.6), "C12b": 20.0 * math.sin(0.6)}),
    )
    np.testing.assert_allclose(of(aberrations={"B2": [10.0, 0.0]}), of(aberrations={"C21a": 30.0}))
    np.testing.assert_allclose(of(aberrations={"C3": 1e4}), of(aberrations={"C30": 1e4}))


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(
        'name = "small"\nkind = "simulate"\nsignal = "exit-wave"\n[specimen]\nrepeats = [2, 2]\ncells = 1\n'
        "[beam]\nenergy_keV = 200\n[grid]\ngpts = [48, 48]\n"
    )
    assert run(["simulate", "small.toml", "--out", "a.zarr", "--json"]) == DONE
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["schema"] == "emtwin.simulate/1"
    assert (result["shape"], result["file"], result["picture"]) == ([1, 48, 48], "a.zarr", "a.png")
    assert "waves through the specimen: 100 %" in captured.err
    assert run(["simulate", "small.toml", "--out", "b.zarr", "--seed", "4"]) == DONE
    assert "48 x" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.zarr", "b.png", "b.zarr", "small.toml"]
