"""NeXus, HyperSpy and Berkeley's EMD files."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from rsciio.hspy import file_writer as write_hspy

PIXELS = np.arange(12 * 20, dtype=np.uint16).reshape(12, 20)


def nexus(path: Path, step: float = 0.5, units: str = "nm", y: np.ndarray | None = None) -> Path:
    """An NXem file with two events, each with an image [12, 20]; the second at 80 kV."""
    with h5py.File(path, "w") as file:
        file.attrs["NX_class"] = "NXroot"
        entry = group(file, "entry1", "NXentry")
        entry["definition"] = "NXem"
        entry["start_time"] = "2024-03-01T12:00:00+01:00"
        measurement = group(entry, "measurement", "NXem_measurement")
        for number, (volts, rows) in enumerate(((300e3, y), (80e3, None)), start=1):
            event = group(measurement, f"event{number}", "NXem_event_data")
            event["start_time"] = f"2024-03-01T12:0{number}:00.500+01:00"
            instrument = group(event, "instrument", "NXem_instrument")
            field(instrument, "ebeam_column/electron_source/voltage", volts, "V")
            field(instrument, "optics/defocus", -50.0, "nm")
            field(instrument, "optics/semi_convergence_angle", 21.4, "mrad")
            field(instrument, "optics/camera_length", 0.1, "")
            field(instrument, "stage/tilt1", 1.5, "deg")
            field(instrument, "stage/position", np.array([1.0, -2.0, 0.5]), "um")
            image = group(event, "image1", "NXimage")
            data = group(image, "image_2d", "NXdata")
            data.attrs["signal"], data.attrs["axes"] = "intensity", ["axis_j", "axis_i"]
            data.attrs["axis_j_indices"], data.attrs["axis_i_indices"] = 0, 1
            data["intensity"] = PIXELS
            field(data, "axis_j", np.arange(12) * -step + 6.0 if rows is None else rows, units)
            field(data, "axis_i", np.arange(20) * step, units)
    return path


def group(parent: Any, name: str, kind: str) -> Any:
    made = parent.create_group(name)
    made.attrs["NX_class"] = kind
    return made


def field(parent: Any, name: str, value: Any, units: str) -> None:
    parent[name] = value
    if units:
        parent[name].attrs["units"] = units


HYPERSPY: dict[str, Any] = {
    "General": {"title": "survey", "date": "2021-03-25", "time": "17:00:46", "time_zone": "Europe/Berlin"},
    "Acquisition_instrument": {
        "TEM": {
            "beam_energy": 200.0, "beam_current": 0.05, "camera_length": 115.0, "convergence_angle": 30.0, "magnification": 2e6, "microscope": "a column",
            "dwell_time": 2e-5, "defocus": -20.0, "defocus_units": "nm",
            "Detector": {"EELS": {"collection_angle": 33.0}}, "Stage": {"tilt_alpha": 1.5, "tilt_beta": -2.0, "x": 0.1, "y": -0.2, "z": 0.03},
        }
    },
    "Signal": {"signal_type": ""},
}  # fmt: skip


def hyperspy_signal(scale: float = 0.02, units: str = "nm", **axis: Any) -> dict[str, Any]:
    """An image [12, 20] for RosettaSciIO's writers; ``axis`` replaces entries of the axis along y."""
    axes = [
        {
            "size": 12,
            "index_in_array": 0,
            "name": "y",
            "scale": 2 * scale,
            "offset": -1.0,
            "units": units,
            "navigate": False,
        }
        | axis,
        {
            "size": 20,
            "index_in_array": 1,
            "name": "x",
            "scale": scale,
            "offset": 0.0,
            "units": units,
            "navigate": False,
        },
    ]
    return {
        "data": PIXELS, "axes": axes, "metadata": HYPERSPY, "original_metadata": {"Optics": {"AccelerationVoltage": "300000"}}, "attributes": {"_lazy": False},
        "package_info": {"package": "hyperspy", "package_version": "2.0"}, "tmp_parameters": {}, "learning_results": {}, "models": {},
    }  # fmt: skip


def berkeley(path: Path, second: np.ndarray | None = None, **attributes: Any) -> Path:
    """An EMD 1.0 file of one image [12, 20] along x and y, with attributes of the microscope group."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 1, 0
        entry = file.create_group("data/image")
        entry.attrs["emd_group_type"] = 1
        entry.create_dataset("data", data=PIXELS)
        for number, (name, values) in enumerate(
            (("x", np.arange(12) * 0.5), ("y", np.arange(20) * 0.5 if second is None else second)), start=1
        ):
            dim = entry.create_dataset(f"dim{number}", data=values)
            dim.attrs["name"], dim.attrs["units"] = name, "[n_m]"
        microscope = file.create_group("microscope")
        for name, value in attributes.items():
            microscope.attrs[name] = value
    return path


def hspy(path: Path, signal: dict[str, Any] | None = None) -> Path:
    """HyperSpy's HDF5 file, by RosettaSciIO's writer."""
    write_hspy(path, signal or hyperspy_signal())
    return path


def zspy(path: Path, signal: dict[str, Any], zipped: bool = False) -> Path:
    """HyperSpy's Zarr store, or a zip file of it: RosettaSciIO's HDF5 file copied group by group (its writer of Zarr needs version 2 of the library)."""
    source, folder = path.with_suffix(".source.hspy"), path.with_suffix(".folder") if zipped else path
    hspy(source, signal)
    with h5py.File(source) as file:
        tree = _read(
            file
        )  # as a whole: both libraries wait for each other's threads where one is used within the other
    source.unlink()
    root = zarr.open_group(folder, mode="w", zarr_format=2)
    _write(tree, root)
    root.attrs.update(file_format="ZSpy")
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            for part in sorted(item for item in folder.rglob("*") if item.is_file()):
                archive.write(part, part.relative_to(folder))
    return path


def _read(group: h5py.Group) -> dict[str, Any]:
    attributes = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in group.attrs.items()}
    children = {
        name: _read(entry) if isinstance(entry, h5py.Group) else entry[...] for name, entry in list(group.items())
    }
    return {"attributes": attributes, "children": children}


def _write(tree: dict[str, Any], group: zarr.Group) -> None:
    group.attrs.update(tree["attributes"])
    for name, entry in tree["children"].items():
        if isinstance(entry, dict):
            _write(entry, group.create_group(name))
        elif entry.dtype.kind in "iuf":
            group.create_array(name, data=entry)
