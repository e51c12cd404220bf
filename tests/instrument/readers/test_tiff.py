"""TIFF: axes and claims by the tags of ImageJ, FEI and JEOL, and files whose pixels lie outside them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from instrument.readers import VendorError, close_reader, read_vendor
from tests.instrument.readers.made.tiffs import PIXELS, TITAN, fei_tiff, jeol_tiff


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.mark.parametrize(
    ("unit", "scale"),
    [("nm", 0.2), ("um", 200.0), ("\\u00B5m", 200.0), ("micron", 200.0), ("A", 0.02), ("angstrom", 0.02), ("cm", 2e6)],
)
def test_imagej(tmp_path: Path, unit: str, scale: float) -> None:
    """0.02 units a pixel along x, 0.04 along y."""
    tifffile.imwrite(
        tmp_path / "a.tif", PIXELS, imagej=True, resolution=(50.0, 25.0), metadata={"unit": unit, "axes": "YX"}
    )
    (signal,) = read_vendor(tmp_path / "a.tif")
    assert signal.axis("width").scale == pytest.approx(scale, rel=1e-6)
    assert signal.axis("height").scale == pytest.approx(2 * scale, rel=1e-6)
    assert (signal.axis("width").unit, signal.axis("width").claimed_unit) == (
        "angstrom",
        "µm" if "u00B5" in unit or unit == "micron" else unit,
    )
    assert signal.claims["pixel.x"].value == pytest.approx(scale, rel=1e-6)


def test_imagej_stacks(tmp_path: Path) -> None:
    stack = np.ones((5, 12, 20), np.uint16)
    tifffile.imwrite(
        tmp_path / "z.tif",
        stack,
        imagej=True,
        resolution=(50.0, 50.0),
        metadata={"unit": "nm", "spacing": 0.5, "axes": "ZYX"},
    )
    (depth,) = read_vendor(tmp_path / "z.tif")
    assert (depth.axes[0].scale, depth.axes[0].unit, depth.claims["frames"].value) == (
        pytest.approx(5.0),
        "angstrom",
        5.0,
    )
    tifffile.imwrite(
        tmp_path / "t.tif", stack, imagej=True, metadata={"finterval": 0.25, "spacing": 3.0, "axes": "TYX"}
    )
    (times,) = read_vendor(tmp_path / "t.tif")
    assert (times.axes[0].scale, times.axes[0].unit) == (0.25, "second")
    assert times.axis("width").unit is None


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [((5e8, 2.5e8), "CENTIMETER", (0.2, 0.4)), ((254e6, 254e6), "INCH", (1.0, 1.0)), ((72, 72), "INCH", None), ((300, 300), "INCH", None),
     ((1, 1), "NONE", None)],
)  # fmt: skip
def test_a_resolution_is_a_claim_where_no_printer_has_it(
    tmp_path: Path, resolution: tuple[float, float], unit: str, expected: tuple[float, float] | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=resolution, resolutionunit=unit)
    (signal,) = read_vendor(tmp_path / "a.tif")
    assert signal.axis("width").unit is None
    stated = tuple(signal.claims[f"pixel.{side}"].value for side in "xy") if "pixel.x" in signal.claims else None
    assert stated == (expected if expected is None else pytest.approx(expected))


def test_fei_tags_of_a_scanning_microscope(tmp_path: Path) -> None:
    """Pixels 1 nm wide and 2 nm high, which RosettaSciIO exchanges."""
    (signal,) = read_vendor(fei_tiff(tmp_path / "a.tif"))
    assert (signal.axis("width").scale, signal.axis("height").scale) == (pytest.approx(10.0), pytest.approx(20.0))
    values = {
        "high_tension": 30e3,
        "beam_current": 5e-11,
        "dwell": 3e-6,
        "stage.x": 5e6,
        "stage.alpha": 0.1,
        "columns": 20,
        "field_of_view.x": 200.0,
    }
    assert {name: signal.claims[name].value for name in values} == pytest.approx(values)
    time = signal.claims["time.unstated"]
    assert (time.value, time.zone) == (1_614_774_674 * 10**9, "local")  # 03/03/2021 12:31:14 PM


def test_fei_xml_of_a_titan(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", PIXELS, extratags=[(34683, "s", 0, TITAN, False)], datetime="2014:09:07 10:11:12"
    )
    (signal,) = read_vendor(tmp_path / "a.tif")
    values = {
        "high_tension": 300e3, "C10": -20.0, "camera_length": 0.115e10, "emission": 1.2e-4, "stage.alpha": math.radians(-3.5), "stage.x": 1.5e5,
        "lens.condenser1": 0.2085, "magnification": 1.3e6,
    }  # fmt: skip
    assert {name: signal.claims[name].value for name in values} == pytest.approx(values)
    assert "stage.z" not in signal.claims  # "nan"
    assert "stage.beta" not in signal.claims  # a unit that is no angle
    assert (signal.claims["C10"].key, signal.claims["C10"].text) == ("FEI_TITAN.Defocus.value", "-0.002 um")
    assert (signal.claims["time.unstated"].key, signal.claims["time.unstated"].value) == (
        "DateTime",
        1_410_084_672 * 10**9,
    )


@pytest.mark.parametrize(
    ("mode", "claims"),
    [("MAG", {"magnification": 50000.0}), ("DIFF", {"camera_length": 80e8})],
)
def test_jeol_tags(tmp_path: Path, mode: str, claims: dict[str, Any]) -> None:
    (signal,) = read_vendor(jeol_tiff(tmp_path / "a.tif", mode))
    stated = {"high_tension": 200e3, "stage.alpha": math.radians(2.0), **claims}
    assert {name: signal.claims[name].value for name in stated} == pytest.approx(stated)
    assert not {"magnification", "camera_length"} - set(claims) & set(signal.claims)
    time = signal.claims["time.unstated"]
    assert (time.zone, time.value) == ("UTC", 1_646_112_600_123_456_700)
    if mode == "MAG":  # 100 pixels a cm on the screen, 50,000 times larger than the specimen
        assert signal.axis("width").scale == pytest.approx(20.0)


def test_pixels_outside_the_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, metadata=None)
    complete = path.read_bytes()
    path.write_bytes(complete[:-100])
    with pytest.raises(VendorError, match="is cut off"):
        read_vendor(path)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offset = file.pages.first.tags["ImageWidth"].valueoffset
    widened = bytearray(complete)
    widened[offset] += 1  # more pixels than the strip holds
    path.write_bytes(bytes(widened))
    with pytest.raises(VendorError, match="declares"):
        read_vendor(path)
