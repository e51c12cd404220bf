"""Images to quantities: a crystal's lattice, the Thon rings of an amorphous film. The estimators are `reconstruct.measure`'s; here are their inputs."""

import dataclasses
import math

from reconstruct.measure.lattice.estimator import measure_lattice
from reconstruct.measure.projection import projected
from reconstruct.measure.thon.estimator import measure_thon
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import above, finite
from scenarios.measure.data.crystals import oriented
from scenarios.measure.data.inputs import Given, claimed_sides, counted, sides, square
from scenarios.measure.data.prepared import image
from scenarios.measure.kinds import LatticeOptions, ThonOptions
from scenarios.measure.output.comparison import Claim, Found
from twin.optics.electrons import wavelength

MILLIMETRE, NANOMETRE = 1e7, 10.0
HIGHEST = 0.45
"""Cycles a pixel up to which Thon rings are looked at."""


def lattice(given: Given, options: LatticeOptions, progress: Progress) -> Found:
    """Pixel sizes, shear and rotation of an image of a known crystal."""
    data = image(given, 32)
    about = math.sqrt(math.prod(sides(given, options.pixel)))
    claimed = claimed_sides(given)
    atoms = oriented(given, options.structure, options.zone, options.x)
    hum = None
    if options.mains is not None:
        mains = above("--mains-hz", options.mains)
        dwell = given.claim("dwell")
        if dwell is None:
            raise BadInput("--mains-hz", f"{given.path} does not say its dwell time", "Leave --mains-hz out.")
        hum = given.settle("cycles of the mains in a pixel", given.how.bin * dwell * mains, "1", "--mains-hz")
    spread = given.settle(
        "error of the pixel", above("--pixel-error-percent", options.pixel_error) / 100, "1", "--pixel-error-percent"
    )
    askew = above("--skew-percent", options.skew) / 100
    progress.stage("following the lattice")
    try:
        found = measure_lattice(data, projected(atoms), about, spread, askew, hum)
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    claims = ()
    if claimed is not None:
        names = ("pixel_x", "pixel_y")
        claims = tuple(Claim(n, side, f"a pixel along {n[-1]}") for n, side in zip(names, claimed, strict=True))
    return Found("lattice", (given,), found, claims)


def thon(given: Given, options: ThonOptions, progress: Progress) -> Found:
    """Defocus and astigmatism of an image of an amorphous film, by its rings."""
    data = image(given, 64)
    side = square(given, options.pixel, 0.01)
    volts = given.volts(options.energy)
    spherical = options.spherical
    names = (f"scenario.beam.aberrations.{name}" for name in ("C30", "C3"))
    own = next((value for value in map(given.own, names) if value is not None), None)
    if spherical is None and not isinstance(own, (int, float)) and given.own("scenario.name") is None:
        problem = "does not say the spherical aberration of its lens"
        raise BadInput(str(given.path), problem, "Add --cs-mm (0 for a corrected one).")
    if spherical is not None:
        c30 = given.settle("C30", finite("--cs-mm", spherical) * MILLIMETRE, "angstrom", "--cs-mm")
    else:
        c30 = given.settle("C30", float(own) if isinstance(own, (int, float)) else 0.0, "angstrom", "the file")
    span = above("--span-nm", options.span)
    astigmatism = above("--astigmatism-nm", options.astigmatism)
    focal_spread = above("--focal-spread-angstrom", options.focal_spread, zero=True)
    # the first ring of the largest defocus must lie within the frequencies that are used
    if wavelength(volts) * (HIGHEST / side) ** 2 * span * NANOMETRE < 1.0:
        problem = f"has pixels of {side:.3g} angstrom, too large for rings of {span:g} nm defocus"
        raise BadInput(str(given.path), problem, "Record it at a higher magnification, or raise --span-nm.")
    progress.stage("fitting rings")
    try:
        found = measure_thon(
            data, side, volts, c30, span * NANOMETRE, astigmatism * NANOMETRE, focal_spread=focal_spread
        )
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    if not counted(given):
        found = dataclasses.replace(found, electrons=math.nan)
    return Found("thon", (given,), found)
