"""Amorphous layers on both faces, and settings that a recording may have."""

import functools

import numpy as np
import pytest

from learn.feasibility.layers import Covered, covered, image_variations, scan_variations, windows_of
from learn.feasibility.matrices import Grid
from learn.feasibility.scanned import annular, scanned
from learn.feasibility.scans import Probe, window_of
from learn.feasibility.settings import lenses_about, probes_about
from twin.optics.aberrations import coefficients, index
from twin.optics.transfer import Imaging
from twin.sample.specimen import srtio3

ENERGY, SEMIANGLE = 200e3, 20e-3
GRID = Grid((48, 48), 4, ENERGY, SEMIANGLE, 40e-3, (1,))
PROBE = Probe(coefficients({"C10": 10.0}), 0.4)
WINDOW = window_of((3.905, 3.905), (3.905, 3.905), 0.5)
PRIORS = {"C10": 20.0, "C12a": 10.0, "source": 0.1}


@functools.cache
def layers(thickness: float) -> Covered:
    return covered(srtio3((2, 2, 2)), GRID, (thickness, thickness), 3)


@pytest.mark.slow
def test_columns_differ_by_their_carbon_and_more_by_more_of_it() -> None:
    ring = annular(layers(3.0).bare, 10e-3, 20e-3)
    made = [scan_variations(layers(each), WINDOW, [PROBE], [ring])[0] for each in (3.0, 12.0)]
    thin, thick = (each.deviations for each in made)
    # beyond the probe's disk carbon scatters electrons that the crystal alone would not, in proportion to its thickness
    dark = annular(layers(3.0).bare, 24e-3, 40e-3)
    few, many = (scan_variations(layers(each), WINDOW, [PROBE], [dark])[0].added.mean() for each in (3.0, 12.0))
    assert few > 0.0
    assert many == pytest.approx(4.0 * few, rel=0.5)
    places = len(WINDOW.positions)
    assert thin.shape == (3 * 4, places, 1)
    np.testing.assert_allclose(thin.reshape(3, 4, -1).sum(1), 0.0, atol=1e-7)
    # independent atoms: the variance is as their number
    assert 2.0 < np.var(thick) / np.var(thin) < 8.0
    images = image_variations(layers(3.0), WINDOW, [Imaging(PROBE.coefficients, ENERGY, 30e-3)]).deviations
    assert images.shape[0] == 12
    assert 0.005 < images.std() < 0.2


@pytest.mark.slow
def test_waves_refer_to_the_faces_of_the_crystal() -> None:
    """Of a layer without atoms nothing is left but its atoms' absence: the pattern of a layer far thinner than an atom is that of the bare crystal."""
    made = layers(0.0)
    np.testing.assert_allclose(made.covered[0].amplitudes, made.bare.amplitudes, atol=1e-6)
    power = [np.sum(np.abs(each.amplitudes) ** 2) for each in (layers(3.0).bare, *layers(3.0).covered)]
    np.testing.assert_allclose(power[1:], power[0], rtol=0.05)
    overlap = np.vdot(layers(3.0).bare.amplitudes, layers(3.0).covered[0].amplitudes)
    assert overlap.real > 0.9 * power[0]


@pytest.mark.slow
def test_one_window_for_each_column_of_the_field() -> None:
    windows = windows_of(WINDOW, (7.81, 7.81))
    moved = {tuple(np.round(each.positions[0] - WINDOW.positions[0], 3)) for each in windows}
    assert moved == {(0.0, 0.0), (3.905, 0.0), (0.0, 3.905), (3.905, 3.905)}
    narrow = Covered(layers(3.0).bare._replace(extent=(3.905, 3.905)), layers(3.0).covered)
    with pytest.raises(ValueError, match="one cell"):
        scan_variations(narrow, WINDOW, [PROBE], [annular(narrow.bare, 10e-3, 20e-3)])


def test_settings_spread_as_their_priors() -> None:
    probes = probes_about(PROBE, PRIORS, 64)
    for name, spread in (("C10", 20.0), ("C12a", 10.0), ("C12b", 0.0)):
        values = np.array([each.coefficients[index(name)] for each in probes]) - PROBE.coefficients[index(name)]
        assert np.sqrt(np.sum(values**2) / 65) == pytest.approx(spread, rel=0.12)
    assert np.std([each.source for each in probes]) == pytest.approx(0.1, rel=0.15)
    lens = Imaging(PROBE.coefficients, ENERGY, 30e-3)
    drawn = [float(each.coefficients[0]) for each in lenses_about(lens, PRIORS, 8)]
    np.testing.assert_allclose(drawn, [each.coefficients[0] for each in probes_about(PROBE, PRIORS, 8)])
    assert probes_about(PROBE, {}, 8) == ()
    assert {each.source for each in probes_about(PROBE._replace(source=0.0), PRIORS, 3)} == {0.0}


@pytest.mark.slow
def test_a_change_at_other_settings_is_the_difference_there() -> None:
    bare, other = layers(3.0).bare, layers(3.0).covered[0]  # the layer stands for a change
    probes = probes_about(PROBE, PRIORS, 2)
    scan = scanned(bare, [other], WINDOW, PROBE, probes)
    assert scan.changed.shape[0] == 1
    there, followed = scanned(bare, [other], WINDOW, probes[1]), scan.others[1]
    np.testing.assert_allclose(followed.rates, there.rates, atol=1e-9)
    np.testing.assert_allclose(followed.changed, there.changed, atol=1e-9)
    np.testing.assert_allclose(followed.derivatives["x"], there.derivatives["x"], atol=1e-9)
