"""Plain logs of columns: column tables, headers that state all, separators and encodings, local times through changes of summer time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import VendorError, close_reader, read_log

TABLE = """
schema = "emtwin.columns/1"
name = "Heating stage"
[time]
columns = ["Datum", "Zeit"]
format = "%d.%m.%Y %H:%M:%S"
zone = "Europe/Berlin"
[[column]]
column = "T Ofen"
channel = "holder.temperature"
unit = "degC"
bias = 2.0
[[column]]
column = "HT"
channel = "gun.high_tension.commanded"
unit = "kV"
"""


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def _log(tmp_path: Path, rows: list[tuple[str, str]], table: str = TABLE) -> Path:
    """A log of times of day and temperatures, with its table beside it. A row's time is "2025-10-26 01:59:00"."""
    path = tmp_path / "stage.csv"
    lines = []
    for time, value in rows:
        day, clock = time.split()
        year, month, date = day.split("-")
        lines.append(f"{date}.{month}.{year};{clock};{value};300\n")
    path.write_text("Datum;Zeit;T Ofen;HT\n" + "".join(lines))
    (tmp_path / "stage.csv.columns.toml").write_text(table)
    return path


def _utc(times: np.ndarray) -> list[str]:
    return [str(np.datetime64(int(time), "ns").astype("datetime64[s]")) for time in times]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_a_table_says_what_columns_are(tmp_path: Path, encoding: str, separator: str) -> None:
    comma = separator != ","
    rows = ["made by a logger of our own", "Datum|Zeit|T Ofen|HT|remark", "||degC|kV|"]
    rows += ["28.07.2025|13:26:27|25.5|300|", "28.07.2025|13:26:28||300|", "28.07.2025|13:26:29|26.5|299.9|"]
    text = "\n".join(rows).replace("|", separator)
    text = text.replace("5.5", "5,5").replace("6.5", "6,5").replace("9.9", "9,9") if comma else text
    path, table = tmp_path / "stage.log", tmp_path / "mine.toml"
    path.write_text(text + "\n", encoding=encoding)
    table.write_text(TABLE.replace("[time]", "skip = 1\nskip_after = 1\n[time]"))
    log = read_log(path, columns=table)
    temperature, tension = log.channels
    assert temperature.name == "holder.temperature"
    assert temperature.unit == "kelvin"
    assert temperature.values.tolist() == pytest.approx([298.65, 299.65])
    assert (temperature.kind, temperature.bias, tension.kind) == ("measured", 2.0, "echo")
    assert tension.values.tolist() == pytest.approx([3e5, 3e5, 2.999e5])
    assert _utc(temperature.times) == ["2025-07-28T11:26:27", "2025-07-28T11:26:29"]
    assert (log.zone, log.name) == ("UTC", "Heating stage")
    assert "Europe/Berlin" in log.clock


def test_clocks_set_back_in_autumn(tmp_path: Path) -> None:
    clock = ("01:59:30", "02:10:00", "02:50:00", "02:00:00", "02:59:59", "03:00:00")
    log = read_log(_log(tmp_path, [(f"2025-10-26 {time}", "1") for time in clock]))
    instants = ("25T23:59:30", "26T00:10:00", "26T00:50:00", "26T01:00:00", "26T01:59:59", "26T02:00:00")
    assert _utc(log.channels[0].times) == [f"2025-10-{instant}" for instant in instants]


def test_the_repeated_hour_is_refused_where_no_row_steps_back(tmp_path: Path) -> None:
    path = _log(tmp_path, [("2025-10-26 01:59:00", "1"), ("2025-10-26 02:10:00", "2"), ("2025-10-26 03:10:00", "3")])
    with pytest.raises(
        VendorError, match=r"line 3: 2025-10-26 02:10:00 is in the hour that Europe/Berlin has twice.*\+02:00"
    ):
        read_log(path)
    fixed = _log(tmp_path, [("2025-10-26 02:10:00", "2")], TABLE.replace("Europe/Berlin", "+02:00"))
    assert _utc(read_log(fixed).channels[0].times) == ["2025-10-26T00:10:00"]
    with pytest.raises(VendorError, match="step back more than once"):
        read_log(_log(tmp_path, [(f"2025-10-26 02:{minute}:00", "1") for minute in ("10", "50", "05", "40", "20")]))


def test_the_hour_that_spring_leaves_out_is_refused(tmp_path: Path) -> None:
    rows = [("2025-03-30 01:59:59", "1"), ("2025-03-30 03:00:00", "2")]
    assert _utc(read_log(_log(tmp_path, rows)).channels[0].times) == ["2025-03-30T00:59:59", "2025-03-30T01:00:00"]
    with pytest.raises(VendorError, match="line 3: 2025-03-30 02:30:00 is no time in Europe/Berlin"):
        read_log(_log(tmp_path, [rows[0], ("2025-03-30 02:30:00", "1"), rows[1]]))


def test_headers_that_state_all(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("Time (UTC)\toperator\ttemperature [degC]\tSTAGE.X [um]\n2025-07-28T11:26:27.25\tAn\t25\t-3,5\n")
    log = read_log(path)
    temperature, stage = log.channels
    assert temperature.values.tolist() == [298.15]
    assert stage.values.tolist() == [-35000.0]
    assert temperature.times.tolist() == [1753701987250000000]
    path = tmp_path / "b.csv"
    path.write_text("unix_time [ms],gun.emission [uA]\n1753701987000.5,67\n1753701988000,68\n")
    log = read_log(path)
    assert log.channels[0].times.tolist() == [1753701987000500000, 1753701988000000000]
    assert log.zone == "UTC"
    assert log.channels[0].unit == "ampere"
    path.write_text("timestamp,temperature [K]\n2025-07-28 11:26:27+02:00,300\n2025-07-28 11:26:28+02:00,301\n")
    assert _utc(read_log(path).channels[0].times)[0] == "2025-07-28T09:26:27"
    path.write_text("timestamp,temperature [K]\n2025-07-28 11:26:27,300\n")
    log = read_log(path)
    assert log.zone == "local"
    assert "not stated" in log.clock
    log = read_log(path, zone="America/New_York")
    assert log.zone == "UTC"
    assert _utc(log.channels[0].times) == ["2025-07-28T15:26:27"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("time_utc,temperature\n2025-07-28 11:26:27,25\n", r"unit of its column 'temperature' \(number 2\)"),
        ("temperature [K],stage.x [um]\n1,2\n", "no column of the time"),
        ("time_utc,remark\n2025-07-28 11:26:27,25\n", "no column of a channel"),
        ("time [s],temperature [K]\n1,2\n", "does not say since when"),
        ("unix_time,temperature [K]\n1,2\n", "without the unit of a count"),
        ("time [Mars/North],temperature [K]\n1,2\n", "no time zone"),
        ("time_utc,temperature [K]\nyesterday,2\n", "time 'yesterday' in line 2, which is not ISO 8601"),
        ("time_utc,temperature [K]\n2025-07-28 11:26:27,hot\n", "'hot' in line 2 of column 'temperature .K.'"),
        ("time_utc,temperature [K]\n2025-07-28 11:26:27,25,5\n", "3 cells in line 2 for 2 columns.*semicolons"),
        ("time_utc,temperature [K]\n2025-07-28 11:26:27\n", "1 cells in line 2"),
        ("time_utc,temperature [K]\n2025-07-28 11:26:27,1\n2025-07-28 11:26:28+01:00,1\n", "in line 3 differs"),
        ("time_utc,temperature [K]\n2025-07-28 11:26:27,1\n2025-07-28 11:26:26,1\n", "backwards"),
        ("time_utc,temperature [K]\n", "no reading"),
        ("time_utc,temperature [nm]\n2025-07-28 11:26:27,1\n", "no unit of kelvin"),
    ],
)
def test_bad_columns_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(VendorError, match=expected):
        read_log(path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('schema = "emtwin.columns/1"', 'schema = "emtwin.columns/9"', "emtwin.columns/1"),
        ("holder.temperature", "holder.temprature", "'holder.temprature', which is not known. Name one of holder.temperature"),
        ('"degC"', '"nm"', "no unit of kelvin"),
        ('"degC"', '"warm"', "no known unit"),
        ("Europe/Berlin", "Europe/Atlantis", "no time zone that this computer knows.*Europe/Berlin"),
        ('"T Ofen"', '"T oven"', "no column called 'T oven'.*T Ofen"),
        ('"T Ofen"', "9", "no column number 9"),
        ('format = "%d.%m.%Y %H:%M:%S"', "", "format or the unit"),
        ('format = "%d.%m.%Y %H:%M:%S"', 'unit = "fortnight"', "counts time in 'fortnight'"),
        ("bias = 2.0", "bias = -1.0", "bias of -1.0"),
        ("bias = 2.0", "offset = 1.0", "no column table.*offset"),
        ("[time]", "[time", "not TOML"),
        ("gun.high_tension.commanded", "holder.temperature", "two columns for the channel|no unit of"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(VendorError, match=expected):
        read_log(_log(tmp_path, [("2025-07-28 11:26:27", "25")], TABLE.replace(old, new)))


def test_counts_since_a_local_start(tmp_path: Path) -> None:
    table = TABLE.replace('["Datum", "Zeit"]', '["Zeit"]').replace(
        'format = "%d.%m.%Y %H:%M:%S"', 'unit = "min"\nsince = "2025-03-30T00:30:00"'
    )
    rows = [("2025-03-30 0", "1"), ("2025-03-30 90,5", "2")]
    times = read_log(_log(tmp_path, rows, table)).channels[0].times
    assert _utc(times) == ["2025-03-29T23:30:00", "2025-03-30T01:00:30"]  # elapsed time: no hour is left out of it


def test_the_zone_of_a_holder_log(data: Path) -> None:
    for name, zone, begins in (
        ("protochips_thermal.csv", "America/New_York", "2014-12-03T22:15:37"),
        ("heating-1.dens", "Europe/Berlin", "2015-04-16T11:54:37"),
    ):
        log = read_log(data / "holders" / name)
        assert log.zone == "local"
        assert _utc(read_log(data / "holders" / name, zone=zone).channels[0].times)[0] == begins
        with pytest.raises(VendorError, match="beyond 14 hours"):
            read_log(data / "holders" / name, zone="+19:00")
    assert read_log(data / "sensors/krios-health-2025-07-28.xml.gz", zone="+05:00").zone == "UTC"
    spoiled = read_log(data / "spoiled/protochips-saturated.csv", zone="UTC")
    assert spoiled.zone == "UTC"
