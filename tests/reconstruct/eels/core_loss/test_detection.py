"""Whether an edge is there: false alarms at the rate asked for, and the detection limit as it is measured."""

import numpy as np
import pytest

from reconstruct.eels.camera import Camera
from reconstruct.eels.core_loss.design import design_of
from reconstruct.eels.core_loss.detection import detection_limit, presence
from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.learning import shared_of
from reconstruct.eels.core_loss.pixels import Shared, expectation
from tests.synthetic.eels.spectra import COLLECTION, HIGH_TENSION

ENERGIES = 400.0 + 2.0 * np.arange(128)
SPECTRA = 2500


@pytest.fixture(scope="module")
def shared() -> Shared:
    edges = [edge for name in ("Ti", "O") for edge in edges_for(name, ENERGIES, HIGH_TENSION, COLLECTION)]
    design = design_of(ENERGIES, edges)
    return shared_of(design, design.mean, np.ones(128), Camera(), np.ones(128))


def _parameters(electrons: float, oxygen: float) -> np.ndarray:
    return np.array([[np.log(electrons / 160.0), 3.0, 0.15 * electrons, oxygen]])


def _counts(shared: Shared, electrons: float, oxygen: float, seed: int) -> np.ndarray:
    background, core = (np.asarray(part) for part in expectation(_parameters(electrons, oxygen), shared))
    return np.random.default_rng(seed).poisson(np.repeat(background + core, SPECTRA, axis=0)).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("electrons", [200.0, 1e4])
def test_false_alarms_and_detection_limit(electrons: float, shared: Shared) -> None:
    empty = presence(_counts(shared, electrons, 0.0, 0), shared, 1, 1.0)
    assert 0.035 < empty.detected().mean() < 0.065
    limit = float(detection_limit(_parameters(electrons, 0.0), shared, 1, 1.0)[0])
    detected = presence(_counts(shared, electrons, limit, 1), shared, 1, 1.0)
    assert 0.93 < detected.detected().mean() < 0.97


def test_many_spectra_together_show_less(shared: Shared) -> None:
    parameters = np.repeat(_parameters(1e4, 0.0), 25, axis=0)
    single = float(detection_limit(parameters[:1], shared, 1, 1.0)[0])
    together = float(detection_limit(parameters, shared, 1, 1.0, pooled=True)[0])
    assert together == pytest.approx(single / 5.0, rel=0.1)
    counts = _counts(shared, 1e4, together, 2)
    pooled = np.array([presence(part, shared, 1, 1.0).pooled for part in np.split(counts, 100)])
    assert 0.86 < (pooled > 1.645).mean() <= 1.0


def test_a_strong_edge_is_far_from_chance(shared: Shared) -> None:
    """Where the correction for skewness is no expansion any more, it must not turn the sign."""
    counts = np.repeat(_counts(shared, 200.0, 400.0, 3)[:1] * 50.0, 2, axis=0)
    assert presence(counts, shared, 1, 50.0).deviate.min() > 5.0
