"""Which mode a column is in, from what its lenses carry and nothing else.

Diffraction and a focused probe are sharp conditions: for draws of the column's constants one lens is turned, in thought, until the pattern (the probe) is in
focus, and a setting is the likelier in the mode, the more draws have it nearly there already. Imaging and a spread beam leave that lens free: magnification and
brightness are set with it; of imaging it is only asked that the detector sees more image than pattern.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from reconstruct.calibration.quantities import FOCAL
from twin import checks
from twin.column.beamline import nominal
from twin.column.column import Column
from twin.column.elements import Gun, Lens
from twin.column.settings import Settings

NEAR = 0.03
"""How far from focus, as a share of the turned lens's excitation, an instrument in a mode is taken to stand (rms); an assumption."""
SPAN = math.log(3.0)
"""The range, as a logarithm, over which that lens is used in modes that leave it free; an assumption."""
MIXED = 0.1
"""How much of a pattern (as a sine) an image may be mixed with."""
PROBE_IMAGES = 0.02
"""How often an image is made with a probe, against a spread beam: no console has such a mode; an assumption."""
SAME = 1e-6
"""Excitations this close were not changed."""
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
        """As microscopists say it: TEM imaging, TEM diffraction, STEM; "unknown" where it cannot be told."""
        likely = {max(each, key=lambda mode: each[mode]) for each in (self.projection, self.illumination) if each}
        if "probe" in likely:
            return "STEM" if "diffraction" in likely else "probe imaging" if "imaging" in likely else "unknown"
        return f"TEM {likely.difference({'spread'}).pop()}" if len(likely) == 2 else "unknown"


def modes(column: Column, settings: Settings, draws: np.ndarray, weights: np.ndarray | None = None) -> Modes:
    """What ``settings`` say of the mode under ``draws`` [k, n] of the column's constants, of equal weight unless ``weights`` [k] are given."""
    checks.require_float64()
    share = np.full(len(draws), 1.0) if weights is None else weights
    share = share / share.sum()
    table = column.table
    height = nominal(table.of_specimen())
    lenses = [one for one in table.of(Lens) if one.control]
    objective = table.of_specimen().objective
    above = [one for one in lenses if nominal(one) < height and one.name != objective]
    if not any(one.turned for one in above):
        raise ValueError(
            f"no lens above the specimen of {table.name!r} is turned to focus the probe; say turned = true of one"
        )
    below = [one for one in lenses if nominal(one) > height and one.name != objective]
    told = settings.vector(column.controls)
    energy = settings.high_tension
    missing = tuple(
        one.control for one in lenses if one.control not in settings.controls and one.control in column.controls
    )
    conditions: list[Condition] = []
    projection: dict[str, float] = {}
    illumination: dict[str, float] = {}
    plain = np.where(np.isnan(told), 0.0, told)
    if not set(missing) & {one.control for one in (*below, table.named(objective)) if isinstance(one, Lens)} and below:
        image, pattern = _sines(column, draws, plain, energy, below[0].control, True)
        off = _off(pattern)
        conditions.append(_condition("diffraction", below[0].control, off))
        mixed = image[:, len(_TURNS) // 2]
        weight = {
            "imaging": float(share @ np.exp(-0.5 * (mixed / MIXED) ** 2)) / SPAN,
            "diffraction": float(share @ _density(off)),
        }
        projection = _normal(weight)
    if not set(missing) & {one.control for one in (*above, table.named(objective)) if isinstance(one, Lens)} and above:
        turned, off = _probe_off(column, above, draws, plain, energy)
        conditions.append(_condition("probe", turned, off))
        illumination = _normal({"probe": float(share @ _density(off)), "spread": 1.0 / SPAN})
    return Modes(projection, illumination, tuple(conditions), missing)


def of_session(
    column: Column, records: Sequence[Settings], draws: np.ndarray, weights: np.ndarray | None = None
) -> list[Modes]:
    """`modes` of several ``records`` of one session, which speak for each other: where no lens above the specimen was changed, the beam is the same; and images
    are made with a spread beam. What one record alone leaves open, an image among its neighbours settles.
    """
    found = [modes(column, one, draws, weights) for one in records]
    table = column.table
    height = nominal(table.of_specimen())
    above = [one.control for one in table.of(Lens) if one.control and nominal(one) <= height]
    beams = [np.array([one.high_tension, *(one.controls.get(name, math.nan) for name in above)]) for one in records]
    told = []
    for mode, beam in zip(found, beams, strict=True):
        if not mode.illumination:
            told.append(mode)
            continue
        group = [other for other, its in zip(found, beams, strict=True) if np.allclose(beam, its, rtol=SAME, atol=SAME)]
        odds = {
            name: share * math.prod(_fits(other, name) for other in group) for name, share in mode.illumination.items()
        }
        illumination = _normal(odds)
        projection = mode.projection
        if projection:
            projection = _normal(
                {
                    name: share
                    * sum(illumination[beam] / _fits(mode, beam) * _joint(name, beam) for beam in illumination)
                    for name, share in projection.items()
                }
            )
        told.append(dataclasses.replace(mode, illumination=illumination, projection=projection))
    return told


def _joint(projection: str, illumination: str) -> float:
    return PROBE_IMAGES if (projection, illumination) == ("imaging", "probe") else 1.0


def _fits(mode: Modes, illumination: str) -> float:
    """Probability of a record's lenses below the specimen, were its beam so."""
    return (
        sum(share * _joint(name, illumination) for name, share in mode.projection.items()) if mode.projection else 1.0
    )


def spread_weights(column: Column, spread: Sequence[Settings], draws: np.ndarray) -> np.ndarray:
    """How well draws [k, n] agree that the beams of these settings were spread, not focused to a probe; [k], 1 for certainty."""
    table = column.table
    height, objective = nominal(table.of_specimen()), table.of_specimen().objective
    above = [one for one in table.of(Lens) if one.control and nominal(one) < height and one.name != objective]
    weights = np.ones(len(draws))
    for one in spread:
        told = np.nan_to_num(one.vector(column.controls))
        _, off = _probe_off(column, above, draws, told, one.high_tension)
        weights *= 1.0 - np.exp(-0.5 * (off / NEAR) ** 2)
    return weights


def _probe_off(
    column: Column, above: list[Lens], draws: np.ndarray, told: np.ndarray, energy: float
) -> tuple[str, np.ndarray]:
    turned = max(above, key=lambda one: abs(told[column.controls.index(one.control)]) * one.turned).control
    return turned, _off(_sines(column, draws, told, energy, turned, False)[0])


def _sines(
    column: Column, draws: np.ndarray, told: np.ndarray, energy: float, control: str, image: bool
) -> tuple[np.ndarray, ...]:
    """For each draw and each turn of a lens [k, turns]: sines that are zero in focus. Of image and pattern, or of the probe."""
    place = column.controls.index(control)
    detector = column.detector if image else column.table.of_specimen().name
    begin = column.table.of_specimen().name if image else column.table.of(Gun)[0].name

    def one(constants: Float[Array, " n"], turn: Float[Array, ""]) -> Float[Array, " 2"]:
        here = jnp.asarray(told).at[place].multiply(turn)
        matrix = column.between(begin, detector, constants, here, jnp.asarray(energy)).matrix
        first, second = (matrix[0, 1], matrix[0, 0] * FOCAL) if image else (matrix[0, 1], matrix[1, 1] * FOCAL)
        size = jnp.sqrt(first**2 + second**2)
        return jnp.stack([first / size, second / size])

    found = np.asarray(_swept(one)(jnp.asarray(draws), jnp.asarray(_TURNS)))
    return found[..., 0], found[..., 1]


def _swept(one):
    return jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))


def _off(sine: np.ndarray) -> np.ndarray:
    """Logarithm [k] of the turn nearest to none at which ``sine`` [k, turns] is zero; beyond every turn where there is none."""
    logs = np.log(_TURNS)
    changes = np.sign(sine[:, 1:]) != np.sign(sine[:, :-1])
    share = sine[:, :-1] / np.where(changes, sine[:, :-1] - sine[:, 1:], 1.0)
    at = np.where(changes, logs[:-1] + share * np.diff(logs), 2 * logs[-1])
    return at[np.arange(len(at)), np.argmin(np.abs(at), axis=1)]


def _density(off: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (off / NEAR) ** 2) / (math.sqrt(2 * math.pi) * NEAR) + 1e-9


def _condition(mode: str, lens: str, off: np.ndarray) -> Condition:
    low, middle, high = np.quantile(off, [0.16, 0.5, 0.84])
    return Condition(mode, lens, float(middle), float(0.5 * (high - low)))


def _normal(weight: dict[str, float]) -> dict[str, float]:
    total = sum(weight.values())
    return {mode: value / total for mode, value in weight.items()}
