"""Energy-loss spectra among recordings: which ones are, where their axis begins, and the exposures of two of them."""

from twin.records import Signal

COARSEST = 3.0
"""eV a channel from which a spectrum is one of X-rays where nothing else is said."""
X_RAYS = ("eds", "edx", "x-ray")


def is_x_ray(signal: Signal) -> bool:
    """Whether a spectrum is one of X-rays and not of energy losses: by its names, what its file says, and its dispersion."""
    text = f"{signal.title} {signal.axes[-1].name}".lower()
    if "loss" in text or "eels" in text or {"drift_tube", "collection_semiangle"} & set(signal.claims):
        return False
    return abs(signal.axes[-1].scale) >= COARSEST or any(word in text for word in X_RAYS)


def exposure_of(signal: Signal) -> float | None:
    """Time in second that a spectrum was exposed, where the recording says so."""
    for name in ("exposure", "dwell"):
        claim = signal.claims.get(name)
        if claim is not None and isinstance(claim.value, (int, float)) and claim.value > 0:
            return float(claim.value)
    return None
