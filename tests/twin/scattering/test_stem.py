"""STEM images: all algorithms agree, and the cheapest within the tolerance is chosen."""

import dataclasses
import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.detectors import annular
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.sample.specimen import srtio3
from twin.scattering.stem.algorithms import Form, choose, forms, outside
from twin.scattering.stem.images import grams_of, image_of, stem_images
from twin.scattering.stem.scene import Scene

A = 3.905
BEAM = Illumination(coefficients({"C10": -20.0, "C12b": 10.0}), 200e3, 21.4e-3, focal_spread=20.0, source=0.3)
X, Y = np.linspace(0.0, A, 6, endpoint=False) + 2 * A, np.linspace(0.0, A, 5, endpoint=False) + 2 * A


def ring(inner, outer):
    return lambda kx, ky: annular(kx, ky, wavelength(200e3), inner, outer, edge=2e-3)


DETECTORS = [ring(40e-3, 60e-3), ring(0.0, 15e-3)]


def scene(seeds=(), repeats=(4, 4, 3), points=112):
    return Scene(srtio3(repeats), (points, points), 2 * repeats[2], seeds, (2e-3, 1e-3), srtio3((1, 1, 1)), repeats)


@pytest.fixture(scope="module")
def perfect():
    sharp = eqx.tree_at(lambda light: light.source, BEAM, jnp.zeros(()))
    return sharp, stem_images(scene(), sharp, X, Y, DETECTORS, form="direct", focal_nodes=5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gram", "crystal"])
def test_exact_forms_agree(perfect, form):
    sharp, direct = perfect
    images = stem_images(scene(), sharp, X, Y, DETECTORS, tolerance=1e-3, form=form)
    assert images.form.name == form
    assert images.array.shape == (2, 5, 6)
    np.testing.assert_allclose(images.array, direct.array, rtol=2e-3)
    assert np.ptp(direct.array[0]) > 0.3 * direct.array[0].mean()
    assert images.through == pytest.approx(direct.through, abs=3e-3)
    assert 0.5 < images.through < 0.999


@pytest.mark.slow
def test_frozen_phonons_by_one_wave_for_each_probe(perfect):
    sharp, _ = perfect
    direct = stem_images(scene((1, 2)), sharp, X, Y, DETECTORS, form="direct", focal_nodes=5)
    images = stem_images(scene((1, 2)), sharp, X, Y, DETECTORS, tolerance=1e-3, form="gram")
    np.testing.assert_allclose(images.array, direct.array, rtol=3e-3)


@pytest.mark.slow
def test_the_direct_form_blurs_a_periodic_image():
    """Over one cell of a perfect crystal, finely enough for the image's band."""
    fine = np.linspace(0.0, A, 15, endpoint=False)
    still = eqx.tree_at(lambda light: light.focal_spread, BEAM, jnp.zeros(()))
    direct = stem_images(scene(), still, fine, fine, DETECTORS[:1], form="direct")
    images = stem_images(scene(), still, fine, fine, DETECTORS[:1], form="crystal")
    np.testing.assert_allclose(images.array, direct.array, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("source", [0.0, 0.4])
def test_few_modes_are_as_exact_as_they_state(source):
    """Frozen phonons, two beams in one field of view, of which one is far out of focus and the other has a wide source."""
    wide = scene((1, 2), (4, 4, 1))
    lights = [
        Illumination(coefficients({"C10": c10, "C30": 2e4}), 200e3, 21.4e-3, source=rms)
        for c10, rms in ((-40.0, 0.0), (10.0, source))
    ]
    x, y = np.linspace(0.0, 0.5 * A, 9) + 2 * A, np.linspace(0.0, 0.3 * A, 7) + 2 * A
    offered = forms(wide, lights, x, y, DETECTORS, name="gram")
    complete = grams_of(
        wide,
        lights[0],
        DETECTORS,
        next(candidate for candidate in offered if candidate.name == "gram" and candidate.modes is None),
    )
    exact = np.array([[image_of(grams, light, x, y) for grams in complete.grams] for light in lights])
    errors, numbers = [], []
    for form in offered:
        if form.modes is None:
            continue
        reduced = grams_of(wide, lights[0], DETECTORS, form)
        computed = np.array([[image_of(grams, light, x, y) for grams in reduced.grams] for light in lights])
        errors.append(np.abs(computed - exact).max(axis=(0, 2, 3)) / exact.max(axis=(0, 2, 3)))
        assert errors[-1].max() < form.error
        assert reduced.through == pytest.approx(complete.through, abs=2e-3)
        assert reduced.form.modes is not None
        numbers.append(len(reduced.form.modes.waves))
    assert numbers == sorted(numbers)
    assert len(numbers) == 3
    assert numbers[1] < 0.6 * complete.grams[0].indices.shape[0]
    # the error falls tenfold with each tolerance
    assert errors[2].max() < 0.3 * errors[0].max()


def test_a_detector_with_both_signs_needs_more_modes():
    """The error of modes is bounded for weights of one sign; with both signs the errors of both parts may add up."""
    scan = np.linspace(0.0, A, 5)
    detector = DETECTORS[0]
    pair = ([detector], [lambda kx, ky: np.sign(kx + 0.0 * ky) * detector(kx, ky)])
    light = Illumination(np.zeros(25), 200e3, 21.4e-3)
    adding, signed = (forms(scene((1,), (5, 5, 2), 140), light, scan, scan, d, name="gram") for d in pair)
    counts = [[len(form.modes.waves) for form in offered if form.modes is not None] for offered in (adding, signed)]
    assert len(counts[0]) == len(counts[1]) == 3
    assert all(signed_count > count for count, signed_count in zip(sorted(counts[0]), sorted(counts[1]), strict=True))


def test_modes_give_the_transmitted_share_over_the_field_of_view():
    """Which four places along each axis leave out the last quarter of; the whole cell's average is another."""
    upright, light = Scene(srtio3((4, 4, 3)), (112, 112), 6), Illumination(np.zeros(25), 200e3, 21.4e-3)
    four, field = A + np.arange(4) / 4 * A, A + np.linspace(0.0, 0.75, 25) * A
    images = stem_images(upright, light, four, four, DETECTORS, form="gram", tolerance=1e-3)
    assert images.form.modes is not None
    average = stem_images(upright, light, field, field, DETECTORS, form="direct").through
    assert images.through == pytest.approx(average, abs=5e-5)


@pytest.mark.slow
def test_prism_is_as_exact_as_it_states_and_better_with_less_interpolation(perfect):
    """Two configurations, a focal spread, on a specimen whose half is wider than the beam."""
    wide = scene((1, 2), (6, 6, 1), 168)
    sharp, _ = perfect
    x, y = X[::2], Y[::2]
    exact = stem_images(wide, sharp, x, y, DETECTORS, form="gram")
    offered = [
        candidate for candidate in forms(wide, sharp, x, y, DETECTORS, name="prism") if candidate.name == "prism"
    ]
    errors = []
    for factor in (3, 2):
        form = next(candidate for candidate in offered if candidate.interpolation == factor)
        images = stem_images(wide, sharp, x, y, DETECTORS, form=form, focal_nodes=5)
        error = np.sqrt(((images.array - exact.array) ** 2).mean(axis=(1, 2))) / exact.array.mean(axis=(1, 2))
        assert error.max() < images.form.error
        errors.append(error.max())
        assert images.through == pytest.approx(exact.through, abs=0.02)
    assert errors[1] < errors[0]
    assert choose(offered, 1.001 * offered[-1].error, "prism") is offered[-1]
    assert "prism" not in {
        candidate.name for candidate in forms(wide, sharp, x, y, DETECTORS, memory=10**6, name="prism")
    }


def test_diffuse_signals_of_a_damped_potential_are_refused(perfect):
    sharp, _ = perfect
    damped = dataclasses.replace(scene(), options=(("thermal", "debye-waller"),))
    with pytest.raises(ValueError, match=r"detector 0 reaches beyond 42\.8 mrad"):
        stem_images(damped, sharp, X, Y, DETECTORS)
    assert stem_images(damped, sharp, X, Y, DETECTORS[1:], form="crystal").array.shape == (1, 5, 6)


def test_the_cheapest_exact_enough_is_taken():
    weighed = [
        Form("direct", 100.0, 1e-4),
        Form("prism", 5.0, 2e-2, 3),
        Form("prism", 9.0, 4e-3, 2),
        Form("gram", 30.0, 1e-4),
    ]
    assert choose(weighed, 1e-3).name == "gram"
    assert choose(weighed, 1e-2).interpolation == 2
    assert choose(weighed, 5e-2).interpolation == 3
    assert choose(weighed, 5e-2, "direct").name == "direct"
    assert choose(weighed, 1e-6, "gram").error == 1e-4
    with pytest.raises(ValueError, match=r"no form is exact to 1\.0e-05"):
        choose(weighed, 1e-5)


@pytest.mark.slow
def test_the_scene_decides_which_algorithms_are_offered():
    names = {candidate.name for candidate in forms(scene(), BEAM, X, Y, DETECTORS)}
    assert {"direct", "gram", "crystal"} <= names
    assert "crystal" not in {candidate.name for candidate in forms(scene((1,)), BEAM, X, Y, DETECTORS)}
    offered = forms(
        scene((1,)), eqx.tree_at(lambda light: light.focal_spread, BEAM, jnp.zeros(())), X[:2], Y[:2], DETECTORS
    )
    assert offered[0].name == "direct"
    assert forms(scene(), BEAM, np.linspace(0, A, 64), np.linspace(0, A, 64), DETECTORS)[0].name == "crystal"
    images = stem_images(scene(), BEAM, X, Y, DETECTORS, tolerance=1e-2)
    assert images.form == choose(images.forms, 1e-2)
    with pytest.raises(ValueError, match="no form 'magic'"):
        stem_images(scene(), BEAM, X, Y, DETECTORS, form="magic")


def test_the_share_outside_shrinks_with_the_window_and_grows_with_defocus():
    shares = list(outside(scene(), BEAM, (1.0, 2.0, 4.0, 6.0)).values())
    assert all(a > b for a, b in itertools.pairwise(shares))
    defocused = eqx.tree_at(lambda light: light.coefficients, BEAM, coefficients({"C10": -120.0}))
    assert outside(scene(), defocused, (3.0,))[3.0] > 2 * outside(scene(), BEAM, (3.0,))[3.0]


def test_a_cell_that_is_not_the_specimens_is_refused():
    with pytest.raises(ValueError, match="is not the specimen's"):
        Scene(srtio3((4, 4, 3)), (112, 112), 6, (), (0.0, 0.0), srtio3((1, 1, 1)), (4, 4, 2))
    with pytest.raises(ValueError, match="not a whole number"):
        Scene(srtio3((4, 4, 3)), (112, 112), 7, (), (0.0, 0.0), srtio3((1, 1, 1)), (4, 4, 3))
