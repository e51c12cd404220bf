"""Corrected copies: only refuted values with a suggestion change, the original never does."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from instrument.export import Recording, read_exported, write_corrected
from instrument.export.record import ExportError
from instrument.export.writers.hyperspy import write_signal
from instrument.readers import read_vendor
from tests.instrument.export import made
from tests.instrument.export.made import opened
from tests.instrument.readers.made.trees import hyperspy_signal, zspy
from twin.records import Axis, Signal

RIGHT = 0.0973


def state(path: Path) -> dict[str, tuple[str, int]]:
    """Checksum and time of change of a file, or of all below a folder."""
    files = [path] if path.is_file() else [item for item in sorted(path.rglob("*")) if item.is_file()]
    return {str(item): (hashlib.sha256(item.read_bytes()).hexdigest(), item.stat().st_mtime_ns) for item in files}


def hspy(folder: Path) -> Path:
    """A HyperSpy file as others write it: no record of ours in it, lengths in nm."""
    path = folder / "image.hspy"
    signal = msgspec.structs.replace(made.signals()["image"], raw={"Optics": "as it was"})
    write_signal(path, Recording("a", "a", claims={"high_tension": (made.CLAIMS["high_tension"],)}), signal)
    with opened(path, "r+") as file:
        experiment = file["Experiments/image"]
        del experiment["metadata/emtwin"]
        for index in (0, 1):
            experiment[f"axis-{index}"].attrs.update(units="nm", scale=0.010013, offset=-0.03)
    return path


def store(folder: Path, with_coordinates: bool) -> Path:
    """A store as `emtwin simulate` makes it, or as xarray saves a Dataset of `twin.simulate`."""
    import zarr
    from zarr.errors import ZarrUserWarning

    path = folder / "image.zarr"
    provenance = {
        "schema": "emtwin.simulate/2",
        "scenario": {"name": "a", "beam": {"energy_keV": 200.0, "semiangle_mrad": 21.0}},
    }
    attributes = {"provenance": json.dumps(provenance)} if with_coordinates else provenance
    group: Any = zarr.create_group(str(path), zarr_format=3, attributes=attributes)
    described = [{"name": name, "unit": "angstrom", "scale": 0.10013, "offset": 0.0} for name in "yx"]
    data = group.create_array(
        "data", shape=(3, 4), dtype="float32", dimension_names=["y", "x"],
        attributes={"long_name": "intensity"} if with_coordinates else {"axes": described},
    )  # fmt: skip
    data[...] = np.arange(12, dtype=np.float32).reshape(3, 4)
    for name, size in (("y", 3), ("x", 4)):
        group.create_array(name, shape=(size,), dtype="float64", attributes={"units": "angstrom", "step": 0.10013})
        group[name][...] = 0.10013 * np.arange(size)
    if with_coordinates:
        with pytest.warns(ZarrUserWarning, match="Consolidated"):
            zarr.consolidate_metadata(str(path))
    return path


def judged(path: Path, **suggested: float) -> Recording:
    """The recording of a file, with the named fields refuted."""
    (signal,) = read_vendor(path)
    recording = made.recording(signal)
    told = []
    for verdict in recording.verdicts:
        value = suggested.get(verdict.field.replace(".", "_"))
        plain = msgspec.structs.replace(
            verdict, status="unverifiable", suggested=None, suggested_error=None, evidence=()
        )
        told.append(
            plain
            if value is None
            else msgspec.structs.replace(
                plain, status="disagrees", suggested=value, suggested_error=1e-3, evidence=("lattice",)
            )
        )
    return msgspec.structs.replace(recording, verdicts=tuple(told))


def axis(signal: Signal, name: str) -> Axis:
    return signal.axis(name)


def test_a_hyperspy_file_is_corrected_where_it_is_refuted(tmp_path: Path) -> None:
    original, copy = hspy(tmp_path), tmp_path / "right.hspy"
    before = state(original)
    recording = judged(original, pixel_x=RIGHT)
    changes = write_corrected(original, copy, (recording,), made.record(recording))
    assert state(original) == before
    assert [(item["field"], item["place"], item["evidence"]) for item in changes] == [
        ("pixel.x", "axis-1.scale", "lattice"),
        ("pixel.x", "axis-1.offset", "lattice"),
    ]
    with opened(copy) as file:
        experiment = file["Experiments/image"]
        assert experiment["axis-1"].attrs["scale"] == pytest.approx(RIGHT / 10, rel=1e-12)
        assert experiment["axis-1"].attrs["offset"] == pytest.approx(-0.03 * RIGHT / 0.10013, rel=1e-9)
        assert experiment["axis-1"].attrs["units"] == "nm"
        assert dict(experiment["axis-0"].attrs)["scale"] == 0.010013
        assert experiment["original_metadata"].attrs["Optics"] == "as it was"
        note = experiment["metadata/emtwin/correction"].attrs
        assert (note["original"], note["program"]) == ("image.hspy", "emtwin 0.2")
    (signal,) = read_vendor(copy)
    assert signal.claims["pixel.x"].value == RIGHT
    np.testing.assert_array_equal(signal.data, read_vendor(original)[0].data)
    (again,) = read_exported(copy)
    assert again.claims["pixel.x"][0].value == pytest.approx(0.10013)
    assert again.verdict("pixel.x") == recording.verdict("pixel.x")


def test_hyperspys_own_metadata_are_corrected(tmp_path: Path) -> None:
    original, copy = hspy(tmp_path), tmp_path / "right.hspy"
    recording = judged(original, pixel_y=RIGHT)
    claim = made.CLAIMS["high_tension"]
    verdict = msgspec.structs.replace(
        made.verdicts({"high_tension": claim})[0], status="disagrees", suggested=300_000.0, evidence=("sensor",)
    )
    recording = msgspec.structs.replace(
        recording,
        claims={**recording.claims, "high_tension": (claim,)},
        verdicts=(*(item for item in recording.verdicts if item.field != "high_tension"), verdict),
    )
    changes = write_corrected(original, copy, (recording,), made.record(recording))
    assert ("high_tension", 200.0, 300.0) in [(item["field"], item["before"], item["after"]) for item in changes]
    with opened(copy) as file:
        assert file["Experiments/image/metadata/Acquisition_instrument/TEM"].attrs["beam_energy"] == 300.0


@pytest.mark.parametrize("with_coordinates", [False, True])
def test_a_store_is_corrected_where_it_is_refuted(tmp_path: Path, with_coordinates: bool) -> None:
    original, copy = store(tmp_path, with_coordinates), tmp_path / "right.zarr"
    before = state(original)
    recording = judged(original, pixel_x=RIGHT, high_tension=300e3)
    changes = write_corrected(original, copy, (recording,), made.record(recording))
    assert state(original) == before
    assert {item["place"]: (item["before"], item["after"]) for item in changes} == {
        "axes.x.scale": (pytest.approx(0.10013), RIGHT),
        "emtwin.scenario.beam.energy_keV": (200.0, 300.0),
    }
    (signal,) = read_vendor(copy)
    assert axis(signal, "x").scale == pytest.approx(RIGHT, rel=1e-12)
    assert axis(signal, "y").scale == pytest.approx(0.10013, rel=1e-12)
    assert signal.claims["high_tension"].value == pytest.approx(300e3)
    assert signal.claims["convergence_semiangle"].value == pytest.approx(0.021)
    np.testing.assert_array_equal(signal.data, read_vendor(original)[0].data)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    original = hspy(tmp_path)
    recording = judged(original, pixel_x=RIGHT)
    record = made.record(recording)
    before = state(original)
    (tmp_path / "soft.hspy").symlink_to(original)
    (tmp_path / "dangling.hspy").symlink_to(tmp_path / "nowhere.hspy")
    (tmp_path / "hard.hspy").hardlink_to(original)
    (tmp_path / "other.hspy").write_bytes(b"another file")
    wanted = {
        "image.hspy": "the original itself", "soft.hspy": "the original itself", "hard.hspy": "the original itself", "dangling.hspy": "exists already",
        "other.hspy": "exists already", "none/copy.hspy": "not a folder", "copy.zspy": "ends in .zspy",
    }  # fmt: skip
    names = sorted(path.name for path in tmp_path.iterdir())
    for name, problem in wanted.items():
        with pytest.raises(ExportError, match=problem):
            write_corrected(original, tmp_path / name, (recording,), record)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert state(original) == before
    assert (tmp_path / "other.hspy").read_bytes() == b"another file"


def test_a_store_is_not_copied_into_itself(tmp_path: Path) -> None:
    original = store(tmp_path, False)
    (tmp_path / "link").symlink_to(original)
    recording = judged(original, pixel_x=RIGHT)
    for copy in (original / "copy.zarr", tmp_path / "link" / "copy.zarr"):
        with pytest.raises(ExportError, match="within the original"):
            write_corrected(original, copy, (recording,), made.record(recording))


def test_a_copy_of_a_link_shares_nothing_with_the_original(tmp_path: Path) -> None:
    original = hspy(tmp_path)
    (tmp_path / "link.hspy").symlink_to(original)
    before = state(original)
    recording = judged(original, pixel_x=RIGHT)
    write_corrected(tmp_path / "link.hspy", tmp_path / "copy.hspy", (recording,), made.record(recording))
    assert not (tmp_path / "copy.hspy").is_symlink()
    assert state(original) == before


def test_other_formats_are_told_what_to_do(tmp_path: Path) -> None:
    recording = made.recording(made.signals()["image"])
    with pytest.raises(ExportError, match="side-car"):
        write_corrected(tmp_path / "a.dm3", tmp_path / "b.dm3", (recording,), made.record(recording))


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    original = hspy(tmp_path)
    recording = judged(original, pixel_x=RIGHT)
    with pytest.raises(ExportError, match="1 signals where 2"):
        write_corrected(original, tmp_path / "copy.hspy", (recording, recording), made.record(recording))
    assert [path.name for path in tmp_path.iterdir()] == ["image.hspy"]


def test_a_hyperspy_store_is_corrected_too(tmp_path: Path) -> None:
    original, copy = zspy(tmp_path / "a.zspy", hyperspy_signal()), tmp_path / "right.zspy"
    before = state(original)
    (first,) = read_vendor(original)
    wanted = 0.97 * first.axis("x").scale
    recording = judged(original, pixel_x=wanted)
    changes = write_corrected(original, copy, (recording,), made.record(recording))
    assert state(original) == before
    assert [item["place"] for item in changes] == ["axis-1.scale"]
    (signal,) = read_vendor(copy)
    assert signal.axis("x").scale == pytest.approx(wanted, rel=1e-12)
    assert signal.axis("y") == first.axis("y")
    assert signal.claims["pixel.x"].value == wanted
    np.testing.assert_array_equal(signal.data, first.data)
    packed = zspy(tmp_path / "packed.zspy", hyperspy_signal(), zipped=True)
    with pytest.raises(ExportError, match="zipped"):
        write_corrected(packed, tmp_path / "b.zspy", (recording,), made.record(recording))


def test_the_axis_of_channels_is_corrected_wherever_it_stands(tmp_path: Path) -> None:
    """Readers put the channels last, whatever the order in the file."""
    original, copy = tmp_path / "a.hspy", tmp_path / "right.hspy"
    signal = made.signals()["line scan"]
    turned = msgspec.structs.replace(signal, data=np.ascontiguousarray(signal.data.T), axes=signal.axes[::-1])
    write_signal(original, Recording("a", "a"), turned)
    with opened(original, "r+") as file:
        for experiment in file["Experiments"].values():
            del experiment["metadata/emtwin"]
    recording = judged(original, dispersion=0.26)
    changes = write_corrected(original, copy, (recording,), made.record(recording))
    assert [(item["place"], item["after"]) for item in changes] == [("axis-0.scale", 0.26)]
    assert read_vendor(copy)[0].axis("energy").scale == 0.26
