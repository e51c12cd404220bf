"""The job ``emtwin instrument learn-sensors``: analysis of each channel of a log, as plain values."""

from collections import Counter
from pathlib import Path
from typing import Any

from instrument.readers import close_reader, read_log
from instrument.readers.logs.log import LoggedChannel, SensorLog
from learn.channels.classify import CLASSES, describe_channel
from learn.channels.lag import Lag, learn_lag
from learn.channels.noise import Drift, Estimate, TooFew
from scenarios.io.progress import Progress

SCHEMA = "emtwin.learn-sensors/2"


def learn_log(
    path: Path, progress: Progress, columns: Path | None = None, log_zone: str | None = None
) -> dict[str, Any]:
    """Every channel of a log with its classes and numbers. VendorError (a ValueError) where the file cannot be read.

    ``classes`` counts channels (one may be of several), ``combinations`` how often which go together. An estimate is {"value", "error", "unit",
    "at_most"}, or {"needed", "present", "what"} where the log holds too little, or null where there is nothing to estimate.
    ``columns`` and ``log_zone`` as for `instrument.readers.read_log`.
    """
    progress.stage(f"reading {path.name}")
    try:
        log = read_log(path, columns=columns, zone=log_zone)
    finally:
        close_reader()
    channels = []
    for index, item in enumerate(log.channels):
        progress.stage("learning the channels", index / len(log.channels))
        channels.append(_channel(log, item))
    kinds = [tuple(verdict["kind"] for verdict in item["classes"]) for item in channels]
    single = Counter(kind for several in kinds for kind in several)
    return {
        "schema": SCHEMA,
        "log": str(path),
        "format": log.kind,
        "name": log.name,
        "clock": log.clock,
        "notes": list(log.notes),
        "start_ns": log.start,
        "end_ns": log.end,
        "seconds": (log.end - log.start) / 1e9,
        "values": sum(item["count"] for item in channels),
        "classes": {kind: single[kind] for kind in CLASSES if single[kind]},
        "combinations": {" + ".join(several): count for several, count in Counter(kinds).most_common()},
        "unknown_units": sum(item["unit"] is None for item in channels),
        "channels": channels,
    }


def _channel(log: SensorLog, item: LoggedChannel) -> dict[str, Any]:
    unit = item.unit or item.stated_unit or ""
    times = (item.times - log.start) / 1e9
    codes = bool(item.meanings) or item.why.startswith("enumeration")
    span = (0.0, (log.end - log.start) / 1e9)
    report = describe_channel(times, item.values, span, item.max_interval, unit, codes)
    drift = report.drift if isinstance(report.drift, Drift) else None
    few = report.drift if isinstance(report.drift, TooFew) else None
    lag = _lag(log, item)
    return {
        "name": item.name,
        "label": item.label,
        "source": item.source,
        "unit": item.unit,
        "stated_unit": item.stated_unit,
        "unit_why": item.why,
        "count": report.count,
        "classes": [{"kind": verdict.kind, "why": verdict.why} for verdict in report.verdicts],
        "interval": report.interval,
        "declared_interval": item.max_interval,
        "lowest": report.lowest,
        "highest": report.highest,
        "last": float(item.values[-1]) if report.count else None,
        "limits": list(item.limits),
        "step": _estimate(report.step),
        "process": drift.process if drift else None,
        "noise": _estimate(drift.noise if drift else few),
        "drift": _estimate(drift.drift if drift else few),
        "time_constant": _estimate(drift.time_constant if drift else None),
        "lag": _estimate(lag.time_constant if isinstance(lag, Lag) else lag),
        "noise_at_rest": _estimate(report.rest),
        "plateaus": [
            {
                "kind": plateau.kind,
                "start": float(times[plateau.first]),
                "seconds": plateau.seconds,
                "value": plateau.value,
                "count": plateau.count,
            }
            for plateau in report.plateaus
        ],
        "follows": item.follows or None,
        "codes": {str(code): text for code, text in item.meanings.items()},
        "notes": [*item.notes, *([drift.note] if drift and drift.note else [])],
    }


def _lag(log: SensorLog, item: LoggedChannel) -> Lag | TooFew | None:
    """The lag behind the channel that this one follows, where the format says which."""
    if not item.follows:
        return None
    led = log.channel(item.follows)
    return learn_lag(
        (item.times - log.start) / 1e9, item.values, (led.times - log.start) / 1e9, led.values
    )  # fmt: skip


def _estimate(estimate: Estimate | TooFew | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    if isinstance(estimate, TooFew):
        return {"needed": estimate.needed, "present": estimate.present, "what": estimate.what}
    return {"value": estimate.value, "error": estimate.error, "unit": estimate.unit, "at_most": estimate.at_most}
