"""Bad input of `emtwin validate`: exit codes, messages, nothing written."""

import json
from pathlib import Path

import numpy as np
import pytest

from scenarios.cli.main import run


def outcome(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict]:
    code = run(["validate", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    import tifffile

    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.random.default_rng(0).poisson(9.0, (40, 40)).astype(np.uint16))
    return path


@pytest.mark.smoke
def test_a_file_without_metadata_has_nothing_to_disagree(image: Path, capsys: pytest.CaptureFixture[str]):
    code, result = outcome(capsys, image)
    assert code == 0
    assert result["files"][0]["status"] == "agrees"
    assert result["files"][0]["recordings"][0]["verdicts"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.tif"], "is not there"), (["{image}", "--false-alarms-percent", "0"], "is no rate"), (["{image}", "--zone", "0,0,1"], "is of no specimen"),
        (["{image}", "--columns", "{image}"], "is of no log"), (["{image}", "--cs-mm", "900"], "is none of a lens"),
        (["{image}", "--duration", "5"], "is no time to follow for"), (["{image}", "--out", "page.pdf"], "is no .html"),
        (["{image}", "--cell-error-percent", "nan"], "is no rate"),
    ],
)  # fmt: skip
def test_wrong_options(image: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]):
    code, result = outcome(capsys, *(word.format(image=image) for word in arguments))
    assert code == 2
    assert words in result["error"]["problem"]
    assert result["error"]["cure"]


@pytest.mark.slow
def test_only_where_nothing_could_be_read_the_code_is_2(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("cut.tif", "foreign.dm3", "empty.emd"):
        (tmp_path / name).write_bytes(
            {"cut.tif": image.read_bytes()[:100], "foreign.dm3": b"hello", "empty.emd": b""}[name]
        )
    code, result = outcome(capsys, tmp_path / "cut.tif", tmp_path / "foreign.dm3")
    assert code == 2
    assert "all 2 files" in result["error"]["input"]
    code, result = outcome(capsys, tmp_path)
    assert code == 1, "three files have no verdict"
    assert [item["status"] for item in result["files"]].count("unreadable") == 3
    assert all(item["problem"] and item["cure"] for item in result["files"] if item["status"] == "unreadable")


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, result = outcome(capsys, tmp_path)
    assert code == 2
    assert "holds no file" in result["error"]["problem"]


def test_a_specimen_that_is_none(image: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    from tests.benchmarks.validate.folder import write_recording
    from tests.benchmarks.validate.recordings.images import image as made

    path = tmp_path / "lattice.hspy"
    write_recording(made(0), path)
    code, result = outcome(capsys, path, "--specimen", "Unobtainium")
    assert code == 2
    assert "Unobtainium" in json.dumps(result["error"])


def test_a_structure_that_does_not_fit_the_image(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    from tests.benchmarks.validate.folder import write_recording
    from tests.benchmarks.validate.recordings.images import image as made

    path = tmp_path / "lattice.hspy"
    write_recording(made(1), path)
    code, result = outcome(capsys, path, "--specimen", "SrTiO3")
    verdicts = {item["field"]: item for item in result["files"][0]["recordings"][0]["verdicts"]}
    assert code == 0
    assert verdicts["pixel.x"]["status"] == "unverifiable"
    assert "SrTiO3" in verdicts["pixel.x"]["words"]


def test_an_existing_page_is_not_overwritten(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "page.html"
    page.write_text("mine")
    code, _ = outcome(capsys, image, "--out", page)
    assert code == 2
    assert page.read_text() == "mine"
