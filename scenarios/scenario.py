"""What a job is asked to do: the Scenario, read strictly from TOML.

Units are the ones used inside emtwin (angstrom, radian, second, electron), except where a key's name says otherwise.
"""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from scenarios.errors import BadInput
from twin.records import Scan

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Side = Annotated[int, Meta(ge=1, le=512)]


class InstrumentPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which instrument answers, and what it is told at its start (``config``: keys of the simulated microscope's own configuration)."""

    kind: Literal["simulated", "replay"] = "simulated"
    config: dict[str, Any] = {}


class TwinPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the twin is told beforehand: the structure by name, or a CIF (path relative to the scenario's file), and changed priors.

    ``priors`` maps a name of the state to its prior (mean, standard deviation), in the state's unit.
    """

    structure: str = "SrTiO3"
    cif: str | None = None
    priors: dict[str, tuple[float, Annotated[float, Meta(ge=0)]]] = {}


class RequestPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The questions: ``count`` images over ``duration`` seconds at ``sites`` places (so sites - 1 stage moves), in bursts.

    Within a burst requests follow each other by ``spacing`` seconds. Each asks for a defocus within +-``defocus`` angstrom and a beam shift
    within a circle of ``shift`` angstrom.
    """

    count: Annotated[int, Meta(ge=1, le=10000)] = 60
    sites: Annotated[int, Meta(ge=1, le=1000)] = 7
    spacing: Positive = 4.0
    duration: Positive = 1800.0
    defocus: Annotated[float, Meta(ge=0, le=2000)] = 100.0
    shift: Annotated[float, Meta(ge=0, le=500)] = 20.0


class ScanPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an image is recorded: see `twin.records.Scan`, whose fields these are."""

    detector: str = "HAADF"
    shape: tuple[Side, Side] = (16, 16)
    pixel: Annotated[float, Meta(gt=0, le=1000)] = 3.905 / 16
    dwell: Annotated[float, Meta(gt=0, le=10)] = 2e-4
    flyback: Annotated[float, Meta(ge=0, le=10)] = 1e-3
    settle: Annotated[float, Meta(ge=0, le=600)] = 0.2
    dose: Annotated[float, Meta(gt=0, le=1e9)] = 1e4


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job, complete: what is asked, of which instrument, within which tolerance.

    ``tolerance``: the twin answers by itself where it predicts an error below this. For ``tune-and-map`` that is the RMS error of the image
    over its mean; for ``replay-titanate`` the largest standard deviation over the map, as a share of the map's range.
    ``audit_share``: the share of the answered requests that are measured all the same, as a check on the twin.
    ``focusing``: images near focus at each new place before its first request; their dose counts, but they answer no request.
    ``max_dose_share``: electrons of all images, as a share of what measuring every request would cost. With it, alignment images are chosen (defocus,
    exposure, when) by what they save per electron; without it, ``focusing`` ones of the requests' exposure are taken at each place.
    ``max_measured_share``: no more than this share of the requests is measured, audits included (unless the model is distrusted).
    """

    name: Annotated[str, Meta(min_length=1)]
    kind: Literal["tune-and-map", "replay-titanate"]
    description: str = ""
    instrument: InstrumentPlan = InstrumentPlan()
    twin: TwinPlan = TwinPlan()
    requests: RequestPlan = RequestPlan()
    scan: ScanPlan = ScanPlan()
    tolerance: Positive = 0.05
    audit_share: Share = 0.1
    max_measured_share: Share = 0.5
    focusing: Annotated[int, Meta(ge=0, le=10)] = 0
    max_dose_share: Annotated[float, Meta(gt=0, le=100)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    def make_scan(self) -> Scan:
        """The scan of every request."""
        return Scan(**msgspec.structs.asdict(self.scan))

    def cif_path(self) -> Path | None:
        """The CIF this scenario names, or None."""
        return None if self.twin.cif is None else Path(self.folder) / self.twin.cif

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


def from_dict(values: dict[str, Any], origin: str) -> Scenario:
    """A Scenario out of plain values; ``origin`` names where they come from. BadInput naming it, the key, the problem and the cure."""
    refuse_nonfinite(values, origin, "")
    try:
        scenario = msgspec.convert(values, Scenario, strict=True)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").lstrip(".")
        raise BadInput(origin, f"{f'key {key}: ' if key else ''}{problem}", _cure(problem, key)) from None
    if scenario.requests.sites > scenario.requests.count:
        raise BadInput(
            origin,
            f"key requests.sites: {scenario.requests.sites} sites for {scenario.requests.count} requests",
            "Ask for at least one request at each site.",
        )
    if (scenario.kind == "replay-titanate") != (scenario.instrument.kind == "replay"):
        raise BadInput(
            origin,
            f"key instrument.kind: a scenario of kind {scenario.kind!r} cannot run on an instrument of kind {scenario.instrument.kind!r}",
            "Use instrument.kind = 'simulated' with kind 'tune-and-map', and 'replay' with 'replay-titanate'.",
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


def read_scenario(path: Path) -> Scenario:
    """The scenario in a TOML file; BadInput if there is none, or it cannot be used (a missing CIF included)."""
    origin, values = str(path), read_toml(path)
    values.setdefault("folder", str(path.resolve().parent))
    scenario = from_dict(values, origin)
    cif = scenario.cif_path()
    if cif is not None and not cif.is_file():
        raise BadInput(
            origin, f"key twin.cif: there is no file {cif}", "Give the CIF's path relative to the scenario's file."
        )
    return scenario


def refuse_nonfinite(value: Any, origin: str, key: str) -> None:
    """BadInput for the first NaN or infinity anywhere in nested plain values (range checks let NaN pass)."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(origin, f"key {key}: {value} is not a finite number", "Give a finite number.")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, item in items:
        refuse_nonfinite(item, origin, f"{key}.{name}" if key else str(name))


def _cure(problem: str, key: str) -> str:
    """What to do about a message of msgspec's."""
    if "unknown field" in problem:
        return f"Remove that key or correct its name{' in ' + key if key else ''}."
    if "missing required field" in problem:
        return "Add that key."
    return "Give a value of that type and range."
