"""Bad input of every kind of measurement, from Python and at the command line: named, with what is wrong and the cure, before anything is computed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from ase import Atoms

from instrument.readers import close_reader
from reconstruct import measure
from reconstruct.api.measure import KindName
from scenarios.cli.main import BAD_INPUT, run
from tests.scenarios.measured import stored
from tests.synthetic.disks import pattern
from twin import Sample
from twin.errors import BadInput

KNOWN: dict[KindName, dict[str, Any]] = {
    "lattice": {"structure": "SrTiO3", "pixel": 0.2},
    "thon": {"pixel": 0.8, "energy": 200e3, "spherical": 0.0},
    "haadf": {
        "structure": "SrTiO3", "pixel": 0.28, "energy": 200e3, "semiangle": 21e-3, "detector": (70e-3, 140e-3), "thickness": 78.1, "dose": 1e5, "dwell": 1e-5,
        "gain": 50.0,
    },
    "disk": {"pixel": 1e-3, "gain": 1.0},
    "rotation": {"pixel": 1e-3, "step": 0.4, "gain": 1.0},
    "pacbed": {"structure": "SrTiO3", "pixel": 1.5e-3, "energy": 200e3, "semiangle": 20e-3, "gain": 1.0},
    "film": {"pixel": 2e-3, "step": 2.0, "energy": 200e3, "semiangle": 20e-3, "gain": 1.0},
}  # fmt: skip
OPTIONS: dict[KindName, tuple[str, ...]] = {
    "lattice": ("--structure", "SrTiO3"),
    "thon": ("--energy-keV", "200", "--cs-mm", "0"),
    "haadf": (
        "--structure", "SrTiO3", "--energy-keV", "200", "--semiangle-mrad", "21", "--detector-mrad", "70,140", "--thickness-nm", "7.8", "--dose", "1e5",
        "--dwell-us", "10", "--gain", "50",
    ),
    "disk": ("--gain", "1"),
    "rotation": ("--gain", "1"),
    "pacbed": ("--structure", "SrTiO3", "--energy-keV", "200", "--semiangle-mrad", "20", "--gain", "1"),
    "film": ("--energy-keV", "200", "--semiangle-mrad", "20", "--gain", "1"),
}  # fmt: skip
SCANS, CRYSTALS, PATTERNS = ("rotation", "film"), ("lattice", "haadf", "pacbed"), ("disk", "rotation", "pacbed", "film")


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def usual(kind: str, *size: int) -> np.ndarray:
    """Counts of the shape that a kind takes."""
    size = size or ((32, 32) if kind in SCANS else (64, 64))
    return np.random.default_rng(0).poisson(40.0, (*((8, 8) if kind in SCANS else ()), *size)).astype(float)


DATA: dict[str, tuple[Callable[[str], Any], str]] = {
    "all NaN": (lambda kind: usual(kind) * np.nan, "no number"),
    "all infinite": (lambda kind: usual(kind) + np.inf, "no number"),
    "a constant": (lambda kind: usual(kind) * 0.0 + 7.0, "all pixels read 7"),
    "zeros": (lambda kind: usual(kind) * 0.0, "all pixels read 0"),
    "the largest of uint16": (lambda kind: np.full(usual(kind).shape, 65535, np.uint16), "read 65535, the largest value of uint16"),
    "most at the largest of uint16": (lambda kind: (65535 * (usual(kind) < 45)).astype(np.uint16), "saturated"),
    "one row": (lambda kind: usual(kind, 1, 256), "1 x 256 pixels"),
    "one column": (lambda kind: usual(kind, 256, 1), "256 x 1 pixels"),
    "100 million pixels": (lambda kind: np.broadcast_to(np.uint16(3), (*usual(kind).shape[:-2], 10_000, 10_000)), "10000 x 10000 pixels|6400000000 values"),
    "complex numbers": (lambda kind: usual(kind) + 1j, "complex"),
    "text": (lambda kind: np.full(usual(kind).shape, "x"), "values of type <U1"),
    "nothing": (lambda kind: usual(kind, 0, 64), "no image, pattern or scan"),
    "a mask": (lambda kind: usual(kind) > 40.0, "mask of true and false"),
    "no array": (lambda kind: None, "NoneType"),
    "a row of numbers": (lambda kind: usual(kind).ravel(), "no image, pattern or scan"),
    "numbers beyond all counts": (lambda kind: usual(kind) * 1e300, "no intensities"),
    "a ragged list": (lambda kind: [[1.0, 2.0], [3.0]], "no image, pattern or scan"),
}  # fmt: skip


def refusal(kind: KindName, data: Any, **known: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        measure(kind, data, **(KNOWN[kind] | known))
    assert caught.value.cure.endswith((".", ")"))
    return caught.value


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("case", DATA)
def test_data_that_cannot_be_measured(kind: KindName, case: str) -> None:
    make, words = DATA[case]
    error = refusal(kind, make(kind))
    assert error.input == "data"
    assert any(word in error.problem for word in words.split("|"))


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize(
    ("name", "image", "problem"),
    [
        ("mask", np.zeros((5, 7)), "5 x 7 pixels and the images"),
        ("mask", None, "hides all pixels"),
        ("mask", "mask.png", "no image"),
        ("dark", np.zeros((5, 7)), "5 x 7 pixels and the images"),
        ("flat", np.ones((5, 7)), "5 x 7 pixels and the images"),
    ],
)
def test_masks_and_references(kind: KindName, name: str, image: Any, problem: str) -> None:
    data = usual(kind)
    error = refusal(kind, data, **{name: np.ones(data.shape[-2:]) if image is None else image})
    assert error.input == name
    assert problem in error.problem


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_of_negative_counts_need_a_dark_level(kind: KindName) -> None:
    error = refusal(kind, -usual(kind))
    assert "counts down to" in error.problem
    assert error.cure.startswith("Give black")
    level = float(error.cure.split("about ")[1].split()[0])
    assert -60.0 < level < -30.0


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        *((kind, 1e3) for kind in ("thon", "disk", "rotation", "pacbed", "film")),
        *((kind, 1e-3) for kind in ("lattice", "thon", "haadf", "pacbed", "film")),
    ],
)
def test_a_pixel_a_thousand_times_off(kind: KindName, factor: float) -> None:
    error = refusal(kind, usual(kind), pixel=factor * KNOWN[kind]["pixel"])
    assert "pixel" in error.input + error.problem + error.cure


def test_a_pixel_that_leaves_no_lattice_or_no_lens() -> None:
    lattice = measure("lattice", usual("lattice"), structure="SrTiO3", pixel=200.0)
    assert lattice.outcome == "undetermined"
    assert all("undersampled" in reason and "pixel" in reason for reason in lattice.undetermined.values())
    disk = measure("disk", pattern(3, crystal=0.0).counts, pixel=1e-6, gain=1.0)
    assert not disk.agrees
    assert "beyond what a convergence semi-angle has" in disk.disagreements[0]
    assert "unit of pixel" in disk.disagreements[0]


@pytest.mark.parametrize("kind", ["haadf", "pacbed"])
def test_electrons_too_slow_for_multislice(kind: KindName) -> None:
    error = refusal(kind, usual(kind), energy=5e3)
    assert error.input == "energy"
    assert "at least 20 keV" in error.cure


@pytest.mark.parametrize("kind", ["thon", "haadf", "pacbed", "film"])
def test_an_energy_in_another_unit(kind: KindName) -> None:
    error = refusal(kind, usual(kind), energy=200.0)
    assert error.input == "energy = 200"
    assert "200000" in error.cure or "2e+05" in error.cure


@pytest.mark.parametrize("kind", CRYSTALS)
def test_structures_without_a_lattice_in_the_projection(kind: KindName) -> None:
    error = refusal(kind, usual(kind), zone=(7, 11, 13))
    assert "no lattice" in error.problem
    assert "low indices" in error.cure
    box = Sample.from_atoms(Atoms("Au", positions=[[100.0, 100.0, 2.0]], cell=[200.0, 200.0, 4.0], pbc=True), "box")
    if kind == "lattice":
        result = measure(kind, usual(kind), structure=box, pixel=0.2)
        assert result.outcome == "undetermined"
        assert all("periods of the lattice, of which at least 3" in reason for reason in result.undetermined.values())
    else:
        assert "200 x 200 angstrom" in refusal(kind, usual(kind), structure=box).problem


def test_lazy_arrays_are_refused_before_they_fill_the_memory() -> None:
    dask = pytest.importorskip("dask.array")
    error = refusal("pacbed", dask.zeros((512, 512, 128, 128), dtype=np.float32))
    assert "17179869184 bytes" in error.problem
    assert "part that is measured" in error.cure


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.slow
def test_at_the_command_line(kind: KindName, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same from files: exit code 2, one JSON object, no traceback."""
    data = usual(kind)
    np.save(tmp_path / "mask.npy", np.ones(data.shape[-2:]))
    np.save(tmp_path / "dark.npy", np.ones((5, 7)))
    side = ("mrad" if kind in PATTERNS else "angstrom", 1.0)
    sides = (("angstrom", 0.4), ("angstrom", 0.4), side, side)[-data.ndim :]

    def file(name: str, values: np.ndarray) -> Path:
        return stored(tmp_path / f"{name}.zarr", values, sides)

    good = file("good", data)
    for path, more, words in (
        (file("nan", data * np.nan), (), "no number"),
        (file("full", np.full(data.shape, 65535, np.uint16)), (), "largest value of uint16"),
        (file("row", data[..., :1, :]), (), "1 x"),
        (good, ("--mask", tmp_path / "mask.npy"), "hides all pixels"),
        (good, ("--dark", tmp_path / "dark.npy"), "5 x 7 pixels and the images"),
    ):
        assert run(["measure", kind, str(path), *OPTIONS[kind], *map(str, more), "--json"]) == BAD_INPUT
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        error = json.loads(captured.out)["error"]
        assert words in error["problem"]
        assert error["cure"]
        assert error["input"] == (str(more[0]) if more else str(path))


def test_a_large_file_is_binned_in_strips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """17 million recorded pixels: refused as they are, with the cure, and taken binned."""
    image = np.random.default_rng(1).integers(0, 9, (4200, 4100), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "large.tif", image, compression=None)
    words = ["measure", "disk", str(tmp_path / "large.tif"), "--pixel-mrad", "0.01"]
    assert run([*words, "--json"]) == BAD_INPUT
    assert "Bin them" in json.loads(capsys.readouterr().out)["error"]["cure"]
    assert run([*words, "--bin", "32", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "undetermined"
