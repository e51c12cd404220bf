"""Exports read in again: HyperSpy, EMD 1.0 and NXem give back data, axes, claims, verdicts and evidence."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from instrument.export import Recording, read_exported, write
from instrument.export.record import ExportError
from instrument.export.writers.hyperspy import metadata_of
from instrument.readers import VendorError, read_vendor
from tests.instrument.export import made
from tests.instrument.export.made import opened
from twin.records import Axis, Signal

ENDINGS = {"hspy": ".hspy", "emd": ".emd", "nxem": ".nxs"}
KINDS = tuple(ENDINGS)
"""Formats that have a reader."""
SOURCES = (".dm3", ".dm4", ".emd", ".emi", ".tif")


def written(tmp_path: Path, to: str, *recordings: Recording) -> Path:
    out = tmp_path / f"out{ENDINGS[to]}"
    write(made.record(*recordings), to, out)
    return out


def numbers(axes: tuple[Axis, ...]) -> list[tuple]:
    """All of axes but how a file writes their unit, which each format does in its own way."""
    return [(axis.name, axis.size, axis.scale, axis.offset, axis.unit, axis.labels) for axis in axes]


def without_pixel(recording: Recording) -> Recording:
    """A recording whose axes stay as they are."""
    kept = tuple(item for item in recording.verdicts if item.field != "pixel.x")
    return msgspec.structs.replace(recording, verdicts=kept)


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("name", list(made.signals()))
def test_a_signal_comes_back(tmp_path: Path, to: str, name: str) -> None:
    signal = made.signals()[name]
    recording = without_pixel(made.recording(signal))
    (again,) = read_exported(written(tmp_path, to, recording))
    assert again.signal is not None
    assert again.signal.data.dtype == signal.data.dtype
    np.testing.assert_array_equal(again.signal.data, signal.data)
    assert numbers(again.signal.axes) == numbers(signal.axes)
    assert (again.signal.kind, again.signal.title) == (signal.kind, signal.title)
    assert again.claims == recording.claims
    assert {item.field: item for item in again.verdicts} == {item.field: item for item in recording.verdicts}
    assert again.evidence == recording.evidence
    assert (again.start, again.end, again.path, again.sha256) == (
        recording.start,
        recording.end,
        recording.path,
        recording.sha256,
    )


@pytest.mark.parametrize("to", KINDS)
def test_a_refuted_value_is_replaced_and_kept_beside(tmp_path: Path, to: str) -> None:
    recording = made.recording(made.signals()["image"])
    out = written(tmp_path, to, recording)
    (signal,) = read_vendor(out)
    assert signal.axis("x").scale == pytest.approx(made.RIGHT_PIXEL, rel=1e-12)
    assert signal.axis("x").offset == pytest.approx(-0.3 * 4 * made.RIGHT_PIXEL, rel=1e-12)
    assert signal.axis("y").scale == made.PIXEL
    assert signal.claims["pixel.x"].value == made.RIGHT_PIXEL
    assert signal.claims["camera_length"].value == 2.5e9
    for name in ("high_tension", "C10", "convergence_semiangle", "time.start", "instrument"):
        assert signal.claims[name] == made.CLAIMS[name]
    assert signal.repeated["high_tension"] == recording.claims["high_tension"][1:]
    (again,) = read_exported(out)
    assert again.claims["pixel.x"][0].value == made.PIXEL
    verdict = again.verdict("pixel.x")
    assert verdict == recording.verdict("pixel.x")
    assert verdict is not None
    linked = [item for item in again.evidence if item.id in verdict.evidence]
    assert linked == [made.EVIDENCE[0]]


@pytest.mark.parametrize("to", [name for name in KINDS if name != "hspy"])
def test_many_signals_keep_their_order(tmp_path: Path, to: str) -> None:
    kinds = list(made.signals().values())[:12]
    items = [without_pixel(made.recording(signal, f"file-{number}")) for number, signal in enumerate(kinds)]
    again = read_exported(written(tmp_path, to, *items))
    assert {item.id: item.signal.title for item in again if item.signal} == {
        item.id: item.signal.title for item in items if item.signal
    }
    for item in again:
        like = next(single for single in items if single.id == item.id)
        assert item.signal is not None
        assert like.signal is not None
        np.testing.assert_array_equal(item.signal.data, like.signal.data)


def test_many_signals_are_a_folder_of_hyperspy_files(tmp_path: Path) -> None:
    items = [made.recording(signal, name) for name, signal in made.signals().items()]
    write(made.record(*items), "hspy", tmp_path / "files")
    again = [read_exported(path)[0] for path in sorted((tmp_path / "files").iterdir())]
    assert [item.id for item in again] == [item.id for item in items]
    with pytest.raises(ExportError, match="name a folder"):
        write(made.record(*items), "hspy", tmp_path / "one.hspy")


def test_hyperspy_is_told_of_energy_loss_only_where_there_is_a_spectrometer() -> None:
    signal = made.signals()["spectrum"]
    claims = {**signal.claims, "collection_semiangle": made.CLAIMS["convergence_semiangle"]}
    loss = msgspec.structs.replace(signal, claims=claims)
    assert metadata_of(made.recording(signal), signal)["Signal"]["signal_type"] == ""
    told = metadata_of(made.recording(loss), loss)
    assert told["Signal"]["signal_type"] == "EELS"
    assert told["Acquisition_instrument"]["TEM"]["Detector"]["EELS"]["dwell_time"] == 1e-5


def test_files_of_others_are_none_of_ours(tmp_path: Path) -> None:
    with opened(tmp_path / "other.emd", "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.ones((2, 3))
        for index, size in ((1, 2), (2, 3)):
            group[f"dim{index}"] = np.arange(size)
    with pytest.raises(ValueError, match="emtwin did not export it"):
        read_exported(tmp_path / "other.emd")


def test_a_damaged_record_of_claims_is_told(tmp_path: Path) -> None:
    out = written(tmp_path, "emd", made.recording(made.signals()["image"]))
    with opened(out, "r+") as file:
        del file["emtwin/signal_000000/metadatabundle/emtwin/record"]
    with pytest.raises(VendorError, match="damaged"):
        read_vendor(out)


def real_files(data: Path) -> list[Path]:
    folders = (data / "images", data / "spectra")
    return [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in SOURCES]


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.slow
def test_real_files_come_back(tmp_path: Path, to: str, data: Path) -> None:
    for path in real_files(data):
        for number, signal in enumerate(_read(path)):
            if signal.data.nbytes > 2**24:
                continue
            again = _again(tmp_path / f"{path.stem}-{number}", to, signal)
            assert again.data.dtype == signal.data.dtype, path
            np.testing.assert_array_equal(again.data, signal.data)
            assert numbers(again.axes) == numbers(signal.axes), path
            assert again.claims == signal.claims, path
            assert again.repeated == signal.repeated, path
            if to != "nxem":  # NXem keeps no vendor's metadata
                assert {key: again.raw.get(key) for key in signal.raw} == dict(signal.raw), path


def _read(path: Path) -> list[Signal]:
    """The signals of a file; none where it needs a library that is not installed."""
    try:
        return read_vendor(path)
    except VendorError as error:
        if "needs the library" in error.problem:
            return []
        raise


def _again(folder: Path, to: str, signal: Signal) -> Signal:
    folder.mkdir()
    claims = {name: (claim, *signal.repeated.get(name, ())) for name, claim in signal.claims.items()}
    item = Recording("file-0", "a file", "a.dm3", "", signal, claims, start=made.START)
    (again,) = read_vendor(written(folder, to, item))
    return again
