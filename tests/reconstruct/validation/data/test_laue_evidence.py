"""The first-order Laue zone as evidence on the high tension: patterns by multislice, and patterns that show no such ring."""

import dataclasses
import math

import numpy as np
import pytest

from reconstruct.measurement.diffraction.laue import find_laue_ring, layer_spacing
from reconstruct.validation.data.diffraction.spots import spots
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.specimen import oriented
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.convergent.laue_zones import Zone, strontium_titanate, zone_pattern
from tests.synthetic.diffraction_patterns import Drawn, pattern_of, signal_of_pattern
from twin.optics.electrons import wavelength

STRONTIUM_TITANATE = Known("SrTiO3")
SPACING = 1.0 / 3.905


def ring_of(counts: np.ndarray, drawn: Zone, claimed: float | None = None):
    """Evidence of the zone, and the gaps, with a pixel that is a tenth too large: it plays no part."""
    pixel = 2 * [1.1 * drawn.pixel]
    signal = signal_of_pattern(counts, (pixel[0], pixel[1]), tension=claimed or drawn.tension)
    items, gaps = evidence_by(spots, signal, STRONTIUM_TITANATE)
    return [item for item in items if item.name == "high-order Laue zone"], gaps


@pytest.mark.parametrize(
    "drawn",
    [
        Zone(tension=120e3, pixel=0.018),
        Zone(),
        Zone(tilt=(0.1, 0.05)),
        Zone(flat=False),
        Zone(tension=300e3, pixel=0.0235, electrons=3e9, background=0.1),
    ],
    ids=["120 kV", "200 kV", "tilted", "sines", "300 kV"],
)
def test_the_high_tension_is_found(drawn):
    (item,), _ = ring_of(zone_pattern(drawn, 1), drawn)
    assert abs(nearest(item, {"high_tension": drawn.tension})[0]) < 2.5
    # the zero-order reflections may be {100} or {110} of another pixel: readings whose wavelengths differ by a factor of 2
    means = np.array([float(part.mean[0]) for part in item.components])
    octaves = (means - math.log(float(wavelength(drawn.tension)))) / math.log(2.0)
    assert np.abs(octaves - np.round(octaves)).max() < 0.07
    assert max(float(part.covariance[0, 0]) for part in item.components) < 0.03**2


@pytest.mark.parametrize("name, zone", [("Si", (1, 1, 0)), ("Au", (0, 0, 1))])
def test_light_and_heavy_crystals_give_the_same(name, zone):
    """Columns of gold bind electrons more, which makes the ring smaller; its zero-order reflections make rings of their own."""
    known = Known(name, zone=zone)
    atoms = oriented(signal_of_pattern(np.zeros((64, 64)), (0.02, 0.02)), known)
    drawn = Zone(cells=round(150.0 / float(atoms.cell.array[2, 2])), electrons=3e9, background=0.15, directions=16)
    signal = signal_of_pattern(zone_pattern(drawn, 1, atoms), (0.021, 0.021))
    items, _ = evidence_by(spots, signal, known)
    (item,) = [item for item in items if item.name == "high-order Laue zone"]
    assert abs(nearest(item, {"high_tension": 200e3})[0]) < 2.5
    assert abs(nearest(item, {"high_tension": 300e3})[0]) > 5.0


def test_300_for_200_kilovolt_is_found_and_named():
    counts = zone_pattern(Zone(), 2)
    wrong = validate_recording("zone", signal_of_pattern(counts, (0.021, 0.021), tension=300e3), STRONTIUM_TITANATE)
    right = validate_recording("zone", signal_of_pattern(counts, (0.021, 0.021), tension=200e3), STRONTIUM_TITANATE)
    assert right.agrees
    verdict = wrong.verdict("high_tension")
    assert verdict.status == "disagrees"
    assert verdict.causes[0][0] == "high tension"
    assert verdict.suggested == pytest.approx(200e3, rel=0.06)


@pytest.mark.parametrize(
    "drawn, words",
    [(Zone(cells=8, electrons=3e7), "no ring|no single"), (Zone(electrons=1e7), "no ring|no single")],
    ids=["thin", "few electrons"],
)  # fmt: skip
def test_no_ring_is_a_gap(drawn, words):
    items, (gap,) = ring_of(zone_pattern(drawn, 3), drawn)
    assert not items
    assert gap.fields == ("high_tension",)
    assert any(word in gap.why for word in words.split("|"))


def test_a_pattern_that_ends_before_the_ring_says_nothing():
    drawn = Zone(pixel=0.008)
    assert ring_of(zone_pattern(drawn, 3), drawn) == ([], [])


@pytest.mark.parametrize("seed", range(6))
def test_zero_order_reflections_and_edges_are_no_ring(seed):
    rng = np.random.default_rng(seed)
    drawn = Drawn(shape=(256, 256), pixel=(0.045, 0.045), width=1.0, electrons=1e7, damping=4.0, centre=(0.0, 0.0))
    reflections = pattern_of(dataclasses.replace(drawn, rotation=rng.uniform(0.0, 1.5)), seed)
    y, x = np.mgrid[:256, :256] - 128.0
    radius = 0.045 * np.hypot(x, y)
    diffuse = (np.exp(-radius / 0.5) + 0.02 * np.exp(-radius / 3.0)) * np.where(
        radius < rng.uniform(2.0, 5.0), 1.0, 0.6
    )
    edge = rng.poisson(10.0 ** rng.uniform(6.0, 8.5) * diffuse / diffuse.sum()).astype(float)
    for pattern in (reflections, edge):
        assert isinstance(find_laue_ring(pattern, np.array([128.0, 128.0]), np.array([0.045, 0.045]), SPACING), str)


def test_layers_are_those_of_the_shortest_period():
    from ase.build import bulk

    assert layer_spacing(strontium_titanate()) == pytest.approx(SPACING)
    assert layer_spacing(strontium_titanate().repeat((1, 1, 3))) == pytest.approx(SPACING)
    # body-centred iron along [001] repeats after a, though every second atom is half-way
    assert layer_spacing(bulk("Fe", "bcc", a=2.87, cubic=True)) == pytest.approx(1.0 / 2.87)
    doubled = strontium_titanate().repeat((1, 1, 2))
    doubled.positions[0, 2] += 0.1  # a weak superlattice: its first zone may not be seen
    assert layer_spacing(doubled) is None
