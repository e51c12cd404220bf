"""A column's matrices against integrated rays, derivatives against differences, conserved quantities, and the laws of focus."""

import math

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest

from tests.twin.column.columns import column, generic, settings
from tests.twin.column.integrated import rays
from twin.column.column import Column
from twin.column.settings import Settings
from twin.lenses.cardinal import focus_change

COLUMN = column()
NOMINAL = jnp.asarray(COLUMN.nominal())


def controls_of(commanded: Settings):
    return jnp.asarray(commanded.vector(COLUMN.controls))


@pytest.mark.slow
@pytest.mark.parametrize(("start", "end"), [("gun", "specimen"), ("scan", "specimen"), ("specimen", "camera")])
def test_matrices_agree_with_integrated_rays(start: str, end: str):
    commanded = settings()
    matrix, rotation = rays(COLUMN, start, end, commanded)
    transfer = COLUMN.between(start, end, NOMINAL, controls_of(commanded), jnp.asarray(commanded.high_tension))
    # an entry that crosses zero has only the scale of its row and column
    scale = np.sqrt(np.abs(matrix).max(axis=1, keepdims=True) * np.abs(matrix).max(axis=0, keepdims=True))
    np.testing.assert_array_less(np.abs(transfer.matrix - matrix), 1e-6 * np.maximum(np.abs(matrix), 1e-3 * scale))
    assert float(transfer.rotation) == pytest.approx(rotation, rel=1e-8)
    assert float(jnp.linalg.det(transfer.matrix)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.smoke
def test_brightness_is_the_same_at_the_specimen():
    optics = COLUMN.optics(settings())
    constants = {constant.name: constant.mean for constant in COLUMN.constants}
    potential = 300e3 * (1 + 300e3 / (2 * 510998.95))
    area, angle = math.pi * float(optics.source_image) ** 2 / 4, math.pi * float(optics.semi_angle) ** 2
    assert float(optics.current) == pytest.approx(constants["gun.brightness"] * potential * area * angle, rel=1e-9)


def test_a_stronger_condenser_overfocuses_the_probe_and_a_stronger_objective_the_image():
    change = 1e-5
    for name, quantity in (("condenser2", "crossover"), ("diffraction", "focus")):
        exact = settings()
        value = exact.controls[f"lens.{name}"]
        weak, strong = (
            float(getattr(COLUMN.optics(settings(**{name: value * factor})), quantity))
            for factor in (1.0 - change, 1.0 + change)
        )
        assert strong > weak


def test_image_focus_follows_current_and_tension_by_the_chromatic_aberration():
    # with the image far away compared with the focal length, and nothing else changed
    d = _diffraction_for_focus()
    at_rest = COLUMN.optics(settings(diffraction=d))
    cc = float(at_rest.chromatic[1])
    step = 1e-5
    above, below = (
        float(COLUMN.optics(settings(diffraction=d, objective=0.88 * (1 + s))).focus) for s in (step, -step)
    )
    assert (above - below) / (2 * step) == pytest.approx(float(focus_change(cc, 300e3, current=1.0)), rel=0.03)


def test_step_of_a_coarse_objective_word_agrees_with_jeol_columns():
    # 73 nm near mid-scale, for a Cc of 1.2 mm: 2 Cc / 32768
    assert float(focus_change(1.2e7, 200e3, current=1 / 32768)) == pytest.approx(730.0, rel=0.02)


def _diffraction_for_focus() -> float:
    low, high = 0.45, 0.55
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(COLUMN.optics(settings(diffraction=middle)).focus) < 0 else (low, middle)
    return 0.5 * (low + high)


def test_in_focus_the_magnification_is_that_of_the_matrix_and_the_far_field_is_mixed_out():
    commanded = settings(diffraction=_diffraction_for_focus())
    matrix = COLUMN.between(
        "specimen", "camera", NOMINAL, controls_of(commanded), jnp.asarray(commanded.high_tension)
    ).matrix
    optics = COLUMN.optics(commanded)
    assert float(optics.magnification) == pytest.approx(abs(float(matrix[0, 0])), rel=1e-12)
    assert abs(float(matrix[0, 1])) < 1e-6 * 1e10
    assert abs(float(optics.focus)) < 1.0


def test_the_aperture_changes_only_semi_angle_and_current():
    small, large = COLUMN.optics(settings(C2=50e4)), COLUMN.optics(settings(C2=100e4))
    assert float(large.semi_angle) == pytest.approx(2 * float(small.semi_angle), rel=1e-12)
    assert float(large.current) == pytest.approx(4 * float(small.current), rel=1e-12)
    assert float(large.source_image) == pytest.approx(float(small.source_image), rel=1e-12)


def test_derivatives_are_those_of_finite_differences():
    vector = controls_of(settings(diffraction=0.6))

    def all_of(constants):
        o = COLUMN.of(constants, vector, 300e3)
        positive = [o.semi_angle, o.camera_length, o.magnification, o.current, o.probe_size]
        return jnp.stack([*(jnp.log(value) for value in positive), o.image_rotation, o.crossover / 1e4])

    along = jax.jit(lambda direction: jax.jvp(all_of, (NOMINAL,), (direction,))[1])
    generator = np.random.default_rng(0)
    spread = np.array([constant.std for constant in COLUMN.constants])
    for _ in range(6):
        direction = jnp.asarray(spread * generator.standard_normal(len(spread)))
        step = 1e-5
        differences = (all_of(NOMINAL + step * direction) - all_of(NOMINAL - step * direction)) / (2 * step)
        np.testing.assert_allclose(along(direction), differences, rtol=1e-5, atol=1e-5)


def test_unreported_settings_make_only_dependent_quantities_unknown():
    controls = dict(settings().controls)
    del controls["aperture.C2"]
    optics = COLUMN.optics(Settings(300e3, controls))
    assert math.isnan(float(optics.semi_angle))
    assert math.isnan(float(optics.current))
    assert math.isfinite(float(optics.camera_length))
    assert math.isfinite(float(optics.crossover))
    del controls["lens.projector1"]
    assert math.isnan(float(COLUMN.optics(Settings(300e3, controls)).camera_length))


def test_a_stigmator_turned_by_45_degrees_swaps_its_parts():
    table = generic()
    rotated_elements = [
        msgspec.structs.replace(element, azimuth_deg=45.0) if element.name == "condenser stigmator" else element
        for element in table.element
    ]
    optics = Column(msgspec.structs.replace(table, element=rotated_elements)).optics(settings(a=0.2, b=0.0))
    np.testing.assert_allclose(optics.twofold, [0.0, 0.2 * 500 * 10], atol=1e-9)
