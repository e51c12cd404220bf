"""Which image to take next: the one by which the quantities are known well enough with the fewest electrons in all.

Expected variances count both what an image tells within each component of the belief, and which component it tells (`learn.design.ambiguity`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from learn.design.ambiguity import Components, Response, expected_variances
from scenarios.acquire.planning.alignment import exposed
from twin.records import Scan

DEFOCI = (-90.0, -60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 90.0)
"""Candidate values of C10 (angstrom)."""
DWELLS = (0.5, 1, 2, 4, 8)
"""Candidate dwell times, in units of the scan's."""
MOST_REPEATS = 64
"""Images that are planned ahead at most."""


class Candidate(NamedTuple):
    """An image: ``c10`` in angstrom and ``scan``."""

    c10: float
    scan: Scan


class Choice(NamedTuple):
    """The ``number`` of the candidate, the standard deviations ``expected`` after it, and by how many ``images`` in all and
    ``electrons`` the target would be reached (None: not within `MOST_REPEATS`)."""

    number: int
    expected: tuple[float, ...]
    images: int | None
    electrons: float


def scans_of(scan: Scan) -> list[Scan]:
    """The exposures that are weighed."""
    return [exposed(scan, dwells) for dwells in DWELLS]


def candidates(scan: Scan) -> list[Candidate]:
    """All images that are weighed, values of C10 first."""
    return [Candidate(c10, each) for c10 in DEFOCI for each in scans_of(scan)]


def choose(
    now: np.ndarray,
    components: Sequence[Components],
    rows: np.ndarray,
    asked: np.ndarray,
    responses: Sequence[Response],
) -> Choice:
    """The candidate by which the standard deviations of ``rows`` [q, n] @ state, squares ``now`` [q], are at most ``asked`` [q] for the fewest electrons: by
    images like it, or by one of another candidate after it; where neither reaches that, the one that lowers the largest of them most per electron.

    ``components``: the belief as each of the ``responses`` would find it, what a change of focus adds to it included."""
    expected = [
        expected_variances(part, rows, each, MOST_REPEATS) for part, each in zip(components, responses, strict=True)
    ]
    largest = [np.max(each / asked**2, axis=1) for each in expected]
    before = float(np.max(now / asked**2))
    gains = [np.log(before / after[0]) / each.electrons for after, each in zip(largest, responses, strict=True)]
    first = int(np.argmax(gains))
    plans: list[tuple[float, int, int]] = []
    for number, (after, each) in enumerate(zip(largest, responses, strict=True)):
        if np.any(after <= 1.0):
            count = int(np.argmax(after <= 1.0)) + 1
            plans.append((count * each.electrons, number, count))
        both = _both(responses[first], each)
        if number != first and np.max(expected_variances(components[number], rows, both, 1)[0] / asked**2) <= 1.0:
            plans.append((both.electrons, first, 2))
    if plans:
        electrons, best, count = min(plans)
    else:
        best, count, electrons = first, None, MOST_REPEATS * responses[first].electrons
    stds = tuple(float(each) for each in np.sqrt(expected[best][0]))
    return Choice(best, stds, count, electrons)


def _both(first: Response, second: Response) -> Response:
    return Response(
        np.concatenate([first.images, second.images], axis=1), np.concatenate([first.jacobians, second.jacobians], axis=1),
        first.electrons + second.electrons,
    )  # fmt: skip
