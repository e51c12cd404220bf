"""Ionisation edges: cross-sections of atoms, shaped near the edge by parameters.

An edge is the sum of the subshells of one shell (Ti L: L3, L2 and, apart, L1). Above its onset each follows the atom's d sigma / dE; the onset is an
arctangent (the Lorentzian of a core hole's life time; Richtmyer, Barnes & Ramberg, Phys. Rev. 46, 843, 1934) and all energies are moved by one shift
(chemical shift, or an error of the axis that other edges do not share). White lines, which no free atom has, stand at the onsets of the two spin-orbit
partners: their area is in units of the continuum, integrated from 50 to 100 eV above the first onset (Pearson, Ahn & Fultz, Phys. Rev. B 47, 8471, 1993),
shared by the L3/L2 ratio, each split by the crystal field into t2g and eg. Lines may be put anywhere else. Fine structure is a smooth factor of the
continuum, a cubic spline that returns to 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import BSpline, CubicSpline, PPoly

from twin.checks import Number, require

NODES, WIDEN = 240, 4.0
"""Nodes of a subshell's table, and the energy in eV above its onset over which they are evenly spaced; beyond, evenly in the logarithm."""
PEARSON = (50.0, 100.0)
"""Window above the onset, in eV, whose continuum white lines are compared with."""
LEAST_SHARE = 1e-12
"""Least cross-section of a table over its largest: logarithms are interpolated."""


class Continuum(NamedTuple):
    """One subshell's d sigma / dE: cubic ``coefficients`` [4, intervals] of its logarithm (angstrom^2 per eV), ``pitch`` wide in log(1 + (E - onset) /
    `WIDEN`)."""

    name: str
    onset: float
    pitch: float
    coefficients: Float[np.ndarray, "4 intervals"]


class Edge(NamedTuple):
    """An edge of an ``element``: its ``name`` ("L"), subshells, and which parameters shape it.

    ``white``: white lines at its two lowest onsets; ``split``: each is split by the crystal field; ``lines``: further lines; ``knots`` in eV above the first
    onset of fine structure (empty: none). ``reference``: the continuum's integral over the window of `PEARSON`, angstrom^2; ``white_area``: usual area of
    the white lines over it.
    """

    element: str
    name: str
    subshells: tuple[Continuum, ...]
    reference: float
    white: bool = False
    split: bool = False
    lines: int = 0
    knots: tuple[float, ...] = ()
    white_area: float = 0.5

    @property
    def label(self) -> str:
        """``Ti L``."""
        return f"{self.element} {self.name}"

    @property
    def onset(self) -> float:
        """The lowest onset in eV."""
        return min(part.onset for part in self.subshells)


def continuum(name: str, onset: float, losses: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]) -> Continuum:
    """A subshell from its d sigma / dE ``values`` (angstrom^2 per eV) at rising ``losses`` (eV) from its ``onset`` on. ValueError for values not above 0."""
    losses, values = np.asarray(losses, np.float64), np.asarray(values, np.float64)
    above = losses >= onset
    require(
        int(above.sum()) >= 8,
        f"{name}: {int(above.sum())} energies lie above the onset at {onset:g} eV; give 8 at least",
    )
    losses, values = losses[above], values[above]
    require(
        bool(np.isfinite(values).all()) and bool(values.max() > 0.0) and bool((values >= 0.0).all()),
        f"{name}: the cross-section is not finite and positive everywhere above {onset:g} eV",
    )
    logs = np.log(np.maximum(values, LEAST_SHARE * values.max()))
    scale = np.log1p((losses - onset) / WIDEN)
    pitch = float(scale[-1]) / (NODES - 1)
    spline = CubicSpline(pitch * np.arange(NODES), np.interp(pitch * np.arange(NODES), scale, logs))
    return Continuum(name, float(onset), pitch, np.ascontiguousarray(spline.c))


def energies_for(onset: float, last: float) -> Float[np.ndarray, " n"]:
    """Energies in eV at which a subshell's cross-section is wanted for `continuum`, from its ``onset`` to ``last`` and beyond the window of `PEARSON`."""
    top = max(last, onset + 1.5 * PEARSON[1]) - onset
    return onset + WIDEN * np.expm1(np.linspace(0.0, np.log1p(top / WIDEN), NODES))


def value(
    part: Continuum, energies: Float[Array, " n"], shift: Number = 0.0, softness: Number = 0.0
) -> Float[Array, " n"]:
    """d sigma / dE at ``energies``, angstrom^2 per eV. Below the onset, where `step` takes it away, it goes on as it is there, from one to the other by a
    hyperbola that is ``softness`` eV wide."""
    past = energies - part.onset - shift
    above = 0.5 * (past + jnp.sqrt(past**2 + softness**2))
    position, end = jnp.log1p(above / WIDEN) / part.pitch, part.coefficients.shape[1]
    index = jnp.clip(jnp.floor(position).astype(int), 0, end - 1)
    rest = (jnp.minimum(position, end) - index) * part.pitch
    cubic, square, slope, level = (jnp.asarray(part.coefficients)[power][index] for power in range(4))
    logs = ((cubic * rest + square) * rest + slope) * rest + level
    # beyond the table it goes on as the power law with which it ends
    last = part.coefficients[:, -1] @ np.array([3.0 * part.pitch**2, 2.0 * part.pitch, 1.0, 0.0])
    return jnp.exp(logs + last * part.pitch * jnp.maximum(position - end, 0.0))


def step(energies: Float[Array, " n"], onset: Number, width: Number, pitch: Number) -> Float[Array, " n"]:
    """An onset, the integral of a Lorentzian of full ``width`` at half maximum, averaged over ``pitch`` eV around each energy."""
    half, at = 0.5 * width, energies - onset

    def area(to: Float[Array, " n"]) -> Float[Array, " n"]:
        return 0.5 * to + (to * jnp.arctan(to / half) - 0.5 * half * jnp.log1p((to / half) ** 2)) / np.pi

    return (area(at + 0.5 * pitch) - area(at - 0.5 * pitch)) / pitch


def lorentzian(energies: Float[Array, " n"], centre: Number, width: Number, pitch: Number) -> Float[Array, " n"]:
    """A line of area 1, per eV, of full ``width`` at half maximum, averaged over ``pitch`` eV around each energy."""
    half, at = 0.5 * width, energies - centre
    # the difference of two arctangents, without their cancellation far away
    return jnp.arctan2(half * pitch, at**2 - 0.25 * pitch**2 + half**2) / (np.pi * pitch)


def edge(
    element: str,
    name: str,
    subshells: Sequence[Continuum],
    *,
    white: bool = False,
    split: bool = False,
    lines: int = 0,
    knots: Sequence[float] = (),
    white_area: float = 0.5,
) -> Edge:
    """A checked `Edge`; ValueError where white lines have no two partners, or knots do not rise from 0."""
    parts = tuple(sorted(subshells, key=lambda part: part.onset))
    require(len(parts) > 0, f"{element} {name} has no subshells; give one at least")
    require(
        not white or len(parts) > 1,
        f"{element} {name} has one subshell, and white lines are of two spin-orbit partners; leave white out, or use lines",
    )
    require(white or not split, f"{element} {name}: a crystal field splits white lines; give white=True, too")
    places = tuple(float(knot) for knot in knots)
    require(
        not places or (len(places) >= 4 and bool((np.diff([0.0, *places]) > 0.0).all())),
        f"{element} {name}: knots of fine structure {places} eV must rise from above 0, and be 4 at least",
    )
    lowest = min(part.onset for part in parts)
    low, high = (lowest + end for end in PEARSON)
    window = np.linspace(low, high, 201)
    total = sum(
        np.asarray(value(part, jnp.asarray(window))) * (window >= part.onset) for part in parts if part.onset < high
    )
    return Edge(element, name, parts, float(np.trapezoid(total, window)), white, split, lines, places, white_area)


def cross_section(at: Edge, last: float) -> float:
    """Of an edge without further lines and fine structure for losses up to ``last`` eV, angstrom^2."""
    total = at.white_area * at.reference if at.white else 0.0
    for part in at.subshells:
        if part.onset < last:
            losses = energies_for(part.onset, last)
            inside = losses <= last
            total += float(np.trapezoid(np.asarray(value(part, jnp.asarray(losses)))[inside], losses[inside]))
    return total


def fine_basis(at: Edge, energies: Float[Array, " n"], shift: Number) -> Float[Array, "n knots"]:
    """Cubic B-splines of fine structure at ``energies``: the first is 1 at the onset and below, all vanish smoothly at the last knot."""
    breaks = np.array([0.0, *at.knots])
    padded = np.concatenate([[0.0] * 3, breaks, [breaks[-1]] * 3])
    # without the last three, which do not vanish smoothly there
    columns = np.eye(len(padded) - 4)[:-3]
    pieces = np.stack([PPoly.from_spline(BSpline(padded, column, 3)).c[:, 3:-3] for column in columns], axis=-1)
    above = jnp.clip(energies - at.onset - shift, 0.0, breaks[-1])
    index = jnp.clip(jnp.searchsorted(jnp.asarray(breaks), above, side="right") - 1, 0, len(at.knots) - 1)
    rest = (above - jnp.asarray(breaks)[index])[:, None]
    cubic, square, slope, level = (jnp.asarray(pieces[power])[index] for power in range(4))
    return ((cubic * rest + square) * rest + slope) * rest + level


def fine_count(at: Edge) -> int:
    """Number of coefficients of an edge's fine structure."""
    return len(at.knots)


def profile(at: Edge, energies: Float[Array, " n"], pitch: Number, values: dict[str, Any]) -> Float[Array, " n"]:
    """d sigma / dE of an edge, angstrom^2 per eV, for parameters ``values`` under their names without the edge's label.

    It is averaged over ``pitch`` eV around each of ``energies``: onsets and lines narrower than that keep their places and areas.
    """
    shift = values["shift"]
    total = jnp.zeros_like(energies)
    for part in at.subshells:
        total = total + value(part, energies, shift, values["onset_width"]) * step(
            energies, part.onset + shift, values["onset_width"], pitch
        )
    if at.knots:
        total = total * (1.0 + fine_basis(at, energies, shift) @ values["fine"])
    for centre, width, area in _lines(at, values):
        total = total + at.reference * area * lorentzian(energies, centre + shift, width, pitch)
    return total


def _lines(at: Edge, values: dict[str, Any]) -> list[tuple[Number, Number, Number]]:
    """Centre without shift, width and area over the reference of each line."""
    lines: list[tuple[Number, Number, Number]] = []
    if at.white:
        share = values["ratio"] / (1.0 + values["ratio"])
        for part, area, width in (
            (at.subshells[0], share, values["line_width"]),
            (at.subshells[1], 1.0 - share, values["line_width"] * values["line_width_ratio"]),
        ):
            area = values["white_lines"] * area
            if not at.split:
                lines.append((part.onset, width, area))
                continue
            eg = values["eg_share"]
            lines.append((part.onset - eg * values["crystal_field"], width, area * (1.0 - eg)))
            lines.append((part.onset + (1.0 - eg) * values["crystal_field"], width, area * eg))
    for number in range(1, at.lines + 1):
        at_line = [values[f"line{number}.{name}"] for name in ("position", "width", "area")]
        lines.append((at.onset + at_line[0], at_line[1], at_line[2]))
    return lines
