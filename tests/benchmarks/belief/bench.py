"""Benchmark of the filter and smoother: half-hour simulated sessions, real logs, and the engine's accuracy, speed and memory.

``--work FOLDER`` keeps finished sessions and continues from there; sessions are judged again each time.
"""

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.benchmarks._code import ROOT, code_key
from tests.benchmarks._form import Form
from tests.benchmarks.belief import judge
from tests.benchmarks.belief.engine import SMOKE
from tests.benchmarks.belief.logs import log_cases
from tests.recorded import data_folder

FIRST = 3000
"""Seed of the first session; the twin's table was tuned on other seeds."""
SESSIONS, BLIND = 100, 40


def cases(
    short: Form,
    progress: Callable[..., None],
    seeds: int | None = None,
    jobs: int | None = None,
    work: Path | None = None,
) -> list[dict[str, Any]]:
    """All numbers; if ``short`` one session, an hour for the smoother, and no bars that need many sessions."""
    start, resumed = time.monotonic(), work is not None and any((work / _code_key()).glob("*.pickle"))
    count = seeds or (1 if short else SESSIONS)
    blind = 0 if short else min(count, BLIND)
    keys = [(FIRST + i, True) for i in range(count)] + [(FIRST + i, False) for i in range(blind)]
    rows = _engine(short, progress)
    rows += _logs(short, progress)
    sessions = _sessions(keys, jobs or len(os.sched_getaffinity(0)), work, short is Form.SMOKE, progress)
    image_sessions = [sessions[key] for key in keys if key[1]]
    rows += judge.judged(image_sessions, [sessions[key] for key in keys if not key[1]], judge_bars=count >= 50)
    rows.append(judge.case("time of the whole", time.monotonic() - start, "s", "<= 300" if short else "<= 3600", None))
    bar = 300.0 if short else 3600.0
    rows[-1]["holds"] = bool(rows[-1]["value"] <= bar) if seeds is None and not resumed else None
    return rows


def _engine(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    rows = []
    progress("exactness")
    exact = _measured("exact", short)
    for name, value in exact.items():
        bar = 1e-9 if name in ("shuffled", "restored") else 1e-7
        bar = 0.0 if name == "restored" else bar
        rows.append(judge.case(f"difference: {name}", value, "sigma", f"<= {bar:g}", value <= bar))
    if "cuthbert" not in exact:
        rows.append(judge.case("difference: cuthbert", None, "sigma", "needs the bench extra", None))
    progress("speed")
    quick, live = _measured("quick", short), _measured("live", short)
    rows += [
        judge.case("readings a second, 40 states, one core", quick["rate"], "1/s", ">= 150000", quick["rate"] >= 1.5e5),
        judge.case("compile time of the live filter", quick["first"], "s", "", None),
        judge.case("64 channels at 1 kHz, every 10 ms: median", live["p50"], "s", "", None),
        judge.case(
            "64 channels at 1 kHz, every 10 ms: 99th percentile", live["p99"], "s", "< 0.02", live["p99"] < 0.02
        ),
    ]
    progress("smoother over an hour" if short else "smoother over a day")
    day = _measured("hour" if short else "day", short)
    name = "an hour" if short else "a day"
    total_seconds = day["filter"] + day["smoother"]
    gib = day["peak"] / 2**30
    rows += [
        judge.case(f"filter over {name} of 40 channels at 10 Hz", day["filter"], "s", "", None),
        judge.case(f"smoother over {name}", day["smoother"], "s", "<= 300", day["smoother"] <= 300),
        judge.case(f"filter and smoother over {name}", total_seconds, "s", "<= 300", total_seconds <= 300),
        judge.case(f"one more question to the smoother of {name}", day["question"], "s", "", None),
        judge.case(f"memory peak of {name}", gib, "GiB", "<= 2", gib <= 2),
    ]
    return rows


def _measured(name: str, short: Form) -> dict[str, float]:
    """A measurement in a process of its own, but in this one in the smoke form."""
    if short is Form.SMOKE:
        return SMOKE[name]()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.benchmarks.belief.engine", name]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"measuring {name!r} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout)


def _logs(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    folder = data_folder()
    if folder is None:
        return [judge.case("real logs", None, "", "needs the recorded data (EMTWIN_DATA)", None)]
    progress("real logs")
    return log_cases(folder, few=short is Form.SMOKE)


def _sessions(
    keys: list[tuple[int, bool]], jobs: int, work: Path | None, coarse: bool, progress: Callable[..., None]
) -> dict[tuple[int, bool], dict[str, Any]]:
    """Every requested session, filtered (``coarse`` in the smoke form), or read from ``work``."""
    sessions: dict[tuple[int, bool], dict[str, Any]] = {}
    folder = None if work is None else work / f"{_code_key()}{'-coarse' if coarse else ''}"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for key in keys:
            path = folder / f"{key[0]}-{'seen' if key[1] else 'blind'}.pickle"
            if path.is_file():
                sessions[key] = pickle.loads(path.read_bytes())
    left = [key for key in keys if key not in sessions]
    if not left:
        return sessions
    pools = _pools(min(jobs, len(left)))
    try:
        running = {pools[number % len(pools)].submit(_follow, *key, coarse): key for number, key in enumerate(left)}
        for ended in as_completed(running):
            key = running[ended]
            sessions[key] = ended.result()
            if folder is not None:
                path = folder / f"{key[0]}-{'seen' if key[1] else 'blind'}.pickle"
                draft = path.with_suffix(".draft")
                draft.write_bytes(pickle.dumps(sessions[key]))
                draft.replace(path)
            progress(f"session {key[0]}{'' if key[1] else ' without images'}", len(sessions) / len(keys))
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
    return sessions


def _pools(count: int) -> list[ProcessPoolExecutor]:
    """Workers pinned to one core each before they import anything: workers whose threads share cores wait for each other."""
    cores, pools = sorted(os.sched_getaffinity(0)), []
    try:
        for number in range(count):
            os.sched_setaffinity(0, {cores[number % len(cores)]})
            pools.append(ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_precise))
            pools[-1].submit(os.getpid).result()
    finally:
        os.sched_setaffinity(0, cores)
    return pools


def _precise() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


def _follow(seed: int, images: bool, coarse: bool) -> dict[str, Any]:
    from tests.benchmarks.belief.sessions import follow

    return follow(seed, images, coarse)


def _code_key() -> str:
    """A folder name for the code that sessions depend on; how they are judged is not part of it."""
    packages = (ROOT / "twin", ROOT / "reconstruct", ROOT / "instrument/simulation/truth")
    return code_key(*packages, *sorted(Path(__file__).parent.glob("[st]*.py")))
