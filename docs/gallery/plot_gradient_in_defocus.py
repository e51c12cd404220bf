"""
The gradient of an image in defocus
===================================

The signals are differentiable functions of the microscope. The derivative of an HRTEM image in C10 comes from one forward-mode pass. The slope of the contrast
crosses zero where the contrast is greatest or least.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from twin import Microscope, Sample, hrtem

# %%
# An image as a function of C10
# -----------------------------
# SrTiO3 [001], 4 nm thick, 300 keV, C30 of 1.2 mm. ``at`` gives a microscope with other values, which may be traced by JAX.

sample = Sample.crystal("SrTiO3", cells=10, repeats=(4, 4))
microscope = Microscope(energy=300e3, aperture=12e-3, aberrations={"C30": 1.2e7}, focal_spread=30.0)


@jax.jit
def image(c10):
    """Image at a C10 in angstrom, 1 in vacuum."""
    return hrtem(sample, microscope.at(C10=c10))[0]


def contrast(c10):
    """Standard deviation of the image over its mean."""
    return image(c10).std() / image(c10).mean()


# %%
# Contrast and its slope over a focal series
# ------------------------------------------

c10 = np.linspace(-1200.0, 200.0, 71)
value, slope = jax.lax.map(jax.value_and_grad(contrast), jnp.asarray(c10))
best = float(c10[int(np.argmax(value))])
now, change = jax.jvp(image, (best,), (1.0,))
print(f"greatest contrast {float(value.max()):.3f} at C10 = {best:.0f} angstrom")

figure, (curve, left, right) = plt.subplots(1, 3, figsize=(12, 3.6))
curve.plot(c10, value, label="contrast")
curve.plot(c10, 100.0 * slope, label="100 angstrom x slope")
curve.axvline(best, color="0.7")
curve.set(xlabel="C10 (angstrom)")
curve.legend()
side = 4 * 3.905
left.imshow(now, cmap="gray", extent=(0, side, side, 0))
left.set(title=f"image at C10 = {best:.0f} angstrom", xlabel="x (angstrom)")
right.imshow(change, cmap="RdBu", extent=(0, side, side, 0))
right.set(title="derivative in C10", xlabel="x (angstrom)")
figure.tight_layout()
plt.show()
