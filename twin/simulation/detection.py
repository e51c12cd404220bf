"""Detectors and camera of a simulation, made and checked against what the grid carries."""

import functools
import itertools
import math

import numpy as np

from twin.detection.camera import Camera
from twin.detection.detectors import Annular, Segmented, check_angles
from twin.detection.pixelated import Pixelated
from twin.detection.transfer import Mixture
from twin.errors import BadInput, from_twin
from twin.grid import CUTOFF, TAPER
from twin.optics.electrons import wavelength
from twin.scattering.stem.beams import Response
from twin.simulation.plan.tables import AnnularPlan, EdgeMapPlan, PixelatedPlan, SegmentedPlan, Simulation


def responses_of(plan: Simulation, extent: tuple[float, float]) -> tuple[tuple[str, ...], tuple[Response, ...]]:
    """Names of a STEM image's channels, and the weights of the beams in each as functions of (kx, ky) in 1/angstrom."""
    if plan.signal != "stem":
        return (), ()
    length = wavelength(plan.beam.energy_keV * 1e3)
    step = length * 0.5 * (1.0 / extent[0] + 1.0 / extent[1])
    names: list[str] = []
    responses: list[Response] = []
    for name, detector in plan.detectors.items():
        try:
            if isinstance(detector, AnnularPlan):
                offset = (1e-3 * detector.offset_mrad[0], 1e-3 * detector.offset_mrad[1])
                # a hole narrower than a step would be no hole
                ring = Annular(
                    1e-3 * detector.inner_mrad,
                    1e-3 * detector.outer_mrad,
                    step if detector.inner_mrad > 0.0 else 0.0,
                    offset=offset,
                )
                responses.append(functools.partial(_weight, ring, length, None))
                names.append(name)
            elif isinstance(detector, SegmentedPlan):
                cut = Segmented(
                    tuple(1e-3 * radius for radius in detector.radii_mrad), detector.sectors, detector.rotation, step,
                    1e-3 * detector.gap_mrad, offset=(1e-3 * detector.offset_mrad[0], 1e-3 * detector.offset_mrad[1]),
                )  # fmt: skip
                for ring_, sector in itertools.product(range(len(detector.radii_mrad) - 1), range(detector.sectors)):
                    responses.append(functools.partial(_weight, cut, length, ring_ * detector.sectors + sector))
                    names.append(f"{name} {ring_ + 1}.{sector + 1}")
        except ValueError as error:
            raise from_twin(f"detectors.{name}", error, "Change its angles.") from None
    return tuple(names), tuple(responses)


def _weight(
    detector: Annular | Segmented, length: float, segment: int | None, kx: np.ndarray, ky: np.ndarray
) -> np.ndarray:
    weights = np.asarray(detector.weights(kx, ky, length))
    return weights if segment is None else weights.reshape(-1, *weights.shape[-2:])[segment]


def camera_pixels(
    plan: Simulation, gpts: tuple[int, int], extent: tuple[float, float]
) -> tuple[Pixelated | None, float | None]:
    """The camera of a pattern, or the angle up to which the beams themselves are kept."""
    for name, detector in plan.detectors.items():
        if not isinstance(detector, PixelatedPlan):
            continue
        if detector.reach_mrad is not None:
            length = wavelength(plan.beam.energy_keV * 1e3)
            band, step = CUTOFF * 0.5 * length * min(gpts[1] / extent[0], gpts[0] / extent[1]), length / min(extent)
            if 1e-3 * detector.reach_mrad < step:
                raise BadInput(
                    f"detectors.{name}.reach_mrad",
                    f"{detector.reach_mrad:g} mrad holds the direct beam alone: beams are {1e3 * step:.3g} mrad apart",
                    "Ask for more.",
                )
            if 1e-3 * detector.reach_mrad > band:
                raise BadInput(
                    f"detectors.{name}.reach_mrad",
                    f"the grid carries {1e3 * band:.1f} mrad",
                    "Ask for less, or sample more finely.",
                )
            return None, 1e-3 * detector.reach_mrad
        if detector.shape is not None and detector.pixel_mrad is not None:
            offset = (1e-3 * detector.offset_mrad[0], 1e-3 * detector.offset_mrad[1])
            spread = (1e-6, 1e-6) if plan.signal == "diffraction" and plan.lens is None else None
            return Pixelated(detector.shape, 1e-3 * detector.pixel_mrad, offset, detector.rotation, spread), None
    return None, None


def check_angles_of(
    plan: Simulation, pixels: Pixelated | None, gpts: tuple[int, int], extent: tuple[float, float]
) -> None:
    """BadInput for a detector that reaches beyond what the grid carries."""
    length = wavelength(plan.beam.energy_keV * 1e3)
    for name, detector in plan.detectors.items():
        if isinstance(detector, PixelatedPlan):
            continue
        offset = (0.0, 0.0)
        if isinstance(detector, EdgeMapPlan):
            key, outer = "collection_mrad", detector.collection_mrad
        elif isinstance(detector, AnnularPlan):
            key, outer, offset = "outer_mrad", detector.outer_mrad, detector.offset_mrad
        else:
            key, outer, offset = "radii_mrad", max(detector.radii_mrad), detector.offset_mrad
        try:
            check_angles(1e-3 * outer, gpts, extent, length, (1e-3 * offset[0], 1e-3 * offset[1]))
        except ValueError as error:
            raise from_twin(f"detectors.{name}.{key}", error, "Sample more finely.") from None
    if pixels is not None:
        camera = next(name for name, detector in plan.detectors.items() if isinstance(detector, PixelatedPlan))
        carried = (CUTOFF - TAPER) * 0.5 * length * min(gpts[1] / extent[0], gpts[0] / extent[1])
        side = 0.5 * max(pixels.shape) * pixels.pixel
        if side + max(abs(float(shift)) for shift in pixels.offset) > 2.0 * carried:
            raise BadInput(
                f"detectors.{camera}.pixel_mrad",
                f"{max(pixels.shape)} pixels of {1e3 * pixels.pixel:g} mrad reach {1e3 * side:.3g} mrad, and the grid carries {1e3 * carried:.3g}",
                "Use smaller pixels or fewer, or sample more finely ([grid] sampling).",
            )  # fmt: skip


def check_damped(plan: Simulation, reach: float) -> None:
    """BadInput for signals at high angles from a potential that thermal motion only damps: the diffuse scattering they consist of is not in it."""
    if plan.specimen.thermal == "none" or plan.beam.semiangle_mrad is None or plan.signal != "stem":
        return
    limit = 2.0 * plan.beam.semiangle_mrad
    for name, detector in plan.detectors.items():
        outer = (
            detector.outer_mrad if isinstance(detector, AnnularPlan) else max(getattr(detector, "radii_mrad", [0.0]))
        )
        if outer > limit:
            raise BadInput(
                f"detectors.{name}",
                f"reaches {outer:g} mrad, where signals are diffuse scattering, and thermal = {plan.specimen.thermal!r} leaves that out",
                f"Give [specimen.phonons] instead of thermal, or stay within {limit:g} mrad (twice the convergence).",
            )


def camera_of(plan: Simulation) -> Camera | None:
    """The camera that makes counts, or None where electrons themselves are counted."""
    camera = plan.camera
    if camera is None:
        return None
    terms = tuple(camera.gaussians), tuple(camera.lorentzians)
    mtf = Mixture(*terms, camera.floor) if any(terms) or camera.floor > 0.0 else Mixture(floor=1.0)
    try:
        return Camera(
            mtf, None, camera.efficiency, camera.gain, None, camera.dark, camera.dark_noise, camera.readout,
            math.inf if camera.saturation is None else camera.saturation,
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("camera", error, "Change [camera].") from None
