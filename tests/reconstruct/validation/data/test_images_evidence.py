"""Pixel sizes of images by the lattice of a known crystal."""

import math

import numpy as np
import pytest

from reconstruct.validation.data.attempts import resolves
from reconstruct.validation.data.images import lattice
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.specimen import zone_of
from tests.reconstruct.validation.made import claims_of
from tests.synthetic.lattices import columns_at
from twin.records import Axis, Signal

STRONTIUM = Known("SrTiO3", (0, 0, 1))
ALONG = zone_of(Signal(np.zeros((2, 2)), (), "image", "", "", ""), STRONTIUM)
SIDE = 128


def drawn(
    pixel_x: float, pixel_y: float, claimed_x: float, claimed_y: float, turn: float = 0.3, side: int = SIDE
) -> Signal:
    """Strontium titanate along [001] in pixels of ``pixel_x`` by ``pixel_y`` angstrom, in a file that claims others."""
    x, y = np.meshgrid(np.arange(side) * pixel_x, np.arange(side) * pixel_y)
    cosine, sine = math.cos(turn), math.sin(turn)
    positions = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    image = np.random.default_rng(4).poisson(60.0 * columns_at(positions, ALONG)).astype(np.float64)
    axes = (
        Axis("pixel.y", side, claimed_y, 0.0, "angstrom", "Å"),
        Axis("pixel.x", side, claimed_x, 0.0, "angstrom", "Å"),
    )
    return Signal(image, axes, "image", "drawn", "", "drawn", claims_of(pixel__x=claimed_x, pixel__y=claimed_y))


def measured(signal: Signal) -> tuple[float, float]:
    values = {name: float(claim.value) for name, claim in signal.claims.items()}
    evidence, gaps = lattice(signal, values, STRONTIUM, lambda *_: None)
    assert evidence, gaps
    x, y = np.exp(evidence[0].components[0].mean)
    return float(x), float(y)


@pytest.mark.parametrize("factors", [(1.0, 1.0), (1.07, 1.07), (2.0, 2.0), (10.0, 10.0), (1.2, 1 / 1.2)])
def test_pixels_by_the_lattice_whatever_is_claimed(factors):
    x, y = measured(drawn(0.45, 0.45, 0.45 * factors[0], 0.45 * factors[1]))
    assert x == pytest.approx(0.45, rel=5e-3)
    assert y == pytest.approx(0.45, rel=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0.0, 0.3, 0.6])
def test_a_binning_that_the_claim_has_and_the_image_has_not(turn):
    """A claim that no pixel near it fits is not taken for one at which the lattice would be folded."""
    x, y = measured(drawn(0.375, 0.375, 1.5, 1.5, turn))
    assert x == pytest.approx(0.375, rel=5e-3)
    assert y == pytest.approx(0.375, rel=5e-3)


def test_an_image_that_is_sampled_finely_is_binned_first():
    x, y = measured(drawn(0.11, 0.11, 0.12, 0.12, side=700))
    assert x == pytest.approx(0.11, rel=5e-3)
    assert y == pytest.approx(0.11, rel=5e-3)


@pytest.mark.parametrize("swapped", [False, True])
def test_pixels_that_differ_by_a_fifth(swapped):
    """No larger pixel is taken for them at which folded reflections lie where the spots are."""
    claimed = (0.52, 0.43) if swapped else (0.43, 0.52)
    x, y = measured(drawn(0.43, 0.52, *claimed))
    assert x == pytest.approx(0.43, rel=5e-3)
    assert y == pytest.approx(0.52, rel=5e-3)


def test_pixels_that_fold_the_slowest_reflection_do_not_resolve_the_crystal():
    assert resolves(ALONG, 1.9)
    assert not resolves(ALONG, 2.0)
