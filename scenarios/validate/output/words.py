"""Numbers and sentences of verdicts as people write them, on terminals and pages."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from reconstruct.validation.judgement.verdict import Verdict
from reconstruct.validation.recording import Validated
from reconstruct.validation.result import since_text
from reconstruct.validation.session.entries import time_of, zone_of
from twin.channels import field
from twin.units import moment, scale


def sigma_text(item: Verdict) -> str:
    """Claim minus evidence in standard deviations: "+12.2", "-4500"; empty where it is not known."""
    if not math.isfinite(item.z):
        return ""
    return f"{item.z:+.{1 if abs(item.z) < 100 else 0}f}"


def share_text(share: float) -> str:
    """A probability: "67 %", "> 99 %"."""
    return "> 99 %" if 0.99 < share < 1.0 else "< 1 %" if share < 0.01 else f"{100.0 * share:.0f} %"


def detectable_text(item: Verdict) -> str:
    """The smallest error that would have been found: "1.2 %", "0.3 nm"; empty where nothing is known."""
    if not math.isfinite(item.detectable):
        return ""
    about = field(item.field)
    if about.form != "scale":
        factor, unit = scale(item.detectable, about.unit, item.field)
        return f"{factor * item.detectable:.3g} {unit}".rstrip()
    return f"{100.0 * item.detectable:.2g} %" if item.detectable < 1.0 else f"x {1.0 + item.detectable:.2g}"


def stale_text(item: Verdict, recording: Validated) -> str:
    """Since when a claim was stale, as a sentence; empty where that is not known, or the verdict's words say it."""
    if item.since is None or moment(item.since, item.since_zone) in item.words:
        return ""
    now = time_of(recording.claims) if zone_of(recording.claims) == item.since_zone else None
    return f"Stale {since_text(item, now)}."


def names_of(paths: Sequence[Path]) -> list[str]:
    """Names of files, without the folders that all of them share."""
    names = [path.name for path in paths]
    for depth in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        if len(set(names)) == len(names):
            break
        names = ["/".join(path.parts[-depth:]) for path in paths]
    return names


def shortener(paths: Sequence[Path]) -> Callable[[str], str]:
    """What puts names in place of the ``paths`` of files in sentences."""
    names = {str(path): name for path, name in zip(paths, names_of(paths), strict=True)}
    if not names:
        return str
    pattern = re.compile("|".join(re.escape(path) for path in sorted(names, key=len, reverse=True)))
    return lambda words: pattern.sub(lambda match: names[match[0]], words)


def files_text(paths: Sequence[str], short: Callable[[str], str], most: int = 4) -> str:
    """Names of files, the first ones of many: "a.emd, b.emd and 7 more"."""
    names = [short(path) for path in paths]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
