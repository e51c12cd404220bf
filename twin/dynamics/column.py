"""Dynamics of the state of a probe-forming column and a crystal (`twin.state.standard_layout`), with named assumed rates.

Commands enter as jumps: `command_focus`, `move_stage`.
"""

import msgspec
import numpy as np

from twin.dynamics.linear import Dynamics
from twin.state import FIELD, Layout


class Rates(msgspec.Struct, frozen=True):
    """Assumed rates of drift. Random walks in unit/sqrt(s); ``*_time`` are time constants in seconds, ``*_per_move`` jumps with the stage.

    Entries that are constant in the instrument (tilt, thickness, the model's systematic error) have a slow random walk: errors of the model act as
    if they drifted, and a posterior without process noise would become too certain of their average.
    """

    c10: float = 3.1
    c12: float = 2.1
    c21: float = 6.0
    c23: float = 2.5
    c30: float = 150.0
    ht_std: float = 0.4
    ht_time: float = 120.0
    current_std: float = 0.15
    current_time: float = 60.0
    temperature: float = 0.012
    lag_time: float = 170.0
    c10_per_kelvin: float = 80.0
    drift_std: float = 0.16
    drift_time: float = 150.0
    position: float = 0.02
    memory_time: float = 8.0
    memory_slow_time: float = 40.0
    memory_share: float = 0.02
    memory_std: float = 0.4
    source: float = 2e-4
    gain: float = 4e-4
    black: float = 0.05
    spread: float = 0.05
    tilt: float = 3e-5
    thickness: float = 0.08
    field: float = 1e-3
    thickness_per_move: float = 6.0
    tilt_per_move: float = 2e-4
    velocity_per_move: float = 0.06


class ColumnDynamics(Dynamics, frozen=True):
    """The dynamics of `standard_layout`, with the ``rates`` they were made from."""

    rates: Rates = Rates()


def standard_dynamics(layout: Layout, rates: Rates | None = None) -> ColumnDynamics:
    """Random walks, Ornstein-Uhlenbeck processes, lags and decaying memories for the entries of `standard_layout`."""
    rates = rates or Rates()
    n = len(layout)
    drift, diffusion = np.zeros((n, n)), np.zeros(n)

    def walk(name: str, rate: float):
        diffusion[layout.index(name)] = rate**2

    def relax(name: str, std: float, time: float):
        row = layout.index(name)
        drift[row, row] = -1.0 / time
        diffusion[row] = 2.0 * std**2 / time

    walk("C10", rates.c10)
    for name in ("C12a", "C12b"):
        walk(name, rates.c12)
    for name in ("C21a", "C21b"):
        walk(name, rates.c21)
    for name in ("C23a", "C23b"):
        walk(name, rates.c23)
    walk("C30", rates.c30)
    relax("C10.memory", rates.memory_std, rates.memory_time)
    relax("C10.memory.slow", rates.memory_std, rates.memory_slow_time)
    relax("HT", rates.ht_std, rates.ht_time)
    relax("current", rates.current_std, rates.current_time)
    walk("T", rates.temperature)
    lagged, driver = layout.index("T.lagged"), layout.index("T")
    drift[lagged, lagged], drift[lagged, driver] = -1.0 / rates.lag_time, 1.0 / rates.lag_time
    focus = layout.index("C10")
    drift[focus, driver], drift[focus, lagged] = (
        rates.c10_per_kelvin / rates.lag_time,
        -rates.c10_per_kelvin / rates.lag_time,
    )
    for axis in "xy":
        relax("v" + axis, rates.drift_std, rates.drift_time)
        drift[layout.index(axis), layout.index("v" + axis)] = 1.0
        walk(axis, rates.position)
    walk("source", rates.source)
    walk("focal_spread", rates.spread)
    walk("thickness", rates.thickness)
    for name in ("tilt.x", "tilt.y"):
        walk(name, rates.tilt)
    for name in FIELD:
        walk(name, rates.field)
    walk("gain", rates.gain)
    walk("black", rates.black)
    return ColumnDynamics(layout, drift, diffusion, rates=rates)


def command_focus(dynamics: ColumnDynamics, step: float) -> tuple[np.ndarray, np.ndarray]:
    """What a focus command of ``step`` angstrom adds to the state: mean [n] and standard deviation [n] of the jump.

    A share of the step is not there at once and comes with two time constants. How large the share is, is known to its half.
    """
    mean, std = np.zeros(len(dynamics.layout)), np.zeros(len(dynamics.layout))
    for name in ("C10.memory", "C10.memory.slow"):
        row = dynamics.layout.index(name)
        mean[row] = -dynamics.rates.memory_share * step
        std[row] = 0.6 * abs(dynamics.rates.memory_share * step)
    return mean, std


def move_stage(dynamics: ColumnDynamics) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The jump of the state at a stage move: its mean [n] and standard deviation [n], and the circular entries that become uniform."""
    layout, rates = dynamics.layout, dynamics.rates
    std = np.zeros(len(layout))
    std[layout.index("thickness")] = rates.thickness_per_move
    std[layout.index("tilt.x")] = std[layout.index("tilt.y")] = rates.tilt_per_move
    std[layout.index("vx")] = std[layout.index("vy")] = rates.velocity_per_move
    return np.zeros(len(layout)), std, ("x", "y")
