"""Derivatives of counts in every quantity: against other differences, exact ones and strained crystals; never more information than the waves have."""

import functools

import numpy as np
import pytest

from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.measuring.ends import Ends, cases_of, ends_of, windows_of
from learn.feasibility.measuring.quantity import STEPS, Quantity, Varied, varied
from learn.feasibility.measuring.sensitivity import Sensitivity, at_rest, counted, images, patterns
from learn.feasibility.scanned import Detector, annular, camera, segments
from learn.feasibility.scans import Probe, Window, finest_step, patterns_of, window_of
from learn.information import fisher_information
from twin.errors import BadInput
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.transfer import Imaging
from twin.sample.specimen import srtio3

CELL = srtio3((1, 1, 1))
REPEATS = (2, 2, 4)
GRID = Grid((60, 60), 8, 200e3, 15e-3, 45e-3, (1, 2))
PROBE = Probe(coefficients({"C10": -20.0, "C12a": 10.0}), 0.3)
LENS = Imaging(coefficients({"C10": -60.0}), 200e3, 30e-3, focal_spread=20.0)
SPECIMEN = (
    Quantity("tilt", axis="y"),
    Quantity("position", "Ti", column=0),
    Quantity("occupancy", "O", column=1),
    Quantity("composition", "Sr", "La"),
    Quantity("strain"),
)
OPTICS = (Quantity("defocus"), Quantity("aberration", name="C12b"), Quantity("aberration", name="C30"))


def ends_for(quantity: Quantity, step: float | None = None) -> tuple[Varied, Matrices, Ends | None]:
    pair = varied(CELL, REPEATS, quantity, GRID, step)
    base = matrices_of(pair.base, GRID, sites=pair.sites)
    made = [matrices_of(specimen, grid, sites=pair.sites) for specimen, grid in cases_of(quantity, pair)]
    return pair, base, ends_of(pair, base, made)


def window_at(location: tuple[float, float]) -> Window:
    return window_of(location, CELL.extent, finest_step(GRID.semiangle, GRID.energy))


@functools.cache
def seen(quantity: Quantity, step: float | None = None, probe: Probe | None = None) -> dict[str, Sensitivity]:
    pair, base, ends = ends_for(quantity, step)
    window = window_at(pair.location)
    made = patterns(base, quantity, ends, window, probe or PROBE, REPEATS[:2])
    return {
        "annular": counted(made, lambda matrices: annular(matrices, 18e-3, 40e-3)),
        "segments": counted(made, lambda matrices: segments(matrices, 4e-3, 15e-3)),
        "camera": counted(made, lambda matrices: camera(matrices, 40e-3, 3e-3)),
        "cbed": counted(at_rest(made, PROBE), lambda matrices: camera(matrices, 40e-3, 3e-3)),
        "hrtem": images(base, quantity, ends, window, LENS, REPEATS[:2]),
    }


def off(value: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(value - expected) / np.linalg.norm(expected))


@pytest.mark.slow
@pytest.mark.parametrize("quantity", SPECIMEN, ids=lambda each: each.kind)
def test_another_step_makes_the_same_derivative(quantity: Quantity) -> None:
    other = seen(quantity, 2.0 * STEPS[quantity.kind])
    for name, each in seen(quantity).items():
        assert off(each.slopes, other[name].slopes) < 0.02, name
        assert np.abs(each.slopes).max() > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("quantity", OPTICS, ids=lambda each: each.coefficient)
def test_derivatives_in_aberrations_are_differences(quantity: Quantity) -> None:
    pair, base, _ = ends_for(quantity)
    window, name = window_at(pair.location), quantity.coefficient
    step = 2e3 if name == "C30" else 1.0
    ends = []
    for sign in (1.0, -1.0):
        vector = PROBE.coefficients + sign * step * coefficients({name: 1.0})
        moved = np.stack([patterns_of(base, window, PROBE._replace(coefficients=vector), configurations=slice(n, n + 1)) for n in range(2)])  # fmt: skip
        ends.append(camera(base, 40e-3, 3e-3).counted(moved))
    expected = (ends[0] - ends[1]) / (2.0 * step)
    assert off(seen(quantity)["camera"].slopes, expected) < 0.01
    lenses = [
        Imaging(LENS.coefficients + sign * step * coefficients({name: 1.0}), 200e3, 30e-3, focal_spread=20.0)
        for sign in (1.0, -1.0)
    ]
    more, less = (images(base, quantity, None, window, lens, REPEATS[:2]).rates for lens in lenses)
    assert off(seen(quantity)["hrtem"].slopes.mean(0), (more - less) / (2.0 * step)) < 0.01


@pytest.mark.slow
def test_the_derivative_in_thickness_is_of_a_cell_more_and_less() -> None:
    quantity = Quantity("thickness")
    pair, base, _ = ends_for(quantity)
    window = window_at(pair.location)
    # the thinner of the same phonons is the thicker cut off: the first cells of each column
    thick = pair.more
    kept = np.flatnonzero(thick.positions[:, 2] < pair.less.thickness)
    assert len(kept) == len(pair.less.symbols)
    detector = camera(base, 40e-3, 3e-3)
    expected = []
    for number in range(2):
        more = matrices_of(thick, pair.grids[1]._replace(before=0, seeds=(GRID.seeds[number],)))
        order = np.lexsort(pair.less.positions.T)
        chosen = kept[np.lexsort(thick.positions[kept].T)]
        moved = type(thick)(
            pair.less.positions[order] + thick.displacements(GRID.seeds[number])[chosen] * [1, 1, 0],
            np.zeros(len(kept)), tuple(pair.less.symbols[at] for at in order), pair.less.cell,
        )  # fmt: skip
        less = matrices_of(moved, pair.grids[0]._replace(seeds=(1,)))
        rates = [detector.counted(patterns_of(each, window, PROBE)) for each in (less, more)]
        expected.append((rates[1] - rates[0]) / (2.0 * CELL.thickness))
    # atoms that cross a slice's face by their motion along the beam are elsewhere
    assert off(seen(quantity)["camera"].slopes, np.array(expected)) < 0.02


def smooth(matrices: Matrices) -> Detector:
    """Channels without edges, for which the steps of the grid do not matter: the bright field, its first moments, and larger angles."""
    x, y = matrices.k.T * wavelength(matrices.energy) / 15e-3
    bright = np.exp(-0.5 * (x**2 + y**2))
    return Detector(np.stack([bright, bright * x, bright * y, (x**2 + y**2) * np.exp(-0.25 * (x**2 + y**2))]))


@pytest.mark.slow
def test_strain_is_what_a_stretched_crystal_shows_at_places_that_stay() -> None:
    quantity, sharp = Quantity("strain"), PROBE._replace(source=0.0)
    pair = varied(CELL, (3, 3, 4), quantity, GRID._replace(gpts=(90, 90), reach=60e-3))
    base, *whole = (matrices_of(each, pair.grids[0]) for each in (pair.base, pair.less, pair.more))
    ends = ends_of(pair, base, whole)
    assert ends is not None
    window, x0 = window_at(pair.location), pair.location[0]
    made = patterns(base, quantity, ends, window, sharp, (3, 3))
    rates = []
    for sign, each in zip((-0.5, 0.5), whole, strict=True):
        places = window.positions + np.array([sign * ends.step * x0, 0.0])
        rates.append(smooth(each).counted(patterns_of(each, window._replace(positions=places), sharp)))
    expected = (rates[1] - rates[0]) / ends.step
    assert off(counted(made, smooth).slopes.mean(0), expected) < 0.02
    # in the frame that is stretched along, patterns hardly change: what is left is how the crystal scatters otherwise
    along = [smooth(base).counted(patterns_of(each, part, sharp)) for each, part in zip(ends[:2], windows_of(window, base, ends), strict=True)]  # fmt: skip
    assert off((along[1] - along[0]) / ends.step, expected) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("quantity", [Quantity("thickness"), *SPECIMEN, *OPTICS], ids=lambda each: each.name or each.kind)  # fmt: skip
def test_no_option_tells_more_than_the_waves(quantity: Quantity) -> None:
    for name, each in seen(quantity).items():
        places = len(each.rates)
        told = fisher_information(each.slopes.mean(0).reshape(-1, 1) / places, each.rates.ravel() / places, 1.0)[0, 0]
        if each.far is not None:
            told += each.spread**2 * fisher_information(each.far.reshape(-1, 1) / places, each.rates.ravel() / places, 1.0)[0, 0]  # fmt: skip
        assert 0.0 < told < each.quantum, name


def test_a_mixed_site_moves_as_one() -> None:
    pair = varied(CELL, REPEATS, Quantity("composition", "Sr", "La", column=0), GRID)
    assert pair.sites is not None
    moved = pair.base.displacements(5)[pair.sites]
    added = np.flatnonzero(np.array(pair.base.symbols) == "La")
    assert len(added) == REPEATS[2]
    np.testing.assert_array_equal(moved[added], moved[pair.sites[added]])
    np.testing.assert_array_equal(pair.base.positions[added], pair.base.positions[pair.sites[added]])
    assert pair.more.occupancy[added[0]] - pair.less.occupancy[added[0]] == pytest.approx(pair.step)
    assert pair.more.occupancy.sum() == pytest.approx(pair.base.occupancy.sum())


@pytest.mark.parametrize(
    ("quantity", "key", "words"),
    [
        (Quantity("position", column=0), "quantity.element", "missing"),
        (Quantity("position", "Ti"), "quantity.column", "missing"),
        (Quantity("occupancy", "O", column=3), "quantity.column", "no number 3"),
        (Quantity("occupancy", "Fe", column=0), "quantity.element", "no Fe"),
        (Quantity("composition", "Sr", "Sr"), "quantity.by", "in place of Sr"),
        (Quantity("aberration"), "quantity.name", "missing"),
        (Quantity("aberration", name="C99"), "quantity.name", "no aberration 'C99'"),
    ],
)
def test_what_cannot_be_measured_is_refused(quantity: Quantity, key: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as raised:
        varied(CELL, REPEATS, quantity, GRID)
    assert key in str(raised.value)
    with pytest.raises(BadInput, match=r"specimen\.thickness"):
        varied(CELL, (2, 2, 1), Quantity("thickness"), GRID._replace(slices=2))
