"""Crystals that images are of: symmetry and column strengths of sites that elements share."""

import numpy as np

from reconstruct.measurement.kinds.crystals import symmetry
from reconstruct.measurement.projection import CONTRAST_EXPONENT, project
from tests.twin.sample.crystals import cif, cube, named
from twin.sample.structures import read_cif

SHARED = "Te1 Te 0.5 0 0 0.6\nSb1 Sb 0.5 0 0 0.4\nTe2 Te 0 0.5 0 0.4\nSb2 Sb 0 0.5 0 0.6\nGe1 Ge 0 0 0 1"


def test_shares_of_a_site_count_for_symmetry():
    """Two sites that are alike but for their shares are not turned into each other."""
    text = cif(cube(4.24), named("P 1"), SHARED, "_atom_site_occupancy")
    assert symmetry(read_cif(text).atoms) == "2mm"
    alike = text.replace("0.5 0 0.4", "0.5 0 0.60").replace("0 0.5 0 0.6\n", "0 0.5 0 0.4\n")
    assert symmetry(read_cif(alike).atoms) == "4mm"


def test_shares_of_a_site_count_for_a_column():
    projection = project(read_cif(cif(cube(4.24), named("P 1"), SHARED, "_atom_site_occupancy")).atoms)
    assert len(projection.columns) == 3
    te, sb, ge = (float(number) ** CONTRAST_EXPONENT for number in (52, 51, 32))
    np.testing.assert_allclose(sorted(projection.weights), sorted([0.6 * te + 0.4 * sb, 0.4 * te + 0.6 * sb, ge]))
