"""Core-loss maps: absolute scale, errors of the fast forms, SrTiO3 against abTEM with GPAW, and time and memory of a whole scan.

abTEM runs in an environment of its own: EMTWIN_GPAW names its Python (GPAW 25.7, abTEM 1.0.11 and sympy); without it that part is left out.
"""

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.eels.atoms import differential_cross_section, ionisation_threshold, subshell, transition_potentials
from twin.eels.maps import EdgeMaps, EdgeWindow, core_loss_maps, local_potential, window_modes
from twin.eels.maps.window import collected
from twin.optics.electrons import interaction_constant
from twin.optics.illumination import Illumination
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.stem.scene import Scene

ENERGY, SEMIANGLE, COLLECTION, CELL = 200e3, 0.0214, 0.03, 3.905
WINDOWS = (EdgeWindow("Ti", "L", 456.0, 476.0, COLLECTION), EdgeWindow("O", "K", 532.0, 552.0, COLLECTION))
PYTHON = "EMTWIN_GPAW"


class Shared(NamedTuple):
    """What emtwin and abTEM compute alike. Lengths in angstrom, energies in eV (``epsilon`` of the ejected electron), angles in rad; ``scan`` probes along each
    side of a unit cell; ``shells``: Z, n and l by edge."""

    cell: float = CELL
    repeats: tuple[int, int, int] = (4, 4, 4)
    gpts: int = 192
    energy: float = ENERGY
    semiangle: float = 0.021
    collection: float = COLLECTION
    epsilon: float = 10.0
    scan: int = 8
    shells: dict[str, tuple[int, int, int]] = {"Ti L": (22, 2, 1), "O K": (8, 1, 0)}


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """All of them; the smoke form has an isolated atom and a thin crystal."""
    progress("an isolated atom")
    rows = _isolated() + _narrow()
    for cells in ((3, 26), (3,), (1,))[short]:
        progress(f"errors of the fast forms, {cells} cells")
        rows += _fast_forms(cells)
    if short is not Form.SMOKE:
        rows += _against_abtem(progress)
    if short is Form.WHOLE:
        progress("a whole scan")
        rows += _whole_scan()
    return rows


def crystal(cells: int, side: int = 4) -> Scene:
    """SrTiO3 [001], ``side`` x ``side`` x ``cells`` unit cells at 0.1 angstrom, thermal motion as Debye-Waller factors."""
    repeats = (side, side, cells)
    cell, gpts = srtio3((1, 1, 1)), (40 * side, 40 * side)
    return Scene(srtio3(repeats), gpts, 2 * cells, (), (0.0, 0.0), cell, repeats, (("thermal", "debye-waller"),))


def scan(scene: Scene, count: int, windows: tuple[EdgeWindow, ...], channelling: str) -> EdgeMaps:
    """Maps of one unit cell, ``count`` probes along each side."""
    along, light = np.arange(count) * CELL / count, Illumination(np.zeros(25), ENERGY, SEMIANGLE)
    return core_loss_maps(scene, light, windows, along, along, channelling, estimate=False)


def _isolated() -> list[Case]:
    rows = []
    for window, semiangle in ((WINDOWS[0], 0.01), (WINDOWS[1], 0.02)):
        specimen = Specimen(np.array([[6.0, 6.0, 1.0]]), np.zeros(1), (window.element,), (14.0, 14.0, 2.0))
        along = np.arange(64) * 14.0 / 64
        light = Illumination(np.zeros(25), ENERGY, semiangle)
        made = core_loss_maps(Scene(specimen, (100, 100), 1), light, [window], along, along).array[0]
        ratio = float(made.mean()) * 14.0**2 / window.cross_section(ENERGY, semiangle)
        words = f"{window.label} of an isolated atom, {1e3 * semiangle:g} mrad probe: sum over positions and collected angles, over the spectrum's"
        rows.append(case(words, ratio, "", "1 +- 0.02", abs(ratio - 1.0) <= 0.02))
    return rows


def _narrow() -> list[Case]:
    """Windows on grids that are narrow against the range of their losses."""
    silicon, rows = EdgeWindow("Si", "L", 100.0, 120.0, COLLECTION), []
    for window, width in ((WINDOWS[0], 8.0), (WINDOWS[0], 12.0), (silicon, 16.0), (silicon, 20.0)):
        count = round(width / 0.15 / 2) * 2
        shape, sampling = (count, count), (width / count, width / count)
        modes = window_modes(window, shape, (width, width), ENERGY, SEMIANGLE)
        held = float(local_potential(modes, ENERGY, COLLECTION, SEMIANGLE).sum()) * sampling[0] ** 2
        ratio = held / window.cross_section(ENERGY, SEMIANGLE)
        words = (
            f"{window.label} in a cell of {width:g} angstrom: potential's integral over the spectrum's cross-section"
        )
        rows.append(case(words, ratio, "", "1 +- 0.01", abs(ratio - 1.0) <= 0.01))
        edge = window.subshells()[0]
        made = transition_potentials(edge, 10.0, shape, sampling, ENERGY)
        waves = np.fft.fft2(interaction_constant(ENERGY) * made.values)
        passed = collected(shape, (width, width), ENERGY, COLLECTION, SEMIANGLE)
        held = float((np.abs(waves) ** 2 * passed).sum()) * (width / count**2) ** 2
        ratio = held / float(differential_cross_section(edge, np.array([made.loss]), ENERGY, COLLECTION, SEMIANGLE)[0])
        rows.append(case(f"{words}, if a beam stood for one direction", ratio))
    return rows


def _fast_forms(cells: int) -> list[Case]:
    scene, rows = crystal(cells), []
    exact = scan(scene, 16, WINDOWS, "double").array
    for channelling in ("single", "local"):
        rows += _differences(cells, channelling, scan(scene, 16, WINDOWS, channelling).array, exact)
    return rows


def _differences(cells: int, channelling: str, quick: np.ndarray, exact: np.ndarray) -> list[Case]:
    rows = []
    for window, a, b in zip(WINDOWS, quick, exact, strict=True):
        words = f"{window.label}, {cells * CELL / 10:.3g} nm, {channelling}"
        rms = 100 * float(np.sqrt(np.mean((a - b) ** 2)) / b.mean())
        rows.append(case(f"{words}: rms difference from double channelling, of the mean", rms, "%"))
        rows.append(case(f"{words}: mean over that with double channelling", float(a.mean() / b.mean())))
    return rows


def _against_abtem(progress: Callable[..., None]) -> list[Case]:
    python = os.environ.get(PYTHON)
    if not python:
        progress(f"no {PYTHON} names a Python with GPAW: abTEM's maps are left out")
        return []
    progress("abTEM with GPAW")
    shared, script = Shared(), Path(__file__).with_name("abtem_maps.py")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "maps.npz"
        subprocess.run(
            [python, str(script), str(out), json.dumps(shared._asdict())], check=True, capture_output=True, timeout=1800
        )
        with np.load(out) as stored:
            theirs = dict(stored)
    rows = []
    for label in shared.shells:
        rows += _compared(label, shared, theirs)
        rows.append(case(f"abTEM, {label}, double and single channelling", float(theirs[f"{label} seconds"]), "s"))
    return rows


def _compared(label: str, shared: Shared, theirs: dict[str, np.ndarray]) -> list[Case]:
    """Our maps of one edge at the same energy of the ejected electron, per eV, in abTEM's own small supercell."""
    element, _, name = label.partition(" ")
    # L3 has 4 of the 6 electrons of 2p
    edge, part = subshell(element, "L3" if name == "L" else name), 1.5 if name == "L" else 1.0
    loss = ionisation_threshold(edge) + shared.epsilon
    window = EdgeWindow(element, edge.name, loss - 0.5, loss + 0.5, shared.collection)
    repeats, rows = shared.repeats, []
    cell = srtio3((1, 1, 1), shared.cell)
    scene = Scene(
        srtio3(repeats, shared.cell), (shared.gpts, shared.gpts), 2 * repeats[2], (), (0.0, 0.0), cell, repeats
    )
    along = np.arange(shared.scan) * shared.cell / shared.scan
    light = Illumination(np.zeros(25), shared.energy, shared.semiangle)
    for channelling in ("double", "single"):
        ours = part * core_loss_maps(scene, light, [window], along, along, channelling, estimate=False).array[0]
        abtem = theirs[f"{label} {channelling}"]
        words = f"{label} of SrTiO3, {repeats[2]} cells, {channelling} channelling"
        contrast = ours / ours.mean() - abtem / abtem.mean()
        rows.append(case(f"{words}: mean over abTEM's", float(ours.mean() / abtem.mean())))
        rms = 100 * float(np.sqrt(np.mean(contrast**2)))
        rows.append(case(f"{words}: rms difference of the maps over their means", rms, "%", "at most 5 %", rms <= 5.0))
    return rows


def _whole_scan() -> list[Case]:
    rows, scene, made = [], crystal(77), {}
    for channelling in ("double", "local"):
        start = time.perf_counter()
        made[channelling] = scan(scene, 64, WINDOWS, channelling).array
        words = (
            f"64 x 64 probes on a cell of SrTiO3, 30 nm, Ti L and O K, {channelling} channelling, compilation included"
        )
        rows.append(case(words, time.perf_counter() - start, "s"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rows.append(case("the same: memory peak of the whole benchmark", peak, "GB"))
    return rows + _differences(77, "local", made["local"], made["double"])
