"""The titanate map from few spectra, end to end: same seed same result, stops by itself, distrusts, resumes what it holds, refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.readers import close_reader, read_vendor
from learn.mapping.host import Host, HostClaims
from learn.mapping.loop import LEAST_INITIAL, MapPlan, Survey, acquire_map
from learn.mapping.replay import InMemory
from reconstruct.measurement.scanned import pixel_data, pixel_quantity, quantity_named
from twin.errors import BadInput
from twin.records import RecordedScan, Wanted, scan_of

NAME = quantity_named("Ti L", (395.0, 450.0), (455.0, 475.0))
HOST = Host("SrTiO3", (1, 1, 0), 100.0)


@pytest.fixture(scope="module")
def recording(data: Path) -> Iterator[RecordedScan]:
    spectra, image = (read_vendor(data / "spectra" / f"titanate-si-{name}.dm3") for name in ("eels", "haadf"))
    yield scan_of(spectra, Wanted("spectrum", NAME.energies), image)
    close_reader()


class _Silent:
    def stage(self, text: str, fraction: float | None = None) -> None:
        pass

    def request(self, event: dict[str, Any]) -> None:
        pass


class _Changed(InMemory):
    """The recording, its spectra made otherwise from a certain one on (as if the beam had changed)."""

    def __init__(self, scan: RecordedScan, factor: float = 1.0, after: int = 0):
        super().__init__(scan)
        self.factor, self.after, self.spectra = factor, after, 0

    def data(self, row: int, column: int) -> tuple[np.ndarray, bool]:
        self.spectra += 1
        data, new = super().data(row, column)
        return data * np.float32(self.factor if self.spectra > self.after else 1.0), new


def _run(
    scan: RecordedScan, source: InMemory | None = None, survey: np.ndarray | None = None, **plan: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    claims = {name: claim.value for name, claim in scan.cube.claims.items()}
    known = pixel_data(scan.axes, claims, "", 28.0)
    image = Survey(
        scan.survey if survey is None else survey,
        scan.finer,
        HostClaims(known.energy, known.convergence, known.collection),
    )
    source = source or InMemory(scan)
    return acquire_map(source, image, NAME, pixel_quantity(NAME, known), MapPlan(**plan), _Silent())


@pytest.mark.slow
def test_stops_by_itself(recording: RecordedScan) -> None:
    source = InMemory(recording)
    result, arrays = _run(recording, source, seed=0)
    kinds = [kind for kind, _ in source.notes]
    assert "measurement" not in kinds[kinds.index("sealed") :]
    assert kinds.count("measurement") == result["measured"]
    assert result["tolerance_reached"]
    assert result["uncertainty"] <= 0.15
    assert LEAST_INITIAL < result["measured"] < 294
    assert result["measured"] + result["simulated"] == result["requests"] == 294
    assert result["r2"] > 0.6
    assert 0.75 < result["coverage90"] < 1.0
    assert not result["model_distrusted"]
    assert (arrays["order"] >= 0).sum() == arrays["measured"].sum() == result["measured"]
    assert _run(recording, seed=0)[0] == result


@pytest.mark.slow
def test_seeds_differ_and_withheld_pixels_are_left_alone(recording: RecordedScan) -> None:
    withheld = frozenset(range(0, 294, 5))
    first, arrays = _run(recording, seed=1, budget=24, withheld=withheld)
    _, other = _run(recording, seed=2, budget=24, withheld=withheld)
    assert first["measured"] == 24
    assert not arrays["measured"].ravel()[sorted(withheld)].any()
    assert (arrays["measured"] != other["measured"]).any()


@pytest.mark.slow
def test_the_crystal_under_the_map_explains_more_of_it(recording: RecordedScan) -> None:
    plain, _ = _run(recording, tolerance=1e-9, budget=48)
    result, _ = _run(recording, tolerance=1e-9, budget=48, host=HOST)
    assert result["r2"] > plain["r2"] + 0.02
    # [001] along the rows of the image and [1-10] across: periods of 3.905 and 2.761 angstrom
    assert sorted(result["host"]["periods"]) == [pytest.approx(60.0, abs=4.0), pytest.approx(83.0, abs=4.0)]
    with pytest.raises(BadInput, match=r"detectors|edge"):
        _run(recording, host=Host("Si", (1, 1, 0), 100.0))


@pytest.mark.slow
def test_an_image_without_the_crystal_leaves_the_plain_map(recording: RecordedScan) -> None:
    noise = np.random.default_rng(1).normal(size=recording.survey.shape)
    source = InMemory(recording)
    result, _ = _run(recording, source, noise, budget=LEAST_INITIAL, host=Host("SrTiO3", (1, 1, 0), 10.0))
    assert result["model"] == "plain"
    assert "predicted without a crystal" in result["notes"][0]
    assert "no_host_lattice" in [payload["kind"] for kind, payload in source.notes if kind == "finding"]


def test_spectra_that_change_on_the_way_are_distrusted(recording: RecordedScan) -> None:
    result, _ = _run(recording, _Changed(recording, factor=3.0, after=24), seed=0, budget=40)
    assert result["model_distrusted"]
    assert not result["tolerance_reached"]


def test_bad_plans_are_refused(recording: RecordedScan) -> None:
    for tolerance in (0.0, -1.0, float("nan")):
        with pytest.raises(BadInput, match="tolerance"):
            _run(recording, tolerance=tolerance)
    with pytest.raises(BadInput, match="too few"):
        _run(recording, budget=LEAST_INITIAL - 1)
    with pytest.raises(BadInput, match="needs a crystal"):
        _run(recording, model="host")
