"""
Calibrate a column
==================

Camera lengths at a dozen lens settings determine some constants of a column. They are found with errors, and the calibration predicts settings
that were not measured.
"""

from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

import twin
from reconstruct.calibration.fit import calibrate
from reconstruct.calibration.rows import Row
from twin.column.column import Column
from twin.column.settings import Settings
from twin.column.table import read_column

path = Path(twin.__file__).parent / "column" / "tables" / "generic-300.toml"
column = Column(read_column(path.read_text(), path.name))

# %%
# The measurements
# ----------------
# Here they come from a column whose diffraction lens and first projector differ from what the table assumes, and are read to 1 %. Replace ``rows``
# by your own. Lenses are shares of full scale, apertures angstrom.

fixed = {"lens.condenser1": -0.3663, "lens.condenser2": 0.40, "lens.minicondenser": 0.98, "lens.objective": 0.88}
fixed |= {"lens.projector2": 0.9, "aperture.C2": 50e4}


def settings(diffraction: float, intermediate: float, projector1: float) -> Settings:
    """Settings at 300 kV."""
    lenses = {"lens.diffraction": diffraction, "lens.intermediate": intermediate, "lens.projector1": projector1}
    return Settings(300e3, fixed | lenses)


true = column.vector({"diffraction.ampere_turns": 8700.0, "projector1.ampere_turns": 9500.0})
generator = np.random.default_rng(4)
rows = []
for number in range(12):
    setting = settings(*generator.uniform((0.28, 0.35, 0.30), (0.60, 0.70, 0.60)))
    length = float(column.optics(setting, true).camera_length) * np.exp(0.01 * generator.standard_normal())
    rows.append(Row(f"setting {number + 1}", setting, "camera_length", length, 0.01 * length))

# %%
# The constants
# -------------

found = calibrate(column, rows)
for name in ("diffraction.ampere_turns", "projector1.ampere_turns"):
    place = found.names.index(name)
    before = column.constants[place]
    print(
        f"{name}: {before.mean:.0f} +- {before.std:.0f} before, {found.constants[place]:.0f} +- {found.std[place]:.0f} now"
    )
print("rows that do not fit:", found.outliers or "none")

# %%
# Camera lengths at settings that were not measured
# -------------------------------------------------

diffraction = np.linspace(0.30, 0.58, 15)
asked = [Row("asked", settings(float(one), 0.5, 0.45), "camera_length", 1.0) for one in diffraction]
predicted = found.predict(asked)
low, middle, high = (np.array([getattr(one, end) for one in predicted]) * 1e-7 for end in ("low", "value", "high"))

figure, axes = plt.subplots(figsize=(7, 4))
axes.fill_between(diffraction, low, high, alpha=0.3, label="90 %")
axes.plot(diffraction, middle, label="predicted")
axes.plot(
    diffraction, [float(column.optics(one.settings, true).camera_length) * 1e-7 for one in asked], "k--", label="true"
)
axes.plot(
    diffraction, [float(column.optics(one.settings).camera_length) * 1e-7 for one in asked], ":", label="uncalibrated"
)
axes.set(xlabel="diffraction lens (share of full scale)", ylabel="camera length (mm)", yscale="log")
axes.legend()
plt.show()
