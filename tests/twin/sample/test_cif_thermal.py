"""Thermal motion in CIFs."""

import math

import numpy as np

from tests.twin.sample.crystals import cif, cube, hexagon, named, notes_text
from twin.sample.specimen import Specimen
from twin.sample.structures import read_cif
from twin.sample.thermal import U2_OTHER


def test_thermal_motion_of_a_file():
    """U, B, U_ij in an oblique cell and beta_ij of the same isotropic motion, 0.01 angstrom^2, and a site without."""
    cell = hexagon(4.0, 6.0)
    columns = "_atom_site_U_iso_or_equiv _atom_site_B_iso_or_equiv"
    b_factor = f"{8 * math.pi**2 * 0.01:.6f}"
    sites = f"Fe1 Fe 0 0 0 0.0100(3) ?\nCo1 Co 0.3 0.1 0.4 ? {b_factor}\nNi1 Ni 0.6 0.2 0.7 ? ?\n"
    sites += "Cu1 Cu 0.2 0.7 0.2 ? ?\nAl1 Al 0.5 0.6 0.9 . ."
    tags = ("11", "22", "33", "12", "13", "23")
    names = [f"_atom_site_aniso_{kind}_{ij}" for kind in ("U", "beta") for ij in tags]
    beta = 2 * math.pi**2 * 0.01 / np.array([(4.0 * math.cos(math.pi / 6)) ** 2, 36.0])
    anisotropic = "\n".join(["loop_", "_atom_site_aniso_label", *names, "Ni1 0.01 0.01 0.01 0.005 0 0 ? ? ? ? ? ?"])
    anisotropic += f"\nCu1 ? ? ? ? ? ? {beta[0]:.8f} {beta[0]:.8f} {beta[1]:.8f} {beta[0] / 2:.8f} 0 0"
    structure = read_cif(cif(cell, {}, sites, columns, anisotropic))
    np.testing.assert_allclose(structure.u2[:4], 0.01, rtol=1e-5)
    assert math.isnan(structure.u2[4])
    scalar_only = read_cif(cif((4, 5, 6, 90, 90, 90), {}, sites, columns))
    np.testing.assert_allclose(
        Specimen.from_atoms(scalar_only.atoms).u2, [0.01, 0.01, U2_OTHER, U2_OTHER, U2_OTHER], rtol=1e-5
    )


def test_one_value_of_thermal_motion_for_all_elements_is_a_placeholder():
    text = cif(cube(4.123), named("P m -3 m"), "Cs1 Cs 0 0 0 1.0\nCl1 Cl 0.5 0.5 0.5 1.0", "_atom_site_B_iso_or_equiv")
    structure = read_cif(text)
    assert np.all(np.isnan(structure.u2))
    assert "placeholder" in notes_text(structure)
    assert np.all(np.isfinite(read_cif(text.replace("0 0 0 1.0", "0 0 0 1.4")).u2))
