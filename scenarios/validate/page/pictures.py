"""The pictures of a finding: one for each of its fields, and what its evidence was made of. Nothing is drawn for findings beyond `MOST_FINDINGS`."""

from collections.abc import Sequence
from typing import NamedTuple

from reconstruct.measurement.measurement import FitPlot
from reconstruct.validation.evidence import Picture
from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.sensors.evidence import TrackPicture
from scenarios.validate.job import ValidatedFile
from scenarios.validate.output.findings import Finding, joined
from scenarios.validate.page import contradictions, recordings
from scenarios.validate.page.strip import strip
from twin.channels import field

MOST_FINDINGS = 24
"""Findings whose pictures are drawn: the largest ones."""
MOST_FIELDS, MOST_EVIDENCE = 4, 2
"""Fields and pieces of evidence of one finding that are drawn."""
_STRIP = "Dashed: the claim. Bars: 1 and 2 standard deviations of each piece of evidence, with the other fields as claimed. Green: the suggested value."
_STRIP_WIDE = " Grey: the range that a rule allows."


class Shown(NamedTuple):
    """A picture in the page: its ``data:`` ``address``, and words."""

    address: str
    caption: str
    alt: str


def field_pictures(finding: Finding, done: Sequence[ValidatedFile]) -> list[Shown]:
    """One for each field of a finding, at most `MOST_FIELDS`; one for all where they contradict each other, or where the same is said of them.

    The recording itself where nothing else can be drawn.
    """
    recording = finding.recording
    result: list[Shown] = []
    alone = finding.kind in ("pixels", "time")
    alike: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in (*finding.verdicts, *finding.rivals):
        said = (verdict.claim.value, verdict.suggested, verdict.error, field(verdict.field).unit)
        alike.setdefault((*said, verdict.field if verdict.suggested is None else ""), []).append(verdict)
    for verdicts in list(alike.values())[: 1 if alone else MOST_FIELDS]:
        drawn = _of_field(finding, verdicts[0], [item.field for item in verdicts[1:]], done)
        if drawn is not None:
            result.append(drawn)
    if not result:
        address = recordings.draw_signal(recording.signal)
        result += [] if address is None else [Shown(address, "The recording.", f"the recording {recording.name}")]
    used = {name for verdict in finding.verdicts for name in verdict.evidence}
    wide = any(item.name in used and item.tolerance and max(item.tolerance) > 0.0 for item in recording.evidence)
    if result and finding.kind == "evidence" and not result[-1].caption:
        result[-1] = result[-1]._replace(caption=_STRIP + (_STRIP_WIDE if wide else ""))
    return result


def _of_field(finding: Finding, verdict: Verdict, others: Sequence[str], done: Sequence[ValidatedFile]) -> Shown | None:
    name, recording = verdict.field, finding.recording
    address, caption, alt = None, "", ""
    if finding.kind in ("stale", "session"):
        address = contradictions.over_files(verdict, finding.file, done)
        caption, alt = f"What the files claim of {name}, in time.", f"{name} of all files over time"
    elif finding.kind == "pixels":
        address, alt = contradictions.pixels(verdict, recording), "one pixel as claimed, and a square"
    elif finding.kind == "repeated":
        address, alt = contradictions.repeated(verdict, recording), f"the values that the file states of {name}"
    elif finding.kind == "time":
        address, alt = contradictions.times(recording), "the times that the file states"
    elif finding.kind in ("evidence", "other"):
        address, alt = (
            strip(verdict, recording, others),
            f"claim, evidence and suggested value of {joined([name, *others])}",
        )
    if (
        address is None
        and finding.kind in ("outside", "stale", "session", "other", "evidence")
        and not isinstance(verdict.claim.value, str)
    ):
        address, alt = contradictions.outside(verdict), f"{name} as claimed, on the range of what microscopes have"
        caption = ""
    return None if address is None else Shown(address, caption, alt)


def evidence_pictures(finding: Finding) -> list[Shown]:
    """What the evidence of a finding was made of, at most `MOST_EVIDENCE`; the recording itself where the evidence shows nothing."""
    recording = finding.recording
    names = {name for verdict in finding.verdicts for name in verdict.evidence}
    fields = {verdict.field for verdict in finding.verdicts}
    pictures = [picture for item in recording.evidence if item.name in names for picture in item.pictures]
    pictures += [picture for item in recording.contradictions if item.field in fields for picture in item.pictures]
    result = []
    for picture in pictures[:MOST_EVIDENCE]:
        address = recordings.draw_evidence(picture)
        if address is not None:
            result.append(Shown(address, _caption(picture), picture.caption))
    if not result:
        address = recordings.draw_signal(recording.signal)
        bar = "" if recording.signal.kind.startswith("spectrum") else ", with a scale bar as claimed"
        result += [] if address is None else [Shown(address, f"The recording{bar}.", "the recording")]
    return result


def _caption(picture: Picture) -> str:
    content = picture.content
    more = ""
    if isinstance(content, TrackPicture):
        more = "; grey: the file's time, red: its claim"
    elif isinstance(content, FitPlot) and (content.data.ndim == 1 or recordings.with_contour(content)):
        more = "; orange: the fit"
    return f"{picture.caption}{more}."
