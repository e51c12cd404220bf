"""What the electrons that were sent could tell at most, whatever detector follows: quantum Fisher information and distinguishability of their waves."""

import numpy as np
from jaxtyping import Complex, Float


def quantum_fisher_information(
    wave: Complex[np.ndarray, " m"], derivatives: Complex[np.ndarray, "m p"]
) -> Float[np.ndarray, "p p"]:
    """Information [p, p] of one electron in the pure state ``wave`` [m] with ``derivatives`` [m, p]: 4 Re(<d_i|d_j> - <d_i|w><w|d_j>) over <w|w>.

    Braunstein & Caves, Phys. Rev. Lett. 72, 3439 (1994). Electrons that did not arrive (absorbed, beyond the band) tell nothing here.
    """
    norm = float(np.vdot(wave, wave).real)
    inner = derivatives.conj().T @ derivatives
    along = derivatives.conj().T @ wave
    return 4.0 * (inner - np.outer(along, along.conj()) / norm).real


def distinguishability(wave: Complex[np.ndarray, "c m"], changed: Complex[np.ndarray, "c m"]) -> float:
    """Largest square of the shift, in standard deviations, by which one electron can tell ``changed`` from ``wave`` [configurations, m].

    -8 log |<w|v>| of normalised waves: for a small change the quantum Fisher information times its square. Electrons that did not arrive (absorbed, or beyond
    the band) are one more outcome. Configurations that were known to the observer give the mean, and so a limit for their mixture.
    """
    norms = [np.minimum(np.einsum("cm,cm->c", part.conj(), part).real, 1.0) for part in (wave, changed)]
    fidelity = np.abs(np.einsum("cm,cm->c", wave.conj(), changed)) + np.sqrt((1.0 - norms[0]) * (1.0 - norms[1]))
    return float(-8.0 * np.log(np.clip(fidelity, 1e-300, 1.0)).mean())


def classical_distance(rates: Float[np.ndarray, "p m"], changed: Float[np.ndarray, "p m"]) -> float:
    """The same measure for what one electron leaves in counts of ``rates`` and ``changed`` [p, m], p settings (scan positions) that are as likely.

    -8 log of the Bhattacharyya coefficient, electrons that reach no count being one more outcome. It never exceeds `distinguishability`: a measurement does
    not lower the fidelity (Fuchs & Caves, Open Sys. Inf. Dyn. 3, 345 (1995)); for small changes it is the square of the shift of the best test.
    """
    missing = [np.maximum(1.0 - part.sum(1), 0.0) for part in (rates, changed)]
    coefficient = np.sqrt(np.maximum(rates * changed, 0.0)).sum(1) + np.sqrt(missing[0] * missing[1])
    return float(-8.0 * np.log(np.clip(coefficient, 1e-300, 1.0)).mean())
