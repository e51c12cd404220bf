"""EMPAD and Nion Swift files."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FIRST = """<?xml version="1.0"?>
<root>
  <raw_file filename="scan_x{x}_y{y}.raw"/>
  <pix_x>{x}</pix_x><pix_y>{y}</pix_y>
  <exposure_time>1.0</exposure_time>
  <timestamp isoformat="2019-06-07T14:02:03+02:00"/>
  <iom_measurements>
    <high_voltage>80000.0</high_voltage>
    <nominal_camera_length>0.285</nominal_camera_length>
    <calibrated_pixelsize>1.8e-10</calibrated_pixelsize>
    <full_scan_field_of_view><x>3.6e-9</x><y>3.6e-9</y><scale_factor>0.72</scale_factor></full_scan_field_of_view>
  </iom_measurements>
</root>
"""
SECOND = """<root>
  <sensor><type>EMPAD2</type></sensor>
  <scan><exposure_time>0.0001</exposure_time></scan>
  <iom_measurements>
    <ColumnGetScanRotation>-2.8274333882308174</ColumnGetScanRotation>
    <ColumnOpticsGetCameraLengthNominalCameraLength>1.197</ColumnOpticsGetCameraLengthNominalCameraLength>
    <ColumnOpticsGetFullScanFieldOfViewx>5.0e-8</ColumnOpticsGetFullScanFieldOfViewx>
    <ColumnSourceHighVoltage>300000.0</ColumnSourceHighVoltage>
    <calibrated_diffraction_angle>0.00025</calibrated_diffraction_angle>
    <calibrated_pixelsize>2.1351760370570334e-12</calibrated_pixelsize>
  </iom_measurements>
  <rawfile><filename>scan_x{x}_y{y}.raw</filename></rawfile>
</root>
"""


def empad(path: Path, x: int = 4, y: int = 2, text: str = FIRST, rows: int = 130) -> np.ndarray:
    """The XML file ``path`` and its RAW file; returns the patterns [y, x, 128, 128]."""
    patterns = np.random.default_rng(1).random((y, x, rows, 128), dtype=np.float32)
    path.write_text(text.format(x=x, y=y))
    patterns.astype("<f4").tofile(path.parent / f"scan_x{x}_y{y}.raw")
    return patterns[:, :, :128]


NION: dict[str, Any] = {
    "title": "HAADF",
    "created": "2021-07-13T20:44:36.123456",
    "modified": "2021-07-13T20:50:00",
    "is_sequence": False,
    "collection_dimension_count": 0,
    "datum_dimension_count": 2,
    "dimensional_calibrations": [{"offset": -4.0, "scale": 0.5, "units": "nm"}, {"offset": -8.0, "scale": 0.25, "units": "nm"}],
    "intensity_calibration": {"offset": 0.0, "scale": 1.0, "units": "counts"},
    "metadata": {
        "instrument": {"high_tension": 100000.0, "defocus": -5e-07},
        "hardware_source": {"channel_name": "HAADF", "pixel_time_us": 32.0, "exposure": 0.52, "valid_rows": 16},
        "scan": {
            "fov_nm": 8.0, "rotation": 0.1,
            "scan_device_properties": {"ImageScanned:C10": -5e-07, "ImageScanned:EHT": 100003.0, "ImageScanned:StageOutA": 0.02, "ImageScanned:probe_ha": 0.03},
        },
    },
}  # fmt: skip
PIXELS = np.arange(16 * 64, dtype=np.float32).reshape(16, 64)


def ndata(path: Path, properties: dict[str, Any] = NION, data: np.ndarray = PIXELS) -> Path:
    """An NDATA file."""
    stored = io.BytesIO()
    np.save(stored, data)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", stored.getvalue())
        archive.writestr("metadata.json", json.dumps(properties))
    return path


def nion_h5(path: Path, properties: dict[str, Any] = NION, data: np.ndarray = PIXELS) -> Path:
    """A data item as Nion Swift's library keeps large ones (.h5), or one exported (.nhdf)."""
    with h5py.File(path, "w") as file:
        name = "data/0" if path.suffix == ".nhdf" else "data"
        file.create_dataset(name, data=data).attrs["properties"] = json.dumps(properties)
    return path
