"""A simulated field of columns: its counts against waves of single probes, what is hidden, what is booked, what is refused."""

import functools
import math
from typing import Any

import numpy as np
import pytest
from scipy.fft import next_fast_len

from instrument.core.interface import InstrumentError
from instrument.simulation.field.config import FieldConfig, from_mapping
from instrument.simulation.field.hidden import Hidden, Images, hidden_of
from instrument.simulation.field.instrument import FieldMicroscope, places
from instrument.simulation.field.scattering import BAND, FURTHER, Grams, grams_of
from instrument.simulation.field.waves import Medium, plain_abtem
from instrument.simulation.truth.imaging.specimen import wavelength
from twin.records import Scan

SIDE = 4.6
CELL: dict[str, Any] = {
    "numbers": [14, 8], "positions": [[0.7, 1.1, 1.4], [3.0, 3.4, 1.4]], "u2": [0.006, 0.006], "occupancy": [1.0, 1.0], "sides": [SIDE, SIDE, 2.8],
    "site": 0, "by": 0, "alike": [[0.0, 0.0]], "energy": 80e3, "semiangle": 20e-3, "detectors": {"ADF": [25e-3, 50e-3], "BF": [0.0, 15e-3]},
    "configurations": 2,
}  # fmt: skip
STILL = CELL | {"u2": [0.0, 0.0], "jitter": 0.0, "share": 1.0, "gain_std": 0.0, "source": 0.3, "source_std": 0.0}


@functools.cache
def made() -> FieldMicroscope:
    return FieldMicroscope(from_mapping(CELL), 3)


def field(**changes: Any) -> FieldConfig:
    return from_mapping(CELL | changes)


@functools.cache
def still() -> tuple[FieldConfig, Grams, Hidden]:
    config = from_mapping(STILL)
    grams = grams_of(config, None, lambda text, share: None)
    return config, grams, hidden_of(config, grams, 1)


def direct(at: np.ndarray, changed: bool) -> np.ndarray:
    """Shares of the beam that ADF counts of probes at ``at`` [n, 2] in the computed part, each wave summed, averaged over the source by hand."""
    config, grams, hidden = still()
    extent = (grams.repeats[0] * SIDE, grams.repeats[1] * SIDE)
    length, sides = wavelength(config.energy), np.array(extent)
    reach = np.ceil(50e-3 / length * sides).astype(int) + 1
    whole = np.stack(np.meshgrid(*(np.arange(-each, each + 1) for each in reach), indexing="ij"), -1).reshape(-1, 2)
    angle, step = np.hypot(*(whole / sides).T) * length, length * np.mean(1.0 / sides)
    weight = np.clip((angle - 25e-3) / step + 0.5, 0, 1) * np.clip((50e-3 - angle) / step + 0.5, 0, 1)
    # atoms at rest are as sharp as the grid allows: on the same one
    nx, ny = (int(next_fast_len(math.ceil(2.0 * FURTHER * 50e-3 / length / BAND * side)) or 0) for side in extent)
    medium = Medium(extent, config.energy, (nx, ny), grams.beams.indices, whole)
    offsets = np.stack(
        np.meshgrid(np.arange(grams.repeats[0]), np.arange(grams.repeats[1]), indexing="ij"), -1
    ).reshape(-1, 2)
    positions = np.concatenate([np.array(config.positions) + np.append(each * SIDE, 0.0) for each in offsets])
    names = ["Si", "O"] * len(offsets)
    filled = np.ones(len(names))
    if changed:
        away = np.hypot(*(positions[:, :2] - np.array(grams.location)).T)
        filled[int(away.argmin())] = 0.0
    with plain_abtem():
        # a sheet: free space above it is left out of its slices
        behind = medium.scattered([], medium.transmissions(names, positions, filled, 2.8, 1), (1,), [])[0]
    k = grams.beams.k
    kx, ky = k.T
    chi = (
        np.pi
        * length
        * (hidden.c10 * (kx**2 + ky**2) + hidden.c12[0] * (kx**2 - ky**2) + 2.0 * hidden.c12[1] * kx * ky)
    )
    nodes, shares = np.polynomial.hermite_e.hermegauss(9)
    total = np.zeros(len(at))
    for dx, own in zip(nodes, shares / shares.sum(), strict=True):
        for dy, other in zip(nodes, shares / shares.sum(), strict=True):
            probes = at + 0.3 * np.array([dx, dy])
            waves = (grams.beams.amplitude * np.exp(-1j * (chi + 2.0 * np.pi * probes @ k.T))) @ behind
            total += own * other * (np.abs(waves) ** 2 @ weight)
    return total


@pytest.mark.slow
def test_counts_are_those_of_single_probes() -> None:
    config, grams, hidden = still()
    images = Images(config, grams, hidden)
    middle = np.array(grams.location) + np.array([[0.0, 0.0], [0.5, -0.3], [1.3, 0.9]])
    # where the beam is over such a place of a crystal in which nothing is changed, and over the changed column alone
    beam = middle - hidden.origin
    none = Images(config, grams, hidden._replace(changed=np.full(len(hidden.changed), -1)))
    single = np.full(len(hidden.changed), -1)
    single[int(np.hypot(*(hidden.columns - beam[0]).T).argmin())] = 0
    changed = Images(config, grams, hidden._replace(changed=single))
    np.testing.assert_allclose(none.rates("ADF", beam, 0.0), direct(middle, False), rtol=2e-3)
    np.testing.assert_allclose(changed.rates("ADF", beam, 0.0), direct(middle, True), rtol=2e-3)
    assert np.all(images.rates("ADF", beam, 0.0) < none.rates("ADF", beam, 0.0))


def test_a_displaced_column_is_seen_displaced() -> None:
    config, grams, hidden = still()
    move = np.zeros_like(hidden.displaced)
    column = int(np.hypot(*hidden.columns.T).argmin())
    move[column] = (0.2, -0.1)
    plain = Images(config, grams, hidden._replace(changed=np.full(len(move), -1)))
    moved = Images(config, grams, plain.hidden._replace(displaced=move))
    beam = hidden.columns[column] + np.array([[0.3, 0.0], [0.0, 0.3]])
    np.testing.assert_allclose(
        moved.rates("ADF", beam, 0.0), plain.rates("ADF", beam - 0.98 * move[column], 0.0), rtol=0.02
    )
    far = hidden.columns[column] + np.array([[SIDE, 0.0]])
    np.testing.assert_allclose(moved.rates("ADF", far, 0.0), plain.rates("ADF", far, 0.0), rtol=1e-3)


def test_frames_are_poisson_numbers_of_the_mean_and_electrons_are_booked() -> None:
    microscope = FieldMicroscope(field(gain_std=0.0), 3)
    scan = Scan("BF", (20, 30), 0.25, 1e-3, 5e-4, 1e-3, 4e4)
    begun = microscope.now()
    frame = microscope.acquire(scan)
    mean = scan.dose * scan.pixel**2 * microscope.truth.expected([_asked(begun, scan)])[0][0]
    misfit = (frame.data - mean) ** 2 / mean
    assert abs(misfit.mean() - 1.0) < 5.0 * np.sqrt(2.0 / misfit.size)
    current = scan.dose * scan.pixel**2 / scan.dwell
    assert frame.exposure.pixels == pytest.approx(scan.dose * 600 * 0.25**2)
    assert frame.exposure.flyback == pytest.approx(current * 20 * 5e-4)
    assert frame.exposure.settle_dose == pytest.approx(current * 1e-4)
    assert microscope.now() - begun == pytest.approx(1e9 * (1e-3 + 20 * (30 * 1e-3 + 5e-4)))


class _asked:
    def __init__(self, time: int, scan: Scan):
        self.command_time, self.scan, self.settings = time, scan, {}


def test_truth_is_drawn_by_the_seed_and_a_restored_field_goes_on_alike() -> None:
    first, again = made(), FieldMicroscope(from_mapping(CELL), 3)
    facts = again.truth.facts()
    assert 0.1 < facts["changed"].mean() < 0.2
    other = FieldMicroscope(from_mapping(CELL), 4).truth.facts()
    assert facts["C10"] != other["C10"]
    scan = Scan("ADF", (4, 5), 0.3, 1e-4, 1e-4, 1e-3, 1e5)
    commands: list[tuple[str, Any, int]] = []
    for shift in (0.0, 2.0):
        commands.append(("apply", {"changes": {"beam_shift.x": shift}}, first.now()))
        first.apply({"beam_shift.x": shift})
        commands.append(("acquire", {"scan": scan}, first.now()))
        first.acquire(scan)
    assert again.restore(commands) == first.now()
    assert again.settings() == first.settings()
    np.testing.assert_array_equal(again.acquire(scan).data, first.acquire(scan).data)
    with pytest.raises(ValueError, match="used already"):
        again.restore(commands)


def test_what_cannot_be_is_refused() -> None:
    microscope = FieldMicroscope(from_mapping(CELL), 3)
    with pytest.raises(InstrumentError, match="there is no control"):
        microscope.apply({"C10": 1.0})
    with pytest.raises(InstrumentError, match=r"beam_shift\.x = 10000 is out of range\. Give -100 to 100 angstrom"):
        microscope.apply({"beam_shift.x": 1e4})
    with pytest.raises(InstrumentError, match="no detector"):
        microscope.acquire(Scan("HAADF", (4, 4), 0.3, 1e-4, 0.0, 0.0, 1e3))
    for changes, message in (
        ({"u2": [0.1]}, "entries"), ({"site": 9}, "no atom"), ({"detectors": {"ADF": [0.05, 0.04]}}, "smaller"), ({"at": 9.0}, "not within"),
        ({"nothing": 1}, "nothing"), ({"share": 2.0}, "share"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            field(**changes)


def test_places_are_centred() -> None:
    at = places((1.0, -2.0), Scan("ADF", (3, 2), 0.5))
    np.testing.assert_allclose(at.mean(0), [1.0, -2.0])
    np.testing.assert_allclose(at[1] - at[0], [0.5, 0.0])
