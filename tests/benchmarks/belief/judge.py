"""Scores of filtered sessions: interval coverage, sensor verdicts, clock offsets, resets, and errors compared with simpler methods."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import norm

from tests.benchmarks._case import Case, case
from tests.benchmarks.belief.truth import SCORED, STATES

Z90 = float(norm.ppf(0.95))
NAMES = list(STATES)
GROUPS = {
    "defocus": ["defocus.C10"],
    "astigmatism": ["astigmatism.a", "astigmatism.b"],
    "specimen position": ["specimen.x", "specimen.y"],
}
HEALTHY_VERDICTS = {"ok", "no evidence"}

Session = dict[str, Any]


def judged(sessions: list[Session], blind: list[Session], judge_bars: bool) -> list[Case]:
    """All cases of sessions with images and without; statistical bars are judged only if ``judge_bars``."""

    def bar_holds(holds: bool) -> bool | None:
        return bool(holds) if judge_bars else None

    rows = [
        case("sessions", len(sessions), "", "", None),
        *_coverage(sessions, bar_holds),
        *_sensors(sessions, bar_holds),
    ]
    rows += [*_events(sessions, bar_holds), *_errors(sessions, bar_holds)]
    if blind:
        sigmas = _sigmas(blind)
        share = _covered(sigmas)
        rows.append(
            case(
                f"without images ({len(blind)} sessions): pooled coverage of 90 %",
                share,
                "",
                ">= 0.87",
                bar_holds(share >= 0.87),
            )
        )
        outside = _outside(sigmas, low_only=True)
        rows.append(
            case(
                "without images: states that cover too little",
                ", ".join(outside) or "none",
                "",
                "none",
                bar_holds(not outside),
            )
        )
    rows.append(
        case(
            "a session of half an hour: median time",
            float(np.median([session["seconds"] for session in sessions])),
            "s",
            "",
            None,
        )
    )
    return rows


def _sigmas(sessions: list[Session]) -> np.ndarray:
    """Errors over stated standard deviations, [sessions, times, states]."""
    std = np.sqrt(np.stack([np.einsum("tii->ti", session["covariance"]) for session in sessions]))
    return np.stack([session["mean"] - session["truth"] for session in sessions]) / std


def _covered(sigmas: np.ndarray, factor: float = 1.0) -> float:
    return float((np.abs(sigmas) <= Z90 * np.sqrt(factor)).mean())


def _outside(sigmas: np.ndarray, low_only: bool = False) -> list[str]:
    """States whose coverage is not 0.9 by a session-level bootstrap, at 5 % for all of them together (Bonferroni)."""
    generator = np.random.default_rng(0)
    inside = (np.abs(sigmas) <= Z90).mean(axis=1)  # [sessions, states]
    resampled = generator.integers(0, len(inside), (4000, len(inside)))
    shares = inside[resampled].mean(axis=1)
    level = 0.025 / len(NAMES)
    low, high = np.quantile(shares, [level, 1 - level], axis=0)
    names = []
    for index, name in enumerate(NAMES):
        if high[index] < 0.9 or (not low_only and low[index] > 0.9):
            names.append(f"{name} ({inside[:, index].mean():.3f})")
    return names


def _coverage(sessions: list[Session], bar_holds) -> list[Case]:
    sigmas = _sigmas(sessions)
    share, low, high = _covered(sigmas), _covered(sigmas, 0.6), _covered(sigmas, 1.6)
    squares = []
    for session in sessions:
        for k in range(len(SCORED)):
            error, covariance = session["mean"][k] - session["truth"][k], session["covariance"][k]
            scale = np.sqrt(np.diag(covariance))
            squares.append(
                error / scale @ np.linalg.solve(covariance / scale[:, None] / scale, error / scale) / len(error)
            )
    nees, outside = float(np.mean(squares)), _outside(sigmas)
    rows = [
        case("pooled coverage of 90 % intervals", share, "", "0.87 to 0.93", bar_holds(0.87 <= share <= 0.93)),
        case("states outside their Bonferroni band", ", ".join(outside) or "none", "", "none", bar_holds(not outside)),
        case("mean NEES per dimension", nees, "", "0.8 to 1.25", bar_holds(0.8 <= nees <= 1.25)),
        case("control: variance x 0.6 covers", low, "", "outside 0.87 to 0.93", bar_holds(not 0.87 <= low <= 0.93)),
        case("control: variance x 1.6 covers", high, "", "outside 0.87 to 0.93", bar_holds(not 0.87 <= high <= 0.93)),
    ]
    smooth = np.stack(
        [
            (session["smooth"] - session["truth"][-1 - len(session["smooth"]) : -1]) / session["smooth_std"]
            for session in sessions
        ]
    )
    rows.append(case("smoother: pooled coverage of 90 %", _covered(smooth), "", "", None))
    for index, name in enumerate(NAMES):
        rows.append(case(f"coverage: {name}", _covered(sigmas[..., index]), "", "", None))
    return rows


def _sensors(sessions: list[Session], bar_holds) -> list[Case]:
    caught, stuck, blamed, healthy = 0, 0, Counter(), 0
    waited, clock, clock_sigmas = [], 0.0, []
    for session in sessions:
        for channel, verdicts in session["verdicts"].items():
            if channel in session["stuck"]:
                since, until = session["stuck"][channel]
                detected = session["first_stuck"].get(channel)
                stuck += 1
                if detected is not None and since <= detected <= until + 10.0:
                    caught += 1
                    waited.append(detected - since)
            else:
                healthy += 1
                if verdicts - HEALTHY_VERDICTS:
                    blamed[channel] += 1
        for source, (offset, std) in session["clock_estimates"].items():
            clock = max(clock, abs(offset - session["clocks"][source]))
            clock_sigmas.append((offset - session["clocks"][source]) / std)
    share = sum(blamed.values()) / max(healthy, 1)
    return [
        case("stuck sensors found", caught / max(stuck, 1), "", ">= 0.95", bar_holds(caught >= 0.95 * stuck)),
        case("stuck sensors: median time until found", float(np.median(waited)) if waited else None, "s", "", None),
        case("healthy sensors blamed", share, "", "<= 0.001", bar_holds(share <= 1e-3)),
        case(
            "healthy sensors blamed, which",
            ", ".join(f"{name} {count}" for name, count in blamed.items()) or "none",
            "",
            "",
            None,
        ),
        case("clock offsets: worst error", clock, "s", "<= 0.2", bar_holds(clock <= 0.2)),
        case("clock offsets: rms error over stated", float(np.sqrt(np.mean(np.square(clock_sigmas)))), "", "", None),
    ]


def _events(sessions: list[Session], bar_holds) -> list[Case]:
    correct, other_events = 0, Counter()
    for session in sessions:
        resets = [event for event in session["events"] if event[0] == "zero_reset"]
        reset_time, size = session["reset"]
        correct += len(resets) == 1 and abs(resets[0][2] - reset_time) < 2.0 and abs(resets[0][3] - size) < 2.0
        other_events.update(event[0] for event in session["events"] if event[0] in ("uncommanded_jump", "prior_reset"))
    return [
        case(
            "zero resets distinguished from drift, with time and size",
            correct / len(sessions),
            "",
            ">= 0.95",
            bar_holds(correct >= 0.95 * len(sessions)),
        ),
        case("uncommanded jumps and prior resets", sum(other_events.values()), "", "", None),
        case("sessions distrusted", sum(session["distrust"] is not None for session in sessions), "", "", None),
    ]


def _errors(sessions: list[Session], bar_holds) -> list[Case]:
    rows = []
    for group, names in GROUPS.items():
        columns = [NAMES.index(name) for name in names]

        def rms(values: list[np.ndarray]) -> float:
            return float(np.sqrt(np.mean(np.square(np.concatenate([value.ravel() for value in values])))))

        filter_error = rms([(session["mean"] - session["truth"])[:, columns] for session in sessions])
        method_errors = {
            method: rms(
                [
                    session["simple"][method][name] - session["truth"][:, NAMES.index(name)]
                    for session in sessions
                    for name in names
                ]
            )
            for method in sessions[0]["simple"]
        }
        best = min((method for method in method_errors if method != "commanded"), key=method_errors.__getitem__)
        summary = ", ".join(f"{method} {error:.3g}" for method, error in method_errors.items())
        rows += [
            case(f"{group}: rms error", filter_error, "angstrom", f"({summary})", None),
            case(
                f"{group}: over commanded",
                filter_error / method_errors["commanded"],
                "",
                "<= 1/3",
                bar_holds(filter_error <= method_errors["commanded"] / 3),
            ),
            case(
                f"{group}: over the best simpler way ({best})",
                filter_error / method_errors[best],
                "",
                "<= 2/3",
                bar_holds(filter_error <= method_errors[best] * 2 / 3),
            ),
        ]
    return rows
