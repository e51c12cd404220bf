"""The scenario of ``emtwin acquire``, read strictly from TOML.

Units are the internal ones of emtwin (angstrom, radian, second, electron), unless the name of a key says otherwise.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from scenarios.io.errors import BadInput
from scenarios.replay.scenario import ReplayScenario
from twin.records import Scan
from twin.simulation.plan.keys import Mistaken, Table, key, tables_of
from twin.simulation.plan.strict_reading import convert

Positive = Annotated[float, Meta(gt=0, le=1e7)]
Share = Annotated[float, Meta(ge=0, le=1)]
Side = Annotated[int, Meta(ge=1, le=512)]
MICROSECONDS = Mistaken("microseconds", 1e-6, 1e-7, 0.1)


class InstrumentPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which instrument answers."""

    kind: Annotated[Literal["simulated"], key("", "a simulated microscope")] = "simulated"
    config: Annotated[dict[str, Any], key("", "keys of the simulated microscope's own configuration")] = {}


class TwinPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prior knowledge of the twin."""

    structure: Annotated[str, key("", "a built-in structure, where cif is not given")] = "SrTiO3"
    cif: Annotated[
        str | None, key("", "a CIF, its path relative to the scenario's", default="the built-in structure")
    ] = None
    column: Annotated[
        str,
        key(
            "",
            "the column and its sensors: a sensor table by name, or a TOML file, its path relative to the scenario's",
        ),
    ] = "probe"
    priors: Annotated[
        dict[str, tuple[float, Annotated[float, Meta(ge=0)]]],
        key("", "changed priors by name of the state: [mean, standard deviation] in the state's unit"),
    ] = {}


class RequestPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requests: images at changing defocus and beam shift, in bursts at several sites of the specimen."""

    count: Annotated[int, key("", "number of image requests", ge=1, le=10000)] = 60
    sites: Annotated[int, key("", "places of the specimen: sites - 1 stage moves", ge=1, le=1000)] = 7
    spacing: Annotated[Positive, key("second", "time between requests of a burst")] = 4.0
    duration: Annotated[Positive, key("second", "time over which the requests are spread")] = 1800.0
    defocus: Annotated[float, key("angstrom", "requests ask for a defocus within +- this", ge=0, le=2000)] = 100.0
    shift: Annotated[
        float, key("angstrom", "requests ask for a beam shift within a circle of this radius", ge=0, le=500)
    ] = 20.0


class ScanPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an image is recorded; see `twin.records.Scan`."""

    detector: Annotated[str, key("", "name of the detector")] = "HAADF"
    shape: Annotated[tuple[Side, Side], key("", "pixels (ny, nx)")] = (16, 16)
    pixel: Annotated[float, key("angstrom", "side of a pixel", gt=0, le=1000)] = 3.905 / 16
    dwell: Annotated[float, key("second", "time at each pixel", gt=0, le=1, mistaken=MICROSECONDS)] = 2e-4
    flyback: Annotated[float, key("second", "time from the end of a line to the next", ge=0, le=10)] = 1e-3
    settle: Annotated[float, key("second", "wait after a move before the scan", ge=0, le=600)] = 0.2
    dose: Annotated[float, key("electrons/angstrom^2", "dose of an image", gt=0, le=1e9)] = 1e4


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job, complete: what is asked, of which instrument, within which tolerance."""

    name: Annotated[str, key("", "name of the scenario, and of its session's folder", min_length=1)]
    kind: Annotated[Literal["tune-and-map"], key("", "which job this is")]
    description: Annotated[str, key("", "one sentence on what this is")] = ""
    instrument: InstrumentPlan = InstrumentPlan()
    twin: TwinPlan = TwinPlan()
    requests: RequestPlan = RequestPlan()
    scan: ScanPlan = ScanPlan()
    tolerance: Annotated[
        Positive,
        key(
            "",
            "the twin answers where its predicted error is below this: RMS error of an image over its mean",
        ),
    ] = 0.05
    audit_share: Annotated[
        Share, key("", "share of the answered requests that is measured all the same, as a check")
    ] = 0.1
    max_measured_share: Annotated[
        Share, key("", "most requests that are measured, as a share, audits included, unless the model is distrusted")
    ] = 0.5
    measured_doses: Annotated[
        Annotated[tuple[Annotated[float, Meta(gt=0, le=1)], ...], Meta(min_length=1, max_length=8)],
        key(
            "",
            "doses among which the twin chooses for each request that it measures, as shares of scan.dose; used where the instrument has a fast beam blanker, "
            "with max_dose_share",
        ),
    ] = (1.0,)
    alignment: Annotated[
        int,
        key("", "alignment images near focus at each new site; they cost dose and answer no request", ge=0, le=10),
    ] = 0
    max_dose_share: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        key(
            "",
            "most electrons as a share of what measuring every request would cost; alignment images (defocus, exposure, when) are chosen within it",
            default="no limit, and only the images of ``alignment`` are taken",
        ),
    ] = None
    seed: Annotated[int, key("", "seed of the random numbers", ge=0, le=2**32 - 1)] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    def make_scan(self) -> Scan:
        """The scan of every request."""
        return Scan(**msgspec.structs.asdict(self.scan))

    def cif_path(self) -> Path | None:
        """The CIF this scenario names, or None."""
        return None if self.twin.cif is None else Path(self.folder) / self.twin.cif

    def column_path(self) -> Path | None:
        """The file of the column's table, or None where it is one that comes with emtwin."""
        path = Path(self.folder) / self.twin.column
        return path if path.suffix == ".toml" else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they were read: what the journal keeps."""
        return msgspec.to_builtins(self)

    def changed(self, dose: float | None = None, seed: int | None = None) -> "Scenario":
        """A copy with the dose (electrons per square angstrom) or the seed replaced; BadInput if the value is out of range."""
        values = self.as_dict()
        if dose is not None:
            values["scan"]["dose"] = dose
        if seed is not None:
            values["seed"] = seed
        return from_dict(values, self.name)


AnyScenario = Scenario | ReplayScenario
KINDS = ("tune-and-map", "replay")
"""Kinds of scenario that ``emtwin acquire`` runs."""


def any_from_dict(values: dict[str, Any], origin: str) -> AnyScenario:
    """The scenario of the kind that ``values`` name; see `from_dict`."""
    kind = values.get("kind")
    if kind == "simulate":
        raise BadInput(origin, 'key kind: "simulate" is a simulation', "Run it with emtwin simulate.")
    if values.keys() - {"folder"} and kind not in KINDS:
        problem = "key kind: is missing" if kind is None else f'key kind: is "{kind}"'
        cure = f"Give one of {', '.join(KINDS)}."
        raise BadInput(origin, f"{problem}, and must be one of {', '.join(KINDS)}", cure)
    return convert(values, ReplayScenario, origin) if kind == "replay" else from_dict(values, origin)


def from_dict(values: dict[str, Any], origin: str) -> Scenario:
    """A Scenario out of plain values; ``origin`` names where they come from. BadInput naming it, the key, the problem and the cure."""
    scenario = convert(values, Scenario, origin)
    if scenario.requests.sites > scenario.requests.count:
        raise BadInput(
            origin,
            f"key requests.sites: {scenario.requests.sites} sites are more than requests.count = {scenario.requests.count}",
            "Ask for at least one request at each site.",
        )
    return scenario


def read_toml(path: Path) -> dict[str, Any]:
    """The values in a TOML file; BadInput if there is none, or it cannot be read."""
    origin = str(path)
    if path.is_dir():
        raise BadInput(origin, "is a folder, not a scenario", "Name the TOML file in it.")
    try:
        text = path.read_bytes().decode("utf-8")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise BadInput(origin, "there is no such file", "Check the path, or name one of the presets.") from None
    except OSError as error:
        raise BadInput(origin, f"cannot be read: {error.strerror}", "Check its permissions.") from None
    except UnicodeDecodeError:
        raise BadInput(origin, "is not a text file in UTF-8", "Write the scenario as TOML.") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(origin, f"is not valid TOML: {error}", "Mend the line it names.") from None


def read_scenario(path: Path) -> AnyScenario:
    """The scenario in a TOML file; BadInput if there is none, or it cannot be used (a missing CIF included)."""
    origin, values = str(path), read_toml(path)
    values.setdefault("folder", str(path.resolve().parent))
    scenario = any_from_dict(values, origin)
    if isinstance(scenario, ReplayScenario):
        return scenario
    cif = scenario.cif_path()
    if cif is not None and not cif.is_file():
        raise BadInput(
            origin, f"key twin.cif: there is no file {cif}", "Give the CIF's path relative to the scenario's file."
        )
    return scenario


def tables() -> tuple[Table, ...]:
    """Every table of a scenario, with its keys: those of a session with a twin, then those of a replay."""
    by_kind = zip(KINDS, (Scenario, ReplayScenario), strict=True)
    return tuple(_of_kind(table, kind) for kind, struct in by_kind for table in tables_of(struct))


def _of_kind(table: Table, kind: str) -> Table:
    """A table of scenarios of one ``kind``."""
    where = f'kind = "{kind}"'
    return table._replace(where=where, keys=tuple(key._replace(where=where) for key in table.keys))
