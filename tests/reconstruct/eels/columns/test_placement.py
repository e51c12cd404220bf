"""Places of pixels in the cell, on lattice images whose scale, direction, distortion and composition are known."""

import numpy as np
import pytest

from reconstruct.eels.columns import place_in_cell
from reconstruct.measurement.projection import Projection

CRYSTAL = Projection((2.76, 0.0), (0.0, 3.905), ((0.0, 0.0), (0.0, 0.5), (0.5, 0.5)), (520.0, 190.0, 70.0))


def drawn(angle: float, scale: float, seed: int, crystal: Projection = CRYSTAL) -> tuple[np.ndarray, np.ndarray]:
    """An image [ny, nx] of the crystal, ``scale`` pixels to the angstrom, and its true coordinates: distorted, ever heavier to the right, noisy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:180, :320].astype(float)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    bent = np.stack([x + 3.0 * np.sin(y / 60.0), y + 4.0 * np.sin(x / 90.0)], axis=-1) / scale
    true = bent @ (np.linalg.inv(crystal.vectors) @ turn).T
    image = np.zeros(x.shape)
    for column, weight in zip(crystal.columns, crystal.weights, strict=True):
        off = (true - np.array(column) + 0.5) % 1.0 - 0.5
        image += (
            520.0
            * weight
            / max(crystal.weights)
            * np.exp(-0.5 * (np.linalg.norm(off @ crystal.vectors.T, axis=-1) / 0.6) ** 2)
        )
    image *= 1.0 + 3.0 / (1.0 + np.exp(-(x - 200.0) / 10.0))
    return image + rng.normal(size=image.shape) * 30.0, true % 1.0


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 14.0), (0.4, 11.0), (1.5708, 16.0)])
def test_places_are_those_drawn(angle: float, scale: float) -> None:
    image, true = drawn(angle, scale, 1)
    placement = place_in_cell(image, CRYSTAL)
    expected = np.linalg.inv(CRYSTAL.vectors) @ np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
    np.testing.assert_allclose(np.abs(placement.lattice), np.abs(expected) / scale, atol=0.06 / scale)
    # half a turn gives the same crystal
    errors = [np.abs((way * placement.coordinates - true + 0.5) % 1.0 - 0.5) for way in (1.0, -1.0)]
    assert min(float(error.mean()) for error in errors) < 0.03


def test_what_shows_no_lattice_is_refused() -> None:
    for seed in range(3):
        with pytest.raises(ValueError, match="no lattice of this crystal"):
            place_in_cell(np.random.default_rng(seed).normal(size=(200, 200)), CRYSTAL)
    with pytest.raises(ValueError, match="flat"):
        place_in_cell(np.ones((200, 200)), CRYSTAL)
    with pytest.raises(ValueError, match="finite"):
        place_in_cell(np.full((200, 200), np.nan), CRYSTAL)
    with pytest.raises(ValueError, match=r"2\.5 periods"):
        place_in_cell(np.random.default_rng(0).normal(size=(8, 200)), CRYSTAL)


def test_a_centred_cell_is_refused_and_its_primitive_one_is_not() -> None:
    """No two reflections of a centred cell fix a place in it: half a cell on is the same."""
    centred = Projection((4.0, 0.0), (0.0, 4.0), ((0.0, 0.0), (0.5, 0.5)), (1.0, 1.0))
    image, _ = drawn(0.0, 14.0, 2, centred)
    with pytest.raises(ValueError, match="primitive cell"):
        place_in_cell(image, centred)
    assert place_in_cell(image, centred.primitive()).contrast > 8.0
