"""Tables of a question on the structures that are to be told apart."""

from typing import Annotated, Literal

import msgspec

from twin.simulation.plan.keys import key
from twin.simulation.plan.tables import Indices, Plan, SpecimenPlan


class CandidatePlan(Plan, frozen=True):
    """One of the structures; what it does not say is as in the specimen."""

    name: Annotated[str, key("", "what it is called", min_length=1, max_length=40)]
    structure: Annotated[str | None, key("", "structure, as in the specimen", default="the specimen's")] = None
    zone: Annotated[Indices | None, key("", "zone axis [u, v, w]", default="the specimen's")] = None
    x: Annotated[Indices | None, key("", "crystal direction [u, v, w] that points right", default="the specimen's")] = (
        None
    )
    turn: Annotated[Literal[0, 180], key("degree", "turned about the beam: 180 exchanges the polarity")] = 0

    def specimen(self, base: SpecimenPlan) -> SpecimenPlan:
        """The specimen of this candidate."""
        given = {name: getattr(self, name) for name in ("structure", "zone", "x") if getattr(self, name) is not None}
        return msgspec.structs.replace(base, **given)
