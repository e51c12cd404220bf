"""EMD 1.0 (Berkeley): one tree ``emtwin`` with an array for each signal, its claims and verdicts as metadata of the array; and groups ``microscope``,
``sample``, ``user`` and ``comments`` at the root, as readers of earlier versions look for them."""

import uuid
from pathlib import Path
from typing import Any

from instrument.export.fields import stated_fields
from instrument.export.record import Record, Recording
from instrument.export.tree import GROUP, corrected_axes, shown, slug, tree_of
from instrument.export.writers.hdf5 import write_tree
from instrument.export.writers.nxem import iso
from twin.records import Axis, Signal

ROOT = "emtwin"
_UNITS = {"angstrom": "Å", "1/angstrom": "1/Å", "radian": "rad", "electronvolt": "eV", "second": "s"}


def write_emd(record: Record, path: Path) -> None:
    """Write all signals into one file."""
    import h5py

    agent = record.agent("software")
    with h5py.File(path, "w") as file:
        file.attrs.update(
            emd_group_type="file", version_major=1, version_minor=0, UUID=str(uuid.uuid4()), authoring_user="",
            authoring_program=f"{agent.name} {agent.version}".strip() if agent else "emtwin",
        )  # fmt: skip
        _groups(file, record)
        root = file.create_group(ROOT)
        root.attrs.update(emd_group_type="root", python_class="Root")
        for number, recording in enumerate(record.recordings):
            if recording.signal is not None:
                # names of one length: RosettaSciIO joins arrays whose name begins as that of another
                _array(root.create_group(f"signal_{number:06d}"), recording, recording.signal)


def _groups(file: Any, record: Record) -> None:
    """What all recordings have in common as attributes: fields that differ are only with the arrays."""
    microscope, common = file.create_group("microscope"), _common(record)
    instrument = record.agent("instrument")
    if instrument is not None:
        microscope.attrs["name"] = instrument.name
    for name, (value, unit) in common.items():
        microscope.attrs[name] = value
        if unit not in (None, "1"):
            microscope.attrs[f"{name}_units"] = unit
    sample = record.sample
    file.create_group("sample").attrs.update(
        name=sample.name, elements=", ".join(sample.elements), simulated=sample.simulated
    )
    file.create_group("user")
    file.create_group("comments").attrs.update(source=Path(record.source).name, exported=iso(record.created))


def _common(record: Record) -> dict[str, tuple[Any, str]]:
    """Fields that every recording states with one value: {name: (value, unit)}."""
    result: dict[str, list[tuple[Any, str]]] = {}
    for recording in record.recordings:
        for item in stated_fields(recording):
            result.setdefault(item.field.name, []).append((item.value, item.field.unit))
    size = len(record.recordings)
    return {slug(name): said[0] for name, said in result.items() if len(said) == size and len(set(said)) == 1}


def _array(group: Any, recording: Recording, signal: Signal) -> None:
    group.attrs.update(emd_group_type="array", python_class="Array")
    data = group.create_dataset("data", data=signal.data)
    data.attrs["units"] = ""
    for index, axis in enumerate(corrected_axes(recording, signal.axes)):
        _dimension(group, index, axis)
    bundle = group.create_group("metadatabundle")
    bundle.attrs["emd_group_type"] = "metadatabundle"
    kept = bundle.create_group(GROUP)
    kept.attrs.update(emd_group_type="metadata", python_class="Metadata")
    write_tree(kept, shown(tree_of(recording, signal), raw=dict(signal.raw)), {}, kinds=True)


def _dimension(group: Any, index: int, axis: Axis) -> None:
    """First and second coordinate of an even axis (all of a single pixel), as EMD has it."""
    values = [axis.offset + axis.scale * number for number in range(min(axis.size, 2))]
    dimension = group.create_dataset(f"dim{index}", data=values)
    dimension.attrs.update(name=axis.name, units=_UNITS.get(axis.unit or "", axis.claimed_unit or "pixels"))
