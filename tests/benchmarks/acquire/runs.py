"""Many sessions run in warm workers; results are stored by session and code version, so that an interrupted benchmark can continue."""

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._code import PACKAGES, code_key

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}

SHORT_PLAN = (("count", 16), ("sites", 2), ("duration", 1800.0 * 2 / 7))
SMOKE_PLAN = (("count", 2), ("sites", 1), ("duration", 1800.0 / 7))
"""Changes of the scenario's requests for sessions that are shorter than it: 16 requests at two places, 2 at one."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One session of ``tune-and-map``.

    ``preset`` of the simulated microscope and its ``specimen`` seed; ``priors`` given to the twin; ``plan`` changes of the scenario's
    requests; ``at_random``: so many requests, drawn by the seed, are measured and no others (policy "random");
    ``focusing``: images at each new place before its requests, if not as the scenario has it; ``fixed``: alignment images are not chosen, two of the
    requests' own exposure at each place, and half of the requests may be measured.
    """

    seed: int
    policy: str = "decide"
    dose: float = 1e4
    preset: str = "default"
    specimen: int = 0
    priors: tuple[tuple[str, float, float], ...] = ()
    plan: tuple[tuple[str, float], ...] = ()
    at_random: int = 0
    focusing: int | None = None
    fixed: bool = False

    def key(self) -> str:
        """A unique file name."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.preset}-{self.policy}-{self.dose:g}-{self.seed}-{digest}"


@dataclasses.dataclass(frozen=True)
class SessionNumbers:
    """Results of a session of n requests and k named numbers: ``result`` as `emtwin acquire` prints it, and per request

    ``measured``, ``frames`` (recorded until its answer, focusing included), ``distrusted`` (when it was decided), ``errors`` of the answer
    and ``raw`` of a measurement (relative), ``off`` [n, k] truth minus centre with ``low``, ``high``, ``std`` [n, k] of the intervals made
    before deciding; ``state`` {name: (mean [n], std [n])} estimated after it and ``true`` {name: [n]}. ``frames_at_distrust`` or None.
    """

    result: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.arrays[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def frames_at_distrust(self) -> int | None:
        return self.result["frames_at_distrust"]

    @property
    def sigmas(self) -> np.ndarray:
        """Standardised errors [n, k] of the named numbers."""
        return self.off / np.maximum(self.std, 1e-300)

    @property
    def answered(self) -> np.ndarray:
        """The requests that the twin answered without measuring."""
        return ~self.measured

    def covered(self, variance: float = 1.0) -> np.ndarray:
        """Which of the intervals, their variance scaled, hold the truth: bool [n, k]."""
        root = np.sqrt(variance)
        return (self.off >= self.low * root) & (self.off <= self.high * root)


def scenario_of(run: Run) -> Any:
    """The scenario that a run asks for."""
    from instrument.simulation.instrument import presets
    from scenarios.acquire.scenario import from_dict
    from scenarios.presets import load_scenario

    default = _plain(presets()["default"])
    changed = {key: value for key, value in _plain(presets()[run.preset]).items() if value != default[key]}
    values = load_scenario("tune-and-map").as_dict()
    values["seed"] = run.seed
    values["scan"]["dose"] = run.dose
    values["instrument"]["config"] = {**changed, "specimen_seed": run.specimen}
    values["twin"]["priors"] = {name: [mean, std] for name, mean, std in run.priors}
    values["requests"] |= dict(run.plan)
    if run.fixed:
        values |= {"alignment": 2, "max_dose_share": None, "max_measured_share": 0.5}
    if run.focusing is not None:
        values["alignment"] = run.focusing
    return from_dict(values, f"benchmark {run.key()}")


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as plain values."""
    import msgspec

    return msgspec.to_builtins(config)


def perform(run: Run) -> SessionNumbers:
    """Run a session in a temporary folder and return its numbers."""
    from scenarios.acquire.job import run_acquire
    from scenarios.io.progress import SilentProgress

    scenario = scenario_of(run)
    count = scenario.requests.count
    order = np.random.default_rng([run.seed, 11]).permutation(count)[: run.at_random]
    with tempfile.TemporaryDirectory(prefix="emtwin-benchmark-") as folder:
        out = Path(folder) / "session"
        policy: Any = run.policy
        result = run_acquire(
            scenario,
            out,
            run.seed,
            None,
            SilentProgress(),
            policy=policy,
            chosen=frozenset(order.tolist()),
            report=False,
        )
        return read_session(out, result)


def read_session(folder: Path, result: dict[str, Any]) -> SessionNumbers:
    """The numbers of a finished session."""
    from instrument.core.journal import Journal
    from scenarios.report.session import request_rows
    from twin.image.prediction import STATISTICS, image_statistics, statistic_difference

    with Journal.open(folder) as journal:
        rows = request_rows(journal)
        states = {row.time: row for row in journal.rows(kind="state")}
        score = list(journal.rows(kind="score"))[-1].arrays
        frame_rows = np.array([row.id for row in journal.rows(kind="frame")], dtype=np.int64)
        findings = [row.id for row in journal.rows(kind="finding") if row.payload["kind"] == "model_distrusted"]
    true = image_statistics(score["truth"])
    interval = np.array([[row.payload["numbers"][name] for name in STATISTICS] for row in rows])
    centre = interval[..., 0]
    off = np.stack(
        [statistic_difference(name, true[name], centre[:, index]) for index, name in enumerate(STATISTICS)], axis=1
    )
    state_rows = [states[row.payload["time_ns"]] for row in rows]
    row_ids = np.array([row.id for row in rows])
    arrays = {
        "measured": np.array([row.payload["measured"] for row in rows], dtype=bool),
        "frames": np.searchsorted(frame_rows, row_ids),
        "distrusted": row_ids > findings[0] if findings else np.zeros(len(rows), dtype=bool),
        "errors": score["errors"],
        "raw": score["raw_errors"],
        "off": off,
        "low": interval[..., 1] - centre,
        "high": interval[..., 2] - centre,
        "std": interval[..., 3],
        "names": np.array(state_rows[0].payload["names"]),
        "state_mean": np.stack([row.arrays["mean"] for row in state_rows]),
        "state_std": np.stack([row.arrays["std"] for row in state_rows]),
    }
    arrays |= {name: values for name, values in score.items() if name.startswith("truth_state.")}
    frames_at_distrust = int(np.searchsorted(frame_rows, findings[0])) if findings else None
    return SessionNumbers(result | {"frames_at_distrust": frames_at_distrust}, arrays)


class Store:
    """Numbers of finished runs in a folder, by run and by the code that made them."""

    def __init__(self, folder: Path):
        self.folder = folder / code_key(Path(__file__), *PACKAGES)
        self.folder.mkdir(parents=True, exist_ok=True)

    def load(self, run: Run) -> SessionNumbers | None:
        """The results of a finished run, or None."""
        path = self.folder / f"{run.key()}.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return SessionNumbers(json.loads(arrays.pop("result").tobytes()), arrays)

    def save(self, run: Run, numbers: SessionNumbers) -> None:
        """Write a run's results atomically."""
        arrays: dict[str, Any] = {
            "result": np.frombuffer(json.dumps(numbers.result).encode(), dtype=np.uint8),
            **numbers.arrays,
        }
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
            np.savez(file, **arrays)
        os.replace(file.name, self.folder / f"{run.key()}.npz")


def _prepare() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


def _work(run: Run, store: Store) -> str:
    """In a worker: run and store; returns the traceback of an error, or an empty string."""
    try:
        store.save(run, perform(run))
    except Exception:  # an error ends its own session only
        return traceback.format_exc()
    return ""


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    earlier = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_all(
    runs: Sequence[Run], store: Store, jobs: int, progress: Callable[..., None]
) -> dict[Run, SessionNumbers | str]:
    """The results of every run, or the traceback that ended it. Runs already in the store are not run again."""
    runs = list(dict.fromkeys(runs))
    outcomes: dict[Run, SessionNumbers | str] = {
        run: numbers for run in runs if (numbers := store.load(run)) is not None
    }
    left = [run for run in runs if run not in outcomes]
    if not left:
        return outcomes
    progress(f"{len(left)} sessions to run, {len(outcomes)} known already, {jobs} at a time")
    start, finished = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with _environment(ONE_THREAD), ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare) as pool:
        pending: dict[Future[str], Run] = {pool.submit(_work, run, store): run for run in left}
        try:
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    run, problem = pending.pop(future), future.result()
                    outcomes[run] = problem or store.load(run) or "its numbers were not kept"
                    finished += 1
                    seconds_left = (time.monotonic() - start) / finished * (len(left) - finished)
                    status = f"FAILED: {problem.strip().splitlines()[-1]}" if problem else "done"
                    progress(f"{run.key()} {status}; about {seconds_left / 60:.0f} min left", finished / len(left))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes
