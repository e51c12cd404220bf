"""STEM images: all forms make the same, and the one taken is the cheapest that is exact enough."""

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
from twin.scattering.forms import Form, choose, forms, outside
from twin.scattering.pilot import best
from twin.scattering.scene import Scene
from twin.scattering.stem import grams_of, image_of, stem_images

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
    sharp = eqx.tree_at(lambda one: one.source, BEAM, jnp.zeros(()))
    return sharp, stem_images(scene(), sharp, X, Y, DETECTORS, form="direct", focal_nodes=5)


@pytest.mark.parametrize("form", ["gram", "crystal"])
def test_exact_forms_agree(perfect, form):
    sharp, direct = perfect
    found = stem_images(scene(), sharp, X, Y, DETECTORS, form=form)
    assert found.form.name == form
    assert found.array.shape == (2, 5, 6)
    np.testing.assert_allclose(found.array, direct.array, rtol=2e-3)
    assert np.ptp(direct.array[0]) > 0.3 * direct.array[0].mean()
    assert found.through == pytest.approx(direct.through, abs=3e-3)
    assert 0.5 < found.through < 0.999


def test_frozen_phonons_by_one_wave_for_each_probe(perfect):
    sharp, _ = perfect
    direct = stem_images(scene((1, 2)), sharp, X, Y, DETECTORS, form="direct", focal_nodes=5)
    found = stem_images(scene((1, 2)), sharp, X, Y, DETECTORS, form="gram")
    np.testing.assert_allclose(found.array, direct.array, rtol=3e-3)


def test_the_direct_form_blurs_a_periodic_image():
    """Over one cell of a perfect crystal, finely enough for the image's band."""
    fine = np.linspace(0.0, A, 15, endpoint=False)
    still = eqx.tree_at(lambda one: one.focal_spread, BEAM, jnp.zeros(()))
    direct = stem_images(scene(), still, fine, fine, DETECTORS[:1], form="direct")
    found = stem_images(scene(), still, fine, fine, DETECTORS[:1], form="crystal")
    np.testing.assert_allclose(found.array, direct.array, rtol=2e-3)


def test_a_window_is_as_exact_as_it_states():
    wide = scene((1, 2), (5, 5, 2), 140)
    weighed = forms(wide, BEAM, X, Y, DETECTORS)
    exact = stem_images(wide, BEAM, X, Y, DETECTORS, form="gram").array
    errors = []
    for margin in (3.0, 5.0):
        form = next(one for one in weighed if (one.name, one.margin) == ("window", margin))
        made = grams_of(wide, BEAM, X, Y, DETECTORS, form)
        array = np.stack([np.asarray(image_of(grams, made.origin, BEAM, X, Y)) for grams in made.grams])
        error = np.sqrt(((array - exact) ** 2).mean(axis=(1, 2))) / exact.mean(axis=(1, 2))
        assert error.max() < form.error
        errors.append(error.max())
    # the window's probe is the specimen's own: even two cells of margin cost less than a per cent
    assert errors[1] < 0.7 * errors[0] < 0.7e-2


def test_a_window_is_measured_where_that_pays():
    """Its bound is too large for the tolerance, what it changes is not: told by a few probes, and no less than the image's own difference."""
    wide, still = scene((1, 2), (6, 6, 3), 168), eqx.tree_at(lambda one: one.focal_spread, BEAM, jnp.zeros(()))
    fine = np.linspace(0.0, A, 40) + 2 * A
    tolerance = 2e-3 + 0.6 * max(one.error for one in forms(wide, still, fine, fine, DETECTORS) if one.margin == 5.0)
    names = ("gram", "window")
    bound = next(one for one in forms(wide, still, fine, fine, DETECTORS) if (one.name, one.margin) == ("window", 5.0))
    taken, weighed = best(wide, still, fine, fine, DETECTORS, tolerance, names)
    assert bound.error > tolerance
    assert (taken.name, taken.error < bound.error) == ("window", True)
    assert taken in weighed
    exact = stem_images(wide, still, fine, fine, DETECTORS, form="gram").array
    made = grams_of(wide, still, fine, fine, DETECTORS, taken)
    array = np.stack([np.asarray(image_of(grams, made.origin, still, fine, fine)) for grams in made.grams])
    error = np.sqrt(((array - exact) ** 2).mean(axis=(1, 2))) / exact.mean(axis=(1, 2))
    assert error.max() < taken.error
    assert error.max() > 0.05 * taken.error


def test_sparse_probes_are_as_exact_as_they_state():
    """An image four times as fine as its band asks, with a source of 0.3 angstrom, of phonons: no field of view that repeats."""
    wide, still = scene((1, 2), (5, 5, 2), 140), eqx.tree_at(lambda one: one.focal_spread, BEAM, jnp.zeros(()))
    x, y = np.linspace(0.0, A, 48) + 2 * A, np.linspace(0.0, 0.6 * A, 30) + 2 * A
    exact = stem_images(wide, still, x, y, DETECTORS, form="gram").array
    offered = [one for one in forms(wide, still, x, y, DETECTORS) if one.name == "sparse"]
    errors = []
    for spread, margin in ((3e-3, 0.0), (3e-4, 0.0), (3e-4, 3.0)):
        form = next(one for one in offered if (one.spread, one.margin) == (spread, margin))
        found = stem_images(wide, still, x, y, DETECTORS, tolerance=1.001 * form.error, form="sparse")
        error = np.abs(found.array - exact).max(axis=(1, 2)) / exact.mean(axis=(1, 2))
        assert error.max() < 3.0 * found.form.error
        errors.append(error.max())
    assert errors[1] < 0.3 * errors[0]
    tailed = eqx.tree_at(lambda one: one.tail, still, jnp.asarray(0.1))
    assert "sparse" not in {one.name for one in forms(wide, tailed, x, y, DETECTORS)}


def test_prism_is_as_exact_as_it_states_and_better_with_less_interpolation(perfect):
    """Two configurations, a focal spread, on a specimen whose half is wider than the beam."""
    wide = scene((1, 2), (6, 6, 2), 168)
    sharp, _ = perfect
    exact = stem_images(wide, sharp, X, Y, DETECTORS, form="gram")
    offered = [one for one in forms(wide, sharp, X, Y, DETECTORS) if one.name == "prism"]
    errors = []
    for factor in (3, 2):
        form = next(one for one in offered if one.interpolation == factor)
        found = stem_images(wide, sharp, X, Y, DETECTORS, tolerance=1.001 * form.error, form="prism")
        assert found.form.error <= 1.001 * form.error
        error = np.sqrt(((found.array - exact.array) ** 2).mean(axis=(1, 2))) / exact.array.mean(axis=(1, 2))
        assert error.max() < found.form.error
        errors.append(error.max())
        assert found.through == pytest.approx(exact.through, abs=0.02)
    assert errors[1] < errors[0]
    assert "prism" not in {one.name for one in forms(wide, sharp, X, Y, DETECTORS, memory=10**6)}


def test_diffuse_scattering_is_not_asked_of_a_damped_potential(perfect):
    sharp, _ = perfect
    damped = dataclasses.replace(scene(), options=(("thermal", "debye-waller"),))
    with pytest.raises(ValueError, match=r"detector 0 reaches beyond 42\.8 mrad"):
        stem_images(damped, sharp, X, Y, DETECTORS)
    assert stem_images(damped, sharp, X, Y, DETECTORS[1:], form="crystal").array.shape == (1, 5, 6)


def test_the_cheapest_exact_enough_is_taken():
    weighed = [
        Form("direct", 100.0, 1e-4),
        Form("window", 5.0, 2e-2, 3.0),
        Form("window", 9.0, 4e-3, 5.0),
        Form("gram", 30.0, 1e-4),
    ]
    assert choose(weighed, 1e-3).name == "gram"
    assert choose(weighed, 1e-2).margin == 5.0
    assert choose(weighed, 5e-2).margin == 3.0
    with pytest.raises(ValueError, match=r"no form is exact to 1\.0e-05"):
        choose(weighed, 1e-5)


def test_what_may_be_chosen_follows_from_the_scene():
    names = {one.name for one in forms(scene(), BEAM, X, Y, DETECTORS)}
    assert {"direct", "gram", "crystal"} <= names
    assert "crystal" not in {one.name for one in forms(scene((1,)), BEAM, X, Y, DETECTORS)}
    few = forms(scene((1,)), eqx.tree_at(lambda one: one.focal_spread, BEAM, jnp.zeros(())), X[:2], Y[:2], DETECTORS)
    assert few[0].name == "direct"
    assert forms(scene(), BEAM, np.linspace(0, A, 64), np.linspace(0, A, 64), DETECTORS)[0].name == "crystal"
    found = stem_images(scene(), BEAM, X, Y, DETECTORS, tolerance=1e-2)
    assert found.form == choose(found.forms, 1e-2)
    with pytest.raises(ValueError, match="no form 'magic'"):
        stem_images(scene(), BEAM, X, Y, DETECTORS, form="magic")


def test_what_lies_outside_a_window_shrinks_with_it_and_grows_with_defocus():
    shares = list(outside(scene(), BEAM, (1.0, 2.0, 4.0, 6.0)).values())
    assert all(a > b for a, b in itertools.pairwise(shares))
    far = eqx.tree_at(lambda one: one.coefficients, BEAM, coefficients({"C10": -120.0}))
    assert outside(scene(), far, (3.0,))[3.0] > 2 * outside(scene(), BEAM, (3.0,))[3.0]


def test_a_cell_that_is_not_the_specimens_is_refused():
    with pytest.raises(ValueError, match="is not the specimen's"):
        Scene(srtio3((4, 4, 3)), (112, 112), 6, (), (0.0, 0.0), srtio3((1, 1, 1)), (4, 4, 2))
    with pytest.raises(ValueError, match="not a whole number"):
        Scene(srtio3((4, 4, 3)), (112, 112), 7, (), (0.0, 0.0), srtio3((1, 1, 1)), (4, 4, 3))
