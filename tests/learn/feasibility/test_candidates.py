"""Structures told apart: errors of drawn recordings, a copy that cannot be told apart, and a location that is looked for."""

import numpy as np
import pytest

from learn.feasibility.candidates import Candidate, tell_apart
from learn.feasibility.scanned import Detector, Scanned, Unknown
from learn.feasibility.scans import Window, filtered, frequencies_of

SHAPE, SIDES = (6, 12), (6.0, 3.0)
X, Y = np.meshgrid(np.arange(12) * 0.5, np.arange(6) * 0.5)
WINDOW = Window(np.stack([X.ravel(), Y.ravel()], 1), SHAPE, SIDES)
RINGS = Detector(np.eye(2))


def rates_of(way: int, moved: float = 0.0) -> np.ndarray:
    """A dumbbell with its weaker atom on the left or right, in two channels that sum to less than 1."""
    image = np.zeros(SHAPE)
    for location, height in ((3.0, 0.3), (3.0 + (-1.5, 1.5)[way], 0.12)):
        off = (X - location - moved + 3.0) % 6.0 - 3.0
        image += height * np.exp(-0.5 * (off**2 + (Y - 1.5) ** 2) / 0.6**2)
    return np.stack([0.1 + image, 0.5 - image], -1).reshape(-1, 2)


def candidate(way: int, moved: float = 0.0) -> Candidate:
    rates = rates_of(way, moved)
    fx, fy = frequencies_of(WINDOW)
    slopes = {name: filtered(rates, WINDOW, -2j * np.pi * along) for name, along in (("x", fx), ("y", fy))}
    scan = Scanned(rates, np.zeros((0, *rates.shape)), slopes, WINDOW, np.zeros(0), None)
    return Candidate(scan, None, np.sqrt(rates)[None].astype(complex), np.zeros((2, 2)))


FREE = Unknown({}, {}, 0.0)


def test_the_error_is_that_of_drawn_recordings() -> None:
    told = tell_apart([candidate(0), candidate(1)], RINGS, FREE, 0.05, 1)
    assert told.dose == pytest.approx(tell_apart([candidate(0), candidate(1)], RINGS, FREE, 0.05, 4).dose * 4, rel=1e-2)
    rng, electrons, wrong, trials = np.random.default_rng(1), told.dose * WINDOW.area / len(X.ravel()), 0, 600
    grid = np.arange(0.0, 6.0, 0.1)
    models = [np.stack([rates_of(way, moved) for moved in grid]) for way in range(2)]
    for _ in range(trials):
        counts = rng.poisson(electrons * rates_of(0, float(rng.choice(grid))))
        scores = [
            np.max((counts * np.log(model / model.sum((1, 2), keepdims=True))).sum((1, 2))) for model in models
        ]  # gain fitted along
        wrong += scores[1] > scores[0]
    assert wrong / trials == pytest.approx(0.05, abs=0.025)


def test_a_copy_elsewhere_cannot_be_told_apart() -> None:
    """The location is looked for: the same structure, moved by whole steps, is the same; so it is for a probe that rests."""
    copies = [candidate(0), candidate(0, 2.5)]
    told = tell_apart(copies, RINGS, FREE, 0.05, 1)
    assert told.dose == np.inf
    assert told.curve[-1] == pytest.approx(0.5)
    assert np.abs(told.sigmas).max() < 1e-6
    assert tell_apart(copies, RINGS, FREE, 0.05, 1, resting=42).dose == np.inf
    resting = tell_apart(
        [candidate(0), candidate(1)], RINGS, Unknown({"x": 0.1, "y": 0.1}, {}, 0.0), 0.05, 1, resting=42
    )
    assert resting.perfect.shape == (2, 1, 1)


def test_the_best_measurement_needs_less() -> None:
    """Of real amplitudes whose detector is complete the bound lies below, and a model's error above."""
    told = tell_apart([candidate(0), candidate(1)], RINGS, FREE, 0.05, 1)
    assert 0.0 < told.efficiency < 1.0
    assert told.costs["x"] > 1.0
    wrong = tell_apart([candidate(0), candidate(1)], RINGS, FREE._replace(model=0.3), 0.05, 1)
    assert wrong.dose > 1.02 * told.dose
    assert np.interp(np.log(told.dose), np.log(np.geomspace(1.0, 1e8, 81)), told.curve) == pytest.approx(0.05, abs=0.01)
