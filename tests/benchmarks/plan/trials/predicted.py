"""What the planner makes of a study: its own potentials and few configurations of thermal motion, no knowledge of what is true."""

from typing import NamedTuple

import numpy as np

from learn.feasibility.imaged import imaged
from learn.feasibility.layers import covered, image_variations, scan_variations
from learn.feasibility.matrices import Matrices, matrices_of
from learn.feasibility.scanned import Detector, Unknown, annular, camera, scanned, signature_of
from learn.feasibility.scans import Probe, Window
from learn.feasibility.settings import lenses_about, probes_about
from learn.information import Signature
from tests.benchmarks.plan.trials.specimens import JITTER, Image, Ring, Study, Technique
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging

PHONONS, SETTINGS, LAYERS = 6, 8, 32
"""Configurations of thermal motion, settings besides the nominal, examples of amorphous layers."""


class Predicted(NamedTuple):
    """What the planner makes of a study: scattering ``matrices`` of the perfect specimen, the ``window``, and by technique ``detectors`` and ``signatures``."""

    matrices: Matrices
    window: Window
    detectors: dict[str, Detector]
    signatures: dict[str, Signature]


def predicted(
    study: Study, phonons: int = PHONONS, settings: int = SETTINGS, layers: int = LAYERS, first: int = 0
) -> Predicted:
    """Signatures of all techniques from ``phonons`` configurations (the first of seed ``first``), other ``settings`` and examples of ``layers``.

    Without settings and layers columns are taken to be alike.
    """
    hypotheses = study.hypotheses(study.nodes[0])
    grid = study.grid(tuple(range(first, first + phonons)))
    perfect = matrices_of(hypotheses.perfect, grid)
    changed = [matrices_of(each, grid._replace(before=0)) for each in hypotheses.changed]
    thicker = None
    if settings and grid.before:
        deep = study._replace(repeats=(*study.repeats[:2], study.repeats[2] + 1))
        thicker = matrices_of(deep.hypotheses(1).perfect, deep.grid(grid.seeds))
    window = study.window(hypotheses.location)
    probe = Probe(coefficients({"C10": study.c10}), study.source)
    probes = (probe, *probes_about(probe, study.priors, settings))
    scan = scanned(perfect, changed, window, probe, probes[1:], thicker)
    differences = {"x": JITTER, "y": JITTER, "thickness": study.roughness} if settings or layers else {}
    unknown = Unknown(study.priors, differences, 0.05)
    detectors = {name: _detector(technique, perfect) for name, technique in study.techniques.items()}
    over = covered(hypotheses.perfect, grid, study.layers, layers) if any(study.layers) and layers else None
    scans = [name for name, technique in study.techniques.items() if not isinstance(technique, Image)]
    varied: dict[str, np.ndarray | None] = dict.fromkeys(study.techniques)
    if over is not None:
        varied.update(
            zip(scans, scan_variations(over, window, probes, [detectors[name] for name in scans]), strict=True)
        )
    signatures = {}
    for name, technique in study.techniques.items():
        seen = scan
        if isinstance(technique, Image):
            lens = Imaging(
                coefficients({"C10": technique.c10}),
                study.energy,
                technique.aperture,
                focal_spread=technique.focal_spread,
            )
            lenses = (lens, *lenses_about(lens, study.priors, settings))
            seen = imaged(perfect, changed, window, lens, lenses[1:], thicker)
            if over is not None:
                varied[name] = image_variations(over, window, lenses)
        signatures[name] = signature_of(seen, detectors[name], unknown, varied[name])[0]
    return Predicted(perfect, window, detectors, signatures)


def _detector(technique: Technique, matrices: Matrices) -> Detector:
    if isinstance(technique, Ring):
        return annular(matrices, technique.inner, technique.outer)
    return (
        Detector(np.ones((1, 1)))
        if isinstance(technique, Image)
        else camera(matrices, technique.reach, technique.pixel)
    )
