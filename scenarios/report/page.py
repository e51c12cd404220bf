"""A session as one self-contained page: ``SESSION/report.html``, readable offline and without scripts.

It is drawn from the journal alone, so it can be written anew for any session, also one that was interrupted.
"""

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instrument.core.journal import Row
from scenarios.acquire.dose_accounting import ALIGNMENT, CAUSES, empty_causes
from scenarios.io.atomic_output import write_whole
from scenarios.io.progress import electrons
from scenarios.report import drawings
from scenarios.report.headline import about_map, figures, finite, headline
from scenarios.report.plan import draw_plan
from scenarios.report.session import Session, load_session, row_time
from scenarios.report.verdict import banner, verdict_of
from scenarios.style.figure import data_address
from scenarios.style.page import render
from twin.channels import CHANNELS

GALLERY = 8
"""How many requests are shown as images."""
_STATES = (
    "C10",
    "C12a",
    "C12b",
    "C21a",
    "C21b",
    "C30",
    "thickness",
    "tilt.x",
    "tilt.y",
    "x",
    "y",
    "vx",
    "vy",
    "source",
    "gain",
)
# What the truth's endpoint calls the same quantity. The twin knows positions only within the lattice's cell, so they are not compared.
_COMPARABLE = {"C10", "C12a", "C12b", "C21a", "C21b", "C30", "thickness", "tilt.x", "tilt.y", "source"}
_TRUE = {"C12a": "C12.a", "C12b": "C12.b", "C21a": "C21.a", "C21b": "C21.b", "source": "source_sigma"}
_READ = {"C12a": "corrector.C12.a", "C12b": "corrector.C12.b", "C30": "corrector.C30"}
_SENSORS = (
    "objective.temperature", "objective.current", "gun.high_tension", "water.in.temperature", "room.temperature",
    "haadf.black", "stage.x", "stage.y", "C10.commanded",
)  # fmt: skip


class Picture(NamedTuple):
    """A picture a job adds to its report: a heading, a caption, and the bytes of an SVG or PNG."""

    title: str
    caption: str
    content: bytes


def write_report(folder: Path, pictures: Sequence[Picture] = ()) -> Path:
    """Draw ``folder/report.html`` (replacing it whole) from the session's journal; returns its path.

    ``pictures`` are shown after the headline numbers. Raises SessionError (a ValueError) if the folder is no session.
    """
    session = load_session(folder)
    page = render(Path(__file__).parent / "report.html.j2", context(session, pictures))
    path = folder / "report.html"
    write_whole(page.encode(), path)
    return path


def context(session: Session, pictures: Sequence[Picture] = ()) -> dict[str, Any]:
    """The values for the page's template."""
    requests = session.requests
    moves = _moves(session)
    verdict = verdict_of(session)
    return {
        "name": session.scenario.get("name", "session"),
        "description": session.scenario.get("description", ""),
        "seed": session.seed,
        "started": _utc(session.origin) if session.origin else "",
        "banner": banner(session, verdict),
        "headline": headline(session, verdict),
        "about": about_map(session.result) if session.replay and session.result else [],
        "pictures": [{"title": p.title, "caption": p.caption, "image": data_address(p.content)} for p in pictures],
        "plan": draw_plan(session),
        "decisions": _decisions(session) if requests else None,
        "verdict": verdict,
        "gallery": _gallery(session),
        "states": _states(session),
        "sensors": _sensors(session, moves),
        "dose": _dose(session) if requests else None,
        "calibration": _calibration(session),
        "trust": _trust(session),
        "findings": [
            {
                "minute": _minute(session, row),
                "text": row.payload.get("text") or row.payload.get("kind", ""),
                "evidence": _plain(row.payload.get("evidence")),
            }
            for row in session.findings
        ],
        "table": [_line(session, row, index) for index, row in enumerate(requests)],
        "rows": session.rows,
        "frames": len(session.frames),
        "resumed": session.resumed,
        "problems": session.problems,
        "result": json.dumps(session.result, indent=2) if session.result else "",
        "labels": drawings.LABELS,
        "colours": drawings.COLOURS,
    }


def _bursts(session: Session) -> drawings.Bursts:
    """Requests grouped by site; the stage moves between sites."""
    sites = [row.payload.get("site", 0) for row in session.requests]
    firsts = [index for index in range(len(sites)) if index == 0 or sites[index] != sites[index - 1]]
    starts = [(index + 1, _minute_value(session, session.requests[index])) for index in firsts]
    return drawings.Bursts(np.array([index + 0.5 for index in firsts[1:]]), starts)


def _decisions(session: Session) -> str:
    rows = session.requests
    errors = session.score.arrays.get("errors") if session.score else None
    return drawings.decisions(
        [row.payload["decision"] for row in rows],
        np.array([row.payload["predicted_error"] for row in rows]),
        errors if errors is not None and len(errors) == len(rows) else None,
        float(session.scenario.get("tolerance", np.nan)),
        _bursts(session),
    )


def _gallery(session: Session) -> list[dict[str, str]]:
    """Images of a few requests spread over the session and over the kinds of decision, the worst misfit included."""
    rows = [row for row in session.requests if "predicted" in row.arrays]
    if not rows:
        return []
    worst = max(range(len(rows)), key=lambda index: _misfit(rows[index]) or 0.0)
    chosen = {worst, *np.linspace(0, len(rows) - 1, min(GALLERY // 2, len(rows))).astype(int).tolist()}
    for kind in drawings.LABELS:  # one of each at least
        chosen.update([index for index, row in enumerate(rows) if row.payload["decision"] == kind][:1])
    truth = session.score.arrays.get("truth") if session.score else None
    pixel = float(session.scenario.get("scan", {}).get("pixel", 1.0))
    shown = []
    for index in sorted(chosen):
        row, payload = rows[index], rows[index].payload
        arrays = row.arrays
        image = drawings.request_panels(
            arrays["predicted"],
            arrays["predicted_std"],
            arrays.get("answer", arrays["predicted"]),
            arrays.get("measured"),
            arrays.get("measured_std"),
            truth[index] if truth is not None and len(truth) == len(session.requests) else None,
            pixel,
        )
        line = _line(session, row, index)
        title = f"Request {payload['index'] + 1} at {line['minute']} min, {line['settings']}"
        shown.append({"title": title, "decision": payload["decision"], "why": payload.get("why", ""), "image": image})
    return shown


def _states(session: Session) -> str | None:
    """The state after every request, with the truth and the channels that measure the same quantity."""
    latest = {row_time(row): row for row in session.states}
    rows = [latest[row_time(row)] for row in session.requests if row_time(row) in latest]
    if not rows or len(rows) != len(session.requests):
        return None
    recorded = list(rows[0].payload["names"])
    names = [name for name in _STATES if name in recorded]
    if not names:
        return None
    indices = [recorded.index(name) for name in names]
    times = np.array([row_time(row) for row in rows], dtype=np.int64)
    truth, readings = {}, {}
    arrays = session.score.arrays if session.score is not None else {}
    for name in names:
        true = arrays.get(f"truth_state.{_TRUE.get(name, name)}") if name in _COMPARABLE else None
        if true is not None and len(true) == len(arrays["truth_times"]):
            truth[name] = np.interp(times.astype(float), arrays["truth_times"].astype(float), true)
        when, values = session.readings.get(_READ.get(name, ""), (np.zeros(0, np.int64), np.zeros(0)))
        good = np.isfinite(values)
        if good.any():
            last = np.searchsorted(when[good], times, side="right") - 1
            readings[name] = (_READ[name], np.where(last >= 0, values[good][last], np.nan))
    means = np.stack([row.arrays["mean"][indices] for row in rows])
    stds = np.stack([row.arrays["std"][indices] for row in rows])
    return drawings.states(means, stds, names, _bursts(session), truth, readings)


def _sensors(session: Session, moves: np.ndarray) -> str | None:
    units = {channel.name: channel.unit for channel in CHANNELS}
    panels = []
    for name in _SENSORS:
        if name in session.readings:
            minutes, values = _finite_readings(session, name)
            if len(values):
                step = max(1, len(values) // 2000)
                panels.append((name, units.get(name, ""), minutes[::step], values[::step]))
    return drawings.sensors(panels, moves) if panels else None


def _dose(session: Session) -> dict[str, Any]:
    """Electrons by cause and part of the exposure, and over time, from the exposures of the frames."""
    by_cause = empty_causes()
    avoided = 0.0
    steps: list[tuple[int, float, float]] = []
    answered = {row.payload.get("frame_row") for row in [*session.requests, *session.alignment]}
    for number, frame in session.frames.items():
        if number not in answered and frame.get("exposure"):  # taken before an interruption, and taken again after it
            steps.append((int(frame["start"]), _add(by_cause["abandoned"], frame["exposure"]), 0.0))
    for row in [*session.requests, *session.alignment]:
        payload = row.payload
        exposure = session.frames.get(payload.get("frame_row") or -1, {}).get("exposure")
        cost = _add(by_cause[_cause(row)], exposure) if exposure else 0.0
        requested = payload.get("requested_electrons", cost if exposure else payload.get("electrons", 0.0))
        requested = requested if row.kind == "request" else 0.0
        if row.kind == "request" and (exposure or not payload.get("measured")):
            avoided += requested - cost
        steps.append((row_time(row), cost, requested))
    steps.sort()
    spent, always = (np.cumsum([step[column] for step in steps]) for column in (1, 2))
    minutes = session.minutes([step[0] for step in steps])
    alignment = sum(sum(by_cause[cause].values()) for cause in ALIGNMENT)
    saved = avoided - alignment
    shown = {CAUSES[cause]: parts for cause, parts in by_cause.items() if sum(parts.values())}
    return {
        "image": drawings.dose(shown, saved, minutes, spent, always),
        "alignment": electrons(alignment),
        "spent": electrons(float(spent[-1])),
        "saved": electrons(saved),
        "all": _measuring_all(session),
    }


def _cause(row: Row) -> str:
    """Why the frame of a request or an alignment image was recorded, of `CAUSES`."""
    if row.kind == "request":
        return "audits" if row.payload.get("decision") == "audit" else "measured"
    return row.payload.get("cause", "arrival")  # earlier versions did not record it


def _add(parts: dict[str, float], exposure: Mapping[str, float]) -> float:
    """Add an exposure to ``parts``; returns its electrons."""
    for part in parts:
        parts[part] += exposure[part]
    return sum(exposure[part] for part in parts)


def _measuring_all(session: Session) -> str:
    """What measuring every request would have cost, as a clause; empty before the end of the session."""
    result = session.result or {}
    costs, spent = result.get("dose_of_measuring_all"), result.get("dose_spent")
    if not costs or not spent:
        return ""
    text = f"measuring every request costs {electrons(costs['same_scan'])} (this session: {spent / costs['same_scan']:.0%} of that)"
    if costs["unblanked"] != costs["same_scan"]:
        text += (
            f", and {electrons(costs['unblanked'])} with the beam on between pixels ({spent / costs['unblanked']:.0%})"
        )
    if finite(costs.get("same_error")):
        text += (
            f"; measured with less dose until the twin expects the same error, {electrons(costs['same_error'])} "
            f"({spent / costs['same_error']:.0%})"
        )
    return text


def _calibration(session: Session) -> dict[str, Any] | None:
    """Deviations in predicted sigmas: of the named numbers (against the truth) and of pixels (against measurements, counting noise added)."""
    series: list[tuple[str, np.ndarray]] = []
    if session.score is not None and "standardised" in session.score.arrays:
        numbers = session.score.arrays["standardised"].ravel()
        series.append(("named numbers against the truth", numbers[np.isfinite(numbers)]))
    pixels = [deviations for row in session.requests if (deviations := _deviations(row)) is not None]
    if pixels:
        series.append(("pixels against measurements", np.concatenate([deviation.ravel() for deviation in pixels])))
    series = [(label, values) for label, values in series if len(values)]
    if not series:
        return None
    shares = [(label, f"{100 * drawings.coverage(values):.1f} %", len(values)) for label, values in series]
    return {"image": drawings.calibration(series), "shares": shares}


def _trust(session: Session) -> str | None:
    rows = [(row, misfit) for row in session.requests if (misfit := _misfit(row)) is not None]
    if not rows:
        return None
    order = {row.id: number for number, row in enumerate(session.requests, start=1)}
    return drawings.trust(
        np.array([order[row.id] for row, _ in rows]),
        np.array([misfit for _, misfit in rows]),
        np.array([bool(row.payload.get("distrusted")) for row in session.requests]),
        _bursts(session),
    )


def _line(session: Session, row: Row, index: int) -> dict[str, Any]:
    """One row of the table of requests."""
    payload = row.payload
    settings = payload.get("settings", {})
    parts = []
    if "C10" in settings:
        parts.append(f"C10 {settings['C10'] / 10:+.1f} nm")
    if "beam_shift.x" in settings:
        parts.append(f"shift ({settings['beam_shift.x'] / 10:+.2f}, {settings.get('beam_shift.y', 0.0) / 10:+.2f}) nm")
    errors = session.score.arrays.get("errors") if session.score else None
    return {
        "index": payload["index"] + 1,
        "minute": _minute(session, row),
        "site": payload.get("site", 0) + 1,
        "settings": ", ".join(parts),
        "decision": payload["decision"],
        "why": payload.get("why", ""),
        "predicted": f"{figures(100 * payload['predicted_error'])}",
        "after": f"{figures(100 * payload['expected_after'])}" if finite(payload.get("expected_after")) else "",
        "true": f"{figures(100 * float(errors[index]))}" if errors is not None and index < len(errors) else "",
        "electrons": electrons(payload["electrons"])
        if payload.get("measured") and finite(payload.get("electrons"))
        else "",
    }


def _deviations(row: Row) -> np.ndarray | None:
    """(measured - predicted) / sigma of a measured request, counting noise included in sigma [ny, nx]; None if it was not measured."""
    arrays = row.arrays
    if "measured" not in arrays:
        return None
    noise = arrays["predicted_std"] ** 2 + arrays.get("measured_std", 0.0) ** 2
    return (arrays["measured"] - arrays["predicted"]) / np.sqrt(np.maximum(noise, 1e-30))


def _misfit(row: Row) -> float | None:
    deviations = _deviations(row)
    return None if deviations is None else float(np.mean(deviations**2))


def _moves(session: Session) -> np.ndarray:
    """Minutes at which the stage was told to move."""
    times = [
        row.time
        for row in session.commands
        if "stage.x" in row.payload.get("args", {}).get("changes", {}) and row.time is not None
    ]
    return session.minutes(times) if times else np.zeros(0)


def _finite_readings(session: Session, channel: str) -> tuple[np.ndarray, np.ndarray]:
    times, values = session.readings[channel]
    good = np.isfinite(values)
    return session.minutes(times[good]), values[good]


def _minute_value(session: Session, row: Row) -> float:
    return float(session.minutes([row_time(row)])[0])


def _minute(session: Session, row: Row) -> str:
    return f"{_minute_value(session, row):.1f}"


def _utc(time: int) -> str:
    return datetime.datetime.fromtimestamp(time / 1e9, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _plain(evidence: Any) -> str:
    if isinstance(evidence, dict):
        return ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in evidence.items()
        )
    return "" if evidence is None else str(evidence)


if __name__ == "__main__":
    write_report(Path(sys.argv[1]))
