"""HyperSpy files (.hspy, .zspy): data with corrected axes, metadata in HyperSpy's own places, claims and verdicts under ``metadata.emtwin``.

Units are those of HyperSpy's metadata structure: keV, nA, mrad, mm, degree, second. The metadata of the source stay as ``original_metadata``.
"""

import importlib
from pathlib import Path
from typing import Any

from instrument.export.fields import stated_fields
from instrument.export.record import Record, Recording
from instrument.export.tree import GROUP, corrected_axes, tree_of
from twin.records import HYPERSPY_PLACES, Axis, Signal
from twin.units import read_unit

PLACES: dict[str, tuple[str, float]] = {
    entry.field: (entry.key, unit.factor if entry.unit and (unit := read_unit(entry.unit)) else 1.0)
    for entry in HYPERSPY_PLACES
    if entry.written is True
}
"""Where HyperSpy keeps a field, and the size of its unit there in inside units."""
_SPECTRA = {entry.field: entry.key for entry in HYPERSPY_PLACES if entry.written == "spectra"}
"""The same for spectra of energy loss, in seconds."""
_UNITS = {"angstrom": "Å", "1/angstrom": "1/Å", "radian": "rad", "electronvolt": "eV", "second": "s"}


def write_hyperspy(record: Record, path: Path) -> None:
    """Write all signals: one into the file ``path`` if its name ends in .hspy or .zspy, else each into a file of the new folder ``path``.

    ValueError where several signals shall go into one file.
    """
    items = [(recording, signal) for recording in record.recordings if (signal := recording.signal) is not None]
    if path.suffix in (".hspy", ".zspy"):
        if len(items) != 1:
            raise ValueError(f"{len(items)} signals do not go into one {path.suffix} file; name a folder (no ending)")
        write_signal(path, *items[0])
        return
    path.mkdir()
    for number, (recording, signal) in enumerate(items):
        write_signal(path / f"{number:05d}.hspy", recording, signal)


def write_signal(path: Path, recording: Recording, signal: Signal) -> None:
    """One signal into one file, through RosettaSciIO's writer of that ending."""
    package = {"package": "", "package_version": ""}
    shown = 1 if signal.kind.startswith("spectrum") else 2
    axes = [
        _axis(axis, index < signal.data.ndim - shown)
        for index, axis in enumerate(corrected_axes(recording, signal.axes))
    ]
    content = {
        "data": signal.data, "axes": axes,
        "metadata": metadata_of(recording, signal), "original_metadata": nested(dict(signal.raw)),
        "tmp_parameters": {}, "package_info": package, "learning_results": {},
        "attributes": {"_lazy": False, "ragged": False}, "models": {},
    }  # fmt: skip
    importlib.import_module(f"rsciio.{path.suffix[1:]}").file_writer(str(path), content)


def metadata_of(recording: Recording, signal: Signal) -> dict[str, Any]:
    """HyperSpy's metadata of a signal, with the tree of claims and verdicts."""
    tree = tree_of(recording, signal)
    unfolded = {"unfolded": False, "signal_unfolded": False, "original_shape": None, "original_axes_manager": None}
    metadata: dict[str, Any] = {
        "General": {"title": signal.title or recording.name, "original_filename": Path(recording.path).name},
        "Signal": {"signal_type": "EELS" if _is_loss(signal) else ""},
        "_HyperSpy": {"Folding": unfolded},
        GROUP: tree,
    }
    for name, value in placed(recording, signal).items():
        _put(metadata, name, value)
    return metadata


def placed(recording: Recording, signal: Signal) -> dict[str, Any]:
    """What goes into HyperSpy's own places: {dotted place: value}."""
    result: dict[str, Any] = {}
    for item in stated_fields(recording):
        if where := place_of(item.field.name, signal):
            size = PLACES.get(item.field.name, (where, 1.0))[1]
            result[where] = item.value if isinstance(item.value, (str, bool)) else item.value / size
    if recording.start is not None:
        from datetime import UTC, datetime

        at = datetime.fromtimestamp(recording.start / 1e9, UTC)
        result |= {
            "General.date": at.date().isoformat(),
            "General.time": at.time().isoformat(),
            "General.time_zone": "UTC",
        }
    return result


def place_of(name: str, signal: Signal) -> str:
    """HyperSpy's place for a field of a signal; "" for none."""
    if _is_loss(signal) and name in _SPECTRA:
        return _SPECTRA[name]
    return PLACES.get(name, ("", 1.0))[0]


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested dicts; a key that is both a value and a prefix of others keeps its value under ``_value``."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        _put(tree, key, value)
    return tree


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for name in parents:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            inner = tree[name] = {"_value": inner}
        tree = inner
    if isinstance(tree.get(last), dict):
        tree[last]["_value"] = value
    else:
        tree[last] = value


def _axis(axis: Axis, navigate: bool) -> dict[str, Any]:
    unit = _UNITS.get(axis.unit or "", axis.claimed_unit)
    return {
        "_type": "UniformDataAxis", "name": axis.name, "units": unit, "offset": axis.offset, "scale": axis.scale, "size": axis.size,
        "navigate": navigate, "is_binned": False,
    }  # fmt: skip


def _is_loss(signal: Signal) -> bool:
    """Whether a spectrum is one of energy loss, and not of X-rays: it claims something of a spectrometer."""
    spectral = any(axis.unit == "electronvolt" for axis in signal.axes)
    return spectral and any(name in signal.claims for name in ("collection_semiangle", "drift_tube"))
