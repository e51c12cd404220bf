"""HAADF images of a known crystal -> defocus, astigmatism, source, detector scale, scan distortion and drift.

The lattice is followed with its wander (`lattice`), which gives the map from pixels to the crystal; at the places found, the mean unit cell is fitted by
the twin's (`haadf_model`) under the counting likelihood, with what the twin gets wrong marginalised (`haadf_error`). A probe without spherical
aberration in a thin crystal makes the same image at C10, C12 and at -C10, -C12: all maxima are kept, weighted by their evidence (`haadf_sample`).
Images at known changes of defocus are fitted together, and tell the signs apart.
"""

import dataclasses

import numpy as np
from jaxtyping import Shaped

from reconstruct.measure.haadf.cell import mean_cell
from reconstruct.measure.haadf.fit import Problem
from reconstruct.measure.haadf.model_error import ModelError
from reconstruct.measure.haadf.prior import Before, nominal_counts
from reconstruct.measure.haadf.report import pictures, told, unknown
from reconstruct.measure.haadf.sampling import sampled
from reconstruct.measure.haadf.scan import as_seen, geometry, usable
from reconstruct.measure.haadf.search import climbed
from reconstruct.measure.measurement import Measurement
from reconstruct.measure.projection import Projection
from twin import checks
from twin.detection.scan import electrons_per_pixel
from twin.image.microscope import Calibration
from twin.records import Scan
from twin.scattering.gram.model import GramModel

__all__ = ["Before", "ModelError", "measure_haadf"]

SURE = 0.3
"""Relative error of the gain from which the noise itself says what it is."""

BEHIND = "the crystal is seen from behind, or the image is mirrored: give model and structure as the beam meets them"


def measure_haadf(
    images: Shaped[np.ndarray, "..."],
    model: GramModel,
    crystal: Projection,
    scan: Scan,
    calibration: Calibration,
    before: Before | None = None,
    *,
    offsets: tuple[float, ...] = (0.0,),
    error: ModelError | None = None,
    saturation: float = np.inf,
    hum: float | None = None,
    seed: int = 0,
) -> Measurement:
    """Defocus C10, astigmatism C12a, C12b (angstrom, axes of the scan), source (rms angstrom), detector scale and black level (counts), thickness, and of the
    first image pixels, shear, rotation (see `measure_lattice`) and drift (angstrom per second, axes of the scan; of the probe over the crystal).

    ``images`` [ny, nx], or [k, ny, nx] at known changes ``offsets`` (angstrom) of C10, in counts, NaN where a pixel is not to be used; all by the same
    ``scan`` and detector (``calibration``: its gain, black and readout). ``model`` and ``crystal`` are of the same unit cell (`build_gram`, `projected`).
    ``before`` is what was known (`Before`), ``error`` what the model gets wrong (`ModelError`), ``saturation`` the count at which the detector is full,
    ``hum`` the mains' frequency in cycles per pixel (see `measure_lattice`), ``seed`` that of the sampler.
    What the images do not narrow to half of what was known is undetermined, and as wide as before. ValueError for images, priors and cells that cannot be.
    """
    checks.require_float64()
    before, error = before or Before(), error or ModelError()
    stack, good = usable(images, model, crystal, scan, offsets, saturation)
    mean, sd = before.prior(model, len(stack))
    black = float(calibration.black)
    above = np.where(good.known, stack - black, 0.0)
    electrons = float(above.sum() / calibration.gain)
    why = next((one for one in good.poor if one is not None), None)
    if why is not None:
        return unknown(mean, sd, geometry(None, crystal, scan, before, why), why, black, electrons)
    pairs = [as_seen(one, known, crystal, scan, before, hum) for one, known in zip(stack, good.known, strict=True)]
    followed = geometry(pairs[0][0], crystal, scan, before)
    data, angles = [], []
    for image, known, (seen, placed) in zip(above, good.known, pairs, strict=True):
        if placed is None:
            why = next(iter(seen.undetermined.values()), BEHIND)
            return unknown(mean, sd, followed, why, black, electrons)
        sure = before.gain < SURE
        data.append(
            mean_cell(image, known, placed.places, model.g, model.cell, calibration.gain, calibration.readout, sure)
        )
        angles.append(placed.angle)
    nominal = nominal_counts(calibration, electrons_per_pixel(scan))
    problem = Problem(model, data, offsets, angles, mean, sd, before.fixed(), nominal, error)
    tops = climbed(problem)
    drawn = sampled(
        problem.cost, np.array([one.place for one in tops]), np.array([one.covariance for one in tops]),
        np.array([one.evidence for one in tops]), np.random.default_rng(seed),
    )  # fmt: skip
    shown = pictures(problem, stack, good.known, tops[0].place[:-1], drawn, black, scan.pixel)
    return dataclasses.replace(told(problem, tops[0].place[:-1], drawn, followed, black, electrons), shown=shown)
