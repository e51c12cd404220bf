"""Six quantities, each with a technique, a true value, and the twin's expected counts as functions of the quantity, the scan's place, defocus and gain."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.measuring.ends import Ends
from learn.feasibility.measuring.quantity import OPTICAL, Quantity, varied
from learn.feasibility.measuring.sensitivity import Sensitivity, at_rest, counted, patterns
from learn.feasibility.scanned import Detector, annular, camera, segments
from learn.feasibility.scans import (
    Probe,
    Window,
    blurred,
    filtered,
    finest_step,
    frequencies_of,
    patterns_of,
    window_of,
)
from twin.optics.aberrations import basis, coefficients, index
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen, srtio3

CELL = srtio3((1, 1, 1))
REPEATS = (2, 2, 8)
GRID = Grid((60, 60), 16, 200e3, 15e-3, 45e-3, (1, 2), soft=False)
C10 = -20.0
PROBE = Probe(coefficients({"C10": C10}), 0.3)
UNKNOWN = ("x", "y", "C10", "gain")
"""What is fitted along, free of priors; all else is known."""


class Study(NamedTuple):
    """A ``quantity`` whose ``true`` value is measured by a ``technique`` to ``std``; the model knows it at ``nodes``."""

    quantity: Quantity
    true: float
    std: float
    nodes: tuple[float, ...]
    technique: str


def _about(true: float, width: float) -> tuple[float, ...]:
    """Five nodes, none of them at the ``true`` value."""
    return tuple(true + width * share for share in (-1.0, -0.55, 0.1, 0.6, 1.05))


STUDIES = {
    "thickness": Study(Quantity("thickness"), 8.0 * CELL.thickness, 1.0, tuple((6.0 + step) * CELL.thickness for step in range(5)), "CBED"),
    "tilt": Study(Quantity("tilt"), 2e-3, 4e-4, _about(2e-3, 3e-3), "4D-STEM"),
    "position": Study(Quantity("position", "Ti", column=0), 0.05, 0.02, _about(0.05, 0.12), "4D-STEM"),
    "occupancy": Study(Quantity("occupancy", "O", column=1), -0.1, 0.02, _about(-0.1, 0.12), "ABF"),
    "composition": Study(Quantity("composition", "Sr", "La"), 0.2, 0.02, _about(0.2, 0.12), "DPC"),
    "defocus": Study(Quantity("defocus"), C10, 1.0, (), "4D-STEM"),
}  # fmt: skip
"""True values are of thickness (angstrom), of tilt (radian), of the shift (angstrom) and of the change of occupancy of a column, of a share, of C10."""


class Made(NamedTuple):
    """A specimen with the ``grid`` and the ``sites`` of its thermal motion; ``before``: slices at its exit that are left out."""

    specimen: Specimen
    grid: Grid
    sites: np.ndarray | None
    before: int = 0


def at(study: Study, value: float) -> Made:
    """The specimen of which the quantity has ``value``."""
    quantity = study.quantity
    if quantity.kind == "thickness":  # all thicknesses are of one specimen, cut off
        deep, each = round(study.nodes[-1] / CELL.thickness), GRID.slices // REPEATS[2]
        whole = varied(CELL, (*REPEATS[:2], deep), Quantity("defocus"), GRID).base
        cells = round(value / CELL.thickness)
        return Made(whole, GRID._replace(slices=deep * each), None, (deep - cells) * each)
    if quantity.kind in OPTICAL or value == 0.0:
        pair = varied(CELL, REPEATS, quantity, GRID)
        return Made(pair.base, GRID, pair.sites)
    pair = varied(CELL, REPEATS, quantity, GRID, abs(value))
    side = int(value > 0.0)
    return Made((pair.less, pair.more)[side], pair.grids[side], pair.sites)


def matrix(made: Made) -> Matrices:
    """The scattering matrix of a specimen."""
    computed = matrices_of(made.specimen, made.grid._replace(before=made.before), sites=made.sites)
    thin = computed.thinner
    return computed if thin is None else computed._replace(amplitudes=thin, thinner=None)


@functools.cache
def window_for(study: Study) -> Window:
    """One cell about the column, or in the middle."""
    location = varied(CELL, REPEATS, study.quantity, GRID).location
    window = window_of(location, CELL.extent, finest_step(GRID.semiangle, GRID.energy))
    if study.technique != "CBED":
        return window
    middle = window.shape[0] // 2 * window.shape[1] + window.shape[1] // 2
    return Window(window.positions[middle : middle + 1], (1, 1), window.sides)


def detector_for(study: Study) -> Callable[[Matrices], Detector]:
    """The channels of its technique."""
    return {
        "ABF": lambda each: annular(each, 7e-3, 15e-3),
        "DPC": lambda each: segments(each, 5e-3, 15e-3),
    }.get(study.technique, lambda each: camera(each, 40e-3, 3e-3))


def sensitivity(study: Study) -> Sensitivity:
    """Derivatives at the true value, as a plan has them."""
    base, quantity = matrix(at(study, study.true)), study.quantity
    ends = None
    if quantity.kind == "thickness":
        less, more = (matrix(at(study, study.true + sign * CELL.thickness)) for sign in (-1.0, 1.0))
        ends = Ends(less, more, 2.0 * CELL.thickness)
    elif quantity.kind not in OPTICAL:
        pair = varied(CELL, REPEATS, quantity, GRID)
        less, more = (matrix(at(study, study.true + sign * 0.5 * pair.step)) for sign in (-1.0, 1.0))
        ends = Ends(less, more, pair.step)
    location = varied(CELL, REPEATS, quantity, GRID).location
    window = window_of(location, CELL.extent, finest_step(GRID.semiangle, GRID.energy))
    made = patterns(base, quantity, ends, window, PROBE, REPEATS[:2])
    if study.technique == "CBED":
        # of a point source: the places about the probe are not recorded
        made = at_rest(patterns(base, quantity, ends, window, PROBE._replace(source=0.0), REPEATS[:2]), PROBE)
    return counted(made, detector_for(study))


def true_rates(study: Study) -> np.ndarray:
    """Expected counts [places, channels] for each electron on a place, of matrices at the true value."""
    window, source = window_for(study), 0.0 if study.technique == "CBED" else PROBE.source
    base = matrix(at(study, study.true))
    sharp = patterns_of(base, window, PROBE._replace(source=0.0))
    return detector_for(study)(base).counted(blurred(sharp, window, source))


class Model:
    """Rates and their derivatives as functions of the quantity, x, y, C10 and gain (or of x, y, C10 and gain), matrices between nodes by polynomials."""

    def __init__(self, study: Study):
        self.study, self.window = study, window_for(study)
        self.names = UNKNOWN if study.quantity.kind in OPTICAL else ("quantity", *UNKNOWN)
        values = study.nodes or (study.true,)
        computed = [matrix(at(study, value)) for value in values]
        self.amplitudes = np.stack([each.amplitudes for each in computed])
        self.values, self.base = np.array(values), computed[0]
        self.detector = detector_for(study)(self.base)
        k, energy = self.base.bundle.k, GRID.energy
        self.turns = 2j * np.pi * k
        self.chi = np.asarray(basis(k[:, 0], k[:, 1], wavelength(energy)))[index("C10")]
        places = 2.0 * np.pi * self.window.positions @ k.T
        self.incident = self.base.bundle.amplitude * np.exp(-1j * places)

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rates [places, channels], and derivatives [parameters, places, channels]."""
        optical = self.names is UNKNOWN
        quantity = self.study.true if optical else values[0]
        x, y, c10, gain = values[-4:]
        waves = (self.incident * np.exp(self.turns @ np.array([x, y]) - 1j * c10 * self.chi)).astype(np.complex64)
        weights, slopes = self._weights(quantity)
        factors = [np.ones_like(self.chi), self.turns[:, 0], self.turns[:, 1], -1j * self.chi]
        total, changes = 0.0, 0.0
        stacked = np.concatenate([waves * factor for factor in factors]).astype(np.complex64)
        for number in range(self.amplitudes.shape[1]):
            behind = (stacked @ np.tensordot(weights, self.amplitudes[:, number], 1)).reshape(
                len(factors), len(waves), -1
            )
            turned = list(behind[1:])
            if not optical:
                turned.insert(0, waves @ np.tensordot(slopes, self.amplitudes[:, number], 1))
            total = total + np.abs(behind[0]) ** 2
            changes = changes + np.stack([2.0 * np.real(behind[0].conj() * each) for each in turned])
        count = self.amplitudes.shape[1]
        rates = self._recorded(np.asarray(total)[None] / count)[0]
        return gain * rates, np.concatenate([gain * self._recorded(np.asarray(changes) / count), rates[None]])

    def _recorded(self, stack: np.ndarray) -> np.ndarray:
        counts = self.detector.counted(stack.astype(np.float64))
        if self.study.technique == "CBED":
            return counts
        fx, fy = frequencies_of(self.window)
        damping = np.exp(-2.0 * np.pi**2 * PROBE.source**2 * (fx**2 + fy**2))
        return np.stack([filtered(each, self.window, damping) for each in counts])

    def _weights(self, value: float) -> tuple[np.ndarray, np.ndarray]:
        """Lagrange's weights of the nodes and their derivatives."""
        made, slopes = np.ones(len(self.values)), np.zeros(len(self.values))
        for number, node in enumerate(self.values):
            others = np.delete(self.values, number)
            made[number] = np.prod((value - others) / (node - others))
            slopes[number] = sum(
                np.prod(np.delete(value - others, out)) / np.prod(node - others) for out in range(len(others))
            )
        return made.astype(np.float32), slopes.astype(np.float32)

    @property
    def true(self) -> np.ndarray:
        """The true values of all parameters."""
        known = np.array([0.0, 0.0, C10, 1.0])
        return known if self.names is UNKNOWN else np.r_[self.study.true, known]

    @property
    def wanted(self) -> int:
        """Which of the parameters is measured."""
        return self.names.index("C10") if self.names is UNKNOWN else 0
