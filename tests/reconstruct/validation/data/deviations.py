"""What evidence says of fields whose truth is known."""

import math
from collections.abc import Mapping

import numpy as np

from reconstruct.validation.data.options import Known, silent
from reconstruct.validation.evidence import Evidence, Gap
from reconstruct.validation.judgement.likelihood import derived, residual
from reconstruct.validation.judgement.verdict import numbers


def evidence_by(source, signal, known: Known = Known()) -> tuple[list[Evidence], list[Gap]]:
    """Evidence and gaps of one source for a signal with the values that it claims."""
    return source(signal, numbers(signal.claims), known, silent)


def nearest(item: Evidence, truth: Mapping[str, float]) -> np.ndarray:
    """Deviations [statements] of the reading that lies nearest to the ``truth``, in standard deviations."""
    full = derived(truth)
    best = np.full(len(item.statements), math.inf)
    for part in item.components:
        offsets = np.array(
            [residual(statement, float(part.mean[i]), full) for i, statement in enumerate(item.statements)]
        )
        scores = offsets / np.sqrt(np.diag(part.covariance))
        best = scores if np.abs(scores).max() < np.abs(best).max() else best
    return best


def likeliest(item: Evidence, truth: Mapping[str, float]) -> np.ndarray:
    """As `nearest`, of the reading with the largest weight."""
    part = max(item.components, key=lambda part: part.weight)
    full = derived(truth)
    offsets = [residual(statement, float(part.mean[i]), full) for i, statement in enumerate(item.statements)]
    return np.array(offsets) / np.sqrt(np.diag(part.covariance))
