"""MRC files: byte order, signed bytes, sizes, Thermo Fisher's and SerialEM's metadata."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import VendorError, close_reader, read_vendor
from instrument.readers.formats.mrc.mdoc import parsed
from tests.instrument.readers.made.mrc import MDOC, fei1, mrc

NOON = 1_709_294_400 * 10**9
"""2024-03-01 12:00 as if UTC."""


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def pixels(dtype: str, sections: int = 1) -> np.ndarray:
    return (np.arange(sections * 6 * 9).reshape(sections, 6, 9) - 20).astype(dtype)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "c8", "u2", "f2"])
def test_pixels_of_all_modes_in_both_byte_orders(tmp_path: Path, dtype: str, order: str) -> None:
    data = pixels(dtype)
    (signal,) = read_vendor(mrc(tmp_path / "a.mrc", data, order=order))
    assert signal.kind == "image"
    np.testing.assert_array_equal(signal.data, data[0])
    assert [(axis.name, axis.scale, axis.unit) for axis in signal.axes] == [
        ("y", 2.5, "angstrom"),
        ("x", 2.5, "angstrom"),
    ]
    assert signal.claims["pixel.x"].value == 2.5


def test_bytes_are_signed_unless_the_file_shows_otherwise(tmp_path: Path) -> None:
    data = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    (old,) = read_vendor(mrc(tmp_path / "old.mrc", data, words={27: 0}))  # no version, values stated up to 255
    assert old.data.max() == 255
    (new,) = read_vendor(mrc(tmp_path / "new.mrc", data))
    assert new.data.min() == -128
    imod = 1146047817
    (flagged,) = read_vendor(mrc(tmp_path / "imod.mrc", data, words={27: 0, 38: imod, 39: 1}))
    assert flagged.data.min() == -128
    (unsigned,) = read_vendor(mrc(tmp_path / "unsigned.mrc", data, words={38: imod, 39: 0}))
    assert unsigned.data.max() == 255


def test_a_stack_has_no_length_along_z_and_a_map_has(tmp_path: Path) -> None:
    (stack,) = read_vendor(mrc(tmp_path / "a.st", pixels("i2", 3)))
    assert (stack.kind, stack.data.shape, stack.axes[0].unit) == ("image-stack", (3, 6, 9), None)
    (volume,) = read_vendor(mrc(tmp_path / "a.map", pixels("f4", 3), words={22: 1}))
    assert (volume.axes[0].name, volume.axes[0].scale, volume.axes[0].unit) == ("z", 2.5, "angstrom")


def test_claims_of_the_extended_header(tmp_path: Path) -> None:
    (signal,) = read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), extended=fei1(), kind=b"FEI1"))
    claims = signal.claims
    values = {
        "high_tension": 300e3, "C10": -15000.0, "magnification": 53000.0, "camera_length": 0.4e10, "stage.alpha": math.radians(30), "stage.x": 1.5e6,
        "exposure": 1.25, "dose": 40.0, "spot_size": 7.0,
    }  # fmt: skip
    assert {name: claims[name].value for name in values} == pytest.approx(values)
    assert (claims["C10"].key, claims["C10"].text) == ("FEI1.Defocus", "-1.5e-06 m")
    assert (claims["instrument"].value, claims["detector"].value) == ("3692", "BM-Ceta")
    assert (claims["time.unstated"].value, claims["time.unstated"].zone) == (NOON, "local")
    assert [claim.value for claim in signal.repeated["pixel.x"]] == [2.5]  # beside that of the header
    assert "convergence_semiangle" not in claims


def test_what_the_flags_leave_unset_is_no_claim(tmp_path: Path) -> None:
    (signal,) = read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), extended=fei1(unset=(5, 22)), kind=b"FEI1"))
    assert not {"high_tension", "C10"} & set(signal.claims)
    assert signal.claims["magnification"].value == 53000.0


def test_a_pattern_has_no_pixel_in_angstrom(tmp_path: Path) -> None:
    (signal,) = read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), extended=fei1(projection=1), kind=b"FEI1"))
    assert [axis.unit for axis in signal.axes] == [None, None]
    assert "pixel.x" not in signal.claims


def test_claims_of_the_older_header(tmp_path: Path) -> None:
    block = struct.pack("<13f", -60.0, 0.0, 1e-4, 250.0, 0.0, 0, 0, -2e-6, 0.5, 0, 85.0, 4e-10, 29000.0).ljust(
        131072, b"\x00"
    )
    (signal,) = read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), extended=block))
    values = {
        "stage.alpha": math.radians(-60),
        "stage.x": 1e6,
        "C10": -20000.0,
        "exposure": 0.5,
        "magnification": 29000.0,
    }
    assert {name: signal.claims[name].value for name in values} == pytest.approx(values)
    assert "stage.y" not in signal.claims  # 250 is no number of metres


@pytest.mark.parametrize("name", ["tilts.mrc.mdoc", "tilts.mdoc"])
def test_claims_of_serialem(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(MDOC)
    (signal,) = read_vendor(mrc(tmp_path / "tilts.mrc", pixels("i2", 2)))
    claims = signal.claims
    values = {
        "high_tension": 300e3, "C10": -35100.0, "stage.alpha": math.radians(-59.99), "stage.x": 9191410.0, "stage.y": -8499000.0, "stage.z": 549860.0,
        "exposure": 1.00134, "dose": 3.2, "gain": 16.0, "frames": 2.0, "magnification": 53000.0,
    }  # fmt: skip
    assert {name: claims[name].value for name in values} == pytest.approx(values)
    assert [claim.key for claim in signal.repeated["C10"]] == ["mdoc.first.TargetDefocus"]
    assert (claims["time.unstated"].zone, claims["time.unstated"].text) == ("local", "25-Mar-21 17:00:46")
    assert claims["C10"].step == pytest.approx(100.0)  # 0.01 um


def test_sections_of_serialem() -> None:
    common, sections = parsed(MDOC)
    assert common["Voltage"] == "300"
    assert list(sections) == [0, 1]
    assert sections[1]["Defocus"] == "nan"  # text as it stands; no claim is made of it


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({0: -9}, "declares an image of -9"), ({2: 0}, "x 0 pixels"), ({3: 3}, "complex numbers of 16 bits"), ({3: 101}, "4 bits"),
        ({3: 77}, "make no sense"), ({0: 90}, "is cut off"), ({0: 3}, "where its header declares"), ({23: -4}, "extended header of -4"),
        ({23: 5000}, "is cut off"), ({16: 3, 18: 1}, "axes in the order"), ({10: -1}, "no size"),
    ],
)  # fmt: skip
def test_headers_that_contradict_the_file_are_refused(tmp_path: Path, words: dict[int, int], expected: str) -> None:
    with pytest.raises(VendorError, match=expected) as caught:
        read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), words=words))
    assert caught.value.cure


def test_a_stamp_of_the_other_byte_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="stamped big-endian"):
        read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), stamp=b"\x11\x11\x00\x00"))
    (unstamped,) = read_vendor(mrc(tmp_path / "b.mrc", pixels("i2"), order=">", stamp=b"\x00" * 4))
    np.testing.assert_array_equal(unstamped.data, pixels("i2")[0])


def test_a_block_shorter_than_its_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="block of metadata"):
        read_vendor(mrc(tmp_path / "a.mrc", pixels("i2"), extended=fei1()[:400], kind=b"FEI1"))
