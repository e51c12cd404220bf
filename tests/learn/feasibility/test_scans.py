"""Patterns from scattering matrices against multislice of each probe, and their derivatives against differences."""

import functools

import numpy as np
import pytest

from learn.feasibility.hypotheses import Change, hypotheses_of
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Unknown, annular, camera, scanned, segments, signatures_of
from learn.feasibility.scanned import still as still_probe
from learn.feasibility.scans import Probe, derivatives_of, finest_step, patterns_of, window_of
from learn.information import classical_distance
from twin.detection.detectors import Annular
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.sample.specimen import srtio3
from twin.scattering.stem.images import stem_images
from twin.scattering.stem.scene import Scene

SEMIANGLE, ENERGY = 20e-3, 200e3
GRID = Grid((72, 72), 8, ENERGY, SEMIANGLE, 60e-3, (1, 2), before=2)
CELLS = (2, 2, 4)
PROBE = Probe(coefficients({"C10": 30.0, "C12a": 10.0}), 0.4)


@functools.cache
def made() -> tuple[Matrices, tuple[Matrices, ...]]:
    hypotheses = hypotheses_of(srtio3((1, 1, 1)), CELLS, Change("substitution", "Sr", "La"), 2)
    return matrices_of(hypotheses.perfect, GRID), tuple(matrices_of(each, GRID) for each in hypotheses.changed)


WINDOW = window_of((3.905, 3.905), (3.905, 3.905), finest_step(SEMIANGLE, ENERGY))


@functools.cache
def still() -> Matrices:
    """Of atoms at rest, so that patterns repeat from cell to cell."""
    specimen = srtio3(CELLS)
    resting = type(specimen)(specimen.positions, 0.0 * specimen.u2, specimen.symbols, specimen.cell)
    return matrices_of(resting, GRID._replace(seeds=(1,)))


@pytest.mark.slow
def test_images_are_those_of_multislice() -> None:
    matrices = still()
    probe = Probe(coefficients({"C10": 30.0}), 0.0)
    ring = annular(matrices, 25e-3, 50e-3)
    images = patterns_of(matrices, WINDOW, probe) @ ring.weights.T
    specimen = srtio3(CELLS)
    resting = type(specimen)(specimen.positions, 0.0 * specimen.u2, specimen.symbols, specimen.cell)
    length = wavelength(ENERGY)
    edge = 0.5 * length * sum(1.0 / side for side in specimen.extent)
    light = Illumination(probe.coefficients, ENERGY, SEMIANGLE)
    x, y = (np.unique(WINDOW.positions[:, axis]) for axis in range(2))
    expected = stem_images(
        Scene(resting, GRID.gpts, GRID.slices), light, x, y,
        [lambda kx, ky: np.asarray(Annular(25e-3, 50e-3, edge).weights(kx, ky, length))], form="direct",
    ).array  # fmt: skip
    np.testing.assert_allclose(images[:, 0], expected.ravel(), rtol=2e-3)


def test_derivatives_are_differences() -> None:
    perfect = still()
    slopes = derivatives_of(perfect, WINDOW, PROBE)
    scale = patterns_of(perfect, WINDOW, PROBE).max()
    step = 0.02
    for axis, name in enumerate(("x", "y")):  # the specimen moves one way, the places the other
        moved = [
            patterns_of(perfect, WINDOW._replace(positions=WINDOW.positions - sign * step * np.eye(2)[axis]), PROBE)
            for sign in (1.0, -1.0)
        ]
        np.testing.assert_allclose(slopes[name], (moved[0] - moved[1]) / (2 * step), atol=2e-3 * scale)
    wider = [patterns_of(perfect, WINDOW, PROBE._replace(source=0.4 + change)) for change in (0.01, -0.01)]
    np.testing.assert_allclose(slopes["source"], (wider[0] - wider[1]) / 0.02, atol=1e-3 * scale)
    assert set(slopes) == {"x", "y", "source", "C10", "C12a", "C12b", "thickness"}
    thin = patterns_of(perfect, WINDOW, PROBE, thinner=True)
    np.testing.assert_allclose(slopes["thickness"], (patterns_of(perfect, WINDOW, PROBE) - thin) / perfect.step)


def test_detectors_count_what_they_should_and_no_more_than_there_is() -> None:
    perfect, changed = made()
    scan = scanned(perfect, changed, WINDOW, PROBE._replace(source=0.0))
    ring, cut, pixels = annular(perfect, 10e-3, 30e-3), segments(perfect, 10e-3, 30e-3), camera(perfect, 50e-3, 4e-3)
    np.testing.assert_allclose(cut.weights.sum(0), ring.weights[0], atol=1e-12)
    assert set(np.unique(pixels.weights.sum(0))) == {0.0, 1.0}
    distances = []
    for detector in (ring, cut, pixels):
        rates = [part @ detector.weights.T for part in (scan.rates, scan.changed[0])]
        distances.append(classical_distance(*rates))
        (signature,), _ = signatures_of(scan, detector, Unknown({"C10": 20.0}, {}, 0.02))
        assert signature.rates.sum() <= 1.0
        assert signature.nuisances.shape[0] == signature.rates.size
    assert distances[0] <= distances[1] <= distances[2] <= scan.quantum[0]
    resting = still_probe(scan, perfect, changed, PROBE._replace(source=0.0))
    np.testing.assert_allclose(resting.window.positions, [[3.905, 3.905]])
    at_rest = classical_distance(*(part @ pixels.weights.T for part in (resting.rates, resting.changed[0])))
    assert distances[2] < at_rest <= resting.quantum[0]  # electrons elsewhere see less of the change
    assert scan.halves is not None
    np.testing.assert_allclose(scan.halves.mean(0), scan.changed - scan.rates, atol=1e-6)
