"""Evidence of the lens settings that files state: the mode, the camera length and changes of focus, by a model of the column.

The column's constants are known by draws that agree with instruments of its class whose settings are public; what these draws disagree about is the error.
"""

import math
from collections.abc import Sequence

import numpy as np

from reconstruct.calibration.modes.claims import Judgement, Record, judge
from reconstruct.validation.evidence import Contradiction, Evidence, Gap, Statement, gaussian
from reconstruct.validation.recording import Further
from reconstruct.validation.session.entries import Entry, in_order
from twin.column.column import Column
from twin.column.settings import Settings

LEAST_LENSES = 6
"""Lens settings from which a mode can be told."""
MAX_SPREAD = math.log(4.0)
"""Spread (log) of a camera length over the draws from which it is no evidence."""
INDEPENDENT = ("camera length", "magnification", "defocus", "mode as stated")


def settings_of(entry: Entry) -> Settings | None:
    """The column's settings as a file states them; None where it does not state enough of them, or impossible ones."""
    controls = {name: entry.number(name) for name in entry.claims if name.startswith("lens.")}
    controls = {name: value for name, value in controls.items() if math.isfinite(value)}
    tension = entry.number("high_tension")
    if len(controls) < LEAST_LENSES or not math.isfinite(tension):
        return None
    try:
        return Settings(tension, controls)
    except ValueError:
        return None


def evidence_of_lenses(
    column: Column, draws: np.ndarray, weights: np.ndarray, entries: Sequence[Entry]
) -> dict[str, Further]:
    """What the lens settings say of each file, by its name, under ``draws`` [k, n] of the column's constants with ``weights`` [k]."""
    result: dict[str, Further] = {}
    for group in in_order(entries):
        usable = [(entry, settings) for entry in group if (settings := settings_of(entry)) is not None]
        if not usable:
            continue
        records = [_record(entry, settings) for entry, settings in usable]
        modes, judgements = judge(column, records, draws, weights)
        for (entry, _), mode in zip(usable, modes, strict=True):
            items = [
                _said(judgement)
                for judgement in judgements
                if judgement.label == entry.name and judgement.quantity == "camera_length"
            ]
            result[entry.name] = Further(
                tuple(item for item in items if isinstance(item, Evidence)),
                tuple(item for item in items if isinstance(item, Contradiction)),
                tuple(item for item in items if isinstance(item, Gap)),
                (f"mode by the lens settings: {mode.name}",),
            )
    return result


def _record(entry: Entry, settings: Settings) -> Record:
    length, focus = entry.number("camera_length"), entry.number("C10")
    return Record(entry.name, settings, length if length > 0.0 else None, focus if math.isfinite(focus) else None)


def _said(judgement: Judgement) -> Evidence | Contradiction | Gap:
    fields = (judgement.quantity,)
    if judgement.verdict == "stale":
        return Contradiction(judgement.quantity, "stale", judgement.why, "stale value", source="lenses")
    if not (math.isfinite(judgement.std) and judgement.std < MAX_SPREAD):
        return Gap(
            fields,
            f"lens settings do not determine it: {judgement.why}",
            "Calibrate the column with `emtwin instrument calibrate`.",
        )
    statement = Statement("camera length by the lens settings", {judgement.quantity: 1.0})
    words = f"By the lens settings {judgement.why.removeprefix('the lenses make ')}."
    return Evidence(
        "lens settings",
        "lenses",
        (statement,),
        gaussian([math.log(judgement.expected)], [judgement.std]),
        words,
        INDEPENDENT,
    )
