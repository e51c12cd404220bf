"""The page of a validation as one self-contained text, readable offline and without scripts."""

import datetime
import importlib.metadata
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reconstruct.validation.recording import Validated
from reconstruct.validation.result import quantity_text, summary
from reconstruct.validation.sensors.drifts import Drift
from reconstruct.validation.session.timeline import Fault, Timeline, alike
from scenarios.style.page import render
from scenarios.validate.job import ValidatedFile, ValidatedSession
from scenarios.validate.options import ValidateOptions
from scenarios.validate.output.findings import (
    Finding,
    findings_of,
    joined,
    rival_fields,
    sentence,
    title,
    words_of,
    wrong_fields,
)
from scenarios.validate.output.words import files_text, names_of, share_text, shortener
from scenarios.validate.page import tables
from scenarios.validate.page.pictures import MOST_FINDINGS, Shown, evidence_pictures, field_pictures
from scenarios.validate.page.recordings import draw_signal
from scenarios.validate.page.timeline import MOST_LANES, timeline_picture
from twin.records import Axis
from twin.units import moment, value_text

FEW = 4
"""Files up to which each has a section, and a picture of its recordings; of more, those with findings have one."""
THUMBNAIL = 1.32
"""Inches of the longer side of the picture of a recording in its file's section."""
MOST_SECTIONS = 40
"""Files with findings that have a section at most: those with the largest ones."""
MOST_FAULTS = 40
"""Faults of a session that are listed at most."""
MOST_LISTED = 200
"""Findings that the page lists at most."""


def page_of(session: ValidatedSession, options: ValidateOptions, now: datetime.datetime | None = None) -> str:
    """The page of a validation; ``now`` is the time that it states (UTC; None: that of the clock)."""
    return render(
        Path(__file__).parent / "page.html.j2", context(session, options, now or datetime.datetime.now(datetime.UTC))
    )


def context(session: ValidatedSession, options: ValidateOptions, now: datetime.datetime) -> dict[str, Any]:
    """The values for the page's template."""
    done = session.files
    findings = findings_of(done)
    few = len(done) <= FEW
    largest = dict.fromkeys(number for item in findings for number in (item.file, *item.also))
    detailed = list(range(len(done))) if few else sorted(list(largest)[:MOST_SECTIONS])
    names = names_of([item.read.path for item in done])
    short = shortener([item.read.path for item in done])
    count = tables.counts(done)
    unread = sum(item.validation is None for item in done)
    listed = findings[:MOST_LISTED]
    return {
        "title": f"Validation of {names[0]}" if len(done) == 1 else f"Validation of {len(done)} files",
        "subject": str(done[0].read.path) if len(done) == 1 else ", ".join(map(str, options.paths)),
        "when": f"{now:%Y-%m-%d %H:%M} UTC",
        "version": importlib.metadata.version("emtwin"),
        "specimen": "" if options.known.specimen is None else str(options.known.specimen),
        "false_alarms": f"{100.0 * options.false_alarms:g} %",
        "banner": _banner(done, findings, count, unread),
        "count": count,
        "wrong_fields": wrong_fields(done),
        "rivals": rival_fields(done),
        "number_of_files": len(done),
        "unread": unread,
        "wrong": sum(item.validation is not None and not item.agrees for item in done),
        "timeline": _timeline(session.timeline, short),
        "interrupted": session.interrupted,
        "findings": [_finding(item, number, done, names, set(detailed), short) for number, item in enumerate(listed)],
        "not_listed": len(findings) - len(listed),
        "not_drawn": max(len(listed) - MOST_FINDINGS, 0),
        "groups": list(tables.GROUPS),
        "signs": tables.SIGNS,
        "overview": [] if few else [_overview(number, item, names[number], number in detailed) for number, item in enumerate(done)],
        "files": [_file(number, done[number], names[number], few, short) for number in detailed],
        "not_detailed": 0 if few else sum(item.validation is not None and not item.agrees for item in done) - len(detailed),
    }  # fmt: skip


def _timeline(times: Timeline | None, short: Callable[[str], str]) -> dict[str, Any] | None:
    """The session in time; None where there is nothing to show."""
    if times is None or not (times.lanes or times.faults or times.logs):
        return None
    faults = alike(times.faults)
    return {
        "picture": timeline_picture(times),
        "lanes": len(times.lanes),
        "most": MOST_LANES,
        "faults": [_fault(group, short) for group in faults[:MOST_FAULTS]],
        "more": max(len(faults) - MOST_FAULTS, 0),
        "untimed": len(times.untimed),
        "followed": any(lane.tracks for lane in times.lanes),
        "logs": [{"words": log.words, "outside": files_text(log.outside, short)} for log in times.logs],
        "drifts": [_drift(drift, files, short) for drift, files in times.drifts[:MOST_FAULTS]],
        "more_drifts": max(len(times.drifts) - MOST_FAULTS, 0),
    }


def _fault(group: Sequence[Fault], short: Callable[[str], str]) -> dict[str, str]:
    fault = group[0]
    return {
        "field": joined([item.field for item in group]), "status": fault.status, "mark": tables.SIGNS[fault.status], "cause": fault.cause,
        "from": moment(fault.first, fault.zone), "to": moment(fault.last, fault.zone),
        "since": "" if fault.since is None else moment(fault.since, fault.since_zone), "files": files_text(fault.files, short),
    }  # fmt: skip


def _drift(drift: Drift, files: Sequence[str], short: Callable[[str], str]) -> dict[str, str]:
    return {
        "field": drift.field, "channel": drift.channel or "as the files claim", "change": quantity_text(drift.field, drift.change, drift.error, signed=True),
        "from": moment(drift.first, drift.zone), "to": moment(drift.last, drift.zone),
        "command": drift.command, "files": files_text(files, short),
    }  # fmt: skip


def _banner(
    done: Sequence[ValidatedFile], findings: Sequence[Finding], count: dict[str, int], unread: int
) -> tuple[str, str]:
    """Class and words of the banner."""
    missing = f" {unread} of {len(done)} files could not be validated." if unread else ""
    if findings:
        parts, wrong = [], wrong_fields(done)
        if wrong["disagrees"]:
            parts.append(
                f"{wrong['disagrees']} {'field disagrees' if wrong['disagrees'] == 1 else 'fields disagree'} with the evidence"
            )
        if wrong["stale"]:
            named = "" if parts else " field" if wrong["stale"] == 1 else " fields"
            parts.append(f"{wrong['stale']}{named} {'is' if wrong['stale'] == 1 else 'are'} stale")
        where = (
            ""
            if len(done) == 1
            else f", in {sum(not item.agrees and item.validation is not None for item in done)} of {len(done)} files"
        )
        return "bad", f"{' and '.join(parts)}{where}.{missing}"
    if not any(count.values()):
        return "hold", f"The metadata claim nothing that emtwin knows.{missing}" if unread < len(
            done
        ) else "Nothing could be validated."
    if not count["agrees"]:
        return "hold", f"Nothing is contradicted, but no field could be verified either.{missing}"
    return ("hold" if unread else "good"), f"Nothing disagrees with the evidence; {count['agrees']} verified.{missing}"


def _finding(
    finding: Finding,
    number: int,
    done: Sequence[ValidatedFile],
    names: Sequence[str],
    detailed: set[int],
    short: Callable[[str], str],
) -> dict[str, Any]:
    drawn = number < MOST_FINDINGS
    evidence = [
        item
        for item in finding.recording.evidence
        if any(item.name in verdict.evidence for verdict in finding.verdicts)
    ]
    causes = [
        {"cause": item.cause, "words": item.words, "share": share_text(item.probability),
         "width": f"{100.0 * item.probability:.0f}"}
        for item in finding.explanations
    ]  # fmt: skip
    return {
        "number": number + 1,
        "title": title(finding),
        "status": finding.status,
        "mark": tables.SIGNS[finding.status],
        "rows": [tables.row(item, finding.recording) | {"rival": item in finding.rivals} for item in (*finding.verdicts, *finding.rivals)],
        "measured": any(math.isfinite(item.z) for item in finding.verdicts),
        "numeric": any(item.suggested is not None for item in finding.verdicts),
        "words": short(words_of(finding)),
        "causes": causes,
        "cure": finding.verdicts[0].cure,
        "since": tables.row(finding.verdicts[0], finding.recording)["since"],
        "dependants": joined([item.field for item in finding.dependants]) if finding.dependants else "",
        "evidence": [
            {"name": item.name, "source": item.source, "independent": joined(list(item.independent_of)) if item.independent_of else ""} for item in evidence
        ],
        "files": [{"name": names[other], "link": f"#file-{other + 1}" if other in detailed else ""} for other in (finding.file, *finding.also)],
        "pictures": _shown(field_pictures(finding, done)) if drawn else [],
        "recordings": _shown(evidence_pictures(finding)) if drawn else [],
    }  # fmt: skip


def _shown(pictures: Sequence[Shown]) -> list[dict[str, str]]:
    return [picture._asdict() for picture in pictures]


def _overview(number: int, item: ValidatedFile, name: str, linked: bool) -> dict[str, Any]:
    words = "not validated" if item.validation is None else summary(item.validation.recordings)
    return {"name": name, "link": f"#file-{number + 1}" if linked else "", "dots": tables.dots(item), "words": words}


def _file(number: int, item: ValidatedFile, name: str, thumbnails: bool, short: Callable[[str], str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": f"file-{number + 1}",
        "name": name,
        "path": str(item.read.path),
        "problem": item.problem,
        "recordings": [],
        "words": "",
    }
    if item.validation is not None:
        entry["words"] = summary(item.validation.recordings)
        entry["recordings"] = [_recording(recording, thumbnails, short) for recording in item.validation.recordings]
    return entry


def _recording(recording: Validated, thumbnail: bool, short: Callable[[str], str]) -> dict[str, Any]:
    signal = recording.signal
    shape = " x ".join(map(str, signal.data.shape))
    rows = [{**row, "words": short(sentence(row["words"]))} for row in tables.verdict_rows(recording)]
    return {
        "title": signal.title.strip() or signal.kind,
        "words": f"{signal.kind}, {shape}, {signal.format}",
        "rows": rows,
        "reasons": tables.open_rows(recording),
        "unverifiable": sum(item.status == "unverifiable" for item in recording.verdicts),
        "notes": list(recording.notes),
        "picture": draw_signal(signal, THUMBNAIL) if thumbnail else None,
        "axes": [_axis(axis) for axis in signal.axes if axis.unit is not None],
    }


def _axis(axis: Axis) -> str:
    step = value_text(abs(axis.scale), axis.unit or "1")
    return f"{axis.name}: {axis.size} of {step}"
