"""``emtwin measure``: what cannot be measured is refused with the file or option, the problem and the cure, and nothing is written."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import close_reader
from scenarios.cli.main import BAD_INPUT, DISAGREES, run
from tests.scenarios.measured import stored
from tests.synthetic.disks import pattern

IMAGE = np.random.default_rng(0).poisson(20.0, (64, 64)).astype(float)
SIDE = ("angstrom", 0.2)
ANGLE = ("mrad", 1.0)


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The message about bad input; asserts that it has a cure and no traceback."""
    assert run(["measure", *(str(word) for word in words)]) == BAD_INPUT
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return captured.err


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that are each good for something."""
    scan = np.broadcast_to(1.0 + np.arange(16.0), (8, 8, 16, 16))
    return {
        "image": stored(tmp_path / "image.zarr", IMAGE, (SIDE, SIDE), beam={"energy_keV": 200.0}),
        "bare": stored(tmp_path / "bare.zarr", IMAGE, (("", 1.0), ("", 1.0))),
        "pattern": stored(tmp_path / "pattern.zarr", IMAGE, (ANGLE, ANGLE)),
        "stack": stored(tmp_path / "stack.zarr", np.stack([IMAGE, IMAGE]), (("", 1.0), SIDE, SIDE)),
        "scan": stored(tmp_path / "scan.zarr", scan, (SIDE, SIDE, ANGLE, ANGLE)),
        "uneven": stored(tmp_path / "uneven.hspy", IMAGE, (("angstrom", 0.3), SIDE)),
        "uneven-scan": stored(tmp_path / "uneven-scan.zarr", scan, (("angstrom", 0.3), SIDE, ANGLE, ANGLE)),
        "nan": stored(tmp_path / "nan.zarr", np.where(IMAGE > 15, np.nan, IMAGE), (SIDE, SIDE)),
        "wave": stored(tmp_path / "wave.zarr", IMAGE.astype(complex), (SIDE, SIDE)),
        "tiny": stored(tmp_path / "tiny.zarr", IMAGE[:8, :8], (SIDE, SIDE)),
        "line": stored(tmp_path / "line.zarr", IMAGE[0], (SIDE,)),
        "shares": stored(tmp_path / "shares.zarr", scan, (SIDE, SIDE, ANGLE, ANGLE), unit="fraction of the beam"),
    }


STO = ("--structure", "SrTiO3")


@pytest.mark.parametrize(
    ("kind", "file", "options", "words"),
    [
        ("lattice", "bare", STO, ["bare.zarr", "how large its pixels are", "--pixel-angstrom"]),
        ("lattice", "image", (), ["which crystal", "--structure", "--zone"]),
        ("lattice", "image", ("--structure", "no.cif"), ["no.cif", "neither built in nor a file", "structure file"]),
        ("lattice", "image", (*STO, "--zone", "0,0"), ["--zone 0,0", "0,0,1"]),
        ("lattice", "image", (*STO, "--pixel-angstrom", "nan"), ["--pixel-angstrom nan", "finite number"]),
        ("lattice", "image", (*STO, "--mains-hz", "50"), ["--mains-hz", "dwell time"]),
        ("lattice", "pattern", STO, ["diffraction pattern", "Give an image"]),
        ("lattice", "stack", STO, ["stack of 2 x 64 x 64", "--frame N"]),
        ("lattice", "stack", (*STO, "--frame", "2"), ["--frame 2", "0 to 1"]),
        ("lattice", "image", (*STO, "--frame", "0"), ["--frame 0", "holds one image"]),
        ("lattice", "nan", STO, ["nan.zarr", "not a number"]),
        ("lattice", "wave", STO, ["complex", "intensities"]),
        ("lattice", "tiny", STO, ["at least 32 pixels"]),
        ("lattice", "line", STO, ["holds no image", "spectrum"]),
        ("lattice", "image", (*STO, "--signal", "EDS"), ["--signal EDS", "is none of"]),
        ("thon", "bare", ("--cs-mm", "0"), ["how large its pixels are"]),
        ("thon", "stack", ("--frame", "0", "--cs-mm", "0"), ["energy", "--energy-keV"]),
        ("thon", "nan", ("--energy-keV", "200"), ["spherical aberration", "--cs-mm"]),
        ("thon", "uneven", ("--energy-keV", "200"), ["0.2 x 0.3", "not square"]),
        ("thon", "image", ("--pixel-angstrom", "900"), ["too large for rings", "--span-nm"]),
        ("disk", "image", (), ["is an image", "diffraction pattern"]),
        ("disk", "pattern", ("--camera-length-mm", "100"), ["--camera-length-mm", "--detector-pixel-um"]),
        ("disk", "scan", ("--frame", "1"), ["--frame 1", "--frame N,N"]),
        ("rotation", "image", (), ["64 x 64", "4D-STEM"]),
        ("rotation", "uneven-scan", (), ["not square"]),
        ("rotation", "shares", (), ["without counting noise", "[dose]"]),
        ("rotation", "scan", ("--dark-field-mrad", "90"), ["--dark-field-mrad 90", "smaller"]),
        ("rotation", "scan", ("--gain", "0"), ["--gain 0", "above 0"]),
        ("pacbed", "pattern", (), ["energy", "--energy-keV"]),
        ("pacbed", "pattern", ("--energy-keV", "200"), ["semi-angle", "--semiangle-mrad"]),
        ("haadf", "image", STO, ["semi-angle", "--semiangle-mrad"]),
        ("haadf", "image", (*STO, "--semiangle-mrad", "20"), ["detector", "--detector-mrad"]),
        ("haadf", "image", (*STO, "--semiangle-mrad", "20", "--detector-mrad", "70"), ["--detector-mrad 70"]),
        ("haadf", "image", ("--c10-change-nm", "1", "--c10-change-nm", "2"), ["--c10-change-nm", "2 are given for 1"]),
        ("film", "image", ("--semiangle-mrad", "30"), ["4D-STEM"]),
        ("film", "scan", ("--energy-keV", "200", "--semiangle-mrad", "30", "--error", "C99=2"), ["C99", "C12.a"]),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_named_with_its_cure(files, capsys, kind, file, options, words):
    out, figure = files[file].with_name("result.json"), files[file].with_name("result.png")
    message = refused(capsys, kind, files[file], *options, "--out", out, "--figure", figure)
    for word in words:
        assert word in message
    assert not out.exists()
    assert not figure.exists()
    assert not list(out.parent.glob("*.draft"))


def test_counts_of_which_nothing_is_known_need_a_gain(tmp_path, capsys):
    sides = (SIDE, SIDE, ANGLE, ANGLE)
    counts = np.broadcast_to(1.0 + np.arange(16.0), (8, 8, 16, 16))
    file = stored(tmp_path / "scan.hspy", counts, sides, unit="counts")
    assert "--gain, counts per electron" in refused(capsys, "rotation", file)
    assert (
        run(["measure", "rotation", str(file), "--gain", "1"]) == DISAGREES
    )  # every pattern alike: nothing is determined
    assert "undetermined" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--out", "--figure"])
def test_a_file_in_the_way_is_left_as_it_is(files, capsys, option):
    existing = files["image"].with_name("there.png")
    existing.write_text("mine")
    assert "exists already" in refused(capsys, "lattice", files["image"], *STO, option, existing)
    assert existing.read_text() == "mine"
    assert "is not a folder" in refused(
        capsys, "lattice", files["image"], *STO, option, existing.parent / "no" / "a.svg"
    )
    assert "neither .png nor .svg" in refused(
        capsys, "disk", files["pattern"], "--figure", existing.with_suffix(".jpg")
    )


def test_invalid_files(tmp_path, capsys):
    (tmp_path / "empty.hspy").touch()
    (tmp_path / "text.hspy").write_text("these are no bytes of HDF5")
    (tmp_path / "text.txt").write_text("1 2 3")
    (tmp_path / "folder.zarr").mkdir()
    assert "cannot be opened" in refused(capsys, "disk", tmp_path / "nowhere.dm3")
    assert "is empty" in refused(capsys, "disk", tmp_path / "empty.hspy")
    assert "does not begin as a HyperSpy file" in refused(capsys, "disk", tmp_path / "text.hspy")
    assert "'.txt'" in refused(capsys, "disk", tmp_path / "text.txt")
    assert "emtwin simulate" in refused(capsys, "disk", tmp_path / "folder.zarr")


def test_a_store_that_was_damaged(tmp_path, capsys):
    file = stored(tmp_path / "pattern.zarr", pattern(3, crystal=0.0).counts, (ANGLE, ANGLE))
    whole = json.loads((file / "data" / "zarr.json").read_text())
    for key, value, word in (
        ("shape", [10**7, 10**7], "unpacks to"),
        ("shape", [64, 64, 64], "axes"),
        ("attributes", {}, "axes"),
        ("data_type", "string", "cannot be read"),
    ):
        (file / "data" / "zarr.json").write_text(json.dumps({**whole, key: value}))
        assert "pattern.zarr" in (message := refused(capsys, "disk", file))
        assert word in message or "cannot be read" in message
    (file / "data" / "zarr.json").write_text(json.dumps(whole))
    chunk = next(path for path in (file / "data" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(b"no chunk at all")
    assert "cannot be unpacked" in refused(capsys, "disk", file)


def test_errors_are_one_object_under_json(files, capsys):
    assert run(["measure", "lattice", str(files["bare"]), *STO, "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {
        "input": str(files["bare"]), "problem": "does not say how large its pixels are", "cure": "Add --pixel-angstrom.",
    }  # fmt: skip
    assert run(["measure", "no-such-kind", "--json"]) == BAD_INPUT
    assert "error" in json.loads(capsys.readouterr().out)


def test_waves_at_the_highest_frequency_are_no_lattice_of_columns(tmp_path, capsys):
    y, x = np.mgrid[:64, :64]
    counts = np.random.default_rng(4).poisson(
        200.0 * (1.0 + 0.4 * np.cos(2.0 * np.pi * 0.46 * x) + 0.4 * np.cos(2.0 * np.pi * 0.46 * y))
    )
    file = stored(tmp_path / "coarse.zarr", counts.astype(float), (("angstrom", 1.8), ("angstrom", 1.8)))
    assert run(["measure", "lattice", str(file), *STO]) == DISAGREES
    assert "disagrees" in capsys.readouterr().out
    # as (110), folded, they would be of pixels that are 17 % smaller than stated
    assert run(["measure", "lattice", str(file), *STO, "--pixel-error-percent", "5"]) == DISAGREES
    said = capsys.readouterr().out
    assert "the model does not fit" in said
    assert "with pixels of 1.491 angstrom it would" in said
