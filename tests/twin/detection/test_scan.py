"""Positions, times and doses of a scan, against the raster of the microscope, closed forms and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection import scan as scans
from twin.detection.scan import Distortion, positions
from twin.image.microscope import raster
from twin.records import Scan

SCAN = Scan(shape=(6, 8), pixel=0.25, dwell=1e-3, flyback=5e-3, dose=2e4)


def test_without_distortion_it_is_the_raster():
    np.testing.assert_array_equal(positions(SCAN), raster(SCAN))
    np.testing.assert_allclose(positions(SCAN, Distortion(drift=(2.0, -1.0))), raster(SCAN, (2.0, -1.0)), atol=1e-15)


def test_times_of_lines_and_pixels():
    times = scans.times(SCAN)
    assert times[0, 0] == 0.0
    assert times[0, 7] == pytest.approx(7e-3)
    assert times[1, 0] == pytest.approx(13e-3) == pytest.approx(scans.line_time(SCAN))
    assert scans.frame_time(SCAN) == pytest.approx(6 * 13e-3)


def test_rotation_scale_and_shear():
    """Corners of the raster go where the matrices by hand put them."""
    computed = np.asarray(
        positions(SCAN, Distortion(rotation=np.pi / 2, scale=(2.0, 3.0), shear=0.5, centre=(10.0, 20.0)))
    )
    x, y = raster(SCAN)[..., 0], raster(SCAN)[..., 1]
    np.testing.assert_allclose(computed[..., 0], 10.0 - 3.0 * y, atol=1e-12)
    np.testing.assert_allclose(computed[..., 1], 20.0 + 2.0 * x + 0.5 * y, atol=1e-12)


def test_a_smooth_field_goes_through_its_nodes_and_is_cubic_between():
    wide = Scan(shape=(13, 10), pixel=0.2)
    v, u = np.linspace(0.0, 1.0, 5), np.linspace(0.0, 1.0, 4)
    cubic = lambda x, y: np.stack([x**3 - y**2 * x, 0.3 * y**3 + x], axis=-1)  # noqa: E731
    field = cubic(u[None, :], v[:, None])
    computed = positions(wide, Distortion(field=field)) - positions(wide)
    exact = cubic(np.linspace(0.0, 1.0, 10)[None, :], np.linspace(0.0, 1.0, 13)[:, None])
    np.testing.assert_allclose(computed, exact, atol=1e-12)


def test_derivatives_of_positions():
    weights = jnp.asarray(np.random.default_rng(0).random((6, 8, 2)))

    @jax.jit
    def loss(u):
        distortion = Distortion(u[0], u[1:3], u[3], u[4:6], u[6:8], u[8:].reshape(2, 3, 2))
        return jnp.sum(weights * positions(SCAN, distortion) ** 2)

    at = np.concatenate([[0.2, 1.01, 0.98, 0.03, 0.5, -0.2, 3.0, 7.0], 0.1 * np.random.default_rng(1).random(12)])
    gradient = jax.grad(loss)(jnp.asarray(at))
    differences = [(loss(at + 1e-6 * unit) - loss(at - 1e-6 * unit)) / 2e-6 for unit in np.eye(20)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)


def test_dose_current_and_dwell_are_each_others_inverses():
    """100 pA for 10 us on pixels of 0.1 angstrom are 6,241.5 electrons, or 624,151 per square angstrom."""
    dose = scans.dose_of_current(100e-12, 0.1, 10e-6)
    assert dose == pytest.approx(624150.907, rel=1e-8)
    assert scans.current(dose, 0.1, 10e-6) == pytest.approx(100e-12, rel=1e-12)
    assert scans.dwell_of(dose, 100e-12, 0.1) == pytest.approx(10e-6, rel=1e-12)
    assert scans.electrons_per_pixel(SCAN) == pytest.approx(2e4 / 16)
    assert scans.electron_rate(SCAN.dose, SCAN.pixel, SCAN.dwell) == pytest.approx(1.25e6)


def test_dose_with_flyback_is_beam_on_time_over_area():
    rate, area = 1.25e6, 6 * 8 * 0.25**2
    assert scans.dose_per_area(SCAN) == pytest.approx(rate * scans.frame_time(SCAN) / area)
    assert scans.dose_per_area(SCAN, flyback=False) == pytest.approx(SCAN.dose)


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: positions(Scan(pixel=0.0)), "pixel"),
        (lambda: positions(Scan(dose=0.0)), "dose"),
        (lambda: positions(Scan(dwell=float("nan"))), "dwell"),
        (lambda: positions(Scan(flyback=-1.0)), "flyback"),
        (lambda: positions(Scan(shape=(0, 4))), "shape|pixels"),
        (lambda: Distortion(drift=(float("nan"), 0.0)), "drift"),
        (lambda: Distortion(field=np.zeros((1, 3, 2))), "nodes"),
        (lambda: scans.dose_of_current(0.0, 0.1, 1e-5), "current"),
        (lambda: scans.current(-1.0, 0.1, 1e-5), "dose"),
    ],
)
def test_scans_that_cannot_be_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
