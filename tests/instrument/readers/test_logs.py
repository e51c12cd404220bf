"""HealthMonitor exports: every parameter has an evident unit or is marked unknown with the reason; damaged files are refused."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import SensorLog, VendorError, close_reader, read_log
from instrument.readers.logs.health_units import evident_unit
from instrument.readers.logs.log import LoggedChannel
from tests.instrument.readers import ENCODINGS

KRIOS = "sensors/krios-health-2025-07-28.xml.gz"


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.fixture(scope="module")
def krios(data: Path) -> SensorLog:
    return read_log(data / KRIOS)


def _parameter(
    name: str, *, key: str = "1", stored: str = "", display: str = "", low: str = "0", high: str = "1E+308", label: str = "", attributes: str = ""
) -> str:  # fmt: skip
    return (
        f'<Parameter ID="{key}" Name="{name}" EventName="{name}Event{key}" DisplayName="{label or name}" Type="Float" StorageUnit="{stored}" '
        f'DisplayUnit="{display}" MaxLogInterval="00:30:00" AbsoluteMinimum="{low}" AbsoluteMaximum="{high}" {attributes}/>'
    )


def _health(parameters: str, values: str = "", head: str = "", enumerations: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>{head}<HealthMonitor xmlns="HealthMonitorExport"><Enumerations>{enumerations}</Enumerations>'
        f'<Instruments><Instrument Name="x"><Component Name="Part">{parameters}</Component></Instrument></Instruments>'
        f'<Values Start="2025-07-28T11:00:00+01:00" End="2025-07-28T12:00:00+01:00">{values}</Values></HealthMonitor>'
    )


def _data(pairs: list[tuple[str, str]], key: str = "1", name: str = "A") -> str:
    rows = "".join(
        f'<ParameterValue Timestamp="{t}"><Value Type="Double">{v}</Value></ParameterValue>' for t, v in pairs
    )
    return f'<ValueData ParameterID="{key}" Parameter="{name}"><ParameterValues>{rows}</ParameterValues></ValueData>'


def _read_channel(tmp_path: Path, parameter: str, value: str = "") -> LoggedChannel:
    path = tmp_path / "log.xml"
    path.write_text(_health(parameter, _data([("2025-07-28T11:30:00+01:00", value)]) if value else ""))
    return read_log(path).channels[0]


def test_every_parameter_of_a_krios_has_a_unit_or_says_why_not(krios: SensorLog) -> None:
    assert len(krios.channels) == 391
    assert len({channel.name for channel in krios.channels}) == 391
    assert sum(channel.times.size for channel in krios.channels) == 1889
    assert all(channel.why for channel in krios.channels)
    unknown = [channel for channel in krios.channels if channel.unit is None]
    assert len(unknown) == 9
    assert all(channel.why.endswith("unknown") for channel in unknown)
    assert {"Defocus", "ObjectiveAstigmatism", "CPULoadAvg"} <= {channel.name for channel in unknown}
    assert {channel.unit for channel in krios.channels} - {None} == {
        "1", "1/second", "ampere", "angstrom", "angstrom/second", "byte", "electron", "kelvin", "pascal", "pascal/second", "radian",
        "second", "volt",
    }  # fmt: skip


def test_values_of_a_krios_are_what_they_must_be(krios: SensorLog) -> None:
    coils = [channel for channel in krios.channels if channel.name.endswith("CoilTemperature")]
    assert len(coils) == 20
    assert all(
        channel.unit == "kelvin" and (channel.values > 290).all() and (channel.values < 360).all() for channel in coils
    )
    tension = krios.channel("HTTankMeasuredVoltage")
    assert (tension.unit, float(tension.values[0])) == ("volt", pytest.approx(299_378, abs=1))
    assert "can only be volts" in tension.why
    delta = krios.channel("FalconECCamera/FalconECSensorTemperatureDeltaSetpoint")
    assert float(delta.values[0]) == pytest.approx(0.62)  # a difference is not 273.77 K
    assert krios.channel("VacuumLeakFactor").unit == "pascal/second"
    assert krios.channel("Laldwr").values[0] == pytest.approx(0.5337, abs=1e-4)
    assert krios.channel("ScreenPosition").meanings
    assert krios.channel("CompuStageAlphaTilt").limits == (-1.75, 1.75)
    assert krios.channel("Tcartridge").max_interval == 43200.0
    assert krios.channel("ALX_ErrorState").limits == (None, None)
    assert all(
        krios.start <= channel.times[0] and channel.times[-1] <= krios.end
        for channel in krios.channels
        if channel.times.size
    )
    assert krios.start == 1753698387 * 10**9  # 11:26:27 at +01:00
    with pytest.raises(ValueError, match="like it are"):
        krios.channel("tempera")


@pytest.mark.parametrize(
    ("parameter", "value", "unit", "inside", "why"),
    [
        (_parameter("CoilTemperature", stored="°C", low="273.15", high="373.15"), "326.9", "kelvin", 326.9, "labelled °C"),
        (_parameter("CoilTemperature", display="°C", low="-1E+308"), "326.9", "kelvin", 326.9, "labelled °C"),
        (_parameter("Temperature", stored="°C", low="0", high="200"), "40", "kelvin", 313.15, "unit stated"),
        (_parameter("Tank", stored="kV", high="330000"), "299378", "volt", 299378.0, "labelled kV"),
        (_parameter("Tank", stored="kV", high="300"), "200", "volt", 200e3, "unit stated"),
        (_parameter("Off", stored="°C", label="Delta °C from setpoint"), "0.6", "kelvin", 0.6, "difference"),
        (_parameter("Use", stored="%", label="LN2 Usage (% per hour)"), "7.2", "1/second", 2e-5, "per hour"),
        (_parameter("Speed", stored="furlong"), "3", None, 3.0, "not a known unit"),
        (_parameter("Defocus"), "-2", None, -2.0, "name does not determine it"),
        (_parameter("Moves", label="Total number of moves"), "7", "1", 7.0, "count"),
        (_parameter("State", attributes='EnumerationName="E"'), "1", "1", 1.0, "enumeration E"),
    ],
)  # fmt: skip
def test_units_by_what_is_stated_and_what_is_possible(
    tmp_path: Path, parameter: str, value: str, unit: str | None, inside: float, why: str
) -> None:
    channel = _read_channel(tmp_path, parameter, value)
    assert channel.unit == unit
    assert float(channel.values[0]) == pytest.approx(inside)
    assert why in channel.why


def test_no_unit_is_invented() -> None:
    unit, reason = evident_unit({"Name": "CPULoadAvg", "DisplayName": "CPU Load"}, [49.0], (0.0, 100.0))
    assert unit is None
    assert "nothing says so" in reason


def test_omitted_records_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "log.xml"
    day = "2025-07-28T11:30:0"
    pairs = [(f"{day}0Z", "1"), (f"{day}1Z", "NaN"), (f"{day}2Z", "2"), (f"{day}2Z", "3"), (f"{day}3.25+01:00", "4")]
    path.write_text(_health(_parameter("A", stored="K"), _data(pairs[:4])))
    channel = read_log(path).channels[0]
    assert channel.values.tolist() == [1.0, 3.0]
    assert channel.notes == (
        "1 of 4 values are not numbers: left out",
        "1 values have the time of the next one: left out",
    )
    path.write_text(_health(_parameter("A", stored="K"), _data(pairs[4:])))
    assert read_log(path).channels[0].times.tolist() == [1753698603250000000]


def test_repeated_names_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "log.xml"
    path.write_text(_health(_parameter("T") + _parameter("T", key="2")))
    assert [channel.name for channel in read_log(path).channels] == ["Part/TEvent1", "Part/TEvent2"]


_BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
_GOOD = _health(_parameter("A", stored="K"), _data([("2025-07-28T11:30:00Z", "1")]))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.xml", b"", "empty"),
        ("noise.xml", bytes(range(256)) * 8, "is not XML"),
        ("text.xml", b"hello", "is not XML"),
        ("other.xml", b"<html></html>", "another kind"),
        ("bomb.xml", _health("", head=_BOMB).encode(), "document type"),
        ("cut.xml", _GOOD[:-60].encode(), "ends in the middle"),
        ("wrong.xml", _GOOD.replace("</Values>", "</Walues>").encode(), "is damaged"),
        ("none.xml", _health("").encode(), "no parameter"),
        ("word.xml", _GOOD.replace(">1</Value>", ">one</Value>").encode(), "which is not a number"),
        ("zone.xml", _GOOD.replace("11:30:00Z", "11:30:00").encode(), "without a time zone"),
        ("time.xml", _GOOD.replace("11:30:00Z", "soon").encode(), "which is not a time"),
        ("year.xml", _GOOD.replace("2025-07-28T11:30", "1601-01-01T11:30").encode(), "year 1601"),
        ("late.xml", _GOOD.replace("2025-07-28T11:30", "9998-01-01T11:30").encode(), "year 99"),
        ("deep.xml", b"<HealthMonitor>" + b"<a>" * 5000, "nested deeper"),
        ("back.xml", _health(_parameter("A"), _data([("2025-07-28T11:30:05Z", "1"), ("2025-07-28T11:30:00Z", "2")])).encode(), "backwards"),
        ("cut.xml.gz", gzip.compress(_GOOD.encode())[:-20], "truncated"),
        ("plain.xml.gz", _GOOD.encode(), "not gzipped"),
        ("noise.xml.gz", b"\x1f\x8b" + bytes(range(256)), "damaged gzip"),
        ("log.txt", b"1", "extension"),
    ],
)  # fmt: skip
def test_bad_exports_are_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VendorError, match=expected) as caught:
        read_log(path)
    assert caught.value.path == str(path)
    assert caught.value.cure


def test_a_gzip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.xml.gz"
    path.write_bytes(gzip.compress(b"<HealthMonitor>" + b" " * 50_000_000))
    with pytest.raises(VendorError, match="unpacks to more than"):
        read_log(path, max_bytes=10_000_000)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("declared", ["utf-8", "utf-16"])
def test_health_in_the_encoding_that_it_is_in(tmp_path: Path, encoding: str, declared: str) -> None:
    path = tmp_path / "log.xml"
    text = _health(_parameter("Coil", stored="°C"), _data([("2025-07-28T11:30:00Z", "20.5")]))
    plain = encoding == "utf-8" and declared == "utf-16"  # nothing but the declaration, which is wrong
    path.write_bytes(text.replace("utf-8", "utf-8" if plain else declared, 1).encode(encoding))
    (channel,) = read_log(path).channels
    assert channel.values.tolist() == [293.65]
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(VendorError, match="ends in the middle"):
        read_log(path)


def test_damaged_copies_are_refused_or_hold_together(data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    original = gzip.decompress((data / KRIOS).read_bytes())
    refused = 0
    for trial in range(12):
        content = bytearray(original[: int(len(original) * (trial + 1) / 8)] if trial < 6 else original)
        if trial >= 6:
            for index in rng.integers(0, len(original), 40):
                content[index] = int(rng.integers(256))
        path = tmp_path / "copy.xml"
        path.write_bytes(bytes(content))
        try:
            log = read_log(path)
        except VendorError:
            refused += 1
            continue
        assert all((np.diff(channel.times) > 0).all() and np.isfinite(channel.values).all() for channel in log.channels)
    assert refused >= 6
