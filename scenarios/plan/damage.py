"""The doses at which the beam changes the specimen, which bound what may be planned."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from scenarios.io.errors import BadInput
from scenarios.question.tables import Question
from twin.damage import critical_dose, knock_on


class Damage(NamedTuple):
    """A change by the beam that is not to be exceeded: from ``dose`` electrons per square angstrom on (inf: never), and what it is in ``words``."""

    dose: float
    words: str


def damage_of(question: Question, symbols: Sequence[str], suffix: str = "") -> tuple[Damage, ...]:
    """What the question's limits name of a specimen of these atoms, the smallest dose first, ``suffix`` behind its words; BadInput for a material that has no
    critical dose."""
    limits, energy = question.limits, 1e3 * question.instrument.energy_keV
    changes = []
    if limits.displaced is not None:
        content = {symbol: float(count) for symbol, count in Counter(symbols).items()}
        rows = knock_on(content, energy, 1.0, displaced=limits.displaced)
        row = min(rows, key=lambda each: each.dose)
        if math.isfinite(row.dose):
            source = " assumed" if row.threshold.assumed else ""
            words = f"displaces {100 * limits.displaced:g} % of {row.element} (threshold{source} {row.threshold.energy:.3g} eV)"
            changes.append(Damage(row.dose, words))
    if limits.radiolysis is not None:
        try:
            critical = critical_dose(limits.radiolysis, energy)
        except ValueError as error:
            raise BadInput("limits.radiolysis", str(error), "Name one of these, or leave it out.") from None
        changes.append(
            Damage(critical.dose, f"changes {critical.record.material} by ionisation ({critical.record.criterion})")
        )
    return tuple(sorted(each._replace(words=each.words + suffix) for each in changes))
