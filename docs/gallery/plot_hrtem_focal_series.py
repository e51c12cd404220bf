"""
A focal series on a camera
==========================

HRTEM images of SrTiO3 at several defoci, with partial coherence, a limited dose, and the blur and gain of a camera.
"""

import matplotlib.pyplot as plt

from twin import Camera, Microscope, Sample, simulate

# %%
# The microscope
# --------------
# 300 keV, 0.6 mm spherical aberration, 3 nm rms focal spread, an objective aperture of 15 mrad. Defoci are positive for underfocus, in angstrom.

sample = Sample.crystal("SrTiO3", zone=(0, 1, 1), thickness=60)
microscope = Microscope(energy=300e3, aperture=15e-3, aberrations={"C30": 0.6e7}, focal_spread=30.0, convergence=2e-4)
defoci = [200.0, 350.0, 500.0, 650.0]

# %%
# The images
# ----------
# 2000 electrons per square angstrom, counted by a camera of 80 counts per electron. The same seed gives the same counts again.

camera = Camera(gain=80.0, efficiency=0.8, readout=20.0)
series = simulate(sample, microscope, "hrtem", defoci=defoci, dose=2000.0, camera=camera, seed=1)
series

# %%
# Contrast through the series
# ---------------------------

images = series["data"]
contrast = images.std(("y", "x")) / images.mean(("y", "x"))
print("contrast:", [f"{float(value):.3f}" for value in contrast])

figure, panels = plt.subplots(1, 4, figsize=(13, 3.4))
for panel, image, defocus in zip(panels, images, defoci, strict=True):
    image.plot(ax=panel, cmap="gray", add_colorbar=False, yincrease=False)
    panel.set(title=f"defocus {defocus:.0f} angstrom", aspect="equal")
figure.tight_layout()
plt.show()
