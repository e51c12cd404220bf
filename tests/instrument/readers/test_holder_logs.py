"""Logs of specimen holders (Protochips, DENSsolutions): times, units, encodings, and damaged files refused with the line and the cure."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import VendorError, close_reader, read_log
from tests.instrument.readers import ENCODINGS


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


_NOTES = (
    "Date (yyyy.mm.dd) = 2014.12.15",
    "Time (hh:mm:ss.ms) = 19:07:04.165",
    "Time units = Milliseconds",
    "Temperature units = Degrees C",
)


def _protochips(
    rows: list[str], notes: tuple[str, ...] = _NOTES, columns: str = "Time, Notes, Channel A Temperature"
) -> str:
    return "\n".join([columns, *(f"0, {note}, 25" for note in notes), *rows]) + "\n"


def test_protochips(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(_protochips(["0, , 26", "100, , NaN", "200, , 30"]))
    log = read_log(path)
    (channel,) = log.channels
    assert (channel.unit, channel.values.tolist()) == ("kelvin", [299.15, 303.15])
    assert channel.times[1] - channel.times[0] == 200_000_000
    assert np.datetime64(int(channel.times[0]), "ns") == np.datetime64("2014-12-15T19:07:04.165")
    assert "zone" in log.clock
    assert channel.notes == ("1 of 3 values are not numbers: left out",)
    path.write_text(_protochips(["0, , 26"], _NOTES[:3]))
    assert read_log(path).channels[0].unit is None  # stated nowhere: not taken for degrees


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_protochips(["5, , Test"]), "'Test' in line 6 .*not a number"),
        (_protochips(["100, , 1", "50, , 2"]), "backwards"),
        (_protochips(["-5, , 1"]), "'-5' in line 6"),
        (_protochips(["1e300, , 1"]), "time '1e300'"),
        (_protochips(["soon, , 1"]), "time 'soon'"),
        (_protochips(["5, 1"]), "2 cells in line 6 for 3 columns"),
        (_protochips(["5, , 1"], _NOTES[:2]), "Time units"),
        (_protochips(["5, , 1"], (*_NOTES[:2], "Time units = Moons")), "not a unit of time"),
        (_protochips(["5, , 1"], ("Date (yyyy.mm.dd) = 2014.13.45", *_NOTES[1:])), "not a date"),
        (_protochips([]), "holds its header, but no reading"),
        (_protochips(["5, , 25,5"]), "4 cells in line 6 .*semicolons"),
        (_protochips(['5, ,"25,5"']), "'25,5' in line 6 .*not a number"),
        (_protochips(["5; ; 25,5", "6; ; 25.5"]).replace(",", ";", 2).replace("0, ", "0; ").replace(", 25\n", "; 25\n"), "'25.5' in line 7"),
        ("a,b,c\n1,2,3\n", "not a log of a Protochips holder"),
        ("\x00\x01\x02", "not a log of a Protochips holder|not CSV|zero bytes"),
    ],
)  # fmt: skip
def test_bad_protochips_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "a.csv"
    for encoding in ("utf-8", "utf-16"):
        path.write_text(text, encoding=encoding)
        with pytest.raises(VendorError, match=expected):
            read_log(path)


def _semicolons(text: str) -> str:
    """As a program of a country with decimal commas saves it: the numbers, not the notes' dates."""
    rows = [line.split(", ") for line in text.splitlines()]
    return "".join(
        "; ".join([row[0].replace(".", ","), row[1], *(x.replace(".", ",") for x in row[2:])]) + "\n" for row in rows
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("commas", [False, True])
def test_protochips_as_other_programs_save_it(tmp_path: Path, encoding: str, commas: bool) -> None:
    text = _protochips(["0, , 26.5", "100.5, , 27.25", "200, , 30"])
    path = tmp_path / "a.csv"
    path.write_bytes((_semicolons(text) if commas else text).replace("\n", "\r\n").encode(encoding))
    (channel,) = read_log(path).channels
    assert channel.values.tolist() == [299.65, 300.4, 303.15]
    assert np.diff(channel.times).tolist() == [100_500_000, 99_500_000]


def test_a_last_line_without_its_end_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = _protochips(["0, , 26", "100, , 60.5", "200, , 60.6"])
    path.write_text(text[:-4])
    log = read_log(path)
    assert log.channels[0].values.tolist() == [299.15, 333.65]
    assert log.notes == ("its last line has no end: broken off, left out",)
    for encoding, cut in (("utf-16", 5), ("utf-16", 8), ("utf-16-be", 3)):  # in the middle of a character, too
        path.write_bytes(text.encode(encoding)[:-cut])
        assert read_log(path).channels[0].values.tolist() == [299.15, 333.65]
        assert read_log(path).notes == log.notes
    path.write_text(text)
    assert read_log(path).notes == ()
    path.write_text(_protochips([]) + "0, , 26")  # the only reading is broken off
    with pytest.raises(VendorError, match="no reading"):
        read_log(path)


_DENS = "\n16/04/'15 13:53\tDigiheater 3.1\nR0 = 282.7\ta =  0.0\tb = 0.225\tc = 278.222\nTsample = 330 [ms]\n"
_COLUMNS = "sample\ttime\tTset[C]\tTmeas[C]\tRheat[ohm]\tVheat[V]\tIheat[mA]\tPheat [mW]\tc\n"


def _dens(*times: str) -> str:
    return (
        _DENS
        + _COLUMNS
        + "".join(
            f"{n}\t{t}\t23.0\t15.091\t281.617\t0.0755\t0.2678\t0.0202\t278.222\tnorm\n" for n, t in enumerate(times, 1)
        )
    )


def test_dens_past_midnight(tmp_path: Path) -> None:
    path = tmp_path / "a.dens"
    path.write_text(_dens("23:59:59.80", "00:00:00.13"))
    log = read_log(path)
    measured = log.channel("Tmeas")
    assert measured.times[1] - measured.times[0] == 330_000_000
    assert np.datetime64(int(measured.times[0]), "ns") == np.datetime64("2015-04-16T23:59:59.8")
    assert measured.values[0] == pytest.approx(288.241)
    assert measured.follows == "Tset"
    assert log.channel("Pheat").values[0] == pytest.approx(2.02e-5)
    assert log.channel("c").unit == "ohm"  # the calibration says so
    assert log.channel("mode").meanings == {0: "norm"}
    assert "20yy" in log.clock


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("commas", [False, True])
def test_dens_as_other_programs_save_it(tmp_path: Path, encoding: str, commas: bool) -> None:
    text = _dens("13:00:00.25", "13:00:00.50", "13:00:00.75")
    changed = text.replace(".", ",").replace("3,1", "3.1").replace("\t", ";") if commas else text
    path = tmp_path / "a.dens"
    path.write_bytes(changed[:-7].encode(encoding))
    log = read_log(path)
    assert np.diff(log.channel("Tmeas").times).tolist() == [250_000_000]
    assert log.channel("Tmeas").values[0] == pytest.approx(288.241)
    assert log.channel("c").unit == "ohm"
    assert log.notes == ("its last line has no end: broken off, left out",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_dens("13:00:01", "13:00:00"), "backwards"),
        (_dens("25:00:00"), "not a time of day"),
        (_dens(), "no reading"),
        (_DENS, "names its columns"),
        (_dens("13:00:00").replace("Tset[C]", "Tset[F]"), "'Tset' in F"),
        (_dens("13:00:00").replace("Vheat[V]", "Vroom[V]"), "'Vroom'"),
        (_dens("13:00:00").replace("281.617", "much"), "not a number"),
        (_dens("13:00:00").replace("\tnorm", ""), "cells in line"),
        (_dens("13:00:00").replace("16/04", "31/02"), "not a date"),
        ("hello\n", "Digiheater's version"),
    ],
)  # fmt: skip
def test_bad_dens_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "a.dens"
    path.write_text(text)
    with pytest.raises(VendorError, match=expected):
        read_log(path)


def test_real_holders(data: Path) -> None:
    older, newer = (read_log(data / f"holders/heating-{version}.dens") for version in (1, 2))
    for channel in older.channels:  # the same readings, columns in another order
        assert newer.channel(channel.name).values.tolist() == channel.values.tolist()
        assert newer.channel(channel.name).unit == channel.unit
    gas = read_log(data / "holders/protochips_gas_cell.csv")
    assert gas.channel("Holder Pressure").values[0] == pytest.approx(733.154293872 * 101325 / 760)
    assert (np.diff(gas.channel("Holder Pressure").times) > 0).all()
    electrical = read_log(data / "holders/protochips_electrical.csv")
    assert [channel.unit for channel in electrical.channels] == ["ampere", "volt", "ohm"] * 2
    assert electrical.channel("Channel B Resistance").values.size == 0
    assert read_log(data / "holders/protochips_thermal.csv").channels[0].times.size == 2578
    with pytest.raises(VendorError, match="Time units"):
        read_log(data / "holders/protochips_invalid.csv")


def test_spoiled_logs(data: Path) -> None:
    complete = read_log(data / "spoiled/protochips-bom.csv").channels[0]
    truncated = read_log(data / "spoiled/protochips-cut-last-value.csv")
    assert complete.values.size == 401
    assert complete.values[-1] == pytest.approx(333.75)
    np.testing.assert_array_equal(truncated.channels[0].values, complete.values[:-1])
    assert truncated.notes == ("its last line has no end: broken off, left out",)
    with pytest.raises(VendorError, match="no reading"):
        read_log(data / "spoiled/protochips-header-only.csv")
