"""Rows of the page's tables: verdicts of a recording, what was not verified and why, and dots of many files."""

from collections.abc import Sequence
from typing import Any

from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated
from reconstruct.validation.result import claimed_text, quantity_text, size_text
from scenarios.validate.job import ValidatedFile
from scenarios.validate.output.reasons import reasons
from scenarios.validate.output.words import detectable_text, share_text, sigma_text, stale_text
from twin.channels import field

ORDER = {"disagrees": 0, "stale": 1, "agrees": 2, "unverifiable": 3}
SIGNS = {"disagrees": "✗", "stale": "◐", "agrees": "✓", "unverifiable": "·", "": ""}
"""A sign for each verdict, so that colour is not the only one."""
GLOSSARY = "https://purls.helmholtz-metadaten.de/emg/"
GROUPS: dict[str, tuple[str, ...]] = {
    "beam": (
        "high_tension",
        "extraction_voltage",
        "emission",
        "beam_current",
        "screen_current",
        "spot_size",
        "convergence",
        "illumination_mode",
    ),
    "pixels": ("pixel.", "field_of_view", "columns", "rows", "frames", "binning", "camera_pixel"),
    "optics": (
        "magnification",
        "camera_length",
        "C10",
        "astigmatism",
        "spherical",
        "projection_mode",
        "pattern_rotation",
    ),
    "lenses": ("lens.",),
    "scan": ("scan_rotation", "dwell", "line_time", "flyback", "frame_time"),
    "detector": ("detector", "exposure", "gain", "dose", "collection", "dispersion", "energy_offset", "drift_tube"),
    "specimen": ("stage.", "temperature", "thickness"),
    "time": ("time.",),
    "other": ("",),
}
"""Columns of the table of many files, with the beginnings of the names of their fields."""


def verdict_rows(recording: Validated) -> list[dict[str, Any]]:
    """All verdicts but the unverifiable ones, findings first."""
    shown = sorted(
        (item for item in recording.verdicts if item.status != "unverifiable"), key=lambda item: ORDER[item.status]
    )
    return [row(item, recording) for item in shown]


def open_rows(recording: Validated) -> list[dict[str, Any]]:
    """The unverifiable fields by their reasons."""
    return [
        {"words": reason.words, "verify": reason.verify, "rows": [row(item, recording) for item in reason.verdicts]} for reason in reasons(recording)
    ]  # fmt: skip


def row(item: Verdict, recording: Validated) -> dict[str, Any]:
    """One verdict as texts."""
    about = field(item.field)
    return {
        "field": item.field, "doc": about.doc, "sign": about.sign, "link": GLOSSARY + about.glossary if about.glossary else "", "id": about.glossary,
        "status": item.status, "mark": SIGNS[item.status], "claimed": claimed_text(item.field, item.claim), "text": item.claim.text.strip(),
        "key": item.claim.key, "evidence": "" if item.suggested is None else quantity_text(item.field, item.suggested, item.error),
        "off": size_text(item), "sigma": sigma_text(item), "detectable": detectable_text(item),
        "causes": [{"cause": cause, "share": share_text(share) if len(item.causes) > 1 or share < 0.99 else ""} for cause, share in item.causes],
        "words": item.words or "; ".join(item.evidence), "cure": item.cure,
        "since": stale_text(item, recording),
    }  # fmt: skip


def dots(item: ValidatedFile) -> list[dict[str, str]]:
    """The worst verdict of each group of fields of a file; an empty one where it claims nothing there."""
    worst: dict[str, Verdict] = {}
    count: dict[str, int] = {}
    for verdict in item.validation.verdicts if item.validation is not None else ():
        group = group_of(verdict.field)
        if group not in worst or ORDER[verdict.status] < ORDER[worst[group].status]:
            worst[group], count[group] = verdict, 0
        count[group] += verdict.status == worst[group].status
    return [
        {"status": worst[group].status, "mark": SIGNS[worst[group].status], "title": f"{group}: {count[group]} {worst[group].status}"}
        if group in worst else {"status": "", "mark": "", "title": ""}
        for group in GROUPS
    ]  # fmt: skip


def group_of(name: str) -> str:
    """The column of a field in the table of many files."""
    return next(group for group, starts in GROUPS.items() if name.startswith(starts))


def counts(done: Sequence[ValidatedFile]) -> dict[str, int]:
    """How many fields of all files have each verdict."""
    verdicts = [verdict for item in done if item.validation is not None for verdict in item.validation.verdicts]
    return {status: sum(verdict.status == status for verdict in verdicts) for status in ORDER}
