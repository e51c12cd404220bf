"""
Closed-loop session
===================

A map of the HAADF signal over a specimen of uneven thickness. The instrument moves and exposes only where the map's own uncertainty is above what is
asked for; the other points are predicted. Here the instrument is simulated, in a process of its own; `instrument.connect` gives one that is served.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from instrument import simulated
from learn import GPMap
from twin.records import Scan

# %%
# The area
# --------
# 10 x 10 stage positions, 400 nm apart. An exposure is an image of one unit cell.

rows, columns = np.mgrid[:10, :10]
positions = 4000.0 * np.stack([columns.ravel(), rows.ravel()], axis=1)  # angstrom
scan = Scan(shape=(8, 8), pixel=3.905 / 8, dwell=2e-4, dose=3e4)
specimen = {
    "cells": 8,
    "repeats_xy": 2,
    "gpts": 96,
    "phonon_configs": 1,
    "slices_per_cell": 2,
    "wedge": 6e-4,
    "wedge_swing": 5.0,
}
stage = {"stage_error": 100.0, "stage_backlash": 0.0}


def measure(microscope, index):
    """Share of the electrons that reach the detector at a position, and its counting variance."""
    x, y = positions[index]
    microscope.apply({"stage.x": x, "stage.y": y})
    frame = microscope.acquire(scan)
    detected = (frame.data - frame.meta["detector.black"]).sum() / frame.meta["detector.gain"]
    return detected / frame.exposure.pixels, max(detected, 1.0) / frame.exposure.pixels**2


# %%
# The session
# -----------
# It begins with five positions. As long as the largest standard deviation is above a tenth of the range of the map, the next exposure is made there.

tolerance = 0.1
model = GPMap((10, 10), np.zeros((100, 0)))
measured, values, variances, history = [], [], [], []
with simulated(seed=4, config=specimen | stage) as microscope:
    following = [0, 9, 55, 90, 99]
    while following:
        index = following.pop(0)
        value, variance = measure(microscope, index)
        measured.append(index)
        values.append(value)
        variances.append(variance)
        if not following:
            prediction = model.predict(np.array(measured), np.array(values), np.array(variances))
            history.append(prediction.uncertainty)
            if prediction.uncertainty > tolerance and len(measured) < len(positions):
                unknown = np.setdiff1d(np.arange(len(positions)), measured)
                following = [int(unknown[np.argmax(prediction.std[unknown])])]
    everywhere = np.array([measure(microscope, index)[0] for index in range(len(positions))])

# %%
# What it decided
# ---------------
# Afterwards every position was measured, which a session would not do, to check the map: errors, and how many of its 90 % intervals hold what was measured.

predicted = np.setdiff1d(np.arange(len(positions)), measured)
errors = everywhere[predicted] - prediction.mean[predicted]
inside = np.abs(errors) < 1.645 * np.hypot(prediction.std[predicted], np.sqrt(np.mean(variances)))
print(f"measured {len(measured)} of {len(positions)} positions; {inside.mean():.0%} of 90 % intervals hold the others")
print(f"rms error of the others {np.sqrt(np.mean(errors**2)) / np.ptp(everywhere):.1%} of the range")

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
images = {
    "prediction": prediction.mean,
    "std (dots: exposed)": prediction.std,
    "measured everywhere": everywhere,
}
for ax, (title, image) in zip(axes, images.items(), strict=True):
    limits = {} if title.startswith("std") else {"vmin": 1e3 * everywhere.min(), "vmax": 1e3 * everywhere.max()}
    shown = ax.imshow(1e3 * image.reshape(10, 10), **limits)
    figure.colorbar(shown, ax=ax, label="electrons in a thousand")
    ax.set(title=title, xlabel="stage x (400 nm)", ylabel="stage y (400 nm)")
axes[1].plot(columns.ravel()[measured], rows.ravel()[measured], "w.")
plt.show()
