"""Is this edge there: false alarms at 5 %, and the detection limit as predicted and as measured, from 100 to a million counts a spectrum."""

from collections.abc import Callable

import numpy as np

from reconstruct.eels.camera import Camera
from reconstruct.eels.core_loss.design import design_of
from reconstruct.eels.core_loss.detection import POWER, detection_limit, presence
from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.learning import shared_of
from reconstruct.eels.core_loss.pixels import Shared, expectation
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form

TOTALS = (1e2, 1e3, 1e4, 1e6)
SPECTRA = (8000, 3000, 128)
FACTORS = (0.8, 0.9, 1.0, 1.1, 1.25)
"""Of the predicted limit, at which the power is measured."""
ENERGIES = 400.0 + np.arange(256)


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """O K beside Ti L that is there."""
    edges = [edge for name in ("Ti", "O") for edge in edges_for(name, ENERGIES, 200e3, 33e-3, 21e-3)]
    design = design_of(ENERGIES, edges)
    shared = shared_of(design, design.mean, np.ones(len(ENERGIES)), Camera(), np.ones(len(ENERGIES)))
    rows = []
    for total in TOTALS:
        progress(f"{total:g} counts")
        parameters = np.array([[np.log(0.8 * total / 300.0), 3.0, 0.2 * total, 0.0]])
        alarms = float(presence(_drawn(parameters, shared, SPECTRA[short], 0), shared, 1, 1.0).detected().mean())
        rows.append(
            case(
                f"false alarms at 5 %, {total:g} counts", 100.0 * alarms, "%", "3.5 to 6.5 %", 0.035 <= alarms <= 0.065
            )
        )
        limit = float(detection_limit(parameters, shared, 1, 1.0)[0])
        power = []
        for number, factor in enumerate(FACTORS, 1):
            with_edge = parameters + np.array([0.0, 0.0, 0.0, factor * limit])
            counts = _drawn(with_edge, shared, SPECTRA[short], number)
            power.append(float(presence(counts, shared, 1, 1.0).detected().mean()))
        measured = float(np.interp(POWER, power, FACTORS))
        words = f"detection limit (95 % power), measured over predicted ({limit:.3g} counts), {total:g} counts"
        rows.append(case(words, measured, "", "within 15 %", abs(measured - 1.0) <= 0.15))
    return rows


def _drawn(parameters: np.ndarray, shared: Shared, count: int, seed: int) -> np.ndarray:
    background, core = (np.asarray(part) for part in expectation(parameters, shared))
    return np.random.default_rng(seed).poisson(np.repeat(background + core, count, axis=0)).astype(float)
