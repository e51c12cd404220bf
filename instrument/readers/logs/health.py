"""Thermo's HealthMonitor export (XML, plain or gzipped): parameters, their declared units and limits, and timed values.

Read as a stream by expat with document types refused, so that no entity can expand; what a gzip unpacks to is bounded. A truncated
export is refused, since the number of missing parameters and values is unknown. Runs inside the worker.
"""

import gzip
import re
import zlib
from datetime import UTC, datetime, timedelta, tzinfo
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


def read_health(path: str, max_bytes: int, zone: tzinfo | None = None) -> SensorLog:
    """A HealthMonitor export; VendorError naming what is wrong with it. Its times state their zone: ``zone`` is not needed."""
    del zone
    reading = _Reading(path)
    total = 0
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if path.lower().endswith(".gz") and not zipped:
                raise VendorError(path, "is named .gz, but is not gzipped", "Copy it again, or take .gz off its name.")
            file = gzip.GzipFile(fileobj=raw) if zipped else raw
            while chunk := file.read(CHUNK):
                if not total:
                    reading.begin(*encoding_of(chunk[:64]))
                total += len(chunk)
                if total > max_bytes:
                    raise VendorError(path, f"unpacks to more than {max_bytes} bytes", "Export a shorter time.")
                reading.parser.Parse(chunk, False)
        if not total:
            raise VendorError(path, "is empty after unpacking", "Export it again.")
        reading.parser.Parse(b"", True)
    except EOFError as error:
        raise VendorError(path, "ends in the middle: the gzip is truncated", "Copy it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise VendorError(path, f"is a damaged gzip ({error})", "Copy it again.") from error
    except expat.ExpatError as error:
        if not reading.root_seen:
            raise VendorError(path, "is not XML", "Give an export of HealthMonitor, .xml or .xml.gz.") from error
        cut = "no element found" in str(error) or "unclosed token" in str(error)
        problem = f"{'ends in the middle' if cut else 'is damaged'} ({error})"
        raise VendorError(path, problem, "Copy or export it again.") from error
    return reading.log()


class _Reading:
    """Handlers of the XML stream, and the parameters and values read so far."""

    def __init__(self, path: str):
        self.path = path
        self.root_seen = False
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
        """Create the parser. An encoding evident from the bytes takes precedence: a file that was saved again may declare its former encoding."""
        encoding_certain = mark or encoding != "utf-8"
        self.parser = expat.ParserCreate(encoding.upper().replace("16-", "16") if encoding_certain else None)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse(self, *_: Any) -> None:
        raise VendorError(self.path, "declares a document type, as no HealthMonitor export does", "Export it again.")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if not self.root_seen:
            if tag != "HealthMonitor":
                raise VendorError(
                    self.path,
                    f"is XML of another kind (it begins with {tag[:40]!r})",
                    "Give an export of HealthMonitor.",
                )
            self.root_seen = True
        self.stack.append(tag)
        self.text = []
        if len(self.stack) > MAX_DEPTH:
            raise VendorError(self.path, f"is nested deeper than {MAX_DEPTH}", "Export it again.")
        if tag == "Enumeration":
            self.enumeration = attributes.get("Name", "")
        elif tag == "Literal":
            self.literal = attributes.get("Name", "")
        elif tag in ("Instrument", "Component"):
            self.components.append(attributes.get("Name", ""))
        elif tag == "Parameter":
            self.parameters[attributes.get("ID", "")] = (tuple(self.components[1:]), attributes)
        elif tag == "Values":
            self.root = attributes
        elif tag == "ValueData":
            self.parameter = attributes.get("ParameterID", "")
            self.order.setdefault(self.parameter, attributes.get("Parameter", self.parameter))
        elif tag == "ParameterValue":
            self.stamp = attributes.get("Timestamp", "")

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
            problem = f"{name} has the value {text[:40]!r} at {self.stamp}, which is not a number"
            raise VendorError(self.path, problem, "Export it again, or take the value out.") from None
        times, numbers = self.records.setdefault(self.parameter, ([], []))
        times.append(self._time(self.stamp, name))
        numbers.append(number)

    def _time(self, text: str, name: str) -> int:
        """Nanoseconds UTC of an ISO 8601 time with its zone."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            problem = f"{name} has a value at the time {text[:40]!r}, which is not a time"
            raise VendorError(self.path, problem, "Export it again, or take the value out.") from None
        if moment.tzinfo is None:
            problem = f"{name} has a value at {text}, without a time zone"
            raise VendorError(self.path, problem, "Export it again with zones (+01:00).")
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000

    def log(self) -> SensorLog:
        """The log of what was read; VendorError where it declares no parameter."""
        if not self.parameters:
            raise VendorError(self.path, "declares no parameter", "Export it again, with parameters chosen.")
        names = _names(self.parameters)
        channels = [self._channel(key, names[key], *declaration) for key, declaration in self.parameters.items()]
        for key in self.records.keys() - self.parameters.keys():
            times, values, notes = in_order(self.path, self.order[key], *self.records[key])
            unit_reason = "not declared in the log: unknown"
            channels.append(
                LoggedChannel(self.order[key], "", "", None, 1.0, 0.0, times, values, "", unit_reason, notes=notes)
            )
        edges = [int(t) for item in channels if item.times.size for t in (item.times[0], item.times[-1])]
        start = self._time(self.root["Start"], "the export") if "Start" in self.root else min(edges, default=0)
        end = self._time(self.root["End"], "the export") if "End" in self.root else max(edges, default=0)
        title = self.root.get("Instrument", "")
        clock = "times with their zone, taken to UTC"
        return SensorLog(self.path, "Thermo HealthMonitor", title, clock, start, end, tuple(channels))

    def _channel(
        self, key: str, name: str, component_path: tuple[str, ...], attributes: dict[str, str]
    ) -> LoggedChannel:
        raw_times, raw_values = self.records.get(key, ([], []))
        times, values, notes = in_order(self.path, name, raw_times, raw_values)
        low, high = attributes.get("AbsoluteMinimum"), attributes.get("AbsoluteMaximum")
        stored_values = values.tolist()
        evident, unit_reason = evident_unit(attributes, stored_values, (bound(low, 1.0, 0.0), bound(high, 1.0, 0.0)))
        unit, factor, offset = evident or (None, 1.0, 0.0)
        return LoggedChannel(
            name, attributes.get("DisplayName", ""), attributes.get("StorageUnit", "") or attributes.get("DisplayUnit", ""),
            unit, factor, offset, times, values * factor + offset, "/".join(component_path), unit_reason,
            meanings=self.meanings.get(attributes.get("EnumerationName", ""), {}),
            limits=(bound(low, factor, offset), bound(high, factor, offset)),
            max_interval=_seconds(attributes.get("MaxLogInterval", "")), notes=notes,
        )  # fmt: skip


def _names(parameters: dict[str, tuple[tuple[str, ...], dict[str, str]]]) -> dict[str, str]:
    """A unique name for each parameter: its Name; if repeated, component/Name; if still repeated, component/EventName."""
    chosen = {key: attributes.get("Name", key) for key, (_, attributes) in parameters.items()}
    for longer_name in (
        lambda component_path, attributes: (
            f"{component_path[-1] if component_path else ''}/{attributes.get('Name', '')}"
        ),
        lambda component_path, attributes: (
            f"{component_path[-1] if component_path else ''}/{attributes.get('EventName', '')}"
        ),
    ):
        counts: dict[str, int] = {}
        for name in chosen.values():
            counts[name] = counts.get(name, 0) + 1
        for key, name in chosen.items():
            if counts[name] > 1:
                chosen[key] = longer_name(*parameters[key])
    used_names: set[str] = set()
    for key, name in chosen.items():
        chosen[key] = name if name not in used_names else f"{name}#{key}"
        used_names.add(chosen[key])
    return chosen


def _seconds(text: str) -> float | None:
    """A .NET time span, [days.]hours:minutes:seconds, in seconds; None where it is none."""
    match = _DURATION.match(text)
    if not match:
        return None
    days, hours, minutes, seconds = match.groups(default="0")
    return 86400.0 * int(days) + 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
