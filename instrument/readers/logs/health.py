"""Thermo's HealthMonitor export (XML, plain or gzipped): parameters, their declared units and limits, and timed values.

Read as a stream by expat with document types refused, so that no entity can expand; what a gzip unpacks to is bounded. An export that ends in
the middle is refused, since nothing tells how many parameters and values are missing. Runs inside the worker.
"""

import gzip
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.parsers import expat

from instrument.readers.logs.health_units import evident_unit
from instrument.readers.logs.log import LoggedChannel, SensorLog, bound, in_order
from instrument.readers.logs.text import Numbers, encoding_of
from instrument.readers.signals import VendorError

CHUNK = 1 << 20
MAX_VALUES = 20_000_000
MAX_DEPTH = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"^(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)$")


def read_health(path: str, max_bytes: int) -> SensorLog:
    """A HealthMonitor export; VendorError naming what is wrong with it."""
    reading = _Reading(path)
    total = 0
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if path.lower().endswith(".gz") and not zipped:
                raise VendorError(path, "is named .gz, but is not gzipped", "Copy it anew, or take .gz off its name.")
            file = gzip.GzipFile(fileobj=raw) if zipped else raw
            while chunk := file.read(CHUNK):
                if not total:
                    reading.begin(*encoding_of(chunk[:64]))
                total += len(chunk)
                if total > max_bytes:
                    raise VendorError(path, f"unpacks to more than {max_bytes} bytes", "Export a shorter time.")
                reading.parser.Parse(chunk, False)
        if not total:
            raise VendorError(path, "unpacks to nothing", "Export it again.")
        reading.parser.Parse(b"", True)
    except EOFError as error:
        raise VendorError(path, "ends in the middle: the gzip is truncated", "Copy it anew.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise VendorError(path, f"is a damaged gzip ({error})", "Copy it anew.") from error
    except expat.ExpatError as error:
        if not reading.begun:
            raise VendorError(path, "is not XML", "Give an export of HealthMonitor, .xml or .xml.gz.") from error
        cut = "no element found" in str(error) or "unclosed token" in str(error)
        problem = f"{'ends in the middle' if cut else 'is damaged'} ({error})"
        raise VendorError(path, problem, "Copy or export it again.") from error
    return reading.log()


class _Reading:
    """The stream's handlers, and what they have gathered."""

    def __init__(self, path: str):
        self.path = path
        self.begun = False
        self.root: dict[str, str] = {}
        self.stack: list[str] = []
        self.components: list[str] = []
        self.parameters: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
        self.meanings: dict[str, dict[int, str]] = {}
        self.records: dict[str, tuple[list[int], list[float]]] = {}
        self.order: dict[str, str] = {}
        self.bounds: dict[str, str] = {}
        self.count = 0
        self.numbers = Numbers()
        self.enumeration = self.literal = self.parameter = self.stamp = ""
        self.text: list[str] = []

    def begin(self, encoding: str, mark: int) -> None:
        """Make the parser. Where the bytes tell the encoding, that counts: a file that was saved anew may declare the one that it had before."""
        told = mark or encoding != "utf-8"
        self.parser = expat.ParserCreate(encoding.upper().replace("16-", "16") if told else None)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse(self, *_: Any) -> None:
        raise VendorError(self.path, "declares a document type, as no HealthMonitor export does", "Export it again.")

    def _start(self, tag: str, given: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if not self.begun:
            if tag != "HealthMonitor":
                raise VendorError(
                    self.path,
                    f"is XML of another kind (it begins with {tag[:40]!r})",
                    "Give an export of HealthMonitor.",
                )
            self.begun = True
        self.stack.append(tag)
        self.text = []
        if len(self.stack) > MAX_DEPTH:
            raise VendorError(self.path, f"is nested deeper than {MAX_DEPTH}", "Export it again.")
        if tag == "Enumeration":
            self.enumeration = given.get("Name", "")
        elif tag == "Literal":
            self.literal = given.get("Name", "")
        elif tag in ("Instrument", "Component"):
            self.components.append(given.get("Name", ""))
        elif tag == "Parameter":
            self.parameters[given.get("ID", "")] = (tuple(self.components[1:]), given)
        elif tag == "Values":
            self.root = given
        elif tag == "ValueData":
            self.parameter = given.get("ParameterID", "")
            self.order.setdefault(self.parameter, given.get("Parameter", self.parameter))
        elif tag == "ParameterValue":
            self.stamp = given.get("Timestamp", "")

    def _characters(self, text: str) -> None:
        self.text.append(text)

    def _end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        self.stack.pop()
        if tag in ("Instrument", "Component"):
            self.components.pop()
        elif tag == "Literal" and self.enumeration:
            code = "".join(self.text).strip()
            if code.lstrip("-").isdigit():
                self.meanings.setdefault(self.enumeration, {})[int(code)] = self.literal
        elif tag == "Value" and self.stack[-1:] == ["ParameterValue"]:
            self._record("".join(self.text).strip())

    def _record(self, text: str) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            raise VendorError(self.path, f"holds more than {MAX_VALUES} values", "Export a shorter time.")
        name = self.order.get(self.parameter, self.parameter)
        try:
            number = self.numbers.read(text)
        except ValueError:
            problem = f"{name} has the value {text[:40]!r} at {self.stamp}, which is no number"
            raise VendorError(self.path, problem, "Export it again, or take the value out.") from None
        times, numbers = self.records.setdefault(self.parameter, ([], []))
        times.append(self._time(self.stamp, name))
        numbers.append(number)

    def _time(self, text: str, name: str) -> int:
        """Nanoseconds UTC of an ISO 8601 time with its zone."""
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            problem = f"{name} has a value at the time {text[:40]!r}, which is none"
            raise VendorError(self.path, problem, "Export it again, or take the value out.") from None
        if when.tzinfo is None:
            problem = f"{name} has a value at {text}, without a time zone"
            raise VendorError(self.path, problem, "Export it again with zones (+01:00).")
        return (when - _EPOCH) // timedelta(microseconds=1) * 1000

    def log(self) -> SensorLog:
        """The log of what was read; VendorError where it declares no parameter."""
        if not self.parameters:
            raise VendorError(self.path, "declares no parameter", "Export it again, with parameters chosen.")
        names = _names(self.parameters)
        channels = [self._channel(key, names[key], *found) for key, found in self.parameters.items()]
        for key in self.records.keys() - self.parameters.keys():
            times, values, notes = in_order(self.path, self.order[key], *self.records[key])
            why = "not declared in the log: unknown"
            channels.append(LoggedChannel(self.order[key], "", "", None, 1.0, 0.0, times, values, "", why, notes=notes))
        edges = [int(t) for item in channels if item.times.size for t in (item.times[0], item.times[-1])]
        start = self._time(self.root["Start"], "the export") if "Start" in self.root else min(edges, default=0)
        end = self._time(self.root["End"], "the export") if "End" in self.root else max(edges, default=0)
        title = self.root.get("Instrument", "")
        clock = "times with their zone, taken to UTC"
        return SensorLog(self.path, "Thermo HealthMonitor", title, clock, start, end, tuple(channels))

    def _channel(self, key: str, name: str, place: tuple[str, ...], given: dict[str, str]) -> LoggedChannel:
        raw_times, raw_values = self.records.get(key, ([], []))
        times, values, notes = in_order(self.path, name, raw_times, raw_values)
        low, high = given.get("AbsoluteMinimum"), given.get("AbsoluteMaximum")
        seen = values.tolist()
        known, why = evident_unit(given, seen, (bound(low, 1.0, 0.0), bound(high, 1.0, 0.0)))
        unit, factor, offset = known or (None, 1.0, 0.0)
        return LoggedChannel(
            name, given.get("DisplayName", ""), given.get("StorageUnit", "") or given.get("DisplayUnit", ""),
            unit, factor, offset, times, values * factor + offset, "/".join(place), why,
            meanings=self.meanings.get(given.get("EnumerationName", ""), {}),
            limits=(bound(low, factor, offset), bound(high, factor, offset)),
            max_interval=_seconds(given.get("MaxLogInterval", "")), notes=notes,
        )  # fmt: skip


def _names(parameters: dict[str, tuple[tuple[str, ...], dict[str, str]]]) -> dict[str, str]:
    """A name of its own for each parameter: its Name; where that repeats, its component's before it; where that does too, its event's."""
    chosen = {key: given.get("Name", key) for key, (_, given) in parameters.items()}
    for longer in (
        lambda place, given: f"{place[-1] if place else ''}/{given.get('Name', '')}",
        lambda place, given: f"{place[-1] if place else ''}/{given.get('EventName', '')}",
    ):
        seen: dict[str, int] = {}
        for name in chosen.values():
            seen[name] = seen.get(name, 0) + 1
        for key, name in chosen.items():
            if seen[name] > 1:
                chosen[key] = longer(*parameters[key])
    taken: set[str] = set()
    for key, name in chosen.items():
        chosen[key] = name if name not in taken else f"{name}#{key}"
        taken.add(chosen[key])
    return chosen


def _seconds(text: str) -> float | None:
    """A .NET time span, [days.]hours:minutes:seconds, in seconds; None where it is none."""
    found = _DURATION.match(text)
    if not found:
        return None
    days, hours, minutes, seconds = found.groups(default="0")
    return 86400.0 * int(days) + 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
