"""The kinds of recordings of the benchmark."""

from tests.benchmarks.validate.recordings.images import image
from tests.benchmarks.validate.recordings.logs import logged
from tests.benchmarks.validate.recordings.losses import both
from tests.benchmarks.validate.recordings.made import Made
from tests.benchmarks.validate.recordings.others import core, low, rings, scan
from tests.benchmarks.validate.recordings.patterns import disk, spots
from tests.benchmarks.validate.recordings.real import real, real_kinds
from tests.benchmarks.validate.recordings.sessions import session

OTHER = 300_000
"""Added to seeds of kinds that have a maker in common: none is the same recording twice."""
MAKERS = {
    "image": image,
    "spots": spots,
    "spots in angles": lambda seed: spots(seed + OTHER, angles=True),
    "disk": disk,
    "rings": rings,
    "scan": scan,
    "core loss": core,
    "low loss": low,
    "zero loss and edges": both,
    "log": logged,
    "session": session,
    "repeated": lambda seed: session(seed + OTHER, repeated=True),
    "stretched": lambda seed: image(seed + OTHER, stretched=True),
}
KINDS = (*MAKERS, *real_kinds())


def make(kind: str, seed: int) -> Made:
    """The recording of a kind and seed; a real one is always the same."""
    return MAKERS[kind](seed) if kind in MAKERS else real(kind)
