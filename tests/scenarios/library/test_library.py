"""``emtwin library``: sessions and files come in once, the nearest are told with why, and what cannot be read is named."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from scenarios.cli.main import BAD_INPUT, DONE, run
from scenarios.io.errors import BadInput
from scenarios.library.job import add, like, listed, remove
from scenarios.library.reading import record_of_signal, records_of
from scenarios.library.record import Record
from scenarios.library.specimen import elements_of, specimen_of
from scenarios.library.store import Library, library_file
from tests.scenarios.export.made import session
from twin.records import Axis, Claim, Signal

ROOT = Path(__file__).resolve().parents[3]
SIMULATION = """
name = "small"
kind = "simulate"
signal = "cbed"
[specimen]
structure = "MgO"
zone = [0, 0, 1]
thickness = 30
size = [8, 8]
[beam]
energy_keV = 80
semiangle_mrad = 15
[detectors.camera]
kind = "pixelated"
reach_mrad = 30
[grid]
sampling = 0.2
"""


@pytest.fixture(autouse=True)
def _own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMTWIN_LIBRARY", str(tmp_path / "library.db"))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pattern of MgO at 80 kV, written by the job itself."""
    folder = tmp_path_factory.mktemp("simulated")
    (folder / "small.toml").write_text(SIMULATION)
    assert run(["simulate", str(folder / "small.toml"), "--out", str(folder / "small.zarr")]) == DONE
    return folder / "small.zarr"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit code and object of a command under ``--json``."""
    capsys.readouterr()
    code = run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def finished(folder: Path, **result: float) -> Path:
    """A session that ended with a result."""
    session(folder, 0.0, 10.0)
    with Journal.open(folder, write=True) as journal:
        journal.append("result", result, 1_767_600_100_000_000_000)
    return folder


def test_a_session_comes_in_with_specimen_settings_dose_and_errors(tmp_path: Path):
    folder = finished(tmp_path / "night", r2=0.91, coverage90=0.88, dose_spent=4e6, requests=2.0)
    (record,) = records_of(folder)
    assert (record.kind, record.structure, record.elements) == ("session", "SrTiO3", ("O", "Sr", "Ti"))
    assert record.technique == "stem-haadf"
    assert record.settings["energy"] == 200_000.0
    assert record.settings["semiangle"] == 0.0214
    assert record.electrons == 4e6
    assert record.reached == {"r2": 0.91, "coverage90": 0.88}


def test_a_simulated_file_comes_in_with_what_it_was_made_from(simulated: Path):
    (record,) = records_of(simulated)
    assert (record.kind, record.technique) == ("simulation", "cbed")
    assert (record.structure, record.elements) == ("MgO", ("Mg", "O"))
    assert record.settings["energy"] == pytest.approx(80_000.0)
    assert record.settings["semiangle"] == pytest.approx(15e-3)
    assert record.settings["thickness"] == pytest.approx(30.0, abs=2.2)


def test_a_recording_of_a_microscope_comes_in_with_its_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    claims = {
        "high_tension": Claim(200e3, "electronvolt", "HT"), "detector.inner": Claim(0.055, "radian", "inner"), "dwell": Claim(2e-6, "second", "dwell"),
        "dose": Claim(1e3, "electrons/angstrom^2", "dose"),
    }  # fmt: skip
    axes = (Axis("y", 4, 0.5, 0.0, "angstrom"), Axis("x", 5, 0.5, 0.0, "angstrom"))
    signal = Signal(np.ones((4, 5), np.float32), axes, "image", "a scan", "", "", claims)
    monkeypatch.setattr("scenarios.library.reading.read_vendor", lambda path: [signal])
    (tmp_path / "scan.dm4").write_bytes(b"scan")
    (record,) = records_of(tmp_path / "scan.dm4", specimen_of("BaTiO3"))
    assert (record.kind, record.technique, record.dose) == ("recording", "stem-haadf", 1e3)
    assert record.elements == ("Ba", "O", "Ti")
    assert record.settings == {"energy": 200e3, "inner": 0.055, "dwell": 2e-6, "shape": [4, 5]}
    assert record.electrons == pytest.approx(1e3 * 2.0 * 2.5)


def test_what_is_known_comes_in_once_also_from_a_copy(tmp_path: Path, simulated: Path):
    folder = finished(tmp_path / "night", r2=0.9)
    assert add([folder, simulated])["added"] == 2
    again = add([folder, simulated, shutil.copytree(folder, tmp_path / "copy")])
    assert (again["added"], again["updated"], again["known"], again["records"]) == (0, 0, 3, 2)


def test_a_session_that_went_on_is_updated_in_its_place(tmp_path: Path):
    folder = session(tmp_path / "night", 0.0)
    add([folder])
    with Journal.open(folder, write=True) as journal:
        journal.append("result", {"r2": 0.7}, 1_767_600_100_000_000_000)
    assert add([folder])["updated"] == 1
    (record,) = listed()["records"]
    assert (record["id"], record["reached"]) == (1, {"r2": 0.7})


def test_files_that_cannot_be_read_are_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, text = session(tmp_path / "night", 0.0), tmp_path / "notes.txt"
    text.write_text("notes")
    broken = tmp_path / "broken.dm4"
    broken.write_bytes(b"\0" * 100)
    assert run(["library", "add", str(text), str(folder), str(broken), str(tmp_path / "nothing.emd")]) == DONE
    told = capsys.readouterr()
    assert "1 added" in told.out
    assert all(name in told.err for name in ("notes.txt", "broken.dm4", "nothing.emd"))
    assert "Traceback" not in told.err
    code, done = printed(capsys, "library", "add", folder, text)
    assert (code, done["known"], len(done["skipped"])) == (DONE, 1, 1)


def test_where_nothing_can_be_read_it_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text = tmp_path / "notes.txt"
    text.write_text("notes")
    code, done = printed(capsys, "library", "add", text, tmp_path / "nothing.emd")
    assert code == BAD_INPUT
    assert done["error"]["input"] == str(text)
    assert "1 other" in done["error"]["problem"]
    damaged = session(tmp_path / "night", 0.0)
    with sqlite3.connect(damaged / "journal.db") as database:
        database.execute("DROP TRIGGER rows_keep")
        database.execute("UPDATE rows SET payload = '{\"a\": 1}' WHERE id = 2")
    database.close()
    code, done = printed(capsys, "library", "add", damaged)
    assert code == BAD_INPUT
    assert done["error"]["input"] == str(damaged)


def test_two_processes_add_at_the_same_time(tmp_path: Path):
    program = """
import sys
from pathlib import Path
from scenarios.library.record import Record
from scenarios.library.store import Library
for number in range(40):
    with Library(Path(sys.argv[1]), create=True) as library:
        library.add([Record(kind="session", name="", path="", identity=f"{sys.argv[2]}{number}", digest="")] +
                    [Record(kind="session", name="", path="", identity=f"both{number}", digest="")])
"""
    path = tmp_path / "together.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), name], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    for writer in writers:
        _, told = writer.communicate(timeout=120)
        assert writer.returncode == 0, told
    with Library(path) as library:
        identities = [record.identity for record in library.records()]
    assert len(identities) == len(set(identities)) == 120


def test_recordings_of_a_file_come_in_all_or_none(tmp_path: Path):
    good = Record(kind="recording", name="", path="", identity="file", digest="1")
    wrong = Record(kind="recording", name="", path="", identity="file", digest="1", part=1, settings={"a": object()})
    with Library(tmp_path / "library.db", create=True) as library:
        with pytest.raises(TypeError):
            library.add([good, wrong])
        assert library.records() == []


def test_records_are_removed_by_number_all_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    add([session(tmp_path / "a", 0.0), session(tmp_path / "b", 1.0)])
    code, done = printed(capsys, "library", "remove", "1", "7")
    assert (code, done["error"]["input"]) == (BAD_INPUT, "7")
    assert len(listed()["records"]) == 2
    assert remove([1])["records"] == 1
    add([session(tmp_path / "c", 2.0)])
    assert [record["id"] for record in listed()["records"]] == [2, 3], "a number is not given twice"


def test_a_question_finds_its_specimen_and_technique_first(tmp_path: Path, simulated: Path):
    add([simulated, session(tmp_path / "night", 0.0)])
    first, second = like("la-in-srtio3")["matches"]
    assert first["name"] == "night"
    assert first["distance"] < 0.5 * second["distance"]
    assert "same technique, stem-haadf" in first["why"]
    assert "same structure, SrTiO3" in first["why"]
    assert any(words.startswith("O of Mg, O, Sr, Ti") for words in second["why"])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["scenario", "recording", "session", "preset"])
def test_what_is_looked_for_may_be_any_of_these(tmp_path: Path, simulated: Path, form: str):
    folder = session(tmp_path / "night", 0.0)
    add([simulated, folder])
    name = {
        "scenario": simulated.with_suffix(".toml"),
        "recording": simulated,
        "session": folder,
        "preset": ROOT / "scenarios/presets/tune-and-map.toml",
    }[form]
    nearest = like(str(name), count=1)["matches"][0]
    assert nearest["name"] == ("small" if form in ("scenario", "recording") else "night")
    if form in ("recording", "session"):
        assert nearest["distance"] == 0.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "cannot be read as TOML"),
        ('name = "a"', "states neither"),
        ('[specimen]\nstructure = "Unobtainium"', "neither built in"),
        ('kind = "detect"\nname = "a"', "specimen"),
    ],
)
def test_a_question_that_states_nothing_is_bad_input(tmp_path: Path, text: str, problem: str):
    (tmp_path / "question.toml").write_text(text)
    with pytest.raises(BadInput, match=problem):
        like(str(tmp_path / "question.toml"))


def test_a_plan_is_kept_beside_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = session(tmp_path / "night", 0.0)
    option = {"name": "HAADF", "dose": 1e4, "powers": [0.1, 0.9, 1.0]}
    plan = {"best": "HAADF", "doses": [1e3, 1e4, 1e5], "options": [{"name": "ADF", "dose": 1e5, "powers": []}, option]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "reached.json").write_text('{"detected": 1}')
    assert printed(capsys, "library", "add", folder, "--planned", tmp_path / "plan.json")[1]["added"] == 1
    assert printed(capsys, "library", "add", folder, "--reached", tmp_path / "reached.json")[1]["updated"] == 1
    assert printed(capsys, "library", "add", folder)[1]["known"] == 1, "plan and outcome stay"
    (record,) = listed()["records"]
    assert record["planned"] == pytest.approx({"dose": 1e4, "power": 0.9})
    assert record["reached"] == {"detected": 1.0}
    assert like("la-in-srtio3")["held"]["power"]["count"] == 1
    assert run(["library", "list"]) == DONE
    assert "plans held: power 1.00 for 0.90 predicted over 1" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"power": "high"}', '{"options": []}', '{"other": 1}'])
def test_a_plan_without_numbers_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str):
    (tmp_path / "plan.json").write_text(text)
    folder = session(tmp_path / "night", 0.0)
    code, done = printed(capsys, "library", "add", folder, "--planned", tmp_path / "plan.json")
    assert (code, done["error"]["input"]) == (BAD_INPUT, str(tmp_path / "plan.json"))


def test_a_plan_is_of_one_recording(tmp_path: Path):
    with pytest.raises(BadInput, match="one recording"):
        add([session(tmp_path / "a", 0.0), session(tmp_path / "b", 0.0)], planned={"power": 0.9})


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other, text, folder = tmp_path / "other.db", tmp_path / "text.db", session(tmp_path / "night", 0.0)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    text.write_text("this is no database, however one looks at it" * 30)
    for path in (other, text, folder):
        before = path.read_bytes() if path.is_file() else None
        code, done = printed(capsys, "library", "add", folder, "--library", path)
        assert (code, done["error"]["input"]) == (BAD_INPUT, str(path))
        assert (path.read_bytes() if path.is_file() else None) == before
    code, done = printed(capsys, "library", "list")
    assert (code, done["error"]["problem"]) == (BAD_INPUT, "there is no library")


def test_the_file_is_named_or_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert library_file() == tmp_path / "library.db"
    monkeypatch.delenv("EMTWIN_LIBRARY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert library_file() == tmp_path / "data" / "emtwin" / "library.db"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert library_file().parts[-4:] == (".local", "share", "emtwin", "library.db")


def test_terminal_output_has_numbers_distances_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    add([session(tmp_path / "night", 0.0)])
    assert run(["library", "like", "la-in-srtio3"]) == DONE
    told = capsys.readouterr().out
    assert "distance" in told
    assert "1: same technique, stem-haadf; same structure, SrTiO3; dose not known" in told
    assert run(["library", "remove", "1"]) == DONE
    assert run(["library", "like", "la-in-srtio3"]) == DONE
    assert "is empty" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("formula", "elements"),
    [
        ("SrTiO3", ("O", "Sr", "Ti")),
        ("Ca(OH)2", ("Ca", "H", "O")),
        ("La0.7 Sr0.3 MnO3", ("La", "Mn", "O", "Sr")),
        ("protein", ()),
        ("Xx2", ()),
        ("", ()),
    ],
)
def test_elements_of_formulas(formula: str, elements: tuple[str, ...]):
    assert elements_of(formula) == elements


def test_a_replay_is_a_map_of_spectra_of_its_host(tmp_path: Path):
    scenario = {"kind": "replay", "name": "replay", "quantity": "Ti L", "host": {"structure": "SrTiO3"}}
    with Journal.create(tmp_path / "replay") as journal:
        journal.append("scenario", {"scenario": scenario, "seed": 0, "start": 0}, 0)
        journal.append("result", {"r2": 0.85, "uncertainty": 0.3}, 1)
    (record,) = records_of(tmp_path / "replay")
    assert (record.technique, record.elements, record.electrons) == ("stem-eels", ("O", "Sr", "Ti"), None)
    assert record.reached == {"r2": 0.85, "uncertainty": 0.3}


ANGSTROMS, NO_CLAIMS = (Axis("y", 4, 0.5, 0.0, "angstrom"), Axis("x", 5, 0.5, 0.0, "angstrom")), dict[str, Claim]()
LOSSES, X_RAYS = Axis("energy", 100, 1.0, 300.0, "electronvolt"), Axis("energy", 1000, 10.0, -200.0, "electronvolt")
SPATIAL = Axis("k", 5, 0.1, 0.0, "1/angstrom")


@pytest.mark.parametrize(
    ("technique", "kind", "axes", "title", "claims"),
    [
        ("stem-haadf", "image", ANGSTROMS, "06-HAADF", NO_CLAIMS),
        ("stem", "image", ANGSTROMS, "", {"dwell": Claim(1e-6, "second", "")}),
        ("stem", "image", ANGSTROMS, "", {"detector.inner": Claim(0.01, "radian", "")}),
        ("hrtem", "image", ANGSTROMS, "", {"exposure": Claim(0.4, "second", "")}),
        ("", "image", ANGSTROMS, "", NO_CLAIMS),
        ("diffraction", "image", (SPATIAL, SPATIAL), "", NO_CLAIMS),
        ("4d-stem", "image-stack", (*ANGSTROMS, SPATIAL, SPATIAL), "", NO_CLAIMS),
        ("eels", "spectrum", (LOSSES,), "", NO_CLAIMS),
        ("eds", "spectrum", (LOSSES,), "EDS", NO_CLAIMS),
        ("stem-eels", "spectrum-image", (*ANGSTROMS, LOSSES), "", NO_CLAIMS),
        ("stem-eds", "spectrum-image", (*ANGSTROMS, X_RAYS), "", NO_CLAIMS),
        ("", "spectrum", (SPATIAL,), "", NO_CLAIMS),
    ],
)
def test_the_technique_of_a_recording_is_what_it_says(technique: str, kind: Any, axes: Any, title: str, claims: Any):
    data = np.ones([axis.size for axis in axes], np.float32)
    record = record_of_signal(Signal(data, axes, kind, title, "", "", claims), Path("scan"), "0", 0)
    assert record.technique == technique
