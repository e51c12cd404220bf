"""Recorded data as an instrument, in this process and behind the wire."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.core.interface import InstrumentError
from instrument.readers import VendorError, close_reader, read_vendor
from instrument.remote.launch import Refused, launch
from instrument.replay import ReplayInstrument, open_replay
from twin.records import Scan

EELS_FILE, HAADF_FILE = "titanate-si-eels.dm3", "titanate-si-haadf.dm3"


@pytest.fixture(scope="module")
def replay(data: Path) -> Iterator[ReplayInstrument]:
    yield open_replay(data / "spectra" / EELS_FILE, data / "spectra" / HAADF_FILE)
    close_reader()


@pytest.fixture(scope="module")
def recorded(data: Path) -> tuple[np.ndarray, np.ndarray]:
    return (
        read_vendor(data / "spectra" / EELS_FILE)[0].data,
        read_vendor(data / "spectra" / HAADF_FILE)[0].data,
    )


def test_describes_itself(replay: ReplayInstrument) -> None:
    description = replay.describe()
    assert (description.kind, description.clock, description.detectors) == ("replay", "stepped", ("survey", "EELS"))
    assert {c.name: (c.lowest, c.highest) for c in description.controls} == {"pixel.x": (0, 5), "pixel.y": (0, 48)}
    assert replay.readings() == []


def test_returns_exactly_what_was_recorded(replay: ReplayInstrument, recorded: tuple[np.ndarray, np.ndarray]) -> None:
    spectra, image = recorded
    np.testing.assert_array_equal(replay.acquire(Scan(detector="survey")).data, image)
    for row, column in ((0, 0), (48, 5), (23, 2)):
        initial = replay.now()
        replay.apply({"pixel.y": row, "pixel.x": column})
        frame = replay.acquire(Scan(detector="EELS", settle=0.5))
        np.testing.assert_array_equal(frame.data, spectra[row, column])
        assert frame.settings == {"pixel.y": row, "pixel.x": column}
        assert frame.start - initial == 500_000_000
        assert replay.now() - frame.start == 200_000_000
        assert np.isnan(frame.exposure.total)  # no probe current was reported
        assert (frame.meta["axis0.offset"], frame.meta["axis0.scale"]) == (350.0, 0.5)


def test_the_same_pixel_gives_the_same_record_and_says_so(replay: ReplayInstrument) -> None:
    replay.apply({"pixel.y": 7, "pixel.x": 1})
    first, second = replay.acquire(Scan(detector="EELS")), replay.acquire(Scan(detector="EELS"))
    np.testing.assert_array_equal(first.data, second.data)
    assert (first.meta["same_record"], second.meta["same_record"]) == (False, True)
    assert second.meta["returned_before"] == 1
    assert second.sequence == first.sequence + 1
    second.data[:] = 0  # a frame is the caller's own
    assert replay.acquire(Scan(detector="EELS")).data.any()


@pytest.mark.parametrize(
    "changes",
    [{"pixel.x": 6.0}, {"pixel.y": -1.0}, {"pixel.x": 1.5}, {"pixel.x": float("nan")}, {"pixel.y": 2.0, "C10": 1.0}],
)
def test_refuses_what_is_no_pixel(replay: ReplayInstrument, changes: dict[str, float]) -> None:
    initial = replay.settings()
    with pytest.raises(InstrumentError) as caught:
        replay.apply(changes)
    assert caught.value.cure
    assert replay.settings() == initial


def test_refuses_an_unknown_detector(replay: ReplayInstrument) -> None:
    with pytest.raises(InstrumentError, match="BF"):
        replay.acquire(Scan(detector="BF"))
    with pytest.raises(InstrumentError, match="settle"):
        replay.acquire(Scan(detector="EELS", settle=float("nan")))


def test_files_that_cannot_be_played(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="is a folder"):
        open_replay(tmp_path)
    (tmp_path / EELS_FILE).write_bytes(b"\x00\x00\x00\x03rubbish")
    with pytest.raises(VendorError, match=EELS_FILE):
        open_replay(tmp_path / EELS_FILE)
    with pytest.raises(ValueError, match="configuration of a replay"):
        open_replay(tmp_path, config={"colour": "red"})


def test_the_instruments_process_says_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        launch("replay", data=tmp_path)
    assert (caught.value.input, caught.value.problem) == (str(tmp_path), "is a folder")
    assert caught.value.cure


@pytest.mark.slow
def test_behind_the_wire(data: Path, recorded: tuple[np.ndarray, np.ndarray]) -> None:
    spectra = data / "spectra"
    with launch("replay", data=spectra / EELS_FILE, survey=spectra / HAADF_FILE) as served:
        assert served.ready["jax"] is False
        remote = served.connect()
        assert [control.name for control in remote.describe().controls] == ["pixel.x", "pixel.y"]
        remote.apply({"pixel.y": 30.0, "pixel.x": 4.0})
        frame = remote.acquire(Scan(detector="EELS", settle=0.0))
        np.testing.assert_array_equal(frame.data, recorded[0][30, 4])
        assert np.isnan(frame.exposure.total)
        assert frame.meta["axis0.unit"] == "electronvolt"
        assert remote.acquire(Scan(detector="survey")).data.shape == (1568, 192)
        with pytest.raises(InstrumentError, match="whole number"):
            remote.apply({"pixel.x": 0.5})
        remote.close()
