"""HAADF images of a known crystal to optics, scan and detector: the crystal's Gram model for the detector, then `reconstruct.measure.haadf.estimator`."""

import math
from typing import TYPE_CHECKING

import numpy as np

from reconstruct.measure.haadf.estimator import Before, measure_haadf
from reconstruct.measure.haadf.prior import ABERRATIONS
from reconstruct.measure.preparation import by
from reconstruct.measure.projection import projected
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import above, finite, pair, within
from scenarios.measure.data.crystals import oriented, symmetry
from scenarios.measure.data.inputs import Given, claimed_sides, square
from scenarios.measure.data.prepared import image, need_electrons
from scenarios.measure.data.several import c10_changes
from scenarios.measure.kinds import HaadfOptions
from scenarios.measure.output.comparison import Claim, Found
from twin.detection.scan import ELEMENTARY_CHARGE
from twin.image.microscope import Calibration
from twin.optics.electrons import wavelength
from twin.records import Scan
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel

if TYPE_CHECKING:
    from ase import Atoms

DEPTHS = 7
"""Thicknesses at which a model is made, at most."""
ACROSS = 11.5
"""Side in angstrom that the crystal of the model has at least, so that probes of some nanometres of defocus fit."""
SAMPLING = 0.12
"""Angstrom between points of the model's waves, at most."""
NO_TIME = 1e-5
"""Dwell in seconds taken for a simulated scan, which took none."""


def haadf(given: tuple[Given, ...], wish: HaadfOptions, progress: Progress) -> Found:
    """C10, astigmatism, source, detector, thickness, map and drift; several files are of one scan and detector."""
    first = given[0]
    for one in given:
        _one_scan(one)
    stack = np.stack([_alike(image(one, 32, levels=False), one, first) for one in given])
    offsets = c10_changes(given, wish)
    atoms = oriented(first, wish.structure, wish.zone, wish.x)
    side = square(first, wish.pixel, 0.03)
    volts, alpha = first.volts(wish.energy), first.semiangle(wish.semiangle)
    detector = _detector(first, wish.detector)
    depth = first.need("thickness", "--thickness-nm", wish.thickness, first.claim("thickness"))
    wide = 10.0 * above("--thickness-error-nm", wish.thickness_error)
    scan = _scan(first, wish, stack.shape[1:], side)
    # the fit has dark level and gain of its own
    need_electrons(first)
    gain, black = wish.gain or 1.0, wish.black or 0.0
    if wish.gain is not None:
        first.settle("counts per electron", gain, "1", "--gain")
    if black:
        first.settle("counts without a beam", black, "count", "--black")
    calibration = Calibration(energy=volts, gain=gain, black=black, readout=above("--readout", wish.readout, zero=True))
    before = Before(
        aberrations=_aberrations(wish),
        thickness=(depth, wide),
        source=_source(first, wish),
        gain=above("--gain-error-percent", wish.gain_error) / 100.0,
        black=above("--black-error", wish.black_error),
    )
    model = _model(atoms, depth, wide, volts, alpha, detector, progress)
    progress.stage("fitting the unit cell")
    try:
        found = measure_haadf(
            stack if len(stack) > 1 else stack[0], model, projected(atoms), scan, calibration, before, offsets=offsets, seed=wish.seed
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(str(first.path), error, "") from error
    claimed = claimed_sides(first)
    claims = () if claimed is None else tuple(
        Claim(f"pixel_{axis}", value, f"a pixel along {axis}") for axis, value in zip("xy", claimed, strict=True)
    )  # fmt: skip
    return Found("haadf", given, found, claims)


def _one_scan(given: Given) -> None:
    """BadInput for sums of frames or pixels: the fit follows the probe along the lines of one scan."""
    if given.how.bin > 1:
        raise BadInput(
            f"--bin {given.how.bin}", "the fit follows each pixel of a scan as it was recorded", "Leave --bin out."
        )
    if any(isinstance(one, slice) for one in given.how.frame):
        problem = "is a sum, and the fit follows the drift of one scan"
        raise BadInput(f"--frame {given.data.frame}", problem, "Choose one frame, or give several files.")


def _alike(data: np.ndarray, one: Given, first: Given) -> np.ndarray:
    shape = tuple(axis.size for axis in first.axes)
    if data.shape != shape:
        problem = f"has {by(data.shape)} pixels, {first.path} {by(shape)}"
        raise BadInput(str(one.path), problem, "Give images of one scan.")
    return data


def _detector(given: Given, asked: str | None) -> tuple[float, float]:
    """Inner and outer angle in radian."""
    label = given.data.frame
    if label is not None and label.isdecimal():
        labels = given.signal.axes[0].labels
        label = labels[int(label)] if int(label) < len(labels) else None
    own = [given.own(f"scenario.detectors.{label}.{name}") for name in ("inner_mrad", "outer_mrad")]
    if asked is not None:
        inner, outer = pair("--detector-mrad", asked)
    elif all(isinstance(one, (int, float)) for one in own):
        inner, outer = (float(one) for one in own)
    else:
        problem = "does not say which angles its detector takes in"
        raise BadInput(str(given.path), problem, "Add --detector-mrad INNER,OUTER.")
    within("--detector-mrad", outer)
    if not 0.0 < inner < outer:
        raise BadInput(f"--detector-mrad {inner:g},{outer:g}", "is no ring", "Give inner and outer angle, in mrad.")
    given.settle("detector", f"{inner:g} to {outer:g} mrad", "", "the file" if asked is None else "--detector-mrad")
    return 1e-3 * inner, 1e-3 * outer


def _scan(given: Given, wish: HaadfOptions, shape: tuple[int, ...], side: float) -> Scan:
    simulated = given.own("scenario.name") is not None
    dwell = given.maybe("dwell", "--dwell-us", wish.dwell, given.claim("dwell"))
    if dwell is None and not simulated:
        raise BadInput(str(given.path), "does not say its dwell time", "Add --dwell-us.")
    if dwell is None:
        dwell = given.settle("dwell", NO_TIME, "second", "taken: a simulated scan takes no time")
    own = given.own("scenario.dose.per_area")
    each = given.own("scenario.dose.electrons")
    if isinstance(each, (int, float)):
        own = float(each) / side**2
    dose = float(own) if isinstance(own, (int, float)) else None
    if wish.current is not None and wish.dose is not None:
        raise BadInput("--current-pA", "says the dose that --dose says, too", "Give one of them.")
    if wish.current is not None:
        dose = 1e-12 * above("--current-pA", wish.current) * dwell / ELEMENTARY_CHARGE / side**2
    used = given.maybe("electrons per square angstrom", "--dose", wish.dose, dose)
    if used is None:
        raise BadInput(str(given.path), "does not say its dose", "Add --dose (electrons per Å²) or --current-pA.")
    # between two lines of a part the probe scans what is left of the whole lines, too
    outside = given.signal.axes[-1].size - shape[1]
    flyback = 1e-6 * above("--flyback-us", wish.flyback, zero=True) + outside * dwell
    return Scan(shape=(shape[0], shape[1]), pixel=side, dwell=dwell, flyback=flyback, dose=used)


def _aberrations(wish: HaadfOptions) -> dict[str, tuple[float, float]]:
    c10 = (10.0 * finite("--c10-nm", wish.c10), 10.0 * above("--c10-error-nm", wish.c10_error))
    known = {"C10": c10}
    if wish.spherical is not None:
        known["C30"] = (1e7 * finite("--cs-mm", wish.spherical), ABERRATIONS["C30"][1])
    return known


def _source(given: Given, wish: HaadfOptions) -> tuple[float, float]:
    own = given.own("scenario.beam.source")
    known = float(own) if isinstance(own, (int, float)) and own > 0 else None
    used = given.maybe("source", "--source-angstrom", wish.source, known)
    return Before().source if used is None else (used, 0.3 * used)


def _model(
    atoms: "Atoms",
    depth: float,
    wide: float,
    energy: float,
    semiangle: float,
    detector: tuple[float, float],
    progress: Progress,
) -> GramModel:
    """The Gram model of the crystal for all thicknesses within three errors of ``depth``."""
    width, height, period = (float(one) for one in np.diag(np.asarray(atoms.cell.array)))
    low = max(1, math.floor((depth - 3.0 * wide) / period))
    high = max(low + 1, math.ceil((depth + 3.0 * wide) / period))
    depths = tuple(sorted({round(one) for one in np.linspace(low, high, min(DEPTHS, high - low + 1))}))
    repeats = (max(2, math.ceil(ACROSS / width)), max(2, math.ceil(ACROSS / height)))
    longest = max(repeats[0] * width, repeats[1] * height)
    carried = 3.1 * max(detector[1], semiangle) * longest / wavelength(energy)
    points = 2 * math.ceil(0.5 * max(carried, longest / SAMPLING) + 2.0)
    try:
        return build_gram(
            atoms, repeats, high, depths, tilt_step=0.0, seeds=(0, 1, 2, 3), untilted_seeds=(), energy=energy, semiangle=semiangle,
            detector=detector, gpts=points, slices_per_cell=max(1, round(period / 2.0)), symmetry=symmetry(atoms),
            degree=min(3, len(depths) - 1), progress=progress.stage,
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("--structure", error, "") from error
