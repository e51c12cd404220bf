"""A session of a heating experiment: files (EMD 1.0) of images, and the holder's log in columns, with a drift, a stale temperature and a wrong pixel size."""

import datetime
from pathlib import Path

import h5py
import numpy as np

from reconstruct.validation.rules.file_times import SECOND

START = 1_772_359_200 * SECOND
"""2026-03-01 10:00:00 UTC."""
RAMP, DRIFT = (1200, 1680), (2400, 3000)
"""Seconds of the ramp from 300 to 600 K, and of a drift by -15 K that nobody commanded."""
MINUTES = (5, 12, 25, 32, 38, 45, 52, 58)
STALE, WRONG_PIXEL = 32, 52
"""Minutes of the file that still claims 300 K, and of the one whose pixel size is 5 % too large."""
LOG = "holder.csv"
TABLE = """
schema = "emtwin.columns/1"
name = "Heating holder"
[time]
columns = ["UTC"]
format = "iso"
zone = "UTC"
[[column]]
column = "T"
channel = "holder.temperature"
unit = "K"
[[column]]
column = "T set"
channel = "temperature"
unit = "K"
kind = "echo"
[[column]]
column = "HT"
channel = "gun.high_tension"
unit = "kV"
"""


def temperature(second: float | np.ndarray) -> np.ndarray:
    """Kelvin."""
    return np.asarray(np.interp(second, [*RAMP, *DRIFT], [300.0, 600.0, 600.0, 585.0]))


def write_log(folder: Path, hours: float = 1.0) -> Path:
    """One reading in two seconds, with its column table beside it."""
    generator = np.random.default_rng(5)
    lines = ["UTC,T,T set,HT"]
    for second in range(0, round(3600 * hours), 2):
        when = datetime.datetime.fromtimestamp(START / SECOND + second, datetime.UTC)
        read = float(temperature(second)) + 0.2 * generator.standard_normal()
        tension = 200.0 + 2e-4 * generator.standard_normal()
        asked = float(np.interp(second, RAMP, (300.0, 600.0)))
        lines.append(f"{when:%Y-%m-%dT%H:%M:%S},{read:.2f},{asked:.1f},{tension:.4f}")
    path = folder / LOG
    path.write_text("\n".join(lines) + "\n")
    (folder / f"{LOG}.columns.toml").write_text(TABLE)
    return path


def write_file(path: Path, counts: np.ndarray, pixel: float, second: int, kelvin: float) -> Path:
    """An image [y, x] of square pixels (angstrom) that was recorded at a ``second`` of the session and claims a temperature."""
    when = datetime.datetime.fromtimestamp(START / SECOND + second, datetime.UTC)
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 1, 0
        entry = file.create_group("data/image")
        entry.attrs["emd_group_type"] = 1
        entry.create_dataset("data", data=counts)
        for number, (name, size) in enumerate(zip("yx", counts.shape, strict=True), 1):
            dim = entry.create_dataset(f"dim{number}", data=0.1 * pixel * np.arange(size))
            dim.attrs["name"], dim.attrs["units"] = name, "[n_m]"
        microscope, sample = file.create_group("microscope"), file.create_group("sample")
        microscope.attrs.update({"name": "made", "voltage": 200.0, "voltage_units": "kV", "exposure": 1.0, "exposure_units": "s",
                                 "date": f"{when:%Y-%m-%d}", "time": f"{when:%H:%M:%S}+00:00"})  # fmt: skip
        sample.attrs.update({"temperature": round(kelvin, 2), "temperature_units": "K"})
    return path


def write_session(folder: Path, minutes: tuple[int, ...] = MINUTES, crystal: bool = False) -> Path:
    """The files of the session, named by their minutes, and its log; the log's path. Images are of noise alone, or of a crystal of SrTiO3."""
    for number, minute in enumerate(minutes, 1):
        kelvin = 300.0 if minute == STALE else float(temperature(60 * minute))
        counts, pixel = np.random.default_rng(number).poisson(5.0, (16, 16)).astype(np.float64), 0.5
        if crystal:
            from tests.benchmarks.validate.recordings.images import image

            made = image(3 * number)
            wrong = 1.05 if minute == WRONG_PIXEL else 1.0
            counts, pixel = made.data, float(np.sqrt(made.values["pixel.x"] * made.values["pixel.y"])) * wrong
        write_file(folder / f"minute-{minute:03d}.emd", counts, pixel, 60 * minute, kelvin)
    return write_log(folder)
