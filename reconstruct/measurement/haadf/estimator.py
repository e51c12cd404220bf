"""HAADF images of a known crystal -> defocus, astigmatism, source, detector scale, scan distortion and drift.

The lattice is tracked with its scan distortion (`lattice`), which maps pixels to the crystal; at these positions the mean unit cell is fitted by
the forward model (`haadf.model`) under the counting likelihood, with the model's error marginalised (`haadf.model_error`). A probe without spherical
aberration in a thin crystal makes the same image at C10, C12 and at -C10, -C12: all maxima are kept, weighted by their evidence (`haadf.sampling`).
Images at known changes of defocus are fitted together, and determine the sign.
"""

import dataclasses

import numpy as np
from jaxtyping import Shaped

from reconstruct.measurement.haadf.cell import mean_cell
from reconstruct.measurement.haadf.fit import Problem
from reconstruct.measurement.haadf.model_error import ModelError
from reconstruct.measurement.haadf.prior import HaadfPrior, nominal_counts
from reconstruct.measurement.haadf.report import make_plots, prior_only, report
from reconstruct.measurement.haadf.sampling import importance_sample
from reconstruct.measurement.haadf.scan import geometry, locate_pixels, too_small, usable_pixels
from reconstruct.measurement.haadf.search import find_maxima
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.projection import Projection
from twin import checks
from twin.detection.scan import electrons_per_pixel
from twin.image.microscope import Calibration
from twin.records import Scan
from twin.scattering.gram.model import GramModel

__all__ = ["HaadfPrior", "ModelError", "measure_haadf"]

KNOWN_GAIN_ERROR = 0.3
"""Relative error of the gain from which the noise itself says what it is."""

REVERSED_CRYSTAL = (
    "the crystal is seen from behind, or the image is mirrored: give model and structure as the beam meets them"
)


def measure_haadf(
    images: Shaped[np.ndarray, "..."],
    model: GramModel,
    crystal: Projection,
    scan: Scan,
    calibration: Calibration,
    prior: HaadfPrior | None = None,
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
    ``scan`` and detector (``calibration``: its gain, black and readout). ``model`` and ``crystal`` are of the same unit cell (`build_gram`, `project`).
    ``prior`` is what is known (`HaadfPrior`), ``error`` the model's error (`ModelError`), ``saturation`` the count at which the detector is full,
    ``hum`` the mains' frequency in cycles per pixel (see `measure_lattice`), ``seed`` that of the sampler.
    What the images do not narrow to half of what was known is undetermined, and as wide as before. ValueError for images, priors and cells that cannot be.
    """
    checks.require_float64()
    prior, error = prior or HaadfPrior(), error or ModelError()
    stack, usable = usable_pixels(images, model, crystal, scan, offsets, saturation)
    mean, sd = prior.mean_and_std(model, len(stack))
    black = float(calibration.black)
    signal = np.where(usable.known, stack - black, 0.0)
    electrons = float(signal.sum() / calibration.gain)
    reason = next((rejection for rejection in usable.rejections if rejection is not None), None)
    if reason is not None:
        return prior_only(mean, sd, geometry(None, crystal, scan, prior, reason), reason, black, electrons)
    located = [
        locate_pixels(image, known, crystal, scan, prior, hum) for image, known in zip(stack, usable.known, strict=True)
    ]
    scan_geometry = geometry(located[0][0], crystal, scan, prior)
    data, angles = [], []
    for image, known, (lattice, pixel_map) in zip(signal, usable.known, located, strict=True):
        if pixel_map is None:
            reason = too_small(crystal, scan) or next(iter(lattice.undetermined.values()), REVERSED_CRYSTAL)
            return prior_only(mean, sd, scan_geometry, reason, black, electrons)
        gain_known = prior.gain < KNOWN_GAIN_ERROR
        data.append(
            mean_cell(
                image,
                known,
                pixel_map.positions,
                model.g,
                model.cell,
                calibration.gain,
                calibration.readout,
                gain_known,
            )
        )
        angles.append(pixel_map.angle)
    # differences from cell to cell are errors of the mean cell, too
    scatter = max(cell.scatter for cell in data)
    error = dataclasses.replace(error, relative=float(np.hypot(error.relative, scatter)))
    nominal = nominal_counts(calibration, electrons_per_pixel(scan))
    problem = Problem(model, data, offsets, angles, mean, sd, prior.fixed_aberrations(), nominal, error)
    maxima = find_maxima(problem)
    samples = importance_sample(
        problem.cost, np.array([maximum.position for maximum in maxima]), np.array([maximum.covariance for maximum in maxima]),
        np.array([maximum.evidence for maximum in maxima]), np.random.default_rng(seed),
    )  # fmt: skip
    plots = make_plots(problem, stack, usable.known, maxima[0].position[:-1], samples, black, scan.pixel)
    return dataclasses.replace(
        report(problem, maxima[0].position[:-1], samples, scan_geometry, calibration, electrons), plots=plots
    )
