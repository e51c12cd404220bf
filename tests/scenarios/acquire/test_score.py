"""Scores of a session against a known truth: errors, raw errors and coverage."""

from typing import Any, cast

import numpy as np
import pytest

from instrument.core.journal import Row
from scenarios.acquire.score import score
from twin.image.microscope import Calibration, electrons_per_pixel
from twin.image.prediction import STATISTICS, image_statistics
from twin.records import Scan

SCAN = Scan()


class Truth:
    """Answers with frames made here."""

    def __init__(self, frames: np.ndarray):
        self.frames = frames

    def expected(self, requests):
        calibration = Calibration()
        scale = calibration.gain * electrons_per_pixel(SCAN)
        return [(frame, (1.1 * frame * scale + calibration.black)) for frame in self.frames]

    def state(self, times):
        return {"C10": np.zeros(len(times)), "matrix": np.zeros((len(times), 2))}


def rows_of(frames: np.ndarray, error: float, spread: float) -> list[Row]:
    """Requests whose answers are off by a relative ``error`` and whose intervals reach ``spread`` to both sides of the truth plus half of it."""
    rows = []
    for index, frame in enumerate(frames):
        true = {name: value[0] for name, value in image_statistics(frame[None]).items()}
        shift = 0.5 * spread if index % 2 else 2.0 * spread
        intervals = {
            name: [
                float(true[name]) + shift,
                float(true[name]) + shift - spread,
                float(true[name]) + shift + spread,
                spread,
            ]
            for name in STATISTICS
        }
        payload = {
            "index": index,
            "command_ns": index,
            "time_ns": index,
            "settings": {},
            "measured": index % 2 == 0,
            "numbers": intervals,
        }
        rows.append(Row(index + 1, "request", index, payload, {"answer": frame + error * frame.mean()}))
    return rows


def test_errors_and_coverage_are_those_put_in():
    generator = np.random.default_rng(2)
    frames = 0.01 * (1.0 + 0.3 * generator.random((10, 16, 16)))
    summary, arrays = score(rows_of(frames, 0.07, 1e-5), SCAN, cast(Any, Truth(frames)))
    assert summary["rmse"] == pytest.approx(0.07)
    expected = 0.1 * np.sqrt((frames**2).mean(axis=(1, 2))) / frames.mean(axis=(1, 2))
    np.testing.assert_allclose(arrays["raw_errors"], expected, rtol=1e-6)
    assert summary["coverage90"] == pytest.approx(0.5)
    assert "truth_state.C10" in arrays
    assert "truth_state.matrix" not in arrays
