"""
Thon rings of an image
======================

From an image of an amorphous film to defocus and astigmatism, with errors and with both signs of defocus where the image allows both.
"""

import matplotlib.pyplot as plt
import numpy as np

from reconstruct import measure
from twin.optics.electrons import wavelength

# %%
# An image
# --------
# Here one is made: a weak phase object of random atoms, 200 keV, 1.2 mm spherical aberration, 1000 electrons per square angstrom. Replace
# ``image`` (counts), ``pixel`` (angstrom), ``energy`` (eV) and ``c30`` (angstrom) by your own.

generator = np.random.default_rng(3)
size, pixel, energy, c30 = 256, 0.8, 200e3, 1.2e7
c10, c12a, c12b = -1500.0, 120.0, -60.0

k = np.fft.fftfreq(size, pixel)
kx, ky = np.meshgrid(k, k)
square, azimuth = kx**2 + ky**2, np.arctan2(ky, kx)
theta2 = wavelength(energy) ** 2 * square
chi = (np.pi / wavelength(energy)) * (
    theta2 * (c10 + c12a * np.cos(2 * azimuth) + c12b * np.sin(2 * azimuth)) + 0.5 * c30 * theta2**2
)
atoms = np.zeros((size, size))
np.add.at(atoms, tuple(generator.integers(0, size, (2, 20_000))), 1.0)
projected = np.fft.ifft2(np.fft.fft2(atoms) * 0.12 * np.exp(-0.6 * square) / (1 + square / 0.12) ** 1.5).real
wave = np.fft.ifft2(np.fft.fft2(np.exp(1j * (projected - projected.mean()))) * np.exp(-1j * chi))
image = generator.poisson(1000.0 * pixel**2 * np.abs(wave) ** 2).astype(float)

# %%
# Measure it
# ----------
# Lengths are in angstrom, energies in eV. A notebook shows the result as a table.

result = measure("thon", image, pixel=pixel, energy=energy, spherical=c30, gain=1.0)
result

# %%
# Numbers of it: of the whole mixture, and of each reading that the image allows.

for name, true in zip(result.names, (c10, c12a, c12b), strict=True):
    value, error = result[name]
    print(f"{name}: {value:8.1f} +- {error:.1f} angstrom (true {true:.0f})")
for component in result.components:
    print(f"reading with probability {component.weight:.3f}: C10 = {component.mean[0]:.0f} angstrom")

# %%
# Data, model and residual
# ------------------------

(shown,) = result.measurement.plots
figure, panels = plt.subplots(1, 4, figsize=(12, 3.2))
panels[0].imshow(image, cmap="gray", extent=(0, size * pixel, size * pixel, 0))
panels[0].set(title="image", xlabel="x (angstrom)", ylabel="y (angstrom)")
for panel, name in zip(panels[1:], ("data", "model", "residual"), strict=True):
    values = getattr(shown, name)
    residual = name == "residual"
    low, high = (-4.0, 4.0) if residual else np.nanpercentile(shown.data, (1, 99))
    panel.imshow(values, cmap="RdBu" if residual else "viridis", extent=shown.extent, vmin=low, vmax=high)
    panel.set(title=f"power spectrum: {name}", xlabel=shown.unit)
figure.tight_layout()
plt.show()
