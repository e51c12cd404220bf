"""`learn.replay`: a map from part of a scan, from data in memory; intervals that hold, and fail where the noise is told wrongly."""

from typing import Any

import numpy as np
import pytest

from learn import replay
from learn.gp.spectra import image_features
from twin.errors import BadInput
from twin.records import Axis, Signal

ROWS, COLUMNS = 9, 11
NUMBER = np.hypot(*(np.mgrid[:16, :16] - 7.5)) < 7.0


def _scan(seed: int = 0, dark: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Patterns whose counts follow a smooth map, and the map; patterns of the pixels ``dark`` hold no number."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    truth = 300.0 * (1.5 + np.sin(x / 3.0) + 0.3 * np.cos(y / 2.0))
    mean = truth[..., None, None] * NUMBER / NUMBER.sum()
    patterns = np.random.default_rng(seed).poisson(mean).astype(float)
    patterns.reshape(-1, 16, 16)[list(dark)] = np.nan
    return patterns, truth


def _signal(patterns: np.ndarray) -> Signal:
    angles = [Axis(name, 16, 1e-3, -7.5e-3, "radian") for name in ("ky", "kx")]
    axes = (Axis("y", ROWS, 1.0, 0.0, None), Axis("x", COLUMNS, 1.0, 0.0, None), *angles)
    return Signal(patterns, axes, "image-stack", "", "", "", raw={"unit": "electrons"})


@pytest.mark.slow
def test_a_map_with_its_error() -> None:
    patterns, truth = _scan()
    made = replay(_signal(patterns), "0-9 mrad", survey=truth, tolerance=0.1)
    assert made.result["tolerance_reached"]
    assert made.measured.sum() == made.result["measured"] < ROWS * COLUMNS
    assert (np.argsort(made.order[made.measured]) >= 0).all()
    off = (made.map - truth) / made.std
    assert (np.abs(off) < 1.645).mean() > 0.6
    assert np.abs(made.map - truth).max() < 0.2 * np.ptp(truth)
    np.testing.assert_allclose(made.recorded, patterns.sum(axis=(2, 3)), rtol=1e-6)
    assert "tolerance 0.1 reached" in repr(made)
    assert "R²" in made._repr_html_()
    again = replay(_signal(patterns), "0-9 mrad", survey=truth, tolerance=0.1)
    np.testing.assert_array_equal(again.map, made.map)


@pytest.mark.slow
def test_noise_that_is_told_too_large_is_seen_by_the_intervals() -> None:
    patterns, truth = _scan(1)
    covered = [
        replay(_signal(patterns), "0-9 mrad", survey=truth, tolerance=1e-9, budget=24, gain=gain).result["coverage90"]
        for gain in (1.0, 30.0)
    ]
    assert 0.7 < covered[0] <= 1.0
    assert covered[1] > 0.98


@pytest.mark.slow
def test_pixels_without_a_number_are_measured_and_predicted() -> None:
    patterns, _ = _scan(dark=tuple(range(0, 99, 7)))
    made = replay(_signal(patterns), "0-9 mrad", tolerance=1e-9, budget=40)
    assert made.result["without_value"] > 0
    assert np.isfinite(made.map).all()
    assert np.isnan(made.recorded.ravel()[::7]).all()


@pytest.mark.slow
def test_a_deep_kernel_and_another_rule() -> None:
    """The rule that looks for the largest value measures larger ones than the rule for the whole map does; both models predict."""
    patterns, truth = _scan(2)
    mean = {}
    for model, rule in (("deep", "variance"), ("compared", "improvement")):
        asked: Any = {"model": model, "rule": rule}
        made = replay(_signal(patterns), "0-9 mrad", survey=truth, tolerance=1e-9, budget=40, audit_share=0.0, **asked)
        assert (made.result["model"], made.result["rule"]) == (model, rule)
        assert made.result["r2"] > 0.8
        assert made.result["coverage90"] > 0.7
        mean[rule] = made.recorded[made.order >= 16].mean()
    assert mean["improvement"] > mean["variance"] + 0.5 * truth.std()


def test_bad_input_is_refused() -> None:
    patterns, truth = _scan()
    signal = _signal(patterns)
    for known, message in (
        ({"tolerance": -1.0}, "tolerance"), ({"budget": 3}, "budget"), ({"gain": 0.0}, "gain"),
        ({"survey": truth[:5]}, "holds 5 x 11"), ({"model": "deep-or-so"}, "is no model"), ({"model": "host"}, "needs a crystal"),
        ({"rule": "curiosity"}, "is no rule"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=message):
            replay(signal, "0-9 mrad", **known)  # type: ignore[arg-type]
    for quantity, message in (("Ti L", "scan of patterns"), ("bright", "is no quantity")):
        with pytest.raises(BadInput, match=message):
            replay(signal, quantity)
    with pytest.raises(BadInput, match="reads no files"):
        replay("file.dm3", "Ti L")


def test_an_image_on_the_grid_itself_has_features_of_its_neighbours() -> None:
    y, x = np.mgrid[:8, :9].astype(float)
    features = image_features(np.sin(x / 2.0) + 0.1 * y, 1)
    assert features.shape == (72, 8)
    np.testing.assert_allclose(features.std(axis=0)[[0, 2, 3, 4]], 1.0)
    line = image_features(np.sin(np.arange(30.0) / 3.0)[None], 1)
    np.testing.assert_array_equal(line[:, 3], 0.0)  # nothing changes across a line
    assert line[:, 4].std() == pytest.approx(1.0)
