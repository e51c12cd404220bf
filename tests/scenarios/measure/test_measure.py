"""``emtwin measure``: each kind from a file to quantities that hold, what it prints and writes, and when it disagrees."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.readers import close_reader
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, run
from tests.scenarios.measured import stored
from tests.synthetic import amorphous_films, haadf_images
from tests.synthetic.disks import pattern
from tests.synthetic.films import film
from tests.synthetic.lattices import TITANATE, recorded
from tests.synthetic.scans4d import scanned
from twin.optics.aberrations import coefficients

TITANATE_SPECIMEN: dict[str, Any] = {"specimen": {"structure": "SrTiO3", "zone": [0, 0, 1]}}
KEYS = {
    "schema", "kind", "outcome", "files", "signal", "settings", "quantities", "covariance", "components", "readings", "undetermined", "misfit",
    "checks", "defects", "electrons", "claims", "disagreements", "notes",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


SKEWED = ("--skew-percent", 5)


def measured(capsys: pytest.CaptureFixture[str], code: int, *words: Any) -> dict[str, Any]:
    """What a measurement prints under --json, having ended with ``code``; the shape of it is checked."""
    assert run(["measure", *(str(word) for word in words), "--json"]) == code
    result = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no strict JSON"))
    assert set(result) == KEYS
    assert result["schema"] == "emtwin.measure/3"
    assert result["kind"] == words[0]
    count = len(result["quantities"])
    assert np.shape(result["covariance"]) == (count, count)
    for parts in (result["components"], result["readings"]):
        assert sum(part["weight"] for part in parts) == pytest.approx(1.0)
        assert all(np.shape(part["covariance"]) == (count, count) for part in parts)
    for index, quantity in enumerate(result["quantities"]):
        assert quantity["error"] == pytest.approx(math.sqrt(result["covariance"][index][index]))
        assert quantity["determined"] == (quantity["name"] not in result["undetermined"])
    return result


def away(result: dict[str, Any], name: str, truth: float) -> float:
    """Error of a quantity of the likeliest reading in its own standard deviations."""
    index = [quantity["name"] for quantity in result["quantities"]].index(name)
    best = result["readings"][0]
    return (best["mean"][index] - truth) / math.sqrt(best["covariance"][index][index])


@pytest.mark.slow
@pytest.mark.smoke
def test_a_tiff_without_pixel_size_needs_the_option(tmp_path, capsys):
    import tifffile

    scan = recorded(41, TITANATE, pixels=128, quiet=True, electrons=100.0)
    file = tmp_path / "lattice.tif"
    tifffile.imwrite(file, scan.image.astype(np.uint16))
    assert run(["measure", "lattice", str(file), "--structure", "SrTiO3", "--json"]) == BAD_INPUT
    assert "--pixel-angstrom" in json.loads(capsys.readouterr().out)["error"]["cure"]
    result = measured(capsys, DONE, "lattice", file, "--structure", "SrTiO3", "--pixel-angstrom", scan.nominal, *SKEWED)
    for name, truth in zip(("pixel_x", "pixel_y"), scan.truth, strict=False):
        assert abs(away(result, name, truth)) < 4.0


@pytest.mark.slow
def test_a_lattice_contradicts_the_pixel_that_its_file_claims(tmp_path, capsys):
    scan = recorded(41, TITANATE, pixels=128, quiet=True, electrons=100.0)
    side = ("angstrom", scan.nominal)
    file = stored(tmp_path / "lattice.hspy", scan.image, (side, side), beam={"energy_keV": 200.0}, **TITANATE_SPECIMEN)
    out, figure = tmp_path / "result.json", tmp_path / "result.svg"
    result = measured(capsys, DISAGREES, "lattice", file, "--out", out, "--figure", figure, *SKEWED)
    assert json.loads(out.read_text()) == result
    assert figure.read_text().lstrip().startswith("<?xml")
    for name, truth in zip(("pixel_x", "pixel_y", "shear"), scan.truth, strict=False):
        assert abs(away(result, name, truth)) < 4.0
    wrong = [claim for claim in result["claims"] if not claim["agrees"]]
    assert wrong
    assert all("the file claims a pixel along" in claim["words"] for claim in wrong)
    assert result["disagreements"] == [claim["words"] for claim in wrong]
    by_name = {setting["name"]: setting for setting in result["settings"]}
    assert by_name["pixel"]["from"] == "the file"
    assert by_name["structure"]["value"] == "SrTiO3"
    # a file that claims what is so is not contradicted
    right = stored(
        tmp_path / "right.zarr", scan.image, (("angstrom", scan.truth[1]), ("angstrom", scan.truth[0])), beam={}, **TITANATE_SPECIMEN
    )  # fmt: skip
    assert measured(capsys, DONE, "lattice", right, *SKEWED)["disagreements"] == []
    # pixels that are 8 % off square are more than the default takes for one structure's
    assert any("for being square" in words for words in measured(capsys, DISAGREES, "lattice", right)["disagreements"])


def test_another_structure_disagrees(tmp_path, capsys):
    cell = tmp_path / "iron.cif"
    cell.write_text(
        "data_iron\n_cell_length_a 2.87\n_cell_length_b 4.9\n_cell_length_c 3\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_label\n_atom_site_type_symbol\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nFe1 Fe 0 0 0\n"
    )
    scan = recorded(5, TITANATE, pixels=128, quiet=True, electrons=50.0)
    side = ("angstrom", scan.nominal)
    file = stored(tmp_path / "lattice.zarr", scan.image, (side, side))
    result = measured(capsys, DISAGREES, "lattice", file, "--structure", cell)
    assert "the model does not fit" in result["disagreements"][0]
    assert set(result["undetermined"]) == {"pixel_x", "pixel_y", "shear", "rotation"}
    assert result["claims"] == []


@pytest.mark.slow
def test_thon_rings_with_both_signs_of_defocus(tmp_path, capsys):
    micrograph = film(4, c30=0.0, dose=500.0)
    side = ("angstrom", micrograph.pixel)
    file = stored(tmp_path / "film.hspy", micrograph.image, (side, side), beam={"energy_keV": 200.0})
    figure = tmp_path / "film.png"
    result = measured(capsys, DISAGREES, "thon", file, "--figure", figure)
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert result["outcome"] == "several readings"
    assert len(result["readings"]) == 2
    right = next(reading for reading in result["readings"] if reading["mean"][0] * micrograph.truth[0] > 0)
    assert np.abs((np.array(right["mean"]) - micrograph.truth) / np.sqrt(np.diag(right["covariance"]))).max() < 4.0
    assert result["quantities"][0]["error"] > 100.0  # of the mixture of both
    assert run(["measure", "thon", str(file)]) == DISAGREES
    output = capsys.readouterr().out
    assert "The data allow 2 readings" in output
    assert " nm" in output


@pytest.mark.slow
def test_a_disk_and_the_semiangle_its_file_claims(tmp_path, capsys):
    drawn = pattern(3, crystal=0.0)
    side, angle = ("mrad", 0.5), float(drawn.truth[0]) * 0.5
    for claimed, code in ((angle, DONE), (1.1 * angle, DISAGREES)):
        file = stored(tmp_path / f"disk-{code}.zarr", drawn.counts, (side, side), beam={"semiangle_mrad": claimed})
        result = measured(capsys, code, "disk", file)
        assert abs(away(result, "radius", drawn.truth[0])) < 4.0
        assert abs(away(result, "semiangle", 1e-3 * angle)) < 4.0
        (claim,) = result["claims"]
        assert claim["claimed"] == pytest.approx(1e-3 * claimed)
        assert claim["agrees"] == (code == DONE)
    assert "camera_length" not in {quantity["name"] for quantity in result["quantities"]}
    # without a pixel in mrad the disk gives no semi-angle; a known semi-angle gives the camera length
    bare = stored(tmp_path / "bare.zarr", drawn.counts, (("", 1.0), ("", 1.0)))
    assert {"semiangle", "camera_length"} <= set(measured(capsys, DONE, "disk", bare)["undetermined"])
    result = measured(capsys, DONE, "disk", bare, "--semiangle-mrad", angle, "--semiangle-error-percent", 0.01)
    assert abs(away(result, "camera_length", 2e3)) < 4.0
    result = measured(
        capsys, DONE, "disk", bare, "--detector-pixel-um", 55, "--camera-length-mm", 110, "--pixel-error-percent", 0.01
    )
    assert abs(away(result, "semiangle", 1e-3 * angle)) < 4.0


def test_rotation_and_flip_of_a_scan(tmp_path, capsys):
    scan = scanned(2, electrons=3000.0)
    sides = (("angstrom", 0.4), ("angstrom", 0.4), ("mrad", 1.0), ("mrad", 1.0))
    file = stored(tmp_path / "scan.zarr", 20.0 * scan.patterns, sides, unit="counts")
    # without an image that is bright at atoms both readings stay
    result = measured(capsys, DISAGREES, "rotation", file, "--gain", 20, "--figure", tmp_path / "rotation.png")
    mean = result["readings"][0]["mean"]
    assert round(mean[1]) == scan.flip
    assert abs((mean[0] - scan.rotation + np.pi) % (2 * np.pi) - np.pi) < 0.2
    assert result["electrons"] == pytest.approx(scan.patterns.sum())
    assert run(["measure", "rotation", str(file), "--gain", "20"]) == DISAGREES
    assert "138" in capsys.readouterr().out  # degrees
    # the file of a simulation claims that its axes are the camera's
    simulated = stored(tmp_path / "own.zarr", scan.patterns, sides, beam={})
    result = measured(capsys, DISAGREES, "rotation", simulated)
    assert "the file claims a rotation of 0 °" in result["disagreements"][0]


@pytest.mark.slow
def test_a_pattern_determines_a_crystals_thickness(tmp_path, capsys):
    from tests.reconstruct.measurement.test_pacbed import mean_image

    image = np.random.default_rng(0).poisson(mean_image(120.0, (1e-3, -0.5e-3))).astype(float)
    file = stored(
        tmp_path / "pattern.zarr", image, (("mrad", 1.1), ("mrad", 1.1)), beam={"energy_keV": 200.0, "semiangle_mrad": 10.0},
        **TITANATE_SPECIMEN,
    )  # fmt: skip
    options = ("--rotation-deg", math.degrees(0.1), "--thickest-nm", 20, "--tilt-error-mrad", 1.5)
    result = measured(capsys, DONE, "pacbed", file, *options, "--figure", tmp_path / "pattern.png")
    assert result["undetermined"] == {}
    for name, truth in (("thickness", 120.0), ("tilt.x", 1e-3), ("tilt.y", -0.5e-3), ("semiangle", 0.01)):
        assert abs(away(result, name, truth)) < 4.0
    assert result["quantities"][0]["error"] < 4.0


@pytest.mark.slow
def test_haadf_determines_the_optics(tmp_path, capsys):
    optics = {"C10": -45.0, "C12a": 18.0, "C12b": -9.0}
    side = ("angstrom", 0.3)
    file = stored(tmp_path / "haadf.zarr", haadf_images.drawn(1, optics, scale=1.06), (side, side), unit="counts")
    result = measured(
        capsys, DONE, "haadf", file, "--energy-keV", 200, "--semiangle-mrad", 21.4, "--detector-mrad", "30,55", "--thickness-nm", 1.953,
        "--thickness-error-nm", 0.2, "--structure", "SrTiO3", "--dose", 2e4, "--dwell-us", 10, "--gain", 20, "--gain-error-percent", 10,
        "--black", 100, "--readout", 5, "--figure", tmp_path / "haadf.svg",
    )  # fmt: skip
    for name, truth in {**optics, "source": haadf_images.SOURCE, "pixel_x": 0.3, "pixel_y": 0.3}.items():
        assert abs(away(result, name, truth)) < 4.0, name
    assert {"C10", "C12a", "C12b"}.isdisjoint(result["undetermined"])


@pytest.mark.slow
def test_scans_of_a_film_determine_the_aberrations(tmp_path, capsys):
    indices = amorphous_films.camera(7)
    specimen = amorphous_films.film(11, indices=indices)
    true = coefficients({"C10": -90.0, "C12a": 21.0, "C12b": -33.0})
    generator, files = np.random.default_rng(5), []
    for number, c10 in enumerate((-60.0, 60.0)):
        exposure = amorphous_films.exposure(specimen, true, 1e7, generator, 24, c10=c10, source=0.4)
        index = indices // 7
        reach = int(np.abs(index).max())
        whole = np.zeros((24, 24, 2 * reach + 1, 2 * reach + 1))
        whole[:, :, index[:, 1] + reach, index[:, 0] + reach] = exposure.counts
        sides = (("angstrom", exposure.setting.step),) * 2 + (("mrad", 7e3 * exposure.setting.width),) * 2
        beam = {"energy_keV": 200.0, "semiangle_mrad": 30.0}
        files.append(stored(tmp_path / f"{number}.zarr", whole, sides, beam=beam, dose={"electrons": 1e7 / 24**2}))
    errors = {"C10": 100, "C12": 50, "C21": 500, "C23": 500, "C30": 5000}
    known = [word for name, error in errors.items() for word in ("--error", f"{name}={error}")]
    result = measured(
        capsys, DONE, "film", *files, "--c10-change-nm", -6, "--c10-change-nm", 6, *known, "--repeats", "--figure", tmp_path / "film.png"
    )  # fmt: skip
    assert {"C10", "C12.a", "C12.b"}.isdisjoint(result["undetermined"])
    for name, truth in (("C10", -90.0), ("C12.a", 21.0), ("C12.b", -33.0)):
        assert abs(away(result, name, truth)) < 4.0
    assert result["files"] == [str(file) for file in files]


@pytest.mark.slow
def test_the_real_titanate_claims_pixels_that_are_too_large(data: Path, capsys):
    file = data / "images" / "sto-titan80.emi"
    result = measured(capsys, DISAGREES, "lattice", file, "--structure", "SrTiO3", "--mains-hz", 50)
    assert [claim["agrees"] for claim in result["claims"]] == [False, False]
    assert result["quantities"][0]["value"] == pytest.approx(0.0972, abs=5e-4)
