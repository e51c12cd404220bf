"""Choice of film exposures: expected information, and chosen series better than others."""

import dataclasses

import numpy as np
import pytest

from learn.design.film_design import (
    Film,
    aperture_weights,
    expected_information,
    hard_spheres,
    next_exposure,
    series,
)
from learn.design.series import inverse, loss
from reconstruct.measurement.film.exposure import Optics, Setting
from tests.synthetic.amorphous_films import random_atoms
from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength

OPTICS = Optics(200e3, 30e-3)
FILM = Film.of("C", 0.1, (50.0, 20.0), OPTICS)
BELIEF = np.diag(np.array([20, 20, 20, 1e3, 1e3, 1e3, 1e3, 5e4, 2e4, 2e4, 2e4, 2e4]) ** 2.0)
LINE = np.linspace(-0.8, 0.8, 5) * OPTICS.semiangle
ANGLES = np.stack(np.meshgrid(LINE, LINE), axis=-1).reshape(-1, 2)
ANGLES = ANGLES[np.hypot(*ANGLES.T) < 0.9 * OPTICS.semiangle]


def setting(c10: float = 0.0, tilt: tuple[float, float] = (0.0, 0.0), electrons: float = 3e6) -> Setting:
    return Setting((32, 32), 0.8, ANGLES, 3e-3, electrons, tilt, c10, True)


CANDIDATES = [setting(c10, (x, 0.0)) for c10 in (-300.0, 0.0, 60.0) for x in (0.0, 8e-3)]


def test_weights_are_the_mean_square_of_the_phase():
    generator = np.random.default_rng(0)
    c = np.zeros(25)
    c[:12] = generator.normal(size=12) * np.sqrt(np.diag(BELIEF))
    length = wavelength(OPTICS.energy)
    radius, azimuth = (
        np.sqrt(generator.random(200_000)) * OPTICS.semiangle / length,
        generator.random(200_000) * 2 * np.pi,
    )
    kx, ky = radius * np.cos(azimuth), radius * np.sin(azimuth)
    chi = np.asarray(phase(c, kx, ky, length))
    flat = np.stack([np.ones_like(kx), kx, ky], axis=1)
    rest = chi - flat @ np.linalg.lstsq(flat, chi, rcond=None)[0]
    assert c[:12] @ aperture_weights(OPTICS) @ c[:12] == pytest.approx(float((rest**2).mean()), rel=0.05)


def test_structure_factor_is_that_of_atoms_that_keep_apart():
    side, density, closest = 20.0, 0.1, 1.35
    spectra, at = [], np.arange(1, 41)
    for seed in range(4):
        atoms = random_atoms(np.random.default_rng(seed), round(density * side**3), (side, side, side), closest)
        for axis in range(3):
            waves = np.exp(2j * np.pi * np.outer(at / side, atoms[:, axis])).sum(axis=1)
            spectra.append(np.abs(waves) ** 2 / len(atoms))
    mean = np.mean(spectra, axis=0).reshape(8, 5).mean(axis=1)
    expected = hard_spheres(at / side, density, closest).reshape(8, 5).mean(axis=1)
    # each mean of 60 exponentially distributed values; spheres laid down one by one are no liquid in equilibrium
    assert mean == pytest.approx(expected, rel=0.4)
    assert (mean / expected).mean() == pytest.approx(1.0, abs=0.12)
    assert hard_spheres(np.zeros(1), density, closest)[0] == pytest.approx(
        (1 - 0.1288) ** 4 / (1 + 0.2576) ** 2, rel=1e-3
    )
    apart, together = (Film.of("C", density, (50.0, 20.0), OPTICS, closest=d).power for d in (closest, 0.0))
    assert together - apart == pytest.approx(
        -np.log(hard_spheres(np.linspace(0, 2, 10) * 0.03 / 0.0250793, density, closest)), abs=1e-3
    )
    with pytest.raises(ValueError, match="fill"):
        hard_spheres(np.zeros(1), 1.0, 1.35)


@pytest.mark.slow
def test_information_grows_with_electrons_and_less_than_they_where_the_film_limits():
    once, twice = (expected_information(setting(-300.0, electrons=e), OPTICS, FILM, np.zeros(12)) for e in (3e6, 6e6))
    ratio = np.diag(twice) / np.diag(once)
    assert (ratio > 1.05).all()
    assert (ratio < 4.0).all()
    assert np.linalg.eigvalsh(once / np.sqrt(np.outer(np.diag(once), np.diag(once)))).min() > -1e-6


@pytest.mark.slow
def test_the_choice_is_the_smallest_expected_loss_and_defocus_is_more_informative_than_focus():
    choice = next_exposure(CANDIDATES, OPTICS, FILM, np.zeros(12), BELIEF)
    weights = aperture_weights(OPTICS)
    losses = [
        loss(inverse(inverse(BELIEF) + expected_information(candidate, OPTICS, FILM, np.zeros(12))), weights)
        for candidate in CANDIDATES
    ]
    assert choice.index == int(np.argmin(losses))
    assert CANDIDATES[choice.index].c10 != 0.0
    assert loss(choice.covariance, weights) == pytest.approx(min(losses))
    assert choice.gain == pytest.approx((loss(BELIEF, weights) - min(losses)) / 3e6)


def test_a_chosen_series_is_no_worse_than_any_other():
    weights = aperture_weights(OPTICS)
    known = [expected_information(candidate, OPTICS, FILM, np.zeros(12)) for candidate in CANDIDATES]

    def expected_loss(indices, criterion):
        return loss(inverse(inverse(BELIEF) + np.sum([known[i] for i in indices], axis=0)), weights, criterion)

    for criterion in ("A", "D"):
        chosen = series(CANDIDATES, 2, OPTICS, FILM, np.zeros(12), BELIEF, criterion=criterion)
        every = [expected_loss((i, j), criterion) for i in range(6) for j in range(6)]
        assert expected_loss(chosen, criterion) <= min(every) + 1e-3 * abs(min(every))


def test_fewer_electrons_for_nearly_as_much_are_preferred():
    cheap = dataclasses.replace(setting(-300.0), electrons=5e5)
    assert next_exposure([setting(-300.0), cheap], OPTICS, FILM, np.zeros(12), BELIEF).index == 1


def test_what_cannot_be_chosen_is_refused():
    with pytest.raises(ValueError, match="no candidates"):
        next_exposure([], OPTICS, FILM, np.zeros(12), BELIEF)
    with pytest.raises(ValueError, match="finite"):
        next_exposure(CANDIDATES, OPTICS, FILM, np.zeros(12), BELIEF * np.nan)
    outside = dataclasses.replace(setting(), angles=np.array([[0.05, 0.0]]))
    with pytest.raises(ValueError, match="bright-field disk"):
        expected_information(outside, OPTICS, FILM, np.zeros(12))
    with pytest.raises(ValueError, match="at least one"):
        series(CANDIDATES, 0, OPTICS, FILM, np.zeros(12), BELIEF)
