"""`calibrate` and `load_model` from Python: tables as DataFrames have them, and refusals. That the command gives the same numbers: tests/scenarios."""

import csv
import io
from pathlib import Path

import pytest

from reconstruct import Stream, calibrate, load_model
from tests.scenarios.test_calibrate import lines
from twin.errors import BadInput
from twin.sensors.model import Model


class Frame:
    """What is used of a DataFrame."""

    def __init__(self, text: str):
        self.rows = list(csv.reader(text.splitlines()))

    def to_csv(self, index: bool) -> str:
        assert not index
        buffer = io.StringIO()
        csv.writer(buffer).writerows(self.rows)
        return buffer.getvalue()


def test_a_frame_of_columns_is_read_as_its_file() -> None:
    text = "\n".join(lines()).replace("camera_length [mm]", "camera_length [parsec]")
    with pytest.raises(BadInput, match=r"table, column camera_length: has unit 'parsec'"):
        calibrate(Frame(text))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "no rows"),
        (3.0, "no calibration table"),
        ("nowhere.csv", "is no file"),
        ([1.0, 2.0], "no calibration table"),
    ],
)
def test_what_is_no_table_is_refused(data, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        calibrate(data)


def test_a_column_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="nowhere: is neither a column nor a file"):
        calibrate([], column="nowhere")


def test_models_by_name_and_by_path(tmp_path: Path) -> None:
    import twin

    model = load_model("dens")
    assert isinstance(model, Model)
    path = tmp_path / "own.toml"
    path.write_text((Path(twin.__file__).parent / "tables" / "dens.toml").read_text())
    assert load_model(path).layout == model.layout
    assert "holder.T" in Stream(model, 0)._repr_html_()
    with pytest.raises(BadInput, match=r"nowhere: is neither a table nor a file.*simulated"):
        load_model("nowhere")
    with pytest.raises(BadInput, match=r"no constant 'gain'"):
        load_model("dens", {"gain": 1.0})
