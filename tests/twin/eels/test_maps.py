"""Core-loss maps: absolute scale, reciprocity, thin specimens, crystals against supercells, and signals of one pass."""

import functools
from typing import Any

import numpy as np
import pytest

from twin.eels.maps import EdgeWindow, core_loss_maps, edge_grams, local_potential, one_pass, window_modes
from twin.eels.maps.sites import BlochModes, sites_of
from twin.grid import band_limit, frequencies
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, aperture_weight, probe
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.multislice import propagator, transmission
from twin.scattering.stem.images import image_of, stem_images
from twin.scattering.stem.scene import Scene

ENERGY = 200e3
TITANIUM = EdgeWindow("Ti", "L", 456.0, 470.0, 0.012)
OXYGEN = EdgeWindow("O", "K", 532.0, 552.0, 0.02)
DAMPED = (("thermal", "debye-waller"),)


def beam(semiangle: float = 0.012) -> Illumination:
    return Illumination(np.zeros(25), ENERGY, semiangle)


@functools.cache
def crystal(whole: bool, tilt: tuple[float, float] = (0.0, 0.0), options: Any = DAMPED) -> Scene:
    """SrTiO3, 2 x 2 x 2 cells on 48 x 48 points, as a crystal or as a supercell."""
    repeats = (2, 2, 2)
    cell = None if whole else srtio3((1, 1, 1))
    return Scene(srtio3(repeats), (48, 48), 4, (), tilt, cell, (1, 1, 1) if whole else repeats, options)


@functools.cache
def atom() -> Scene:
    """One oxygen atom in a cell of 12 x 12 x 2 angstrom on 64 x 64 points."""
    specimen = Specimen(np.array([[3.0, 4.0, 1.0]]), np.array([0.0]), ("O",), (12.0, 12.0, 2.0))
    return Scene(specimen, (64, 64), 1)


def positions(count: int, side: float = 3.905) -> np.ndarray:
    return np.arange(count) * side / count


@pytest.mark.slow
@pytest.mark.parametrize("channelling", ["double", "local"])
def test_an_isolated_atom_has_the_spectrums_cross_section(channelling: str) -> None:
    along = positions(36, 12.0)
    made = core_loss_maps(atom(), beam(0.01), [OXYGEN], along, along, channelling, estimate=False)
    summed = made.array[0].mean() * 12.0**2
    assert summed == pytest.approx(OXYGEN.cross_section(ENERGY, 0.01), rel=0.02)


def test_thin_specimen_and_all_angles_give_intensity_times_potential() -> None:
    """A probe before one atom, with an aperture wider than the band: the map is the probe's intensity convolved with sum |V|^2."""
    scene, light, wide = atom(), beam(0.01), OXYGEN._replace(collection=0.25)
    x = np.array([3.0, 3.6])
    made = core_loss_maps(scene, light, [wide], x, np.array([4.0]), "local", estimate=False).array[0, 0]
    values = window_modes(wide, scene.gpts, scene.specimen.extent, ENERGY, 0.01).values
    shifted = BlochModes(np.fft.fft2(values), scene.specimen.extent, (1, 1)).at(
        sites_of(scene.specimen, "O", 1)[0], (0, 0)
    )
    density = (np.abs(shifted) ** 2).sum(axis=0).reshape(scene.gpts)
    amplitude = aperture(scene.gpts, scene.specimen.extent, ENERGY, 0.01, True)
    spots = np.stack([x, np.full(2, 4.0)], axis=1)
    waves = np.asarray(probe(light.coefficients, spots, amplitude, scene.specimen.extent, ENERGY))
    assert made == pytest.approx((np.abs(waves) ** 2 * density).mean(axis=(1, 2)), rel=5e-4)


@pytest.mark.slow
def test_maps_by_reciprocity_are_those_of_waves_that_go_on_after_the_loss() -> None:
    scene, light = crystal(True, (0.01, -0.005)), beam()
    extent, gpts = scene.specimen.extent, scene.gpts
    spots = np.array([[0.3, 0.9], [1.9525, 1.9525]])
    slices = scene.stack(0)
    functions = np.asarray(transmission(slices.array, ENERGY, band_limit(gpts, extent), 2))
    kernel = np.asarray(propagator(gpts, extent, ENERGY, slices.spacing, scene.tilt))
    u2 = float(scene.specimen.u2[np.array(scene.specimen.symbols) == "Ti"].mean())
    modes = window_modes(TITANIUM, gpts, extent, ENERGY, light.semiangle, u2)
    bloch = BlochModes(np.fft.fft2(modes.values), extent, (1, 1))
    kx, ky = frequencies(gpts, extent)
    collected = aperture_weight(kx[None, :], ky[:, None], extent, ENERGY, TITANIUM.collection, "electrons") ** 2
    amplitude = aperture(gpts, extent, ENERGY, light.semiangle, True)
    waves = np.asarray(probe(light.coefficients, spots, amplitude, extent, ENERGY))
    expected = np.zeros(2)
    sites = {site.slice: site for site in sites_of(scene.specimen, "Ti", scene.slices)}
    for number in range(scene.slices):
        if number in sites:
            lost = bloch.at(sites[number], (0, 0)).reshape(-1, 1, *gpts) * waves
            for function in functions[number:]:
                lost = np.fft.ifft2(np.fft.fft2(lost * function) * kernel)
            patterns = np.abs(np.fft.fft2(lost) / (gpts[0] * gpts[1])) ** 2
            expected += (patterns * collected).sum(axis=(0, 2, 3))
        waves = np.fft.ifft2(np.fft.fft2(waves * functions[number]) * kernel)
    made = edge_grams(scene, light, [TITANIUM], "double")[0].grams
    by_reciprocity = [float(image_of(made, light, x[None], y[None])[0, 0]) for x, y in spots]
    assert by_reciprocity == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("channelling", ["double", "single", "local"])
def test_a_tilted_crystal_in_one_cell_is_its_supercell(channelling: str) -> None:
    along = positions(4)
    whole, cell = (
        core_loss_maps(crystal(each, (0.01, 0.0)), beam(), [TITANIUM], along, along, channelling, estimate=False).array
        for each in (True, False)
    )
    assert cell == pytest.approx(whole, rel=1e-4)


def test_local_maps_tell_their_error_against_double_channelling() -> None:
    along = positions(6)
    exact = core_loss_maps(crystal(False), beam(), [TITANIUM], along, along, "double")
    quick = core_loss_maps(crystal(False), beam(), [TITANIUM], along, along, "local")
    off = np.sqrt(np.mean((quick.array - exact.array) ** 2)) / exact.array.mean()
    assert exact.error == (0.0,)
    assert quick.error is not None
    assert quick.error[0] == pytest.approx(off, rel=1e-3)
    assert 0.001 < off < 0.3


def test_one_pass_has_the_maps_the_detectors_and_the_patterns_of_the_same_waves() -> None:
    scene, light, along = crystal(True, options=()), beam(), positions(3)
    spots = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)

    def dark(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
        return (np.hypot(kx, ky) > 0.6).astype(float)

    made = one_pass(scene, light, spots, [TITANIUM, OXYGEN], [dark], lambda patterns: patterns.sum(axis=1))
    local = core_loss_maps(scene, light, [TITANIUM, OXYGEN], along, along, "local", estimate=False).array
    image = stem_images(scene, light, along, along, [dark], form="direct").array
    assert made.maps == pytest.approx(local.reshape(2, -1), rel=1e-3)
    assert made.detectors == pytest.approx(image.reshape(1, -1), rel=1e-4)
    assert made.patterns is not None
    assert made.patterns.shape == (9, 48)
    assert made.patterns.sum(axis=1) == pytest.approx(1.0, abs=0.02)


def test_displaced_atoms_carry_their_potentials_along() -> None:
    """The map of a frozen configuration is brightest where its atom is, not at the site."""
    specimen = Specimen(np.array([[4.0, 4.0, 1.0]]), np.array([0.09]), ("O",), (8.0, 8.0, 2.0))
    scene, along = Scene(specimen, (56, 56), 1, (5,)), positions(32, 8.0)
    made = core_loss_maps(scene, beam(0.02), [OXYGEN], along, along, "local", estimate=False).array[0]
    row, column = np.unravel_index(made.argmax(), made.shape)
    moved = specimen.positions[0] + specimen.displacements(5)[0]
    assert [along[column], along[row]] == pytest.approx(moved[:2], abs=0.2)


def test_the_local_potential_of_all_angles_is_positive_and_that_of_an_aperture_holds_its_cross_section() -> None:
    window = EdgeWindow("Ti", "L3", 460.0, 470.0, 0.05)
    modes = window_modes(window, (160, 160), (16.0, 16.0), ENERGY)
    assert local_potential(modes, ENERGY, 0.25).min() >= 0.0
    held = local_potential(modes, ENERGY, window.collection).sum() * 0.1**2
    assert held == pytest.approx(window.cross_section(ENERGY), rel=0.01)
    assert modes.missing < 0.002


@pytest.mark.parametrize(
    ("window", "width"), [(EdgeWindow("Si", "L3", 99.0, 110.0, 0.02), 16.0), (TITANIUM._replace(name="L3"), 7.0)]
)
def test_images_of_an_atom_on_a_narrow_grid_do_not_interfere(window: EdgeWindow, width: float) -> None:
    """Interference of the potentials' periodic images would make 1.6 and 1.2 times the cross-section."""
    count = round(5.0 * width)
    modes = window_modes(window, (count, count), (width, width), ENERGY)
    held = local_potential(modes, ENERGY, window.collection).sum() * (width / count) ** 2
    assert held == pytest.approx(window.cross_section(ENERGY), rel=0.03)


def test_a_narrow_crystal_has_the_map_of_a_wide_one() -> None:
    """Probes of 12 mrad have room in both."""
    along = positions(4)
    wide = Scene(srtio3((4, 4, 2)), (96, 96), 4, (), (0.0, 0.0), srtio3((1, 1, 1)), (4, 4, 2), DAMPED)
    maps = [
        core_loss_maps(scene, beam(), [TITANIUM], along, along, "local", estimate=False).array[0]
        for scene in (crystal(False), wide)
    ]
    assert maps[0].mean() == pytest.approx(maps[1].mean(), rel=0.02)
    assert maps[0] == pytest.approx(maps[1], abs=0.05 * float(maps[1].max()))


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (EdgeWindow("Ti", "K", 400.0, 500.0, 0.03), "it has"),
        (EdgeWindow("Ti", "L", 400.0, 440.0, 0.03), "begins at 456 eV"),
        (EdgeWindow("Ti", "L", 480.0, 460.0, 0.03), "eV that rise"),
        (EdgeWindow("Ti", "L", 456.0, 480.0, 30.0), "radian"),
        (EdgeWindow("Fe", "L", 700.0, 730.0, 0.03), "the specimen has no Fe; it has O, Sr, Ti"),
    ],
)
def test_impossible_windows_say_what_there_is(window: EdgeWindow, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        core_loss_maps(crystal(False), beam(), [window], positions(2), positions(2), "local")


def test_what_does_not_fit_says_what_does() -> None:
    with pytest.raises(ValueError, match="one_pass"):
        core_loss_maps(crystal(True), beam(), [TITANIUM], positions(2), positions(2), "double", memory=1_000_000)
    with pytest.raises(ValueError, match="'double', 'single', 'local'"):
        core_loss_maps(crystal(True), beam(), [TITANIUM], positions(2), positions(2), "twice")
