"""Aberrations from amorphous films and known crystals, and the choice of exposures, on data simulated by multislice.

Seeds from ``FIRST`` on were not used in development, which used films 0 to 99.
"""

import functools
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.column.known_crystal import crystal_scan

FIRST = 9300
TRIALS, DRAWS, SERIES = (100, 4, 1), (48, 4, 2), (20, 1, 1)
"""Films, draws of a known crystal and series of exposures in each form."""
ELECTRONS = 1e7
DEFOCI = (-200.0, 0.0, 200.0)
WIDTHS = np.array([600, 300, 300, 3e3, 3e3, 3e3, 3e3, 1e5, 3e4, 3e4, 3e4, 3e4])
"""Prior widths (angstrom) of what a start may be off by."""
ALIGNED = np.array([20, 20, 20, 1e3, 1e3, 1e3, 1e3, 5e4, 2e4, 2e4, 2e4, 2e4])
"""The same after a first alignment, where a series is chosen."""
BARS = {"C10": 20.0, "C12": 20.0, "C21": 500.0, "C23": 500.0, "C30": 15000.0}
GOALS = {"C10": 7.0, "C12": 7.0, "C21": 350.0, "C23": 350.0}
INDICES = {"C10": [0], "C12": [1, 2], "C21": [3, 4], "C23": [5, 6], "C30": [7]}
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Progress = Callable[..., None]

TILTS = [(0, 0)] + [(r * x, r * y) for r in (6, 12) for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1))]
"""Tilts to choose from, in beams of 0.78 mrad."""
CHANGES = (-600.0, -300.0, -100.0, 0.0, 100.0, 300.0, 600.0)


class Sizes(NamedTuple):
    """Scan positions along a side; every how many-th beam the camera records of a film, and in a chosen series; choices of tilt and C10; and cells in
    depth and scan positions along a side of the known crystal."""

    points: int = 48
    """Beyond their band this film scatters too little to say more: expected errors are within 1 % of those with 64."""
    pitch: int = 4
    series_pitch: int = 5
    choices: tuple[tuple[tuple[int, int], float], ...] = tuple((tilt, c10) for tilt in TILTS for c10 in CHANGES)
    crystal: tuple[int, int] = (5, 12)


SIZES = Sizes()
SMOKE = Sizes(16, 8, 8, (((0, 0), 0.0), ((6, 0), 0.0), ((0, 0), 300.0)), (2, 12))


def off(seed: int) -> np.ndarray:
    """Coefficients [25] as far from the prior's mean as a start may be: C10 evenly up to 100 nm, C12 up to 50 nm."""
    generator = np.random.default_rng([1, seed])
    c = np.zeros(25)
    c[:12] = 0.5 * WIDTHS * generator.normal(size=12)
    radius, azimuth = 500.0 * np.sqrt(generator.random()), 2.0 * np.pi * generator.random()
    c[:3] = generator.uniform(-1000.0, 1000.0), radius * np.cos(azimuth), radius * np.sin(azimuth)
    return c


def trial(seed: int, sizes: Sizes = SIZES) -> dict[str, Any]:
    """One film, three exposures, one fit: errors and standard deviations [12] and the seconds of its core that it took."""
    from reconstruct.measurement.film.estimator import fit_amorphous
    from reconstruct.measurement.film.exposure import Optics
    from reconstruct.measurement.prior import Prior
    from tests.synthetic import amorphous_films as films

    true, generator = off(seed), np.random.default_rng([2, seed])
    film = films.film(seed, indices=films.camera(sizes.pitch))
    exposures = [
        films.exposure(film, true, ELECTRONS / len(DEFOCI), generator, sizes.points, c10=c10) for c10 in DEFOCI
    ]
    start = time.process_time()
    fit = fit_amorphous(exposures, Optics(films.ENERGY, films.SEMIANGLE), Prior.independent(WIDTHS))
    seconds = time.process_time() - start
    return {
        "error": fit.mean[:12] - true[:12],
        "std": fit.std[:12],
        "seconds": seconds,
        "recorded": sum(float(exposure.counts.sum()) for exposure in exposures) / ELECTRONS,
        "peak": _peak(),
    }


def timed(seed: int) -> dict[str, Any]:
    """`trial` on one core: with more, idle threads of XLA's pool spin, and count as time of the process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return trial(seed)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@functools.cache
def _exposure_choices(sizes: Sizes) -> tuple[Any, ...]:
    """Settings, film, and which to take first, before anything is measured: the same for every film of a kind."""
    from learn.design.film_design import Film, next_exposure
    from reconstruct.measurement.film.exposure import Optics, Setting
    from reconstruct.measurement.prior import Prior
    from tests.synthetic import amorphous_films as films
    from twin.optics.electrons import wavelength

    optics = Optics(films.ENERGY, films.SEMIANGLE)
    step = wavelength(films.ENERGY) / films.SIDE
    points, angles = sizes.points, films.camera(sizes.series_pitch) * step
    settings = [
        Setting(
            (points, points), films.SIDE / points, angles, step, ELECTRONS / 3, (x * step, y * step), c10, periodic=True
        )
        for (x, y), c10 in sizes.choices
    ]
    film = Film.of("C", 0.1, (50.0, 20.0), optics, closest=1.35)
    prior = Prior.independent(ALIGNED)
    return settings, film, next_exposure(settings, optics, film, prior.mean, prior.covariance, draws=4).index


def design(seed: int, sizes: Sizes = SIZES) -> dict[str, Any]:
    """A chosen and a random series of three exposures of equal dose on one film. What goes well with the first of the chosen ones is chosen where that
    one's fit puts the coefficients.

    "posterior": trace(W covariance) of the covariance that the information at the true coefficients leaves, W the weights of the mean square aberration
    over the aperture; "loss": the same of the fit's covariance; "squared": the aberration that remains after the fit, radian^2.
    """
    from learn.design.film_design import aperture_weights, expected_information, series
    from learn.design.series import inverse, loss
    from reconstruct.measurement.film.estimator import fit_amorphous
    from reconstruct.measurement.film.exposure import Optics
    from reconstruct.measurement.prior import Prior
    from tests.synthetic import amorphous_films as films

    optics = Optics(films.ENERGY, films.SEMIANGLE)
    generator = np.random.default_rng([3, seed])
    true = np.zeros(25)
    true[:12] = ALIGNED * generator.normal(size=12)
    settings, film, first = _exposure_choices(sizes)
    prior = Prior.independent(ALIGNED)
    random_choices = [int(index) for index in generator.choice(len(settings), 3)]
    weights = aperture_weights(optics)
    results: dict[str, Any] = {}
    film_rows: dict[tuple[int, int], Any] = {}

    def expose(choice: int) -> Any:
        tilt, c10 = sizes.choices[choice]
        if tilt not in film_rows:
            film_rows[tilt] = films.film(seed, indices=films.tilted(films.camera(sizes.series_pitch), tilt))
        return films.exposure(film_rows[tilt], true, ELECTRONS / 3, generator, sizes.points, tilt=tilt, c10=c10)

    first_exposure = expose(first)
    first_fit = fit_amorphous([first_exposure], optics, prior)
    following = series(settings, 2, optics, film, first_fit.mean[:12], first_fit.covariance[:12, :12])
    chosen = ([first, *following], [first_exposure, *map(expose, following)])
    for name, (places, exposures) in (
        ("chosen", chosen),
        ("random", (random_choices, [expose(index) for index in random_choices])),
    ):
        fit = fit_amorphous(exposures, optics, prior)
        error = fit.mean[:12] - true[:12]
        expected = np.sum([expected_information(settings[i], optics, film, true[:12]) for i in places], axis=0)
        results[name] = {
            "posterior": loss(inverse(np.linalg.inv(prior.covariance) + expected), weights),
            "loss": loss(fit.covariance[:12, :12], weights),
            "squared": float(error @ weights @ error),
            "z": error / fit.std[:12],
            "places": places,
        }
    return results


def _precise() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


def _map(work: Callable[[int], Any], seeds: list[int], jobs: int, name: str, progress: Progress) -> list[Any]:
    """``work`` of all seeds, in workers of one thread each; without ``jobs`` in this process."""
    if not jobs:
        return [work(seed) for seed in seeds]
    earlier = {key: os.environ.get(key) for key in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_precise) as pool:
            results = []
            for number, result in enumerate(pool.map(work, seeds)):
                results.append(result)
                progress(name, (number + 1) / len(seeds))
        return results
    finally:
        for key, value in earlier.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _films(short: Form, jobs: int, progress: Progress) -> list[Case]:
    count = TRIALS[short]
    # alone in its process first, so that nothing shares the cores with what is timed
    if short is Form.SMOKE:
        sequential = _map(functools.partial(trial, sizes=SMOKE), [FIRST - 2, FIRST - 1], 0, "time of a fit", progress)
        results = sequential
    else:
        sequential = _map(timed, [FIRST - 1 - i for i in reversed(range(3))], 1, "time of a fit", progress)
        results = _map(trial, [FIRST + i for i in range(count)], jobs, "films", progress)
    errors, std = np.array([result["error"] for result in results]), np.array([result["std"] for result in results])
    warm = float(np.median([result["seconds"] for result in sequential[1:]]))
    judge_bars = not short
    lengths = {name: np.hypot.reduce(errors[:, places], axis=1) for name, places in INDICES.items()}
    converged = np.all([np.abs(lengths[name]) <= bar for name, bar in BARS.items()], axis=0)
    rows = []
    for name, bar in BARS.items():
        rms = float(np.sqrt(np.mean(lengths[name][converged] ** 2))) if converged.any() else np.nan
        goal = f", going for {GOALS[name]:g}" if name in GOALS else ""
        rows.append(
            case(f"{name} of a film of unknown atoms, rms error", rms, "angstrom", f"<= {bar:g}{goal}", rms <= bar)
        )
        worst = float(np.quantile(lengths[name], 0.95))
        rows.append(
            case(
                f"{name}, 95 % of all trials within",
                worst,
                "angstrom",
                f"<= {bar:g}",
                worst <= bar if judge_bars else None,
            )
        )
    share = float(converged.mean())
    rows.append(case(f"converged from starts up to 100 nm off, of {count}", share, "", ">= 0.95", share >= 0.95))
    z = errors / std
    for name, scale in (("", 1.0), (", variance x 0.6", 0.6), (", variance x 1.6", 1.6)):
        covered = float((np.abs(z) / np.sqrt(scale) <= 1.6449).mean())
        inside = 0.87 <= covered <= 0.93
        bar = "0.87 to 0.93" if scale == 1.0 else "outside 0.87 to 0.93"
        holds = (inside if scale == 1.0 else not inside) if judge_bars else None
        rows.append(case(f"coverage of 90 % intervals, {z.size} of them{name}", covered, "", bar, holds))
    for name, places in INDICES.items():
        rows.append(case(f"coverage, {name}", float((np.abs(z[:, places]) <= 1.6449).mean()), "", "", None))
    rows += [
        case(
            "share of the beam that the camera records",
            float(np.mean([result["recorded"] for result in results])),
            "",
            "",
            None,
        ),
        case("a fit, warm, seconds of one core", warm, "s", "< 5", warm < 5.0),
        case("compiling", float(sequential[0]["seconds"] - warm), "s", "", None),
        case(
            "memory peak of fits",
            max(result["peak"] for result in results + sequential),
            "GiB",
            "<= 2",
            max(result["peak"] for result in results) <= 2,
        ),
    ]
    return rows


def _designs(short: Form, jobs: int, progress: Progress) -> list[Case]:
    count = SERIES[short]
    smoke = short is Form.SMOKE
    work = functools.partial(design, sizes=SMOKE) if smoke else design
    pairs = _map(work, [FIRST + 500 + i for i in range(count)], 0 if smoke else jobs, "series of exposures", progress)
    wins = {key: int(sum(pair["chosen"][key] < pair["random"][key] for pair in pairs)) for key in ("posterior", "loss")}
    left = {
        key: np.sqrt(np.sum([pair["chosen"][key] for pair in pairs]) / np.sum([pair["random"][key] for pair in pairs]))
        for key in ("posterior", "loss", "squared")
    }
    z = np.array([pair[name]["z"] for pair in pairs for name in ("chosen", "random")])
    need = round(0.95 * count)
    beats = "chosen series leaves less aberration than a random one of equal dose"
    return [
        case(f"{beats}, by posterior covariance at the truth, of {count}", wins["posterior"], "", f">= {need}", wins["posterior"] >= need),
        case(f"{beats}, by the fit's covariance, of {count}", wins["loss"], "", "", None),
        case("rms aberration left, chosen over random, posterior covariance", float(left["posterior"]), "", "< 1", left["posterior"] < 1.0),
        case("rms aberration left, chosen over random, fit's covariance", float(left["loss"]), "", "", None),
        case("rms aberration left, chosen over random, true errors", float(left["squared"]), "", "", None),
        case("coverage of 90 % intervals in these series", float((np.abs(z) <= 1.6449).mean()), "", "", None),
    ]  # fmt: skip


def _crystals(short: Form, progress: Progress) -> list[Case]:
    """A known crystal: its information against differences of direct multislice, and fits of drawn counts."""
    from reconstruct.measurement.crystal import crystal_information, fit_crystal
    from reconstruct.measurement.film.exposure import Exposure
    from reconstruct.measurement.prior import Prior

    crystal, setting, optics, crystal_model, direct = crystal_scan(
        ELECTRONS, *(SMOKE if short is Form.SMOKE else SIZES).crystal
    )
    true = np.array([30.0, 10, -15, 300, -200, 150, 100, 5e3, 1e3, 2e3, -1e3, 500, 0.3, 0.7, 0.0])
    mean = direct(true)
    information = crystal_information(crystal_model, true)
    steps = {0: 0.5, 1: 0.5, 3: 15.0, 7: 500.0} if not short else {0: 0.5}
    ratios = []
    for index, size in steps.items():
        progress("a crystal's information by differences")
        move = np.eye(15)[index] * size
        slope = (direct(true + move) - direct(true - move)) / (2 * size)
        ratios.append(float((slope**2 / mean).sum() / information[index, index]) - 1.0)
    bound = np.sqrt(np.diag(np.linalg.inv(information)))[:12]
    # three times and more of what a film leaves: a crystal is for what comes after
    widths = np.array([40, 15, 15, 400, 400, 200, 200, 2e4, 2e4, 2e4, 5e3, 5e3])
    count = DRAWS[short]
    off_by, covered, seconds = [], [], []
    for number in range(count):
        generator = np.random.default_rng([FIRST + 1, number])
        counts = generator.poisson(mean).reshape(*setting.points, -1).astype(float)
        initial = true[:12] + widths * np.clip(generator.normal(size=12), -1.5, 1.5)
        start = time.process_time()
        fit = fit_crystal(
            Exposure(counts, setting), crystal, optics, Prior.independent(widths, initial), model=crystal_model
        )
        seconds.append(time.process_time() - start)
        off_by.append((fit.mean[:12] - true[:12]) / bound)
        covered.append(np.abs(fit.mean[:12] - true[:12]) <= 1.6449 * fit.std[:12])
        progress("a known crystal", (number + 1) / count)
    return _crystal_cases(short, np.array(off_by), covered, seconds, bound, ratios)


def _crystal_cases(
    short: Form, off_by: np.ndarray, covered: list[Any], seconds: list[float], bound: np.ndarray, ratios: list[float]
) -> list[Case]:
    """The rows: errors ``off_by`` [draws, 12] in units of the Cramer-Rao ``bound`` [12], and ``ratios`` of information less one."""
    count = len(off_by)
    rms = np.sqrt(np.mean(np.square(off_by), axis=0))
    whole_rms = float(np.sqrt(np.mean(np.square(off_by))))
    return [
        case(
            f"known crystal: rms error over the Cramer-Rao bound, {count} draws",
            whole_rms,
            "",
            "<= 1.3",
            whole_rms <= 1.3 if not short else None,
        ),
        case(
            "the same of the worst coefficient", float(rms.max()), "", "<= 1.3", rms.max() <= 1.3 if not short else None
        ),
        case("its bound on C10", float(bound[0]), "angstrom", "", None),
        case(
            "coverage of 90 % intervals, crystal",
            float(np.mean(covered)),
            "",
            "0.87 to 0.93",
            0.87 <= np.mean(covered) <= 0.93 if not short else None,
        ),
        case(
            "information by differences of direct multislice, off by",
            float(np.abs(ratios).max()),
            "",
            "<= 0.01",
            np.abs(ratios).max() <= 0.01,
        ),
        case(
            "a fit of a crystal, warm, seconds of one core",
            float(np.median(seconds[1:])),
            "s",
            "< 5",
            np.median(seconds[1:]) < 5.0,
        ),
    ]


def cases(short: Form, progress: Progress, jobs: int | None = None) -> list[Case]:
    """All numbers of the part; if ``short`` few trials, and no bars that need many."""
    start = time.monotonic()
    workers = jobs or min(2, len(os.sched_getaffinity(0)))
    rows = _films(short, workers, progress) + _crystals(short, progress) + _designs(short, workers, progress)
    # with two workers that is a minute, or twelve
    core_seconds, bar = workers * (time.monotonic() - start), 120.0 if short else 1440.0
    return [
        *rows,
        case("aberrations: time of the part, times its workers", core_seconds, "s", f"<= {bar:g}", core_seconds <= bar),
    ]
