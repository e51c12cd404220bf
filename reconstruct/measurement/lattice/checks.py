"""Tests of a lattice fit against what it was not free to absorb."""

import numpy as np

from reconstruct.measurement.lattice.indexing import MATCH_BINS, PRIOR_SPREADS, Indexing, match_spots
from reconstruct.measurement.lattice.spots import MIN_POWER_SHARE, Spots
from reconstruct.measurement.outcome import FitCheck

MAX_UNEXPLAINED = 0.08
"""Share of the spots' power that may lie at no reflection."""
MIN_PRESENT = 0.4
"""Share of the image in which the lattice must be seen."""


def structure_checks(
    reading: Indexing | None,
    likeness: float,
    spots: Spots,
    shape: tuple[int, int],
    claimed: float,
    spread: float,
    beyond: float | None,
) -> tuple[FitCheck, ...]:
    """Whether the likeliest ``reading`` explains the spots; None: there is none within the prior. ``beyond``: the pixel in angstrom outside the prior with
    which the structure would fit, if there is one."""
    if beyond is not None:
        cure = (
            f"; with pixels of {beyond:.4g} angstrom it would, {abs(np.log(beyond / claimed)) / spread:.0f} standard deviations from the "
            "stated pixel: state that one or a larger error of the pixel if this may be"
        )
    else:
        cure = "; check structure, zone axis and stated pixel"
    if reading is None:
        finding = (
            "no pair of the structure's reflections has the ratio and angle of the two strongest rows of spots "
            f"with pixels within {100 * PRIOR_SPREADS * spread:.0f} % of {claimed:g} angstrom{cure}"
        )
        return (FitCheck("share of the spots' power at no reflection", 1.0, MAX_UNEXPLAINED, finding),)
    other = _other_spots(spots, reading, shape)
    where = "" if other is None else f", the strongest of them of a period of {other:.3g} pixels"
    share = 100.0 * (1.0 - reading.explained)
    unexplained = (
        f"{share:.0f} % of the spots' power is at no reflection of the structure{where}: another structure or zone axis, "
        f"or a second set of spots (another grain or layer, a moire){cure}, or measure a part with one lattice"
    )
    unlike = (
        f"the amplitudes of the spots are {100 * reading.likeness:.0f} % like those of the structure's reflections: another structure or zone axis, "
        f"or an image that does not show its columns{cure}"
    )
    return (
        FitCheck("share of the spots' power at no reflection", 1.0 - reading.explained, MAX_UNEXPLAINED, unexplained),
        FitCheck("unlikeness of the amplitudes", 1.0 - reading.likeness, 1.0 - likeness, unlike),
    )


def region_check(present: float) -> FitCheck:
    """Whether the lattice is seen in most of the image: ``present`` is the share."""
    finding = (
        f"the lattice is seen in {100 * present:.0f} % of the image only: vacuum, another grain, or another lattice that this one is a part of; "
        "measure the part that shows it"
    )
    return FitCheck("share of the image without the lattice", 1.0 - present, 1.0 - MIN_PRESENT, finding)


def _other_spots(spots: Spots, reading: Indexing, shape: tuple[int, int]) -> float | None:
    """Period in pixels of the strongest spot that is at no reflection."""
    _, _, distance = match_spots(spots, reading.lattice, shape)
    other = (distance >= MATCH_BINS) & (spots.powers > MIN_POWER_SHARE * spots.powers[0])
    return float(1.0 / np.hypot(*spots.frequencies[other][0])) if other.any() else None
