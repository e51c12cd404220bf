"""``emtwin instrument calibrate``: exit codes, JSON, output files, and refused tables."""

import contextlib
import functools
import io
import json
from pathlib import Path

import pytest

from reconstruct import calibrate
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, run
from tests.twin.column.columns import EXCITATIONS, column, settings

pytestmark = pytest.mark.slow

HEADER = "label,high_tension [kV],mode," + ",".join(EXCITATIONS) + ",aperture.C2 [um],camera_length [mm],magnification"
DIFFRACTION = (0.3, 0.34, 0.38, 0.5, 0.54, 0.58)


MORE = (*DIFFRACTION, 0.32, 0.36, 0.4, 0.52, 0.56, 0.6)


@functools.cache
def lines(lie: float = 1.0, excitations: tuple[float, ...] = DIFFRACTION) -> tuple[str, ...]:
    """A table of a column with stronger lenses than its own table believes, in no focus in particular."""
    twin = column()
    true = twin.vector({"diffraction.ampere_turns": 8500.0, "projector1.ampere_turns": 9400.0})
    lines = [HEADER]
    for number, excitation in enumerate(excitations):
        row_settings = settings(diffraction=excitation, projector1=0.35 + 0.04 * (number % 6))
        optics = twin.optics(row_settings, true)
        controls = ",".join(f"{row_settings.controls[name]:.6g}" for name in EXCITATIONS)
        length = float(optics.camera_length) * 1e-7 * (lie if number == 2 else 1.0)
        lines.append(f"row {number},300,,{controls},50,{length:.6g},{float(optics.magnification):.6g}")
    return tuple(lines)


def write_table(folder: Path) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(["# by the service engineer", *lines()]) + "\n")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a table, its calibration and its figure."""
    table = write_table(tmp_path_factory.mktemp("calibrated"))
    out, figure = table.with_name("calibration.json"), table.with_name("calibration.svg")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = run(["instrument", "calibrate", str(table), "--out", str(out), "--figure", str(figure), "--json"])
    assert code == DONE
    assert json.loads(printed.getvalue()) == json.loads(out.read_text())
    return table.parent


def test_a_table_becomes_constants_a_file_and_a_figure(calibrated: Path, capsys: pytest.CaptureFixture[str]):
    out = calibrated / "calibration.json"
    result = json.loads(out.read_text())
    assert result["schema"] == "emtwin.calibrate/1"
    assert (calibrated / "calibration.svg").read_text().lstrip().startswith("<?xml")
    by_name = {constant["name"]: constant for constant in result["constants"]}
    constant = by_name["diffraction.ampere_turns"]
    assert abs(constant["value"] - 8500.0) < 3 * constant["error"] < 3 * constant["prior_error"]
    assert constant["determined"]
    assert "gun.brightness" in result["undetermined"]
    assert run(["instrument", "calibrate", str(calibrated / "table.csv"), "--out", str(out)]) == BAD_INPUT
    assert "exists already" in capsys.readouterr().err


def test_from_python_the_numbers_are_the_same(calibrated: Path):
    """Bit for bit, JSON keeping doubles."""
    result = json.loads((calibrated / "calibration.json").read_text())
    constant = next(constant for constant in result["constants"] if constant["name"] == "diffraction.ampere_turns")
    same = calibrate(calibrated / "table.csv")
    assert {"schema": "emtwin.calibrate/1", **json.loads(json.dumps(same.to_dict()))} == result
    assert same["diffraction.ampere_turns"] == (constant["value"], constant["error"])
    assert same.covariance.shape == (len(same.names), len(same.names))
    assert "diffraction.ampere_turns" in same._repr_html_()
    assert "constants from" in repr(same)
    (prediction,) = same.predict(same.rows[:1])
    assert prediction.low < prediction.value < prediction.high


@pytest.mark.slow
def test_an_outlier_is_reported_and_sets_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines(2.5, MORE)) + "\n")
    assert run(["instrument", "calibrate", str(path)]) == DISAGREES
    output = capsys.readouterr().out
    assert "row 2: camera_length" in output
    assert "The table cannot determine" in output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("camera_length [mm]", "camera_length [parsec]"), ["parsec", "brackets"]),
        (lambda text: text.replace("camera_length [mm]", "camera_length"), ["no unit", "mm"]),
        (lambda text: text.replace("lens.projector1", "lens.projektor"), ["lens.projektor", "Name a control"]),
        (lambda text: text.replace("row 1,300,,", "row 1,300,holography,"), ["line 4", "holography", "imaging"]),
        (lambda text: text.replace("row 1,300,", "row 1,three hundred,"), ["line 4", "three hundred"]),
        (lambda text: text.replace("row 1,300,", "row 1,,"), ["line 4", "has no high_tension"]),
        (lambda text: text.replace("row 1,300,", "row 1,0.3,"), ["line 4", "high_tension is 300"]),
        (lambda text: text.splitlines()[1], ["0 rows"]),
        (lambda text: text.replace("magnification", "camera_length [m]"), ["two columns"]),
        (lambda text: text + "1,2,3\n", ["line 9", "3 cells"]),
        (lambda text: text.replace(",lens.projector1", ",label", 1), ["two columns"]),
        (lambda text: text.replace("row 1", '"row 1'), ["CSV"]),
    ],
)
def test_a_bad_table_is_refused_with_the_cell_and_the_cure(table: Path, capsys, change, words):
    table.write_text(change(table.read_text()))
    out = table.with_name("out.json")
    assert run(["instrument", "calibrate", str(table), "--out", str(out)]) == BAD_INPUT
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert "Traceback" not in message
    assert not out.exists()


@pytest.mark.parametrize("option", ["--out", "--figure"])
def test_a_place_where_nothing_can_be_made_is_refused_before_any_work(table: Path, capsys, option: str):
    path = table.parent / "nowhere" / "calibration.svg"
    assert run(["instrument", "calibrate", str(table), option, str(path)]) == BAD_INPUT
    message = capsys.readouterr().err
    assert f"{option} {path}" in message
    assert "is not a folder" in message


def test_a_column_that_is_none_is_refused(table: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["instrument", "calibrate", str(table), "--column", "nowhere", "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["input"] == "nowhere"
    assert "generic-300" in error["cure"]
