"""The mains in a scan as evidence on the dwell time: drawn scans with and without them, claims that are true and false, and a real file."""

import dataclasses

import numpy as np
import pytest

from reconstruct.measurement.scan_noise.lines import find_periodic
from reconstruct.validation.data.scanned.scan_noise import may_be_scan, scan_noise
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.lattices import CENTRED, GRAPHENE, RECTANGLE
from tests.synthetic.mains_scans import MainsScan, mains_scan, signal_of_mains_scan

DRAWN = MainsScan()
QUIET = dataclasses.replace(DRAWN, amplitudes=())


@pytest.fixture(scope="module")
def image():
    return mains_scan(DRAWN, 1)


@pytest.mark.smoke
def test_the_frequency_along_the_row_and_its_harmonic_are_found(image):
    periodic = find_periodic(image)
    assert not isinstance(periodic, str)
    (reading,) = periodic.readings
    assert periodic.multiples == (1, 3)
    assert abs(reading.kx - DRAWN.frequency * DRAWN.dwell) < 2.5 * reading.error
    assert reading.error < 0.015 * reading.kx
    rms = 0.08 * np.hypot(0.9, 0.6) / np.sqrt(2.0) / DRAWN.pixel
    assert periodic.displacement == pytest.approx(rms, rel=0.1)


@pytest.mark.parametrize("factor", [2.0, 0.5, 1.5, 1e3, 1e-3])
def test_a_wrong_dwell_time_is_found(image, factor):
    wrong = validate_recording("scan", signal_of_mains_scan(image, DRAWN, factor * DRAWN.dwell))
    verdict = wrong.verdict("dwell")
    assert verdict.status == "disagrees"
    (item,), _ = evidence_by(scan_noise, signal_of_mains_scan(image, DRAWN, factor * DRAWN.dwell))
    readings = sorted(float(np.exp(part.mean[0])) for part in item.components)
    assert readings == pytest.approx([50.0 / 60.0 * DRAWN.dwell, DRAWN.dwell], rel=0.02)


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_a_true_dwell_time_agrees(mains):
    drawn = dataclasses.replace(DRAWN, frequency=mains)
    signal = signal_of_mains_scan(mains_scan(drawn, 2), drawn, drawn.dwell)
    assert validate_recording("scan", signal).verdict("dwell").status == "agrees"


def test_a_line_alone_may_be_a_multiple_or_of_other_sources():
    drawn = dataclasses.replace(DRAWN, amplitudes=((1, 0.1),))
    image = mains_scan(drawn, 3)
    for factor, status in ((1.0, "agrees"), (2.0, "agrees"), (1.3, "agrees"), (1e3, "disagrees"), (1e-3, "disagrees")):
        signal = signal_of_mains_scan(image, drawn, factor * drawn.dwell)
        assert validate_recording("scan", signal).verdict("dwell").status == status
    (item,), _ = evidence_by(scan_noise, signal_of_mains_scan(image, drawn, drawn.dwell))
    assert "other sources" in item.words
    assert abs(nearest(item, {"dwell": drawn.dwell})[0]) < 2.5


@pytest.mark.parametrize("crystal", [GRAPHENE, CENTRED, RECTANGLE])
def test_drift_and_jitter_make_no_line(crystal):
    for seed, angle in enumerate((0.0, 0.01, 0.7)):
        drawn = dataclasses.replace(QUIET, crystal=crystal, angle=angle, jitter=0.05, drift=0.3, shape=(192, 256))
        assert isinstance(find_periodic(mains_scan(drawn, seed)), str)


def test_a_scan_that_the_mains_start_each_row_of_tells_nothing():
    """The displacement is that of a fixed distortion then."""
    line = 0.04
    drawn = dataclasses.replace(DRAWN, flyback=line - DRAWN.shape[1] * DRAWN.dwell)
    assert isinstance(find_periodic(mains_scan(drawn, 4)), str)


def test_waves_that_are_added_or_multiply_the_image_make_no_line():
    image = mains_scan(QUIET, 5)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    wave = np.cos(2.0 * np.pi * (0.0025 * x + 0.31 * y))
    assert isinstance(find_periodic(image + 5.0 * wave), str)
    assert isinstance(find_periodic(image * (1.0 + 0.1 * wave)), str)


def test_a_modulation_of_the_crystal_makes_no_line():
    """A displacement with a period of several cells."""
    line = 0.04 + 4e-4
    flyback = line - DRAWN.shape[1] * DRAWN.dwell
    drawn = dataclasses.replace(DRAWN, flyback=flyback, amplitudes=((1, 0.1),))
    assert isinstance(find_periodic(mains_scan(drawn, 6)), str)


def test_what_shows_no_lattice_or_is_too_small_says_nothing(image):
    noise = np.random.default_rng(0).poisson(20.0, (256, 256)).astype(float)
    assert "no lattice" in str(find_periodic(noise))
    assert "too few" in str(find_periodic(image[:100]))
    assert "missing" in str(find_periodic(np.where(image == image.max(), np.nan, image)))
    assert evidence_by(scan_noise, signal_of_mains_scan(noise, DRAWN, DRAWN.dwell)) == ([], [])


def test_scanned_images_that_claim_a_dwell_time_may_be_looked_at(image):
    signal = signal_of_mains_scan(np.stack([image, image]), DRAWN, DRAWN.dwell)
    values = numbers(signal.claims)
    assert may_be_scan(signal, values)
    assert not may_be_scan(signal, {k: v for k, v in values.items() if k != "dwell"})
    (item,), _ = evidence_by(scan_noise, signal)
    assert item.statements[0].terms == {"dwell": 1.0}


def test_a_real_scan_moves_at_three_times_60_hertz(data):
    from instrument.readers import read_vendor

    (signal,) = read_vendor(data / "images" / "sto-titan80.emi")
    (item,), _ = evidence_by(scan_noise, signal)
    claimed = numbers(signal.claims)["dwell"]
    assert "3 x 60 Hz" in item.words
    third = [part for part in item.components if abs(np.exp(part.mean[0]) / claimed - 1.0) < 0.05]
    assert len(third) == 1
    assert float(np.exp(third[0].mean[0])) == pytest.approx(29.17e-6, rel=0.01)
    assert abs(nearest(item, {"dwell": claimed})[0]) < 2.0
