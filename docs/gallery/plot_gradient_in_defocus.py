"""
The gradient of an image in defocus
===================================

The optics are differentiable. The derivative of an HRTEM image in C10 comes from one forward-mode pass. The slope of the contrast crosses zero where
the contrast is greatest or least.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

jax.config.update("jax_enable_x64", True)

from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging, focal_series
from twin.sample.specimen import srtio3
from twin.scattering.signals import exit_waves

# %%
# An exit wave
# ------------
# Multislice of SrTiO3 [001], 4 nm thick, 300 keV.

specimen = srtio3(repeats=(4, 4, 10))
(wave,) = next(exit_waves([lambda: specimen.slices(160, 20)], 300e3))
lens = Imaging(coefficients({"C30": 1.2e7}), 300e3, semiangle=12e-3, focal_spread=30.0)


def image(c10):
    """Image at a C10 in angstrom, 1 in vacuum."""
    return focal_series(wave, specimen.extent, lens, jnp.asarray([c10]))[0]


def contrast(c10):
    """Standard deviation of the image over its mean."""
    return image(c10).std() / image(c10).mean()


# %%
# Contrast and its slope over a focal series
# ------------------------------------------

c10 = np.linspace(-1200.0, 200.0, 71)
value, slope = jax.vmap(jax.value_and_grad(contrast))(jnp.asarray(c10))
best = float(c10[int(np.argmax(value))])
now, change = jax.jvp(image, (best,), (1.0,))
print(f"greatest contrast {float(value.max()):.3f} at C10 = {best:.0f} angstrom")

figure, (curve, left, right) = plt.subplots(1, 3, figsize=(12, 3.6))
curve.plot(c10, value, label="contrast")
curve.plot(c10, 100.0 * slope, label="100 angstrom x slope")
curve.axvline(best, color="0.7")
curve.set(xlabel="C10 (angstrom)")
curve.legend()
extent = (0, specimen.extent[0], specimen.extent[1], 0)
left.imshow(now, cmap="gray", extent=extent)
left.set(title=f"image at C10 = {best:.0f} angstrom", xlabel="x (angstrom)")
right.imshow(change, cmap="RdBu", extent=extent)
right.set(title="derivative in C10", xlabel="x (angstrom)")
figure.tight_layout()
plt.show()
