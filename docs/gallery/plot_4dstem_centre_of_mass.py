"""
Centre of mass from 4D-STEM
===========================

A pattern for every probe position. Its first moment shows the electric field of the columns, its bright disk and outer part are images.
"""

import matplotlib.pyplot as plt
import numpy as np

from twin import Microscope, Pixelated, Sample, Scan, simulate

# %%
# The patterns
# ------------
# SrTiO3 [001], three unit cells thick, on a camera of 32 x 32 pixels of 3 mrad.

sample = Sample.crystal("SrTiO3", cells=3)
microscope = Microscope(energy=200e3, semiangle=21e-3)
camera = Pixelated((32, 32), 3e-3)
scan = Scan((24, 24), fov=3.905)
data = simulate(sample, microscope, "4d-stem", scan=scan, detectors=[camera])["data"]
print(dict(data.sizes))

# %%
# Moments and images
# ------------------
# Angles are coordinates of the Dataset, in mrad.

pattern_axes = ("theta_y", "theta_x")
total = data.sum(pattern_axes)
along_x = ((data * data.theta_x).sum(pattern_axes) / total).assign_attrs(long_name="mean angle", units="mrad")
along_y = ((data * data.theta_y).sum(pattern_axes) / total).assign_attrs(long_name="mean angle", units="mrad")
angle = np.hypot(data.theta_x, data.theta_y)
bright, dark = data.where(angle < 21.0).sum(pattern_axes), data.where(angle > 30.0).sum(pattern_axes)

figure, panels = plt.subplots(1, 4, figsize=(13, 3.2))
bright.plot(ax=panels[0], cmap="gray", yincrease=False)
dark.plot(ax=panels[1], cmap="gray", yincrease=False)
along_x.plot(ax=panels[2], cmap="RdBu", yincrease=False)
along_y.plot(ax=panels[3], cmap="RdBu", yincrease=False)
for panel, title in zip(panels, ("bright field", "dark field", "centre of mass, x", "centre of mass, y"), strict=True):
    panel.set(title=title, aspect="equal")
figure.tight_layout()
plt.show()
