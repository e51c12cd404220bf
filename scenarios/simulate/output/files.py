"""Files of a simulation: the folder of an unfinished one, and the result as a Zarr v3 store or in HyperSpy's layout.

Unfinished, FILE.part holds ``job.json`` (what is computed, by which versions) and one ``piece-START-STOP.npy`` for each piece that is done, written under
another name first: after a kill at any moment what is there is whole. Finished, the result is written beside the pieces and renamed to FILE.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from scenarios.io.atomic_output import write_whole
from scenarios.io.errors import BadInput
from twin.simulation.provenance import versions
from twin.simulation.recording import Axis, Recording
from twin.simulation.spectrum.run import LOSS

FORMS = (".zarr", ".hspy", ".zspy")
JOB = "emtwin.simulate-job/1"
_PIECE = re.compile(r"piece-(\d{9})-(\d{9})\.npy")


def picture_of(out: Path) -> Path:
    """The picture that goes with the result ``out``."""
    return out.with_suffix(".png")


def part_of(out: Path) -> Path:
    """The folder of ``out`` while it is unfinished."""
    return out.with_name(out.name + ".part")


def check_out(out: Path, resume: bool) -> None:
    """BadInput unless ``out`` can be written: a form there is, nothing in the way, and a part to go on from just where it is wanted."""
    where = f"--out {out}"
    if out.suffix not in FORMS:
        raise BadInput(where, f"{out.suffix or 'no ending'} is no form of results", f"End it in {', '.join(FORMS)}.")
    if out.suffix == ".zspy" and not _zspy_writes():
        raise BadInput(
            where,
            "the RosettaSciIO that is installed writes .zspy only with Zarr 2",
            "End it in .hspy (HyperSpy reads it as well) or .zarr.",
        )
    for path in (out, picture_of(out)):
        if (path.exists() or path.is_symlink()) and not (resume and path == picture_of(out)):
            raise BadInput(where, f"{path} exists already", "Name a file that does not exist, or remove it.")
    if not out.parent.is_dir():
        raise BadInput(where, f"there is no folder {out.parent}", "Make the folder first.")
    part = part_of(out)
    if resume and not (part / "job.json").is_file():
        raise BadInput(where, f"there is no interrupted simulation {part}", "Leave --resume out to begin anew.")
    if not resume and part.exists():
        raise BadInput(where, f"an unfinished simulation lies in {part}", "Go on with --resume, or remove it.")


def _zspy_writes() -> bool:
    import zarr.storage

    # the store that RosettaSciIO's writer asks for; Zarr 3 has none of that name
    return hasattr(zarr.storage, "NestedDirectoryStore")


def begin(out: Path, scenario: dict[str, Any], structure: str) -> Path:
    """The folder of an unfinished simulation of ``scenario`` on the specimen with the hash ``structure``, new."""
    part = part_of(out)
    part.mkdir()
    job = {"schema": JOB, "scenario": scenario, "structure_hash": structure, "versions": versions()}
    write_whole(json.dumps(job, indent=1).encode(), part / "job.json")
    return part


def recorded(out: Path) -> tuple[dict[str, Any], str]:
    """The scenario that the unfinished ``out`` is computed from, and its specimen's hash; BadInput if it cannot be read, or other versions began it."""
    path = part_of(out) / "job.json"
    try:
        job = json.loads(path.read_text())
        scenario, structure, begun = job["scenario"], str(job["structure_hash"]), dict(job["versions"])
        if job["schema"] != JOB or not isinstance(scenario, dict):
            raise ValueError(f"its schema is not {JOB}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(str(path), f"cannot be read: {error}", f"Remove {path.parent} and begin anew.") from None
    other = [f"{name} {begun.get(name)}, now {now}" for name, now in versions().items() if begun.get(name) != now]
    if other:
        raise BadInput(str(path), f"was begun with {'; '.join(other)}", f"Use those, or remove {path.parent}.")
    return scenario, structure


def save_piece(part: Path, start: int, stop: int, array: np.ndarray) -> None:
    """Keep what belongs to items ``start`` to ``stop``."""
    path = part / f"piece-{start:09d}-{stop:09d}.npy"
    other = path.with_suffix(".writing")
    with other.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    os.replace(other, path)


def pieces(part: Path) -> list[tuple[int, int, Path]]:
    """(start, stop, file) of the pieces that follow each other from 0 on; later ones, which nothing leads to, are left out."""
    saved = sorted(
        (int(match[1]), int(match[2]), path) for path in part.iterdir() if (match := _PIECE.fullmatch(path.name))
    )
    chain: list[tuple[int, int, Path]] = []
    for start, stop, path in saved:
        if start == (chain[-1][1] if chain else 0):
            chain.append((start, stop, path))
    return chain


def drop_if_empty(part: Path) -> None:
    """Remove the folder of a simulation that failed before its first piece was done: there is nothing to go on from."""
    if not pieces(part):
        shutil.rmtree(part)


def gathered(part: Path) -> np.ndarray:
    """All pieces as one array."""
    return np.concatenate([np.load(path, allow_pickle=False) for _, _, path in pieces(part)])


def publish(out: Path, part: Path, recording: Recording, provenance: dict[str, Any], picture: bytes) -> None:
    """Write result and picture, put them where they belong, and remove the pieces."""
    made = part / f"result{out.suffix}"
    if made.is_dir():
        shutil.rmtree(made)
    elif made.exists():
        made.unlink()
    if out.suffix == ".zarr":
        write_zarr(made, recording, provenance)
    else:
        write_hyperspy(made, recording, provenance, out.stem)
    write_whole(picture, part / "picture.png")
    os.replace(part / "picture.png", picture_of(out))
    os.rename(made, out)
    shutil.rmtree(part)


def write_zarr(path: Path, recording: Recording, provenance: dict[str, Any]) -> None:
    """A Zarr v3 group: array ``data`` with named dimensions, ``patterns`` beside a STEM image, one array of coordinates for each dimension, and the provenance
    as attributes."""
    import zarr

    group = zarr.create_group(store=path, zarr_format=3, attributes=provenance)
    arrays = {"data": recording} if recording.patterns is None else {"data": recording, "patterns": recording.patterns}
    for name, made in arrays.items():
        data, axes = made.data, made.axes
        stored = group.create_array(
            name, shape=data.shape, dtype=data.dtype, chunks=_chunks(data.shape, axes), dimension_names=[axis.name for axis in axes],
            attributes={"quantity": made.quantity, "units": made.unit, "axes": [axis.as_dict() for axis in axes]},
        )  # fmt: skip
        stored[...] = data
    for axis in {axis.name: axis for made in arrays.values() for axis in made.axes}.values():
        coordinates = group.create_array(
            axis.name, shape=(axis.size,), dtype="float64", dimension_names=[axis.name],
            attributes={"units": axis.unit, **({"labels": list(axis.labels)} if axis.labels else {})},
        )  # fmt: skip
        coordinates[...] = axis.values()


def _chunks(shape: tuple[int, ...], axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """Whole recordings, one line of them in a chunk where they are numbered along two axes."""
    numbered = [dimension for dimension, axis in enumerate(axes) if axis.navigate]
    return tuple(
        1 if dimension in numbered[:-1] or len(numbered) == 1 == dimension + 1 else size
        for dimension, size in enumerate(shape)
    )


def write_hyperspy(path: Path, recording: Recording, provenance: dict[str, Any], title: str) -> None:
    """HyperSpy's layout, through RosettaSciIO's writer of that ending: axes with units, the provenance as original metadata. Patterns beside a STEM
    image are a second signal of the file."""
    import importlib

    writer = importlib.import_module(f"rsciio.{path.suffix[1:]}")
    axes = [
        {
            "_type": "UniformDataAxis", "name": axis.name, "units": "Å" if axis.unit == "angstrom" else axis.unit, "offset": axis.offset,
            "scale": axis.scale, "size": axis.size, "navigate": axis.navigate, "is_binned": False,
        }
        for axis in recording.axes
    ]  # fmt: skip
    metadata = {
        "General": {"title": title, "original_filename": ""},
        "Signal": {
            "signal_type": "EELS" if recording.axes[-1].name == LOSS else "",
            "quantity": f"{recording.quantity} ({recording.unit})",
        },
        "_HyperSpy": {
            "Folding": {
                "unfolded": False,
                "signal_unfolded": False,
                "original_shape": None,
                "original_axes_manager": None,
            }
        },
    }
    signal = {
        "data": recording.data, "axes": axes, "metadata": metadata, "original_metadata": {"emtwin": json.dumps(provenance)},
        "tmp_parameters": {}, "package_info": {"package": "", "package_version": ""},
        "learning_results": {}, "attributes": {"_lazy": False, "ragged": False}, "models": {},
    }  # fmt: skip
    writer.file_writer(str(path), signal)
    if recording.patterns is not None:
        _add_patterns(path, recording.patterns, provenance, f"{title} patterns")


def _add_patterns(path: Path, patterns: Recording, provenance: dict[str, Any], title: str) -> None:
    """Put ``patterns`` into the .hspy file ``path``, as the experiment ``title``."""
    import h5py

    other = path.with_name(f"patterns-{path.name}")
    write_hyperspy(other, patterns, provenance, title)
    with h5py.File(path, "a") as into, h5py.File(other) as of:
        of.copy(f"Experiments/{title}", into["Experiments"])
    other.unlink()
