"""A question in TOML, each key with its unit and meaning; units as in scenarios of simulations."""

from typing import Annotated, Literal

from scenarios.question.area import AreaPlan
from scenarios.question.candidates import CandidatePlan
from scenarios.question.options import (
    AnnularOption,
    CameraOption,
    ImageOption,
    OptionPlan,
    SegmentedOption,
    SpectrumOption,
)
from scenarios.question.parts import (
    AskedPlan,
    ComputePlan,
    DefectPlan,
    InstrumentPlan,
    LimitsPlan,
    QuantityPlan,
    SearchPlan,
    TolerancePlan,
    UnknownPlan,
    WhatIfPlan,
)
from twin.simulation.plan.keys import Table, key, tables_of
from twin.simulation.plan.spectrum_tables import EdgePlan, LowLossPlan
from twin.simulation.plan.tables import Plan, SpecimenPlan

SPECTRAL = ("t_over_lambda", "edge_shift", "energy_offset")
"""Quantities that only energy-loss spectra tell."""


class Question(Plan, frozen=True):
    """One question, complete."""

    name: Annotated[str, key("", "name of the question", min_length=1, max_length=80)]
    kind: Annotated[
        Literal["detect", "measure", "distinguish", "tune", "map"],
        key(
            "",
            "detect: is this change there? measure: how well is this quantity measured? distinguish: which structure is it? "
            "tune: are aberrations within tolerances? map: what is this quantity over an area?",
        ),
    ]
    specimen: SpecimenPlan
    defect: Annotated[DefectPlan | None, key("", "the change that is looked for", default="none")] = None
    quantity: Annotated[QuantityPlan | None, key("", "what is measured", default="none")] = None
    tolerance: Annotated[
        TolerancePlan | None, key("", "tolerances of aberrations that are corrected", default="none")
    ] = None
    area: Annotated[AreaPlan | None, key("", "the area that is mapped", default="none")] = None
    candidate: Annotated[
        list[CandidatePlan], key("", "the structures that are to be told apart", default="none", max_length=10)
    ] = []
    description: Annotated[str, key("", "one sentence on what this is")] = ""
    asked: AskedPlan = AskedPlan()
    instrument: InstrumentPlan = InstrumentPlan()
    unknown: UnknownPlan = UnknownPlan()
    limits: LimitsPlan = LimitsPlan()
    low_loss: LowLossPlan = LowLossPlan()
    edges: dict[str, EdgePlan] = {}
    option: Annotated[
        list[OptionPlan],
        key(
            "",
            "options to weigh",
            default="HAADF, ADF, ABF, DPC, 4D-STEM and HRTEM; EELS for what only a spectrum tells",
            max_length=50,
        ),
    ] = []
    search: Annotated[
        SearchPlan | None, key("", "settings that may vary", default="none: options are weighed as they are")
    ] = None
    what_if: Annotated[WhatIfPlan | None, key("", "other specimens for the best option", default="none")] = None
    compute: ComputePlan = ComputePlan()
    seed: Annotated[int, key("", "seed of the thermal displacements", ge=0, le=2**31)] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    def options(self) -> list[OptionPlan]:
        """The options given, or those that an instrument usually has, of the techniques that it has."""
        has = self.instrument.techniques
        return self.option or [each for each in self._usual() if not has or each.__struct_config__.tag in has]

    def _usual(self) -> list[OptionPlan]:
        if self.kind == "map":
            return [SpectrumOption(), CameraOption()]
        if self.quantity is not None and self.quantity.kind in SPECTRAL:
            return [SpectrumOption()]
        alpha = self.instrument.semiangle_mrad
        return [
            AnnularOption(round(3 * alpha, 1), round(5 * alpha, 1), "HAADF"),
            AnnularOption(round(1.4 * alpha, 1), round(3 * alpha, 1), "ADF"),
            AnnularOption(round(0.5 * alpha, 1), alpha, "ABF"),
            SegmentedOption(),
            CameraOption(),
            ImageOption(),
        ]


def tables() -> tuple[Table, ...]:
    """Every table of a question, with its keys."""
    return tables_of(Question)
