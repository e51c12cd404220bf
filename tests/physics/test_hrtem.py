"""Images by the objective lens: weak specimens by the transfer function, strong ones by averaging, and both against published figures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.physics.checks.evidence import kirkland_row
from twin.grid import band_limit
from twin.optics.aberrations import NAMES, coefficients, from_polar, index, phase
from twin.optics.averaging import averaged_image, coherence_difference
from twin.optics.coherence import temporal_envelope
from twin.optics.contrast import (
    amplitude_contrast,
    information_limit,
    phase_contrast,
    point_resolution,
    scherzer_defocus,
)
from twin.optics.electrons import interaction_constant, wavelength
from twin.optics.probe import nearest_tilt, plane_wave
from twin.optics.source import plane, tilt_offsets
from twin.optics.transfer import (
    Imaging,
    focal_series,
    objective_aperture,
    quasi_coherent_image,
    refocused,
)
from twin.scattering.multislice import multislice, propagator

ENERGY = 200e3
LENGTH = wavelength(ENERGY)
SHAPE, EXTENT = (48, 64), (20.0, 15.0)
_LOW = {"C10": -500.0, "C12a": 60.0, "C12b": -40.0, "C21a": 900.0, "C21b": -500.0, "C23a": 700.0, "C30": 1.0e7}
GENERAL = _LOW | {"C32b": 3e5, "C34a": -4e5, "C41a": 2e7, "C45b": 3e7, "C50": 5e8, "C56a": 4e8}


def fringe(number, shape=SHAPE, extent=EXTENT):
    """cos(2 pi q.r) on the grid and q (x, y) in 1/angstrom, for whole numbers of periods (x, y) in the cell."""
    x, y = np.arange(shape[1]) / shape[1], np.arange(shape[0]) / shape[0]
    return np.cos(2 * np.pi * (number[0] * x[None, :] + number[1] * y[:, None])), (
        number[0] / extent[0],
        number[1] / extent[1],
    )


def lens(**changes):
    arguments = {"coefficients": coefficients({"C10": -600.0, "C30": 1.2e7}), "energy": ENERGY} | changes
    return Imaging(**arguments)


def harmonic(picture, number):
    """Fourier coefficient of a picture at a fringe, of its mean."""
    return np.fft.fft2(picture)[number[1] % picture.shape[0], number[0] % picture.shape[1]] / picture.sum()


@pytest.mark.parametrize("number", [(3, 0), (2, 3), (5, -4)])
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (1.5e-3, -0.8e-3)])
def test_weak_phase_grating_has_the_contrast_of_the_transfer_function(number, tilt):
    """exp(i a cos(2 pi q.r)) images as 1 + 2 a Re(H exp(2 pi i q.r)), H = sin chi without odd aberrations or tilt; to order a^2."""
    grating, q = fringe(number)
    imaging = lens(coefficients=coefficients(GENERAL), tilt=tilt)
    weak = 1e-4
    computed = harmonic(np.asarray(quasi_coherent_image(np.exp(1j * weak * grating), EXTENT, imaging)), number) / weak
    expected = complex(phase_contrast(imaging, np.asarray(q[0]), np.asarray(q[1])))
    assert abs(computed - expected) < 1e-7 + 2 * weak
    dark = harmonic(np.asarray(quasi_coherent_image((1.0 - weak * grating) + 0j, EXTENT, imaging)), number) / weak
    assert abs(dark + complex(amplitude_contrast(imaging, np.asarray(q[0]), np.asarray(q[1])))) < 1e-7 + 2 * weak


@pytest.mark.parametrize("number", [(3, 0), (2, 3), (4, -4)])
def test_contrast_is_twice_sigma_v_sine_chi(number):
    grating, q = fringe(number)
    height = 1e-4 / interaction_constant(ENERGY)
    wave = np.exp(1j * interaction_constant(ENERGY) * height * grating)
    imaging = lens()
    picture = np.asarray(quasi_coherent_image(wave, EXTENT, imaging))
    square = q[0] ** 2 + q[1] ** 2
    chi = np.pi * LENGTH * -600.0 * square + 0.5 * np.pi * LENGTH**3 * 1.2e7 * square**2
    np.testing.assert_allclose(picture, 1.0 + 2e-4 * np.sin(chi) * grating, atol=5e-8)
    assert abs(np.sin(chi)) > 0.1


def test_kirklands_row_of_atoms_with_kirklands_atoms():
    """Kirkland, Advanced Computing in Electron Microscopy, Fig. 5.12: C Si Cu Au U in a row at 200 kV, from 0.72 to 1.03; uranium is darkest."""
    lowest, highest, position = kirkland_row()
    assert round(lowest, 2) == 0.72
    assert round(highest, 2) == 1.03
    assert abs(position - 45.0) < 0.1


def test_vacuum_is_one():
    vacuum = np.ones((2, *SHAPE), np.complex64)
    imaging = lens(semiangle=10e-3, focal_spread=40.0, convergence=2e-4, vibration=(0.5, 0.2, 0.3), tilt=(1e-3, 0.0))
    computed = np.asarray(quasi_coherent_image(vacuum, EXTENT, imaging))
    assert computed.dtype == np.float32
    assert computed.shape == (2, *SHAPE)
    np.testing.assert_allclose(computed, 1.0, atol=1e-5)
    np.testing.assert_allclose(averaged_image(vacuum, EXTENT, imaging, 5, 3), 1.0, atol=1e-5)


COHERENCE = {
    "focal spread": {"focal_spread": 60.0},
    "convergence": {"convergence": 1e-4},
    "vibration": {"vibration": (0.8, 0.3, 0.5)},
}


@pytest.mark.parametrize("kind", COHERENCE)
def test_envelope_and_average_agree_for_a_weak_specimen_and_not_for_a_strong_one(kind):
    """Difference of the contrast, of the contrast's own size: of the order of the specimen's phase when weak, far larger when strong."""
    imaging = Imaging(coefficients({"C10": -4000.0, "C30": 1.2e7}), ENERGY, semiangle=16e-3, **COHERENCE[kind])
    grating = fringe((5, 0))[0] + fringe((3, 4))[0] + 0.7 * fringe((0, 5))[0]
    difference, damped = {}, {}
    for strength in (1e-3, 0.8):
        wave = np.exp(1j * strength * grating)
        comparison = coherence_difference(wave, EXTENT, imaging, 15, 9)
        contrast = float(np.std(np.asarray(comparison.averaged)))
        difference[strength] = comparison.rms / contrast
        sharp = np.asarray(quasi_coherent_image(wave, EXTENT, Imaging(imaging.coefficients, ENERGY, semiangle=16e-3)))
        damped[strength] = float(np.std(np.asarray(comparison.averaged) - sharp)) / contrast
        assert comparison.maximum >= comparison.rms
        assert comparison.quadrature < 1e-3
    assert difference[1e-3] < 5e-3
    assert damped[1e-3] > 0.08
    assert difference[0.8] > 0.2


def test_quadratures_that_are_too_coarse_are_refused():
    """15 nodes follow a phase of a few radian rms, not one of 20; 31 follow one of 8 and more."""
    wave = np.exp(0.1j * sum(fringe((number, 2))[0] for number in range(9, 14)))
    with pytest.raises(ValueError, match="more nodes"):
        averaged_image(wave, EXTENT, lens(focal_spread=1000.0))
    few, many = (averaged_image(wave, EXTENT, lens(semiangle=25e-3, focal_spread=100.0), n) for n in (31, 61))
    np.testing.assert_allclose(few, many, atol=1e-4)


def test_average_is_the_sum_of_tilted_and_defocused_images():
    """The explicit average over 2 foci and 4 tilts against 8 coherent images made one by one, each with its own exit wave."""
    rng = np.random.default_rng(3)
    waves = np.exp(0.3j * rng.standard_normal((4, *SHAPE)))
    imaging = lens(
        coefficients=coefficients(GENERAL), semiangle=12e-3, focal_spread=40.0, convergence=3e-4, tilt=(1e-3, 5e-4)
    )
    computed = averaged_image(waves, EXTENT, imaging, 2, 2, per_tilt=True)
    tilts, _ = tilt_offsets(3e-4, 2)
    expected = np.zeros(SHAPE)
    for wave, tilt in zip(waves, tilts, strict=True):
        for c10 in (-40.0, 40.0):
            sharp = lens(
                coefficients=coefficients(GENERAL | {"C10": -500.0 + c10}),
                semiangle=12e-3,
                tilt=np.array([1e-3, 5e-4]) + tilt,
            )
            expected += np.asarray(quasi_coherent_image(wave, EXTENT, sharp)) / 8
    np.testing.assert_allclose(computed, expected, atol=1e-9)
    alike = averaged_image(np.stack([waves[0]] * 4), EXTENT, imaging, 2, 2, per_tilt=True)
    np.testing.assert_allclose(alike, averaged_image(waves[0], EXTENT, imaging, 2, 2), atol=1e-12)
    assert np.abs(np.asarray(computed) - np.asarray(alike)).max() > 0.05


def test_tilted_illumination_shifts_a_defocused_image():
    """A beam tilted by t displaces the image by C10 t (the slope of chi at the direct beam), and with coma-free optics by nothing else."""
    grating = fringe((2, 3))[0] + fringe((3, -1))[0]
    wave = np.exp(0.2j * grating)
    tilt, c10 = (2e-3, -1e-3), -300.0
    straight = np.asarray(quasi_coherent_image(wave, EXTENT, lens(coefficients=coefficients({"C10": c10}))))
    tilted = np.asarray(quasi_coherent_image(wave, EXTENT, lens(coefficients=coefficients({"C10": c10}), tilt=tilt)))
    kx, ky = plane(SHAPE, EXTENT)
    turn = np.exp(-2j * np.pi * c10 * (kx * tilt[0] + ky * tilt[1]))
    np.testing.assert_allclose(tilted, np.fft.ifft2(np.fft.fft2(straight) * turn).real, atol=1e-9)
    assert np.abs(tilted - straight).max() > 0.05


def test_tilt_in_the_column_frame_is_the_tilted_plane_wave():
    """A wave that carries exp(2 pi i k0.r) itself, imaged on the axis, against the same in the frame of the tilted beam."""
    wave = np.exp(0.4j * (fringe((2, 3))[0] + fringe((4, 0))[0]))
    k0 = np.array([2 / EXTENT[0], -1 / EXTENT[1]])
    carrier = np.exp(2j * np.pi * (2 * np.arange(SHAPE[1])[None] / SHAPE[1] - np.arange(SHAPE[0])[:, None] / SHAPE[0]))
    vector = coefficients(GENERAL)
    expected = quasi_coherent_image(wave * carrier, EXTENT, lens(coefficients=vector, semiangle=13e-3, edge=2e-3))
    tilted = quasi_coherent_image(wave, EXTENT, lens(coefficients=vector, semiangle=13e-3, edge=2e-3, tilt=k0 * LENGTH))
    np.testing.assert_allclose(tilted, expected, atol=1e-9)


def test_focus_refers_to_the_exit_face():
    """Vacuum of thickness z behind the specimen is C10 raised by z: the lens is set to a plane further up."""
    wave = np.exp(0.4j * (fringe((2, 3))[0] + fringe((4, 0))[0]))
    kernel = propagator(SHAPE, EXTENT, ENERGY, 150.0, dtype=jnp.complex128)
    behind = multislice(jnp.asarray(wave), jnp.ones((1, *SHAPE), jnp.complex128), kernel)
    computed = quasi_coherent_image(behind, EXTENT, lens(semiangle=20e-3, focal_spread=10.0))
    expected = quasi_coherent_image(
        wave, EXTENT, lens(coefficients=coefficients({"C10": -450.0, "C30": 1.2e7}), semiangle=20e-3, focal_spread=10.0)
    )
    np.testing.assert_allclose(computed, expected, atol=1e-9)


def test_tilt_is_that_of_multislice():
    """A tilted plane wave through a thick specimen, imaged on the axis, against a straight one through it tilted the other way, imaged with the beam's tilt."""
    tilt = nearest_tilt(EXTENT, ENERGY, (4e-3, -3e-3))
    height = np.stack([fringe((2, 1))[0], fringe((1, -2))[0], fringe((0, 2))[0]])
    slices = jnp.asarray(np.exp(0.05j * height))
    start = plane_wave(SHAPE, EXTENT, ENERGY, tilt, jnp.complex128)
    carried = multislice(start, slices, propagator(SHAPE, EXTENT, ENERGY, 60.0, dtype=jnp.complex128))
    leaning = propagator(SHAPE, EXTENT, ENERGY, 60.0, (-tilt[0], -tilt[1]), jnp.complex128)
    columns = multislice(jnp.ones(SHAPE, jnp.complex128), slices, leaning)
    vector = coefficients(GENERAL)
    computed = np.asarray(quasi_coherent_image(columns, EXTENT, lens(coefficients=vector, semiangle=16e-3, tilt=tilt)))
    expected = np.asarray(quasi_coherent_image(carried, EXTENT, lens(coefficients=vector, semiangle=16e-3)))
    np.testing.assert_allclose(computed, expected, atol=1e-5)
    other = quasi_coherent_image(columns, EXTENT, lens(coefficients=vector, semiangle=16e-3, tilt=(-tilt[0], -tilt[1])))
    assert np.abs(np.asarray(other) - expected).max() > 0.02


def test_focal_series_is_its_images():
    wave = np.exp(0.5j * (fringe((2, 3))[0] + fringe((4, 0))[0])).astype(np.complex64)
    imaging = lens(semiangle=14e-3, focal_spread=30.0, convergence=2e-4, vibration=(0.3, 0.3, 0.0))
    steps = np.array([-200.0, 0.0, 350.0])
    series = np.asarray(focal_series(wave, EXTENT, imaging, steps))
    assert series.shape == (3, *SHAPE)
    for step, picture in zip(steps, series, strict=True):
        single = quasi_coherent_image(wave, EXTENT, refocused(imaging, jnp.asarray(step)))
        np.testing.assert_allclose(picture, single, atol=2e-6)
        focused = lens(**{**vars(imaging), "coefficients": coefficients({"C10": -600.0 + step, "C30": 1.2e7})})
        np.testing.assert_allclose(picture, quasi_coherent_image(wave, EXTENT, focused), atol=2e-6)


def test_image_and_envelopes_are_abtems():
    """An exit wave through abTEM's CTF in float64. abTEM's spreads enter as 1/4 |...|^2, so they are sqrt(2) times the rms."""
    import abtem

    polar = {
        "C10": -450.0,
        "C12": 60.0,
        "phi12": 0.4,
        "C21": 900.0,
        "phi21": -1.1,
        "C23": 700.0,
        "phi23": 0.2,
        "C30": 1e7,
    }
    polar |= {"C32": 3e5, "phi32": 0.3, "C34": 4e5, "phi34": -0.2, "C50": 5e8}
    cartesian = {}
    for name in ("C10", "C12", "C21", "C23", "C30", "C32", "C34", "C50"):
        cartesian |= from_polar(name, polar[name], polar.get(f"phi{name[1:]}", 0.0))
    rng = np.random.default_rng(1)
    phases = np.fft.ifft2(np.fft.fft2(rng.standard_normal(SHAPE)) * band_limit(SHAPE, EXTENT)).real
    wave = np.exp(0.3j * phases)
    with abtem.config.set({"precision": "float64", "device": "cpu", "fft": "numpy"}):
        waves = abtem.Waves(np.ascontiguousarray(wave.T), energy=ENERGY, extent=EXTENT)
        ctf = abtem.CTF(
            energy=ENERGY,
            semiangle_cutoff=15.0,
            soft=False,
            focal_spread=35.0 * np.sqrt(2.0),
            aberration_coefficients=polar,
            angular_spread=0.3 * np.sqrt(2.0),
        )
        expected = np.abs(np.asarray(waves.apply_ctf(ctf).array)).T ** 2
    imaging = lens(coefficients=coefficients(cartesian), semiangle=15e-3, focal_spread=35.0, convergence=3e-4)
    np.testing.assert_allclose(quasi_coherent_image(wave, EXTENT, imaging), expected, atol=2e-6)
    assert (
        np.abs(
            np.asarray(quasi_coherent_image(wave, EXTENT, dataclasses.replace(imaging, convergence=3e-4 * np.sqrt(2))))
            - expected
        ).max()
        > 1e-3
    )


def test_scherzer_and_resolutions():
    """Cs 1.3 mm at 200 kV: 699 angstrom of underfocus (Kirkland's 700), (6 lambda / Cs)^(1/4) = 10.37 mrad (his aperture), chi -3 pi / 4 at most."""
    focus = scherzer_defocus(1.3e7, ENERGY)
    assert abs(focus + 699.3) < 0.5
    imaging = lens(coefficients=coefficients({"C10": focus, "C30": 1.3e7}), focal_spread=40.0)
    assert abs(LENGTH / point_resolution(imaging) - 10.37e-3) < 1e-5
    k = np.linspace(0.0, 10.37e-3 / LENGTH, 4001)
    lowest = np.asarray(phase(imaging.coefficients, k, np.zeros_like(k), LENGTH)).min()
    assert abs(lowest + 0.75 * np.pi) < 1e-4
    curve = np.real(phase_contrast(lens(coefficients=imaging.coefficients), k, np.zeros_like(k)))
    assert curve[1:-2].max() < 0.0
    assert abs(complex(phase_contrast(imaging, np.asarray(1.0 / point_resolution(imaging)), np.asarray(0.0)))) < 1e-9
    limit = information_limit(imaging)
    assert abs(float(temporal_envelope(np.asarray(1.0 / limit), np.asarray(0.0), LENGTH, 40.0)) - np.exp(-2.0)) < 1e-12
    assert scherzer_defocus(-1e5, ENERGY) > 0.0
    plain = lens(coefficients=coefficients({"C10": -100.0}))
    assert abs(point_resolution(plain) - np.sqrt(LENGTH * 100.0)) < 1e-9
    with pytest.raises(ValueError, match="defocus"):
        point_resolution(lens(coefficients=np.zeros(25)))


STEPS = {1: 0.2, 2: 2.0, 3: 100.0, 4: 3e3, 5: 1e5}


@pytest.fixture(scope="module")
def loss():
    """Misfit of an image to another as a function of the lens, both ways of coherence, float64; compiled once each."""
    wave = np.exp(0.5j * (fringe((2, 3))[0] + fringe((4, 1))[0] + 0.4 * fringe((1, -4))[0]))
    target = np.asarray(quasi_coherent_image(wave, EXTENT, lens(semiangle=12e-3, edge=1e-3)))
    envelopes = jax.jit(lambda imaging: jnp.mean((quasi_coherent_image(wave, EXTENT, imaging) - target) ** 2))
    explicit = jax.jit(lambda imaging: jnp.mean((averaged_image(wave, EXTENT, imaging, 5, 3) - target) ** 2))
    start = lens(
        coefficients=coefficients(GENERAL), semiangle=12e-3, edge=1.5e-3, tilt=(1e-3, -5e-4), focal_spread=50.0, convergence=2e-4,
        vibration=(0.4, 0.2, 0.3),
    )  # fmt: skip
    return {"envelopes": envelopes, "explicit": explicit}, start


@pytest.mark.parametrize("way", ["envelopes", "explicit"])
@pytest.mark.slow
def test_gradients_in_everything_are_differences(loss, way):
    """25 coefficients, aperture and edge, tilt, spreads, vibration; five-point differences."""
    functions, start = loss
    function = functions[way]
    slopes = jax.jit(jax.grad(function))(start)
    parameters = [("coefficients", (index(name),), STEPS[int(name[1])]) for name in NAMES]
    parameters += [("semiangle", (), 1e-6), ("edge", (), 1e-6), ("tilt", (0,), 1e-7), ("tilt", (1,), 1e-7)]
    parameters += [("focal_spread", (), 0.05), ("convergence", (), 1e-7)]
    parameters += [("vibration", (number,), 1e-4) for number in range(3)]
    for name, position, step in parameters:
        at = {}
        for shift in (-2, -1, 1, 2):
            value = getattr(start, name).at[position].add(shift * step)
            at[shift] = float(function(dataclasses.replace(start, **{name: value})))
        difference = (8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12.0 * step)
        gradient = float(getattr(slopes, name)[position])
        np.testing.assert_allclose(gradient, difference, rtol=2e-5, atol=1e-13 / step, err_msg=f"{name}{position}")
        assert abs(gradient) * step > 1e-9 * float(function(start)), f"{name}{position} does nothing"


def test_smooth_aperture_is_half_at_its_angle_with_the_slope_of_its_edge():
    imaging = lens(semiangle=10e-3, edge=1e-3)
    theta = np.array([0.0, 10e-3 - 1e-7, 10e-3, 10e-3 + 1e-7, 14e-3])
    computed = np.asarray(objective_aperture(imaging, theta / LENGTH, np.zeros(5)))
    np.testing.assert_allclose(computed[[0, 2, 4]], [1.0, 0.5, 0.0], atol=1e-7)
    np.testing.assert_allclose((computed[1] - computed[3]) / 2e-7, 1.0 / 1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "change,match",
    [
        ({"energy": 200.0}, "electronvolts"),
        ({"focal_spread": -1.0}, "focal_spread"),
        ({"convergence": float("nan")}, "convergence"),
        ({"vibration": (0.1, -0.1, 0.0)}, "vibration"),
        ({"semiangle": 0.0}, "semiangle"),
        ({"semiangle": 10.0}, "radian"),
        ({"edge": 1e-3}, "semiangle"),
        ({"semiangle": 1e-2, "edge": 0.0}, "edge"),
        ({"tilt": (float("inf"), 0.0)}, "tilt"),
        ({"coefficients": np.full(25, np.nan)}, "coefficients"),
    ],
)
def test_impossible_lenses_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        lens(**change)


def test_impossible_waves_and_nodes_are_refused():
    wave = np.ones(SHAPE, complex)
    with pytest.raises(ValueError, match="wave"):
        quasi_coherent_image(np.where(np.arange(SHAPE[1])[None] == 3, np.nan, wave), EXTENT, lens())
    with pytest.raises(ValueError, match="extent"):
        quasi_coherent_image(wave, (20.0, 0.0), lens())
    with pytest.raises(ValueError, match="focal_nodes"):
        averaged_image(wave, EXTENT, lens(focal_spread=1.0), 0)
    with pytest.raises(ValueError, match="per_tilt"):
        averaged_image(np.ones((3, *SHAPE), complex), EXTENT, lens(convergence=1e-5), 1, 2, per_tilt=True)
    with pytest.raises(ValueError, match="c10"):
        focal_series(wave, EXTENT, lens(), np.array([0.0, np.nan]))
