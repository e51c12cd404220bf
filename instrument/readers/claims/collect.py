"""All claims of a file: those of its axes, and those of its metadata by the rules of the formats that it may be of."""

from collections.abc import Mapping

from instrument.readers.claims import digitalmicrograph, tia, velox
from twin.records import Axis, Claim, Claims, Value, axis_claims, collect, own_claims

_FORMATS = (velox.claims, tia.claims, digitalmicrograph.claims)


def claims_of(raw: Mapping[str, Value], axes: tuple[Axis, ...] = (), kind: str = "image") -> Claims:
    """The first claim of each field, and further claims of the same fields, of flattened metadata and of a recording's axes.

    An entry that is absent, not finite, or not a number where a number is expected gives no claim. Every format's rules are tried, since a file that was
    converted keeps the metadata of another.
    """
    found: list[tuple[str, Claim]] = [*axis_claims(axes, kind), *own_claims(raw)]
    for claims in _FORMATS:
        found += claims(raw)
    return collect(found)
