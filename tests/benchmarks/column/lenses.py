"""Lenses compared with closed forms and traced electrons, a column with integrated rays, kappa with published values."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks._case import case
from tests.benchmarks._form import Form
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
SPANS = (("gun", "specimen"), ("specimen", "camera"))
"""Parts of a column whose matrices are compared."""


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` fewer strengths and steps."""
    progress("lenses against closed forms")
    worst = {"focal lengths": 0.0, "rotation": 0.0, "Cs": 0.0, "Cc": 0.0}
    for peak in ((0.3, 1.0, 2.0, 4.0, 6.0), (1.0, 4.0), (2.0,))[short]:
        bell = GlaserBell(peak, 2 * MM, 3 * MM)
        k, omega = glaser.excitation(bell, ENERGY)
        cardinal = asymptotic(bell, ENERGY)
        _, length = glaser.asymptotic_focus(bell, ENERGY)
        _worse(worst, "focal lengths", float(cardinal.focal_length), length)
        _worse(worst, "rotation", float(cardinal.rotation), k * math.pi)
        for crossover in range(1, math.ceil(omega)):
            real_cardinal = real(bell, ENERGY, crossover)
            _worse(
                worst, "focal lengths", float(real_cardinal.focal_length), glaser.real_focus(bell, ENERGY, crossover)[1]
            )
            _worse(worst, "Cs", float(real_cardinal.spherical), glaser.spherical(bell, ENERGY, crossover))
            _worse(worst, "Cc", float(real_cardinal.chromatic), glaser.chromatic(bell, ENERGY, crossover))
    bars = {"focal lengths": 1e-6, "rotation": 1e-6, "Cs": 1e-4, "Cc": 1e-4}
    rows = [
        case(
            f"Glaser's bell by rays: {name}, off the closed form", value, "1", f"<= {bars[name]:g}", value <= bars[name]
        )
        for name, value in worst.items()
    ]
    progress("electrons by the Lorentz force")
    off = _traced((8000, 1200, 200)[short])
    rows.append(case("Cs of traced electrons, off the integral", off, "1", "<= 0.01", off <= 0.01))
    progress("a column by matrices and by integrated rays")
    off = _column(SPANS[-1:] if short is Form.SMOKE else SPANS)
    rows.append(case("column by matrices, off integrated rays", off, "1", "<= 1e-06", off <= 1e-6))
    rows += [_speed()]
    for energy, published in KAPPA.items():
        kappa = -float(focus_change(1.0, energy, tension=1.0))
        near = abs(kappa - published) <= 5e-4
        rows.append(case(f"kappa at {energy / 1e3:g} kV", kappa, "1", f"{published}", near))
    return rows


def _worse(worst: dict[str, float], name: str, value: float, exact: float) -> None:
    worst[name] = max(worst[name], abs(value / exact - 1.0))


def _traced(steps: int) -> float:
    field = GlaserBell(2.0, 2 * MM)
    object_plane = float(real(field, ENERGY).focus) - 0.2 * MM
    image_optics = imaging(field, object_plane, ENERGY)
    angle = 5e-3
    start, slopes = jnp.array([[0.0, 0.0, object_plane]]), jnp.array([[math.tan(angle), 0.0]])
    end, _ = trace(field, start, slopes, float(image_optics.image), ENERGY, steps)
    missed = math.hypot(*np.asarray(end)[0, :2]) / abs(float(image_optics.magnification)) / math.tan(angle) ** 3
    return abs(missed / float(image_optics.spherical) - 1.0)


def _column(spans: tuple[tuple[str, str], ...]) -> float:
    """Largest error of an entry, relative to itself or, near zero, to a thousandth of its row's and column's scale."""
    model, operating_point = column(), settings()
    excitations = jnp.asarray(operating_point.vector(model.controls))
    worst = 0.0
    for start, end in spans:
        matrix, _ = rays(model, start, end, operating_point)
        model_matrix = model.between(
            start, end, jnp.asarray(model.nominal()), excitations, jnp.asarray(operating_point.high_tension)
        ).matrix
        scale = np.sqrt(np.abs(matrix).max(axis=1, keepdims=True) * np.abs(matrix).max(axis=0, keepdims=True))
        worst = max(worst, float((np.abs(model_matrix - matrix) / np.maximum(np.abs(matrix), 1e-3 * scale)).max()))
    return worst


def _speed() -> dict[str, Any]:
    model, operating_point = column(), settings()
    excitations, nominal = jnp.asarray(operating_point.vector(model.controls)), jnp.asarray(model.nominal())
    jax.block_until_ready(model.of(nominal, excitations, operating_point.high_tension))
    start = time.perf_counter()
    for _ in range(200):
        jax.block_until_ready(model.of(nominal, excitations, operating_point.high_tension))
    return case("settings to optics, compiled", (time.perf_counter() - start) / 200, "s", "", None)
