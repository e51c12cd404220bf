"""The scenario of ``emtwin acquire replay``: which recording, which quantity, within which tolerance."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from twin.simulation.plan.keys import RAD, key

KINDS = ("replay", "replay-titanate")
"""Kinds of sessions that replay a recording; the second one is of sessions before there was the first."""
Energies = tuple[float, float]


class HostPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The crystal on whose lattice the atoms of a replayed map stand; its cations may differ across the map."""

    structure: Annotated[str, key("", "a known structure, or a CIF, its path relative to the scenario's")] = "SrTiO3"
    zone: Annotated[tuple[int, int, int], key("", "zone axis along the beam")] = (0, 0, 1)
    thickness: Annotated[float, key("angstrom", "thickness, about: channelling flattens the map", gt=0, le=2000)] = (
        100.0
    )


class ReplayScenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """A recorded scan as the instrument: the map of one quantity from a part of its pixels."""

    name: Annotated[str, key("", "name of the scenario, and of its session's folder", min_length=1)]
    description: Annotated[str, key("", "one sentence on what this is")] = ""
    data: Annotated[str | None, key("", "file of the recording, relative to the scenario's", default="--data")] = None
    survey: Annotated[
        str | None,
        key("", "file of its survey image", default="an image of the same file, or one made of the data"),
    ] = None
    quantity: Annotated[
        str | None,
        key(
            "",
            'what is mapped: "Ti L", "plasmon energy", "t/lambda", "zero-loss position", "450-470 eV" of spectra; "centre of mass x" or y, "com magnitude", '
            '"20-60 mrad" of patterns',
            default="--quantity",
        ),
    ] = None
    tolerance: Annotated[
        float,
        key(
            "",
            "largest standard deviation over the map (without counting noise), as a share of its range",
            gt=0,
            le=1e7,
        ),
    ] = 0.15
    budget: Annotated[Annotated[int, Meta(ge=1)] | None, key("", "most pixels that are measured", default="all")] = None
    audit_share: Annotated[
        float, key("", "share of the measurements taken at random pixels, as a check on the model", ge=0, le=1)
    ] = 0.1
    model: Annotated[
        Literal["plain", "host", "deep", "compared"] | None,
        key("", "what predicts the other pixels", default="host where [host] is given, else plain"),
    ] = None
    rule: Annotated[
        Literal["variance", "novelty", "improvement", "confidence"],
        key(
            "",
            "which pixels are measured next: for the whole map, where least is known, or where the quantity is largest",
        ),
    ] = "variance"
    background: Annotated[
        Energies | None, key("eV", "window before the edge, for its background", default="by its energy")
    ] = None
    window: Annotated[Energies | None, key("eV", "window over which the edge is summed", default="by its energy")] = (
        None
    )
    gain: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        key("counts/electron", "counts of one electron", default="by the recording, or its noise"),
    ] = None
    pixel_mrad: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        key("mrad", "angle of a camera pixel", default="by the recording", mistaken=RAD),
    ] = None
    signal: Annotated[
        str | None, key("", "number or title of the scan, where a file holds several", default="the one that holds it")
    ] = None
    bin: Annotated[int, key("", "pixels of the scan along each side that are summed to one", ge=1, le=512)] = 1
    host: Annotated[HostPlan | None, key("", "for edges", default="the map is predicted without a crystal")] = None
    seed: Annotated[int, key("", "seed of the random numbers", ge=0, le=2**32 - 1)] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    @property
    def kind(self) -> str:
        """Which job this is."""
        return "replay"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they were read: what the journal keeps."""
        return msgspec.to_builtins(self)

    def path_of(self, file: str | None) -> Path | None:
        """A file that the scenario names, relative to its own; None where it names none."""
        return None if file is None else Path(self.folder) / file
