"""The simulated scan: counts of any dwell time, what is booked, a hidden map by its seed, drift, and the state after earlier commands."""

from pathlib import Path

import numpy as np
import pytest

from instrument.core.interface import InstrumentError
from instrument.remote.launch import launch
from instrument.replay import SURVEY
from instrument.simulation.scan.config import from_mapping
from instrument.simulation.scan.hidden import hidden_map
from instrument.simulation.scan.instrument import EPOCH, DosedScan, open_scan
from twin.records import Scan

CONFIG = {"pixel": 5.0, "current": 1e6, "shape": [6, 8]}
THICKNESSES, CHANNELS = 5, 12


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phases: flat spectra of 1e-3 and 3e-3 of the beam a channel, times 1 to 2 with the thickness."""
    path = tmp_path_factory.mktemp("scan") / "expected.npz"
    growth = np.linspace(1.0, 2.0, THICKNESSES)
    spectra = np.array([1e-3, 3e-3])[:, None, None] * growth[None, :, None] * np.ones(CHANNELS)
    np.savez(
        path,
        spectra=spectra,
        survey=0.1 * spectra[:, :, 0] / 1e-3,
        energy=np.array([400.0, 2.0]),
        claims=np.array([2e5, 0.02, 0.03]),
    )
    return path


def opened(library: Path, seed: int = 3, **config: object) -> DosedScan:
    return open_scan(library, None, {**CONFIG, **config}, seed)


def exposure(dwell: float = 0.01) -> Scan:
    return Scan("EELS", (1, 1), 5.0, dwell, 2e-3, 0.0, 0.0)


def test_exposures_count_what_is_expected(library: Path) -> None:
    scan = opened(library, gain=4.0, readout=2.0)
    scan.apply({"pixel.x": 3.0, "pixel.y": 2.0})
    expected = scan.truth.expected([{"settings": {"pixel.x": 3, "pixel.y": 2}}])[0][0].ravel()
    data = np.array([scan.acquire(exposure()).data for _ in range(600)])
    electrons = 1e6 * 0.01 * expected
    np.testing.assert_allclose(data.mean(), 4.0 * electrons.mean(), rtol=0.02)
    # Poisson, with readout noise, both times the gain
    np.testing.assert_allclose(data.var(), 16.0 * (electrons.mean() + 4.0), rtol=0.1)
    longer = scan.acquire(exposure(1.0)).data
    np.testing.assert_allclose(longer.mean() / data.mean(), 100.0, rtol=0.05)


def test_electrons_and_time_are_booked(library: Path) -> None:
    scan = opened(library)
    frame = scan.acquire(exposure())
    assert (frame.exposure.pixels, frame.exposure.flyback, frame.exposure.settle_dose) == (1e4, 2e3, 0.0)
    assert frame.scan.dose == pytest.approx(1e4 / 25.0)
    assert scan.now() == EPOCH + 12_000_000
    whole = scan.acquire(Scan("EELS", (6, 8), 5.0, 1e-3, 2e-3, 5e-3, 0.0))
    assert whole.data.shape == (6, 8, CHANNELS)
    assert whole.exposure.pixels == pytest.approx(48e3)
    assert whole.exposure.flyback == pytest.approx(6 * 2e3)
    assert whole.exposure.settle_dose == pytest.approx(5e3)
    survey = scan.acquire(Scan(SURVEY, (1, 1), 5.0, 1e-3, 0.0, 0.0, 0.0))
    assert survey.data.shape == (6, 8)
    assert survey.exposure.total == pytest.approx(48e3)
    assert (survey.meta["axis0.offset"], survey.meta["axis0.scale"], survey.meta["claim.gain"]) == (400.0, 2.0, 1.0)


@pytest.mark.parametrize("layout", ["domains", "inclusions", "layers", "gradient"])
def test_the_map_is_drawn_by_the_seed(layout: str) -> None:
    maps = [hidden_map((12, 15), 5.0, 3, layout, 5.0, seed) for seed in (1, 1, 2)]  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(maps[0].phases, maps[1].phases)
    assert np.abs(maps[0].phases - maps[2].phases).max() > 0.3
    for made in maps:
        np.testing.assert_allclose(made.phases.sum(axis=0), 1.0)
        assert made.phases.min() >= 0.0
        assert (made.thickness.min(), made.thickness.max()) == (0.0, 1.0)
    assert (maps[0].phases.max(axis=(1, 2)) > 0.6).sum() >= 2


def test_expected_data_are_of_the_hidden_map(library: Path) -> None:
    scan = opened(library, layout="layers")
    hidden = hidden_map((6, 8), 5.0, 2, "layers", 1.0, 3)
    share = np.array([1e-3, 3e-3]) @ hidden.phases.reshape(2, -1)
    expected = share * (1.0 + hidden.thickness.ravel())
    places = [{"settings": {"pixel.y": y, "pixel.x": x}} for y in range(6) for x in range(8)]
    told = np.array([frame[0, 0] for frame, _ in scan.truth.expected(places)])
    np.testing.assert_allclose(told, expected, rtol=1e-5)


def test_the_state_comes_back(library: Path) -> None:
    whole, again = opened(library), opened(library)
    commands, frames = [], []
    for x in range(5):
        at = whole.apply({"pixel.x": float(x), "pixel.y": 1.0})
        commands.append(("apply", {"changes": {"pixel.x": float(x), "pixel.y": 1.0}}, at))
        commands.append(("acquire", {"scan": exposure()}, whole.now()))
        frames.append(whole.acquire(exposure()))
    again.restore(commands[:6])
    assert again.now() == frames[3].start
    again.apply({"pixel.x": 3.0, "pixel.y": 1.0})
    np.testing.assert_array_equal(again.acquire(exposure()).data, frames[3].data)
    with pytest.raises(ValueError, match="used already"):
        again.restore(commands)
    other = opened(library, seed=4)
    other.apply({"pixel.x": 0.0, "pixel.y": 1.0})
    assert (other.acquire(exposure()).data != frames[0].data).any()


def test_the_specimen_drifts_under_the_beam(library: Path) -> None:
    still, moving = opened(library, layout="layers"), opened(library, layout="layers", drift=10.0)
    for scan in (still, moving):
        scan.advance(EPOCH + 1_500_000_000)  # three pixels
    whole = Scan("EELS", (6, 8), 5.0, 1.0, 0.0, 0.0, 0.0)
    a, b = (scan.acquire(whole).data.mean(axis=-1) for scan in (still, moving))
    noise = np.sqrt(a / CHANNELS)
    assert np.abs(a - b).max() > 20.0 * noise.max()


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (Scan("HAADF", (1, 1)), "there is no detector"),
        (Scan("EELS", (2, 2)), "shape"),
        (Scan("EELS", (1, 1), dwell=0.0), "dwell"),
        (Scan("EELS", (1, 1), dwell=1e4), "too long"),
        (Scan("EELS", (1, 1), settle=float("nan")), "settle"),
    ],
)
def test_scans_that_cannot_be_run(library: Path, scan: Scan, message: str) -> None:
    instrument = opened(library)
    with pytest.raises(InstrumentError, match=message):
        instrument.acquire(scan)
    assert instrument.now() == EPOCH
    with pytest.raises(InstrumentError, match=r"pixel\.x = 8 is out of range\. Give 0 to 7"):
        instrument.apply({"pixel.x": 8.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pixel": 5.0}, "current"),
        ({**CONFIG, "gain": 0.0}, "gain"),
        ({**CONFIG, "drift": -1.0}, "drift"),
        ({**CONFIG, "speed": 1.0}, "speed"),
        ({**CONFIG, "shape": [0, 5]}, "shape"),
    ],
)
def test_configurations_that_cannot_be_used(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_mapping(values)


def test_a_served_scan_hides_its_truth_until_it_is_sealed(library: Path) -> None:
    with launch("scan", data=library, seed=3, config=CONFIG) as launched, launched.connect() as remote:
        assert not launched.ready["jax"]
        assert remote.describe().kind == "scan"
        remote.apply({"pixel.x": 1.0, "pixel.y": 1.0})
        frame = remote.acquire(exposure())
        np.testing.assert_array_equal(frame.data, _local(library).data)
        with launched.truth() as truth:
            with pytest.raises(InstrumentError, match="seal"):
                truth.facts()
            remote.seal()
            assert truth.facts()["rows"] == 6.0


def _local(library: Path):
    scan = opened(library)
    scan.apply({"pixel.x": 1.0, "pixel.y": 1.0})
    return scan.acquire(exposure())
