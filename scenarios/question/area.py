"""Tables of a question on an area that is mapped: its pixels, its phases, or a recording of it."""

from typing import Annotated, Literal

from msgspec import Meta

from twin.simulation.plan.keys import Mistaken, key
from twin.simulation.plan.tables import NotNegative, Plan, Positive, Share, Width

Side = Annotated[int, Meta(ge=4, le=512)]
NANOMETRE = Mistaken("nm", 10.0, 20.0, 1e4)


class PhasePlan(Plan, frozen=True):
    """A phase that may lie in the area."""

    structure: Annotated[
        str | None,
        key("", "a crystal known by name, or a structure file, its path relative to the question's", default="none"),
    ] = None
    formula: Annotated[str | None, key("", "atoms of each element, as in SrTiO3; with density", default="none")] = None
    density: Annotated[
        Annotated[float, Meta(gt=0, le=50)] | None, key("g/cm^3", "density of the formula", default="none")
    ] = None
    occupancy: Annotated[dict[str, Share], key("", "share of each element's sites that is filled")] = {}


class AreaPlan(Plan, frozen=True):
    """The area of a map. Which phase lies where and how thick it is there, the seed draws and the twin does not know; or a recording is taken as what is
    there."""

    nx: Annotated[Side, key("", "columns of pixels")] = 32
    ny: Annotated[Side, key("", "rows of pixels")] = 32
    pixel: Annotated[Width, key("angstrom", "side of a pixel")] = 10.0
    thickness: Annotated[
        tuple[Width, Width] | None,
        key("angstrom", "thickness between which it lies", default="the specimen's, within a fifth"),
    ] = None
    phase: Annotated[
        list[PhasePlan], key("", "phases that may lie there", default="the specimen alone", max_length=6)
    ] = []
    layout: Annotated[
        Literal["drawn", "domains", "inclusions", "layers", "gradient"], key("", "how the phases lie")
    ] = "drawn"
    width: Annotated[
        Width | None, key("angstrom", "width of interfaces, rms of an error function", default="a pixel and a half")
    ] = None
    expected: Annotated[
        str | None,
        key(
            "",
            "a recorded or simulated scan that is taken as what is there, its path relative to the question's; then phases, thickness, nx and ny are its own",
            default="none",
        ),
    ] = None
    survey_file: Annotated[
        str | None, key("", "file of its survey image", default="an image of the same file, or one made of the data")
    ] = None
    survey: Annotated[
        Positive | None,
        key("second", "dwell time of a pixel of the survey image", default="a twentieth of the shortest of the option"),
    ] = None
    survey_mrad: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=300)], Annotated[float, Meta(gt=0, le=300)]],
        key("mrad", "angles of its annular detector"),
    ] = (60.0, 200.0)
    gain: Annotated[Positive, key("counts/electron", "counts of one electron")] = 1.0
    drift: Annotated[NotNegative, key("angstrom/second", "drift of the specimen under the beam")] = 0.0
