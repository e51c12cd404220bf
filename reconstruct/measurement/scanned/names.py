"""Names of what can be mapped over a scan: "Ti L", "plasmon energy", "450-470 eV", "centre of mass x", "20-60 mrad"."""

import re
from typing import Literal, NamedTuple

from twin.eels.atoms import edges_of
from twin.eels.spectrum.atomic_edges import PARTNERS, names_of
from twin.errors import BadInput
from twin.records import Content

Form = Literal["edge", "window", "plasmon", "thickness", "zero loss", "com x", "com y", "com magnitude", "annular"]

LEAST_BEFORE, LEAST_AFTER = 16.0, 8.0
"""eV that must be recorded before and behind the onset of an edge."""
BACKGROUND_SHARE, LEAST_BACKGROUND, BACKGROUND_GAP = 0.13, 25.0, 6.0
"""A background begins this share of the onset, at least so many eV, before it, and ends so many eV before it."""
SIGNAL_SHARE, LEAST_SIGNAL, SIGNAL_LEAD = 0.08, 20.0, 1.0
"""An edge is summed over this share of its onset, at least so many eV, and from so many eV before it on."""
LOW_LOSS = 20.0
"""eV up to which a low loss must reach."""
_NAMED: dict[str, Form] = {
    "plasmon energy": "plasmon", "plasmon": "plasmon", "t/lambda": "thickness", "t over lambda": "thickness",
    "zero-loss position": "zero loss", "zero loss position": "zero loss", "zero loss": "zero loss", "zero-loss": "zero loss",
}  # fmt: skip
_MASS = re.compile(r"(?:centre of mass|center of mass|com)\s+(x|y|magnitude)")
_NUMBER = r"([+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?)"
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|to)\s*{_NUMBER}\s*(ev|mrad)")
_EDGE = re.compile(r"([A-Z][a-z]?)[\s_-]*([KLMNO]\d?(?:,\d)?)(?:\s+edge)?")
HINT = (
    'Give an edge ("Ti L"), "plasmon energy", "t/lambda", "zero-loss position" or a sum over energies ("450-470 eV") of spectra; '
    '"centre of mass x", "centre of mass y", "com magnitude" or a virtual annular detector ("20-60 mrad") of patterns.'
)


class QuantityName(NamedTuple):
    """A quantity as it was asked for: its ``text``, ``form``, and whether it is one of spectra or patterns (``content``).

    ``limits``: the window in eV, or the angles in radian; of an edge the ``element``, its ``shell`` and ``onset`` in eV, and the windows in eV of its
    ``background`` and its ``signal`` (``given``: as they were given; else they follow the rises of the spectra).
    """

    text: str
    form: Form
    content: Content
    limits: tuple[float, float] = (0.0, 0.0)
    element: str = ""
    shell: str = ""
    onset: float = 0.0
    background: tuple[float, float] = (0.0, 0.0)
    signal: tuple[float, float] = (0.0, 0.0)
    given: bool = False

    @property
    def energies(self) -> tuple[float, float] | None:
        """The energies in eV that spectra must hold; None for patterns."""
        if self.form == "edge" and self.given:
            return self.background[0], self.signal[1]
        if self.form == "edge":
            return self.onset - LEAST_BEFORE, self.onset + LEAST_AFTER
        if self.form == "window":
            return self.limits
        return None if self.content == "pattern" else (0.0, 0.0 if self.form == "zero loss" else LOW_LOSS)

    @property
    def title(self) -> str:
        """What the map shows, in words."""
        low, high = self.limits
        return {
            "edge": f"{self.element} {self.shell}, net counts", "window": f"counts from {low:g} to {high:g} eV",
            "plasmon": "plasmon energy", "thickness": "t/λ", "zero loss": "zero-loss position",
            "com x": "centre of mass, x", "com y": "centre of mass, y", "com magnitude": "centre of mass, distance from its mean",
            "annular": f"counts from {1e3 * low:g} to {1e3 * high:g} mrad",
        }[self.form]  # fmt: skip


def quantity_named(
    text: str, background: tuple[float, float] | None = None, signal: tuple[float, float] | None = None
) -> QuantityName:
    """The quantity called ``text``; ``background`` and ``signal``: windows in eV of an edge in place of the usual ones. BadInput for what is none.

    >>> quantity_named("Ti L").signal
    (455.0, 492.48)
    >>> quantity_named("20-60 mrad").limits
    (0.02, 0.06)
    """
    label = f"quantity {text!r}"
    if background is not None or signal is not None:
        if background is None or signal is None:
            cure = "Give background and signal, or neither."
            raise BadInput(label, "has one window of an edge's two", cure)
        if not background[0] < background[1] <= signal[0] < signal[1]:
            windows = f"{background[0]:g} to {background[1]:g} and {signal[0]:g} to {signal[1]:g} eV"
            cure = "Give a background before the edge and a signal behind it, each from lower to higher energy."
            raise BadInput(label, f"has windows that do not rise: {windows}", cure)
    words = " ".join(text.strip().split())
    made = _named(words, label) or _ranged(words, label) or _edge(words, label, background, signal)
    if made is None:
        raise BadInput(label, "is no quantity of a spectrum or a pattern", HINT)
    if signal is not None and made.form != "edge":
        raise BadInput(label, "is no edge, and windows of one are given", "Leave background and signal out.")
    return made


def _named(words: str, label: str) -> QuantityName | None:
    low = words.lower()
    if low in _NAMED:
        return QuantityName(words, _NAMED[low], "spectrum")
    matched = _MASS.fullmatch(low)
    if matched is None:
        return None
    forms: dict[str, Form] = {"x": "com x", "y": "com y", "magnitude": "com magnitude"}
    return QuantityName(words, forms[matched[1]], "pattern")


def _ranged(words: str, label: str) -> QuantityName | None:
    matched = _RANGE.fullmatch(words.lower())
    if matched is None:
        return None
    low, high, unit = float(matched[1]), float(matched[2]), matched[3]
    if not low < high or (unit == "mrad" and low < 0.0):
        raise BadInput(
            label,
            "does not rise" if low >= high else "begins below zero",
            "Give the lower limit first, as in 20-60 mrad.",
        )
    if unit == "ev":
        return QuantityName(words, "window", "spectrum", (low, high))
    return QuantityName(words, "annular", "pattern", (1e-3 * low, 1e-3 * high))


def _edge(
    words: str, label: str, background: tuple[float, float] | None, signal: tuple[float, float] | None
) -> QuantityName | None:
    matched = _EDGE.fullmatch(words)
    if matched is None:
        return None
    element, shell = matched[1], matched[2]
    try:
        listed = edges_of(element)
    except ValueError:
        raise BadInput(label, f"{element} is no element", HINT) from None
    wanted = PARTNERS.get(shell, (shell,))
    there = [edge for edge in listed if edge.name in wanted]
    if not there:
        names = ", ".join(names_of(element, 0.0, 3000.0)) or "none up to 3 keV"
        raise BadInput(label, f"{element} has no edge {shell}; it has {names}", "Give one of them.")
    onset = min(edge.energy for edge in there)
    if background is None or signal is None:
        before = max(BACKGROUND_SHARE * onset, LEAST_BACKGROUND)
        background = round(onset - before, 2), onset - BACKGROUND_GAP
        start = onset - SIGNAL_LEAD
        over = start, round(onset + max(SIGNAL_SHARE * onset, LEAST_SIGNAL), 2)
        return QuantityName(words, "edge", "spectrum", (0.0, 0.0), element, shell, onset, background, over)
    return QuantityName(words, "edge", "spectrum", (0.0, 0.0), element, shell, onset, background, signal, True)
