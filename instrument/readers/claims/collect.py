"""All claims of a file: those of its axes, and those of its metadata by the rules of the formats that it may be of."""

from collections.abc import Mapping

from instrument.readers.claims.formats import (
    digitalmicrograph,
    emd,
    empad,
    hyperspy,
    mrc,
    nexus,
    nion,
    tia,
    tiff,
    velox,
)
from twin.records import Axis, Claim, Claims, Value, axis_claims, collect, own_claims

FORMATS = (hyperspy, velox, tia, digitalmicrograph, mrc, empad, nion, emd, nexus, tiff)
"""HyperSpy's own metadata come first: what its user changed stands there, and the original metadata stay as they were."""


def claims_of(raw: Mapping[str, Value], axes: tuple[Axis, ...] = (), kind: str = "image") -> Claims:
    """The first claim of each field, and further claims of the same fields, of flattened metadata and of a recording's axes.

    An entry that is absent, not finite, or not a number where a number is expected gives no claim. Every format's rules are tried, since a file that was
    converted keeps the metadata of another.
    """
    stated: list[tuple[str, Claim]] = [*axis_claims(axes, kind), *own_claims(raw)]
    for form in FORMATS:
        stated += form.claims(raw)
    return collect(stated)
