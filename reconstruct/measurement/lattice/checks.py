"""Tests of a lattice fit against what it was not free to absorb."""

import numpy as np

from reconstruct.measurement.lattice.fit import Fit
from reconstruct.measurement.lattice.indexing import MATCH_BINS, PRIOR_SPREADS, Indexing, match_spots
from reconstruct.measurement.lattice.spots import MIN_POWER_SHARE, Spots
from reconstruct.measurement.outcome import FitCheck

MAX_UNEXPLAINED = 0.08
"""Share of the spots' power that may lie at no reflection."""
MIN_AMPLITUDE, MAX_UNPREDICTED = 0.35, 0.2
"""Amplitude of a block, relative to what the series predicts, below which it is not predicted; share of the blocks that may be so."""
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


def block_check(fit: Fit, columns: int) -> FitCheck:
    """Whether the series, of which any block is a small part, predicts the blocks of an image that is ``columns`` pixels wide: the share of blocks in which the
    lattice has less than `MIN_AMPLITUDE` of its amplitude where the series has it."""
    amplitudes, errors = block_amplitudes(fit, columns)
    tested = errors < 0.3 * MIN_AMPLITUDE
    share = float((amplitudes[tested] < MIN_AMPLITUDE).mean()) if tested.any() else 0.0
    finding = (
        f"in {100 * share:.0f} % of the image the lattice is not where the rest of it puts it, or is faint: a jump of the specimen, a grain of nearly the same "
        "orientation, a bent or contaminated region; measure a part without it"
    )
    return FitCheck("share of blocks that the rest does not predict", share, MAX_UNPREDICTED, finding)


def block_amplitudes(fit: Fit, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Amplitude [n] of the lattice relative to the series in blocks of two periods, and its standard error; blocks that are not known left out."""
    ny, nx = fit.data.shape
    rows, across = max(2, round(2.0 * fit.period)), max(2, round(2.0 * fit.period * nx / columns))
    cut = np.s_[: ny // rows * rows, : nx // across * across]
    known = np.isfinite(fit.data[cut])
    weight = known / (fit.variance[cut] * fit.correlated)
    lattice = (fit.series.model - fit.series.background)[cut]
    deviation = np.where(known, fit.data[cut], 0.0) - fit.series.background[cut]

    def summed(values: np.ndarray) -> np.ndarray:
        return values.reshape(ny // rows, rows, nx // across, across).sum(axis=(1, 3)).ravel()

    # a level of its own in each block: what is slower than the lattice does not count
    total = np.maximum(summed(weight), 1e-300)
    information = summed(weight * lattice**2) - summed(weight * lattice) ** 2 / total
    score = summed(weight * lattice * deviation) - summed(weight * lattice) * summed(weight * deviation) / total
    use = (information > 0.0) & (summed(known.astype(float)) > 0.3 * rows * across)
    return score[use] / information[use], 1.0 / np.sqrt(information[use])


def _other_spots(spots: Spots, reading: Indexing, shape: tuple[int, int]) -> float | None:
    """Period in pixels of the strongest spot that is at no reflection."""
    _, _, distance = match_spots(spots, reading.lattice, shape)
    other = (distance >= MATCH_BINS) & (spots.powers > MIN_POWER_SHARE * spots.powers[0])
    return float(1.0 / np.hypot(*spots.frequencies[other][0])) if other.any() else None
