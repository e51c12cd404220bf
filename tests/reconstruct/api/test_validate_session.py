"""Sessions from Python: files against each other and against a log."""

import dataclasses
from typing import Literal

import numpy as np
import pytest

from reconstruct import validate_session
from tests.reconstruct.validation.made import claims_of
from twin.errors import BadInput
from twin.records import Claim, Signal

SECOND = 10**9
START = 1_700_000_000 * SECOND


@dataclasses.dataclass
class Sensor:
    """A channel as a reader gives it."""

    name: str
    unit: str | None
    times: np.ndarray
    values: np.ndarray
    kind: str = ""
    bias: float = 0.0


@dataclasses.dataclass
class Log:
    """An hour of a log as a reader gives it."""

    channels: tuple[Sensor, ...]
    path: str = "holder.csv"
    kind: str = "columns"
    name: str = "holder"
    start: int = START
    end: int = START + 3600 * SECOND
    zone: Literal["UTC", "local"] = "UTC"


def heating() -> Log:
    """300 K, from minute 20 to 30 up to 800 K."""
    seconds = np.arange(0, 3601, 2)
    values = np.interp(seconds, [0, 1200, 1800, 3600], [300.0, 300.0, 800.0, 800.0])
    values = values + 0.2 * np.random.default_rng(0).standard_normal(len(seconds))
    return Log((Sensor("holder.temperature", "kelvin", START + seconds * SECOND, values),))


def recorded(minute: float, temperature: float) -> Signal:
    claims = claims_of(temperature=temperature, high_tension=200e3, exposure=1.0)
    claims["time.start"] = Claim(START + int(60 * minute) * SECOND, "time", "time", "", zone="UTC")
    return Signal(np.zeros((8, 8)), (), "image", f"{minute:g} min", "", "made", claims)


@pytest.fixture(scope="module")
def heated():
    files = {"before": recorded(10, 300.1), "stale": recorded(40, 300.1), "after": recorded(50, 799.9)}
    return validate_session(files, logs=[heating()])


def test_files_are_held_against_the_log(heated):
    assert set(heated.findings) == {"stale"}
    assert not heated.agrees
    assert heated["before"]["temperature"].status == "agrees"
    verdict = heated["stale"]["temperature"]
    assert verdict.status == "stale"
    assert verdict.suggested == pytest.approx(800.0, abs=1.0)
    assert verdict.since is not None
    assert abs(verdict.since - (START + 1200 * SECOND)) < 20 * SECOND


def test_the_timeline_has_the_fault_and_the_log(heated):
    (fault,) = heated.timeline.faults
    assert (fault.field, fault.files) == ("temperature", ("stale",))
    assert [log.title for log in heated.timeline.logs] == ["holder"]


def test_a_notebook_shows_files_with_findings_first(heated):
    text = heated._repr_html_()
    assert text.index("stale") < text.index("before")
    assert repr(heated) == "<validation of 3 files: 1 findings in 1>"


@pytest.mark.parametrize(("files", "named"), [({}, "files"), ({"empty": []}, "empty")])
def test_bad_input_names_what_is_wrong(files, named):
    with pytest.raises(BadInput) as error:
        validate_session(files)
    assert error.value.input == named


def test_a_log_without_values_is_refused():
    with pytest.raises(BadInput, match="holds no values"):
        validate_session({"a": recorded(1, 300.0)}, logs=[Log(())])
