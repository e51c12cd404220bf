"""The Gram model: its beams, layout, cache, speed, and invalid input of its builder; its physics is in tests/physics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.instrument.core.versions import check_version
from twin.optics.aberrations import coefficients
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram.crystal import VERSION, build_gram, centred_in_slices, operations, tilt_nodes
from twin.scattering.gram.model import GramModel, harmonics, image, widest_semiangle, with_semiangle
from twin.scattering.stem.beams import beams

SMALL: dict[str, Any] = {
    "repeats_xy": (2, 2),
    "cells_z": 3,
    "depths": (1, 2, 3),
    "seeds": (0,),
    "untilted_seeds": (),
    "detector": (30e-3, 55e-3),
    "gpts": 64,
}

REFERENCE = (
    1,
    {
        "gram_real": (0.00047448156, 2.5993144e-07),
        "gram_imag": (0.00013267946, 2.8083893e-07),
        "pair_j": (80.2785, 0.059417137),
        "pair_k": (47.092418, 0.064124733),
        "pair_step": (3.6939993, -0.0089281041),
        "row_sum": (0.11111111, -0.00023210485),
        "steps": (0.46370622, -0.013970464),
        "g": (0.91494865, -0.049884881),
        "k": (0.45889285, -0.014558618),
        "amplitude": (0.078811041, -3.6635645e-05),
        "phase_basis": (0.010851834, 2.7514902e-05),
        "shift_depth": (3.9007881, -2.7266913),
        "powers": (1.2909944, -0.17230084),
        "thickness_range": (8.7318455, -4.6080802),
        "tilt_range": (0.005, 0.0027015115),
        "cell": (3.905, -0.83273322),
        "energy": (200000, 108060.46),
        "semiangle": (0.0214, 0.011562469),
        "detector": (0.044300113, -0.018482416),
    },
)
"""A version of the model's numbers and, for each array, its fingerprint."""


@pytest.fixture(scope="module")
def model():
    reported = []
    built = build_gram(srtio3_unit(), **SMALL, progress=lambda text, share: reported.append((text, share)))
    shares = [share for _, share in reported]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    return built


def test_beams_of_the_default_cell():
    bundle = beams((11.715, 11.715), 200e3, 21.4e-3)
    assert len(bundle.k) == 349
    assert np.sum(bundle.amplitude**2) == pytest.approx(1.0)
    assert {tuple(index) for index in (-bundle.indices).tolist()} == {tuple(index) for index in bundle.indices.tolist()}


@pytest.mark.slow
def test_image_is_real_positive_periodic_and_symmetric(model):
    spectrum = harmonics(model, coefficients({"C10": 20.0}), 10.0, np.zeros(2), 30.0)
    assert spectrum.dtype == jnp.complex64
    assert abs(float(spectrum[0].imag)) < 1e-8
    axis = np.arange(8) * 3.905 / 8
    spots = np.stack(np.meshgrid(axis, axis), axis=-1)
    picture = np.asarray(image(model, spectrum, spots, 0.3))
    assert picture.dtype == np.float32
    assert picture.min() > 0.0
    np.testing.assert_allclose(
        image(model, spectrum, spots + np.array([3.905, -7.81])[None, None, :], 0.3), picture, atol=1e-7
    )
    np.testing.assert_allclose(picture, picture.T, atol=1e-7)
    assert picture[0, 0] == picture.max()
    np.testing.assert_allclose(picture.mean(), float(spectrum[0].real), rtol=0.01)


def test_a_batch_is_its_samples(model):
    vectors = np.stack([coefficients({"C10": size, "C12b": 7.0}) for size in (-40.0, 0.0, 40.0)])
    depths, tilts, spreads = (
        np.array([6.0, 8.0, 11.0]),
        np.array([[0, 0], [1e-3, 2e-3], [-4e-3, 1e-3]]),
        np.array([0.0, 20.0, 40.0]),
    )
    batch = jax.jit(jax.vmap(harmonics, in_axes=(None, 0, 0, 0, 0)))(model, vectors, depths, tilts, spreads)
    for row in range(3):
        sample = harmonics(model, vectors[row], depths[row], tilts[row], spreads[row])
        np.testing.assert_allclose(batch[row], sample, atol=2e-7 * float(abs(sample[0])) + 1e-9)


def test_arrays_carry_the_whole_model(model, tmp_path):
    np.savez(tmp_path / "model.npz", **model.to_arrays())
    with np.load(tmp_path / "model.npz") as stored:
        again = GramModel.from_arrays(dict(stored))
    arguments = (coefficients({"C10": -30.0, "C21a": 100.0}), 9.0, np.array([1e-3, -2e-3]), 25.0)
    np.testing.assert_array_equal(harmonics(again, *arguments), harmonics(model, *arguments))
    assert again.cell == model.cell
    assert again.detector == (30e-3, 55e-3)
    arrays = model.to_arrays()
    del arrays["gram_real"]
    with pytest.raises(ValueError, match="gram_real"):
        GramModel.from_arrays(arrays)


@pytest.mark.slow
def test_a_model_with_a_margin_holds_larger_apertures():
    wide = build_gram(srtio3_unit(), **SMALL, tilt_step=0.0, semiangle=20e-3, margin=0.2)
    larger = build_gram(srtio3_unit(), **SMALL, tilt_step=0.0, semiangle=23e-3)
    arguments = (coefficients({"C10": -30.0}), 9.0, np.zeros(2), 20.0)
    expected = harmonics(larger, *arguments)
    resized = harmonics(with_semiangle(wide, 23e-3), *arguments)
    # the wider model may hold harmonics beyond those of the other, which are zero
    pairs = {tuple(np.round(g, 6)): value for g, value in zip(wide.g, np.asarray(resized), strict=True)}
    matched = np.array([pairs[tuple(np.round(g, 6))] for g in larger.g])
    np.testing.assert_allclose(matched, expected, atol=1e-5 * float(abs(expected[0])))
    assert widest_semiangle(wide) >= 24e-3
    assert widest_semiangle(larger) == 23e-3


def test_the_same_seeds_give_the_same_model(model):
    again = build_gram(srtio3_unit(), **SMALL)
    np.testing.assert_array_equal(again.gram_real, model.gram_real)
    others: dict[str, Any] = {**SMALL, "seeds": (1,)}
    other = build_gram(srtio3_unit(), **others)
    assert np.abs(other.gram_real - model.gram_real).max() > 0.0


def test_numbers_of_the_version(model):
    # these three depths are fitted exactly: the residual is rounding
    arrays = {name: array for name, array in model.to_arrays().items() if name != "residual"}
    check_version("twin.scattering.gram.crystal", VERSION, arrays, REFERENCE)


@pytest.mark.parametrize(
    "options,problem",
    [
        ({"depths": (3, 2)}, "must rise"),
        ({"depths": (2, 9)}, "must rise"),
        ({"seeds": ()}, "seeds is empty"),
        ({"symmetry": "6mm"}, "symmetry"),
        ({"symmetry": "4mm", "periodic": False}, "periodic=True"),
        ({"repeats_xy": (2, 3), "gpts": 96}, "does not have the symmetry"),
        ({"repeats_xy": (1, 1), "cells_z": 20, "depths": (20,)}, "too small for a probe"),
        ({"detector": (30e-3, 120e-3)}, "use more gpts"),
        ({"detector": (55e-3, 30e-3)}, "does not lie within"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], problem):
    with pytest.raises(ValueError, match=problem):
        build_gram(srtio3_unit(), **(SMALL | options))


def test_point_groups_and_stencil():
    assert [len(operations(kind)) for kind in (None, "2", "2mm", "4", "4mm")] == [1, 2, 4, 4, 8]
    assert len({operation.tobytes() for operation in operations("4mm")}) == 8
    assert tilt_nodes(0.0).shape == (1, 2)
    assert sorted(map(tuple, tilt_nodes(1.0).tolist())) == [(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)]


def test_planes_lie_in_the_middles_of_slices():
    z = centred_in_slices(srtio3_unit(), 2).get_positions()[:, 2] % (3.905 / 2)
    np.testing.assert_allclose(z, 3.905 / 4, atol=1e-9)
