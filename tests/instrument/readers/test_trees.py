"""NeXus, HyperSpy and Berkeley's EMD: axes, claims, and what is refused."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rsciio.hspy import file_writer as write_hspy

from instrument.readers import VendorError, close_reader, read_vendor
from tests.instrument.readers.made.trees import PIXELS, berkeley, hyperspy_signal, nexus, zspy


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.mark.parametrize("name", ["a.nxs", "a.nx5", "a.h5"])
def test_nexus(tmp_path: Path, name: str) -> None:
    first, second = read_vendor(nexus(tmp_path / name))
    np.testing.assert_array_equal(first.data, PIXELS)
    # the rows run backwards, as the file says
    assert [(axis.name, axis.scale, axis.offset, axis.unit) for axis in first.axes] == [
        ("axis_j", -5.0, 60.0, "angstrom"),
        ("axis_i", 5.0, 0.0, "angstrom"),
    ]
    values = {
        "high_tension": 300e3, "C10": -500.0, "convergence_semiangle": 0.0214, "stage.alpha": math.radians(1.5), "stage.x": 1e4, "stage.y": -2e4,
        "pixel.x": 5.0, "pixel.y": 5.0,
    }  # fmt: skip
    assert {name: first.claims[name].value for name in values} == pytest.approx(values)
    assert "camera_length" not in first.claims  # 0.1 of no unit
    start = first.claims["time.start"]
    assert (start.value, start.zone, start.text) == (1_709_290_860_500_000_000, "UTC", "2024-03-01T12:01:00.500+01:00")
    assert first.repeated["time.start"][0].key == "nexus.start_time"
    assert second.claims["high_tension"].value == 80e3  # each has its own event
    assert "high_tension" not in second.repeated


def test_an_axis_with_uneven_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="steps differ"):
        read_vendor(nexus(tmp_path / "a.nxs", y=np.arange(12.0) ** 2))
    with pytest.raises(VendorError, match="steps differ"):
        read_vendor(berkeley(tmp_path / "a.emd", second=np.arange(20.0) ** 2))


def test_hdf5_guards(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs")
    with pytest.raises(VendorError, match="more than 400"):
        read_vendor(path, max_bytes=400)
    with h5py.File(tmp_path / "b.nxs", "w") as file:
        file.attrs["NX_class"] = "NXroot"
        file.create_dataset("data", (2, 2), "f4", external=[("/etc/hostname", 0, 16)])
    with pytest.raises(VendorError, match="in other files"):
        read_vendor(tmp_path / "b.nxs")
    with h5py.File(tmp_path / "e.nxs", "w") as file:
        file["entry/data"] = h5py.ExternalLink(str(path), "/entry1")
    with pytest.raises(VendorError, match="'data' in other files"):
        read_vendor(tmp_path / "e.nxs")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(VendorError, match="no format that is read"):
        read_vendor(tmp_path / "c.h5")
    with h5py.File(tmp_path / "d.nxs", "w") as file:
        file.create_dataset("data", (2**40,), "f8", chunks=(1024,), compression="gzip")
    with pytest.raises(VendorError, match="unpacks to 8796093022208 bytes"):
        read_vendor(tmp_path / "d.nxs")


HYPERSPY = {
    "high_tension": 200e3, "beam_current": 0.05e-9, "camera_length": 115e7, "convergence_semiangle": 0.03, "collection_semiangle": 0.033, "C10": -200.0,
    "dwell": 2e-5, "stage.x": 1e6, "stage.y": -2e6, "stage.alpha": math.radians(1.5), "magnification": 2e6, "pixel.x": 0.2, "pixel.y": 0.4,
}  # fmt: skip


@pytest.mark.parametrize("name", ["a.hspy", "a.zspy", "zipped.zspy", "renamed.h5"])
def test_hyperspy(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".zspy"):
        zspy(path, hyperspy_signal(), zipped=name.startswith("zipped"))
    else:
        write_hspy(path.with_suffix(".hspy"), hyperspy_signal())
        path.with_suffix(".hspy").rename(path)
    (signal,) = read_vendor(path)
    np.testing.assert_array_equal(signal.data, PIXELS)
    assert {name: signal.claims[name].value for name in HYPERSPY} == pytest.approx(HYPERSPY)
    # what HyperSpy's user may change comes before the original metadata
    assert signal.claims["high_tension"].key == "metadata.Acquisition_instrument.TEM.beam_energy"
    assert [claim.value for claim in signal.repeated["high_tension"]] == [300e3]
    time = signal.claims["time.unstated"]
    assert (time.value, time.zone) == (1_616_688_046 * 10**9, "UTC")  # 17:00:46 in Berlin, before summer time
    assert signal.title == "survey"


def test_an_axis_of_coordinates_keeps_them(tmp_path: Path) -> None:
    """RosettaSciIO leaves out the scale of such an axis: it is not 1."""
    even = {"axis": np.arange(12) * 0.5 + 3.0}
    signal = hyperspy_signal()
    for entries, name in ((even, "even"), ({"axis": np.arange(12.0) ** 2}, "uneven")):
        described = {
            key: value for key, value in signal["axes"][0].items() if key not in ("scale", "offset", "size")
        } | entries
        write_hspy(tmp_path / f"{name}.hspy", signal | {"axes": [described, signal["axes"][1]]})
    (even_signal,) = read_vendor(tmp_path / "even.hspy")
    assert (even_signal.axes[0].scale, even_signal.axes[0].offset, even_signal.axes[0].unit) == (5.0, 30.0, "angstrom")
    (uneven,) = read_vendor(tmp_path / "uneven.hspy")
    assert (uneven.axes[0].unit, uneven.axes[0].labels[3]) == (None, "9 nm")
    assert "pixel.y" not in uneven.claims


@pytest.mark.parametrize(
    ("attributes", "claims"),
    [
        ({"voltage": 300, "voltage_units": "kV"}, {"high_tension": 300e3}), ({"Accelerating Voltage": 80000.0}, {"high_tension": 80e3}),
        ({"beam_energy": 300}, {"high_tension": 300e3}), ({"camera_length (mm)": 115.0}, {"camera_length": 115e7}),
        ({"defocus_nm": -20.0}, {"C10": -200.0}), ({"convergence_angle": 30.0}, {}), ({"convergence_angle": "30 mrad"}, {"convergence_semiangle": 0.03}),
        ({"magnification": 5e5}, {"magnification": 5e5}), ({"stage_x": 5.0, "stage_x_unit": "V"}, {}), ({"voltage": "nan"}, {}),
        ({"name": "TEAM I", "date": "2012-03-01", "time": "10:00:00"}, {"instrument": "TEAM I", "time.unstated": 1_330_596_000 * 10**9}),
    ],
)  # fmt: skip
def test_attributes_of_berkeleys_emd(tmp_path: Path, attributes: dict[str, Any], claims: dict[str, Any]) -> None:
    (signal,) = read_vendor(berkeley(tmp_path / "a.emd", **attributes))
    stated = {name: claim.value for name, claim in signal.claims.items() if not name.startswith("pixel.")}
    assert stated == (claims if "instrument" in claims else pytest.approx(claims))
    assert signal.claims["pixel.x"].value == pytest.approx(5.0)
