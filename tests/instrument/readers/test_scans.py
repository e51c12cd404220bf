"""EMPAD and Nion Swift: axes, claims, and what is refused."""

import copy
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.readers import VendorError, close_reader, read_vendor
from tests.instrument.readers.made.scans import FIRST, NION, PIXELS, SECOND, empad, ndata, nion_h5


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def test_empad_of_the_first_generation(tmp_path: Path) -> None:
    patterns = empad(tmp_path / "scan.xml")
    (signal,) = read_vendor(tmp_path / "scan.xml")
    np.testing.assert_array_equal(signal.data, patterns)
    steps = [(axis.name, axis.scale, axis.unit) for axis in signal.axes]
    # 3.6 nm / 0.72 over the longer side of 4 patterns, on both sides; 1.8e-10 x 1e9 per nm
    assert steps[:2] == [("scan_y", pytest.approx(12.5), "angstrom"), ("scan_x", pytest.approx(12.5), "angstrom")]
    assert steps[2:] == [("ky", pytest.approx(0.018), "1/angstrom"), ("kx", pytest.approx(0.018), "1/angstrom")]
    assert signal.axes[-1].offset == pytest.approx(-64 * 0.018)
    values = {
        "high_tension": 80e3,
        "camera_length": 0.285e10,
        "dwell": 1e-3,
        "columns": 4,
        "rows": 2,
        "pixel.kx": 0.018,
        "pixel.x": 12.5,
    }
    assert {name: signal.claims[name].value for name in values} == pytest.approx(values)
    time = signal.claims["time.unstated"]
    assert (time.value, time.zone) == (1_559_908_923 * 10**9, "UTC")  # 14:02:03+02:00


def test_empad_of_the_second_generation(tmp_path: Path) -> None:
    """Its "calibrated_pixelsize" is no spatial frequency; its exposure is in seconds."""
    patterns = empad(tmp_path / "scan.xml", text=SECOND, rows=128)
    (signal,) = read_vendor(tmp_path / "scan.xml")
    np.testing.assert_array_equal(signal.data, patterns)
    assert (signal.axes[-1].scale, signal.axes[-1].unit) == (0.00025, "radian")
    assert signal.axes[0].scale == pytest.approx(125.0)
    values = {
        "high_tension": 300e3,
        "camera_length": 1.197e10,
        "dwell": 1e-4,
        "scan_rotation": -2.8274333882308174,
        "pixel.angle.x": 0.00025,
    }
    assert {name: signal.claims[name].value for name in values} == pytest.approx(values)
    assert "pixel.kx" not in signal.claims


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace("scan_x{x}", "../scan_x{x}"), "another folder"), (lambda text: text.replace("scan_x", "skan_x"), "beside it"),
        (lambda text: text.replace("<pix_x>{x}", "<pix_x>40"), r"declares 2 x 40 patterns"), (lambda text: text.replace("</root>", ""), "no valid XML"),
        (lambda text: text.replace("<pix_x>{x}", "<pix_x>-4"), "how many patterns"), (lambda text: "<health/>", "does not begin as"),
    ],
)  # fmt: skip
def test_empad_that_does_not_match_its_data_is_refused(
    tmp_path: Path, change: Callable[[str], str], expected: str
) -> None:
    empad(tmp_path / "scan.xml", text=change(FIRST))
    with pytest.raises(VendorError, match=expected):
        read_vendor(tmp_path / "scan.xml")


def test_a_raw_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    empad(tmp_path / "scan.xml")
    raw = tmp_path / "scan_x4_y2.raw"
    raw.write_bytes(raw.read_bytes()[:-4])
    with pytest.raises(VendorError, match=r"scan_x4_y2\.raw has"):
        read_vendor(tmp_path / "scan.xml")


@pytest.mark.parametrize("name", ["a.ndata", "a.h5", "a.nhdf"])
def test_nion_swift(tmp_path: Path, name: str) -> None:
    (ndata if name.endswith(".ndata") else nion_h5)(tmp_path / name)
    (signal,) = read_vendor(tmp_path / name)
    np.testing.assert_array_equal(signal.data, PIXELS)
    assert [(axis.name, axis.scale, axis.offset, axis.unit) for axis in signal.axes] == [
        ("y", 5.0, -40.0, "angstrom"),
        ("x", 2.5, -80.0, "angstrom"),
    ]
    claims = signal.claims
    values = {
        "high_tension": 100e3, "C10": -5000.0, "dwell": 32e-6, "frame_time": 0.52, "scan_rotation": 0.1, "stage.alpha": 0.02, "convergence_semiangle": 0.03,
        "pixel.y": 5.0, "pixel.x": 2.5,
    }  # fmt: skip
    assert {name: claims[name].value for name in values} == pytest.approx(values)
    assert [claim.value for claim in signal.repeated["high_tension"]] == [100003.0]
    assert "exposure" not in claims  # of a scan it is the time of the frame
    created = claims["time.unstated"]
    assert (created.value, created.zone, created.key) == (1_626_209_076_123_456_000, "UTC", "nion.created")
    assert claims["time.saved"].key == "nion.modified"


def test_nion_spectrum_image_of_an_older_version(tmp_path: Path) -> None:
    """Calibrations stood in the data source; the energy is the last axis."""
    source = {
        "dimensional_calibrations": [{"offset": 0, "scale": 1.0, "units": "nm"}] * 2 + [{"offset": -20.0, "scale": 0.1, "units": "eV"}],
        "collection_dimension_count": 2, "datum_dimension_count": 1, "metadata": {"hardware_source": {"autostem": {"high_tension_v": 60000}, "exposure": 0.05}},
    }  # fmt: skip
    ndata(
        tmp_path / "a.ndata",
        {"title": "EELS", "data_sources": [{"data_source": source}]},
        np.ones((3, 4, 50), np.float32),
    )
    (signal,) = read_vendor(tmp_path / "a.ndata")
    assert signal.kind == "spectrum-image"
    assert [axis.name for axis in signal.axes] == ["scan_y", "scan_x", "channel"]
    assert (signal.axes[-1].scale, signal.axes[-1].offset) == (0.1, -20.0)
    assert (signal.claims["high_tension"].value, signal.claims["exposure"].value, signal.title) == (60e3, 0.05, "EELS")


def edited(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(NION) | changes


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (edited(dimensional_calibrations=NION["dimensional_calibrations"][:1]), "describes 1 axes"),
        (edited(dimensional_calibrations=[{"scale": 0.0, "units": "nm"}] * 2), "whose scale is 0"),
        (edited(dimensional_calibrations=[{"scale": float("inf"), "units": "nm"}] * 2), "invalid axis"),
        (edited(dimensional_calibrations=[{"scale": 1e-300, "units": "nm"}] * 2), "which nothing has"),
    ],
)
def test_calibrations_that_are_none_are_refused(tmp_path: Path, properties: dict[str, Any], expected: str) -> None:
    with pytest.raises(VendorError, match=expected):
        read_vendor(ndata(tmp_path / "a.ndata", properties))


def test_archives_that_are_none_of_nion_swift_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.ndata", "w") as archive:
        archive.writestr("metadata.json", json.dumps(NION))
    with pytest.raises(VendorError, match="holds no data item"):
        read_vendor(tmp_path / "a.ndata")
    complete = ndata(tmp_path / "b.ndata").read_bytes()
    (tmp_path / "b.ndata").write_bytes(complete[:-30])
    with pytest.raises(VendorError, match="damaged zip"):
        read_vendor(tmp_path / "b.ndata")
    damaged = bytearray(complete)
    damaged[2000] ^= 1  # a pixel: the archive's checksum does not fit
    (tmp_path / "b.ndata").write_bytes(bytes(damaged))
    with pytest.raises(VendorError, match="damaged zip"):
        read_vendor(tmp_path / "b.ndata")
    with pytest.raises(VendorError, match="colour picture"):
        read_vendor(ndata(tmp_path / "c.ndata", edited(dimensional_calibrations=[]), np.ones((8, 8, 3), np.uint8)))
