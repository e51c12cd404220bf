"""`emtwin session export`: a session folder or a validation report in every format; bad input; side-cars and corrected copies of validated files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from instrument.export import read_exported
from instrument.export.writers.hyperspy import write_signal
from instrument.readers import read_vendor
from scenarios.cli.main import run
from scenarios.export.job import record_of
from scenarios.export.session import record_of_session
from scenarios.export.sidecar import write_corrected_copy, write_sidecars
from scenarios.export.times import moment, times_of
from scenarios.export.validation import record_of_report
from scenarios.io.errors import BadInput
from tests.instrument.export import made as records
from tests.instrument.export.test_corrected import hspy, state
from tests.scenarios.export import made

Run = Callable[..., tuple[int, dict[str, Any]]]
OUT = {"nxem": "a.nxs", "prov": "a.provn", "rocrate": "a", "hspy": "b", "emd": "a.emd"}


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command; exit code and JSON."""

    def call(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = run(["session", "export", *(str(item) for item in arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return made.session(tmp_path / "session", made.TRUE_FOCUS + 2.0, made.TRUE_FOCUS + 40.0)


@pytest.mark.parametrize("to", list(OUT))
def test_a_session_is_exported(tmp_path: Path, recorded: Path, export: Run, to: str) -> None:
    if to in ("prov", "rocrate"):
        pytest.importorskip(to, reason="the extra [export] is not installed")
    before = state(recorded)
    code, told = export(recorded, "--to", to, "--out", tmp_path / OUT[to])
    assert (code, told["recordings"], told["corrected"]) == (0, 2, 1)
    assert (told["verdicts"]["agrees"], told["verdicts"]["disagrees"]) == (1, 1)
    assert (tmp_path / OUT[to]).exists()
    assert not list(tmp_path.glob(".draft*"))
    assert {name: known for name, known in state(recorded).items() if not name.endswith(("-wal", "-shm"))} == {
        name: known for name, known in before.items() if not name.endswith(("-wal", "-shm"))
    }


def test_frames_come_back_with_the_verdict_on_defocus(tmp_path: Path, recorded: Path, export: Run) -> None:
    assert export(recorded, "--to", "emd", "--out", tmp_path / "a.emd")[0] == 0
    with Journal.open(recorded) as journal:
        frames = [journal.frame(row) for row in journal.rows("frame")]
    again = read_exported(tmp_path / "a.emd")
    assert len(again) == 2
    for item, frame in zip(again, frames, strict=True):
        assert item.signal is not None
        np.testing.assert_array_equal(item.signal.data, frame.data)
        assert item.claims["C10"][0].value == frame.settings["C10"]
        assert item.claims["time.start"][0].value == item.start == frame.start
        assert item.signal.axis("x").scale == 0.25
        verdict = item.verdict("C10")
        assert verdict is not None
        assert (verdict.value, verdict.error) == pytest.approx((made.TRUE_FOCUS, 5.0))
        assert verdict.z == pytest.approx((frame.settings["C10"] - made.TRUE_FOCUS) / 5.0)
        assert verdict.evidence == (item.evidence[0].id,)
    assert [item.stated("C10") for item in again] == [
        (made.TRUE_FOCUS + 2.0, None),
        (pytest.approx(made.TRUE_FOCUS), pytest.approx(5.0)),
    ]


def test_a_frame_without_a_belief_at_its_time_is_unverifiable(tmp_path: Path) -> None:
    record = record_of_session(made.session(tmp_path / "session", 5.0, state=False), 0, records.Sample())
    assert {item.status for item in record.recordings[0].verdicts} == {"unverifiable"}
    assert record.sample == records.Sample("SrTiO3", ("Sr", "Ti", "O"), made.START, True)


def test_a_report_is_exported_with_its_files(tmp_path: Path, export: Run) -> None:
    file = hspy(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(made.report(file, refuted={"pixel.x": 0.097})))
    out = tmp_path / "a.nxs"
    code, told = export(tmp_path / "report.json", "--to", "nxem", "--out", out)
    assert (code, told["error"]["problem"]) == (
        2, "does not state what NXem requires: a start time in a known zone, the specimen's elements, when the specimen was prepared",
    )  # fmt: skip
    assert not out.exists()
    told_by_user = ("--elements", "Sr,Ti,O", "--prepared", "2026-01-01", "--start", "2026-01-05T09:00:00+01:00")
    code, told = export(tmp_path / "report.json", "--to", "nxem", "--out", out, *told_by_user)
    assert (code, told["error"]["problem"]) == (2, "does not state its time zone")
    told_by_user = (
        "--elements",
        "Sr,Ti,O",
        "--prepared",
        "2026-01-01T00:00:00Z",
        "--start",
        "2026-01-05T09:00:00+01:00",
    )
    code, told = export(tmp_path / "report.json", "--to", "nxem", "--out", out, *told_by_user)
    assert (code, told["corrected"]) == (0, 1)


def test_other_detectors_of_a_scan_share_its_verdicts(tmp_path: Path, data: Path) -> None:
    from reconstruct.validation.recording import distinct

    file = data / "images" / "fei_example_dpc_titles.emd"
    signals = read_vendor(file)
    assert len(distinct(signals)) < len(signals)
    report = made.report(file)
    kept = [id(signal) for signal in distinct(signals)]
    entry = report["files"][0]
    entry["recordings"] = [
        item for item, signal in zip(entry["recordings"], signals, strict=True) if id(signal) in kept
    ]
    record = record_of_report(report, "r.json", tmp_path, 0, records.Sample())
    assert len(record.recordings) == len(signals)
    for item, signal in zip(record.recordings, signals, strict=True):
        assert item.signal is not None
        np.testing.assert_array_equal(item.signal.data, signal.data)
        for verdict in item.verdicts:
            assert verdict.claimed == signal.claims[verdict.field].value


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    file = hspy(tmp_path)
    report = made.report(file)
    with file.open("ab") as end:
        end.write(b" ")
    with pytest.raises(BadInput, match="was changed since it was validated"):
        record_of_report(report, "r.json", tmp_path, 0, records.Sample(), data=False)
    file.unlink()
    with pytest.raises(BadInput, match="not there any more"):
        record_of_report(report, "r.json", tmp_path, 0, records.Sample())


@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "cannot be read"), ("[]", "schema None"), ('{"schema": "emtwin.measure/3"}', "emtwin.measure/3"),
     ('{"schema": "emtwin.validate/1", "files": []}', "no file")],
)  # fmt: skip
def test_what_is_no_report_is_told(tmp_path: Path, export: Run, content: str, problem: str) -> None:
    (tmp_path / "r.json").write_text(content)
    code, told = export(tmp_path / "r.json", "--to", "hspy", "--out", tmp_path / "a.hspy")
    assert code == 2
    assert problem in told["error"]["problem"]
    assert told["error"]["cure"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(("--to", "tiff", "--out", "a.tif"), "is no format"), (("--to", "emd", "--out", "a.h5"), "ends in .h5"),
     (("--to", "hspy", "--out", "a.hspy"), "2 signals do not go into one"),
     (("--to", "emd", "--out", "a.emd", "--elements", "Xx"), "Xx is no element"), (("--to", "emd", "--out", "a.emd", "--start", "today"), "no time")],
)  # fmt: skip
def test_bad_options_write_nothing(
    tmp_path: Path,
    recorded: Path,
    export: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, told = export(recorded, *arguments)
    assert code == 2
    assert problem in told["error"]["problem"]
    assert [path.name for path in tmp_path.iterdir()] == ["session"]


def test_an_existing_file_is_kept(tmp_path: Path, recorded: Path, export: Run) -> None:
    out = tmp_path / "a.emd"
    out.write_bytes(b"mine")
    assert export(recorded, "--to", "emd", "--out", out)[0] == 2
    assert out.read_bytes() == b"mine"
    with pytest.raises(BadInput, match="is not there"):
        record_of(tmp_path / "none", 0, records.Sample(), False)


def test_side_cars_stand_beside_the_files(tmp_path: Path) -> None:
    file = hspy(tmp_path)
    report = made.report(file, refuted={"pixel.x": 0.097})
    before = state(file)
    (out,) = write_sidecars(report, 17)
    assert out == tmp_path / "image.hspy.emtwin.json"
    result = json.loads(out.read_text())
    assert (result["schema"], result["file"], result["written_ns"]) == ("emtwin.sidecar/1", "image.hspy", 17)
    assert result["sha256"] == report["files"][0]["sha256"]
    assert result["software"]["name"] == "emtwin"
    assert result["settings"] == {"false_alarms": 0.01}
    (recording,) = result["recordings"]
    told = recording["fields"]["pixel.x"]
    assert (told["status"], told["suggested"], told["suggested_error"], told["unit"]) == (
        "disagrees",
        0.097,
        1e-3,
        "angstrom",
    )
    assert [recording["evidence"][name]["source"] for name in told["evidence"]] == ["data", "arithmetic"]
    assert state(file) == before
    assert write_sidecars(report, 18) == [out]
    assert json.loads(out.read_text())["written_ns"] == 18


def test_a_side_car_of_another_program_is_kept(tmp_path: Path) -> None:
    file = hspy(tmp_path)
    out = tmp_path / "image.hspy.emtwin.json"
    out.write_text('{"schema": "mine"}')
    with pytest.raises(BadInput, match="emtwin did not write it"):
        write_sidecars(made.report(file), 17)
    assert out.read_text() == '{"schema": "mine"}'
    out.unlink()
    out.symlink_to(file)
    with pytest.raises(BadInput, match="is a link"):
        write_sidecars(made.report(file), 17)


def test_a_corrected_copy_of_a_validated_file(tmp_path: Path) -> None:
    file, copy = hspy(tmp_path), tmp_path / "right.hspy"
    before = state(file)
    changes = write_corrected_copy(made.report(file, refuted={"pixel.x": 0.097}), copy, 17)
    assert {item["field"] for item in changes} == {"pixel.x"}
    assert read_vendor(copy)[0].axis("x").scale == pytest.approx(0.097)
    assert state(file) == before


def test_several_files_are_not_corrected_into_one(tmp_path: Path) -> None:
    first = hspy(tmp_path)
    second = tmp_path / "second.hspy"
    write_signal(second, records.Recording("a", "a"), records.signals()["image"])
    with pytest.raises(BadInput, match="one copy for 2 files"):
        write_corrected_copy(made.report(first, second), tmp_path / "right.hspy", 17)


def test_a_refuted_time_is_no_start() -> None:
    claims = {"time.start": (records.CLAIMS["time.start"],)}
    assert times_of(claims) == (records.START, None)
    stale = records.Verdict("time.start", "stale")
    assert times_of(claims, [stale]) == (None, None)
    assert times_of(claims, [records.Verdict("time.start", "disagrees", suggested=records.START + 10**9)]) == (
        records.START + 10**9,
        None,
    )
    local = {"time.start": (records.Claim(records.START, "nanosecond", "Date", zone="local"),)}
    assert times_of(local) == (None, None)


def test_times_of_users() -> None:
    assert (
        moment("2026-01-05T08:00:00Z", "--start")
        == moment("2026-01-05T09:00:00+01:00", "--start")
        == 1_767_600_000 * 10**9
    )
    assert moment("2026-01-05T08:00:00.25Z", "--start") == 1_767_600_000 * 10**9 + 250_000_000


@pytest.mark.slow
def test_validate_writes_side_cars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = hspy(tmp_path)
    with records.opened(file, "r+") as content:
        content["Experiments/image/axis-0"].attrs["scale"] = 0.05  # 5 to 1: no camera or scan of images has such pixels
    before = state(file)
    assert run(["validate", str(file), "--sidecar", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["sidecars"] == [f"{file}.emtwin.json"]
    written = json.loads(Path(told["sidecars"][0]).read_text())
    assert written["validated_ns"] == told["time_ns"]
    assert written["recordings"][0]["fields"]["pixel.x"]["status"] == "disagrees"
    assert state(file) == before


@pytest.mark.parametrize(
    ("options", "problem"),
    [(["--write-corrected", "{file}"], "is the original itself"), (["{file}", "--write-corrected", "copy.hspy"], "one copy for 2 files"),
     (["--write-corrected", "copy.dm3"], "ends in .dm3"), (["--sidecar"], "emtwin did not write it")],
)  # fmt: skip
def test_validate_refuses_before_it_computes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    file = hspy(tmp_path)
    (tmp_path / "image.hspy.emtwin.json").write_text("mine")
    arguments = [option.format(file=file) for option in options]
    assert run(["validate", str(file), *arguments, "--json"]) == 2
    assert problem in json.loads(capsys.readouterr().out)["error"]["problem"]
    assert (tmp_path / "image.hspy.emtwin.json").read_text() == "mine"
