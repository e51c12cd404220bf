"""Classification of a column's mode (imaging or diffraction, probe or spread beam) from its lens settings alone.

Diffraction and a focused probe are sharp conditions: for draws of the column's constants the excitation of one lens that focuses the pattern (the probe) is
computed, and a mode is the more probable, the more draws have the lens near it. Imaging and a spread beam leave that lens free, since it sets
magnification and brightness; imaging only needs more image than pattern at the detector.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from reconstruct.calibration.quantities import FOCAL
from twin import checks
from twin.column.beamline import nominal
from twin.column.column import Column
from twin.column.elements import Gun, Lens
from twin.column.settings import Settings

FOCUS_RMS = 0.03
"""Assumed rms distance from focus of an instrument in a mode, relative to the excitation of the focusing lens."""
FREE_LOG_RANGE = math.log(3.0)
"""Assumed logarithm of the range of that lens in modes that leave it free."""
MAX_IMAGE_MIXING = 0.1
"""Rms share of the pattern (as a sine) in an image."""
PROBE_IMAGING_PRIOR = 0.02
"""Assumed prior odds of imaging with a probe to imaging with a spread beam: no console has such a mode."""
UNCHANGED_TOLERANCE = 1e-6
"""Relative difference of excitations below which they are unchanged."""
_TURNS = np.exp(np.linspace(-math.log(2.5), math.log(2.5), 181))


@dataclasses.dataclass(frozen=True)
class Condition:
    """A focus condition: ``lens`` is the control turned, ``off`` (median) and ``spread`` (half the central 68 %) by how much, relative, to be in focus."""

    mode: str
    lens: str
    off: float
    spread: float


@dataclasses.dataclass(frozen=True)
class Modes:
    """``projection``: probabilities of imaging and diffraction; ``illumination``: of probe and spread. Empty where lenses were not reported (``missing``)."""

    projection: dict[str, float]
    illumination: dict[str, float]
    conditions: tuple[Condition, ...]
    missing: tuple[str, ...]

    @property
    def name(self) -> str:
        """The usual name: TEM imaging, TEM diffraction, STEM; "unknown" where it is not determined."""
        likely = {max(each, key=lambda mode: each[mode]) for each in (self.projection, self.illumination) if each}
        if "probe" in likely:
            return "STEM" if "diffraction" in likely else "probe imaging" if "imaging" in likely else "unknown"
        return f"TEM {likely.difference({'spread'}).pop()}" if len(likely) == 2 else "unknown"


def modes(column: Column, settings: Settings, draws: np.ndarray, weights: np.ndarray | None = None) -> Modes:
    """The probabilities of modes given ``settings``, under ``draws`` [k, n] of the column's constants, of equal weight unless ``weights`` [k] are given."""
    checks.require_float64()
    share = np.full(len(draws), 1.0) if weights is None else weights
    share = share / share.sum()
    table = column.table
    height = nominal(table.of_specimen())
    lenses = [lens for lens in table.of(Lens) if lens.control]
    objective = table.of_specimen().objective
    above = [lens for lens in lenses if nominal(lens) < height and lens.name != objective]
    if not any(lens.turned for lens in above):
        raise ValueError(
            f"no lens above the specimen of {table.name!r} is turned to focus the probe; say turned = true of one"
        )
    below = [lens for lens in lenses if nominal(lens) > height and lens.name != objective]
    excitations = settings.vector(column.controls)
    energy = settings.high_tension
    missing = tuple(
        lens.control for lens in lenses if lens.control not in settings.controls and lens.control in column.controls
    )
    conditions: list[Condition] = []
    projection: dict[str, float] = {}
    illumination: dict[str, float] = {}
    plain = np.where(np.isnan(excitations), 0.0, excitations)
    if (
        not set(missing) & {lens.control for lens in (*below, table.named(objective)) if isinstance(lens, Lens)}
        and below
    ):
        image, pattern = _focus_sines(column, draws, plain, energy, below[0].control, True)
        off = _log_turn_to_focus(pattern)
        conditions.append(_condition("diffraction", below[0].control, off))
        mixed = image[:, len(_TURNS) // 2]
        weight = {
            "imaging": float(share @ np.exp(-0.5 * (mixed / MAX_IMAGE_MIXING) ** 2)) / FREE_LOG_RANGE,
            "diffraction": float(share @ _density(off)),
        }
        projection = _normal(weight)
    if (
        not set(missing) & {lens.control for lens in (*above, table.named(objective)) if isinstance(lens, Lens)}
        and above
    ):
        turned, off = _probe_log_turn(column, above, draws, plain, energy)
        conditions.append(_condition("probe", turned, off))
        illumination = _normal({"probe": float(share @ _density(off)), "spread": 1.0 / FREE_LOG_RANGE})
    return Modes(projection, illumination, tuple(conditions), missing)


def session_modes(
    column: Column, records: Sequence[Settings], draws: np.ndarray, weights: np.ndarray | None = None
) -> list[Modes]:
    """`modes` of several ``records`` of one session, combined: records with the same lenses above the specimen have the same beam, and images are made with a
    spread beam, so that an image decides the illumination of its neighbours.
    """
    single = [modes(column, settings, draws, weights) for settings in records]
    table = column.table
    height = nominal(table.of_specimen())
    above = [lens.control for lens in table.of(Lens) if lens.control and nominal(lens) <= height]
    beams = [
        np.array([settings.high_tension, *(settings.controls.get(name, math.nan) for name in above)])
        for settings in records
    ]
    combined = []
    for mode, beam in zip(single, beams, strict=True):
        if not mode.illumination:
            combined.append(mode)
            continue
        group = [
            other
            for other, other_beam in zip(single, beams, strict=True)
            if np.allclose(beam, other_beam, rtol=UNCHANGED_TOLERANCE, atol=UNCHANGED_TOLERANCE)
        ]
        odds = {
            name: share * math.prod(_imaging_probability(other, name) for other in group)
            for name, share in mode.illumination.items()
        }
        illumination = _normal(odds)
        projection = mode.projection
        if projection:
            projection = _normal(
                {
                    name: share
                    * sum(
                        illumination[beam] / _imaging_probability(mode, beam) * _joint(name, beam)
                        for beam in illumination
                    )
                    for name, share in projection.items()
                }
            )
        combined.append(dataclasses.replace(mode, illumination=illumination, projection=projection))
    return combined


def _joint(projection: str, illumination: str) -> float:
    return PROBE_IMAGING_PRIOR if (projection, illumination) == ("imaging", "probe") else 1.0


def _imaging_probability(mode: Modes, illumination: str) -> float:
    """Probability of a record's lenses below the specimen given its ``illumination``."""
    return (
        sum(share * _joint(name, illumination) for name, share in mode.projection.items()) if mode.projection else 1.0
    )


def spread_weights(column: Column, spread: Sequence[Settings], draws: np.ndarray) -> np.ndarray:
    """How well draws [k, n] agree that the beams of these settings were spread, not focused to a probe; [k], 1 for certainty."""
    table = column.table
    height, objective = nominal(table.of_specimen()), table.of_specimen().objective
    above = [lens for lens in table.of(Lens) if lens.control and nominal(lens) < height and lens.name != objective]
    weights = np.ones(len(draws))
    for settings in spread:
        excitations = np.nan_to_num(settings.vector(column.controls))
        _, off = _probe_log_turn(column, above, draws, excitations, settings.high_tension)
        weights *= 1.0 - np.exp(-0.5 * (off / FOCUS_RMS) ** 2)
    return weights


def _probe_log_turn(
    column: Column, above: list[Lens], draws: np.ndarray, excitations: np.ndarray, energy: float
) -> tuple[str, np.ndarray]:
    turned = max(above, key=lambda lens: abs(excitations[column.controls.index(lens.control)]) * lens.turned).control
    return turned, _log_turn_to_focus(_focus_sines(column, draws, excitations, energy, turned, False)[0])


def _focus_sines(
    column: Column, draws: np.ndarray, excitations: np.ndarray, energy: float, control: str, image: bool
) -> tuple[np.ndarray, ...]:
    """For each draw and each change of a lens [k, turns]: sines that are zero in focus, of image and pattern, or of the probe."""
    sines = _sines(column, image)(
        jnp.asarray(draws), jnp.asarray(_TURNS), jnp.asarray(excitations), column.controls.index(control), jnp.asarray(energy)
    )  # fmt: skip
    return np.asarray(sines[..., 0]), np.asarray(sines[..., 1])


@functools.lru_cache(maxsize=8)
def _sines(column: Column, image: bool) -> Callable[..., Array]:
    """Compiled function of draws [k, n], turns [t], excitations, the place of the turned one among them, and energy: the sines [k, t, 2]."""
    detector = column.detector if image else column.table.of_specimen().name
    begin = column.table.of_specimen().name if image else column.table.of(Gun)[0].name

    def sines(
        constants: Float[Array, " n"],
        turn: Float[Array, ""],
        excitations: Float[Array, " e"],
        index: Int[Array, ""],
        energy: Float[Array, ""],
    ) -> Float[Array, " 2"]:
        matrix = column.between(begin, detector, constants, excitations.at[index].multiply(turn), energy).matrix
        first, second = (matrix[0, 1], matrix[0, 0] * FOCAL) if image else (matrix[0, 1], matrix[1, 1] * FOCAL)
        size = jnp.sqrt(first**2 + second**2)
        return jnp.stack([first / size, second / size])

    known = (None, None, None)
    return jax.jit(jax.vmap(jax.vmap(sines, (None, 0, *known)), (0, None, *known)))


def _log_turn_to_focus(sine: np.ndarray) -> np.ndarray:
    """Logarithm [k] of the smallest change at which ``sine`` [k, turns] is zero; larger than all changes where there is none."""
    logs = np.log(_TURNS)
    changes = np.sign(sine[:, 1:]) != np.sign(sine[:, :-1])
    share = sine[:, :-1] / np.where(changes, sine[:, :-1] - sine[:, 1:], 1.0)
    at = np.where(changes, logs[:-1] + share * np.diff(logs), 2 * logs[-1])
    return at[np.arange(len(at)), np.argmin(np.abs(at), axis=1)]


def _density(off: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (off / FOCUS_RMS) ** 2) / (math.sqrt(2 * math.pi) * FOCUS_RMS) + 1e-9


def _condition(mode: str, lens: str, off: np.ndarray) -> Condition:
    low, middle, high = np.quantile(off, [0.16, 0.5, 0.84])
    return Condition(mode, lens, float(middle), float(0.5 * (high - low)))


def _normal(weight: dict[str, float]) -> dict[str, float]:
    total = sum(weight.values())
    return {mode: value / total for mode, value in weight.items()}
