"""Image files: pixel sizes of Berkeley's EMD files, and refusal of colour pictures."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from instrument.readers import VendorError, close_reader, read_vendor


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def emd_file(path: Path, units: str | bytes, step: float = 0.02) -> Path:
    """An EMD 1.0 file of one image, 64 x 32 pixels along x and y, whose axes are in ``units``."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 1, 0
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=np.ones((64, 32), np.uint16))
        for number, (name, size) in enumerate((("x", 64), ("y", 32)), start=1):
            dim = group.create_dataset(f"dim{number}", data=np.arange(size) * step)
            dim.attrs["name"], dim.attrs["units"] = name, units
    return path


@pytest.mark.parametrize(
    ("units", "scale", "unit"),
    [
        ("[n_m]", 0.2, "angstrom"), (b"[n_m]", 0.2, "angstrom"), ("n_m", 0.2, "angstrom"), ("[_m]", 2e8, "angstrom"),
        ("[1/n_m]", 0.002, "1/angstrom"), ("1/n_m", 0.002, "1/angstrom"), ("[n_m^-1]", 0.002, "1/angstrom"), ("A", 0.02, "angstrom"),
        ("Å", 0.02, "angstrom"), ("[u_m]", 200.0, "angstrom"), ("[m_rad]", 2e-5, "radian"), ("[p_x]", 0.02, None), ("", 0.02, None),
    ],
)  # fmt: skip
def test_units_of_emd_files(tmp_path: Path, units: str | bytes, scale: float, unit: str | None) -> None:
    (signal,) = read_vendor(emd_file(tmp_path / "image.emd", units))
    assert signal.data.shape == (32, 64)
    for axis in signal.axes:
        assert (axis.scale, axis.unit) == (pytest.approx(scale, rel=1e-9), unit)


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((16, 16, 3), np.uint8, {"photometric": "rgb"}),
        ((16, 16, 4), np.uint8, {"photometric": "rgb"}),
        ((3, 16, 16), np.uint8, {"photometric": "rgb", "planarconfig": "separate"}),
        ((16, 16, 3), np.uint16, {"photometric": "rgb"}),
        ((16, 16, 3), np.float32, {"photometric": "rgb"}),
    ],
)
def test_a_colour_picture_is_to_be_converted_to_grey(tmp_path: Path, shape, dtype, options) -> None:
    tifffile.imwrite(tmp_path / "picture.tif", np.ones(shape, dtype), **options)
    with pytest.raises(VendorError, match="colour picture") as caught:
        read_vendor(tmp_path / "picture.tif")
    assert "Convert to grey" in caught.value.cure


def test_a_png_is_refused_as_a_picture_for_display(tmp_path: Path) -> None:
    (tmp_path / "picture.PNG").write_bytes(b"\x89PNG")
    with pytest.raises(VendorError, match="picture for display") as caught:
        read_vendor(tmp_path / "picture.PNG")
    assert "convert a colour picture to grey" in caught.value.cure
