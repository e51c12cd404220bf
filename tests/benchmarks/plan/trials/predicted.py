"""What the planner makes of a study: its own potentials and few configurations of thermal motion, no knowledge of what is true."""

from typing import NamedTuple

import numpy as np

from learn.feasibility.imaged import imaged
from learn.feasibility.layers import covered, image_variations, scan_variations
from learn.feasibility.matrices import Matrices, matrices_of
from learn.feasibility.scanned import (
    Detector,
    Scanned,
    Unknown,
    Variations,
    annular,
    camera,
    compared,
    scanned,
    signatures_of,
)
from learn.feasibility.scans import ABOVE, Probe, Window
from learn.feasibility.settings import lenses_about, probes_about
from learn.information import Signature
from tests.benchmarks.plan.trials.specimens import JITTER, Image, Ring, Study, Technique
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging

PHONONS, SETTINGS, LAYERS = 6, 4, 32
"""Configurations of thermal motion, settings besides the nominal, examples of amorphous layers."""
MODEL = 0.05
"""Share of the contrast by which the prediction may be wrong (rms)."""


class Crystal(NamedTuple):
    """Scattering matrices of the crystal without the change and with it, ``cells`` more in depth than assumed, and of one a cell ``thicker``."""

    perfect: Matrices
    changed: tuple[Matrices, ...]
    cells: int
    thicker: Matrices | None


class Predicted(NamedTuple):
    """What the planner makes of a study: ``crystals`` that there may be, the assumed one first, the ``window``, what is ``unknown``, and by technique
    ``detectors``, ``variations`` of columns and ``signatures``: at all settings of the first crystal, then of the others."""

    study: Study
    crystals: tuple[Crystal, ...]
    window: Window
    unknown: Unknown
    detectors: dict[str, Detector]
    variations: dict[str, Variations | None]
    signatures: dict[str, list[Signature]]

    @property
    def matrices(self) -> Matrices:
        """Of the assumed crystal."""
        return self.crystals[0].perfect

    def seen(self, name: str, crystal: Crystal, probe: Probe) -> Scanned:
        """What a technique sees of a ``crystal``; of the ``probe`` an image has the aberrations, beside those of its lens."""
        technique = self.study.techniques[name]
        if isinstance(technique, Image):
            lens = lens_of(self.study, technique, probe.coefficients)
            return imaged(crystal.perfect, crystal.changed, self.window, lens, (), crystal.thicker)
        return compared(crystal.perfect, crystal.changed, self.window, probe, crystal.thicker)

    def signature(self, name: str, seen: Scanned) -> Signature:
        """Of the change in what a technique has ``seen``."""
        return signatures_of(seen, self.detectors[name], self.unknown, self.variations[name])[0][0]


def predicted(
    study: Study, phonons: int = PHONONS, settings: int = SETTINGS, layers: int = LAYERS, first: int = 0
) -> Predicted:
    """Signatures of all techniques from ``phonons`` configurations (the first of seed ``first``), other ``settings`` and examples of ``layers``.

    Without settings all is taken to be known, and columns to be alike.
    """
    seeds = tuple(range(first, first + phonons))
    spread = study.priors.get("thickness", 0.0) > 0.0 and settings > 0
    crystals = crystals_of(study, seeds, spread)
    perfect = crystals[0].perfect
    hypotheses = study.hypotheses(1)
    window = study.window(hypotheses.location)
    probe = Probe(coefficients({"C10": study.c10}), study.source)
    others = probes_about(probe, study.priors, settings)
    half = study.roughness / np.sqrt(2.0)
    differences = {"x": JITTER, "y": JITTER, "thickness": half, ABOVE: half} if settings or layers else {}
    unknown = Unknown(study.priors, differences, MODEL)
    detectors = {name: _detector(technique, perfect) for name, technique in study.techniques.items()}
    scans = [name for name, technique in study.techniques.items() if not isinstance(technique, Image)]
    lenses = {
        name: (lens, *lenses_about(lens, study.priors, settings))
        for name, technique in study.techniques.items()
        if isinstance(technique, Image)
        for lens in [lens_of(study, technique, probe.coefficients)]
    }
    varied: dict[str, Variations | None] = dict.fromkeys(study.techniques)
    if any(study.layers) and layers:
        over = covered(hypotheses.perfect, study.grid(seeds), study.layers, layers)
        made = scan_variations(over, window, (probe, *others), [detectors[name] for name in scans])
        varied.update(zip(scans, made, strict=True))
        varied.update({name: image_variations(over, window, each) for name, each in lenses.items()})
    signatures: dict[str, list[Signature]] = {name: [] for name in study.techniques}
    for crystal in crystals:
        scan = scanned(crystal.perfect, crystal.changed, window, probe, others, crystal.thicker)
        for name in study.techniques:
            seen = scan
            if name in lenses:
                seen = imaged(
                    crystal.perfect, crystal.changed, window, lenses[name][0], lenses[name][1:], crystal.thicker
                )
            signatures[name] += signatures_of(seen, detectors[name], unknown, varied[name])[0]
    return Predicted(study, crystals, window, unknown, detectors, varied, signatures)


def crystals_of(study: Study, seeds: tuple[int, ...], spread: bool) -> tuple[Crystal, ...]:
    """The crystal with configurations of these ``seeds``, and where its thickness is ``spread`` those a cell thinner and thicker."""

    def deeper(cells: int) -> Study:
        return study._replace(repeats=(*study.repeats[:2], study.repeats[2] + cells))

    made = []
    for cells in (0, -1, 1) if spread else (0,):
        deep = deeper(cells)
        hypotheses, grid = deep.hypotheses(study.nodes[0]), deep.grid(seeds)
        changed = tuple(matrices_of(each, grid._replace(before=0)) for each in hypotheses.changed)
        above = deeper(cells + 1)
        thicker = matrices_of(above.hypotheses(1).perfect, above.grid(seeds)) if spread else None
        made.append(Crystal(matrices_of(hypotheses.perfect, grid), changed, cells, thicker))
    return tuple(made)


def lens_of(study: Study, technique: Image, aberrations: np.ndarray) -> Imaging:
    """The objective lens, whose aberrations are off by as much as those of the probe."""
    vector = aberrations + coefficients({"C10": technique.c10 - study.c10})
    return Imaging(vector, study.energy, technique.aperture, focal_spread=technique.focal_spread)


def _detector(technique: Technique, matrices: Matrices) -> Detector:
    if isinstance(technique, Ring):
        return annular(matrices, technique.inner, technique.outer)
    return (
        Detector(np.ones((1, 1)))
        if isinstance(technique, Image)
        else camera(matrices, technique.reach, technique.pixel)
    )
