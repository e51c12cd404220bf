"""Counts by Gram matrices against those of patterns, at places between those of a window against probes there, and settings fitted to them."""

import functools

import numpy as np
import pytest

from learn.feasibility.columns.counted import Counted, of_channel
from learn.feasibility.columns.lattice import Lattice, Recorded
from learn.feasibility.columns.placed import between, placed
from learn.feasibility.hypotheses import Change, hypotheses_of
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Unknown, annular, compared, signatures_of
from learn.feasibility.scans import Probe, derivatives_of, finest_step, patterns_of, window_of
from twin.optics.aberrations import coefficients, index
from twin.sample.specimen import srtio3

SEMIANGLE, ENERGY = 20e-3, 200e3
GRID = Grid((64, 64), 2, ENERGY, SEMIANGLE, 60e-3, (1, 2, 3), before=1)
PROBE = Probe(coefficients({"C10": 30.0, "C12a": 10.0}), 0.4)
WINDOW = window_of((3.905, 3.905), (3.905, 3.905), finest_step(SEMIANGLE, ENERGY))
RINGS = {"HAADF": (30e-3, 60e-3), "ABF": (10e-3, 20e-3)}
PRIORS = {"C10": 20.0, "C12a": 10.0, "C12b": 10.0, "source": 0.1, "gain": 0.1}


@functools.cache
def made() -> tuple[Matrices, tuple[Matrices, ...], dict[str, Detector]]:
    hypotheses = hypotheses_of(srtio3((1, 1, 1)), (2, 2, 1), Change("vacancy", "Sr"), 1)
    perfect = matrices_of(hypotheses.perfect, GRID)
    changed = tuple(matrices_of(each, GRID._replace(before=0)) for each in hypotheses.changed)
    return perfect, changed, {name: annular(perfect, *ring) for name, ring in RINGS.items()}


@functools.cache
def counted() -> Counted:
    perfect, changed, detectors = made()
    return Counted(perfect, changed, detectors, WINDOW)


@pytest.mark.parametrize("name", RINGS)
def test_counts_are_those_of_patterns(name: str) -> None:
    perfect, changed, detectors = made()
    channel, _ = counted().channel(name)
    own, theirs = of_channel(counted().scanned(PROBE), channel), compared(perfect, changed, WINDOW, PROBE)
    detector = detectors[name]
    assert theirs.halves is not None
    assert own.halves is not None
    np.testing.assert_allclose(own.rates, detector.counted(theirs.rates), rtol=2e-5)
    np.testing.assert_allclose(own.changed, detector.counted(theirs.changed), rtol=2e-5)
    scale = np.abs(own.halves).max()
    np.testing.assert_allclose(own.halves, detector.counted(theirs.halves), atol=2e-5 * scale)
    for key, slope in derivatives_of(perfect, WINDOW, PROBE).items():
        expected = detector.counted(slope)
        np.testing.assert_allclose(own.derivatives[key], expected, atol=2e-3 * np.abs(expected).max(), err_msg=key)


def test_detectors_of_several_channels_are_refused() -> None:
    perfect, changed, _ = made()
    with pytest.raises(ValueError, match="one channel"):
        Counted(perfect, changed, {"two": Detector(np.ones((2, len(perfect.k))))}, WINDOW)


def test_counts_between_places_are_those_of_probes_there() -> None:
    """A perfect crystal at rest repeats from cell to cell, so that a window is a period of it."""
    specimen = srtio3((2, 2, 1))
    resting = type(specimen)(specimen.positions, 0.0 * specimen.u2, specimen.symbols, specimen.cell)
    matrices = matrices_of(resting, GRID._replace(seeds=(1,), before=0))
    ring = annular(matrices, *RINGS["HAADF"])
    rates = ring.counted(patterns_of(matrices, WINDOW, PROBE))[:, 0]
    other = WINDOW._replace(positions=WINDOW.positions + np.array([0.13, -0.21]))
    there = ring.counted(patterns_of(matrices, other, PROBE))[:, 0]
    np.testing.assert_allclose(between(WINDOW, other.positions) @ rates, there, rtol=1e-4)
    np.testing.assert_allclose(between(WINDOW, WINDOW.positions) @ rates, rates, rtol=1e-9)


def test_a_signature_at_the_places_of_its_window_is_the_same() -> None:
    channel, detector = counted().channel("HAADF")
    unknown = Unknown(PRIORS, {"x": 0.05, "y": 0.05}, 0.05)
    signature = signatures_of(of_channel(counted().scanned(PROBE), channel), detector, unknown)[0][0]
    same = placed(signature, WINDOW, WINDOW.positions)
    half = placed(signature, WINDOW, WINDOW.positions[::2])
    assert signature.uncertain is not None
    assert same.uncertain is not None
    for ours, theirs in (
        (same.rates, signature.rates),
        (same.changed, signature.changed),
        (same.nuisances, signature.nuisances),
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-9 * np.abs(theirs).max())
    np.testing.assert_allclose(same.uncertain, signature.uncertain, atol=1e-9 * signature.uncertain.max())
    # as many electrons on fewer places
    np.testing.assert_allclose(half.rates, signature.rates[::2] * len(signature.rates) / len(half.rates), rtol=1e-9)
    with pytest.raises(ValueError, match="one channel"):
        placed(signature._replace(rates=np.tile(signature.rates, 2)), WINDOW, WINDOW.positions)


def lattice() -> Lattice:
    return Lattice(counted(), np.zeros((1, 2)), PROBE, PRIORS, 0.02)


def recorded(origin: tuple[float, float], probe: Probe, gain: float, dose: float, seed: int) -> Recorded:
    """A scan over some cells about a column at ``origin``; of the model itself."""
    side = np.arange(40) * 0.37 - 7.2
    places = np.stack([part.ravel() for part in np.meshgrid(side, side)], 1)
    rates = of_channel(counted().scanned(probe), counted().channel("HAADF")[0]).rates[:, 0]
    electrons = np.full(len(places), dose * 0.37**2)
    means = gain * electrons * (between(WINDOW, places - np.array(origin) + lattice().location) @ rates)
    return Recorded("HAADF", places, np.random.default_rng(seed).poisson(means).astype(float), electrons)


@pytest.mark.slow
def test_place_and_settings_of_a_field_are_found() -> None:
    vector = PROBE.coefficients.copy()
    vector[index("C10")] += 15.0
    origin = (1.31, 0.77)
    scan = recorded(origin, Probe(vector, 0.45), 1.05, 3e4, 1)
    fit = lattice().fitted([scan], lattice().located(scan))
    off = (np.array(fit.origin) - np.array(origin) + 1.95) % 3.905 - 1.95
    assert np.hypot(*off) < 4.0 * fit.placed_within < 0.1
    assert fit.probe.source == pytest.approx(0.45, abs=4.0 * fit.settled.std("source"))
    assert abs(fit.settled.values["C10"] - 15.0) < 4.0 * fit.settled.std("C10")
    assert fit.gains["HAADF"] == pytest.approx(1.05, abs=0.03)
    assert fit.likely > 1e-3


@pytest.mark.slow
def test_errors_of_the_place_are_as_told_and_another_crystal_is_unlikely() -> None:
    fits = []
    for seed in range(12):
        scan = recorded((0.4, -0.9), PROBE, 1.0, 4e3, 10 + seed)
        fits.append(lattice().fitted([scan], lattice().located(scan)))
    off = np.array([(np.array(each.origin) - np.array([0.4, -0.9]) + 1.95) % 3.905 - 1.95 for each in fits])
    told = np.array([[each.settled.std("x"), each.settled.std("y")] for each in fits])
    assert 0.6 < np.sqrt(np.mean((off / told) ** 2)) < 1.5
    assert np.mean([each.likely < 0.01 for each in fits]) < 0.2
    scan = recorded((0.4, -0.9), PROBE, 1.0, 4e4, 5)
    # the control: half as much of everything but the mean
    flat = scan._replace(counts=0.5 * (scan.counts + scan.counts.mean()))
    assert lattice().fitted([flat], lattice().located(flat)).likely < 1e-6
