"""All evidence that the data of one recording give, by what the recording is."""

from collections.abc import Mapping

from reconstruct.validation.data import images, patterns, spots
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.evidence import Evidence, Gap
from twin.records import Signal


def evidence_of_data(
    signal: Signal, values: Mapping[str, float], known: Known, tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """Evidence and gaps of a ``signal`` whose fields have the claimed ``values`` (inside units, usable ones only)."""
    sources = []
    if "pixel.x" in values and "pixel.y" in values and signal.kind in ("image", "image-stack") and signal.data.ndim < 4:
        sources.append(images.lattice)
    if signal.kind in ("image", "image-stack") and any(
        pair[0] in values and pair[1] in values for pair in (patterns.ANGLE, patterns.FREQUENCY)
    ):
        sources += [patterns.disk, spots.spots]
    evidence: list[Evidence] = []
    gaps: list[Gap] = []
    for source in sources:
        more, missing = source(signal, values, known, tell)
        evidence += more
        gaps += missing
    return evidence, gaps
