"""
From a CIF to a HAADF image
===========================

Rutile TiO2 along [001], 10 nm thick, 200 keV, with counting noise: five lines from a structure file to images.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

# %%
# A structure file
# ----------------
# Use the path of your own. Here one is written first.

CIF = """
data_rutile
_cell_length_a 4.594
_cell_length_b 4.594
_cell_length_c 2.959
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 42/m n m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Ti1 Ti 0 0 0 0.0058
O1 O 0.3053 0.3053 0 0.0048
"""
path = Path(tempfile.mkdtemp()) / "rutile.cif"
path.write_text(CIF)

# %%
# The images
# ----------
# Lengths are in angstrom, angles in radian, energies in eV, the dose in electrons per square angstrom. ``sample.atoms`` are ASE atoms of the unit cell.

from twin import Annular, Microscope, Sample, Scan, simulate

sample = Sample.from_cif(path, thickness=100)
microscope = Microscope(energy=200e3, semiangle=21e-3)
detectors = {"HAADF": Annular(0.06, 0.15), "ABF": Annular(0.0105, 0.021)}
images = simulate(sample, microscope, "stem", scan=Scan((48, 48), fov=9.188), detectors=detectors, dose=1e5)
images

# %%
# A picture
# ---------
# The Dataset has coordinates and units; ``images.plot()`` draws it, ``images.to_zarr`` keeps it, `twin.to_hyperspy` hands it on.

print("formula:", sample.atoms.get_chemical_formula(), " atoms at rest: thermal diffuse scattering needs phonons=8")
images.plot()
plt.show()
