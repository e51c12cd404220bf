"""
Smooth a sensor log
===================

A coil's temperature is logged ten times a second, with noise, a gap, and a sensor that sticks near the end. The filter follows the log; the
smoother looks back over all of it. Where there are no readings its band is wide, and readings of the stuck sensor are left out.
"""

from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

import twin
from reconstruct.stream import Stream
from twin.records import Readings
from twin.sensors import read_table

# %%
# The log
# -------
# Replace these arrays by the times (s) and temperatures (K) of a log of your own.

generator = np.random.default_rng(1)
seconds = np.arange(0.0, 600.0, 0.1)
true = 300.0 + 0.8 * (1.0 - np.exp(-seconds / 200.0))
logged = true + 0.02 * generator.standard_normal(len(seconds))
logged[seconds >= 540.0] = logged[seconds < 540.0][-1]
kept = (seconds < 200.0) | (seconds >= 300.0)
seconds, true, logged = seconds[kept], true[kept], logged[kept]

# %%
# Filter and smooth
# -----------------
# The table of the simulated microscope says how the coil's temperature moves and what its sensor shows. Times are nanoseconds.

text = (Path(twin.__file__).parent / "tables" / "simulated.toml").read_text()
start = 1_700_000_000 * 10**9
stream = Stream(read_table(text, "simulated.toml").model(), start)
times = start + np.round(seconds * 1e9).astype(np.int64)
for second in range(600):
    now = (seconds >= second) & (seconds < second + 1)
    if now.any():
        readings = Readings("objective.temperature", int(np.argmax(now)), times[now], logged[now])
        stream.push([readings], arrival=start + (second + 1) * 10**9)

smoother = stream.smoother()
at = np.arange(5.0, 600.0, 5.0)
mean, covariance = smoother.quantities(["T"], [start + int(second * 1e9) for second in at])
band = 1.645 * np.sqrt(covariance[:, 0, 0])
print("verdict on the sensor:", stream.verdicts()["objective.temperature"])

# %%
# The temperature with its 90 % band
# ----------------------------------

figure, axes = plt.subplots(figsize=(7, 4))
axes.plot(seconds, logged, ".", markersize=1, color="0.6", label="logged")
axes.plot(seconds, true, "k--", linewidth=1, label="true")
axes.plot(at, mean[:, 0], label="smoothed")
axes.fill_between(at, mean[:, 0] - band, mean[:, 0] + band, alpha=0.3, label="90 %")
axes.set(xlabel="time (s)", ylabel="coil temperature (K)")
axes.legend()
plt.show()
