"""The timeline of a session out of the verdicts on its files."""

from collections.abc import Sequence

from reconstruct.validation.recording import Validated
from reconstruct.validation.session.entries import Fault, Lane, Timeline, is_shown, time_of


def timeline(recordings: Sequence[Validated]) -> Timeline:
    """What the ``recordings`` of a session claim in time, and windows of faults: a window ends where a file says the field agrees, or claims another value."""
    timed = [(when, item) for item in recordings if (when := time_of(item.claims)) is not None]
    timed.sort(key=lambda pair: pair[0])
    names = list(dict.fromkeys(name for _, item in timed for name in item.claims))
    lanes = [lane for name in names if is_shown(name) and (lane := _lane(name, timed)) is not None]
    instruments = list(dict.fromkeys(_instrument(item) for _, item in timed))
    groups = [[pair for pair in timed if _instrument(pair[1]) == instrument] for instrument in instruments]
    faults = [fault for name in names for group in groups for fault in _faults(name, group)]
    untimed = tuple(item.name for item in recordings if time_of(item.claims) is None)
    return Timeline(tuple(lanes), tuple(sorted(faults, key=lambda fault: fault.first)), untimed)


def _instrument(item: Validated) -> str:
    claim = item.claims.get("instrument")
    return "" if claim is None else str(claim.value)


def _lane(name: str, timed: Sequence[tuple[int, Validated]]) -> Lane | None:
    """The lane of a field; None where it is always the same and nothing is found."""
    rows = [
        (when, item.name, item.verdict(name))
        for when, item in timed
        if name in item.claims and not isinstance(item.claims[name].value, str)
    ]
    values = {float(verdict.claim.value) for _, _, verdict in rows}
    if not rows or (len(values) < 2 and all(verdict.status in ("agrees", "unverifiable") for _, _, verdict in rows)):
        return None
    evidence = tuple(
        None if verdict.suggested is None or verdict.error is None else (verdict.suggested, verdict.error)
        for _, _, verdict in rows
    )
    return Lane(
        name, tuple(when for when, _, _ in rows), tuple(float(verdict.claim.value) for _, _, verdict in rows),
        tuple(verdict.status for _, _, verdict in rows), tuple(file for _, file, _ in rows), evidence,
    )  # fmt: skip


def _faults(name: str, timed: Sequence[tuple[int, Validated]]) -> list[Fault]:
    windows: list[Fault] = []
    running: Fault | None = None
    for when, item in timed:
        if name not in item.claims:
            continue
        verdict = item.verdict(name)
        if verdict.status not in ("disagrees", "stale"):
            if running is not None and verdict.status == "agrees":
                windows.append(running)
                running = None
            continue
        cause = verdict.causes[0][0] if verdict.causes else ""
        if running is not None and (running.cause, running.status) == (cause, verdict.status):
            running = Fault(
                name, cause, verdict.status, running.first, when, (*running.files, item.name), running.since
            )
        else:
            windows += [running] if running is not None else []
            running = Fault(name, cause, verdict.status, when, when, (item.name,), verdict.since)
    return [*windows, *([running] if running is not None else [])]
