"""NXem (NeXus, release v2026.01 of its definitions): one event for each recording, its signals as NXimage or NXspectrum, what is stated of fields in the
places of `twin.channels.FIELDS`, and claims, verdicts and evidence in an NXcollection ``emtwin`` of the event, with links from each verdict to the value
that stands in the definition's place and to its evidence. In that collection the definition allows anything; elsewhere only what it names."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from instrument.export.fields import SI, Stated, stated_fields
from instrument.export.record import ExportError, Record, Recording
from instrument.export.tree import GROUP, corrected_axes, shown, slug, tree_of
from instrument.export.writers.hdf5 import write_tree
from twin.records import Axis, Signal

DEFINITIONS = "v2026.01"
UNKNOWN = "unknown"
CLASSES = {
    "instrument": "NXem_instrument", "ebeam_column": "NXebeam_column", "electron_source": "NXsource", "scan_controller": "NXscan_controller",
    "optics": "NXem_optical_system", "detector": "NXdetector", "stage": "NXmanipulator", "lens": "NXelectromagnetic_lens",
}  # fmt: skip
"""Class of each group of an event, by its name up to an underscore."""
REQUIRED: dict[str, dict[str, Any]] = {
    "instrument/ebeam_column/electron_source": {"voltage": None},
    "instrument/ebeam_column/scan_controller": {"dwell_time": None, "scan_schema": UNKNOWN},
    "instrument/detector": {"operation_mode": UNKNOWN},
    "instrument/stage": {"position": None, "tilt1": None, "tilt2": None, "rotation": (np.nan, "rad")},
}
"""Fields without which the definition refuses a group, and what is written where nothing is known; None: then the group is left out (its values stay in the
collection)."""


def write_nxem(record: Record, path: Path) -> None:
    """Write one file. ExportError where the definition requires what nobody said: the time, the specimen's elements and when it was prepared."""
    import h5py

    _check(record)
    with h5py.File(path, "w") as file:
        file.attrs.update(NX_class="NXroot", NeXus_version=DEFINITIONS, creator="emtwin", file_time=iso(record.created))
        entry = _group(file, "entry", "NXentry")
        entry["definition"] = "NXem"
        entry["start_time"] = iso(_known(record.start))
        entry["end_time"] = iso(_known(record.end))
        entry["experiment_description"] = f"{record.name}, exported by emtwin"
        _programs(entry, record)
        _sample(entry, record)
        files = {item.path: item.sha256 for item in record.recordings if item.path}
        for number, (name, digest) in enumerate(files.items(), 1):
            note = _group(entry, f"note{number}", "NXnote")
            note.update(_texts(type=Path(name).suffix.removeprefix(".") or UNKNOWN, file_name=name))
            if digest:
                note.update(_texts(checksum=digest, algorithm="sha256"))
        measurement = _group(entry, "measurement", "NXem_measurement")
        _instrument(measurement, record)
        for number, recording in enumerate(record.recordings, 1):
            _event(_group(measurement, f"event{number}", "NXem_event_data"), recording)


def iso(time_ns: int) -> str:
    """ISO 8601 with the zone, to the nanosecond."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}+00:00"


def _check(record: Record) -> None:
    missing = [
        *(["a start time in a known zone"] if record.start is None else []),
        *(["the specimen's elements"] if not record.sample.elements else []),
        *(["when the specimen was prepared"] if record.sample.prepared is None else []),
    ]
    if missing:
        cure = "State it: --start 2026-01-31T12:00:00Z, --elements Sr,Ti,O, --prepared 2026-01-30T09:00:00Z."
        raise ExportError(record.source, f"does not state what NXem requires: {', '.join(missing)}", cure)


def _known(time: int | None) -> int:
    assert time is not None  # _check refused it
    return time


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.require_group(name)
    group.attrs["NX_class"] = kind
    return group


def _texts(**texts: str) -> dict[str, str]:
    return texts


def _programs(entry: Any, record: Record) -> None:
    profiling = _group(entry, "profiling", "NXcs_profiling")
    software = [agent for agent in record.agents if agent.kind == "software"]
    for number, agent in enumerate(software, 1):
        program = _group(profiling, f"program{number}", "NXprogram")
        program["program"] = agent.name
        program["program"].attrs["version"] = agent.version or UNKNOWN


def _sample(entry: Any, record: Record) -> None:
    sample, group = record.sample, _group(entry, "sample", "NXsample")
    group["is_simulation"] = sample.simulated
    group["preparation_date"] = iso(_known(sample.prepared))
    group["atom_types"] = ", ".join(sample.elements)
    if sample.name:
        group["name"] = sample.name


def _instrument(measurement: Any, record: Record) -> None:
    """What does not change during the session; what nobody states is said to be unknown."""
    agent = record.agent("instrument")
    group = _group(measurement, "instrument", "NXem_instrument")
    group["type"] = "tem"
    if agent is not None:
        group["name"] = agent.name
    made = _group(group, "fabrication", "NXfabrication")
    made.update(_texts(vendor=UNKNOWN, model=agent.name if agent is not None else UNKNOWN))
    source = _group(_group(group, "ebeam_column", "NXebeam_column"), "electron_source", "NXsource")
    source.update(_texts(emitter_type=UNKNOWN, probe="electron"))


def _event(event: Any, recording: Recording) -> None:
    if recording.start is not None:
        event["start_time"] = iso(recording.start)
        event["end_time"] = iso(recording.end if recording.end is not None else recording.start)
    column = _group(_group(event, "instrument", "NXem_instrument"), "ebeam_column", "NXebeam_column")
    paths = _fields(event, stated_fields(recording))
    if "operation_mode" not in column:
        column["operation_mode"] = UNKNOWN
    signal = recording.signal
    if signal is not None:
        kind = "spectrum" if _energy(signal) else "image"
        _signal(_group(event, f"{kind}1", f"NX{kind}"), recording, signal)
        kept = _group(event, GROUP, "NXcollection")
        write_tree(kept, shown(tree_of(recording, signal)), {"NX_class": "NXcollection"})
        _links(kept, recording, paths)


def _fields(event: Any, stated: list[Stated]) -> dict[str, str]:
    """Write what the definition has a place for; the path of each field that was written."""
    wanted: dict[str, dict[str, Any]] = {}
    vectors: dict[str, dict[int, Stated]] = {}
    for item in stated:
        path, _, index = item.field.nxem.partition("[")
        if path and item.field.form != "time":
            if index:
                vectors.setdefault(path, {})[int(index.rstrip("]"))] = item
            else:
                folder, _, name = path.rpartition("/")
                wanted.setdefault(folder, {})[name] = item
    sizes = {"instrument/stage/position": 3, "instrument/optics/field_of_view": 2}
    for path, parts in vectors.items():
        folder, _, name = path.rpartition("/")
        if len(parts) == sizes[path]:
            wanted.setdefault(folder, {})[name] = [parts[index] for index in sorted(parts)]
    written: dict[str, str] = {}
    for folder, values in wanted.items():
        needed = REQUIRED.get(folder, {})
        if any(instead is None and name not in values for name, instead in needed.items()):
            continue
        group = event
        for name in folder.split("/"):
            group = _group(group, name, CLASSES[name.partition("_")[0] if name.startswith("lens_") else name])
        for name, value in values.items():
            for item in value if isinstance(value, list) else [value]:
                written[item.field.name] = f"{group.name}/{name}"
            _value(group, name, value)
        for name, instead in needed.items():
            if name not in values:
                _write(group, name, *(instead if isinstance(instead, tuple) else (instead, "")))
    return written


def _value(group: Any, name: str, value: Stated | list[Stated]) -> None:
    """A field, and beside it NAME_errors where evidence gives an error."""
    items = value if isinstance(value, list) else [value]
    unit, factor = SI.get(items[0].field.unit, ("", 1.0))
    if isinstance(items[0].value, str):
        _write(group, name, items[0].value, "")
        return
    numbers = [float(item.value) * factor for item in items]
    _write(group, name, np.asarray(numbers) if isinstance(value, list) else numbers[0], unit)
    errors = [item.error for item in items]
    if all(error is not None for error in errors):
        sizes = [float(error or 0.0) * factor for error in errors]
        # in the unit of the field: the definition knows no unit of its own for errors
        _write(group, f"{name}_errors", np.asarray(sizes) if isinstance(value, list) else sizes[0], "")


def _write(group: Any, name: str, value: Any, unit: str) -> None:
    group[name] = value
    if unit:
        group[name].attrs["units"] = unit


def _links(kept: Any, recording: Recording, paths: Mapping[str, str]) -> None:
    """For each field with a verdict, links to the value in the definition's place and to what the verdict rests on. What is linked says where it stands,
    in the attribute ``target``, as NeXus asks."""
    import h5py

    links = _group(kept, "links", "NXcollection")
    index = {item.id: number for number, item in enumerate(recording.evidence)}
    for verdict in recording.verdicts:
        targets = {"value": paths[verdict.field]} if verdict.field in paths else {}
        for number, name in enumerate(verdict.evidence):
            targets[f"evidence_{number}"] = f"{kept.name}/evidence/evidence_{index[name]}"
        for name, target in targets.items():
            kept.file[target].attrs["target"] = target
            _group(links, slug(verdict.field), "NXcollection")[name] = h5py.SoftLink(target)


def _signal(group: Any, recording: Recording, signal: Signal) -> None:
    """Data and axes of an NXimage or NXspectrum, and the file that they came from."""
    process = _group(group, "process", "NXprocess")
    detector = recording.stated("detector")
    process["detector_identifier"] = str(detector[0]) if detector else UNKNOWN
    if recording.path and recording.sha256:
        note = _group(process, "input", "NXnote")
        suffix = Path(recording.path).suffix.removeprefix(".") or UNKNOWN
        note.update(
            _texts(
                type=suffix,
                file_name=recording.path,
                checksum=recording.sha256,
                algorithm="sha256",
                context=recording.id,
            )
        )
    shape, names = _shape(signal)
    data = _group(group, shape, "NXdata")
    data["title"] = signal.title or recording.name
    axes = corrected_axes(recording, signal.axes)
    values, main = signal.data, "intensity" if shape.startswith("spectrum") else "real"
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype.kind == "c":
        if main == "intensity":
            raise ValueError(f"{recording.name}: NXem has no complex spectra")
        # the definition requires the real part beside it
        data["real"] = np.ascontiguousarray(np.real(values))
        data["real"].attrs["long_name"] = "real part"
        main = "complex"
    data[main] = values
    if (shape, main) != ("image_2d", "complex"):  # there the definition forgot the attribute
        data[main].attrs["long_name"] = "as recorded"
    data.attrs["signal"] = main
    data.attrs["axes"] = names
    for number, (axis, name) in enumerate(zip(axes, names, strict=True)):
        data.attrs[f"{name}_indices"] = np.uint32(number)
        _axis(data, name, axis)


def _axis(data: Any, name: str, axis: Axis) -> None:
    if name.startswith("indices"):
        data[name] = np.arange(axis.size, dtype=np.int64)
    else:
        data[name] = axis.offset + axis.scale * np.arange(axis.size, dtype=np.float64)
        unit = {"electronvolt": "eV", "radian": "rad", "second": "s"}.get(axis.unit or "", axis.unit or "")
        if unit:
            data[name].attrs["units"] = unit
    data[name].attrs["long_name"] = f"{axis.name} ({axis.unit or 'index'})"


def _energy(signal: Signal) -> bool:
    """Whether the definition's spectra hold it: channels of energy last, positions in lengths. Others are images, whose axes may have any unit or none."""
    *positions, last = signal.axes
    return last.unit == "electronvolt" and all(axis.unit == "angstrom" for axis in positions)


def _shape(signal: Signal) -> tuple[str, list[str]]:
    """Name of the NXdata group, and of its axes from the slowest on. ValueError for more dimensions than the definition has."""
    dimensions = signal.data.ndim
    if _energy(signal):
        if dimensions > 4:
            raise ValueError(f"NXem has no spectra of {dimensions} dimensions")
        return f"spectrum_{dimensions - 1}d", [*["axis_k", "axis_j", "axis_i"][4 - dimensions :], "axis_energy"]
    if dimensions > 4:
        raise ValueError(f"NXem has no images of {dimensions} dimensions")
    if dimensions == 3 and signal.axes[0].unit is None:
        return "stack_2d", ["indices_image", "axis_j", "axis_i"]
    return f"image_{dimensions}d", ["axis_m", "axis_k", "axis_j", "axis_i"][4 - dimensions :]
