"""The profile of an edge: a step spread by a Gaussian, and by an even motion along the direction in which the pattern moved while it was recorded."""

import numpy as np
from scipy.special import erfc

MIN_MOTION = 0.05
"""Motion across an edge, in units of the Gaussian's rms, below which it is as good as none."""


def edge_profile(
    offset: np.ndarray, width: float, motion: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(share of the inside's level, its fall with ``offset``, its change with the variance) [n] at ``offset`` [n] pixels beyond an edge of rms ``width``.

    ``motion`` [n]: pixels that the edge moved across itself, evenly. The variance is ``width`` ** 2 + ``motion`` ** 2 / 12; changed is that of the motion where
    there is one, else that of the Gaussian.
    """
    motion = np.broadcast_to(np.asarray(motion, float), offset.shape)
    share, density = _gaussian(offset, width)
    change = 0.5 * density * offset / width**2
    moved = motion > MIN_MOTION * width
    if moved.any():
        half = 0.5 * motion[moved]
        far, near = offset[moved] + half, offset[moved] - half
        (far_share, far_density), (near_share, near_density) = _gaussian(far, width), _gaussian(near, width)
        # the integral of the share, from which the mean over the motion follows
        rise = (far * far_share - width**2 * far_density) - (near * near_share - width**2 * near_density)
        share[moved] = rise / (2.0 * half)
        density[moved] = (near_share - far_share) / (2.0 * half)
        change[moved] = 1.5 / half * (0.5 * (far_share + near_share) - share[moved]) / half
    return share, density, change


def _gaussian(offset: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    share = 0.5 * erfc(offset / (np.sqrt(2.0) * width))
    return share, np.exp(-0.5 * (offset / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)
