"""Rings of polycrystals as evidence: against drawn rings, with claims that are true and false, and patterns of another crystal or of none."""

import numpy as np
import pytest

from reconstruct.measurement.diffraction.powder import powder_lines
from reconstruct.measurement.diffraction.rings import find_rings, middle_of
from reconstruct.validation.data.diffraction.spots import spots
from reconstruct.validation.data.options import Known
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.diffraction_patterns import rings_of, signal_of_pattern
from twin.simulation.specimen import structure_named

GOLD = np.sqrt([3.0, 4.0, 8.0, 11.0, 12.0, 16.0, 19.0, 20.0]) / 4.078
"""Frequencies of the lines of gold: 111, 200, 220, 311, 222, 400, 331, 420."""
GOLD_INTENSITIES = (1.0, 0.6, 0.5, 0.6, 0.2, 0.1, 0.25, 0.25)


@pytest.fixture(scope="module")
def gold(tmp_path_factory):
    path = tmp_path_factory.mktemp("gold") / "Au.cif"
    path.write_text(
        "data_Au\n_cell_length_a 4.078\n_cell_length_b 4.078\n_cell_length_c 4.078\n_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'F m -3 m'\nloop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
        "_atom_site_fract_z\n_atom_site_occupancy\nAu1 Au 0 0 0 1\n"
    )
    return str(path)


def test_lines_are_those_that_the_lattice_allows(gold):
    lines = powder_lines(structure_named("specimen", gold).atoms, 1.1)
    assert lines.frequencies == pytest.approx(GOLD, rel=1e-6)
    assert lines.intensities[0] == 1.0
    assert 0.4 < lines.intensities[1] < 0.8  # 200 over 111: 0.52 by X-rays of a powder


@pytest.mark.smoke
@pytest.mark.parametrize("factor", [1.0, 1.05, 2.0, 0.1])
def test_rings_tell_the_pixels_whatever_is_claimed(gold, factor):
    pixel = (0.008, 0.00816)
    counts = rings_of(GOLD, np.array(GOLD_INTENSITIES), 2, pixel=pixel)
    signal = signal_of_pattern(counts, (pixel[0] * factor, pixel[1] * factor))
    (item,), gaps = evidence_by(spots, signal, Known(gold))
    assert not gaps
    assert "rings of Au.cif" in item.words
    assert np.sqrt(np.diag(item.components[0].covariance)).max() < 0.004
    assert np.abs(nearest(item, {"pixel.kx": pixel[0], "pixel.ky": pixel[1]})).max() < 2.0
    if factor != 1.0:
        assert np.abs(nearest(item, {"pixel.kx": pixel[0] * factor, "pixel.ky": pixel[1] * factor})).min() > 8.0


def test_the_middle_is_found_without_the_beam():
    counts = rings_of(GOLD, np.array(GOLD_INTENSITIES), 3)
    counts[115:135, 100:] = 0.0  # a beam stop
    assert middle_of(np.log1p(counts)) == pytest.approx([131.3, 123.3], abs=0.6)


def test_rings_of_another_crystal_are_none_of_this(gold):
    lines = powder_lines(structure_named("specimen", "SrTiO3").atoms)
    measured = find_rings(
        rings_of(lines.frequencies, lines.intensities, 1), powder_lines(structure_named("specimen", gold).atoms)
    )
    assert isinstance(measured, str)


@pytest.mark.parametrize("seed", range(3))
def test_an_amorphous_halo_is_no_ring(gold, seed):
    counts = rings_of(np.array([0.45, 0.8]), np.array([0.5, 0.2]), seed, width=12.0)
    items, (gap,) = evidence_by(spots, signal_of_pattern(counts, (0.008, 0.008)), Known(gold))
    assert not items
    assert "no rings" in gap.why
