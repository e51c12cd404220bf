"""``emtwin measure`` on files with something in them that a plain model does not hold: the right answer, or what is the matter; never sure and wrong."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instrument.readers import close_reader
from scenarios.cli.main import DISAGREES, DONE, run

THON = ("thon", "--pixel-angstrom", 1, "--energy-keV", 300, "--cs-mm", 2.7)
DISK = ("disk", "--pixel-mrad", 0.5, "--energy-keV", 200)
LATTICE = ("lattice", "--structure", "SrTiO3", "--pixel-angstrom")
HAADF = (
    "haadf", "--structure", "SrTiO3", "--pixel-angstrom", 0.28, "--energy-keV", 200, "--detector-mrad", "70,140", "--dose", 1e5,
    "--dwell-us", 10, "--gain", 50, "--black", 100, "--source-angstrom", 0.5,
)  # fmt: skip
PACBED = (
    "pacbed", "--structure", "SrTiO3", "--energy-keV", 200, "--semiangle-mrad", 20, "--gain", 1, "--thickest-nm", 20,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


class Measured:
    """What a command prints under --json, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], file: Path, words: tuple[Any, ...]):
        self.code = run(["measure", str(words[0]), str(file), *map(str, words[1:]), "--json"])
        self.result = json.loads(capsys.readouterr().out)

    @property
    def outcome(self) -> str:
        return self.result["outcome"]

    def reading(self, name: str) -> tuple[float, float]:
        """Value and error of the likeliest reading."""
        index = [quantity["name"] for quantity in self.result["quantities"]].index(name)
        best = self.result["readings"][0]
        return best["mean"][index], math.sqrt(best["covariance"][index][index])

    def near(self, name: str, truth: float, largest_error: float) -> bool:
        """Whether the likeliest reading is determined, within 4 of its standard errors of the truth, and no wider than ``largest_error``."""
        value, error = self.reading(name)
        return name not in self.result["undetermined"] and abs(value - truth) < 4.0 * error < 4.0 * largest_error

    @property
    def words(self) -> str:
        """All that is said of it, as one text."""
        texts = [*self.result["disagreements"], *self.result["undetermined"].values(), *self.result["notes"]]
        return " ".join([*texts, *(defect["description"] for defect in self.result["defects"])])


@pytest.mark.slow
def test_an_ice_ring_is_no_thon_ring(data: Path, capsys):
    measured = Measured(capsys, data / "spoiled/thon-ice-ring.tif", THON)
    assert measured.code == DONE
    assert measured.near("C10", -8000.0, 30.0)
    assert "3.7" in measured.words


@pytest.mark.slow
def test_strong_astigmatism_keeps_its_sign(data: Path, capsys):
    measured = Measured(capsys, data / "spoiled/thon-strong-astigmatism.tif", THON)
    assert measured.code == DONE
    for name, truth in (("C10", -8000.0), ("C12a", 2000.0), ("C12b", 1000.0)):
        assert measured.near(name, truth, 20.0)


@pytest.mark.slow
def test_hot_pixels_in_a_film(data: Path, capsys):
    measured = Measured(capsys, data / "spoiled/thon-hot-pixels.tif", THON)
    assert measured.code == DONE
    assert measured.near("C10", -8000.0, 30.0)
    assert "2 hot pixels" in measured.words


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words"), [("pixels", "20 hot pixels"), ("column", "column")])
def test_hot_pixels_and_a_hot_column_in_a_lattice(data: Path, capsys, name: str, words: str):
    measured = Measured(capsys, data / f"spoiled/lattice-hot-{name}.tif", (*LATTICE, 0.2))
    assert measured.code == DONE
    assert measured.near("pixel_x", 0.2, 2e-4)
    assert measured.near("pixel_y", 0.2, 2e-4)
    assert measured.near("shear", 0.0, 1e-3)
    assert words in measured.words


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pixel"), [("undersampled", 2.2), ("near-nyquist", 1.8)])
def test_a_lattice_of_about_two_pixels_a_period(data: Path, capsys, name: str, pixel: float):
    measured = Measured(capsys, data / f"spoiled/lattice-{name}.tif", (*LATTICE, pixel))
    if measured.outcome == "determined":
        assert measured.near("pixel_x", pixel, 0.01)
    elif measured.outcome == "several readings":
        index = [quantity["name"] for quantity in measured.result["quantities"]].index("pixel_x")
        assert any(abs(reading["mean"][index] - pixel) < 0.01 for reading in measured.result["readings"])
    else:
        assert "undersampled" in measured.words


def test_a_clean_disk_and_one_hot_pixel(data: Path, capsys):
    for name in ("clean", "hot-pixel"):
        measured = Measured(capsys, data / f"spoiled/disk-{name}.tif", DISK)
        assert measured.code == DONE
        assert measured.near("radius", 40.0, 0.1)
        assert measured.near("edge", 0.6, 0.1)
    assert "1 hot pixel" in measured.words


def test_few_electrons_leave_the_edge_wide_or_open(data: Path, capsys):
    measured = Measured(capsys, data / "spoiled/disk-few-electrons.tif", DISK)
    assert measured.near("radius", 40.0, 0.5)
    assert "edge" in measured.result["undetermined"] or measured.near("edge", 0.6, 1.0)


def test_descan_is_no_ellipse(data: Path, capsys):
    measured = Measured(capsys, data / "spoiled/disk-descan.tif", DISK)
    if measured.outcome == "determined":
        assert "along x" in measured.words or "descan" in measured.words
        assert measured.near("radius", 40.0, 0.5)
        assert "ellipse_a" in measured.result["undetermined"] or measured.near("ellipse_a", 0.0, 0.02)
    else:
        assert measured.code == DISAGREES


@pytest.mark.parametrize(
    "words", [("--semiangle-mrad", 30), ("--semiangle-mrad", 20, "--camera-length-mm", 500, "--detector-pixel-um", 14)]
)
def test_scales_that_contradict_the_disk(data: Path, capsys, words: tuple[Any, ...]):
    measured = Measured(capsys, data / "spoiled/disk-clean.tif", (*DISK, *words))
    assert measured.code == DISAGREES
    assert measured.near("radius", 40.0, 0.1)
    assert "contradict" in measured.words


def test_a_rotation_that_the_file_does_not_claim(data: Path, capsys):
    measured = Measured(capsys, data / "spoiled/rotation-30-degrees.zarr", ("rotation",))
    assert measured.code == DISAGREES
    claim = next(claim for claim in measured.result["claims"] if claim["quantity"] == "rotation")
    assert not claim["agrees"]
    index = [quantity["name"] for quantity in measured.result["quantities"]].index("rotation")
    assert any(
        abs(reading["mean"][index] + math.pi / 6) < 0.08 for reading in measured.result["readings"]
    )  # -30 degrees is one of the readings


@pytest.mark.slow
def test_a_clean_haadf_image(data: Path, capsys):
    measured = Measured(
        capsys, data / "spoiled/haadf-clean.tif", (*HAADF, "--thickness-nm", 7.81, "--semiangle-mrad", 21.4)
    )
    assert measured.outcome in ("determined", "several readings")
    # the image hardly narrows what was stated
    assert "thickness" in measured.result["undetermined"] or measured.near("thickness", 78.1, 6.0)
    index = [quantity["name"] for quantity in measured.result["quantities"]].index("C10")
    errors = [
        abs(reading["mean"][index] + 40.0) / math.sqrt(reading["covariance"][index][index])
        for reading in measured.result["readings"]
    ]
    assert min(errors) < 4.0


@pytest.mark.slow
@pytest.mark.parametrize(("thickness", "semiangle"), [(15.6, 21.4), (7.81, 24.6)])
def test_what_is_stated_wrongly_of_a_haadf_image(data: Path, capsys, thickness: float, semiangle: float):
    words = (*HAADF, "--thickness-nm", thickness, "--semiangle-mrad", semiangle)
    measured = Measured(capsys, data / "spoiled/haadf-clean.tif", words)
    assert measured.code == DISAGREES
    assert measured.result["disagreements"]


@pytest.mark.slow
@pytest.mark.parametrize(("pixel", "scale"), [(1.5, 1.0), (1.65, 1.1)])
def test_a_pattern_that_was_simulated(data: Path, capsys, pixel: float, scale: float):
    measured = Measured(capsys, data / "spoiled/pacbed-clean.tif", (*PACBED, "--pixel-mrad", pixel))
    assert measured.near("scale", scale, 0.01)
    assert measured.near("semiangle", 0.02, 4e-4)
    assert measured.near("thickness", 78.1, 4.0)
    assert measured.near("tilt.x", 0.0, 3e-4)
    assert (measured.code == DONE) == (pixel == 1.5)
    assert pixel == 1.5 or "pixel" in measured.words
