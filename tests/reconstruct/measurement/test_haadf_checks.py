"""What HAADF images are tested for: what was stated, parts of the image that are unlike, and how sure readings are."""

import numpy as np
import pytest

from reconstruct.measurement.haadf.cell import Cell, mean_cell, slow_functions
from reconstruct.measurement.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measurement.haadf.model import waves
from reconstruct.measurement.haadf.report import EVIDENCE_POWER, _tempered
from reconstruct.measurement.haadf.scan import too_small
from reconstruct.measurement.measurement import Component, Measurement
from tests.synthetic.haadf_images import CALIBRATION, DEPTH, A, crystal, drawn, gram, scan

OPTICS = {"C10": -45.0, "C12a": 18.0, "C12b": -9.0}
BEFORE = HaadfPrior(thickness=(DEPTH, 2.0), gain=0.05)


def read(images: np.ndarray, **overrides) -> Measurement:
    arguments = {"model": gram(), "crystal": crystal(), "scan": scan(), "calibration": CALIBRATION, "prior": BEFORE}
    return measure_haadf(images, **arguments | overrides)


def findings(result: Measurement) -> str:
    return " ".join(check.finding for check in result.failed_checks)


@pytest.mark.slow
def test_a_right_model_passes_all_checks():
    result = read(drawn(1, OPTICS))
    assert not result.failed_checks
    assert result.outcome in ("determined", "several readings")
    assert not result.contradictions


@pytest.mark.slow
def test_a_thickness_stated_more_than_twice_too_large_is_named_with_its_value():
    result = read(drawn(11, OPTICS, cells=2))
    assert result.outcome == "the model does not fit"
    assert "the thickness fits at" in findings(result)
    assert f"stated: {0.1 * DEPTH:.3g} nm" in findings(result)
    # nothing is sure that rests on it
    assert set(result.undetermined) == set(result.names)
    assert result.value("C10") == pytest.approx((0.0, 100.0))


@pytest.mark.slow
def test_a_dark_level_that_is_wrong_does_not_become_astigmatism():
    image = drawn(12, OPTICS)
    result = read(image + 0.6 * float(image.mean()))
    assert result.outcome == "the model does not fit"
    assert "dark level" in findings(result)


def test_noise_below_that_of_counting_contradicts_the_gain():
    generator = np.random.default_rng(3)
    expected = drawn(13, OPTICS, scan(dose=1e8))  # next to no noise
    expected = 100.0 + (expected - 100.0) * 2e-4
    electrons = generator.poisson(np.maximum(expected - 100.0, 0.0) / 5.0)
    image = 100.0 + 5.0 * electrons + 5.0 * generator.standard_normal(expected.shape)
    result = read(image)
    assert "counts per electron" in " ".join(result.contradictions)


def test_odds_of_readings_are_tempered_and_the_unlikely_left_out():
    first = Component(0.9, np.array([50.0, 0.0]), np.diag([4.0, 1.0]))
    second = Component(0.1, np.array([-50.0, 0.0]), np.diag([4.0, 1.0]))
    near = Component(1e-7, np.array([0.0, 30.0]), np.diag([4.0, 1.0]))
    parts = _tempered([first, second, near])
    odds = parts[0].weight / parts[1].weight
    assert odds == pytest.approx(9.0**EVIDENCE_POWER)
    assert len(parts) == 2
    assert sum(part.weight for part in parts) == pytest.approx(1.0)


def test_components_of_one_reading_keep_their_odds():
    parts = [Component(weight, np.array([mean]), np.eye(1)) for weight, mean in ((0.7, 0.0), (0.3, 1.0))]
    assert [part.weight for part in _tempered(parts)] == pytest.approx([0.7, 0.3])


@pytest.mark.parametrize("cells, words", [(2.7, ("2.7 periods", "16 angstrom")), (5.0, ())])
def test_a_field_of_view_of_few_cells_is_told_what_would_do(cells: float, words: tuple[str, ...]):
    small = scan(96, cells * A / 96)
    text = too_small(crystal(), small)
    assert all(word in text for word in words)
    assert bool(text) == bool(words)


def spoiled_cell(change, gain: float = 20.0) -> tuple[Cell, np.ndarray, np.ndarray]:
    """The mean cell of a crystal of two harmonics with what ``change`` makes of its signal; the true harmonics, and which pixels are spoiled."""
    model, generator = gram(), np.random.default_rng(5)
    truth = np.zeros(2 * len(model.g) - 1)
    truth[0], truth[1:5] = 2000.0, 300.0
    y, x = np.mgrid[:72, :72]
    positions = 0.3 * np.stack([x, y], axis=-1).astype(float)
    signal = (waves(model.g, positions.reshape(-1, 2), model.cell) @ truth).reshape(72, 72)
    changed, spoiled = change(signal, x, y)
    data = gain * generator.poisson(np.maximum(changed, 0.0) / gain).astype(float)
    data[spoiled & (changed > 1e5)] = 1e6
    known = np.ones((72, 72), dtype=bool)
    return mean_cell(data, known, positions, model.g, model.cell, gain, 0.0, True), truth, spoiled


def deviations(cell: Cell, truth: np.ndarray, first: int = 0) -> np.ndarray:
    std = np.sqrt(np.diag(np.linalg.inv(cell.information)))
    return (cell.mean - truth)[first:] / std[first:]


def test_hot_pixels_are_left_out():
    def hot(signal, x, y):
        spoiled = (x * 7 + y * 13) % 251 == 0
        return np.where(spoiled, 1e6, signal), spoiled

    cell, truth, spoiled = spoiled_cell(hot)
    assert cell.used is not None
    assert not cell.used[spoiled].any()
    assert np.abs(deviations(cell, truth)).max() < 5.0
    assert cell.defects
    assert cell.defects[0].treatment == "masked"


def test_a_part_without_specimen_is_left_out():
    cell, truth, _spoiled = spoiled_cell(lambda signal, x, y: (np.where(x > 45, 20.0, signal), x > 45))
    assert cell.used is not None
    assert not cell.used[:, 58:].any()
    assert cell.used[:, :39].all()
    assert abs(cell.mean[0] / truth[0] - 1.0) < 0.04
    assert cell.defects[0].kind == "region"


def test_a_contaminated_corner_is_background_and_a_wedge_is_not():
    def patch(signal, x, y):
        return signal + 900.0 * np.exp(-0.5 * (x**2 + y**2) / 20.0**2), np.zeros_like(x, dtype=bool)

    def wedge(signal, x, y):
        return signal * (1.0 + 0.2 * (x / 35.5 - 1.0)), np.zeros_like(x, dtype=bool)

    contaminated, truth, _ = spoiled_cell(patch)
    assert "background" in {defect.kind for defect in contaminated.defects}
    # columns of little contrast: background and thickness are told apart to within 3 % of the signal, which the stated error has
    assert abs(deviations(contaminated, truth)[0]) < 2.0
    assert np.sqrt(np.linalg.inv(contaminated.information)[0, 0]) < 0.035 * truth[0]
    uneven, truth, _ = spoiled_cell(wedge)
    assert {"trend"} == {defect.kind for defect in uneven.defects}
    assert abs(uneven.mean[0] / truth[0] - 1.0) < 0.03
    assert np.abs(deviations(uneven, truth, 1)).max() < 5.0


def test_noise_is_no_background():
    cell, truth, _ = spoiled_cell(lambda signal, x, y: (signal, np.zeros_like(x, dtype=bool)))
    assert "background" not in {defect.kind for defect in cell.defects}
    assert abs(cell.mean[0] / truth[0] - 1.0) < 0.01


def test_pixels_beside_saturated_ones_are_left_out(monkeypatch):
    def full_detector() -> np.ndarray:
        model, generator = gram(), np.random.default_rng(7)
        truth = np.zeros(2 * len(model.g) - 1)
        truth[0], truth[1:5] = 2000.0, 500.0
        positions = 0.3 * np.stack(np.meshgrid(np.arange(72.0), np.arange(72.0)), axis=-1)
        signal = np.maximum(waves(model.g, positions.reshape(-1, 2), model.cell) @ truth, 0.0).reshape(72, 72)
        data = 20.0 * generator.poisson(signal / 20.0)
        known = data < np.quantile(data, 0.9)
        return deviations(mean_cell(data, known, positions, model.g, model.cell, 20.0, 0.0, True), truth)

    assert np.abs(full_detector()[:5]).max() < 3.0
    monkeypatch.setattr("reconstruct.measurement.haadf.cell.FULL_SHARE", 2.0)
    assert np.abs(full_detector()[:5]).max() > 4.0


@pytest.mark.slow
def test_a_pixel_stated_too_large_is_contradicted():
    image = drawn(14, OPTICS)
    assert "a pixel is" in " ".join(read(image, scan=scan(pixel=1.085 * scan().pixel)).contradictions)
    assert not read(image).contradictions


def test_slow_functions_are_slower_than_two_cells():
    positions = 0.3 * np.stack(np.meshgrid(np.arange(60.0), np.arange(60.0)), axis=-1)
    functions = slow_functions(positions, (A, A))
    crossings = np.abs(np.diff(np.sign(functions.reshape(60, 60, -1)), axis=1) != 0).sum(axis=1).max()
    assert crossings <= 2.0 * 18.0 / (2.5 * A)
    assert slow_functions(positions[:8, :8], (A, A)).shape == (64, 0)
