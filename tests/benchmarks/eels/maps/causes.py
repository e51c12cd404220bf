"""Why core-loss maps here are darker than abTEM's: cross-sections of one atom, with abTEM's ingredients put in one after the other.

Also which of both is nearer to Bote and Salvat's total cross-sections. Waves of abTEM come from ``abtem_waves.py`` (EMTWIN_GPAW, as for `core_loss`).
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicSpline

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.eels.cross_sections import references
from tests.benchmarks.eels.maps.core_loss import PYTHON
from twin.eels.atoms import (
    Subshell,
    edges_of,
    generalised_oscillator_strength,
    ionisation_threshold,
    subshell,
    total_cross_section,
    transition_potentials,
)
from twin.eels.atoms.kinematics import Beam
from twin.eels.atoms.oscillator import ionisation, pair, radial
from twin.eels.atoms.solver.angular import coupling, multipoles, spherical_bessel
from twin.eels.atoms.solver.atom import Atom, solve_atom
from twin.eels.atoms.solver.bound import bound_state, density
from twin.eels.atoms.solver.configurations import Orbital, atomic_number
from twin.eels.atoms.solver.potential import BOHR, HARTREE, LIGHT, on_grid
from twin.eels.maps.window import collected
from twin.optics.electrons import interaction_constant

ENERGY, CONVERGENCE, COLLECTION, EJECTED = 200e3, 0.021, 0.03, 10.0
SLOW = 1e6
"""A speed of light with which atoms are not relativistic."""
PHOTO = {"Ti L3": {20.0: 1.574e-2, 50.0: 1.377e-2}, "O K": {20.0: 3.95e-3, 50.0: 3.68e-3, 200.0: 2.14e-3}}
"""df/dE in 1/eV of the whole shell by the energy of the ejected electron in eV: fits to measured photoabsorption (Elam et al., Radiat. Phys. Chem. 63,
121, 2002) at 485 and 515 eV of Ti and 566, 596 and 746 eV of O, less a power of the energy for the shells above."""
OPTICAL = 0.02
"""Momentum in radians per angstrom at which strengths are those of photoabsorption."""
NODES = 24
"""Quadrature points of the ejected electron's energy in total cross-sections."""
TRIED = (2.0, 5.0, EJECTED, 20.0, 50.0, 200.0)
"""Energies of the ejected electron in eV at which both are compared."""
HIGHEST = 4000.0
"""Largest of these energies in eV: beyond it lie 3 % of the cross-sections."""


class Asked(NamedTuple):
    """What abTEM is asked for: ``shells`` (Z, n, l), ``energies`` of ejected electrons in eV, l' up to ``largest``; ``order`` l' - l and the grids (extent in
    angstrom, points) of its transition potentials at ``epsilon`` eV."""

    energies: tuple[float, ...]
    shells: dict[str, tuple[int, int, int]] = {"Ti L3": (22, 2, 1), "O K": (8, 1, 0)}
    largest: int = 12
    order: int = 1
    epsilon: float = EJECTED
    energy: float = ENERGY
    grids: tuple[tuple[float, int], ...] = ((20.0, 256), (2 * 3.905, 96))


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """All causes, and both totals over Bote and Salvat's; nothing without abTEM."""
    python = os.environ.get(PYTHON)
    if not python:
        progress(f"no {PYTHON} names a Python with GPAW: the causes of differences from abTEM are left out")
        return []
    nodes, shares = leggauss(NODES if short is Form.WHOLE else 6)
    last = np.log1p(HIGHEST)
    energies = np.expm1(last * (nodes + 1) / 2)
    weights = shares * last / 2 * (energies + 1.0)
    progress("abTEM's waves")
    theirs = _waves(python, Asked((*TRIED, *energies.tolist())))
    rows = []
    for label in Asked(()).shells:
        progress(f"causes for {label}")
        rows += _causes(label, theirs)
        rows += _by_energy(label, theirs)
        rows += _photoabsorption(label, theirs)
        rows += _totals(label, theirs, energies, weights)
    return rows


def _waves(python: str, asked: Asked) -> dict[str, np.ndarray]:
    script = Path(__file__).with_name("abtem_waves.py")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "waves.npz"
        command = [python, str(script), str(out), json.dumps(asked._asdict())]
        subprocess.run(command, check=True, capture_output=True, timeout=1800)
        with np.load(out) as stored:
            return dict(stored)


def _causes(label: str, theirs: dict[str, np.ndarray]) -> list[Case]:
    """d sigma / dE into the aperture, each step with one ingredient more of abTEM's."""
    edge = subshell(*label.split())
    orbital, l = edge.orbital, edge.orbital.l  # noqa: E741
    loss = (ionisation_threshold(edge) + EJECTED) / HARTREE
    lost = (EJECTED - float(theirs[f"{label} energy"])) / HARTREE
    beam, energy = Beam(ENERGY), np.array([EJECTED / HARTREE])
    momenta, weights = beam.collected(np.array([loss]), COLLECTION, CONVERGENCE)
    momenta, plain = momenta[0], weights[0] / _transverse(loss, momenta[0], beam)
    fewer, less = beam.collected(np.array([lost]), COLLECTION, CONVERGENCE)
    fewer, less = fewer[0], less[0] / _transverse(lost, fewer[0], beam)
    atom, slow, weak = (solve_atom(edge.element, *more) for more in ((), (SLOW,), (SLOW, 2 / 3)))
    low = slice(max(l - 1, 0), l + 2)
    gpaw = _atom_of(edge.element, orbital, theirs[f"{label} radii"], theirs[f"{label} product"])

    def of(made: Atom) -> np.ndarray:
        return _by_final(made, orbital, energy, fewer)[low].sum(axis=0)

    bessel = spherical_bessel(2 * l + 1, fewer[:, None] * theirs[f"{label} bound_radii"])
    own = _of_waves(
        l,
        theirs[f"{label} bound_radii"],
        theirs[f"{label} bound"],
        theirs[f"{label} continuum"][TRIED.index(EJECTED)],
        bessel,
        fewer,
    )
    steps = {
        "ours": float(ionisation(atom, orbital, energy, momenta, 1)[0] @ weights[0]),
        "without the transverse term": float(ionisation(atom, orbital, energy, momenta, 1)[0] @ plain),
        "with the eigenvalue of abTEM's atom for the edge": float(
            ionisation(atom, orbital, energy, fewer, 1)[0] @ less
        ),
        "l' up to l + 1 alone": float(of(atom) @ less),
        "atoms without relativity": float(of(slow) @ less),
        "without Latter's tail: a neutral atom's potential": float(of(_neutral(edge.element, slow, 1.0)) @ less),
        "exchange of Kohn and Sham, 2/3 of Slater's": float(of(_neutral(edge.element, weak, 2 / 3)) @ less),
        "GPAW's potential (gradients, correlation)": float(of(gpaw) @ less),
        "abTEM's own waves": float(own[low].sum(axis=0) @ less),
        "abTEM's transition potentials, 20 angstrom wide": _on_grid(theirs[f"{label} summed 0"], 0) / (2 * (2 * l + 1)),
    }
    ours, narrow = _our_grid(edge, 1), _on_grid(theirs[f"{label} summed 1"], 1) / (2 * (2 * l + 1))
    steps["abTEM's over ours, both on the maps' grid 7.81 angstrom wide"] = narrow / ours * steps["ours"]
    first = steps["ours"]
    words = f"{label} + {EJECTED:g} eV, cross-section over ours"
    return [case(f"{words}: {name}", value / first) for name, value in steps.items()]


def _transverse(loss: float, momenta: np.ndarray, beam: Beam) -> np.ndarray:
    """1 and the transverse term of `kinematics`."""
    x2 = (loss / (LIGHT * momenta)) ** 2
    return 1 + x2 * np.maximum(beam.beta2 - x2, 0.0) / (1 - x2) ** 2


def _neutral(element: str, atom: Atom, exchange: float) -> Atom:
    """``atom`` in the potential of its own charge, with Slater's ``exchange`` and without Latter's tail."""
    radii, charge = atom.potential.radii, atomic_number(element)
    total = np.sum([o.electrons * density(atom.potential, o.l, wave) for o, wave in atom.shells.items()], axis=0)
    step = np.log(radii[1] / radii[0])
    inside = cumulative_simpson(total * radii, dx=step, initial=0.0)
    outside = cumulative_simpson(total, dx=step, initial=0.0)
    slater = -3 * exchange * (3 * total / (32 * np.pi**2 * radii**2)) ** (1 / 3)
    product = -charge + inside + radii * (outside[-1] - outside) + radii * slater
    return _solved(element, list(atom.shells), radii, product)


def _atom_of(element: str, orbital: Orbital, radii: np.ndarray, product: np.ndarray) -> Atom:
    """The shell in another potential r V on ``radii``, not relativistic."""
    own = solve_atom(element, SLOW).potential.radii
    inside = np.minimum(own, radii[-1])
    return _solved(element, [orbital], own, CubicSpline(radii, product)(inside))


def _solved(element: str, orbitals: list[Orbital], radii: np.ndarray, product: np.ndarray) -> Atom:
    potential = on_grid(radii, product, SLOW)
    shells = {}
    for orbital in orbitals:
        wave = bound_state(potential, orbital.n, orbital.l)
        if wave is not None:
            shells[orbital] = wave
    return Atom(element, potential, shells)


def _by_final(atom: Atom, orbital: Orbital, energy: np.ndarray, momenta: np.ndarray) -> np.ndarray:
    """S [l', momentum] of one energy."""
    waves = pair(atom, orbital, energy, float(momenta.max()))
    finals = waves.large.shape[1]
    bessel = spherical_bessel(finals - 1 + orbital.l, momenta[:, None] * waves.potential.radii)
    made = np.zeros((finals, len(momenta)))
    for final in range(finals):
        for order in multipoles(orbital.l, final):
            element = radial(waves, orbital.l, final, order, bessel[order] - (order == 0))[0]
            made[final] += coupling(orbital.l, final, order) * element**2
    return 2 * made / momenta**2


def _of_waves(
    l: int,  # noqa: E741
    radii: np.ndarray,
    bound: np.ndarray,
    continuum: np.ndarray,
    bessel: np.ndarray,
    momenta: np.ndarray,
) -> np.ndarray:
    """S [l', momentum] of given waves [l', radius], as they are: not orthogonal."""
    made = np.zeros((len(continuum), len(momenta)))
    for final, wave in enumerate(continuum):
        for order in multipoles(l, final):
            if order < len(bessel):
                element = np.trapezoid(bound * wave * bessel[order], radii, axis=-1)
                made[final] += coupling(l, final, order) * element**2
    return 2 * made / momenta**2


def _on_grid(summed: np.ndarray, number: int) -> float:
    """The sum over a grid of what is collected, square bohr per hartree."""
    extent, gpts = Asked(()).grids[number]
    passed = collected((gpts, gpts), (extent, extent), ENERGY, COLLECTION, CONVERGENCE)
    return float((summed * passed).sum()) * (extent / gpts**2) ** 2 * HARTREE / BOHR**2


def _our_grid(edge: Subshell, number: int) -> float:
    """The same of our transition potentials, for each electron of the subshell."""
    extent, gpts = Asked(()).grids[number]
    made = transition_potentials(edge, EJECTED, (gpts, gpts), (extent / gpts, extent / gpts), ENERGY, 0.998)
    waves = np.fft.fft2(interaction_constant(ENERGY) * made.values)
    return _on_grid(np.asarray((np.abs(waves) ** 2).sum(axis=0, dtype=np.float64)), number) / edge.occupancy


def _by_energy(label: str, theirs: dict[str, np.ndarray]) -> list[Case]:
    """d sigma / dE of abTEM's waves over ours by the energy of the ejected electron, both with our kinematics and the same l'."""
    edge = subshell(*label.split())
    orbital, beam, atom = edge.orbital, Beam(ENERGY), solve_atom(edge.element)
    low, rows = slice(max(orbital.l - 1, 0), orbital.l + 2), []
    for row, energy in enumerate(TRIED):
        loss = (ionisation_threshold(edge) + energy) / HARTREE
        momenta, weights = (each[0] for each in beam.collected(np.array([loss]), COLLECTION, CONVERGENCE))
        ours = _by_final(atom, orbital, np.array([energy / HARTREE]), momenta)[low].sum(axis=0) @ weights
        bessel = spherical_bessel(2 * orbital.l + 1, momenta[:, None] * theirs[f"{label} bound_radii"])
        made = _of_waves(
            orbital.l, theirs[f"{label} bound_radii"], theirs[f"{label} bound"], theirs[f"{label} continuum"][row], bessel, momenta
        )  # fmt: skip
        value = float(made[low].sum(axis=0) @ weights / ours)
        rows.append(case(f"{label} + {energy:g} eV, same kinematics and l': abTEM's waves over ours", value))
    return rows


def _photoabsorption(label: str, theirs: dict[str, np.ndarray]) -> list[Case]:
    """Optical oscillator strengths of the shell over measured ones: ours, and with abTEM's waves in the place of ours."""
    edge, rows = subshell(*label.split()), []
    orbital, atom, momenta = edge.orbital, solve_atom(edge.element), np.array([OPTICAL * BOHR])
    shell = [other for other in edges_of(edge.element) if other.orbital == orbital]
    dipole = [final for final in (orbital.l - 1, orbital.l + 1) if final >= 0]
    radii, bound = theirs[f"{label} bound_radii"], theirs[f"{label} bound"]
    bessel = spherical_bessel(2 * orbital.l + 1, momenta[:, None] * radii)
    for energy, measured in PHOTO[label].items():
        loss = np.array([ionisation_threshold(edge) + energy])
        made = sum(float(generalised_oscillator_strength(part, loss, np.array([OPTICAL]))[0, 0]) for part in shell)
        ours = _by_final(atom, orbital, np.array([energy / HARTREE]), momenta)[dipole].sum()
        other = _of_waves(orbital.l, radii, bound, theirs[f"{label} continuum"][TRIED.index(energy)], bessel, momenta)
        words = f"{label} + {energy:g} eV, optical oscillator strength over measured photoabsorption"
        rows.append(case(f"{words}: ours", made / measured))
        rows.append(case(f"{words}: abTEM's waves", made / measured * float(other[dipole].sum() / ours)))
    return rows


def _totals(label: str, theirs: dict[str, np.ndarray], energies: np.ndarray, weights: np.ndarray) -> list[Case]:
    """Total cross-sections over Bote and Salvat's: ours, and with abTEM's waves for losses that its waves were made for."""
    edge = subshell(*label.split())
    listed = [r for r in references((edge.name,)) if r.number == atomic_number(edge.element)]
    if not listed:
        return []
    reference = listed[0]
    beam, losses = Beam(ENERGY), (reference.edge.energy + energies) / HARTREE
    momenta, shares = beam.collected(losses)
    atom, orbital = solve_atom(edge.element), edge.orbital
    radii, bound = theirs[f"{label} bound_radii"], theirs[f"{label} bound"]
    made = {"ours": 0.0, "abTEM's waves, all l'": 0.0, "abTEM's waves, l' up to l + 1": 0.0}
    for row, energy in enumerate(energies):
        ours = ionisation(atom, orbital, np.array([energy / HARTREE]), momenta[row], 1)[0]
        continuum = theirs[f"{label} continuum"][len(TRIED) + row]
        bessel = spherical_bessel(len(continuum) + orbital.l, momenta[row][:, None] * radii)
        strengths = _of_waves(orbital.l, radii, bound, continuum, bessel, momenta[row])
        low = strengths[max(orbital.l - 1, 0) : orbital.l + 2].sum(axis=0)
        for name, strength in zip(made, (ours, strengths.sum(axis=0), low), strict=True):
            made[name] += float(strength @ shares[row]) * weights[row] / HARTREE
    area = reference.areas[ENERGY]
    whole = total_cross_section(reference.edge, ENERGY, bound=False)
    scale = reference.edge.occupancy * BOHR**2 / area
    words = f"{label}, total ionisation cross-section at {ENERGY / 1e3:g} kV over Bote and Salvat's"
    rows = [case(f"{words}: of the table that ships", whole / area)]
    return rows + [
        case(f"{words}, ejected electrons up to {HIGHEST:g} eV: {name}", value * scale) for name, value in made.items()
    ]
