"""What a core-loss spectrum image records of a change."""

from typing import Any

import numpy as np

from instrument.core.result_cache import load_or_compute
from learn.feasibility.scanned import Detector, Scanned, annular
from learn.feasibility.spectra.image import spectrum_image
from learn.feasibility.spectra.seen import Kernel, Seen, atoms_seen, fast_error, kernel_of
from learn.feasibility.spectra.shapes import Shapes, shapes_of
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.scene import Scene, inputs_of
from scenarios.plan.spectra.edges import areal_of, collection_of, edge_of, key_of, onset_of, parted, spectrum_of
from scenarios.question.options import SpectrumOption
from twin.cache_folder import usable_cache
from twin.eels.maps import EdgeWindow

BEFORE = 40.0
"""Energy in eV that is recorded below an edge, by default."""
VERSION = 1
"""Raised by whoever changes the numbers of `atoms_seen` or `fast_error`."""


def recorded(option: SpectrumOption, scene: Scene, progress: Progress) -> tuple[Scanned, Detector]:
    """The spectrum image of a change, and its channels. BadInput, naming the key, where there is no edge to see it by."""
    question = scene.question
    areal = areal_of(scene.hypotheses.perfect)
    changing = _changing(scene)
    for element in changing:  # one that comes has an edge, too; its strength is that of single atoms
        areal.setdefault(element, 1.0 / scene.window.area)
    label = edge_of(question, option, areal, scene.hypotheses.perfect.thickness, changing)
    element, name = parted(label)
    offset, onset = option.offset, onset_of(element, name)
    offset = round(onset) - BEFORE if offset is None else offset
    last = offset + option.dispersion * (option.channels - 1)
    if not offset <= onset < last:
        problem = f"{label} at {onset:g} eV lies outside of {offset:g} to {last:g} eV"
        raise BadInput(
            f"{key_of(question, option)}.offset",
            problem,
            "Move it, or give more channels or a coarser dispersion.",
        )
    ready = spectrum_of(
        question, option, areal, scene.hypotheses.perfect.thickness, offset, option.dispersion, option.channels, option.resolution
    )  # fmt: skip
    shapes = shapes_of(ready)
    progress.stage(f"core losses: {label}")
    windows = _windows(shapes, last, 1e-3 * collection_of(question, option))
    main = shapes.labels.index(label)
    seen = _seen(scene, windows, main, progress)
    wrong: list[np.ndarray | None] = [None] * len(shapes.labels)
    if not question.asked.references and element in areal_of(scene.hypotheses.perfect):
        progress.stage(f"error of the effective potential of {label}")
        wrong[main] = _error(scene, windows[main], progress)
    entering = annular(scene.matrices[0], 0.0, 1e-3 * collection_of(question, option))
    image = spectrum_image(scene.scan, entering, seen, shapes, wrong)
    return image, Detector(np.eye(len(shapes.energies)), option.readout**2)


def _changing(scene: Scene) -> list[str]:
    """Elements that come or lack, or whose atoms are moved."""
    defect = scene.question.defect
    assert defect is not None
    return [element for element in (defect.by, defect.element) if element is not None]


def _windows(shapes: Shapes, last: float, collection: float) -> list[EdgeWindow]:
    """Losses of each edge within the range."""
    first = float(shapes.energies[0])
    made = []
    for label in shapes.labels:
        element, name = parted(label)
        made.append(EdgeWindow(element, name, max(first, onset_of(element, name)), last, collection))
    return made


def _seen(scene: Scene, windows: list[EdgeWindow], main: int, progress: Progress) -> Seen:
    """Atoms seen by each edge. Those that begin below the range share the kernel of the main one: what they lose there is as localised, for the loss is as
    large."""
    first = min(window.low for window in windows)
    own = [
        number
        for number, window in enumerate(windows)
        if number == main or onset_of(window.element, window.name) > first
    ]
    grid = scene.grid._replace(before=_per_cell(scene))
    extent = scene.hypotheses.perfect.extent

    def compute() -> dict[str, np.ndarray]:
        made = {number: kernel_of(windows[number], grid, extent).values for number in own}
        kernels = [Kernel(window.element, made.get(number, made[main])) for number, window in enumerate(windows)]
        seen = atoms_seen(
            scene.hypotheses, grid, scene.window, scene.probe, kernels,
            lambda share: progress.stage("core losses of the specimens", share),
        )  # fmt: skip
        arrays = {
            "perfect": seen.perfect,
            "changed": seen.changed,
            **{f"d {name}": slope for name, slope in seen.slopes.items()},
        }
        return arrays if seen.halves is None else {**arrays, "halves": seen.halves}

    inputs = {
        **_inputs(scene), "edges": [list(window) for window in windows], "own": own, "main": main,
        "specimens": [inputs_of(each, grid) for each in (scene.hypotheses.perfect, *scene.hypotheses.changed)],
    }  # fmt: skip
    arrays = _kept("seen", inputs, compute, progress)
    slopes = {name[2:]: value for name, value in arrays.items() if name.startswith("d ")}
    return Seen(arrays["perfect"], arrays["changed"], arrays.get("halves"), slopes)


def _error(scene: Scene, window: EdgeWindow, progress: Progress) -> np.ndarray:
    """By how many atoms per square angstrom the effective local potential is off at each place."""
    cell = scene.made.cell_specimen
    assert cell is not None
    cells = scene.question.compute.cells
    repeats = (cells, cells, scene.made.repeats[2])

    def compute() -> dict[str, np.ndarray]:
        return {"wrong": fast_error(window, cell, repeats, scene.grid, scene.window, scene.probe)}

    inputs = {**_inputs(scene), "edge": list(window), "cell": inputs_of(cell, scene.grid), "repeats": list(repeats)}
    return _kept("fast", inputs, compute, progress)["wrong"]


def _inputs(scene: Scene) -> dict[str, Any]:
    return {
        "positions": scene.window.positions,
        "coefficients": np.asarray(scene.probe.coefficients),
        "source": scene.probe.source,
    }


def _kept(name: str, inputs: dict[str, Any], compute: Any, progress: Progress) -> dict[str, np.ndarray]:
    folder = usable_cache()
    return load_or_compute(None if folder is None else folder / "plan", name, VERSION, inputs, compute, progress.stage)


def _per_cell(scene: Scene) -> int:
    """Slices of the last cell, for the derivative in thickness; 0 where it is the only one."""
    per_cell = scene.made.slices // scene.made.repeats[2]
    return per_cell if scene.grid.slices > per_cell else 0
