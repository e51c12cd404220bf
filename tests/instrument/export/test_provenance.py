"""W3C PROV and RO-Crate: who made what, what was derived from what, which claims are invalid; checksums that fit."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from instrument.export import Record, Verdict, write
from instrument.export.formats import MissingExtra, check
from instrument.export.record import ExportError
from tests.instrument.export import made

ROCRATE = "EMTWIN_ROCRATE"
"""Environment variable with the python of an environment in which roc-validator is installed: `python -m tests.checkers FOLDER` makes one."""


@pytest.fixture
def crated(tmp_path: Path) -> tuple[Record, Path]:
    """A record of a file that exists, and where its crate will be."""
    file = tmp_path / "in" / "one.dm3"
    file.parent.mkdir()
    file.write_bytes(b"pixels")
    digest = hashlib.sha256(b"pixels").hexdigest()
    return made.record(
        made.recording(made.signals()["image"], sha256=digest), base=str(file.parent)
    ), tmp_path / "crate"


def relations(path: Path, kind: str, *keys: str) -> set[tuple[str, ...]]:
    content = json.loads(path.read_text())
    return {tuple(item.get(f"prov:{key}", "") for key in keys) for item in content.get(kind, {}).values()}


def test_prov_tells_what_comes_from_what(tmp_path: Path) -> None:
    pytest.importorskip("prov", reason="the extra [export] is not installed")
    out = tmp_path / "out.json"
    write(made.record(made.recording(made.signals()["image"])), "prov", out)
    judge, recorded = "emtwin:activity-validation", "emtwin:recording-file_0"
    assert relations(out, "wasGeneratedBy", "entity", "activity") >= {(recorded, "emtwin:activity-acquisition")}
    assert relations(out, "used", "activity", "entity") >= {(judge, recorded), (judge, "emtwin:claim-file_0-pixel_x-0")}
    derived = relations(out, "wasDerivedFrom", "generatedEntity", "usedEntity")
    assert ("emtwin:verdict-file_0-pixel_x", "emtwin:evidence-file_0-lattice") in derived
    assert ("emtwin:suggested-file_0-pixel_x", "emtwin:claim-file_0-pixel_x-0") in derived
    assert ("emtwin:claim-file_0-pixel_x-0", recorded) in derived
    invalid = {entity for (entity,) in relations(out, "wasInvalidatedBy", "entity")}
    assert invalid == {
        f"emtwin:claim-file_0-{name}-0" for name in ("pixel_x", "convergence_semiangle", "camera_length")
    }
    entity = json.loads(out.read_text())["entity"]["emtwin:claim-file_0-high_tension-0"]
    assert entity["emtwin:term"] == {"$": "emg:EMG_00000004", "type": "xsd:QName"}


def test_prov_is_read_by_its_library(tmp_path: Path) -> None:
    model = pytest.importorskip("prov.model", reason="the extra [export] is not installed")
    record = made.record(*(made.recording(signal, name) for name, signal in made.signals().items()))
    write(record, "prov", tmp_path / "out.json")
    write(record, "prov", tmp_path / "out.provn")
    again = model.ProvDocument.deserialize(str(tmp_path / "out.json"))
    assert len(list(again.get_records())) > 10 * len(record.recordings)
    text = (tmp_path / "out.provn").read_text()
    assert text.startswith("document")
    assert "wasInvalidatedBy(emtwin:claim-image-pixel_x-0, emtwin:activity-validation" in text


def test_a_crate_has_files_checksums_and_the_prov(crated: tuple[Record, Path]) -> None:
    pytest.importorskip("rocrate", reason="the extra [export] is not installed")
    record, out = crated
    write(record, "rocrate", out)
    graph = {item["@id"]: item for item in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}
    assert graph["ro-crate-metadata.json"]["conformsTo"]["@id"] == "https://w3id.org/ro/crate/1.1"
    parts = {item["@id"] for item in graph["./"]["hasPart"]}
    assert parts == {"one.dm3", "provenance.json", "provenance.provn", "verdicts/file_0.json"}
    for name in parts:
        content = (out / name).read_bytes()
        assert graph[name]["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert graph[name]["contentSize"] == str(len(content)), name
    claim = graph["#claim-file_0-high_tension"]
    assert claim["value"] == 200_000.0
    assert claim["unitText"] == "volt"
    assert claim["propertyID"].endswith("/EMG_00000004")
    assert graph["#validation-validation"]["object"]["@id"] == "one.dm3"
    verdict = json.loads((out / "verdicts/file_0.json").read_text())["recordings"][0]["fields"]["pixel.x"]
    assert (verdict["status"], verdict["suggested"], verdict["evidence"]) == (
        "disagrees",
        made.RIGHT_PIXEL,
        ["lattice"],
    )


@pytest.mark.skipif(
    ROCRATE not in os.environ,
    reason=f"{ROCRATE} names no python with roc-validator: python -m tests.checkers FOLDER makes it",
)
@pytest.mark.slow
def test_the_validator_of_crates_has_no_complaint(crated: tuple[Record, Path]) -> None:
    record, out = crated
    write(record, "rocrate", out)
    script = Path(__file__).parents[2] / "checkers" / "crate.py"
    done = subprocess.run([os.environ[ROCRATE], script, out], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["valid"]), done.stdout + done.stderr


def test_a_missing_library_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for to, out in (("prov", "a.json"), ("rocrate", "a")):
        with pytest.raises(MissingExtra) as caught:
            check(to, Path(out))
        assert "pip install 'emtwin[export]'" in caught.value.cure


@pytest.mark.parametrize(
    ("to", "out", "problem"),
    [("tiff", "a.tif", "no format"), ("nxem", "a.h5", "ends in .h5"), ("rocrate", "a.zip", "ends in .zip"), ("hspy", "a.zspy", "ends in .zspy")],
)  # fmt: skip
def test_wrong_names_are_refused(to: str, out: str, problem: str) -> None:
    with pytest.raises(ExportError, match=problem):
        check(to, Path(out))


def test_a_verdict_rests_on_evidence_that_is_there() -> None:
    recording = made.recording(made.signals()["image"])
    verdict = Verdict("C10", "agrees", evidence=("nothing",))
    with pytest.raises(ValueError, match="not there: nothing"):
        type(recording)("a", "a", verdicts=(verdict,))
