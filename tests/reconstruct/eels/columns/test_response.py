"""The response of pixels against direct averages of the map over the places that each covers."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from reconstruct.eels.columns import edge_response
from reconstruct.measurement.projection import Projection

CRYSTAL = Projection((2.76, 0.0), (0.0, 3.905))
FINE = 64


def smooth_map(count: int) -> np.ndarray:
    """A map over the cell of few harmonics, [count, count]."""
    v, u = np.mgrid[:count, :count] * 2.0 * np.pi / count
    return 5.0 + np.cos(u) - 2.0 * np.cos(v + 0.3) + 0.7 * np.cos(2.0 * u - v) + 0.2 * np.sin(3.0 * v)


def places(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return np.stack([0.013 * x + 0.002 * y, 0.021 * y + 0.1 * np.sin(x / 20.0)], axis=-1) % 1.0


def test_without_blur_it_is_the_mean_of_the_map_over_each_block() -> None:
    coordinates = places((48, 32))
    response = edge_response(smooth_map(16), CRYSTAL, coordinates, 8).at(0.0)
    u, v = 2.0 * np.pi * coordinates[..., 0], 2.0 * np.pi * coordinates[..., 1]
    values = 5.0 + np.cos(u) - 2.0 * np.cos(v + 0.3) + 0.7 * np.cos(2.0 * u - v) + 0.2 * np.sin(3.0 * v)
    np.testing.assert_allclose(response, values.reshape(6, 8, 4, 8).mean((1, 3)).ravel() / 5.0, atol=1e-12)


def test_blur_is_a_gaussian_over_the_map() -> None:
    """Against the periodic map convolved on a fine grid, read at its own points."""
    blur, fine = 0.5, smooth_map(FINE)
    widths = (blur * FINE / 3.905, blur * FINE / 2.76)
    expected = gaussian_filter(fine, widths, mode="wrap", truncate=8.0) / 5.0
    v, u = np.mgrid[:FINE, :FINE] / FINE
    response = edge_response(smooth_map(16), CRYSTAL, np.stack([u, v], axis=-1), 1).at(blur)
    np.testing.assert_allclose(response.reshape(FINE, FINE), expected, atol=1e-6)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(ValueError, match="no signal"):
        edge_response(np.zeros((8, 8)), CRYSTAL, places((16, 16)), 4)
    with pytest.raises(ValueError, match="whole number of blocks"):
        edge_response(smooth_map(8), CRYSTAL, places((16, 15)), 4)
