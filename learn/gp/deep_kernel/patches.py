"""Patches of a fine image around each pixel of a map, as inputs of a network."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, map_coordinates

COMPONENTS = 8
REACH = 1.2
"""Standard deviation of the window of a patch, in pixels of the map."""
POINTS = 16
"""Points of a patch along a side, which is four REACHes long."""


def patch_inputs(
    image: Float[np.ndarray, "height width"], finer: int, components: int = COMPONENTS, reach: float = REACH
) -> Float[np.ndarray, "n i"]:
    """Inputs of a deep kernel in each pixel of a grid ``finer`` times coarser than the image; pixels in row order.

    They are the first principal components, over all pixels measured or not, of the patch around each under a Gaussian window of standard deviation ``reach``
    in pixels of the grid. A component's spread is the square root of its share of the first one's, so that weak ones begin with little influence.
    Raises ValueError for fewer than one component, no reach, and an image that is not finite or no whole number of blocks.
    """
    if components < 1 or not reach > 0:
        raise ValueError(
            f"{components} components within {reach} pixels describe no patch; give at least 1, and a reach"
        )
    height, width = image.shape
    if finer < 1 or height % finer or width % finer:
        raise ValueError(f"an image of {image.shape} pixels is no whole number of blocks of {finer} x {finer}; crop it")
    if not np.isfinite(image).all():
        raise ValueError("the image holds values that are not finite; leave them out or fill them in first")
    rows, columns = height // finer, width // finer
    half = 2.0 * reach * finer
    blurred = gaussian_filter(np.asarray(image, dtype=np.float64), 0.4 * 2.0 * half / POINTS, mode="reflect")
    steps = (np.arange(POINTS) + 0.5) / POINTS * 2.0 - 1.0
    y = ((np.arange(rows) + 0.5) * finer - 0.5)[:, None, None, None] + half * steps[None, None, :, None]
    x = ((np.arange(columns) + 0.5) * finer - 0.5)[None, :, None, None] + half * steps[None, None, None, :]
    patches = map_coordinates(blurred, np.broadcast_arrays(y, x), order=1, mode="reflect")
    window = np.exp(-0.5 * (2.0 * steps) ** 2)
    flat = (patches * window[:, None] * window).reshape(rows * columns, -1)
    flat = flat - flat.mean(0)
    left, sizes, right = np.linalg.svd(flat, full_matrices=False)
    kept = int(
        min(
            components,
            (sizes > 1e-9 * max(float(sizes[0]), np.sqrt(flat.size) * float(np.abs(image).max()), 1e-300)).sum(),
        )
    )
    # the sign of a component is free: the largest coefficient is positive on every machine
    signs = np.sign(np.take_along_axis(right[:kept], np.abs(right[:kept]).argmax(1)[:, None], 1)[:, 0])
    scaled = left[:, :kept] * signs * np.sqrt(len(flat) * sizes[:kept] / max(float(sizes[0]), 1e-300))
    return np.pad(scaled, ((0, 0), (0, components - kept)))
