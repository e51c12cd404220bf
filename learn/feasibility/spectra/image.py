"""A core-loss spectrum image as an option of a question: counts of every place and energy without a change and with it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from learn.feasibility.scanned import Detector, Scanned
from learn.feasibility.spectra.seen import Seen
from learn.feasibility.spectra.shapes import Shapes

BACKGROUND, EXPONENT, OFFSET = "level below the edge", "exponent below the edge", "energy offset"
"""Names of derivatives, beside those of other scans: of the amplitude (a share) and the exponent of all that lies below the edges, and of the axis (eV)."""


CROSS_SECTION = "cross-section of "
"""What names of derivatives in the strength (a share) of an edge begin with; its label follows."""


def spectrum_image(
    scan: Scanned,
    entering: Detector,
    seen: Seen,
    shapes: Shapes,
    wrong: Sequence[Float[np.ndarray, " p"] | None] = (),
) -> Scanned:
    """Spectra at all places of ``scan``: electrons [p, channels] for each electron on a place.

    Of the electrons of valence losses and power laws those enter the spectrometer that are scattered elastically into its aperture (``entering``, one
    channel); those of each edge of ``shapes`` are as many as atoms are ``seen`` (a kernel for each edge, in the same order). ``wrong``: how many atoms per
    square angstrom each edge is off at each place by the approximation of its kernel (None: nothing known). "quantum" is what elastic scattering allows.
    """
    weights = entering.weights[0]
    below = ~shapes.within

    def spectra(entered: np.ndarray, atoms: np.ndarray) -> np.ndarray:
        return entered[..., None] * shapes.background + atoms @ shapes.per_atom

    slopes = {
        name: spectra(slope @ weights, seen.slopes[name])
        for name, slope in scan.derivatives.items()
        if name in seen.slopes
    }
    entered = scan.rates @ weights
    if "thickness" in slopes:
        background, per_atom = shapes.slopes["thickness"]
        slopes["thickness"] += entered[:, None] * background + seen.perfect @ per_atom
    rates = spectra(entered, seen.perfect)
    under = entered[:, None] * shapes.background + seen.perfect[:, below] @ shapes.per_atom[below]
    slopes[BACKGROUND] = under
    slopes[EXPONENT] = -under * np.log(shapes.energies / shapes.energies.mean())
    for row in np.flatnonzero(shapes.within):
        if seen.perfect[:, row].any():
            slopes[CROSS_SECTION + shapes.labels[row]] = np.outer(seen.perfect[:, row], shapes.per_atom[row])
    background, per_atom = shapes.slopes[OFFSET]
    slopes[OFFSET] = entered[:, None] * background + seen.perfect @ per_atom
    halves = None
    if scan.halves is not None and seen.halves is not None:
        halves = spectra(scan.halves @ weights, seen.halves)
    directions = [
        np.outer(each, shapes.per_atom[row])
        for row, each in enumerate(wrong)
        if each is not None
    ]  # fmt: skip
    return Scanned(
        rates, spectra(scan.changed @ weights, seen.changed), slopes, scan.window, scan.quantum, halves,
        np.stack(directions) if directions else None,
    )  # fmt: skip
