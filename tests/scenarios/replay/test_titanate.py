"""The titanate map from few spectra, end to end: same seed same result, stops by itself, distrusts, resumes, refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from instrument.core.interface import Description
from instrument.core.journal import Journal
from instrument.readers import close_reader
from instrument.replay import ReplayInstrument
from scenarios.io.errors import BadInput
from scenarios.replay.drawings import deviations, figures
from scenarios.replay.host import Host
from scenarios.replay.map_score import map_arrays
from scenarios.replay.titanate import INITIAL, acquire_map, run
from twin.records import Frame, Scan


@pytest.fixture(scope="module")
def replay(data: Path) -> Iterator[ReplayInstrument]:
    yield ReplayInstrument(data)
    close_reader()


class _Changed:
    """The recording, its spectra made otherwise from a certain one on (as if the beam had changed), and counted."""

    def __init__(self, inner: ReplayInstrument, factor: float = 1.0, after: int = 0, stop_after: int | None = None):
        self.inner, self.factor, self.after, self.stop_after, self.spectra = inner, factor, after, stop_after, 0

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def acquire(self, scan: Scan) -> Frame:
        frame = self.inner.acquire(scan)
        if scan.detector != "EELS":
            return frame
        self.spectra += 1
        if self.stop_after is not None and self.spectra > self.stop_after:
            raise KeyboardInterrupt
        changed = frame.data * np.float32(self.factor if self.spectra > self.after else 1.0)
        return msgspec.structs.replace(frame, data=changed)


@pytest.mark.slow
def test_stops_by_itself_and_is_recorded(replay: ReplayInstrument, tmp_path: Path) -> None:
    with Journal.create(tmp_path / "session") as journal:
        result, arrays = acquire_map(replay, journal, seed=0)
        assert journal.verify() == []
        kinds = [row.kind for row in journal.rows()]
        sealed = kinds.index("sealed")
        assert kinds[sealed:].count("frame") == 0  # spectra read to score are not measurements
        assert kinds.count("measurement") == kinds.count("frame") - 1 == result["measured"]
        np.testing.assert_array_equal(map_arrays(journal)["predicted"], arrays["predicted"])
    assert result["schema"] == "emtwin.acquire/2"
    assert result["tolerance_reached"]
    assert result["uncertainty"] <= 0.15
    assert INITIAL < result["measured"] < 294
    assert result["measured"] + result["simulated"] == result["requests"] == 294
    assert result["dose_spent"] is None  # the file reports no current
    assert result["r2"] > 0.6
    assert 0.75 < result["coverage90"] < 1.0
    assert not result["model_distrusted"]
    assert (arrays["order"] >= 0).sum() == arrays["measured"].sum() == result["measured"]
    assert np.isnan(deviations(arrays)).sum() == result["measured"]
    pictures = figures(arrays, 0.15)
    assert [picture.content[:5] for picture in pictures] == [b"\x89PNG\r", b"<?xml", b"<?xml"]


@pytest.mark.slow
def test_an_interrupted_session_goes_on_to_the_same_end(replay: ReplayInstrument, tmp_path: Path) -> None:
    whole = run(replay, None, seed=3, max_measured=36)
    journal = Journal.create(tmp_path / "session")
    with journal, pytest.raises(KeyboardInterrupt):
        run(cast(Any, _Changed(replay, stop_after=25)), journal, seed=3, max_measured=36)
    rest = _Changed(replay)
    with Journal.open(tmp_path / "session", write=True) as journal:
        result = run(cast(Any, rest), journal, seed=3, max_measured=36)
        assert sum(row.kind == "measurement" for row in journal.rows()) == 36
    assert rest.spectra == 294 - 25
    assert {name: result[name] for name in result if name != "seconds"} == {
        n: whole[n] for n in whole if n != "seconds"
    }


@pytest.mark.slow
def test_seeds_differ_and_withheld_pixels_are_left_alone(replay: ReplayInstrument) -> None:
    withheld = frozenset(range(0, 294, 5))
    first, arrays = acquire_map(replay, seed=1, max_measured=24, withheld=withheld)
    _, other = acquire_map(replay, seed=2, max_measured=24, withheld=withheld)
    assert first["measured"] == 24
    assert not arrays["measured"].ravel()[sorted(withheld)].any()
    assert (arrays["measured"] != other["measured"]).any()


@pytest.mark.slow
def test_the_crystal_under_the_map_explains_more_of_it(replay: ReplayInstrument, tmp_path: Path) -> None:
    plain = run(replay, tolerance=1e-9, max_measured=48, seed=0)
    with Journal.create(tmp_path / "session") as journal:
        host = Host("SrTiO3", (1, 1, 0), 100.0)
        result = run(replay, journal, tolerance=1e-9, max_measured=48, seed=0, host=host)
        (noted,) = [row.payload for row in journal.rows("host")]
    assert result["r2"] > plain["r2"] + 0.02
    # [001] along the rows of the image and [1-10] across: periods of 3.905 and 2.761 angstrom
    assert sorted(noted["periods"]) == [pytest.approx(60.0, abs=4.0), pytest.approx(83.0, abs=4.0)]
    with pytest.raises(BadInput, match=r"detectors|edge"):
        run(replay, host=Host("Si", (1, 1, 0), 100.0))


@pytest.mark.slow
def test_an_image_without_the_crystal_leaves_the_plain_map(replay: ReplayInstrument, tmp_path: Path) -> None:
    class Noise(_Changed):
        def acquire(self, scan: Scan) -> Frame:
            frame = super().acquire(scan)
            if scan.detector == "EELS":
                return frame
            noise = np.random.default_rng(1).normal(size=frame.data.shape).astype(np.float32)
            return msgspec.structs.replace(frame, data=noise)

    with Journal.create(tmp_path / "session") as journal:
        run(cast(Any, Noise(replay)), journal, max_measured=INITIAL, host=Host("SrTiO3", (1, 1, 0), 10.0))
        kinds = [row.payload["kind"] for row in journal.rows("finding")]
    assert "no_host_lattice" in kinds


def test_spectra_that_change_on_the_way_are_distrusted(replay: ReplayInstrument) -> None:
    result = run(cast(Any, _Changed(replay, factor=3.0, after=24)), seed=0, max_measured=40)
    assert result["model_distrusted"]
    assert not result["tolerance_reached"]


def test_bad_input_is_refused(replay: ReplayInstrument) -> None:
    class Other(_Changed):
        def describe(self) -> Description:
            return msgspec.structs.replace(replay.describe(), controls=(), detectors=("HAADF",))

    with pytest.raises(BadInput, match=r"pixel\.x, pixel\.y, EELS"):
        run(cast(Any, Other(replay)))
    for tolerance in (0.0, -1.0, float("nan")):
        with pytest.raises(BadInput, match="tolerance"):
            run(replay, tolerance=tolerance)
    with pytest.raises(BadInput, match="too few"):
        run(replay, max_measured=INITIAL - 1)
