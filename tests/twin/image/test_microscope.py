"""The microscope: the affine map from the state, slopes against differences, the raster, counts."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstat

from tests.small import CELL, small_layout, small_microscope
from twin.image.microscope import (
    PARAMETERS,
    Calibration,
    affine_optics,
    black_scale,
    counting_cumulant,
    counting_variance,
    electrons_per_pixel,
    images,
    images_and_slopes,
    raster,
    to_fraction,
)
from twin.optics.electrons import kappa
from twin.records import Scan
from twin.state import FIELD

SCAN = Scan(shape=(8, 8), pixel=CELL / 8)
BLACK = jnp.asarray(black_scale(Calibration(), SCAN), dtype=jnp.float64)
LAYOUT = small_layout()
POINT = {
    name: LAYOUT.prior_mean()[LAYOUT.index(name)] + (0.4 - 0.05 * number) * LAYOUT.prior_std()[LAYOUT.index(name)]
    for number, name in enumerate(PARAMETERS)
}
"""Off the middle of the priors, by another share of each standard deviation."""
SPREAD = {name: LAYOUT.prior_std()[LAYOUT.index(name)] for name in PARAMETERS} | {"x": 0.4, "y": 0.4, "C30": 3e4}
STEPS = {name: 0.06 * spread for name, spread in SPREAD.items()}


def parameters(**changed: float) -> np.ndarray:
    values = {**POINT, **{name.replace("__", "."): value for name, value in changed.items()}}
    return np.array([values[name] for name in PARAMETERS])


def pictures(points: np.ndarray, scan: Scan = SCAN, drift=(0.0, 0.0)) -> np.ndarray:
    return np.asarray(
        images(small_microscope(), jnp.asarray(points), jnp.asarray(raster(scan, drift).reshape(-1, 2)), BLACK)
    )


def test_high_tension_and_current_defocus_through_the_chromatic_aberration():
    """dC10 = Cc (2 dI/I - kappa dV/V), and every other entry by its name."""
    layout, calibration = small_layout(), Calibration(energy=300e3, cc=1.5e7)
    settings = {"C10": 80.0, "C12.a": -4.0, "C12.b": 6.0, "beam_shift.x": 12.0, "beam_shift.y": -7.0}
    matrix, offset = affine_optics(layout, calibration, settings)
    state = np.random.default_rng(0).normal(size=len(layout)) * layout.prior_std()

    def of(name):
        return state[layout.index(name)]

    optics = dict(zip(PARAMETERS, matrix @ state + offset, strict=True))
    focus = 80.0 * (1 + of("C10.scale")) + of("C10") + of("C10.memory") + of("C10.memory.slow")
    focus += 1.5e7 * (2 * 1e-6 * of("current") - kappa(300e3) * 1e-6 * of("HT"))
    assert optics["C10"] == pytest.approx(focus)
    assert optics["C12a"] == pytest.approx(of("C12a") - 4.0)
    assert optics["C12b"] == pytest.approx(of("C12b") + 6.0)
    assert optics["x"] == pytest.approx(of("x") + 12.0 * (1 + of("shift.xx")) - 7.0 * of("shift.xy"))
    assert optics["y"] == pytest.approx(of("y") + 12.0 * of("shift.yx") - 7.0 * (1 + of("shift.yy")))
    for name in ("C21a", "C23b", "C30", "thickness", "tilt.x", "source", "gain", "black", *FIELD):
        assert optics[name] == of(name)
    # 200 kV, by hand: kappa = (1 + E/mc2) / (1 + E/2mc2) = 1.1637; one part per million of tension is -14 angstrom at Cc 1.2 mm
    matrix, _ = affine_optics(layout, Calibration(), {})
    assert matrix[0, layout.index("HT")] == pytest.approx(-12.0 * 1.1637, rel=1e-3)


@pytest.mark.slow
def test_slopes_are_differences():
    """Central differences, extrapolated from two steps; the rest is float32 rounding."""
    point = parameters()
    shifted = []
    for row, name in enumerate(PARAMETERS):
        for factor in (1.0, -1.0, 2.0, -2.0):
            shifted_point = point.copy()
            shifted_point[row] += factor * STEPS[name]
            shifted.append(shifted_point)
    shifted_images = pictures(np.stack(shifted)).reshape(len(PARAMETERS), 4, -1)
    value, slopes = images_and_slopes(
        small_microscope(), jnp.asarray(point[None]), jnp.asarray(raster(SCAN).reshape(-1, 2)), BLACK
    )
    np.testing.assert_allclose(value[0], pictures(point[None])[0], rtol=1e-6)
    for row, name in enumerate(PARAMETERS):
        short_difference = (shifted_images[row, 0] - shifted_images[row, 1]) / (2 * STEPS[name])
        long_difference = (shifted_images[row, 2] - shifted_images[row, 3]) / (4 * STEPS[name])
        expected = (4 * short_difference - long_difference) / 3
        slope = np.asarray(slopes)[0, :, row]
        rounding = 3e-7 * float(value.max()) / STEPS[name] * np.sqrt(len(slope))
        assert np.linalg.norm(slope - expected) < 1e-3 * np.linalg.norm(expected) + rounding, name
        assert np.linalg.norm(expected) > 30 * rounding, name


@pytest.mark.slow
def test_an_image_shows_the_lattice():
    """Moved by a cell it is the same; moved by a pixel it is rolled by one; thicker is brighter; a source blurs."""
    points = np.stack(
        [
            parameters(**dict.fromkeys((name.replace(".", "__") for name in FIELD), 0.0)),
            parameters(x=POINT["x"] + CELL, **dict.fromkeys((name.replace(".", "__") for name in FIELD), 0.0)),
            parameters(x=POINT["x"] - CELL / 8, **dict.fromkeys((name.replace(".", "__") for name in FIELD), 0.0)),
            parameters(thickness=31.0),
            parameters(source=0.6),
        ]
    )
    plain, cell, pixel, thicker, blurred = pictures(points).reshape(5, 8, 8)
    np.testing.assert_allclose(cell, plain, rtol=1e-4)
    np.testing.assert_allclose(pixel, np.roll(plain, 1, axis=1), rtol=1e-4)
    reference = pictures(parameters()[None])[0]
    assert thicker.mean() > 1.05 * reference.mean()
    assert blurred.std() < 0.8 * reference.std()
    np.testing.assert_allclose(blurred.mean(), reference.mean(), rtol=0.05)


def test_gain_black_and_field_act_on_the_whole_image():
    zero = dict.fromkeys((name.replace(".", "__") for name in FIELD), 0.0)
    plain, louder, level, field, brighter = pictures(
        np.stack(
            [
                parameters(gain=0.0, black=0.0, **zero),
                parameters(gain=0.1, black=0.0, **zero),
                parameters(gain=0.0, black=40.0, **zero),
                parameters(gain=0.0, black=0.0, **{**zero, "field__sx": 0.1}),
                parameters(gain=0.0, black=0.0, **{**zero, "field__level": 0.1}),
            ]
        )
    )
    np.testing.assert_allclose(louder, np.exp(0.1) * plain, rtol=1e-6)
    np.testing.assert_allclose(brighter, 1.1 * plain, rtol=1e-6)
    np.testing.assert_allclose(level - plain, 40.0 / (20.0 * electrons_per_pixel(SCAN)), rtol=1e-9)
    angle = 2 * np.pi * (raster(SCAN)[..., 0].reshape(-1) + POINT["x"]) / CELL
    np.testing.assert_allclose(field / plain, 1 + 0.1 * np.sin(angle), rtol=1e-6)


def test_drift_shears_the_raster():
    scan = Scan(shape=(4, 3), pixel=0.5, dwell=1e-2, flyback=2e-2)
    still, moving = raster(scan), raster(scan, (2.0, -1.0))
    np.testing.assert_allclose(still[1, 2], [0.25, -0.5])
    np.testing.assert_allclose(still.mean(axis=(0, 1)), [-0.25, -0.25])
    seconds = np.arange(4)[:, None] * 0.05 + np.arange(3)[None, :] * 0.01
    np.testing.assert_allclose(moving[..., 0] - still[..., 0], 2.0 * seconds)
    np.testing.assert_allclose(moving[..., 1] - still[..., 1], -seconds)


def test_counts_have_the_fraction_and_the_variance_that_are_stated():
    calibration, generator = Calibration(), np.random.default_rng(2)
    scan = Scan(dose=3e3)
    for fraction in (0.003, 0.06, 0.2):
        electrons = generator.poisson(fraction * electrons_per_pixel(scan), 200_000)
        counts = (
            calibration.gain * electrons + calibration.black + calibration.readout * generator.standard_normal(200_000)
        )
        measured = to_fraction(calibration, scan, counts)
        stated = float(counting_variance(calibration, scan, np.array([fraction]))[0])
        assert measured.mean() == pytest.approx(fraction, abs=5 * np.sqrt(stated / 200_000))
        assert measured.var() == pytest.approx(stated, rel=0.02)
        fourth = float(counting_cumulant(scan, np.array([fraction]))[0])
        assert kstat(measured, 4) == pytest.approx(fourth, abs=0.08 * stated**2)
