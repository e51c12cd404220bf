"""Settings of which none other is better in everything."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Candidate(NamedTuple):
    """One way of answering: its ``dose`` (electrons per square angstrom), ``seconds``, probability of ``error`` (1 - power), and ``what`` it is."""

    dose: float
    seconds: float
    error: float
    what: Any = None


def front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that no other beats: at most as much dose, time and error, and less of one. By dose, the least first; of equal ones the first is kept.

    >>> [each.what for each in front([Candidate(1.0, 3.0, 0.1, "a"), Candidate(2.0, 2.0, 0.1, "b"), Candidate(2.0, 4.0, 0.1, "c")])]
    ['a', 'b']
    """
    kept = [
        candidate
        for index, candidate in enumerate(candidates)
        if all(value == value and abs(value) != float("inf") for value in candidate[:3])
        and not any(
            all(a <= b for a, b in zip(other[:3], candidate[:3], strict=True))
            and (other[:3] != candidate[:3] or number < index)
            for number, other in enumerate(candidates)
        )
    ]
    return tuple(sorted(kept, key=lambda each: each[:3]))
