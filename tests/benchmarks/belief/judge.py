"""Followed sessions judged: honest intervals, verdicts on sensors, clocks, resets, and errors beside those of simpler ways."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import norm

from tests.benchmarks.belief.truth import SCORED, STATES

Z90 = float(norm.ppf(0.95))
NAMES = list(STATES)
GROUPS = {
    "defocus": ["defocus.C10"],
    "astigmatism": ["astigmatism.a", "astigmatism.b"],
    "specimen position": ["specimen.x", "specimen.y"],
}
FINE = {"ok", "no evidence"}

Session = dict[str, Any]
Case = dict[str, Any]


def case(name: str, value: Any, unit: str, bar: str = "", holds: bool | None = None) -> Case:
    """One row of a benchmark."""
    return {"case": name, "value": value, "unit": unit, "bar": bar, "holds": holds}


def judged(seen: list[Session], blind: list[Session], enough: bool) -> list[Case]:
    """All cases of sessions with images and without; statistical bars are held against only if there are ``enough`` sessions."""

    def held(holds: bool) -> bool | None:
        return bool(holds) if enough else None

    found = [case("sessions", len(seen), "", "", None), *_coverage(seen, held), *_sensors(seen, held)]
    found += [*_events(seen, held), *_errors(seen, held)]
    if blind:
        sigmas = _sigmas(blind)
        share = _covered(sigmas)
        found.append(
            case(
                f"without images ({len(blind)} sessions): pooled coverage of 90 %",
                share,
                "",
                ">= 0.87",
                held(share >= 0.87),
            )
        )
        outside = _outside(sigmas, low_only=True)
        found.append(
            case(
                "without images: states that cover too little",
                ", ".join(outside) or "none",
                "",
                "none",
                held(not outside),
            )
        )
    found.append(
        case(
            "a session of half an hour: median time", float(np.median([one["seconds"] for one in seen])), "s", "", None
        )
    )
    return found


def _sigmas(sessions: list[Session]) -> np.ndarray:
    """Errors over stated standard deviations, [sessions, times, states]."""
    std = np.sqrt(np.stack([np.einsum("tii->ti", one["covariance"]) for one in sessions]))
    return np.stack([one["mean"] - one["truth"] for one in sessions]) / std


def _covered(sigmas: np.ndarray, factor: float = 1.0) -> float:
    return float((np.abs(sigmas) <= Z90 * np.sqrt(factor)).mean())


def _outside(sigmas: np.ndarray, low_only: bool = False) -> list[str]:
    """States whose coverage is not 0.9 by a session-level bootstrap, at 5 % for all of them together (Bonferroni)."""
    generator = np.random.default_rng(0)
    inside = (np.abs(sigmas) <= Z90).mean(axis=1)  # [sessions, states]
    drawn = generator.integers(0, len(inside), (4000, len(inside)))
    shares = inside[drawn].mean(axis=1)
    level = 0.025 / len(NAMES)
    low, high = np.quantile(shares, [level, 1 - level], axis=0)
    found = []
    for place, name in enumerate(NAMES):
        if high[place] < 0.9 or (not low_only and low[place] > 0.9):
            found.append(f"{name} ({inside[:, place].mean():.3f})")
    return found


def _coverage(seen: list[Session], held) -> list[Case]:
    sigmas = _sigmas(seen)
    share, low, high = _covered(sigmas), _covered(sigmas, 0.6), _covered(sigmas, 1.6)
    squares = []
    for one in seen:
        for k in range(len(SCORED)):
            away, covariance = one["mean"][k] - one["truth"][k], one["covariance"][k]
            scale = np.sqrt(np.diag(covariance))
            squares.append(
                away / scale @ np.linalg.solve(covariance / scale[:, None] / scale, away / scale) / len(away)
            )
    nees, outside = float(np.mean(squares)), _outside(sigmas)
    found = [
        case("pooled coverage of 90 % intervals", share, "", "0.87 to 0.93", held(0.87 <= share <= 0.93)),
        case("states outside their Bonferroni band", ", ".join(outside) or "none", "", "none", held(not outside)),
        case("mean NEES per dimension", nees, "", "0.8 to 1.25", held(0.8 <= nees <= 1.25)),
        case("control: variance x 0.6 covers", low, "", "outside 0.87 to 0.93", held(not 0.87 <= low <= 0.93)),
        case("control: variance x 1.6 covers", high, "", "outside 0.87 to 0.93", held(not 0.87 <= high <= 0.93)),
    ]
    smooth = np.stack([(one["smooth"] - one["truth"][:-1]) / one["smooth_std"] for one in seen])
    found.append(case("smoother: pooled coverage of 90 %", _covered(smooth), "", "", None))
    for place, name in enumerate(NAMES):
        found.append(case(f"coverage: {name}", _covered(sigmas[..., place]), "", "", None))
    return found


def _sensors(seen: list[Session], held) -> list[Case]:
    caught, stuck, blamed, healthy = 0, 0, Counter(), 0
    waited, clock, clock_sigmas = [], 0.0, []
    for one in seen:
        for channel, verdicts in one["verdicts"].items():
            if channel in one["stuck"]:
                since, until = one["stuck"][channel]
                at = one["first_stuck"].get(channel)
                stuck += 1
                if at is not None and since <= at <= until + 10.0:
                    caught += 1
                    waited.append(at - since)
            else:
                healthy += 1
                if verdicts - FINE:
                    blamed[channel] += 1
        for source, (offset, std) in one["told"].items():
            clock = max(clock, abs(offset - one["clocks"][source]))
            clock_sigmas.append((offset - one["clocks"][source]) / std)
    share = sum(blamed.values()) / max(healthy, 1)
    return [
        case("stuck sensors found", caught / max(stuck, 1), "", ">= 0.95", held(caught >= 0.95 * stuck)),
        case("stuck sensors: median time until found", float(np.median(waited)) if waited else None, "s", "", None),
        case("healthy sensors blamed", share, "", "<= 0.001", held(share <= 1e-3)),
        case(
            "healthy sensors blamed, which",
            ", ".join(f"{name} {count}" for name, count in blamed.items()) or "none",
            "",
            "",
            None,
        ),
        case("clock offsets: worst error", clock, "s", "<= 0.2", held(clock <= 0.2)),
        case("clock offsets: rms error over stated", float(np.sqrt(np.mean(np.square(clock_sigmas)))), "", "", None),
    ]


def _events(seen: list[Session], held) -> list[Case]:
    right, other = 0, Counter()
    for one in seen:
        resets = [event for event in one["events"] if event[0] == "zero_reset"]
        at, size = one["reset"]
        right += len(resets) == 1 and abs(resets[0][2] - at) < 2.0 and abs(resets[0][3] - size) < 2.0
        other.update(event[0] for event in one["events"] if event[0] in ("uncommanded_jump", "prior_reset"))
    return [
        case(
            "zero resets told from drift, with time and size",
            right / len(seen),
            "",
            ">= 0.95",
            held(right >= 0.95 * len(seen)),
        ),
        case("uncommanded jumps and prior resets", sum(other.values()), "", "", None),
        case("sessions distrusted", sum(one["distrust"] is not None for one in seen), "", "", None),
    ]


def _errors(seen: list[Session], held) -> list[Case]:
    found = []
    for group, names in GROUPS.items():
        places = [NAMES.index(name) for name in names]

        def rms(values: list[np.ndarray]) -> float:
            return float(np.sqrt(np.mean(np.square(np.concatenate([one.ravel() for one in values])))))

        ours = rms([(one["mean"] - one["truth"])[:, places] for one in seen])
        ways = {
            way: rms([one["simple"][way][name] - one["truth"][:, NAMES.index(name)] for one in seen for name in names])
            for way in seen[0]["simple"]
        }
        best = min((way for way in ways if way != "commanded"), key=ways.__getitem__)
        told = ", ".join(f"{way} {error:.3g}" for way, error in ways.items())
        found += [
            case(f"{group}: rms error", ours, "angstrom", f"({told})", None),
            case(
                f"{group}: over commanded", ours / ways["commanded"], "", "<= 1/3", held(ours <= ways["commanded"] / 3)
            ),
            case(
                f"{group}: over the best simpler way ({best})",
                ours / ways[best],
                "",
                "<= 2/3",
                held(ours <= ways[best] * 2 / 3),
            ),
        ]
    return found
