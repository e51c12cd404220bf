"""Exposures of energy-loss spectra."""

from twin.records import Signal


def exposure_of(signal: Signal) -> float | None:
    """Time in second that a spectrum was exposed, where the recording says so."""
    for name in ("exposure", "dwell"):
        claim = signal.claims.get(name)
        if claim is not None and isinstance(claim.value, (int, float)) and claim.value > 0:
            return float(claim.value)
    return None
