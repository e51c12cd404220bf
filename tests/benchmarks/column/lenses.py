"""Lenses against closed forms and against electrons traced by the Lorentz force, a column against integrated rays, kappa against published values."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks._form import Form
from tests.benchmarks.belief.judge import case
from tests.twin.column.columns import column, settings
from tests.twin.column.integrated import rays
from twin.lenses import glaser
from twin.lenses.cardinal import asymptotic, focus_change, imaging, real
from twin.lenses.fields import GlaserBell
from twin.lenses.tracing import trace

MM = 1e7
ENERGY = 200e3
KAPPA = {200e3: 1.164, 300e3: 1.227}
"""(1 + eV/mc^2) / (1 + eV/2mc^2), to three decimals."""


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` fewer strengths and steps."""
    progress("lenses against closed forms")
    worst = {"focal lengths": 0.0, "rotation": 0.0, "Cs": 0.0, "Cc": 0.0}
    for peak in (1.0, 4.0) if short else (0.3, 1.0, 2.0, 4.0, 6.0):
        bell = GlaserBell(peak, 2 * MM, 3 * MM)
        k, omega = glaser.excitation(bell, ENERGY)
        found = asymptotic(bell, ENERGY)
        _, length = glaser.asymptotic_focus(bell, ENERGY)
        _worse(worst, "focal lengths", float(found.focal_length), length)
        _worse(worst, "rotation", float(found.rotation), k * math.pi)
        for crossover in range(1, math.ceil(omega)):
            seen = real(bell, ENERGY, crossover)
            _worse(worst, "focal lengths", float(seen.focal_length), glaser.real_focus(bell, ENERGY, crossover)[1])
            _worse(worst, "Cs", float(seen.spherical), glaser.spherical(bell, ENERGY, crossover))
            _worse(worst, "Cc", float(seen.chromatic), glaser.chromatic(bell, ENERGY, crossover))
    bars = {"focal lengths": 1e-6, "rotation": 1e-6, "Cs": 1e-4, "Cc": 1e-4}
    told = [
        case(
            f"Glaser's bell by rays: {name}, off the closed form", value, "1", f"<= {bars[name]:g}", value <= bars[name]
        )
        for name, value in worst.items()
    ]
    progress("electrons by the Lorentz force")
    off = _traced((8000, 1200, 200)[short])
    told.append(case("Cs of traced electrons, off the integral", off, "1", "<= 0.01", off <= 0.01))
    progress("a column by matrices and by integrated rays")
    off = _column()
    told.append(case("column by matrices, off integrated rays", off, "1", "<= 1e-06", off <= 1e-6))
    told += [_speed()]
    for energy, published in KAPPA.items():
        kappa = -float(focus_change(1.0, energy, tension=1.0))
        near = abs(kappa - published) <= 5e-4
        told.append(case(f"kappa at {energy / 1e3:g} kV", kappa, "1", f"{published}", near))
    return told


def _worse(worst: dict[str, float], name: str, found: float, exact: float) -> None:
    worst[name] = max(worst[name], abs(found / exact - 1.0))


def _traced(steps: int) -> float:
    field = GlaserBell(2.0, 2 * MM)
    place = float(real(field, ENERGY).focus) - 0.2 * MM
    seen = imaging(field, place, ENERGY)
    angle = 5e-3
    start, slopes = jnp.array([[0.0, 0.0, place]]), jnp.array([[math.tan(angle), 0.0]])
    end, _ = trace(field, start, slopes, float(seen.image), ENERGY, steps)
    missed = math.hypot(*np.asarray(end)[0, :2]) / abs(float(seen.magnification)) / math.tan(angle) ** 3
    return abs(missed / float(seen.spherical) - 1.0)


def _column() -> float:
    """Largest error of an entry, relative to itself or, near zero, to a thousandth of its row's and column's scale."""
    model, given = column(), settings()
    told = jnp.asarray(given.vector(model.controls))
    worst = 0.0
    for start, end in (("gun", "specimen"), ("specimen", "camera")):
        matrix, _ = rays(model, start, end, given)
        found = model.between(start, end, jnp.asarray(model.nominal()), told, jnp.asarray(given.high_tension)).matrix
        scale = np.sqrt(np.abs(matrix).max(axis=1, keepdims=True) * np.abs(matrix).max(axis=0, keepdims=True))
        worst = max(worst, float((np.abs(found - matrix) / np.maximum(np.abs(matrix), 1e-3 * scale)).max()))
    return worst


def _speed() -> dict[str, Any]:
    model, given = column(), settings()
    told, nominal = jnp.asarray(given.vector(model.controls)), jnp.asarray(model.nominal())
    jax.block_until_ready(model.of(nominal, told, given.high_tension))
    begun = time.perf_counter()
    for _ in range(200):
        jax.block_until_ready(model.of(nominal, told, given.high_tension))
    return case("settings to optics, compiled", (time.perf_counter() - begun) / 200, "s", "", None)
