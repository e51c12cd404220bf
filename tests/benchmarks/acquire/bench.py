"""Benchmark of `emtwin acquire` over many seeds: cost, errors against measuring every request, coverage, wrong models, a crash.

Sessions of 60 requests (and, where a case says so, of 16 at two places with the same spacing) run two at a time in warm workers. Equal specimens
and the twin's model are computed once and kept in the cache; results of finished sessions are kept in ``work``, keyed by the code, so an
interrupted benchmark continues where it stopped. The hidden truth of healthy seed s has specimen s mod 20, of the other presets s mod 10.
"""

import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.acquire.electrons import dose_of_same_error, electron_cases
from tests.benchmarks.acquire.model_cases import (
    LONG_OUTSIDE,
    PRIORS,
    SEEDS,
    Outcomes,
    inside_model,
    outside_model,
    overconfident,
    trust,
)
from tests.benchmarks.acquire.processes import killed_and_resumed, timed
from tests.benchmarks.acquire.runs import SHORT_PLAN, SMOKE_PLAN, Run, SessionNumbers, Store, run_all
from tests.benchmarks.physics import bench as physics
from tests.benchmarks.replay import bench as replay

SPECIMENS, PRESET_SPECIMENS = 20, 10
DOSES = ((1e3, 0.4), (1e4, 0.8), (1e5, 1.2))
"""Dose (electrons per square angstrom) and the largest ratio of the twin's error to that of raw images."""
DEFAULT_DOSE = 1e4
LOWER_DOSES = (0.25, 0.5)
"""Shares of the dose at which a quarter of the seeds measure every request, to compare electrons at the same error."""
CONTROLS = {
    "sensors": "sensors only",
    "random": "as many requests measured at random times, focused alike",
    "blind": "belief never updated by images",
}
KILLED = """
name = "killed"
kind = "tune-and-map"
tolerance = 0.10
alignment = 2
seed = 0
[instrument]
kind = "simulated"
config = { specimen_seed = 0 }
[requests]
count = 12
sites = 3
spacing = 1.0
duration = 770.0
"""


def healthy(
    seed: int, policy: str = "decide", dose: float = DEFAULT_DOSE, at_random: int = 0, focusing: int | None = None
) -> Run:
    """A whole session on the healthy microscope. One that measures every request takes no images besides."""
    focusing = 0 if policy == "always" else focusing
    return Run(seed, policy, dose, specimen=seed % SPECIMENS, at_random=at_random, focusing=focusing)


def preset_run(preset: str, seed: int, short: Form) -> Run:
    """A session on a microscope that differs from the twin's prior."""
    plan = () if preset in LONG_OUTSIDE and not short else SHORT_PLAN
    return Run(seed, preset=preset, specimen=seed % PRESET_SPECIMENS, priors=PRIORS.get(preset, ()), plan=plan)


def cases(
    short: Form, progress: Callable[..., None], seeds: int | None = None, jobs: int = 2, work: Path | None = None
) -> list[Case]:
    """All numbers. ``short``: one seed, three presets, no cold start, nothing killed (a test does that), no physics and no replay (they have short forms
    of their own).

    Bars over seeds are judged only where there are at least 20 of them.
    """
    from twin.cache_folder import cache_folder

    store = Store(work or cache_folder() / "benchmark-acquire")
    count = seeds or (1 if short else SEEDS)
    default_count = count if short else max(count, count * 5 // 2)
    presets = ((*PRIORS, *LONG_OUTSIDE, "other-structure"), ("thick", "other-structure"), ("c30",))[short]
    rows: list[Case] = [] if short else _cold_start(progress)
    runs = [healthy(seed) for seed in range(count)]
    runs += [healthy(seed, "always") for seed in range(count)]
    runs += [preset_run(preset, seed, short) for preset in presets for seed in range(count)]
    if not short:
        runs += [healthy(seed, dose=dose) for dose, _ in DOSES for seed in range(count)]
        runs += _lower_doses(count)
    runs += [healthy(seed) for seed in range(count, default_count)]
    if not short:
        runs += [healthy(seed, policy) for policy in ("sensors", "blind") for seed in range(count)]
    outcomes = _smoke(runs, store, jobs, progress) if short is Form.SMOKE else run_all(runs, store, jobs, progress)
    if not short:
        outcomes |= run_all(_random_runs(outcomes, count), store, jobs, progress)
    judge = count >= SEEDS
    rows += _accuracy(outcomes, range(count), judge, short)
    rows += _coverage(outcomes, range(count), judge, short)
    for preset in presets:
        if preset in PRIORS:
            rows += inside_model(
                _completed(outcomes, [preset_run(preset, seed, short) for seed in range(count)]), preset, judge
            )
    for preset in presets:
        sessions = _completed(outcomes, [preset_run(preset, seed, short) for seed in range(count)])
        rows += outside_model(sessions, preset, judge) if preset not in PRIORS else []
        rows += overconfident(sessions, preset, judge)
    default_sessions = _completed(outcomes, [healthy(seed) for seed in range(default_count)])
    rows += overconfident(default_sessions, "default", judge) + trust(outcomes, default_sessions, judge)
    failed = [outcomes[run] for run in outcomes if isinstance(outcomes[run], str)]
    rows.append(case(f"sessions that ended in a fault, of {len(outcomes)}", len(failed), "sessions", "0", not failed))
    for name, group in (("healthy", ["default"]), ("wrong", [preset for preset in presets if preset != "c30"])):
        specimens = len({(run.preset, run.specimen) for run in outcomes if run.preset in group})
        rows.append(
            case(f"hidden specimens that the {name} microscopes had (crystal, tilt and bend)", specimens, "specimens")
        )
    rows.append(
        case(
            "seconds of a session in a warm worker, median",
            _median(outcomes, lambda session: session.result["seconds"]),
            "s",
        )
    )
    if not short:
        progress("killing the simulated microscope in the middle")
        rows += _crash()
        for name, module in (("physics", physics), ("replay", replay)):
            parts = module.cases(short, lambda text, share=None, name=name: progress(f"{name}: {text}", share))
            rows += [{**row, "case": f"{name}: {row['case']}"} for row in parts]
    return rows


def _lower_doses(count: int) -> list[Run]:
    """Sessions that measure every request with less dose."""
    return [
        healthy(seed, "always", dose=share * DEFAULT_DOSE)
        for share in LOWER_DOSES
        for seed in range(math.ceil(count / 4))
    ]


def _smoke(runs: list[Run], store: Store, jobs: int, progress: Callable[..., None]) -> Outcomes:
    """The runs with `SMOKE_PLAN`. RuntimeError with its traceback if one of them ended in a fault."""
    reduced = {run: dataclasses.replace(run, plan=SMOKE_PLAN) for run in runs}
    outcomes = run_all(list(reduced.values()), store, jobs, progress)
    for outcome in outcomes.values():
        if not isinstance(outcome, SessionNumbers):
            raise RuntimeError(outcome)
    return {run: outcomes[outcome] for run, outcome in reduced.items()}


def _random_runs(outcomes: Outcomes, count: int) -> list[Run]:
    """For each seed, as many requests as the twin measured, at random and focused alike.

    For a quarter of them also as many as it took frames in all, unfocused: a case without a bar.
    """
    runs = []
    for seed in range(count):
        for session in _completed(outcomes, [healthy(seed)]):
            measured, requests = int(session.result["measured"]), int(session.result["requests"])
            frames = min(measured + int(session.result["alignments"]), requests)
            runs.append(healthy(seed, "random", at_random=measured))
            if seed < math.ceil(count / 4):
                runs.append(healthy(seed, "random", at_random=frames, focusing=0))
    return runs


def _completed(outcomes: Outcomes, runs: Sequence[Run]) -> list[SessionNumbers]:
    """The sessions among ``runs`` that reached their end."""
    return [outcome for run in runs if isinstance(outcome := outcomes.get(run), SessionNumbers)]


def _median(outcomes: Outcomes, value: Callable[[SessionNumbers], float]) -> float | None:
    values = [value(outcome) for outcome in outcomes.values() if isinstance(outcome, SessionNumbers)]
    return float(np.median(values)) if values else None


def _cold_start(progress: Callable[..., None]) -> list[Case]:
    """The README's command with an empty cache, and with a filled one."""
    with tempfile.TemporaryDirectory(prefix="emtwin-cold-") as scratch:
        folder = Path(scratch)
        load = os.getloadavg()[0]
        progress("emtwin acquire from nothing")
        cold, memory, result = timed(["acquire", "--out", str(folder / "first"), "--json"], folder / "cache")
        progress("emtwin acquire again")
        warm, _, _ = timed(["acquire", "--out", str(folder / "second"), "--json"], folder / "cache")
    return [
        case("emtwin acquire, nothing cached", cold, "s", "<= 180", cold <= 180.0),
        case("its largest memory, the microscope's process included", memory, "GiB", "<= 4", memory <= 4.0),
        case("emtwin acquire with twin and specimen cached, compilation and report included", warm, "s"),
        case("its session alone (start to score), nothing cached", result["seconds"], "s"),
        case("load average when it began", load, "1"),
    ]


def _error(sessions: Sequence[SessionNumbers]) -> float:
    return float(np.mean([session.errors.mean() for session in sessions])) if sessions else math.nan


def _raw_error(sessions: Sequence[SessionNumbers]) -> float:
    return float(np.mean([session.raw.mean() for session in sessions])) if sessions else math.nan


def _accuracy(outcomes: Outcomes, seeds: range, judge: bool, short: Form) -> list[Case]:
    rows: list[Case] = []
    for dose, bar in DOSES:
        twin_sessions = _completed(outcomes, [healthy(seed, dose=dose) for seed in seeds])
        if not twin_sessions:
            continue
        label, ratio = f"dose {dose:.0e}, {len(twin_sessions)} seeds", _error(twin_sessions) / _raw_error(twin_sessions)
        share = max(float(session.measured.mean()) for session in twin_sessions)
        frames = float(
            np.mean([session.result["measured"] + session.result.get("alignments", 0) for session in twin_sessions])
        )
        rows += [
            case(f"{label}: error of the twin", _error(twin_sessions), "relative"),
            case(f"{label}: error of raw images of every request", _raw_error(twin_sessions), "relative"),
            case(f"{label}: ratio to raw", ratio, "1", f"<= {bar}", ratio <= bar if judge else None),
            case(f"{label}: share of requests measured, audits included, worst seed", share, "1"),
            case(f"{label}: frames a session, focusing included, mean", frames, f"of {len(twin_sessions[0].measured)}"),
            case(
                f"{label}: dose spent, mean",
                float(np.mean([session.result["dose_spent"] for session in twin_sessions])),
                "electrons",
            ),
        ]
    twin_sessions = {seed: session for seed in seeds for session in _completed(outcomes, [healthy(seed)])}
    always = {seed: session for seed in seeds for session in _completed(outcomes, [healthy(seed, "always")])}
    common_seeds = sorted(twin_sessions.keys() & always.keys())
    if common_seeds:
        ratio = _error([twin_sessions[seed] for seed in common_seeds]) / _error([always[seed] for seed in common_seeds])
        holds = ratio <= 1.25 if judge else None
        rows.append(
            case(f"ratio to assimilating every request, {len(common_seeds)} seeds", ratio, "1", "<= 1.25", holds)
        )
    rows += electron_cases(list(twin_sessions.values()), judge)
    if not short:
        rows += _same_error(outcomes, twin_sessions, always)
    spread = {
        run.seed: session
        for run, session in outcomes.items()
        if isinstance(session, SessionNumbers) and (run.policy, run.focusing) == ("random", 0)
    }
    if common_seeds := sorted(twin_sessions.keys() & spread.keys()):
        ratio = _error([spread[seed] for seed in common_seeds]) / _error([twin_sessions[seed] for seed in common_seeds])
        text = f"as many frames as the twin took, focusing included, all on requests at random: error over the twin's, {len(common_seeds)} seeds"
        rows.append(case(text, ratio, "1"))
    return rows + ([] if short else _controls(outcomes, twin_sessions, judge))


def _same_error(
    outcomes: Outcomes, twin_sessions: dict[int, SessionNumbers], always: dict[int, SessionNumbers]
) -> list[Case]:
    """Electrons of the twin over those of measuring every request with less dose, at the twin's error: by sessions, not by what the twin expects."""
    lower = {(run.seed, run.dose / DEFAULT_DOSE): run for run in _lower_doses(SEEDS)}
    seeds = sorted({seed for seed, _ in lower} & twin_sessions.keys() & always.keys())
    seeds = [s for s in seeds if all(_completed(outcomes, [lower[s, share]]) for share in LOWER_DOSES)]
    if not seeds:
        return []
    errors = {share: _error(_completed(outcomes, [lower[seed, share] for seed in seeds])) for share in LOWER_DOSES}
    errors[1.0] = _error([always[seed] for seed in seeds])
    share = dose_of_same_error(_error([twin_sessions[seed] for seed in seeds]), errors)
    results = [twin_sessions[seed].result for seed in seeds]
    spent = float(np.mean([r["dose_spent"] / r["dose_of_measuring_all"]["same_scan"] for r in results]))
    text = f"electrons over measuring every request with less dose at the same error, {len(seeds)} seeds"
    rows = [case(text, None if share is None else spent / share, "1")]
    rows += [
        case(f"error of measuring every request at {share:g} of the dose, {len(seeds)} seeds", error, "relative")
        for share, error in sorted(errors.items())
    ]
    return rows


def _controls(outcomes: Outcomes, twin_sessions: dict[int, SessionNumbers], judge: bool) -> list[Case]:
    """Control policies, which must have larger errors than the twin: paired by seeds, one-sided signed-rank test."""
    rows = []
    for policy, text in CONTROLS.items():
        pairs = [
            (twin_sessions[run.seed].errors.mean(), session.errors.mean())
            for run, session in outcomes.items()
            if (run.policy, run.focusing) == (policy, None)
            and isinstance(session, SessionNumbers)
            and run.seed in twin_sessions
        ]
        if not pairs:
            rows.append(case(f"control, {text}", None, "1", "> 1, p < 0.01", False if judge else None))
            continue
        twin_errors, control_errors = np.array(pairs).T
        ratio = float(control_errors.mean() / twin_errors.mean())
        test: Any = wilcoxon(control_errors, twin_errors, alternative="greater")
        p_value = float(test.pvalue)
        holds = ratio > 1.0 and p_value < 0.01 if judge else None
        rows.append(case(f"control, {text}: error over the twin's, {len(pairs)} seeds", ratio, "1", "> 1", holds))
        rows.append(case(f"control, {text}: chance of that if no worse", p_value, "p", "< 0.01", holds))
    return rows


def _coverage(outcomes: Outcomes, seeds: range, judge: bool, short: Form) -> list[Case]:
    from twin.image.prediction import STATISTICS

    twin_sessions = _completed(outcomes, [healthy(seed) for seed in seeds])
    if not twin_sessions:
        return [case("coverage of 90 % intervals", None, "1", "0.88 to 0.92", False)]

    def pooled(sessions: Sequence[SessionNumbers], variance: float = 1.0) -> float:
        return float(np.mean([session.covered(variance).mean() for session in sessions]))

    def calibrated(share: float) -> bool:
        return 0.88 <= share <= 0.92

    share, label = pooled(twin_sessions), f"{len(twin_sessions)} seeds, all requests"
    bar, holds = ("0.88 to 0.92", calibrated(share)) if judge else ("0.7 to 1", 0.7 <= share <= 1.0)
    rows = [case(f"coverage of 90 % intervals on 8 named numbers, {label}", share, "1", bar, holds)]
    if judge:
        for factor in (0.6, 1.6):
            scaled = pooled(twin_sessions, factor)
            text = f"the same with variance x {factor} (must fail)"
            rows.append(case(text, scaled, "1", "outside 0.88 to 0.92", not calibrated(scaled)))
    if len(twin_sessions) > 1:
        shares = np.array([session.covered().mean() for session in twin_sessions])
        resampled = np.random.default_rng(0).integers(0, len(twin_sessions), (4000, len(twin_sessions)))
        resampled_means = shares[resampled].mean(axis=1)
        low, high = np.quantile(resampled_means, [0.025, 0.975])
        total = sum(session.off.size for session in twin_sessions)
        cases_of = min(share * (1.0 - share) / max(float(resampled_means.var()), 1e-12), total)
        rows.append(case("95 % interval of that coverage (sessions drawn again), lower end", float(low), "1"))
        rows.append(case("the same, upper end", float(high), "1"))
        rows.append(case(f"independent cases that equals, of {total}", cases_of, "numbers"))
    for index, name in enumerate(STATISTICS):
        value = float(np.mean([session.covered()[:, index].mean() for session in twin_sessions]))
        rows.append(case(f"coverage of {name}", value, "1"))
    if not short:
        other_runs = {
            f"at dose {dose:.0e}": [healthy(s, dose=dose) for s in seeds] for dose, _ in DOSES if dose != DEFAULT_DOSE
        }
        other_runs["measuring at random times"] = [
            run for run in outcomes if (run.policy, run.focusing) == ("random", None)
        ]
        other_runs["measuring every request"] = [healthy(seed, "always") for seed in seeds]
        for text, runs in other_runs.items():
            if sessions := _completed(outcomes, runs):
                rows.append(case(f"coverage {text}, {len(sessions)} seeds", pooled(sessions), "1"))
    answered_coverage = [session.covered()[session.answered] for session in twin_sessions if session.answered.any()]
    if answered_coverage:
        rows.append(
            case("coverage of the requests it answered itself", float(np.concatenate(answered_coverage).mean()), "1")
        )
    return rows


def _crash() -> list[Case]:
    """The simulated microscope killed after 5 of 12 requests at 3 places."""
    outcome = killed_and_resumed(KILLED, requests_before_kill=5)
    intact = outcome["readable"] and not outcome["problems"]
    return [
        case("microscope killed: said and ended after", outcome["seconds"], "s", "<= 5", outcome["seconds"] <= 5.0),
        case("microscope killed: exit code", outcome["code"], "", "3", outcome["code"] == 3),
        case("microscope killed: its session can be read, is intact and can be resumed", intact, "", "True", intact),
        case(
            "resumed: result equals the uninterrupted session's, but for seconds",
            outcome["same"],
            "",
            "True",
            outcome["same"],
        ),
        case(
            "resumed: largest difference of any image",
            outcome["difference"],
            "relative",
            "0",
            outcome["difference"] == 0.0,
        ),
    ]
