"""The smooth dose against the exact one and its gradients against differences; descents on functions whose lowest point is known."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from learn.feasibility.assessment import Asked
from learn.feasibility.hypotheses import Change, hypotheses_of
from learn.feasibility.imaged import imaged
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Unknown, annular, camera, scanned, segments, signatures_of
from learn.feasibility.scans import Probe, finest_step, window_of
from learn.feasibility.search.climbing import climb
from learn.feasibility.search.imaging import images_of
from learn.feasibility.search.scanning import Form, narrowed, scans_of
from learn.feasibility.search.smooth import log_dose
from learn.information import dose_for
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging
from twin.sample.specimen import srtio3
from twin.scattering.stem.beams import beams

SEMIANGLE, ENERGY, REACH = 20e-3, 200e3, 60e-3
GRID = Grid((72, 72), 8, ENERGY, SEMIANGLE, REACH, (1, 2), before=2)
CELLS = (2, 2, 4)
PROBE = Probe(coefficients({"C10": -30.0}), 0.4)
UNKNOWN = Unknown(
    {"C10": 20.0, "C12a": 10.0, "C12b": 10.0, "source": 0.1, "thickness": 20.0},
    {"x": np.inf, "y": np.inf, "thickness": 2.0},
    0.02,
)
ASKED = {references: Asked(0.95, 0.01, 1, references) for references in (0, 3)}
WINDOW = window_of((3.905, 3.905), (3.905, 3.905), finest_step(SEMIANGLE, ENERGY))
FORMS: dict[Form, tuple[Callable[[Matrices], Detector], dict[str, float]]] = {
    "annular": (lambda each: annular(each, 25e-3, 50e-3), {"inner": 25e-3, "outer": 50e-3}),
    "dpc": (lambda each: segments(each, 10e-3, 40e-3, 4), {"inner": 10e-3, "outer": 40e-3}),
    "4d-stem": (lambda each: camera(each, 50e-3, 4e-3, 0.01), {"reach": 50e-3}),
}


@functools.cache
def made() -> tuple[Matrices, tuple[Matrices, ...]]:
    hypotheses = hypotheses_of(srtio3((1, 1, 1)), CELLS, Change("substitution", "Sr", "La"), 2)
    return matrices_of(hypotheses.perfect, GRID), tuple(matrices_of(each, GRID) for each in hypotheses.changed)


def option(form: Form, semiangle: float = SEMIANGLE) -> tuple[Callable[..., Array], Any, dict[str, float]]:
    """The objective, its data, and settings."""
    perfect, changed = made()
    readout = 0.01 if form == "4d-stem" else 0.0
    scans = scans_of(
        perfect, changed, WINDOW, PROBE, form, UNKNOWN, SEMIANGLE, REACH, sectors=4, pixel=4e-3, readout=readout
    )
    settings = {"defocus": 30.0, "semiangle": semiangle, **FORMS[form][1]}

    def objective(values: Mapping[str, Array | float], data: Any, references: int = 3) -> Array:
        return log_dose(scans.signals(values, data), ASKED[references])

    return objective, scans.waves, settings


@pytest.mark.slow
@pytest.mark.parametrize("form", ["annular", "dpc", "4d-stem"])
def test_the_smooth_dose_is_the_exact_one_nearly(form: Form) -> None:
    perfect, changed = made()
    # without references what is not known of a recording counts, and with two configurations its chance
    for semiangle, references, off in ((20e-3, 3, 0.12), (15e-3, 3, 0.12), (20e-3, 0, 0.3)):
        objective, data, settings = option(form, semiangle)
        narrow, others = narrowed(perfect, semiangle), [narrowed(each, semiangle) for each in changed]
        (signature,), _ = signatures_of(scanned(narrow, others, WINDOW, PROBE), FORMS[form][0](narrow), UNKNOWN)
        exact = dose_for(signature, 0.95, 0.01, references)
        assert float(objective(settings, data, references)) == pytest.approx(np.log(exact), abs=off)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["annular", "dpc", "4d-stem"])
def test_gradients_are_differences(form: Form) -> None:
    objective, data, settings = option(form, 15e-3)
    exact = jax.tree.map(lambda each: each.astype(jnp.complex128), data)
    value, slopes = jax.jit(jax.value_and_grad(objective))(settings, exact)
    assert np.isfinite(float(value))
    evaluate = jax.jit(objective)
    for name, slope in slopes.items():
        step = 1e-3 * (10.0 if name == "defocus" else 5e-3)
        moved = [float(evaluate({**settings, name: settings[name] + sign * step}, exact)) for sign in (1.0, -1.0)]
        assert float(slope) == pytest.approx((moved[0] - moved[1]) / (2.0 * step), rel=2e-3, abs=1e-6), name


@pytest.mark.slow
def test_images_of_a_plane_wave_and_their_gradients() -> None:
    perfect, changed = made()
    lens = Imaging(coefficients({"C10": -60.0}), ENERGY, 30e-3, focal_spread=20.0)
    images = images_of(perfect, changed, WINDOW, lens, UNKNOWN)
    settings = {"defocus": 60.0, "c30": 0.0, "aperture": 30e-3}
    (signature,), _ = signatures_of(imaged(perfect, changed, WINDOW, lens), Detector(np.ones((1, 1))), UNKNOWN)

    def objective(values: Mapping[str, Array | float], data: Any) -> Array:
        return log_dose(images.signals(values, data), ASKED[3])

    value, slopes = jax.jit(jax.value_and_grad(objective))(settings, images.waves)
    assert float(value) == pytest.approx(np.log(dose_for(signature, 0.95, 0.01, 3)), abs=0.15)
    evaluate = jax.jit(objective)
    for name, step in (("defocus", 0.2), ("c30", 200.0), ("aperture", 2e-5)):
        moved = [
            float(evaluate({**settings, name: settings[name] + sign * step}, images.waves)) for sign in (1.0, -1.0)
        ]
        assert float(slopes[name]) == pytest.approx((moved[0] - moved[1]) / (2.0 * step), rel=2e-2, abs=1e-9), name


def test_a_narrowed_probe_is_one_of_that_semiangle() -> None:
    perfect, _ = made()
    narrow = narrowed(perfect, 12e-3)
    expected = beams(perfect.extent, ENERGY, 12e-3, True)
    np.testing.assert_array_equal(narrow.bundle.indices, expected.indices)
    np.testing.assert_allclose(narrow.bundle.amplitude, expected.amplitude)
    assert narrow.thinner is not None
    assert narrow.amplitudes.shape[1] == narrow.thinner.shape[1] == len(expected.k)
    with pytest.raises(ValueError, match="25 mrad"):
        narrowed(perfect, 25e-3)


def test_descents_find_the_lower_of_two_valleys_and_stop_at_bounds() -> None:
    def valleys(settings: Mapping[str, Any], data: Any) -> Array:
        x, y = settings["x"], settings["y"]
        return data * ((x**2 - 1.0) ** 2 + 0.3 * x) + 0.1 * (y - 5.0)

    descent = climb(valleys, jnp.asarray(2.0), {"x": (-2.0, 2.0), "y": (0.0, 10.0)}, [{"x": 1.2, "y": 9.0, "z": 4.0}])
    assert descent.best.settings["x"] == pytest.approx(-1.036, abs=0.05)
    assert descent.best.settings["y"] == pytest.approx(0.0, abs=0.2)
    assert descent.best.settings["z"] == 4.0
    assert descent.given[0].value == pytest.approx(float(valleys(descent.given[0].settings, 2.0)))
    assert descent.best.value < descent.given[0].value
    assert [each.value for each in descent.ends] == sorted(each.value for each in descent.ends)
    for ranges in ({"x": (1.0, 1.0)}, {"x": (0.0, np.inf)}, {}):
        with pytest.raises(ValueError, match=r"vary|begin"):
            climb(valleys, None, ranges, [{"x": 1.0, "y": 1.0}])
