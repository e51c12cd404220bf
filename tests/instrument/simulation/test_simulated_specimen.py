"""The true specimen and its images compared with abTEM's probe, and general properties of images."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from instrument.simulation.instrument import SimulatedConfig, from_mapping, presets
from instrument.simulation.truth.imaging import scattering, specimen
from instrument.simulation.truth.imaging.images import ABERRATIONS, Imager
from tests.instrument.core.versions import check_version

TINY = SimulatedConfig(
    repeats_xy=2, cells=2, wedge_swing=1.0, gpts=96, phonon_configs=1, slices_per_cell=3, tilt=(0.0, 0.0), bend=0.0
)
REFERENCE = (
    3,
    {
        "beams": (3.5839532, -0.11370281),
        "aperture": (0.078811041, -3.6635647e-05),
        "extent": (7.81, -1.6654664),
        "depths": (6.1743471, -2.7204067),
        "grams": (0.0001313976, 1.8552198e-08),
        "tilt": (0.00070710678, 0.00027015115),
    },
)
"""A version of the specimens' numbers and, for each array, its fingerprint."""
SHARP: dict[str, Any] = {
    "focal_spread": 0.0,
    "source_sigma": 0.0,
    "source_tail": 0.0,
    "amorphous_entrance": 0.0,
    "amorphous_exit": 0.0,
}
VALUES = np.array([-60.0, 30.0, -20.0, 300.0, -150.0, 100.0, 80.0, 1e4, 500.0, -300.0, 200.0, 400.0, 2e6])
POSITIONS = np.array([[0.3, 0.1], [2.0, 1.9], [5.1, 3.3], [7.0, 0.4]])


def changed(config: SimulatedConfig = TINY, /, **changes: Any) -> SimulatedConfig:
    return msgspec.structs.replace(config, **changes)


def no_progress(text: str, share: float) -> None:
    """Progress nobody looks at."""


def direct(config: SimulatedConfig, cells: int, tilt_mrad: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """HAADF fractions at PLACES by abTEM's probe and multislice, for configuration 0 of the crystal, ``cells`` deep."""
    import abtem

    value = dict(zip(ABERRATIONS, VALUES, strict=True))
    aberrations = {"C10": value["C10"], "C30": value["C30"], "C50": value["C50"]}
    for symbol, fold in (("C12", 2), ("C21", 1), ("C23", 3), ("C32", 2), ("C34", 4)):
        a, b = value[f"{symbol}.a"], value[f"{symbol}.b"]
        aberrations |= {symbol: np.hypot(a, b), symbol.replace("C", "phi"): np.arctan2(b, a) / fold}
    with abtem.config.set({"diagnostics.progress_bar": False, "dask.lazy": False}):
        atoms = specimen.crystal(config, 0, 0)
        depth = cells * config.lattice
        atoms = atoms[atoms.positions[:, 2] < depth]
        atoms.cell[2, 2] = depth
        potential = scattering.potential(atoms, config, cells * config.slices_per_cell)
        probe = abtem.Probe(
            energy=config.energy, semiangle_cutoff=config.semiangle * 1e3, aberrations=aberrations, tilt=tilt_mrad
        )
        probe.grid.match(potential)
        scan = abtem.CustomScan(POSITIONS)
        incident = np.fft.fft2(np.asarray(probe.build(scan).array))
        passed: Any = probe.multislice(potential, scan=scan)
        leaving = np.fft.fft2(np.asarray(passed.array))
    index = np.fft.fftfreq(config.gpts, 1 / config.gpts) / (config.repeats_xy * config.lattice)
    weights = scattering.detector_weights(config, 0, *np.meshgrid(index, index, indexing="ij"))
    return (np.abs(leaving) ** 2 * weights).sum(axis=(1, 2)) / (np.abs(incident) ** 2).sum(axis=(1, 2))


def test_gram_gives_what_abtem_gives_directly():
    config = changed(**SHARP)
    gram = scattering.build(config, 0, no_progress)
    imager = Imager(gram, config)
    for cells in (1, 3):
        intensity = imager.intensity(imager.harmonics(VALUES, cells * config.lattice), POSITIONS[:, 0], POSITIONS[:, 1])
        np.testing.assert_allclose(intensity, direct(config, cells), rtol=1e-4)


def test_potential_is_abtems_where_abtems_grid_is_fine_enough():
    """abTEM's projection on a grid eight times finer, cut back to ours, for atoms between the pixels."""
    import abtem

    config = changed(gpts=48)
    atoms = specimen.crystal(config, 0, 0)
    atoms = atoms[atoms.positions[:, 2] < config.lattice]
    atoms.cell[2, 2] = config.lattice
    potential = np.asarray(scattering.potential(atoms, config, 3).array)
    fine = abtem.Potential(atoms, gpts=8 * 48, slice_thickness=config.lattice / 3, parametrization="kirkland")
    spectrum = np.fft.fft2(np.asarray(fine.build(lazy=False).array)) / 64
    index = np.fft.fftfreq(48, 1 / 48).astype(int)
    retained = np.abs(index) <= 20
    cut = spectrum[:, index[retained][:, None], index[retained][None, :]]
    ours = np.fft.fft2(potential)[:, retained][:, :, retained]
    assert np.abs(cut - ours).max() < 0.01 * np.abs(ours).max()
    assert np.linalg.norm(cut - ours) < 0.01 * np.linalg.norm(ours)


def test_specimen_tilt_is_minus_the_beam_tilt():
    tilt = 0.03
    config = changed(tilt=(tilt, 0.0), cells=4, **SHARP)
    gram = scattering.build(config, 0, no_progress)
    imager = Imager(gram, config)
    image = imager.intensity(imager.harmonics(VALUES, 4 * config.lattice), POSITIONS[:, 0], POSITIONS[:, 1])
    straight = changed(config, tilt=(0.0, 0.0))
    errors = [np.abs(image / direct(straight, 4, (sign * tilt * 1e3, 0.0)) - 1).max() for sign in (-1, 0, 1)]
    assert errors[0] < 0.25 * min(errors[1:]), errors


def test_a_detector_that_takes_everything_gets_the_whole_beam():
    config = changed(haadf_inner=1e-6, haadf_inner_error=-2e-3, response_azimuthal=0.0, response_radial=0.0)
    imager = Imager(scattering.build(config, 0, no_progress), config)
    image = imager.intensity(imager.harmonics(VALUES, 7.81), POSITIONS[:, 0], POSITIONS[:, 1])
    assert np.all((image > 0.97) & (image < 1.0005)), image


def test_focal_spread_is_a_mean_over_defocus():
    sharp = changed(**SHARP)
    gram = scattering.build(sharp, 0, no_progress)
    blurred = Imager(gram, changed(sharp, focal_spread=30.0))
    monochromatic = Imager(gram, sharp)
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    mean = np.zeros(len(POSITIONS))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        values = VALUES + 30.0 * node * np.eye(len(VALUES))[0]
        mean += weight * monochromatic.intensity(
            monochromatic.harmonics(values, 7.81), POSITIONS[:, 0], POSITIONS[:, 1]
        )
    intensity = blurred.intensity(blurred.harmonics(VALUES, 7.81), POSITIONS[:, 0], POSITIONS[:, 1])
    np.testing.assert_allclose(intensity, mean, rtol=2e-4)


def test_the_source_spreads_the_image_and_keeps_its_mean():
    sharp = changed(**SHARP)
    gram = scattering.build(sharp, 0, no_progress)
    extended = Imager(gram, changed(sharp, source_sigma=0.5, source_tail=0.2))
    point, n = Imager(gram, sharp), 24
    y, x = np.divmod(np.arange(n * n), n)
    x, y = x * 7.81 / n, y * 7.81 / n
    point_image = point.intensity(point.harmonics(VALUES, 7.81), x, y)
    extended_image = extended.intensity(extended.harmonics(VALUES, 7.81), x, y)
    assert extended_image.mean() == pytest.approx(point_image.mean(), rel=1e-3)
    assert 0.1 < extended_image.std() / point_image.std() < 0.9
    # in real space: the image convolved with the Gaussian and the exponential tails, normalised in the plane
    offsets = np.arange(-60, 61) * 7.81 / n
    r = np.hypot(offsets[:, None], offsets[None, :])
    core, tail = np.exp(-(r**2) / (2 * 0.5**2)), np.exp(-r / 0.6)
    kernel = 0.8 * core / core.sum() + 0.2 * tail / tail.sum()
    rolled = [
        kernel[j, i] * np.roll(point_image.reshape(n, n), (j - 60, i - 60), (0, 1))
        for j in range(121)
        for i in range(121)
        if kernel[j, i] > 1e-8
    ]
    np.testing.assert_allclose(np.sum(rolled, axis=0).ravel(), extended_image, atol=0.02 * point_image.std())


def test_thickness_is_interpolated_between_depths():
    config = changed(cells=4, wedge_swing=3.0, **SHARP)
    imager = Imager(scattering.build(config, 0, no_progress), config)
    depths = imager.gram.depths
    for thickness in (depths[0], 7.0, 13.3, depths[-1]):
        weights = imager.thickness_weights(float(thickness))
        for power in range(4):  # exact for cubics
            assert weights @ depths**power == pytest.approx(thickness**power, rel=1e-9)
    np.testing.assert_allclose(imager.thickness_weights(float(depths[3])), np.eye(len(depths))[3], atol=1e-12)
    totals = [imager.harmonics(VALUES, t)[0].real.max() for t in np.linspace(depths[0], depths[-1], 13)]
    assert np.all(np.diff(totals) > 0)  # more scatters to the detector the deeper it is


def test_another_structure_and_another_layer_change_the_image():
    y, x = np.divmod(np.arange(256), 16)
    images = {}
    extras: dict[str, dict[str, Any]] = {
        "SrTiO3": {},
        "NiO": {"structure": "NiO"},
        "layer": {"amorphous_entrance": 40.0},
    }
    for name, extra in extras.items():
        config = changed(cells=4, **extra)
        imager = Imager(scattering.build(config, 0, no_progress), config)
        images[name] = imager.intensity(imager.harmonics(0 * VALUES, 15.6), x * 3.905 / 16, y * 3.905 / 16)
    # rock salt has its columns at half the spacing: the cell's quarters look alike, those of the perovskite do not
    image = images["NiO"].reshape(16, 16)
    assert np.corrcoef(image[:8, :8].ravel(), image[8:, :8].ravel())[0, 1] > 0.8
    image = images["SrTiO3"].reshape(16, 16)
    assert np.corrcoef(image[:8, :8].ravel(), image[8:, :8].ravel())[0, 1] < 0.5
    assert images["layer"].min() > 1.3 * images["SrTiO3"].min()


def test_cache_is_used_mended_and_keyed_by_the_specimen(tmp_path):
    messages = []

    def note(text, share):
        messages.append(text)

    first = scattering.load_or_build(TINY, 0, tmp_path, note)
    (file,) = tmp_path.iterdir()
    messages.clear()
    cached = scattering.load_or_build(TINY, 0, tmp_path, note)
    assert not messages
    np.testing.assert_array_equal(first.grams, cached.grams)
    file.write_bytes(file.read_bytes()[:1000])
    mended = scattering.load_or_build(TINY, 0, tmp_path, note)
    assert "cannot be read" in messages[0]
    np.testing.assert_array_equal(first.grams, mended.grams)
    scattering.load_or_build(TINY, 1, tmp_path, note)
    scattering.load_or_build(changed(c30_offset=1e4, wedge=0.0), 0, tmp_path, note)  # neither is of the specimen
    assert len(list(tmp_path.iterdir())) == 2


def test_numbers_of_the_version():
    gram = scattering.build(changed(cells=1, phonon_configs=2, tilt=(1e-3, 0.0), bend=1e-5), 0, no_progress)
    check_version("instrument.simulation.truth.imaging.scattering", scattering.VERSION, vars(gram), REFERENCE)


@pytest.mark.parametrize("name", list(presets()))
def test_presets_survive_being_written_down(name):
    preset = presets()[name]
    assert from_mapping(msgspec.json.decode(msgspec.json.encode(preset))) == preset


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cels": 20}, ["cels"]),
        ({"cells": 20.5}, ["cells"]),
        ({"energy": "200 kV"}, ["energy"]),
        ({"energy": float("nan")}, ["energy", "nan", "finite"]),
        ({"gain": 0.0}, ["gain", "above zero"]),
        ({"vibration": -0.1}, ["vibration", "-0.1"]),
        ({"structure": "Si"}, ["structure", "Si", "SrTiO3"]),
        ({"tilt": [0.2, 0.0]}, ["tilt", "0.05"]),
        ({"haadf_inner": 0.1}, ["haadf_inner", "haadf_outer"]),
        ({"gpts": 10_000}, ["gpts", "at most"]),
    ],
)
def test_bad_configuration_names_the_key(values, words):
    with pytest.raises(ValueError) as caught:
        from_mapping(values)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_grid_too_coarse_for_the_detector_is_refused():
    with pytest.raises(ValueError, match=r"gpts = 64 reaches only .* mrad"):
        scattering.build(changed(gpts=64), 0, no_progress)


def test_a_cif_is_the_specimen_or_the_reason_why_not(tmp_path: Path):
    good, bad = tmp_path / "good.cif", tmp_path / "bad.cif"
    specimen.unit_cell(TINY).write(good)
    config = changed(cif=str(good))
    assert specimen.unit_cell(config).get_chemical_formula() == "O3SrTi"
    assert len(specimen.crystal(config, 0, 0)) == 5 * 2 * 2 * 3
    bad.write_text("data_x\n_cell_length_a nonsense\n")
    for path, problem in ((bad, "holds no atoms"), (tmp_path / "none.cif", "no such file")):
        with pytest.raises(ValueError, match=problem) as caught:
            specimen.unit_cell(changed(cif=str(path)))
        assert path.name in str(caught.value)
    atoms = specimen.unit_cell(TINY)
    atoms.set_cell([[3.9, 0, 0], [1.0, 3.9, 0], [0, 0, 3.9]])
    atoms.write(bad)
    with pytest.raises(ValueError, match="not orthogonal"):
        specimen.unit_cell(changed(cif=str(bad)))


CUBE = "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
SITES = "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"


@pytest.mark.parametrize(
    ("group", "site", "problem"),
    [
        ("'F d -3 m'", "Si1 Si 0.125 0.125 0.125 1", "does not say which origin"),
        ("'F d -3 m Z'", "Si1 Si 0.125 0.125 0.125 1", "'F d -3 m Z' is not known by a name"),
        ("?\n_space_group_IT_number 225", "Si1 Si 0 0 0 1", "'number 225' is not known"),
        ("'F m -3 m'", "Si1 Si 0 0 0 0.5", "Si1 are not filled"),
        ("'P 1'", "Si1 Si 0 0 0 1\nSi2 Si 0 0 0.05 1", "Si1 and Si2 are 0.200 A apart"),
        ("'P 1'", "", "cannot be read|holds no atoms"),
    ],
)
def test_a_cif_that_leaves_something_to_be_guessed_is_no_truth(group: str, site: str, problem: str, tmp_path: Path):
    path = tmp_path / "cell.cif"
    path.write_text(f"{CUBE}_space_group_name_H-M_alt {group}\n{SITES}{site}\n")
    with pytest.raises(ValueError, match=problem):
        specimen.unit_cell(changed(cif=str(path)))
    path.write_text(f"{CUBE}_space_group_name_H-M_alt 'F d -3 m:2'\n{SITES}Si1 Si 0.125 0.125 0.125 1\n")
    assert len(specimen.unit_cell(changed(cif=str(path)))) == 8
