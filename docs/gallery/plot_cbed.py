"""
A convergent-beam pattern
=========================

SrTiO3 along [001], 200 keV, 20 nm thick: a CBED pattern by multislice, averaged over frozen phonon configurations.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.sample.specimen import srtio3
from twin.scattering.signals import scanned

# %%
# The crystal and the probe
# -------------------------
# 6 x 6 unit cells across and 51 along the beam; lengths in angstrom, angles in radian. Replace ``srtio3`` by ``Specimen.from_atoms`` of ASE atoms of your own.

specimen = srtio3(repeats=(6, 6, 51))
gpts, slices = 192, 102
probe = Illumination(coefficients({"C10": 0.0}), energy=200e3, semiangle=4e-3)

# %%
# Two phonon configurations
# -------------------------
# Each is a function that makes its potential slices, so that only one need be in memory.

stacks = [lambda seed=seed: specimen.slices(gpts, slices, specimen.displacements(seed)) for seed in (1, 2)]
centre = np.array([[specimen.extent[0] / 2, specimen.extent[1] / 2]])
((_, patterns),) = list(scanned(stacks, probe, centre))
pattern = np.fft.fftshift(patterns[0])
print(f"electrons within the band limit: {pattern.sum():.3f} of the beam")

# %%
# The pattern
# -----------

limit = 1e3 * wavelength(200e3) * gpts / 2 / specimen.extent[0]
figure, axes = plt.subplots(figsize=(5, 5))
axes.imshow(np.log10(pattern + 1e-8), cmap="inferno", extent=(-limit, limit, limit, -limit), vmin=-6.5)
axes.set(xlim=(-50, 50), ylim=(50, -50), xlabel="x (mrad)", ylabel="y (mrad)", title="log10 of the intensity")
plt.show()
