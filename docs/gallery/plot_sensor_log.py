"""
Smooth a sensor log
===================

The temperature of a specimen holder is logged ten times a second, with noise, a gap, and a sensor that sticks near the end. The filter follows the log; the
smoother looks back over all of it. Where there are no readings its band is wide, and readings of the stuck sensor are left out.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from reconstruct import Stream
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
# A sensor table says how the temperature moves and what the sensor shows of it: here a slope that changes slowly, and 0.02 K of noise. Times are
# nanoseconds.

TABLE = """
schema = "emtwin.sensors/2"
name = "holder"

[[entry]]
name = "holder.T"
unit = "kelvin"
mean = 300.0
std = 10.0
moves = { kind = "integrate", of = "holder.T.rate" }

[[entry]]
name = "holder.T.rate"
unit = "kelvin/second"
mean = 0.0
std = 0.01
moves = { kind = "walk", rate = 1e-4 }

[[sensor]]
channel = "holder.thermometer"
unit = "kelvin"
kind = "measured"
rate = 10.0
expects = { "holder.T" = 1.0 }
noise = 0.02
"""

start = 1_700_000_000 * 10**9
stream = Stream(read_table(TABLE, "this example").model(), start)
times = start + np.round(seconds * 1e9).astype(np.int64)
for second in range(600):
    now = (seconds >= second) & (seconds < second + 1)
    if now.any():
        readings = Readings("holder.thermometer", int(np.argmax(now)), times[now], logged[now])
        stream.push([readings], arrival=start + (second + 1) * 10**9)

smoother = stream.smoother()
at = np.arange(5.0, 600.0, 5.0)
mean, covariance = smoother.quantities(["holder.T"], [start + int(second * 1e9) for second in at])
band = 1.645 * np.sqrt(covariance[:, 0, 0])
print("verdict on the sensor:", stream.verdicts()["holder.thermometer"])

# %%
# The temperature with its 90 % band
# ----------------------------------

figure, axes = plt.subplots(figsize=(7, 4))
axes.plot(seconds, logged, ".", markersize=1, color="0.6", label="logged")
axes.plot(seconds, true, "k--", linewidth=1, label="true")
axes.plot(at, mean[:, 0], label="smoothed")
axes.fill_between(at, mean[:, 0] - band, mean[:, 0] + band, alpha=0.3, label="90 %")
axes.set(xlabel="time (s)", ylabel="holder temperature (K)", ylim=(299.9, 301.0))
axes.legend()
plt.show()
