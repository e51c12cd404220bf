"""One recording of the benchmark of spoiled images, and what a kind of measurement gives the benchmark.

A module of a kind beside this file has:

- ``PRINCIPAL``: the quantities that are scored, with the period of those on a circle (None for the others);
- ``SPOILINGS``: at least twelve spoilings by name, what each is in a few words;
- ``WRONG``: what may be stated wrongly of a clean recording (another structure, energy, zone axis ...), by name;
- ``ERRORS_BEFORE``: the median standard error of each principal quantity over the clean seeds 0 to 9 at version 0.1;
- ``draw(seed, spoiling=None, strength=0)``: the `Sample` of a seed, clean without a ``spoiling`` (one of ``SPOILINGS`` or ``WRONG``); ``strength`` is 0
  (slight, still visible), 1 or 2 (strong). Everything else (truth, noise where the spoiling does not change it) is the same for all spoilings of a seed.
  The truth comes from code other than the fit's model.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

FIRST, CLEAN_BEFORE = 200, 10
"""The first seed of the benchmark; the clean seeds below the second one are those of ``ERRORS_BEFORE``."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """``data`` as `reconstruct.measure` takes them, the ``truth`` of the principal quantities, and what is ``known`` besides.

    ``told``: data and inputs of a fit that is told the spoiling exactly (the mask of it, the phase shift, the recording without it where nothing else can
    tell); None where no fit could have the answer.
    """

    data: Any
    truth: Mapping[str, float]
    known: Mapping[str, Any]
    told: tuple[Any, Mapping[str, Any]] | None = None
