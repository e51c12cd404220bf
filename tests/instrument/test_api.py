"""`connect` and `simulated`: the instrument, its process ended with it, what it shows in notebooks, and refusals."""

import numpy as np
import pytest

from instrument import InstrumentError, InstrumentLost, Journal, connect, simulated
from tests.instrument.simulation.tiny import TINY
from tests.once import run_folder
from twin.records import Readings, Scan


def test_a_simulated_microscope_ends_with_its_connection() -> None:
    with simulated(seed=3, config=TINY, cache=run_folder("specimens")) as microscope:
        process = microscope._launched.process
        assert process.poll() is None
        assert "connected" in repr(microscope)
        frame = microscope.acquire(Scan(shape=(4, 4)))
        assert frame.data.shape == (4, 4)
        html = microscope._repr_html_()
        assert "C12.a" in html
        assert "moved by commands" in html
        microscope.seal()
        with microscope.truth() as truth:
            assert truth.facts()
    assert process.poll() is not None
    assert "closed" in repr(microscope)
    assert "has been closed" in microscope._repr_html_()
    with pytest.raises((InstrumentError, InstrumentLost)):
        microscope.now()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"preset": "perfect"}, "no preset is called 'perfect'; choose default"),
        ({"config": [1]}, "config is a list; give a mapping"),
        ({"config": {"gpts": "many"}}, "gpts"),
        ({"rate": -1.0}, "rate is -1.0; give"),
    ],
)
def test_a_microscope_that_cannot_be_is_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        simulated(**options)


def test_addresses_that_are_none(served: str) -> None:
    with connect(served) as microscope:
        assert microscope.describe().name == "toy"
    for address in ("5555", 5555, None):
        with pytest.raises(ValueError, match="names no transport"):
            connect(address)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout is 0"):
        connect(served, timeout=0)
    with pytest.raises(InstrumentError, match="nothing that speaks"):
        connect("tcp://127.0.0.1:9", timeout=0.3)


def test_a_journal_shows_its_rows(tmp_path) -> None:
    second = 10**9
    with Journal.create(tmp_path / "session") as journal:
        journal.append_readings([Readings("room", 0, np.array([0, second]), np.array([293.0, 294.0]))])
        html = journal._repr_html_()
        assert "readings" in html
        assert "1970-01-01T00:00:00" in html
        assert "writing" in repr(journal)
    assert "closed" in journal._repr_html_()
