"""Counts per electron by the noise of an image, and the dose that follows."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from reconstruct.measurement.counting.gain import Gain, gain_of
from reconstruct.validation.data.counting import counting
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from twin.records import Axis, Claim, Signal, axis_claims, collect


def counted(
    seed: int, gain: float = 7.3, black: float = 100.0, readout: float = 3.0, electrons: float = 30.0
) -> np.ndarray:
    """An image [256, 256] in counts of a specimen that changes slowly."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256] / 256.0
    mean = electrons * (0.7 + 0.6 * x + 0.3 * np.sin(6.0 * y))
    return gain * rng.poisson(mean) + black + readout * rng.standard_normal(mean.shape)


def signal_of_counts(image: np.ndarray, **claims: float) -> Signal:
    axes = (Axis("y", image.shape[0], 2.0, 0.0, "angstrom"), Axis("x", image.shape[1], 2.0, 0.0, "angstrom"))
    of_axes, _ = collect(axis_claims(axes, "image"))
    return Signal(
        image,
        axes,
        "image",
        "",
        "",
        "synthetic",
        {**of_axes, **{name: Claim(value, None, name) for name, value in claims.items()}},
    )


@pytest.mark.smoke
@pytest.mark.parametrize("gain", [1.5, 7.3, 60.0])
def test_the_gain_is_found(gain):
    measured = [gain_of(counted(seed, gain)) for seed in range(16)]
    gains = [item for item in measured if isinstance(item, Gain)]
    assert len(gains) == 16
    deviations = [(item.value - gain) / item.error for item in gains]
    assert np.abs(deviations).max() < 4.0
    assert 0.5 < np.sqrt(np.mean(np.square(deviations))) < 1.6
    assert gains[0].error < 0.06 * gain


@pytest.mark.parametrize(
    "image, words",
    [
        (gaussian_filter(counted(1), 0.5), "share structure or noise"),
        (counted(1) + 100.0 * np.sin(np.arange(256)), "share structure or noise"),
        (np.random.default_rng(0).poisson(50.0, (256, 256)).astype(float), "not told apart"),
        (np.full((256, 256), 7.0), "no noise"),
        (counted(1)[:32, :32], "too few"),
    ],
    ids=["shared noise", "structure", "one level", "constant", "small"],
)
def test_what_does_not_tell_the_gain(image, words):
    assert words in gain_of(image)


def test_gain_and_dose_are_weighed():
    electrons = float(np.mean(counted(2) - 100.0) / 7.3 / 4.0)  # a square angstrom
    (item,), _ = evidence_by(counting, signal_of_counts(counted(2), gain=7.3, dose=1.3 * electrons))
    assert [statement.label for statement in item.statements] == ["gain by the noise", "electrons in a pixel"]
    assert abs(nearest(item, {"gain": 7.3, "dose": electrons, "pixel.x": 2.0, "pixel.y": 2.0})[0]) < 2.5
    assert abs(nearest(item, {"gain": 9.5, "dose": electrons, "pixel.x": 2.0, "pixel.y": 2.0})[0]) > 5.0
    for factor, agrees in ((1.0, True), (2.0, True), (10.0, False), (0.5, False)):
        statement, mean, slack = item.statements[1], item.components[0].mean[1], item.tolerance[1]
        off = abs(mean - statement.of({"dose": electrons * factor, "pixel.x": 2.0, "pixel.y": 2.0})) - slack
        assert (off < 0.1) == agrees


def test_of_a_scan_the_dose_is_not_told():
    items, (gap,) = evidence_by(counting, signal_of_counts(counted(3), dose=10.0, dwell=1e-5))
    assert not items
    assert "all electrons" in gap.why
