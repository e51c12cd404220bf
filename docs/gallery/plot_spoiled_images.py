"""
Spoiled images, and what is said of each
========================================

One image of an amorphous film, spoiled in six ways as happens in a microscope. Each is measured as it is; the title says how the measurement ended.
"""

import matplotlib.pyplot as plt
import numpy as np

from reconstruct import measure
from twin.optics.electrons import wavelength

# %%
# A lens and a film
# -----------------
# 300 kV, 1.2 mm spherical aberration, -3000 angstrom of C10, a weak phase object of random atoms, 400 electrons per square angstrom.

generator = np.random.default_rng(7)
size, pixel, energy, c30, c10 = 256, 0.9, 300e3, 1.2e7, -3000.0
k = np.fft.fftfreq(size, pixel)
kx, ky = np.meshgrid(k, k)
square, azimuth = kx**2 + ky**2, np.arctan2(ky, kx)
atoms = np.zeros((size, size))
np.add.at(atoms, tuple(generator.integers(0, size, (2, 25_000))), 1.0)
potential = np.fft.fft2(atoms) * 0.12 * np.exp(-0.6 * square) / (1 + square / 0.12) ** 1.5


def recorded(potential: np.ndarray, c12: float = 0.0, plate: float = 0.0) -> np.ndarray:
    """Counts [ny, nx] of a film of Fourier-transformed ``potential`` with astigmatism ``c12`` and a phase ``plate`` (radian)."""
    theta2 = wavelength(energy) ** 2 * square
    chi = (np.pi / wavelength(energy)) * (theta2 * (c10 + c12 * np.cos(2 * azimuth)) + 0.5 * c30 * theta2**2)
    lens = np.exp(-1j * chi + 1j * plate * (square == 0))
    phase = np.fft.ifft2(potential).real
    wave = np.fft.ifft2(np.fft.fft2(np.exp(1j * (phase - phase.mean()))) * lens)
    return np.random.default_rng(1).poisson(400.0 * pixel**2 * np.abs(wave) ** 2).astype(float)


# %%
# Six spoilings
# -------------

ice = np.exp(-(((np.sqrt(square) - 1 / 3.7) / 0.004) ** 2))
spots = sum(
    np.exp(-(((kx - np.cos(a) / 2.13) ** 2 + (ky - np.sin(a) / 2.13) ** 2) / 0.003**2))
    for a in 0.3 + np.arange(6) * np.pi / 3
)
hot = recorded(potential)
hot.ravel()[generator.choice(size**2, 30, replace=False)] = 65535.0
vacuum = recorded(potential)
vacuum[:, 150:] = generator.poisson(400.0 * pixel**2, (size, size - 150))
images = {
    "clean": recorded(potential),
    "ice ring": recorded(potential * (1.0 + 3.0 * ice)),
    "graphene": recorded(potential * (1.0 + 8.0 * spots)),
    "strong astigmatism": recorded(potential, c12=900.0),
    "phase plate, not told": recorded(potential, plate=0.5 * np.pi),
    "hot pixels": hot,
    "vacuum in a part": vacuum,
}

# %%
# Measured, each with the same words
# ----------------------------------

results = {
    name: measure("thon", image, pixel=pixel, energy=energy, spherical=c30, gain=1.0) for name, image in images.items()
}
for name, result in results.items():
    value, error = result["C10"]
    said = [defect.description for defect in result.defects] + result.disagreements
    answer = f"C10 {value:.0f} +- {error:.0f} angstrom" if "C10" not in result.undetermined else "C10 not given"
    print(f"{name}: {result.outcome}. {answer}. {'; '.join(said)}")

# %%
# Power spectra, models and residuals
# -----------------------------------

figure, panels = plt.subplots(3, len(results), figsize=(14, 8.5))
for column, (name, result) in zip(panels.T, results.items(), strict=True):
    shown = result.measurement.plots[0]
    low, high = np.nanpercentile(np.log(shown.data), (2, 99))
    column[0].imshow(np.log(shown.data), extent=shown.extent, vmin=low, vmax=high)
    column[1].imshow(np.log(shown.model), extent=shown.extent, vmin=low, vmax=high)
    column[2].imshow(shown.residual, extent=shown.extent, vmin=-4, vmax=4, cmap="RdBu_r")
    column[0].set_title(f"{name}:\n{result.outcome}", fontsize=8)
    for panel in column:
        panel.set(xticks=[], yticks=[])
for panel, label in zip(panels[:, 0], ("power spectrum", "model", "residual"), strict=True):
    panel.set_ylabel(label)
figure.tight_layout()
plt.show()
