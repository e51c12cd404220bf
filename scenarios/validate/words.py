"""Numbers of a verdict as people write them, on terminals and pages."""

import math

from reconstruct.validation.verdict import Verdict
from twin.channels import field
from twin.units import value_text


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
        return value_text(item.detectable, about.unit)
    return f"{100.0 * item.detectable:.2g} %" if item.detectable < 1.0 else f"x {1.0 + item.detectable:.2g}"
