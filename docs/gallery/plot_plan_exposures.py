"""
Which exposures next
====================

Defocus and astigmatism are known to some nanometres. Which HRTEM images of the specimen, at which defocus and dose, make them known best? The derivatives of
the images give their information, and `learn.plan` chooses by expected loss reduction per electron.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from learn import Exposure, plan
from twin import Microscope, Sample, hrtem

# %%
# The images and their derivatives
# --------------------------------
# SrTiO3 [001], 4 nm thick, 300 keV. Parameters are errors of C10, C12a and C12b in angstrom.

sample = Sample.crystal("SrTiO3", cells=10, repeats=(2, 2))
microscope = Microscope(energy=300e3, aperture=15e-3, aberrations={"C30": 0.6e7}, focal_spread=30.0)
grid = (80, 80)
area = (2 * 3.905 / 80) ** 2  # square angstrom of a pixel


@jax.jit
def image_and_slopes(defocus):
    """Image [pixels] at a defocus, a fraction of the beam, and its derivatives [pixels, 3]."""

    def image(errors):
        lens = microscope.at(C10=errors[0] - defocus, C12a=errors[1], C12b=errors[2])
        return hrtem(sample, lens, gpts=grid)[0].ravel()

    return image(jnp.zeros(3)), jax.jacfwd(image)(jnp.zeros(3))


defoci = np.arange(-600.0, 601.0, 50.0)
images, slopes = (np.asarray(part) for part in jax.lax.map(image_and_slopes, jnp.asarray(defoci)))

# %%
# Candidates
# ----------
# Each image at a low and at a high dose: its counting statistics are Poisson's, so that its information is the sum of slope x slope / image over pixels, times
# the electrons of a pixel in vacuum.

doses = (1.0, 5.0)  # electrons per square angstrom
candidates = [
    Exposure(np.eye(3), dose * area * (slope.T / image) @ slope, electrons=dose * area * grid[0] * grid[1])
    for dose in doses
    for image, slope in zip(images, slopes, strict=True)
]

# %%
# The plan
# --------
# Before: 60 angstrom of C10 and 30 of each C12, rms. The specimen bears 15 electrons per square angstrom. Exposures may be alike.

before = np.diag([60.0, 30.0, 30.0]) ** 2
chosen = plan(before, candidates, electrons=15.0 * area * grid[0] * grid[1])
chosen

# %%
# Expected errors before and after, and what each candidate is worth alone.

for index in chosen.chosen:
    print(
        f"defocus {defoci[index % len(defoci)]:6.0f} angstrom, {doses[index // len(defoci)]:.0f} electrons per square angstrom"
    )
for name, was, now in zip(("C10", "C12a", "C12b"), np.sqrt(np.diag(before)), chosen.std, strict=True):
    print(f"{name}: {was:.0f} angstrom before, {now:.2f} after")

figure, axes = plt.subplots(figsize=(7, 3.6))
for dose, gains in zip(doses, chosen.gains.reshape(len(doses), -1), strict=True):
    axes.plot(defoci, gains, label=f"dose {dose:.0f} per square angstrom")
for index in chosen.chosen:
    axes.axvline(defoci[index % len(defoci)], color="0.7")
axes.set(xlabel="defocus (angstrom)", ylabel="loss reduction per electron", ylim=(0.0, None))
axes.legend()
plt.show()
