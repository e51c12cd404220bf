"""A corrected copy of a HyperSpy file (.hspy, .zspy) or of an emtwin Zarr store: changed is only what a verdict refutes and a suggestion replaces.

The claims as they were, verdicts, evidence and a list of the changes stand in the copy; the original is read and never opened for writing.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from instrument.export.record import ExportError, Record, Recording
from instrument.export.store import correct_store
from instrument.export.tree import GROUP, change, corrected_axes, field_of_axis, tree_of
from instrument.export.writers.hdf5 import plain
from instrument.export.writers.hyperspy import place_of, placed
from twin.records import Axis

KINDS = (".hspy", ".zspy", ".zarr")


def write_corrected(
    original: Path, copy: Path, recordings: Sequence[Recording], record: Record
) -> list[dict[str, Any]]:
    """Make ``copy`` from ``original`` with the corrections of its ``recordings`` (with signals, in the file's order); the changes that were made.

    A change is {"recording", "field", "place", "before", "after", "evidence"}. ExportError where the format keeps no corrections, where the copy would be the
    original or lie in it, where there is something already, and where a recording is not one of the file's; nothing is left then.
    """
    check_copy(original, copy)
    if not recordings or any(item.signal is None for item in recordings):
        raise ExportError(
            str(original), "is corrected only together with its data", "Read the recordings with their signals."
        )
    draft = copy.with_name(f".draft-{copy.name}")
    try:
        if original.is_dir():
            shutil.copytree(original, draft)
        else:
            shutil.copyfile(original, draft)
        note = _note(original, recordings, record)
        if copy.suffix == ".zarr":
            if len(recordings) > 1:
                problem = f"holds {len(recordings)} recordings, and corrections are kept of one"
                raise ExportError(str(original), problem, "Simulate images and patterns apart, or write a side-car.")
            changes = correct_store(draft, recordings[0], note)
        else:
            changes = _correct_hyperspy(draft, recordings, note)
        draft.rename(copy)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)
        raise
    return changes


def check_copy(original: Path, copy: Path) -> None:
    """ExportError unless ``copy`` is a new path of the same format outside of ``original``."""
    where = str(copy)
    if original.suffix.lower() not in KINDS:
        cure = f"Write a side-car ({original.name}.emtwin.json), or export it: emtwin session export."
        raise ExportError(str(original), f"is no file that corrections are written into ({', '.join(KINDS)})", cure)
    if original.suffix == ".zspy" and not original.is_dir():
        raise ExportError(str(original), "is a zipped store, which cannot be changed", "Unpack it into a folder first.")
    if copy.suffix != original.suffix:
        raise ExportError(
            where,
            f"ends in {copy.suffix or 'nothing'} where the original is a {original.suffix} file",
            f"End it in {original.suffix}.",
        )
    if copy.exists() or copy.is_symlink():
        same = copy.exists() and os.path.samefile(original, copy)
        problem = "is the original itself" if same else "exists already"
        raise ExportError(where, problem, "Name a copy that does not exist.")
    if not copy.parent.is_dir():
        raise ExportError(where, f"{copy.parent} is not a folder", "Name a copy in a folder that exists.")
    if copy.resolve().is_relative_to(original.resolve()):
        raise ExportError(where, "lies within the original", "Name a copy outside of it.")


def _note(original: Path, recordings: Sequence[Recording], record: Record) -> dict[str, Any]:
    """Where the copy comes from: the original's name and checksum, the program, and when."""
    software = record.agent("software")
    return {
        "original": original.name,
        "original_sha256": recordings[0].sha256,
        "program": f"{software.name} {software.version}".strip() if software else "emtwin",
        "corrected_ns": record.created,
    }


def _correct_hyperspy(path: Path, recordings: Sequence[Recording], note: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Correct the axes and HyperSpy's own metadata of every signal of a file, in place."""
    changes: list[dict[str, Any]] = []
    with _opened(path) as root:
        experiments = [root[f"Experiments/{name}"] for name in sorted(root["Experiments"])]
        if len(experiments) != len(recordings):
            raise ExportError(
                str(path),
                f"has {len(experiments)} signals where {len(recordings)} were validated",
                "Validate it again.",
            )
        for experiment, recording in zip(experiments, recordings, strict=True):
            made = [*_correct_axes(experiment, recording), *_correct_places(experiment, recording)]
            assert recording.signal is not None
            listed = {f"change_{index}": item for index, item in enumerate(made)}
            metadata = experiment["metadata"]
            if GROUP in metadata:
                del metadata[GROUP]
            _put(metadata, GROUP, {**tree_of(recording, recording.signal), "correction": {**note, "changes": listed}})
            changes += made
    return changes


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The root group of an .hspy or .zspy file, for writing."""
    if path.is_dir():
        import zarr

        yield zarr.open_group(str(path), mode="r+")
        return
    import h5py

    with h5py.File(path, "r+") as file:
        yield file


def _correct_axes(experiment: Any, recording: Recording) -> Iterator[dict[str, Any]]:
    """Scale and offset of axes as factors and differences of what the file has, whatever its units."""
    assert recording.signal is not None
    before = recording.signal.axes
    for index, (axis, wanted) in enumerate(zip(before, corrected_axes(recording, before), strict=True)):
        if axis == wanted:
            continue
        key = _axis_key(experiment, axis, index)
        attributes = experiment[key].attrs
        if "scale" not in attributes:
            problem = f"keeps the axis {axis.name!r} as a list of coordinates, which is not corrected"
            raise ExportError(recording.path, problem, "Convert it to a uniform axis in HyperSpy.")
        scale, offset = float(attributes["scale"]), float(attributes["offset"])
        unit = scale / axis.scale  # of the file, in inside units
        after = {"scale": wanted.scale * unit, "offset": offset + (wanted.offset - axis.offset) * unit}
        for what, old in (("scale", scale), ("offset", offset)):
            if after[what] != old:
                attributes[what] = after[what]
                yield change(recording, field_of_axis(recording, axis), f"{key}.{what}", old, after[what])


def _axis_key(experiment: Any, axis: Axis, index: int) -> str:
    """The group of an axis: by its name and size, since readers may put the channels last; by its place where that leaves several."""
    keys = [key for key in experiment if key.startswith("axis-")]
    alike = [
        key
        for key in keys
        if plain(experiment[key].attrs.get("name")) == axis.name and int(experiment[key].attrs["size"]) == axis.size
    ]
    return alike[0] if len(alike) == 1 else f"axis-{index}"


def _correct_places(experiment: Any, recording: Recording) -> Iterator[dict[str, Any]]:
    """HyperSpy's own metadata of the fields that a verdict corrects."""
    assert recording.signal is not None
    right = placed(recording, recording.signal)
    for verdict in recording.verdicts:
        location = place_of(verdict.field, recording.signal)
        if not (verdict.corrects and location):
            continue
        *groups, key = location.split(".")
        group = experiment["metadata"]
        for name in groups:
            group = group[name] if name in group else group.create_group(name)
        before = plain(group.attrs[key]) if key in group.attrs else None
        group.attrs[key] = right[location]
        yield change(recording, verdict.field, f"metadata.{location}", before, right[location])


def _put(group: Any, name: str, tree: Mapping[str, Any]) -> None:
    """A nested dict as HyperSpy keeps metadata: groups with attributes; what is None is left out."""
    inner = group.create_group(name)
    for key, value in tree.items():
        if isinstance(value, Mapping):
            _put(inner, key, value)
        elif value is not None:
            inner.attrs[key] = value
