"""Masks, dark frames, flat fields and defects in ``emtwin measure``: what is left out, what is said of it, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import close_reader
from scenarios.cli.main import BAD_INPUT, DONE, run
from tests.scenarios.measured import stored
from tests.synthetic.disks import pattern

SIDE = ("mrad", 0.5)


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.fixture
def disk(tmp_path: Path) -> tuple[Path, np.ndarray, float]:
    """A pattern in a file, its counts, and the true radius in pixels."""
    drawn = pattern(3, crystal=0.0, electrons=1e6)
    return stored(tmp_path / "disk.zarr", drawn.counts, (SIDE, SIDE)), drawn.counts, float(drawn.truth[0])


def radius(capsys: pytest.CaptureFixture[str], *words: object, code: int = DONE) -> tuple[float, float, dict]:
    """Radius and its error as measured, and the whole result."""
    assert run(["measure", "disk", *map(str, words), "--json"]) == code
    result = json.loads(capsys.readouterr().out)
    quantity = result["quantities"][0]
    return quantity["value"], quantity["error"], result


@pytest.mark.slow
def test_defects_are_masked_and_told(tmp_path, capsys, disk):
    _, counts, truth = disk
    counts[3, 5] = counts[60, 100] = 65535.0
    counts[:, 20] = 0.0
    file = stored(tmp_path / "spoiled.zarr", counts, (SIDE, SIDE))
    value, error, result = radius(capsys, file)
    assert abs(value - truth) < 4.0 * error
    assert {defect["kind"] for defect in result["defects"]} >= {"hot pixels"}
    assert all(defect["treatment"] == "masked" for defect in result["defects"])
    assert run(["measure", "disk", str(file)]) == DONE
    assert "masked 2 hot pixels" in capsys.readouterr().out
    assert run(["measure", "disk", str(file), "--all-pixels", "--json"]) in (DONE, 1)
    # what the fit itself finds is left out all the same
    assert {defect["kind"] for defect in json.loads(capsys.readouterr().out)["defects"]} <= {"hot pixels"}


@pytest.mark.slow
def test_dark_frame_flat_field_and_mask(tmp_path, capsys, disk):
    _, counts, truth = disk
    generator = np.random.default_rng(5)
    dark = generator.uniform(40.0, 60.0, counts.shape)
    flat = generator.uniform(0.6, 1.4, counts.shape)
    mask = np.zeros(counts.shape, np.uint8)
    mask[:, :30] = 1
    recorded = flat / flat.mean() * counts + dark
    recorded[:, :30] = generator.uniform(0.0, 2000.0, (len(counts), 30))
    file = stored(tmp_path / "raw.zarr", recorded, (SIDE, SIDE))
    for name, image in (("dark", dark), ("flat", flat), ("mask", mask)):
        np.save(tmp_path / f"{name}.npy", image)
    words = [word for name in ("dark", "flat", "mask") for word in (f"--{name}", tmp_path / f"{name}.npy")]
    value, error, result = radius(capsys, file, *words)
    assert abs(value - truth) < 4.0 * error
    used = {setting["name"]: setting["value"] for setting in result["settings"]}
    assert used["mask"] == f"{30 * len(counts)} of {counts.size} pixels left out"
    assert used["dark frame"] == "subtracted"
    assert used["flat field"] == "divided out"
    # the same from a file of another format
    import tifffile

    tifffile.imwrite(tmp_path / "mask.tif", mask)
    words[-1] = tmp_path / "mask.tif"
    assert radius(capsys, file, *words)[0] == value


@pytest.mark.parametrize(
    ("option", "image", "problem"),
    [
        ("mask", np.zeros((5, 7)), "5 x 7 pixels and the images 128 x 128"),
        ("mask", np.ones((128, 128)), "mask hides all pixels"),
        ("mask", np.zeros((2, 128, 128)), "which is no image"),
        ("flat", np.zeros((128, 128)), "no value above 0"),
        ("dark", np.full((128, 128), np.nan), "holds no number"),
    ],
)
def test_references_that_say_nothing_are_refused(tmp_path, capsys, disk, option, image, problem):
    np.save(tmp_path / "reference.npy", image)
    assert run(["measure", "disk", str(disk[0]), f"--{option}", str(tmp_path / "reference.npy"), "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert problem in error["problem"]
    assert error["cure"]


def test_a_reference_that_is_no_file_of_numbers(tmp_path, capsys, disk):
    (tmp_path / "text.npy").write_text("not an array")
    for path in (tmp_path / "text.npy", tmp_path / "absent.npy"):
        assert run(["measure", "disk", str(disk[0]), "--mask", str(path), "--json"]) == BAD_INPUT
        assert str(path) in json.loads(capsys.readouterr().out)["error"]["input"]
