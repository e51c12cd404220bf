"""Vendor files: units and claims of real files; damaged files cannot hang or crash the reader."""

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import VendorError, close_reader, read_vendor
from instrument.readers import reader as reading
from instrument.readers.claims import claims_of
from instrument.readers.formats import parse
from instrument.readers.signals import axis_scale
from tests.waiting import PATIENCE
from twin.records import coordinates, flatten

READABLE = (
    "images/dm-diffraction-pattern.dm3",
    "images/dm-nonsquare-pixels.dm3",
    "images/dm-stem-image.dm3",
    "images/fei_example_dpc_titles.emd",
    "images/fei_example_tem_stack.emd",
    "images/sto-titan80.emi",
    "images/sto-titan80_1.ser",
    "images/themis-ceta-diffraction.emd",
    "images/themis-ceta-imaging.emd",
    "images/themis-haadf.emd",
    "spectra/al-low-loss.dm3",
    "spectra/dm-eels-si.dm4",
    "spectra/dm-eels-spectrum.dm3",
    "spectra/tia-spectrum-image.emi",
    "spectra/tia-spectrum-image_1.ser",
    "spectra/titanate-si-eels.dm3",
    "spectra/titanate-si-haadf.dm3",
    "spectra/titanate-si-survey.dm3",
    "spectra/velox-eels-eds.emd",
)


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.mark.parametrize("name", READABLE)
def test_every_file_reads(data: Path, name: str) -> None:
    for signal in read_vendor(data / name):
        assert signal.data.shape == tuple(axis.size for axis in signal.axes)
        assert signal.data.dtype.isnative
        assert all(np.isfinite(coordinates(axis)).all() for axis in signal.axes)
        energy = [axis for axis in signal.axes if axis.unit == "electronvolt"]
        assert signal.kind == (
            ("spectrum" if signal.data.ndim == 1 else "spectrum-image")
            if energy
            else ("image" if signal.data.ndim == 2 else "image-stack")
        )
        assert not energy or signal.axes[-1] is energy[0]
        assert all(claim.key in signal.raw for claim in signal.claims.values() if not claim.key.startswith("axes."))


def test_all_files_are_covered(data: Path) -> None:
    present = {f"{folder}/{path.name}" for folder in ("images", "spectra") for path in (data / folder).iterdir()}
    assert present - set(READABLE) == {"spectra/ionisation-cross-sections.csv"}


def test_units_and_claims(data: Path) -> None:
    (sto,) = read_vendor(data / "images/sto-titan80.emi")
    assert sto.axis("x").scale == pytest.approx(0.10013, rel=1e-4)  # 10.013 pm
    assert sto.axis("x").unit == "angstrom"
    assert sto.claims["high_tension"].value == 80e3
    assert sto.claims["camera_length"].value == pytest.approx(0.116e10)
    assert sto.claims["C10"].value == pytest.approx(-20.0)  # -0.002 um, the vendor's own sign
    assert sto.claims["lens.objective"].value == pytest.approx(0.78002)
    (pattern,) = read_vendor(data / "images/dm-diffraction-pattern.dm3")
    assert (pattern.axis("x").unit, pattern.axis("x").claimed_unit) == ("1/angstrom", "1/nm")
    assert pattern.axis("x").scale == pytest.approx(0.0174433, rel=1e-4)
    (skew,) = read_vendor(data / "images/dm-nonsquare-pixels.dm3")
    assert (skew.axis("y").scale, skew.axis("x").scale) == (2.0, 10.0)  # 2 A by 1 nm
    (haadf,) = read_vendor(data / "images/themis-haadf.emd")
    assert haadf.claims["convergence_semiangle"].value == pytest.approx(-0.0287617, rel=1e-5)  # negative as it stands
    assert haadf.claims["convergence_semiangle"].key == "Optics.BeamConvergence"
    assert "emission" not in haadf.claims  # not reported is not zero
    (eels,) = read_vendor(data / "spectra/titanate-si-eels.dm3")
    assert eels.data.shape == (49, 6, 1024)
    assert coordinates(eels.axes[-1])[[0, -1]].tolist() == [350.0, 861.5]
    assert eels.claims["collection_semiangle"].value == pytest.approx(0.033)
    assert eels.axis("y").unit is None  # the recording was not calibrated


def test_sizes_of_a_scan_are_those_of_the_part_that_was_recorded(data: Path) -> None:
    """Velox states those of the whole frame also with a spectrum image of 20 x 16 of its 128 x 128 places, and keeps X-ray spectra on the whole frame."""
    signals = read_vendor(data / "spectra/velox-eels-eds.emd")
    part, whole, stream = signals[14], signals[13], signals[17]
    assert (part.data.shape, stream.data.shape) == ((16, 20, 2048), (128, 128, 4096))
    for signal, columns in ((part, 20), (whole, 128)):
        assert signal.claims["field_of_view.x"].value == pytest.approx(columns * signal.axis("x").scale)
    assert not {"field_of_view.x", "columns"} & set(stream.claims)
    (camera,) = read_vendor(data / "images/themis-ceta-imaging.emd")
    assert not {"field_of_view.x", "columns"} & set(camera.claims)


def test_missing_library_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparse", None)  # as where it is not installed
    with pytest.raises(VendorError, match="'sparse'") as caught:
        parse.parse(str(data / "spectra/velox-eels-eds.emd"), 2**31)
    assert "pip install sparse" in caught.value.cure


def test_what_is_no_number_makes_no_claim() -> None:
    tree = {"Optics": {"AccelerationVoltage": "nan", "Defocus": float("nan"), "CameraLength": "0.3", "Focus": None}}
    claims, _ = claims_of(flatten(tree))
    assert set(claims) == {"camera_length"}
    assert claims["camera_length"].value == pytest.approx(3e9)


def test_units_of_axes() -> None:
    assert axis_scale("µm") == (1e4, "angstrom")
    assert axis_scale("") == (1.0, None)
    assert axis_scale("9**9**9") == (1.0, None)


def test_flattening_is_bounded() -> None:
    nested: dict = {}
    level = nested
    for _ in range(10_000):
        level["a"] = {}
        level = level["a"]
    assert flatten(nested) == {}
    assert len(flatten({str(n): n for n in range(100)}, limit=10)) == 10


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.dm3", b"", "empty"),
        ("wrong.dm3", b"\x89HDF\r\n\x1a\n" + b"0" * 64, "does not begin as"),
        ("wrong.emd", b"\x00\x00\x00\x03" + b"0" * 64, "does not begin as"),
        ("noise.dm3", b"\x00\x00\x00\x03" + bytes(range(256)) * 8, "its header declares"),
        ("noise.ser", b"II" + bytes(range(256)) * 8, "cut off"),
        ("noise.emd", b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 8, "cannot be read"),
        ("list.txt", b"hello", "extension"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VendorError, match=expected) as caught:
        read_vendor(path)
    assert caught.value.path == str(path)
    assert caught.value.cure


def test_missing_and_folder_and_size_and_timeout(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="cannot be opened"):
        read_vendor(tmp_path / "none.dm3")
    (tmp_path / "folder.dm3").mkdir()
    with pytest.raises(VendorError, match="is not a file"):
        read_vendor(tmp_path / "folder.dm3")
    (tmp_path / "big.dm3").write_bytes(b"\x00\x00\x00\x03" + b"0" * 100)
    with pytest.raises(VendorError, match="more than 50"):
        read_vendor(tmp_path / "big.dm3", max_bytes=50)
    for timeout in (0.0, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            read_vendor(tmp_path / "big.dm3", timeout=timeout)


@pytest.mark.parametrize(
    "name",
    ["images/dm-stem-image.dm3", "images/themis-haadf.emd", "spectra/dm-eels-si.dm4", "images/sto-titan80_1.ser"],
)
def test_damaged_copies(data: Path, tmp_path: Path, name: str) -> None:
    """Truncated and overwritten copies: a VendorError or signals that hold together, never anything else."""
    original = (data / name).read_bytes()
    rng = np.random.default_rng(3)
    path = tmp_path / Path(name).name
    named: list[str] = []
    for trial in range(12):
        content = bytearray(original[: int(len(original) * trial / 8)] if trial < 6 else original)
        if trial >= 6:
            for index in rng.integers(0, min(len(original), 4096), 40):
                content[index] = int(rng.integers(256))
        path.write_bytes(bytes(content))
        try:
            signals = read_vendor(path, timeout=20.0)
        except VendorError as error:
            named.append(error.path)
            continue
        for signal in signals:
            assert signal.data.shape == tuple(axis.size for axis in signal.axes)
    assert len(named) >= 4
    assert set(named) == {str(path)}


def _hangs(path: str, max_bytes: int) -> list:
    time.sleep(1e6)
    return []


def _dies(path: str, max_bytes: int) -> list:
    os._exit(7)


@pytest.mark.parametrize(
    ("parser", "timeout", "expected"), [(_hangs, 1.0, "more than 1 s"), (_dies, PATIENCE, "exit code 7")]
)
@pytest.mark.slow
def test_a_hung_or_dead_reader_is_replaced(
    data: Path, monkeypatch: pytest.MonkeyPatch, parser: object, timeout: float, expected: str
) -> None:
    path = data / "images/dm-stem-image.dm3"
    read_vendor(path)  # the worker is up
    with monkeypatch.context() as patched:
        patched.setattr(reading.formats, "parse", parser)
        with pytest.raises(VendorError, match=expected):
            read_vendor(path, timeout=timeout)
    assert reading.formats.parse is parse.parse
    assert read_vendor(path)[0].data.shape == (68, 68)


def test_a_task_that_an_ended_pool_forgot_is_given_to_the_next(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the pool finds its worker dead between looking at a task and passing it on."""
    path = data / "images/dm-stem-image.dm3"
    read_vendor(path)
    first = reading._single.pool()

    def forgotten(*_: object, **__: object) -> Future:
        first.stop()
        return Future()

    monkeypatch.setattr(first, "schedule", forgotten)
    assert read_vendor(path)[0].data.shape == (68, 68)
    assert reading._single.pool() is not first
