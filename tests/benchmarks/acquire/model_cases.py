"""Sessions whose microscope differs from the twin's model: estimates of what the model includes, distrust of what it does not."""

import dataclasses
import math

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks.acquire.runs import Run, SessionNumbers

SEEDS = 20
"""Seeds from which on bars over seeds are judged."""
PRIORS = {
    "thick": (("thickness", 78.1, 15.0),),
    "c30": (("C30", 0.0, 3e4),),
    "tilted": (("tilt.x", 0.0, 4e-3), ("tilt.y", 0.0, 4e-3)),
}
"""The twin's priors of the changed parameter, for presets that the model includes: (name, mean, standard deviation)."""
LONG_OUTSIDE = ("amorphous", "angles")
SHORTENED = "16 requests at 2 places"

Outcomes = dict[Run, SessionNumbers | str]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A parameter after at most 8 recorded frames: error and standard deviation."""

    error: float
    std: float


def estimate_after(session: SessionNumbers, name: str, frames: int = 8) -> Estimate | None:
    """The estimate after the last request preceded by at most ``frames`` frames (focusing included); None if there is no such request."""
    until = np.flatnonzero(session.frames <= frames)
    if len(until) == 0:
        return None
    row, column = int(until[-1]), session.names.tolist().index(name)
    truth = session.arrays[f"truth_state.{name}"][row]
    return Estimate(float(session.state_mean[row, column] - truth), float(session.state_std[row, column]))


def inside_model(sessions: list[SessionNumbers], preset: str, judge: bool) -> list[Case]:
    priors = {name: std for name, _, std in PRIORS[preset]}
    stated = ", ".join(f"{name} {mean:g} +- {std:g}" for name, mean, std in PRIORS[preset])
    session_estimates = [
        {name: estimate_after(parameter_estimates, name) for name in priors} for parameter_estimates in sessions
    ]
    complete = [parameter_estimates for parameter_estimates in session_estimates if all(parameter_estimates.values())]
    within = sum(
        all(abs(e.error) <= 3.0 * e.std for e in parameter_estimates.values() if e) for parameter_estimates in complete
    )
    label = f"{preset} (prior {stated}; {SHORTENED})"
    required = math.ceil(0.9 * max(len(sessions), 1))
    holds = within >= required and len(sessions) >= SEEDS if judge else None
    cases = [
        case(
            f"{label}: within 3 sigma after at most 8 frames",
            within,
            f"of {len(sessions)} seeds",
            f">= {required}",
            holds,
        )
    ]
    for name, prior in priors.items():
        estimates = [e for parameter_estimates in complete if (e := parameter_estimates[name]) is not None]
        if estimates:
            width = float(np.median([e.std for e in estimates])) / prior
            miss = float(np.median([abs(e.error) for e in estimates])) / prior
            cases.append(case(f"{preset}: sigma of {name} over the prior's, median", width, "1"))
            cases.append(case(f"{preset}: error of {name} over the prior's sigma, median", miss, "1"))
    lost = sum(parameter_estimates.frames_at_distrust is not None for parameter_estimates in sessions)
    return [*cases, case(f"{preset}: distrusted", lost, f"of {len(sessions)} seeds")]


def outside_model(sessions: list[SessionNumbers], preset: str, judge: bool) -> list[Case]:
    count = len(sessions)
    raised = [session.frames_at_distrust for session in sessions]
    times = sorted(frames for frames in raised if frames is not None)
    label = preset if preset in LONG_OUTSIDE else f"{preset} ({SHORTENED})"
    middle = float(np.median(times)) if times else None
    rows = [
        case(f"{label}: frames until distrusted, median of the {len(times)} of {count} that were", middle, "frames")
    ]
    if preset not in LONG_OUTSIDE:
        holds = len(times) == count and count >= SEEDS if judge else None
        return [case(f"{label}: distrusted", len(times), f"of {count} seeds", f"{count}", holds), *rows]
    shares = [
        float(session.covered()[session.answered].mean()) if session.answered.any() else math.nan
        for session in sessions
    ]
    covers = [share >= 0.85 for share in shares]
    early_alarms = [frames is not None and frames <= 5 for frames in raised]
    good = sum(a or b for a, b in zip(covers, early_alarms, strict=True))
    required = math.ceil(0.95 * max(count, 1))
    holds = good >= required and count >= SEEDS if judge else None
    finite_shares = [share for share in shares if not math.isnan(share)]
    return [
        case(f"{label}: covers, or is distrusted within 5 frames", good, f"of {count} seeds", f">= {required}", holds),
        case(f"{label}: intervals of own answers cover 0.85 or more", sum(covers), f"of {count} seeds"),
        case(f"{label}: distrusted within 5 frames, focusing included", sum(early_alarms), f"of {count} seeds"),
        case(f"{label}: coverage of own answers, mean", float(np.mean(finite_shares)) if finite_shares else None, "1"),
        *rows,
    ]


def overconfident(sessions: list[SessionNumbers], preset: str, judge: bool) -> list[Case]:
    """Share of the named numbers of unmeasured answers whose errors exceed 3 predicted standard deviations."""
    outside = [np.abs(session.sigmas[session.answered]).ravel() > 3.0 for session in sessions]
    total = np.concatenate(outside) if outside else np.zeros(0, dtype=bool)
    share = float(total.mean()) if len(total) else 0.0
    text = f"{preset}: named numbers of answers beyond 3 sigma, {len(total)} of {len(sessions)} seeds"
    return [case(text, share, "1", "<= 0.02", share <= 0.02 if judge else None)]


def trust(outcomes: Outcomes, default_sessions: list[SessionNumbers], judge: bool) -> list[Case]:
    """False alarms, and whether every request is measured while the model is distrusted."""
    false_alarms = sum(session.frames_at_distrust is not None for session in default_sessions)
    deciding = [
        session for run, session in outcomes.items() if isinstance(session, SessionNumbers) and run.policy == "decide"
    ]
    unmeasured = sum(int((session.distrusted & ~session.measured).sum()) for session in deciding)
    while_distrusted = sum(int(session.distrusted.sum()) for session in deciding)
    holds = false_alarms <= 1 and len(default_sessions) >= 50 if judge else None
    return [
        case("healthy runs that were distrusted", false_alarms, f"of {len(default_sessions)} runs", "<= 1", holds),
        case(
            f"requests not measured while distrusted, of {while_distrusted}",
            unmeasured,
            "requests",
            "0",
            unmeasured == 0,
        ),
    ]
