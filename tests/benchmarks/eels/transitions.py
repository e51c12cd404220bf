"""Transition potentials of isolated atoms, summed over transitions, angles and positions, against the spectrum's cross-section."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.eels.atoms import differential_cross_section, subshell, transition_potentials
from twin.optics.electrons import interaction_constant, wavelength


class Trial(NamedTuple):
    """A subshell, energy of the ejected electron (eV), high tension (V), collection (rad), pixel (angstrom)."""

    element: str
    name: str
    ejected: float
    high_tension: float
    collection: float
    pixel: float


TRIALS = (
    Trial("O", "K", 20.0, 200e3, 0.03, 0.1), Trial("O", "K", 20.0, 80e3, 0.1, 0.1), Trial("C", "K", 5.0, 60e3, 0.05, 0.1),
    Trial("Ti", "L3", 5.0, 200e3, 0.03, 0.1), Trial("Ti", "L3", 40.0, 300e3, 0.1, 0.06), Trial("Sr", "L3", 30.0, 200e3, 0.05, 0.1),
    Trial("Ba", "M5", 30.0, 200e3, 0.03, 0.1), Trial("Si", "L3", 20.0, 200e3, 0.02, 0.3),
)  # fmt: skip
SIZE = 256


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """The ratio of both for each trial."""
    rows = []
    for trial in (TRIALS, TRIALS[:4], TRIALS[:1])[short]:
        progress(f"transition potentials of {trial.element} {trial.name}")
        ratio, count = summed(trial, SIZE)
        words = f"{trial.element} {trial.name} + {trial.ejected:g} eV, {trial.high_tension / 1e3:g} kV, {trial.collection * 1e3:g} mrad, {count} transitions"
        rows.append(case(f"{words}: over the spectrum's", ratio, "", "1 +- 0.02", abs(ratio - 1) <= 0.02))
    return rows


def summed(trial: Trial, size: int) -> tuple[float, int]:
    """The sum of |sigma V|^2 over transitions, positions and collected angles over d sigma / dE, and the number of transitions."""
    edge = subshell(trial.element, trial.name)
    made = transition_potentials(
        edge, trial.ejected, (size, size), (trial.pixel, trial.pixel), trial.high_tension, share=0.998
    )
    theta = np.fft.fftfreq(size, trial.pixel) * wavelength(trial.high_tension)
    inside = np.hypot(theta[:, None], theta) <= trial.collection
    # Parseval: the sum over positions is that over momenta, where the aperture stands
    waves = np.fft.fft2(interaction_constant(trial.high_tension) * made.values)
    area = float((np.abs(waves[:, inside]) ** 2).sum()) * (trial.pixel / size) ** 2
    expected = differential_cross_section(edge, np.array([made.loss]), trial.high_tension, trial.collection)[0]
    return area / expected, len(made.labels)
