"""Modes of a scan: their number, and the error of probes."""

import numpy as np
import pytest

from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.scattering.stem import modes as modes_module
from twin.scattering.stem.beams import beams

ENERGY, SEMIANGLE = 200e3, 21.4e-3
EXTENT = (24.0, 27.0)
BUNDLE = beams(EXTENT, ENERGY, SEMIANGLE)


def light(c10=0.0, **parameters):
    return Illumination(coefficients({"C10": c10}), ENERGY, SEMIANGLE, **parameters)


def probe(c10, x, y):
    """Written out independently: amplitudes of a probe in the plane waves of the aperture."""
    square = np.sum(BUNDLE.k**2, axis=1)
    chi = np.pi * wavelength(ENERGY) * c10 * square
    return BUNDLE.amplitude * np.exp(-1j * chi - 2j * np.pi * (BUNDLE.k @ np.array([x, y])))


def short(basis, wave):
    return 1.0 - np.sum(np.abs(basis.conj() @ wave) ** 2)


def bound(lacks):
    """The most that any detector may make of it, from the difference of the two density matrices written out."""
    inside, outside = np.sqrt(1.0 - lacks), np.sqrt(lacks)
    vector, projection = np.array([inside, outside]), np.array([inside, 0.0])
    return np.linalg.eigvalsh(np.outer(vector, vector) - np.outer(projection, projection)).max()


def modes(lights, x, y):
    basis = modes_module.modes(BUNDLE, lights, x, y)
    assert basis is not None
    return basis


def within(basis, error):
    rank = basis.within(error)
    assert rank is not None
    return rank.waves


def number(basis, error):
    return len(within(basis, error))


def test_modes_are_orthonormal_and_their_shares_are_those_of_probes():
    x, y = np.linspace(3.0, 7.0, 30), np.linspace(10.0, 13.0, 30)
    basis = modes([light(-30.0)], x, y)
    np.testing.assert_allclose(basis.waves @ basis.waves.conj().T, np.eye(len(basis.waves)), atol=1e-5)
    assert basis.share.sum() == pytest.approx(1.0)
    probes = np.stack([probe(-30.0, a, b) for a in x for b in y])
    held = np.mean(np.abs(probes @ basis.waves.conj().T) ** 2, axis=0)
    np.testing.assert_allclose(held[:40], basis.share[:40], atol=2e-3)


@pytest.mark.parametrize("c10", [0.0, 60.0])
def test_the_error_of_every_probe_is_within_the_bound(c10):
    """Anywhere in the field of view, its corners and sides included; and a probe outside of it does."""
    x, y = np.array([3.0, 4.1, 7.0]), np.linspace(10.0, 13.0, 50)
    basis = modes([light(c10)], x, y)
    draw = np.random.default_rng(3)
    positions = np.stack([draw.choice(x, 60), draw.uniform(10.0, 13.0, 60)], axis=-1)
    for allowed in (1e-1, 1e-2, 1e-3):
        chosen = within(basis, allowed)
        stated = basis.error[len(chosen)]
        assert stated <= allowed
        missing = [short(chosen, probe(c10, *position)) for position in positions]
        assert bound(max(missing)) <= stated
        corner = short(chosen, probe(c10, 3.0, 13.0))
        assert 0.2 * stated < bound(corner) < stated
    assert short(chosen, probe(c10, 8.5, 14.5)) > 1e-2


def test_their_number_is_field_times_aperture_and_accuracy_costs_few_more():
    """Slepian's count F K, and beyond it a fall that is faster than exponential."""
    side = 6.0
    along = np.linspace(9.0, 9.0 + side, 60)
    basis = modes([light()], along, along)
    count = side**2 * np.pi * (SEMIANGLE / wavelength(ENERGY)) ** 2
    half = np.searchsorted(np.cumsum(basis.share), 0.5)
    assert half < count < number(basis, 1e-1)
    steps = [number(basis, 0.5 * 10.0**-power) for power in (1, 2, 3)]
    assert steps[2] < 1.5 * steps[0]
    # the number does not grow with the number of positions
    denser = modes([light()], np.linspace(9.0, 9.0 + side, 500), along)
    assert abs(number(denser, 5e-3) - steps[1]) <= 3


def test_beams_of_one_kind_share_modes_and_a_source_widens_the_field():
    along = np.linspace(9.0, 12.9, 40)
    under = modes([light(-50.0)], along, along)
    under_and_over = modes([light(-50.0), light(50.0)], along, along)
    for c10 in (-50.0, 50.0):
        assert bound(short(within(under_and_over, 1e-2), probe(c10, 9.0, 12.9))) < 1e-2
    assert number(under, 1e-2) < number(under_and_over, 1e-2) < 2 * number(under, 1e-2)
    assert short(within(under, 1e-2), probe(50.0, 9.0, 12.9)) > 1e-2
    blurred = modes([light(-50.0, source=0.4)], along, along)
    rotated = modes([light(-50.0, vibration=(0.4, 0.0, np.pi / 2))], along, along)
    assert number(under, 1e-2) < number(rotated, 1e-2) < number(blurred, 1e-2)
    spread = modes([light(-50.0, focal_spread=30.0)], along, along)
    assert number(spread, 1e-2) > number(under, 1e-2)


def test_no_modes_where_they_would_save_little():
    wide = np.linspace(0.0, 22.0, 60)
    assert modes_module.modes(BUNDLE, [light()], wide, wide) is None
    assert modes_module.modes(BUNDLE, [light(tail=0.1, tail_width=1.0)], wide[:9], wide[:9]) is None
    single = modes([light()], np.array([5.0]), np.array([6.0]))
    assert number(single, 1e-3) == 1
    np.testing.assert_allclose(abs(single.waves[0].conj() @ probe(0.0, 5.0, 6.0)), 1.0, rtol=1e-9)
