"""How a session begins: its instrument first, and nothing left behind where that cannot start."""

import time

import pytest

import scenarios.acquire.build
import scenarios.acquire.job
from scenarios.acquire.job import run_acquire
from scenarios.acquire.scenario import from_dict
from scenarios.io.progress import SilentProgress
from scenarios.presets import default_scenario


class Notes(SilentProgress):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def endless(scenario, progress, cache):
    """Stands in for a twin that takes long to build."""
    while True:
        progress("multislice", 0.1)
        time.sleep(0.02)


@pytest.mark.slow
def test_an_instrument_that_refuses_its_configuration_ends_the_twin_s_preparations(tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios.acquire.build, "build_twin", endless)
    monkeypatch.setattr(scenarios.acquire.job, "check_config", lambda scenario: None)  # refused by the instrument
    values = default_scenario().as_dict()
    values["instrument"]["config"] = {"no_such_key": 1}
    progress = Notes()
    with pytest.raises(ValueError, match="no_such_key"):
        run_acquire(from_dict(values, "test"), tmp_path / "new" / "s", 0, None, progress)
    assert any(str(tmp_path / "new" / "s" / "report.html") in note for note in progress.notes)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_before_the_first_request_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scenarios.acquire.build, "build_twin", fails)
    with pytest.raises(KeyboardInterrupt):
        run_acquire(default_scenario(), tmp_path / "s", 0, None, SilentProgress())
    assert list(tmp_path.iterdir()) == []
