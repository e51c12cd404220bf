"""`emtwin acquire` judged over many seeds: cost, errors against measuring everything, coverage, what it does when the model is wrong, a crash.

Sessions of 60 requests (and, where a case says so, of 16 at two places with the same spacing) run two at a time in warm workers. Equal specimens
and the twin's model are computed once and kept in the cache; finished sessions' numbers are kept in ``work``, by the code that made them, so an
interrupted benchmark goes on where it was. The hidden truth of healthy seed s has specimen s mod 20, of the other presets s mod 10.
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

from tests.benchmarks._form import Form
from tests.benchmarks.acquire.processes import killed_and_resumed, timed
from tests.benchmarks.acquire.runs import SHORT_PLAN, SMOKE_PLAN, Run, Store, Told, run_all
from tests.benchmarks.physics import bench as physics
from tests.benchmarks.replay import bench as replay

SEEDS = 20
SPECIMENS, PRESET_SPECIMENS = 20, 10
DOSES = ((1e3, 0.4), (1e4, 0.8), (1e5, 1.2))
"""Dose (electrons per square angstrom) and the largest ratio of the twin's error to that of raw images."""
DEFAULT_DOSE = 1e4
CONTROLS = {
    "sensors": "sensors only",
    "random": "as many requests measured at random times, focused alike",
    "blind": "belief never updated by images",
}
PRIORS = {
    "thick": (("thickness", 78.1, 15.0),),
    "c30": (("C30", 0.0, 3e4),),
    "tilted": (("tilt.x", 0.0, 4e-3), ("tilt.y", 0.0, 4e-3)),
}
"""What the twin is told of the parameter in question, for the presets that are inside the model: (name, mean, standard deviation)."""
LONG_OUTSIDE = ("amorphous", "angles")
SHORTENED = "16 requests at 2 places"
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

Case = dict[str, Any]
Found = dict[Run, Told | str]


def _case(case: str, value: Any, unit: str, bar: str = "", holds: bool | None = None) -> Case:
    return {"case": case, "value": value, "unit": unit, "bar": bar, "holds": None if holds is None else bool(holds)}


def healthy(
    seed: int, policy: str = "decide", dose: float = DEFAULT_DOSE, at_random: int = 0, focusing: int | None = None
) -> Run:
    """A whole session on the healthy microscope. One that measures every request takes no images besides."""
    focusing = 0 if policy == "always" else focusing
    return Run(seed, policy, dose, specimen=seed % SPECIMENS, at_random=at_random, focusing=focusing)


def preset_run(preset: str, seed: int, short: Form) -> Run:
    """A session on a microscope that differs from what the twin believes."""
    plan = () if preset in LONG_OUTSIDE and not short else SHORT_PLAN
    return Run(seed, preset=preset, specimen=seed % PRESET_SPECIMENS, priors=PRIORS.get(preset, ()), plan=plan)


def cases(
    short: Form, progress: Callable[..., None], seeds: int | None = None, jobs: int = 2, work: Path | None = None
) -> list[Case]:
    """All numbers. ``short``: one seed, three presets, no cold start, nothing killed (a test does that), no physics and no replay (they have short forms
    of their own).

    Bars over seeds are judged only where there are at least 20 of them.
    """
    from scenarios.io.cache import cache_folder

    store = Store(work or cache_folder() / "benchmark-acquire")
    count = seeds or (1 if short else SEEDS)
    many = count if short else max(count, count * 5 // 2)
    presets = ((*PRIORS, *LONG_OUTSIDE, "other-structure"), ("thick", "other-structure"), ("c30",))[short]
    found: list[Case] = [] if short else _cold_start(progress)
    runs = [healthy(seed) for seed in range(count)]
    runs += [healthy(seed, "always") for seed in range(count)]
    runs += [preset_run(preset, seed, short) for preset in presets for seed in range(count)]
    if not short:
        runs += [healthy(seed, dose=dose) for dose, _ in DOSES for seed in range(count)]
    runs += [healthy(seed) for seed in range(count, many)]
    if not short:
        runs += [healthy(seed, policy) for policy in ("sensors", "blind") for seed in range(count)]
    told = _smoke(runs, store, jobs, progress) if short is Form.SMOKE else run_all(runs, store, jobs, progress)
    if not short:
        told |= run_all(_random_runs(told, count), store, jobs, progress)
    judge = count >= SEEDS
    found += _accuracy(told, range(count), judge, short)
    found += _coverage(told, range(count), judge, short)
    for preset in presets:
        if preset in PRIORS:
            found += _inside(_of(told, [preset_run(preset, seed, short) for seed in range(count)]), preset, judge)
    for preset in presets:
        sessions = _of(told, [preset_run(preset, seed, short) for seed in range(count)])
        found += _outside(sessions, preset, judge) if preset not in PRIORS else []
        found += _sure_and_wrong(sessions, preset, judge)
    everyday = _of(told, [healthy(seed) for seed in range(many)])
    found += _sure_and_wrong(everyday, "default", judge) + _trust(told, everyday, judge)
    failed = [told[run] for run in told if isinstance(told[run], str)]
    found.append(_case(f"sessions that ended in a fault, of {len(told)}", len(failed), "sessions", "0", not failed))
    for name, group in (("healthy", ["default"]), ("wrong", [preset for preset in presets if preset != "c30"])):
        used = len({(run.preset, run.specimen) for run in told if run.preset in group})
        found.append(
            _case(f"hidden specimens that the {name} microscopes had (crystal, tilt and bend)", used, "specimens")
        )
    found.append(
        _case("seconds of a session in a warm worker, median", _median(told, lambda one: one.result["seconds"]), "s")
    )
    if not short:
        progress("killing the simulated microscope in the middle")
        found += _crash()
        for name, module in (("physics", physics), ("replay", replay)):
            parts = module.cases(short, lambda text, share=None, name=name: progress(f"{name}: {text}", share))
            found += [{**case, "case": f"{name}: {case['case']}"} for case in parts]
    return found


def _smoke(runs: list[Run], store: Store, jobs: int, progress: Callable[..., None]) -> Found:
    """The runs with `SMOKE_PLAN`. RuntimeError with its traceback if one of them ended in a fault."""
    small = {run: dataclasses.replace(run, plan=SMOKE_PLAN) for run in runs}
    told = run_all(list(small.values()), store, jobs, progress)
    for one in told.values():
        if not isinstance(one, Told):
            raise RuntimeError(one)
    return {run: told[one] for run, one in small.items()}


def _random_runs(told: Found, count: int) -> list[Run]:
    """For each seed, as many requests as the twin measured, at random and focused alike.

    For a quarter of them also as many as it took frames in all, unfocused: a case without a bar.
    """
    runs = []
    for seed in range(count):
        for own in _of(told, [healthy(seed)]):
            measured, requests = int(own.result["measured"]), int(own.result["requests"])
            taken = min(measured + int(own.result["alignments"]), requests)
            runs.append(healthy(seed, "random", at_random=measured))
            if seed < math.ceil(count / 4):
                runs.append(healthy(seed, "random", at_random=taken, focusing=0))
    return runs


def _of(told: Found, runs: Sequence[Run]) -> list[Told]:
    """The sessions among ``runs`` that reached their end."""
    return [one for run in runs if isinstance(one := told.get(run), Told)]


def _median(told: Found, value: Callable[[Told], float]) -> float | None:
    values = [value(one) for one in told.values() if isinstance(one, Told)]
    return float(np.median(values)) if values else None


def _cold_start(progress: Callable[..., None]) -> list[Case]:
    """The README's command with nothing in the cache, and again."""
    with tempfile.TemporaryDirectory(prefix="emtwin-cold-") as place:
        folder = Path(place)
        load = os.getloadavg()[0]
        progress("emtwin acquire from nothing")
        cold, memory, result = timed(["acquire", "--out", str(folder / "first"), "--json"], folder / "cache")
        progress("emtwin acquire again")
        again, _, _ = timed(["acquire", "--out", str(folder / "second"), "--json"], folder / "cache")
    return [
        _case("emtwin acquire, nothing cached", cold, "s", "<= 180", cold <= 180.0),
        _case("its largest memory, the microscope's process included", memory, "GiB", "<= 4", memory <= 4.0),
        _case("emtwin acquire with twin and specimen cached, compilation and report included", again, "s"),
        _case("its session alone (start to score), nothing cached", result["seconds"], "s"),
        _case("load average when it began", load, "1"),
    ]


def _error(sessions: Sequence[Told]) -> float:
    return float(np.mean([one.errors.mean() for one in sessions])) if sessions else math.nan


def _raw_error(sessions: Sequence[Told]) -> float:
    return float(np.mean([one.raw.mean() for one in sessions])) if sessions else math.nan


def _accuracy(told: Found, seeds: range, judge: bool, short: Form) -> list[Case]:
    found: list[Case] = []
    for dose, bar in DOSES:
        own = _of(told, [healthy(seed, dose=dose) for seed in seeds])
        if not own:
            continue
        label, ratio = f"dose {dose:.0e}, {len(own)} seeds", _error(own) / _raw_error(own)
        share = max(float(one.measured.mean()) for one in own)
        frames = float(np.mean([one.result["measured"] + one.result.get("alignments", 0) for one in own]))
        found += [
            _case(f"{label}: error of the twin", _error(own), "relative"),
            _case(f"{label}: error of raw images of every request", _raw_error(own), "relative"),
            _case(f"{label}: ratio to raw", ratio, "1", f"<= {bar}", ratio <= bar if judge else None),
            _case(
                f"{label}: share of requests measured, audits included, worst seed", share, "1", "<= 0.5", share <= 0.5
            ),
            _case(f"{label}: frames a session, focusing included, mean", frames, f"of {len(own[0].measured)}"),
            _case(f"{label}: dose spent, mean", float(np.mean([one.result["dose_spent"] for one in own])), "electrons"),
        ]
    own = {seed: one for seed in seeds for one in _of(told, [healthy(seed)])}
    always = {seed: one for seed in seeds for one in _of(told, [healthy(seed, "always")])}
    both = sorted(own.keys() & always.keys())
    if both:
        ratio = _error([own[seed] for seed in both]) / _error([always[seed] for seed in both])
        held = ratio <= 1.25 if judge else None
        found.append(_case(f"ratio to assimilating every request, {len(both)} seeds", ratio, "1", "<= 1.25", held))
    spread = {
        run.seed: one
        for run, one in told.items()
        if isinstance(one, Told) and (run.policy, run.focusing) == ("random", 0)
    }
    if both := sorted(own.keys() & spread.keys()):
        ratio = _error([spread[seed] for seed in both]) / _error([own[seed] for seed in both])
        text = f"as many frames as the twin took, focusing included, all on requests at random: error over the twin's, {len(both)} seeds"
        found.append(_case(text, ratio, "1"))
    return found + ([] if short else _controls(told, own, judge))


def _controls(told: Found, own: dict[int, Told], judge: bool) -> list[Case]:
    """What must do clearly worse than the twin: paired by seeds, one-sided signed-rank test."""
    found = []
    for policy, text in CONTROLS.items():
        pairs = [
            (own[run.seed].errors.mean(), one.errors.mean())
            for run, one in told.items()
            if (run.policy, run.focusing) == (policy, None) and isinstance(one, Told) and run.seed in own
        ]
        if not pairs:
            found.append(_case(f"control, {text}", None, "1", "> 1, p < 0.01", False if judge else None))
            continue
        ours, theirs = np.array(pairs).T
        ratio = float(theirs.mean() / ours.mean())
        test: Any = wilcoxon(theirs, ours, alternative="greater")
        chance = float(test.pvalue)
        held = ratio > 1.0 and chance < 0.01 if judge else None
        found.append(_case(f"control, {text}: error over the twin's, {len(pairs)} seeds", ratio, "1", "> 1", held))
        found.append(_case(f"control, {text}: chance of that if no worse", chance, "p", "< 0.01", held))
    return found


def _coverage(told: Found, seeds: range, judge: bool, short: Form) -> list[Case]:
    from twin.image.prediction import STATISTICS

    own = _of(told, [healthy(seed) for seed in seeds])
    if not own:
        return [_case("coverage of 90 % intervals", None, "1", "0.88 to 0.92", False)]

    def pooled(sessions: Sequence[Told], variance: float = 1.0) -> float:
        return float(np.mean([one.covered(variance).mean() for one in sessions]))

    def honest(share: float) -> bool:
        return 0.88 <= share <= 0.92

    share, label = pooled(own), f"{len(own)} seeds, all requests"
    bar, held = ("0.88 to 0.92", honest(share)) if judge else ("0.7 to 1", 0.7 <= share <= 1.0)
    found = [_case(f"coverage of 90 % intervals on 8 named numbers, {label}", share, "1", bar, held)]
    if judge:
        for factor in (0.6, 1.6):
            scaled = pooled(own, factor)
            text = f"the same with variance x {factor} (must fail)"
            found.append(_case(text, scaled, "1", "outside 0.88 to 0.92", not honest(scaled)))
    if len(own) > 1:
        each = np.array([one.covered().mean() for one in own])
        drawn = np.random.default_rng(0).integers(0, len(own), (4000, len(own)))
        again = each[drawn].mean(axis=1)
        low, high = np.quantile(again, [0.025, 0.975])
        total = sum(one.off.size for one in own)
        cases_of = min(share * (1.0 - share) / max(float(again.var()), 1e-12), total)
        found.append(_case("95 % interval of that coverage (sessions drawn again), lower end", float(low), "1"))
        found.append(_case("the same, upper end", float(high), "1"))
        found.append(_case(f"independent cases that equals, of {total}", cases_of, "numbers"))
    for place, name in enumerate(STATISTICS):
        value = float(np.mean([one.covered()[:, place].mean() for one in own]))
        found.append(_case(f"coverage of {name}", value, "1"))
    if not short:
        others = {
            f"at dose {dose:.0e}": [healthy(s, dose=dose) for s in seeds] for dose, _ in DOSES if dose != DEFAULT_DOSE
        }
        others["measuring at random times"] = [run for run in told if (run.policy, run.focusing) == ("random", None)]
        others["measuring every request"] = [healthy(seed, "always") for seed in seeds]
        for text, runs in others.items():
            if sessions := _of(told, runs):
                found.append(_case(f"coverage {text}, {len(sessions)} seeds", pooled(sessions), "1"))
    answered = [one.covered()[one.answered] for one in own if one.answered.any()]
    if answered:
        found.append(_case("coverage of the requests it answered itself", float(np.concatenate(answered).mean()), "1"))
    return found


@dataclasses.dataclass(frozen=True)
class _Estimate:
    """A parameter after at most 8 recorded frames: error and standard deviation."""

    error: float
    std: float


def _estimate(one: Told, name: str, frames: int = 8) -> _Estimate | None:
    """As believed after the last request that at most so many frames (focusing included) preceded; None if there is none."""
    until = np.flatnonzero(one.frames <= frames)
    if len(until) == 0:
        return None
    row, place = int(until[-1]), one.names.tolist().index(name)
    true = one.arrays[f"truth_state.{name}"][row]
    return _Estimate(float(one.state_mean[row, place] - true), float(one.state_std[row, place]))


def _inside(sessions: list[Told], preset: str, judge: bool) -> list[Case]:
    priors = {name: std for name, _, std in PRIORS[preset]}
    stated = ", ".join(f"{name} {mean:g} +- {std:g}" for name, mean, std in PRIORS[preset])
    found = [{name: _estimate(one, name) for name in priors} for one in sessions]
    known = [one for one in found if all(one.values())]
    good = sum(all(abs(e.error) <= 3.0 * e.std for e in one.values() if e) for one in known)
    label = f"{preset} (prior {stated}; {SHORTENED})"
    least = math.ceil(0.9 * max(len(sessions), 1))
    held = good >= least and len(sessions) >= SEEDS if judge else None
    cases = [
        _case(f"{label}: within 3 sigma after at most 8 frames", good, f"of {len(sessions)} seeds", f">= {least}", held)
    ]
    for name, prior in priors.items():
        estimates = [e for one in known if (e := one[name]) is not None]
        if estimates:
            width = float(np.median([e.std for e in estimates])) / prior
            miss = float(np.median([abs(e.error) for e in estimates])) / prior
            cases.append(_case(f"{preset}: sigma of {name} over the prior's, median", width, "1"))
            cases.append(_case(f"{preset}: error of {name} over the prior's sigma, median", miss, "1"))
    lost = sum(one.frames_at_distrust is not None for one in sessions)
    return [*cases, _case(f"{preset}: distrusted", lost, f"of {len(sessions)} seeds")]


def _outside(sessions: list[Told], preset: str, judge: bool) -> list[Case]:
    count = len(sessions)
    raised = [one.frames_at_distrust for one in sessions]
    times = sorted(at for at in raised if at is not None)
    label = preset if preset in LONG_OUTSIDE else f"{preset} ({SHORTENED})"
    middle = float(np.median(times)) if times else None
    told = [
        _case(f"{label}: frames until distrusted, median of the {len(times)} of {count} that were", middle, "frames")
    ]
    if preset not in LONG_OUTSIDE:
        held = len(times) == count and count >= SEEDS if judge else None
        return [_case(f"{label}: distrusted", len(times), f"of {count} seeds", f"{count}", held), *told]
    shares = [float(one.covered()[one.answered].mean()) if one.answered.any() else math.nan for one in sessions]
    covers = [share >= 0.85 for share in shares]
    early = [at is not None and at <= 5 for at in raised]
    good = sum(a or b for a, b in zip(covers, early, strict=True))
    least = math.ceil(0.95 * max(count, 1))
    held = good >= least and count >= SEEDS if judge else None
    known = [share for share in shares if not math.isnan(share)]
    return [
        _case(f"{label}: covers, or is distrusted within 5 frames", good, f"of {count} seeds", f">= {least}", held),
        _case(f"{label}: intervals of own answers cover 0.85 or more", sum(covers), f"of {count} seeds"),
        _case(f"{label}: distrusted within 5 frames, focusing included", sum(early), f"of {count} seeds"),
        _case(f"{label}: coverage of own answers, mean", float(np.mean(known)) if known else None, "1"),
        *told,
    ]


def _sure_and_wrong(sessions: list[Told], preset: str, judge: bool) -> list[Case]:
    """Of the answers not measured: how many named numbers lie beyond 3 predicted sigmas."""
    beyond = [np.abs(one.sigmas[one.answered]).ravel() > 3.0 for one in sessions]
    total = np.concatenate(beyond) if beyond else np.zeros(0, dtype=bool)
    share = float(total.mean()) if len(total) else 0.0
    text = f"{preset}: named numbers of answers beyond 3 sigma, {len(total)} of {len(sessions)} seeds"
    return [_case(text, share, "1", "<= 0.02", share <= 0.02 if judge else None)]


def _trust(told: Found, everyday: list[Told], judge: bool) -> list[Case]:
    """False alarms, and that what is not trusted is measured."""
    false = sum(one.frames_at_distrust is not None for one in everyday)
    deciding = [one for run, one in told.items() if isinstance(one, Told) and run.policy == "decide"]
    unmeasured = sum(int((one.distrusted & ~one.measured).sum()) for one in deciding)
    while_distrusted = sum(int(one.distrusted.sum()) for one in deciding)
    held = false <= 1 and len(everyday) >= 50 if judge else None
    return [
        _case("healthy runs that were distrusted", false, f"of {len(everyday)} runs", "<= 1", held),
        _case(
            f"requests not measured while distrusted, of {while_distrusted}",
            unmeasured,
            "requests",
            "0",
            unmeasured == 0,
        ),
    ]


def _crash() -> list[Case]:
    """The simulated microscope killed after 5 of 12 requests at 3 places."""
    told = killed_and_resumed(KILLED, after=5)
    intact = told["readable"] and not told["problems"]
    return [
        _case("microscope killed: said and ended after", told["seconds"], "s", "<= 5", told["seconds"] <= 5.0),
        _case("microscope killed: exit code", told["code"], "", "3", told["code"] == 3),
        _case("microscope killed: its session can be read, is intact and can be resumed", intact, "", "True", intact),
        _case(
            "resumed: result equals the uninterrupted session's, but for seconds",
            told["same"],
            "",
            "True",
            told["same"],
        ),
        _case(
            "resumed: largest difference of any image", told["difference"], "relative", "0", told["difference"] == 0.0
        ),
    ]
