"""
A convergent-beam pattern
=========================

SrTiO3 along [001], 200 keV, 20 nm thick: a CBED pattern by multislice, averaged over frozen phonon configurations.
"""

import matplotlib.pyplot as plt
import numpy as np

from twin import Microscope, Sample, simulate

# %%
# The crystal and the probe
# -------------------------
# 6 x 6 unit cells across; lengths in angstrom, angles in radian. Take ``Sample.from_cif`` for a structure of your own.

sample = Sample.crystal("SrTiO3", repeats=(6, 6), thickness=200, phonons=2)
microscope = Microscope(energy=200e3, semiangle=4e-3)
pattern = simulate(sample, microscope, "cbed", position=(11.7, 11.7), gpts=(192, 192))["data"]
print(f"electrons within the band limit: {float(pattern.sum()):.3f} of the beam")

# %%
# The pattern
# -----------

figure, axes = plt.subplots(figsize=(6, 5))
np.log10(pattern + 1e-8).plot(ax=axes, cmap="inferno", vmin=-6.5, yincrease=False)
axes.set(xlim=(-50, 50), ylim=(50, -50), aspect="equal", title="log10 of the intensity")
plt.show()
