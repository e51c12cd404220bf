"""Images to quantities: a crystal's lattice, the Thon rings of an amorphous film. The estimators are `reconstruct.measure`'s; here are their inputs."""

import dataclasses
import math

from reconstruct.measure.lattice.estimator import measure_lattice
from reconstruct.measure.projection import project
from reconstruct.measure.thon.estimator import measure_thon
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import finite, positive
from scenarios.measure.data.crystals import orient_crystal
from scenarios.measure.data.inputs import Recording, claimed_sides, has_electrons, pixel_sides, square_pixel
from scenarios.measure.data.prepared import prepared_image
from scenarios.measure.kinds import LatticeOptions, ThonOptions
from scenarios.measure.output.comparison import Claim, FileMeasurement
from twin.optics.electrons import wavelength

MILLIMETRE, NANOMETRE = 1e7, 10.0
MAX_FREQUENCY = 0.45
"""Cycles a pixel up to which Thon rings are looked at."""


def lattice(recording: Recording, options: LatticeOptions, progress: Progress) -> FileMeasurement:
    """Pixel sizes, shear and rotation of an image of a known crystal."""
    data = prepared_image(recording, 32)
    nominal = math.sqrt(math.prod(pixel_sides(recording, options.pixel)))
    claimed = claimed_sides(recording)
    atoms = orient_crystal(recording, options.structure, options.zone, options.x)
    hum = None
    if options.mains is not None:
        mains = positive("--mains-hz", options.mains)
        dwell = recording.claim("dwell")
        if dwell is None:
            raise BadInput("--mains-hz", f"{recording.path} does not say its dwell time", "Leave --mains-hz out.")
        hum = recording.add_setting(
            "cycles of the mains in a pixel", recording.preparation.bin * dwell * mains, "1", "--mains-hz"
        )
    spread = recording.add_setting(
        "error of the pixel", positive("--pixel-error-percent", options.pixel_error) / 100, "1", "--pixel-error-percent"
    )
    askew = positive("--skew-percent", options.skew) / 100
    progress.stage("following the lattice")
    try:
        measurement = measure_lattice(data, project(atoms), nominal, spread, askew, hum)
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error
    claims = ()
    if claimed is not None:
        names = ("pixel_x", "pixel_y")
        claims = tuple(Claim(n, side, f"a pixel along {n[-1]}") for n, side in zip(names, claimed, strict=True))
    return FileMeasurement("lattice", (recording,), measurement, claims)


def thon(recording: Recording, options: ThonOptions, progress: Progress) -> FileMeasurement:
    """Defocus and astigmatism of an image of an amorphous film, by its rings."""
    data = prepared_image(recording, 64)
    side = square_pixel(recording, options.pixel, 0.01)
    energy = recording.beam_energy(options.energy)
    spherical = options.spherical
    names = (f"scenario.beam.aberrations.{name}" for name in ("C30", "C3"))
    file_c30 = next((value for value in map(recording.provenance, names) if value is not None), None)
    if spherical is None and not isinstance(file_c30, (int, float)) and recording.provenance("scenario.name") is None:
        problem = "does not say the spherical aberration of its lens"
        raise BadInput(str(recording.path), problem, "Add --cs-mm (0 for a corrected one).")
    if spherical is not None:
        c30 = recording.add_setting("C30", finite("--cs-mm", spherical) * MILLIMETRE, "angstrom", "--cs-mm")
    else:
        c30 = recording.add_setting(
            "C30", float(file_c30) if isinstance(file_c30, (int, float)) else 0.0, "angstrom", "the file"
        )
    span = positive("--span-nm", options.span)
    astigmatism = positive("--astigmatism-nm", options.astigmatism)
    focal_spread = positive("--focal-spread-angstrom", options.focal_spread, zero=True)
    # the first ring of the largest defocus must lie within the frequencies that are used
    if wavelength(energy) * (MAX_FREQUENCY / side) ** 2 * span * NANOMETRE < 1.0:
        problem = f"has pixels of {side:.3g} angstrom, too large for rings of {span:g} nm defocus"
        raise BadInput(str(recording.path), problem, "Record it at a higher magnification, or raise --span-nm.")
    progress.stage("fitting rings")
    try:
        measurement = measure_thon(
            data, side, energy, c30, span * NANOMETRE, astigmatism * NANOMETRE, focal_spread=focal_spread
        )
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error
    if not has_electrons(recording):
        measurement = dataclasses.replace(measurement, electrons=math.nan)
    return FileMeasurement("thon", (recording,), measurement)
