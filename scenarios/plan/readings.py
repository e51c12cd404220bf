"""What each technique of a question records of a scene: patterns of every hypothesis, and the channels that count them."""

from typing import NamedTuple

import numpy as np

from learn.feasibility.imaged import imaged
from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Detector, Scanned, annular, camera, segments, still
from learn.feasibility.settings import lenses_about
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.scene import Scene, settings_of
from scenarios.plan.spectra.image import recorded
from scenarios.question.options import (
    AnnularOption,
    CameraOption,
    ImageOption,
    OptionPlan,
    PatternOption,
    SegmentedOption,
    SpectrumOption,
)
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging

ElasticPlan = AnnularOption | SegmentedOption | CameraOption | ImageOption | PatternOption
"""Options that count electrons whatever they lost."""


class Reading(NamedTuple):
    """An ``option`` with its ``name``, the patterns that it ``seen`` and the ``detector`` that counts them."""

    option: OptionPlan
    name: str
    seen: Scanned
    detector: Detector


def reading_of(option: OptionPlan, scene: Scene, progress: Progress) -> Reading:
    """What ``option`` records; BadInput where it counts nothing."""
    if isinstance(option, SpectrumOption):
        if scene.question.kind == "measure":  # one spectrum of the field
            return Reading(
                option, name_of(option), scene.scan, Detector(np.zeros((option.channels, 0)), option.readout**2)
            )
        return Reading(option, name_of(option), *recorded(option, scene, progress))
    name, perfect, changed = name_of(option), scene.matrices[0], scene.matrices[1:]
    seen, detector = scene.scan, detector_of(option, perfect, scene.grid.semiangle)
    if not detector.weights.any():
        raise BadInput(f"option {name}", "counts no beam of the grid", "Give a wider ring of angles.")
    if isinstance(option, ImageOption):
        lens, *others = lenses_of(option, scene)
        seen = imaged(perfect, changed, scene.window, lens, others, scene.thicker)
    elif isinstance(option, PatternOption):
        seen = still(scene.scan, perfect, changed, scene.probe)
    return Reading(option, name, seen, detector)


def lenses_of(option: ImageOption, scene: Scene) -> tuple[Imaging, ...]:
    """The objective lens of an option, and others that it may be."""
    lens = lens_of(option, scene.grid.energy)
    return lens, *lenses_about(lens, settings_of(scene.question), len(scene.others))


def detector_of(option: ElasticPlan, matrices: Matrices, semiangle: float) -> Detector:
    """The channels of an option; angles in radian."""
    noise = option.readout**2
    if isinstance(option, AnnularOption):
        return annular(matrices, 1e-3 * option.inner_mrad, 1e-3 * option.outer_mrad, noise)
    if isinstance(option, SegmentedOption):
        outer = semiangle if option.outer_mrad is None else 1e-3 * option.outer_mrad
        return segments(matrices, 1e-3 * option.inner_mrad, outer, option.sectors, noise)
    if isinstance(option, ImageOption):
        return Detector(np.ones((1, 1)), noise)
    reach = 3.0 * semiangle if option.reach_mrad is None else 1e-3 * option.reach_mrad
    return camera(matrices, reach, 1e-3 * option.pixel_mrad, noise)


def lens_of(option: ImageOption, energy: float) -> Imaging:
    """The objective lens of an option."""
    vector = coefficients({"C10": -option.defocus, "C30": 1e7 * option.cs_mm})
    return Imaging(vector, energy, 1e-3 * option.aperture_mrad, focal_spread=option.focal_spread)


def name_of(option: OptionPlan) -> str:
    """Of the user, or by the angles."""
    if option.name or not isinstance(option, AnnularOption):
        return option.name or str(option.__struct_config__.tag)
    return f"annular {option.inner_mrad:g}-{option.outer_mrad:g} mrad"
