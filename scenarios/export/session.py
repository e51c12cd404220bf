"""A session folder as a record to export: each frame a recording, its commands as claims, and the twin's belief at its time as evidence of defocus."""

import bisect
import math
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.journal import Journal, Row
from instrument.export.record import Activity, Agent, Evidence, Record, Recording, Sample, Verdict
from scenarios.export.times import emtwin
from scenarios.io.errors import BadInput
from twin.records import Axis, Claim, Frame, Signal, Value, axis_claims, flatten
from twin.sample.cif.checks import formula_of

FALSE_ALARM = 0.01
"""Share of true defoci that are called wrong."""
LIMIT = 2.5758
"""The standard deviations that a Gaussian exceeds with that probability."""
_SCAN = {"dwell": ("dwell", "second"), "flyback": ("flyback", "second"), "dose": ("dose", "electron/angstrom^2")}
_SETTINGS = {"C10": "C10", "stage.x": "stage.x", "stage.y": "stage.y"}
_META = {
    "high_tension": ("high_tension", "volt"), "semiangle": ("convergence_semiangle", "radian"), "detector.inner": ("detector.inner", "radian"),
    "detector.outer": ("detector.outer", "radian"), "detector.gain": ("gain", "1"), "beam_current": ("beam_current", "ampere"),
}  # fmt: skip
"""Keys of a frame that hold a field of the vocabulary: its name, and the unit there."""


def record_of_session(folder: Path, created: int, sample: Sample, data: bool = True) -> Record:
    """The record of a session; with ``data`` the frames are read and checked. SessionError for a folder that is no session, BadInput for one without frames."""
    with Journal.open(folder) as journal:
        scenario, checkpoints, frames, requested = _rows(journal)
        simulated = dict(scenario.get("instrument", {})).get("kind") == "simulated"
        recordings = tuple(
            _recording(journal, row, requested.get(row.id), checkpoints, data, simulated) for row in frames
        )
        settings = flatten(scenario)
    if not recordings:
        raise BadInput(str(folder), "holds no frame", "Export a session that recorded something.")
    kind = str(dict(scenario.get("instrument", {})).get("kind", "instrument"))
    instrument, software = Agent("instrument", "instrument", f"{kind} instrument"), emtwin()
    ids, judged = tuple(item.id for item in recordings), tuple(item.id for item in recordings if item.verdicts)
    start = min(item.start for item in recordings if item.start is not None)
    end = max(item.end or item.start or 0 for item in recordings)
    activities = [Activity("acquisition", "acquisition", (instrument.id, software.id), ids, start, end, settings)]
    if judged:
        rate: dict[str, Value] = {"false_alarm_rate": FALSE_ALARM}
        activities.append(Activity("validation", "validation", (software.id,), judged, None, created, rate))
    return Record(
        folder.absolute().name, str(folder), str(folder), recordings, (instrument, software), tuple(activities),
        _sample(sample, scenario, simulated, start), created,
    )  # fmt: skip


def _rows(journal: Journal) -> tuple[dict[str, Any], list[Row], list[Row], dict[int, Row]]:
    """The scenario, the checkpoints and frames that an interruption left valid, and requests by the row of their frame."""
    scenario: dict[str, Any] = {}
    checkpoints: list[Row] = []
    frames: list[Row] = []
    requested: dict[int, Row] = {}
    for row in journal.rows():
        if row.kind in ("scenario", "plan"):
            scenario = dict(row.payload.get("scenario", row.payload))
        elif row.kind == "checkpoint":
            checkpoints.append(row)
        elif row.kind == "frame":
            frames.append(row)
        elif row.kind == "request" and row.payload.get("frame_row") is not None:
            requested[int(row.payload["frame_row"])] = row
        elif row.kind == "resumed" and row.payload.get("rewound"):
            last = int(row.payload["checkpoint"])
            checkpoints = [item for item in checkpoints if item.id <= last]
            frames = [item for item in frames if item.id <= last]
            requested = {frame: item for frame, item in requested.items() if item.id <= last}
    return scenario, checkpoints, frames, requested


def _sample(sample: Sample, scenario: dict[str, Any], simulated: bool, start: int) -> Sample:
    """What the user says of the specimen, and for the rest the scenario's structure; a simulated specimen is prepared when its session starts."""
    structure = str(dict(scenario.get("twin", {})).get("structure") or "")
    elements = sample.elements or tuple(formula_of(structure))
    prepared = sample.prepared if sample.prepared is not None else start if simulated else None
    return Sample(sample.name or structure, elements, prepared, simulated)


def _recording(
    journal: Journal, row: Row, request: Row | None, checkpoints: list[Row], data: bool, simulated: bool
) -> Recording:
    payload = row.payload
    array, index = str(payload["array"]), int(payload["index"])
    shape = tuple(int(size) for size in array.partition("_")[2].split("x"))
    path = f"frames.zarr/{array}/" + ".".join(["c", str(index), *["0"] * len(shape)])
    imaged = shape == tuple(payload["scan"]["shape"])
    claims, axes, kind = _claims(payload, imaged, shape)
    start = int(payload["start"])
    frame = journal.frame(row) if data else None
    signal = None if frame is None else _signal(frame, axes, kind, claims, f"frame {row.id}", path)
    verdicts, evidence = _verdicts(claims, payload, request, checkpoints)
    end = start + round(_duration(payload["scan"]) * 1e9) if imaged else None
    return Recording(
        f"frame-{row.id}", f"frame {row.id} ({payload['scan']['detector']})", path, str(payload["sha256"]), signal, claims, verdicts, evidence, start, end,
        simulated,
    )  # fmt: skip


def _duration(scan: dict[str, Any]) -> float:
    """Seconds from the first pixel to the last."""
    rows, columns = scan["shape"]
    return float(rows * columns * scan["dwell"] + (rows - 1) * scan["flyback"])


def _claims(
    payload: dict[str, Any], imaged: bool, shape: tuple[int, ...]
) -> tuple[dict[str, tuple[Claim, ...]], tuple[Axis, ...], str]:
    """Claims of a frame's record, its axes and kind. Of a scan that made no image of its shape (a replayed spectrum) nothing is claimed."""
    scan, settings, meta = payload["scan"], payload["settings"], payload.get("meta", {})
    result: dict[str, tuple[Claim, ...]] = {}

    def add(name: str, value: Value, unit: str | None, key: str) -> None:
        if not isinstance(value, float) or math.isfinite(value):
            result[name] = (Claim(value, unit, key, str(value)),)

    axes = tuple(Axis(f"axis{index}", size, 1.0, 0.0, None) for index, size in enumerate(shape))
    if imaged:
        pixel = float(scan["pixel"])
        axes = tuple(
            Axis(name, size, pixel, -size / 2 * pixel, "angstrom") for name, size in zip("yx", shape, strict=True)
        )
        result |= {name: (claim,) for name, claim in axis_claims(axes, "image")}
        for key, (name, unit) in _SCAN.items():
            add(name, float(scan[key]), unit, f"scan.{key}")
    for key, name in _SETTINGS.items():
        if key in settings:
            add(name, float(settings[key]), "angstrom", f"settings.{key}")
    for key, (name, unit) in _META.items():
        if isinstance(meta.get(key), (int, float)):
            add(name, float(meta[key]), unit, f"meta.{key}")
    add("detector", str(scan["detector"]), None, "scan.detector")
    result["time.start"] = (Claim(int(payload["start"]), "nanosecond", "start", str(payload["start"]), "UTC"),)
    return result, axes, "image" if len(shape) == 2 else "spectrum"


def _signal(
    frame: Frame, axes: tuple[Axis, ...], kind: Any, claims: dict[str, tuple[Claim, ...]], title: str, path: str
) -> Signal:
    raw = flatten(
        {"settings": frame.settings, "meta": frame.meta, "sequence": frame.sequence, "start": frame.start, "origin": frame.origin,
         "exposure": {name: getattr(frame.exposure, name) for name in frame.exposure.__struct_fields__},
         "scan": {name: getattr(frame.scan, name) for name in ("detector", "pixel", "dwell", "flyback", "settle", "dose")}}
    )  # fmt: skip
    first = {name: items[0] for name, items in claims.items()}
    return Signal(frame.data, axes, kind, title, path, "emtwin session", first, {}, raw)


def _verdicts(
    claims: dict[str, tuple[Claim, ...]], payload: dict[str, Any], request: Row | None, checkpoints: list[Row]
) -> tuple[tuple[Verdict, ...], tuple[Evidence, ...]]:
    """The verdict on the commanded defocus of a request's frame, by the belief after it; all other claims are commands that nothing here verifies."""
    believed = None
    if request is not None and "C10" in claims:
        after = bisect.bisect_right([item.id for item in checkpoints], request.id)
        if after < len(checkpoints) and checkpoints[after].payload["time_ns"] == request.payload["time_ns"]:
            believed = _defocus(checkpoints[after], payload["settings"])
    words = "Nothing but the command itself says so."
    verdicts = [
        Verdict(name, "unverifiable", items[0].value, items[0].unit, items[0].text, items[0].key, words=words)
        for name, items in claims.items()
        if not (name == "C10" and believed)
    ]
    if believed is None:
        return tuple(verdicts), ()
    (value, error), claim = believed, claims["C10"][0]
    z = (float(claim.value) - value) / error
    refuted = abs(z) > LIMIT
    verdicts.append(
        Verdict(
            "C10", "disagrees" if refuted else "agrees", claim.value, claim.unit, claim.text, claim.key, value, error, z, value if refuted else None,
            error if refuted else None, "defocus relative to a zero that moved" if refuted else "",
            f"The image and the sensors give {value:.4g} +- {error:.2g} angstrom where {float(claim.value):.4g} was commanded.", ("belief",),
        )
    )  # fmt: skip
    evidence = Evidence(
        "belief", "state of the column by the twin", "session",
        "Filter over the sensors and all images until then, this one among them.", ("the zero of the defocus",),
    )  # fmt: skip
    return tuple(verdicts), (evidence,)


def _defocus(checkpoint: Row, settings: dict[str, float]) -> tuple[float, float] | None:
    """Mean and rms of C10 in angstrom by the mixture of a checkpoint; None where its state has no such entries."""
    from reconstruct.api.models import load_model
    from twin.image.microscope import PARAMETERS, Calibration, affine_optics

    layout = load_model("probe").layout
    if tuple(checkpoint.payload.get("names", ())) != layout.names:
        return None
    matrix, offset = affine_optics(layout, Calibration(), settings)
    row = PARAMETERS.index("C10")
    weights, means = checkpoint.arrays["weights"], checkpoint.arrays["means"] @ matrix[row] + offset[row]
    variances = np.square(np.einsum("n,knm->km", matrix[row], checkpoint.arrays["cov_sqrt"])).sum(axis=1)
    weights = weights / weights.sum()
    mean = float(weights @ means)
    return mean, math.sqrt(float(weights @ (variances + np.square(means - mean))))
