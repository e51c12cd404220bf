"""
Calibrate a column
==================

Camera lengths at a dozen lens settings determine some constants of a column. They are found with errors, and the calibration predicts settings
that were not measured.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from reconstruct import calibrate
from reconstruct.calibration.rows import Row
from twin.column.column import Column
from twin.column.settings import Settings
from twin.column.table import read_column

# %%
# The column
# ----------
# A table of what the electrons meet on their way, from the gun at 0 on. A pair is what is known of a constant: mean and standard deviation.

TABLE = """
schema = "emtwin.column/1"
name = "three lenses"

[zeros]
defocus = 1e4
image_rotation = 0.1
pattern_rotation = 0.1

[[element]]
kind = "gun"
name = "gun"
source_nm = [20.0, 6.0]
brightness = [2e8, 1e8]
energy_spread_ev = [0.8, 0.15]

[[element]]
kind = "specimen"
name = "specimen"
objective = "objective"
place_mm = [819.9, 0.1]

[[element]]
kind = "lens"
name = "objective"
control = "lens.objective"
place_mm = [820.0, 0.05]
half_width_mm = [3.0, 0.3]
reach_mm = 40.0
ampere_turns = [20700.0, 400.0]

[[element]]
kind = "lens"
name = "diffraction"
control = "lens.diffraction"
place_mm = [990.0, 5.0]
half_width_mm = [6.0, 1.5]
reach_mm = 30.0
ampere_turns = [8000.0, 900.0]

[[element]]
kind = "lens"
name = "projector"
control = "lens.projector"
place_mm = [1150.0, 5.0]
half_width_mm = [4.0, 1.0]
reach_mm = 30.0
ampere_turns = [10000.0, 1000.0]

[[element]]
kind = "detector"
name = "camera"
place_mm = [1700.0, 15.0]
pixel_um = 14.0
"""

column = Column(read_column(TABLE, "this example"))

# %%
# The measurements
# ----------------
# Here they come from a column whose diffraction lens and projector differ from what the table assumes, and are read to 1 %. Replace ``rows`` by
# your own. Lenses are shares of full scale.


def settings(diffraction: float, projector: float) -> Settings:
    """Settings at 300 kV."""
    return Settings(300e3, {"lens.objective": 0.88, "lens.diffraction": diffraction, "lens.projector": projector})


true = column.vector({"diffraction.ampere_turns": 8700.0, "projector.ampere_turns": 9500.0})
generator = np.random.default_rng(4)
rows = []
for number in range(12):
    setting = settings(*generator.uniform((0.28, 0.30), (0.60, 0.60)))
    length = float(column.optics(setting, true).camera_length) * np.exp(0.01 * generator.standard_normal())
    rows.append(Row(f"setting {number + 1}", setting, "camera_length", length, 0.01 * length))

# %%
# The constants
# -------------

result = calibrate(rows, column)
result

# %%
# Camera lengths at settings that were not measured
# -------------------------------------------------

diffraction = np.linspace(0.30, 0.58, 15)
asked = [Row("asked", settings(float(excitation), 0.45), "camera_length", 1.0) for excitation in diffraction]
predicted = result.predict(asked)
low, middle, high = (
    np.array([getattr(prediction, end) for prediction in predicted]) * 1e-7 for end in ("low", "value", "high")
)

figure, axes = plt.subplots(figsize=(7, 4))
axes.fill_between(diffraction, low, high, alpha=0.3, label="90 %")
axes.plot(diffraction, middle, label="predicted")
axes.plot(
    diffraction, [float(column.optics(row.settings, true).camera_length) * 1e-7 for row in asked], "k--", label="true"
)
axes.plot(
    diffraction, [float(column.optics(row.settings).camera_length) * 1e-7 for row in asked], ":", label="uncalibrated"
)
axes.set(xlabel="diffraction lens (share of full scale)", ylabel="camera length (mm)", yscale="log")
axes.legend()
plt.show()
