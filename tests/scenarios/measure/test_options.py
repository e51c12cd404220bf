"""``emtwin measure``: every kind takes the same options of its data in the same words, and refuses wrong options and wrong files alike, before it computes."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from instrument.readers import close_reader
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, run
from scenarios.measure.kinds import KINDS
from scenarios.measure.options import Counts, Data, fields_by_option
from tests.scenarios.measured import stored, stored_spectra
from tests.synthetic.disks import pattern

SIDE, ANGLE = ("angstrom", 0.2), ("mrad", 1.0)
IMAGE = np.random.default_rng(0).poisson(20.0, (64, 64)).astype(float)
SCAN = np.random.default_rng(1).poisson(3.0, (8, 8, 16, 16)).astype(float)
PATTERNS = {"disk", "rotation", "pacbed", "film"}
STO = ("--structure", "SrTiO3")
BASE: dict[str, tuple[str, ...]] = {
    "lattice": STO,
    "thon": ("--energy-keV", "200", "--cs-mm", "0"),
    "haadf": (
        *STO, "--energy-keV", "200", "--semiangle-mrad", "20", "--detector-mrad", "70,140", "--thickness-nm", "8", "--dose", "1e4",
        "--dwell-us", "5",
    ),
    "disk": (),
    "rotation": (),
    "pacbed": (*STO, "--energy-keV", "200", "--semiangle-mrad", "5"),
    "film": ("--energy-keV", "200", "--semiangle-mrad", "5"),
    "eels": ("--energy-keV", "200", "--collection-mrad", "30", "--elements", "Ti"),
}  # fmt: skip
"""Options with which each kind has all that it needs."""
LIBRARY_TEXT = re.compile(
    r"zero-size|broadcast|numbered by None|dtype|ndarray|array\(|out of bounds|Traceback|np\.|ValueError|TypeError|\(\d+,( \d+)*\)|object has no|0\.0 mrad"
)
"""Messages of numpy and Python, which do not help a user."""


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files by name: "image" and "scan" are good, and each of the others has one thing wrong."""
    folder = tmp_path_factory.mktemp("files")
    wave, ones = IMAGE.astype(complex), np.ones((16, 16, 3))
    paths = {
        "image": stored(folder / "image.zarr", IMAGE, (SIDE, SIDE)),
        "scan": stored(folder / "scan.zarr", SCAN, (SIDE, SIDE, ANGLE, ANGLE)),
        "spectrum": stored_spectra(folder / "spectrum.hspy", 100.0 + SCAN.reshape(16, 1024)[:, :256], 400.0, 1.0),
        "wave": stored(folder / "wave.zarr", wave, (SIDE, SIDE)),
        "line": stored(folder / "line.zarr", IMAGE[0], (SIDE,)),
        "nan": stored(folder / "nan.zarr", np.full((64, 64), np.nan), (SIDE, SIDE)),
        "nan-pattern": stored(folder / "nan-pattern.zarr", np.full((6, 6, 16, 16), np.nan), (SIDE, SIDE, ANGLE, ANGLE)),
        "tiny": stored(folder / "tiny.zarr", IMAGE[:2, :3], (SIDE, SIDE)),
        "tiny-scan": stored(folder / "tiny-scan.zarr", SCAN[..., :3, :3], (SIDE, SIDE, ANGLE, ANGLE)),
        "stack": stored(folder / "stack.zarr", SCAN[0], (SIDE, SIDE, SIDE)),
        "colour": folder / "colour.tif",
        "screen": folder / "screen.png",
        "text": folder / "text.tif",
        "empty": folder / "empty.emd",
        "absent": folder / "absent.dm3",
    }
    tifffile.imwrite(paths["colour"], ones.astype(np.uint8), photometric="rgb")
    paths["screen"].write_bytes(b"\x89PNG")
    paths["text"].write_text("no image at all")
    paths["empty"].touch()
    return paths


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: object) -> str:
    """The message about bad input: three lines that name it, the problem and the cure, without a library's text; nothing is written."""
    before = sorted(folder.rglob("*"))
    out = [folder / "new.json", folder / "new.png"]
    assert not any(path.exists() for path in out)
    code = run(["measure", *(str(word) for word in words), "--out", str(out[0]), "--figure", str(out[1])])
    captured = capsys.readouterr()
    assert code == BAD_INPUT, captured.err
    assert captured.out == ""
    name, problem, cure = (captured.err.index(part) for part in ("emtwin: ", "  problem: ", "  cure:    "))
    assert name < problem < cure
    assert len(captured.err[cure:].strip()) > 15
    assert not LIBRARY_TEXT.search(captured.err.replace(str(folder), "")), captured.err
    assert sorted(folder.rglob("*")) == before
    return captured.err


WRONG = {"--frame": "x", "--axes": "0,0", "--part": "5:2,0:3", "--signal": "nope", "--bin": "0", "--structure": "no.cif", "--zone": "0,0",
         "--x": "a", "--detector-mrad": "9", "--tilt-mrad": "0", "--expected": "C99=1", "--error": "C10=x",
         "--elements": "Ti,Xx", "--range-eV": "9"}  # fmt: skip
"""What no option of text takes."""


def wrong_options() -> list[tuple[str, str, str]]:
    """Every kind with every option, with a text that it cannot take."""
    cases = []
    for kind in KINDS:
        hints = typing.get_type_hints(KINDS[kind].options, include_extras=True)
        for name, field in fields_by_option(KINDS[kind].options).items():
            type_ = typing.get_args(hints[field.name])[0]
            if name in WRONG:
                cases.append((kind, name, WRONG[name]))
            elif "float" in str(type_):
                cases += [(kind, name, "nan"), (kind, name, "inf"), (kind, name, "much")]
            elif type_ is int:
                cases.append((kind, name, "1.5"))
    return cases


@pytest.mark.parametrize("kind", list(KINDS))
def test_wrong_options_are_refused_by_name(kind, files, capsys) -> None:
    file = files[file_of(kind)]
    needs = {"--detector-pixel-um": ("--camera-length-mm", "100"), "--camera-length-mm": ("--detector-pixel-um", "10")}
    given = dict(zip(BASE[kind][::2], BASE[kind][1::2], strict=True))
    for _, name, value in (case for case in wrong_options() if case[0] == kind):
        rest = {
            key: word for key, word in given.items() if key != name and not (name == "--current-pA" and key == "--dose")
        }
        words = [word for pair in rest.items() for word in pair]
        message = refused(capsys, file.parent, kind, file, *words, *needs.get(name, ()), name, value)
        assert name in message
        assert "No such option" not in message


def file_of(kind: str) -> str:
    """The good file that a kind takes."""
    return "spectrum" if kind == "eels" else "scan" if kind in PATTERNS else "image"


BAD = ("wave", "line", "colour", "screen", "text", "empty", "absent")


@pytest.mark.parametrize("kind", list(KINDS))
def test_wrong_files_are_refused_by_name(kind, files, capsys) -> None:
    names = ("nan-pattern", "tiny-scan", "image") if kind in PATTERNS else ("nan", "tiny", "stack", "scan")
    names = ("image", "scan") if kind == "eels" else (*names, "spectrum")
    for name in (*BAD, *names):
        said = refused(capsys, files[name].parent, kind, files[name], *BASE[kind])
        assert str(files[name]) in said


@pytest.mark.parametrize(
    ("kind", "words", "cure"),
    [
        ("thon", ("--energy-keV", "200000", "--cs-mm", "0"), "--energy-keV 200"),
        ("thon", ("--energy-keV", "200", "--cs-mm", "1200"), "--cs-mm 1.2"),
        ("disk", ("--semiangle-mrad", "0.02"), "--semiangle-mrad 20"),
        ("disk", ("--pixel-mrad", "0.0005"), "--pixel-mrad 0.5"),
        ("disk", ("--camera-length-mm", "0.5", "--detector-pixel-um", "14"), "--camera-length-mm 500"),
        ("disk", ("--camera-length-mm", "500", "--detector-pixel-um", "0.014"), "--detector-pixel-um 14"),
        ("rotation", ("--dark-field-mrad", "0.06"), "--dark-field-mrad 60"),
        ("haadf", (*BASE["haadf"], "--dwell-us", "1e-5"), "--dwell-us 10"),
        ("haadf", (*BASE["haadf"], "--detector-mrad", "0.07,0.14"), "--detector-mrad 140"),
    ],
)
def test_a_number_of_another_unit_is_answered_with_what_was_meant(kind, words, cure, files, capsys) -> None:
    file = files["scan" if kind in PATTERNS else "image"]
    assert f"{cure}." in refused(capsys, file.parent, kind, file, *words)


def test_every_kind_takes_the_options_of_data_in_the_same_words() -> None:
    seen: dict[str, Any] = {}
    for kind in KINDS.values():
        group = Data if issubclass(kind.options, Data) else Counts
        assert issubclass(kind.options, group)
        hints = typing.get_type_hints(kind.options, include_extras=True)
        for field in dataclasses.fields(group):
            assert (
                seen.setdefault(field.name, hints[field.name]) is hints[field.name]
                or seen[field.name] == hints[field.name]
            )
    assert [len(set(fields_by_option(kind.options)) & {"--energy-keV"}) for kind in KINDS.values()] == [
        0,
        1,
        1,
        1,
        1,
        1,
        1,
        1,
    ]


def measured(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The numbers of a measurement as printed under --json, without their provenance."""
    import json

    assert run(["measure", *(str(word) for word in words), "--json"]) in (DONE, DISAGREES)
    result = json.loads(capsys.readouterr().out)
    return json.dumps({key: result[key] for key in ("components", "undetermined", "electrons", "misfit")})


def test_a_dark_level_is_subtracted_and_a_negative_one_added(tmp_path, capsys) -> None:
    counts = pattern(3, crystal=0.0).counts
    clean = stored(tmp_path / "clean.zarr", counts, (ANGLE, ANGLE))
    dark = stored(tmp_path / "dark.zarr", 4.0 * counts + 100.0, (ANGLE, ANGLE), unit="counts")
    low = stored(tmp_path / "low.zarr", counts - 0.5 * counts.max(), (ANGLE, ANGLE))
    expected = measured(capsys, "disk", clean, "--gain", 1)
    assert measured(capsys, "disk", dark, "--black", 100, "--gain", 4) == expected
    message = refused(capsys, tmp_path, "disk", low)
    level = re.search(r"--black, .*about (-[\d.e+]+) here", message)
    assert level is not None
    assert float(level[1]) == pytest.approx(-0.5 * counts.max(), abs=0.02 * counts.max())
    assert measured(capsys, "disk", low, "--black", -0.5 * counts.max(), "--gain", 1) == expected


def test_part_of_a_stack_axes_and_part_of_a_pattern(tmp_path, capsys) -> None:
    counts = pattern(3, crystal=0.0).counts
    expected = measured(capsys, "disk", stored(tmp_path / "one.zarr", counts, (ANGLE, ANGLE)))
    frames = np.stack([np.zeros_like(counts), 0.25 * counts, 0.75 * counts, np.ones_like(counts)])
    stack = stored(tmp_path / "stack.zarr", frames, (("", 1.0), ANGLE, ANGLE))
    assert measured(capsys, "disk", stack, "--frame", "1:3") == expected
    turned = stored(tmp_path / "turned.zarr", np.moveaxis(frames, 0, 2), (ANGLE, ANGLE, ("", 1.0)))
    assert measured(capsys, "disk", turned, "--axes", "2,0,1", "--frame", "1:3") == expected
    framed = stored(tmp_path / "framed.zarr", np.pad(counts, ((3, 5), (7, 0))), (ANGLE, ANGLE))
    height, width = counts.shape
    assert measured(capsys, "disk", framed, "--part", f"3:{3 + height},7:{7 + width}") == expected
