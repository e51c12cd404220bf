"""Round lenses against closed forms, against electrons traced by the Lorentz force, and against conserved quantities."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.lenses import glaser
from twin.lenses.cardinal import asymptotic, focus_change, imaging, real
from twin.lenses.fields import VACUUM_PERMEABILITY, GlaserBell, GrivetLenz, Superposition, off_axis, slope, tabulated
from twin.lenses.paraxial import composed, transfer, transfer_of_drift
from twin.lenses.round_lens import RoundLens
from twin.lenses.tracing import trace

ENERGY = 200e3
MM = 1e7


@pytest.mark.parametrize("peak", [0.3, 1.0, 2.0, 4.0, 6.0])
def test_a_bell_by_rays_is_as_in_closed_form(peak: float):
    bell = GlaserBell(peak, 2 * MM, 3 * MM)
    k, omega = glaser.excitation(bell, ENERGY)
    outside = asymptotic(bell, ENERGY)
    focus, length = glaser.asymptotic_focus(bell, ENERGY)
    np.testing.assert_allclose([outside.image_focus, outside.focal_length], [focus, length], rtol=1e-9)
    np.testing.assert_allclose(outside.rotation, k * math.pi, rtol=1e-9)
    for crossover in range(1, math.ceil(omega)):
        computed = real(bell, ENERGY, crossover)
        np.testing.assert_allclose(
            [computed.focus, computed.focal_length], glaser.real_focus(bell, ENERGY, crossover), rtol=1e-9
        )
        np.testing.assert_allclose(computed.spherical, glaser.spherical(bell, ENERGY, crossover), rtol=1e-8)
        np.testing.assert_allclose(computed.chromatic, glaser.chromatic(bell, ENERGY, crossover), rtol=1e-8)


@pytest.mark.smoke
def test_a_weak_lens_has_the_focal_length_of_a_thin_one():
    # 1 / f = int b^2 dz (Busch)
    bell = GlaserBell(0.02, 2 * MM)
    k, _ = glaser.excitation(bell, ENERGY)
    thin = 2 * float(bell.half_width) / (math.pi * k**2)
    assert float(asymptotic(bell, ENERGY).focal_length) == pytest.approx(thin, rel=2e-3)


def test_a_lens_too_weak_for_a_real_focus_has_none():
    weak = GlaserBell(1.0, 2 * MM)
    assert math.isnan(float(real(weak, ENERGY, 2).focal_length))
    with pytest.raises(ValueError, match="no real focus number 2"):
        glaser.real_focus(weak, ENERGY, 2)


def test_planes_by_rays_and_in_closed_form_agree_and_keep_the_phase_space():
    bell = GlaserBell(2.3, 1.5 * MM, -1 * MM)
    closed = glaser.transfer(bell, -9 * MM, 7 * MM, ENERGY)
    stepped = transfer(bell, -9 * MM, 7 * MM, ENERGY, 600)
    np.testing.assert_allclose(stepped.matrix, closed.matrix, rtol=1e-8)
    np.testing.assert_allclose(stepped.rotation, closed.rotation, rtol=1e-10)
    assert float(jnp.linalg.det(closed.matrix)) == pytest.approx(1.0, abs=1e-9)
    reverse = transfer(bell, 7 * MM, -9 * MM, ENERGY, 600)
    np.testing.assert_allclose(reverse.matrix @ stepped.matrix, np.eye(2), atol=1e-6)
    # column by column: in units in which both entries are of order one
    halves = composed(glaser.transfer(bell, -9 * MM, 0.0, ENERGY), glaser.transfer(bell, 0.0, 7 * MM, ENERGY))
    np.testing.assert_allclose(halves.matrix, closed.matrix, rtol=1e-9)


def test_free_space_is_a_drift():
    nothing = transfer(GlaserBell(0.0, 1 * MM), 0.0, 5 * MM, ENERGY)
    np.testing.assert_allclose(nothing.matrix, transfer_of_drift(5 * MM).matrix, rtol=1e-12)
    assert float(nothing.rotation) == 0.0


@pytest.mark.parametrize("field", [GlaserBell(2.0, 2 * MM), GrivetLenz(2.0, 1.5 * MM)], ids=["bell", "Grivet-Lenz"])
@pytest.mark.slow
def test_traced_electrons_show_the_spherical_aberration_of_the_integral(field):
    position = float(real(field, ENERGY).focus) - 0.2 * MM
    computed = imaging(field, position, ENERGY)
    angles = np.array([5e-3, 15e-3, 25e-3])
    start = np.stack([0 * angles, 0 * angles, 0 * angles + position], axis=1)
    slopes = np.stack([np.tan(angles), 0 * angles], axis=1)
    end, _ = trace(field, jnp.asarray(start), jnp.asarray(slopes), float(computed.image), ENERGY, 1200)
    missed = np.hypot(*np.asarray(end)[:, :2].T) / abs(float(computed.magnification)) / np.tan(angles) ** 3
    np.testing.assert_allclose(missed, float(computed.spherical), rtol=2e-3)


@pytest.mark.slow
def test_traced_electrons_show_the_rotation_and_the_magnification():
    field = GlaserBell(2.0, 2 * MM)
    position = float(real(field, ENERGY).focus) - 0.2 * MM
    computed = imaging(field, position, ENERGY)
    end, _ = trace(field, jnp.array([[10.0, 0.0, position]]), jnp.zeros((1, 2)), float(computed.image), ENERGY, 1200)
    x, y = np.asarray(end)[0, :2]
    turn = float(computed.rotation)
    np.testing.assert_allclose(
        [x, y], 10.0 * float(computed.magnification) * np.array([math.cos(turn), math.sin(turn)]), rtol=1e-6
    )


@pytest.mark.parametrize("change", [1e-6, -1e-5])
def test_focus_follows_current_and_tension_by_the_chromatic_aberration(change: float):
    lens = RoundLens(0.0, 2 * MM, 15e3)
    at_rest = real(lens.field(1.0), ENERGY)
    stronger = real(lens.field(1.0 + change), ENERGY)
    faster = real(lens.field(1.0), ENERGY * (1.0 + change))
    # a stronger lens images a nearer plane to the same position: the specimen is then overfocused, C10 > 0
    per_current = (float(stronger.focus) - float(at_rest.focus)) / change
    per_tension = (float(faster.focus) - float(at_rest.focus)) / change
    cc = float(at_rest.chromatic)
    assert per_current == pytest.approx(float(focus_change(cc, ENERGY, current=1.0)), rel=2e-4)
    assert per_tension == pytest.approx(float(focus_change(cc, ENERGY, tension=1.0)), rel=2e-4)


@pytest.mark.slow
def test_derivatives_by_the_excitation_are_those_of_finite_differences():
    lens = RoundLens(0.0, 2 * MM, 12e3, 15e3, 40.0)

    def all_of(excitation):
        near, outside = real(lens.field(excitation), ENERGY), asymptotic(lens.field(excitation), ENERGY)
        return jnp.stack([near.focus, near.focal_length, near.spherical, near.chromatic, outside.focal_length])

    slope = jax.jacfwd(all_of)(1.1)
    step = 2e-5
    differences = (all_of(1.1 + step) - all_of(1.1 - step)) / (2 * step)
    # Cc is near its minimum: compare with its size, too
    np.testing.assert_array_less(jnp.abs(slope - differences), 1e-6 * jnp.abs(slope) + 1e-6 * jnp.abs(all_of(1.1)))


def test_saturation_keeps_the_ampere_turns_and_so_the_rotation():
    iron = RoundLens(0.0, 2 * MM, 20e3, saturation=10e3)
    ideal = RoundLens(0.0, 2 * MM, 20e3)
    z = np.linspace(-4000 * MM, 4000 * MM, 2_000_001)
    turns = np.trapezoid(np.asarray(iron.field(1.0)(z)), z) * 1e-10 / VACUUM_PERMEABILITY
    assert turns == pytest.approx(20e3, rel=1e-3)
    assert float(iron.field(1.0).peak) < 0.6 * float(ideal.field(1.0).peak)
    np.testing.assert_allclose(
        asymptotic(iron.field(1.0), ENERGY).rotation, asymptotic(ideal.field(1.0), ENERGY).rotation, rtol=1e-9
    )


@pytest.mark.slow
def test_a_table_of_a_bell_is_the_bell():
    bell = GlaserBell(1.5, 2 * MM, 1 * MM)
    z = 1 * MM + np.linspace(-60, 60, 1201) * MM
    table = tabulated(z, np.asarray(bell(z)))
    near = np.linspace(-10, 12, 37) * MM
    np.testing.assert_allclose(table(near), bell(near), rtol=1e-5)
    np.testing.assert_allclose(slope(table, near), slope(bell, near), atol=3e-4 * 1.5 / (2 * MM))
    assert float(real(table, ENERGY, steps=2000).focal_length) == pytest.approx(
        glaser.real_focus(bell, ENERGY)[1], rel=1e-3
    )
    assert float(table(np.array([70 * MM]))[0]) == 0.0


def test_the_field_off_the_axis_obeys_maxwell():
    field = Superposition((GlaserBell(1.5, 2 * MM), GrivetLenz(0.5, 1 * MM, 3 * MM)))
    r, z, step = np.array([0.4 * MM]), np.array([0.7 * MM]), 1e-3 * MM

    def at(dr, dz):
        across, along = off_axis(field, jnp.asarray(r + dr), jnp.asarray(z + dz))
        return float(across[0]), float(along[0])

    divergence = ((r[0] + step) * at(step, 0)[0] - (r[0] - step) * at(-step, 0)[0]) / (2 * step * r[0])
    divergence += (at(0, step)[1] - at(0, -step)[1]) / (2 * step)
    curl = (at(0, step)[0] - at(0, -step)[0] - at(step, 0)[1] + at(-step, 0)[1]) / (2 * step)
    assert abs(divergence) < 1e-6 * 1.5 / (2 * MM)
    assert abs(curl) < 1e-6 * 1.5 / (2 * MM)


@pytest.mark.parametrize(
    ("positions", "values", "message"),
    [
        (np.arange(6.0), np.full(6, np.nan), "not finite"),
        (np.arange(4.0), np.ones(4), "5 or more"),
        (np.array([0.0, 1, 3, 2, 4]), np.ones(5), "do not rise"),
        (np.arange(6.0), np.zeros(6), "zero everywhere"),
    ],
)
def test_a_table_that_is_no_field_is_refused(positions, values, message):
    with pytest.raises(ValueError, match=message):
        tabulated(positions, values)
