"""The relative response of an edge at each place of a spectrum image: harmonics of its map over the unit cell, averaged over each pixel's block."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from reconstruct.measurement.projection import Projection

NEGLIGIBLE = 0.005
"""Harmonics of the map that are weaker than this share of its mean are left out."""
MOST_INDEX = 6


class EdgeResponse(NamedTuple):
    """Response of each of n pixels relative to the cell's mean: 1 + sum over harmonics of ``harmonics`` [n, h] exp(-2 pi^2 s^2 ``frequencies``^2), with
    ``frequencies`` [h] in 1/angstrom and s the rms width (angstrom) of what blurs the map: source size, drift and vibration."""

    harmonics: Float[np.ndarray, "n h"]
    frequencies: Float[np.ndarray, " h"]

    def at(self, blur: float) -> Float[np.ndarray, " n"]:
        """The response [n] for a ``blur`` in angstrom.

        >>> EdgeResponse(np.array([[0.5], [-0.5]]), np.array([0.25])).at(0.0).tolist()
        [1.5, 0.5]
        """
        return 1.0 + self.harmonics @ np.exp(-2.0 * (np.pi * blur * self.frequencies) ** 2)


def edge_response(
    map_: Float[np.ndarray, "my mx"],
    crystal: Projection,
    coordinates: Float[np.ndarray, "ny nx 2"],
    finer: int,
) -> EdgeResponse:
    """The response of a spectrum image whose pixels are blocks of ``finer`` x ``finer`` places; pixels in row order.

    ``map_``: the edge's map over one cell of the ``crystal``, sampled at shares (j / mx, i / my) of its periods a and b, in any unit. ``coordinates``:
    shares of a and b at each place, see `place_in_cell`. ValueError for maps without signal, and places that are no whole number of blocks.
    """
    if not np.isfinite(map_).all() or map_.mean() <= 0:
        raise ValueError("the map over the cell has no signal; choose an edge of the crystal")
    height, width = coordinates.shape[:2]
    if finer < 1 or height % finer or width % finer:
        raise ValueError(f"{height} x {width} places are no whole number of blocks of {finer} x {finer}; crop them")
    coefficients = np.fft.fft2(map_) / map_.sum()
    turns = np.exp(2j * np.pi * coordinates)
    harmonics, frequencies = [], []
    for h in (h for h in itertools.product(range(-MOST_INDEX, MOST_INDEX + 1), repeat=2) if h > (0, 0)):
        if 2 * max(map(abs, h)) >= min(map_.shape):
            continue
        coefficient = 2.0 * coefficients[h[1], h[0]]
        if abs(coefficient) < NEGLIGIBLE:
            continue
        wave = (coefficient * turns[..., 0] ** h[0] * turns[..., 1] ** h[1]).real
        harmonics.append(wave.reshape(height // finer, finer, width // finer, finer).mean((1, 3)).ravel())
        frequencies.append(float(np.linalg.norm(np.array(h) @ np.linalg.inv(crystal.vectors))))
    pixels = (height // finer) * (width // finer)
    return EdgeResponse(np.array(harmonics).reshape(-1, pixels).T, np.array(frequencies))
