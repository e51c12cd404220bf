"""Spectrum images against the project's own core-loss map and spectrum, their derivatives against differences, and their power against drawn counts."""

import functools

import numpy as np
import pytest

from learn.feasibility.assessment import Asked, assess
from learn.feasibility.hypotheses import Change, Hypotheses, hypotheses_of
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Scanned, Unknown, annular, scanned, signatures_of
from learn.feasibility.scans import Probe, finest_step, window_of
from learn.feasibility.spectra.image import BACKGROUND, CROSS_SECTION, EXPONENT, OFFSET, spectrum_image
from learn.feasibility.spectra.seen import Kernel, Seen, atoms_seen, fast_error, kernel_of
from learn.feasibility.spectra.shapes import Shapes, delocalisation, merit_of, shapes_of
from learn.information import detection_of
from twin.eels.maps import EdgeWindow, core_loss_maps, one_pass
from twin.eels.spectrum import expected
from twin.optics.aberrations import coefficients
from twin.optics.illumination import Illumination
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.stem.scene import Scene
from twin.simulation.plan.spectrum_tables import CompositionPlan, ElectronsPlan, SpectrometerPlan, SpectrumSimulation
from twin.simulation.spectrum.ready import ReadySpectrum, make_spectrum

pytestmark = pytest.mark.slow
ENERGY, SEMIANGLE, COLLECTION = 200e3, 15e-3, 25e-3
CELLS = (2, 2, 3)
GRID = Grid((64, 64), 6, ENERGY, SEMIANGLE, 50e-3, (1, 2), before=2)
PROBE = Probe(coefficients({"C10": 20.0}), 0.4)
HYPOTHESES = hypotheses_of(srtio3((1, 1, 1)), CELLS, Change("vacancy", "O", column=1, depth=0.0))
WINDOW = window_of(HYPOTHESES.location, (3.905, 3.905), finest_step(SEMIANGLE, ENERGY))
OXYGEN = EdgeWindow("O", "K", 532.0, 580.0, COLLECTION)


@functools.cache
def kernel() -> Kernel:
    return kernel_of(OXYGEN, GRID, HYPOTHESES.perfect.extent)


@functools.cache
def seen() -> Seen:
    # titanium and strontium by the kernel of oxygen
    return atoms_seen(HYPOTHESES, GRID, WINDOW, PROBE, [Kernel(element, kernel().values) for element in elements()])


def elements() -> tuple[str, ...]:
    return tuple(label.partition(" ")[0] for label in shapes().labels)


def areal() -> dict[str, float]:
    side = 3.905
    return {"Sr": CELLS[2] / side**2, "Ti": CELLS[2] / side**2, "O": 3 * CELLS[2] / side**2}


@functools.cache
def ready(offset: float = 500.0, thickness: float = 3.905 * CELLS[2]) -> ReadySpectrum:
    return make_spectrum(
        SpectrumSimulation(
            name="spectrum", kind="simulate", signal="eels",
            specimen=CompositionPlan(areal_density=areal(), thickness=thickness),
            beam=ElectronsPlan(energy_keV=1e-3 * ENERGY, semiangle_mrad=1e3 * SEMIANGLE),
            spectrometer=SpectrometerPlan(collection_mrad=1e3 * COLLECTION, dispersion=2.0, offset=offset, channels=48),
        )
    )  # fmt: skip


@functools.cache
def shapes() -> Shapes:
    return shapes_of(ready())


@functools.cache
def matrices() -> tuple[Matrices, Matrices]:
    return matrices_of(HYPOTHESES.perfect, GRID), matrices_of(HYPOTHESES.changed[0], GRID)


@functools.cache
def scan() -> Scanned:
    return scanned(matrices()[0], matrices()[1:], WINDOW, PROBE)


@functools.cache
def image(wide: bool = False) -> Scanned:
    entering = annular(matrices()[0], 0.0, 50e-3 if wide else COLLECTION)
    return spectrum_image(scan(), entering, seen(), shapes())


def test_atoms_are_seen_as_by_the_map_of_the_project() -> None:
    specimen, light = HYPOTHESES.perfect, Illumination(PROBE.coefficients, ENERGY, SEMIANGLE)
    wanted = one_pass(Scene(specimen, GRID.gpts, GRID.slices, GRID.seeds), light, WINDOW.positions, [OXYGEN])
    sharp = atoms_seen(HYPOTHESES, GRID, WINDOW, PROBE._replace(source=0.0), [kernel()]).perfect[:, 0]
    np.testing.assert_allclose(sharp * OXYGEN.cross_section(ENERGY, SEMIANGLE), wanted.maps[0], rtol=0.02)
    # an error of one factor is that of the modes that are left out: the map itself is the same
    np.testing.assert_allclose(sharp / sharp.mean(), wanted.maps[0] / wanted.maps[0].mean(), rtol=1e-4)


def test_a_vacancy_is_one_atom_less_and_only_there() -> None:
    row = shapes().labels.index("O K")
    lost = (seen().changed[0] - seen().perfect)[:, row].reshape(WINDOW.shape)
    deepest = np.unravel_index(lost.argmin(), lost.shape)
    assert deepest == (WINDOW.shape[0] // 2, WINDOW.shape[1] // 2)
    # over the whole field nothing is lost of it, before any other atom scatters
    field = window_of(HYPOTHESES.location, HYPOTHESES.perfect.extent, 0.8)
    whole = atoms_seen(HYPOTHESES, GRID._replace(seeds=(1,)), field, PROBE, [kernel()])
    assert (whole.changed[0] - whole.perfect).mean() * field.area == pytest.approx(-1.0, abs=0.02)
    others = [number for number, element in enumerate(elements()) if element != "O"]
    assert np.abs((seen().changed[0] - seen().perfect)[:, others]).max() < 0.05 * -lost.min()


def test_the_mean_spectrum_is_that_of_simulate() -> None:
    values = {**ready().values, "counts": 1.0}
    whole = np.asarray(expected(ready().model, values))
    mean = image(wide=True).rates.mean(0)
    # probes channel: 3 cells see 2 % more than there is
    np.testing.assert_allclose(mean, whole, rtol=0.03)
    made = shapes()
    np.testing.assert_allclose(made.background + made.areal @ made.per_atom, whole, rtol=1e-6)
    assert (
        image().rates.mean() < image(wide=True).rates.mean()
    )  # the aperture keeps out what elastic scattering turns away


def test_derivatives_are_differences() -> None:
    made, row = image(), shapes().labels.index("O K")
    assert {"x", "y", "source", "C10", "C12a", "C12b", "thickness", BACKGROUND, EXPONENT, OFFSET} < set(
        made.derivatives
    )
    for name, step in (("C10", 5.0), ("C12a", 5.0)):
        moved = []
        for sign in (1.0, -1.0):
            probe = PROBE._replace(coefficients=PROBE.coefficients + coefficients({name: sign * step}))
            moved.append(atoms_seen(HYPOTHESES, GRID._replace(seeds=(1,)), WINDOW, probe, [kernel()]).perfect[:, 0])
        np.testing.assert_allclose(seen().slopes[name][:, row], (moved[0] - moved[1]) / (2 * step), atol=1e-6)
    background, per_atom = shapes().slopes[OFFSET]
    # of whole spectra: the background alone is less than what transforms of the zero loss leave of rounding
    more, less = (shapes_of(ready(500.0 + sign * 0.02)) for sign in (1.0, -1.0))
    whole = [each.background + each.areal @ each.per_atom for each in (more, less)]
    slope = background + shapes().areal @ per_atom
    np.testing.assert_allclose(slope, (whole[0] - whole[1]) / 0.04, atol=5e-3 * np.abs(slope).max())
    strength = made.derivatives[CROSS_SECTION + "O K"]
    np.testing.assert_allclose(made.rates - strength, image_without("O K"), rtol=1e-9)


def image_without(label: str) -> np.ndarray:
    row = shapes().labels.index(label)
    per_atom = shapes().per_atom.copy()
    per_atom[row] = 0.0
    entering = annular(matrices()[0], 0.0, COLLECTION)
    return spectrum_image(scan(), entering, seen(), shapes()._replace(per_atom=per_atom)).rates


def still(made: Hypotheses) -> Hypotheses:
    """Of atoms at rest, so that what is seen repeats from cell to cell."""
    perfect = made.perfect
    frozen = Specimen(perfect.positions, 0.0 * perfect.u2, perfect.symbols, perfect.cell, perfect.occupancy)
    return made._replace(perfect=frozen, changed=(frozen,))


def test_a_shift_of_the_scan_is_a_difference() -> None:
    resting, shifted = GRID._replace(seeds=(1,)), []
    made = atoms_seen(still(HYPOTHESES), resting, WINDOW, PROBE, [kernel()])
    for sign in (1.0, -1.0):
        moved = WINDOW._replace(positions=WINDOW.positions - [sign * 0.02, 0.0])
        shifted.append(atoms_seen(still(HYPOTHESES), resting, moved, PROBE, [kernel()]).perfect)
    difference = (shifted[0] - shifted[1]) / 0.04
    np.testing.assert_allclose(made.slopes["x"], difference, atol=3e-3 * np.abs(difference).max())


def test_a_thicker_specimen_has_the_slope_of_its_last_cell() -> None:
    row = shapes().labels.index("O K")
    thin = hypotheses_of(srtio3((1, 1, 1)), (2, 2, 2), Change("vacancy", "O", column=1, depth=0.0))
    resting = GRID._replace(seeds=(1,))

    thick = atoms_seen(still(HYPOTHESES), resting, WINDOW, PROBE, [kernel()])
    less = atoms_seen(still(thin), resting._replace(slices=4), WINDOW, PROBE, [kernel()])
    np.testing.assert_allclose(thick.slopes["thickness"][:, 0], (thick.perfect - less.perfect)[:, 0] / 3.905, rtol=1e-3)
    assert image().derivatives["thickness"][:, -1].mean() == pytest.approx(
        image().rates[:, -1].mean() / (3.905 * CELLS[2]), rel=0.3
    )
    assert seen().slopes["thickness"][:, row].mean() == pytest.approx(3 / 3.905**3, rel=0.1)


def test_the_fast_form_tells_its_error() -> None:
    cell = srtio3((1, 1, 1))
    wrong = fast_error(OXYGEN, cell, CELLS, GRID, WINDOW, PROBE)
    specimen, light = HYPOTHESES.perfect, Illumination(PROBE.coefficients, ENERGY, SEMIANGLE, source=PROBE.source)
    scene = Scene(specimen, GRID.gpts, GRID.slices, (), (0.0, 0.0), cell, CELLS, (("thermal", "debye-waller"),))
    ny, nx = WINDOW.shape
    axes = WINDOW.positions[:nx, 0], WINDOW.positions[::nx, 1]
    assert ny == len(axes[1])
    told = core_loss_maps(scene, light, [OXYGEN], *axes, "local", depths=4)
    assert told.error is not None
    spread = np.sqrt(np.mean(wrong**2)) * OXYGEN.cross_section(ENERGY, SEMIANGLE) / told.array.mean()
    assert spread == pytest.approx(told.error[0], rel=0.05)
    rows: list[np.ndarray | None] = [None] * len(shapes().labels)
    rows[shapes().labels.index("O K")] = wrong
    made = spectrum_image(scan(), annular(matrices()[0], 0.0, COLLECTION), seen(), shapes(), rows)
    (signature,), _ = signatures_of(made, channels(), Unknown({}, {}, 0.05))
    assert signature.model_error is not None
    assert signature.model_error.shape == (signature.rates.size, 2)


def channels(readout: float = 0.0) -> Detector:
    return Detector(np.eye(len(shapes().energies)), readout)


PRIORS = {
    "C10": 20.0,
    "C12a": 10.0,
    "C12b": 10.0,
    "source": 0.1,
    "thickness": 20.0,
    OFFSET: 0.3,
    CROSS_SECTION + "O K": 0.1,
}


def test_drawn_counts_are_detected_as_often_as_predicted() -> None:
    """Poisson counts of a column and its references, with and without the vacancy: the statistic beyond its threshold."""
    made = image()
    unknown = Unknown(PRIORS, {BACKGROUND: np.inf, EXPONENT: np.inf, "x": np.inf, "y": np.inf, "thickness": 2.0}, 0.05)
    asked = Asked(0.8, 0.05, 1, 3)
    result = assess(made, channels(), unknown, asked)
    assert np.isfinite(result.dose)
    (signature,), _ = signatures_of(made, channels(), unknown)
    electrons = result.dose * made.window.area
    exact = detection_of(signature, electrons, asked.references)
    assert exact.weights is not None
    weights, rng, trials = exact.weights, np.random.default_rng(3), 400
    threshold = exact.threshold(asked.false_alarms)
    rates = np.stack([signature.rates, signature.changed[0]])
    shares = []
    for number in range(2):
        counts = rng.poisson(electrons * rates[number], (trials, signature.rates.size))
        beside = rng.poisson(asked.references * electrons * signature.rates, counts.shape) / asked.references
        shares.append(np.mean(exact.statistic((counts - beside) @ weights.T) > threshold))
    for share, wanted in zip(shares, (asked.false_alarms, exact.power(asked.false_alarms)), strict=True):
        assert share == pytest.approx(wanted, abs=3.0 * np.sqrt(wanted * (1 - wanted) / trials) + 0.02)


def test_edges_are_compared_by_what_is_seen_of_one_atom() -> None:
    wide = shapes_of(ready(100.0))
    assert "O K" not in wide.labels
    assert merit_of(OXYGEN, wide, ENERGY) == 0.0
    near = merit_of(EdgeWindow("O", "K", 532.0, 582.0, COLLECTION), shapes(), ENERGY)
    assert near > 0.0
    assert delocalisation(132.0, ENERGY) > 2.0 * delocalisation(532.0, ENERGY)
