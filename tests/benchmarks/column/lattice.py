"""Four measurements from images: lattice, bright-field disk, scan rotation and Thon rings, on images simulated by code independent of the fits.

Coverage is of central 90 % intervals of single quantities, pooled; the same with variances times 0.6 and 1.6 must lie outside the band. The seeds
were not used in development.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm

from instrument.readers import read_vendor
from reconstruct.measurement.disk.estimator import measure_disk
from reconstruct.measurement.lattice.estimator import measure_lattice
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.projection import Projection
from reconstruct.measurement.rotation.estimator import measure_rotation
from reconstruct.measurement.thon.estimator import measure_thon
from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.recorded import data_folder
from tests.synthetic.disks import pattern
from tests.synthetic.films import ENERGY, film
from tests.synthetic.lattices import GRAPHENE, TITANATE, recorded
from tests.synthetic.scans4d import scanned

TITANATE_FILE = "images/sto-titan80.emi"
DWELL, MAINS = 29e-6, 50.0
"""Seconds on a pixel of the titanate file, by its header, and hertz where it was taken."""
FIRST = {"lattice": 10_000, "disk": 20_000, "rotation": 30_000, "thon": 40_000}
"""Seeds of the first images."""
COUNT = {"lattice": (110, 6, 1), "disk": (120, 12, 2), "rotation": (100, 10, 1), "thon": (150, 3, 1)}
"""Images in each form."""
COVERAGE_LOW, COVERAGE_HIGH = 0.87, 0.93


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` a few images each, and no bars that need many."""
    rows = []
    for name, part in (("lattice", _lattices), ("disk", _disks), ("rotation", _rotations), ("thon", _thon)):
        progress(f"{name}: images by other code")
        count = COUNT[name][short]
        rows += part(range(FIRST[name], FIRST[name] + count), short, lambda share, name=name: progress(name, share))
    progress("real file")
    rows += _titanate(256 if short is Form.SMOKE else None)
    rows += _refusals()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows.append(case("lattice, disk, rotation, Thon rings: memory peak", peak, "GiB", "", None))
    return rows


def _coverage(label: str, normal: np.ndarray, short: Form, judged: bool = True) -> list[dict[str, Any]]:
    """Shares of ``normal`` errors (in sigmas, any shape) within the 90 % interval, with the estimated variance and with scaled ones."""

    def share(scale: float) -> float:
        return float((np.abs(normal) < norm.ppf(0.95) * np.sqrt(scale)).mean())

    def holds(value: bool) -> bool | None:
        return None if short or not judged else value

    band = f"{COVERAGE_LOW} to {COVERAGE_HIGH}"
    bars = (band, f"outside {band}") if judged else ("", "")
    name = f"{label}: coverage of 90 % intervals, {normal.size} values"
    rows = [case(name, share(1.0), "1", bars[0], holds(COVERAGE_LOW <= share(1.0) <= COVERAGE_HIGH))]
    for scale in (0.6, 1.6):
        outside = not COVERAGE_LOW <= share(scale) <= COVERAGE_HIGH
        rows.append(
            case(f"{label}: the same, variance x {scale} (must fail)", share(scale), "1", bars[1], holds(outside))
        )
    return rows


def _best(measurement: Measurement) -> tuple[np.ndarray, np.ndarray]:
    best = max(measurement.components, key=lambda component: component.weight)
    return best.mean.copy(), np.sqrt(np.diag(best.covariance))


def _lattices(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, spreads, seconds, refused = [], [], [], 0
    for number, seed in enumerate(seeds):
        scan = recorded(seed)
        start = time.perf_counter()
        measurement = measure_lattice(scan.image, scan.crystal, scan.nominal)
        seconds.append(time.perf_counter() - start)
        if measurement.undetermined:
            refused += 1
            continue
        mean, std = _best(measurement)
        error = mean - scan.truth
        period = 2.0 * np.pi / scan.crystal.primitive().fold()
        error[3] = (error[3] + period / 2.0) % period - period / 2.0
        normal.append(error / std)
        spreads.append(std[:2] / scan.nominal)
        progress((number + 1) / len(seeds))
    name = "lattice, drift and jitter"
    return [
        *_coverage(name, np.array(normal), short),
        *(
            case(
                f"{name}: coverage of {quantity}",
                float((np.abs(np.array(normal)[:, k]) < norm.ppf(0.95)).mean()),
                "1",
                "",
                None,
            )
            for k, quantity in enumerate(("pixel_x", "pixel_y", "shear", "rotation"))
        ),
        case(f"{name}: median estimated error of pixel_x", float(np.median(np.array(spreads)[:, 0])), "1", "", None),
        case(f"{name}: median estimated error of pixel_y", float(np.median(np.array(spreads)[:, 1])), "1", "", None),
        case(f"{name}: refused of {len(seeds)}", refused, "1", "", None),
        case(f"{name}: time of an image of 128 to 256 pixels", float(np.median(seconds)), "s", "", None),
    ]


def _disks(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, errors, seconds = {0.0: [], 0.5: []}, {0.0: [], 0.5: []}, []
    for number, seed in enumerate(seeds):
        crystal = 0.5 * (seed % 2)
        disk = pattern(seed, crystal=crystal)
        start = time.perf_counter()
        measurement = measure_disk(disk.counts, 5.5e5, camera_length=(1.1e9, 1e5))
        seconds.append(time.perf_counter() - start)
        normal[crystal].append((measurement.mean[:5] - disk.truth[:5]) / measurement.std[:5])
        errors[crystal].append(measurement.value("semiangle")[0] * 1.1e9 / 5.5e5 / disk.truth[0] - 1.0)
        progress((number + 1) / len(seeds))
    rows = _coverage("disk", np.concatenate([*normal.values()]), short, judged=False)
    for crystal, kind in ((0.0, "vacuum"), (0.5, "crystal")):
        size = np.abs(errors[crystal])
        rms = float(np.sqrt((size**2).mean()))
        rows.append(case(f"disk, {kind}: rms error of the semi-angle", rms, "1", "<= 0.005", rms <= 0.005))
        rows.append(
            case(f"disk, {kind}: largest error of the semi-angle of {size.size}", float(size.max()), "1", "", None)
        )
    return [*rows, case("disk: time of a pattern of 128 pixels", float(np.median(seconds)), "s", "", None)]


def _rotations(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, flips, ends, seconds, undetermined = [], [], [], [], 0
    for number, seed in enumerate(seeds):
        scan = scanned(seed, electrons=float(10.0 ** np.random.default_rng(seed).uniform(2.3, 4.0)))
        start = time.perf_counter()
        measurement = measure_rotation(scan.patterns, scan.bright)
        seconds.append(time.perf_counter() - start)
        progress((number + 1) / len(seeds))
        if "rotation" in measurement.undetermined:
            undetermined += 1
            continue
        mean, std = _best(measurement)
        error = (mean[0] - scan.rotation + np.pi) % (2.0 * np.pi) - np.pi
        normal.append(((error + 0.5 * np.pi) % np.pi - 0.5 * np.pi) / std[0])
        flips.append(round(mean[1]) == scan.flip)
        ends.append(abs(error) < 0.5 * np.pi)
    return [
        *_coverage("scan rotation", np.array(normal), short, judged=False),
        case("scan rotation: flips right", float(np.mean(flips)), "1", "", None),
        case("scan rotation: ends (180 degrees) right, with a dark-field image", float(np.mean(ends)), "1", "", None),
        case(f"scan rotation: undetermined, of {len(seeds)}", undetermined, "1", "", None),
        case("scan rotation: time of 576 patterns", float(np.median(seconds)), "s", "", None),
    ]


def _thon(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, weights, seconds, undetermined, lost, spreads = [], [], [], 0, 0, []
    for number, seed in enumerate(seeds):
        thon_film = film(seed)
        start = time.perf_counter()
        measurement = measure_thon(thon_film.image, thon_film.pixel, ENERGY, thon_film.c30, 5000.0)
        seconds.append(time.perf_counter() - start)
        progress((number + 1) / len(seeds))
        if measurement.undetermined:
            undetermined += 1
            continue
        same_sign = [component for component in measurement.components if component.mean[0] * thon_film.truth[0] > 0.0]
        if not same_sign:
            lost += 1
            continue
        best = max(same_sign, key=lambda component: component.weight)
        std = np.sqrt(np.diag(best.covariance))
        normal.append((best.mean - thon_film.truth) / std)
        weights.append((thon_film.c30 > 0.0, best.weight))
        spreads.append(std[0])
    weights_with_c30, weights_without_c30 = (
        [weight for aberrated, weight in weights if aberrated == has_c30] or [np.nan] for has_c30 in (True, False)
    )
    return [
        *_coverage("Thon rings", np.array(normal), short),
        case("Thon rings: median estimated error of C10", float(np.median(spreads)), "angstrom", "", None),
        case(
            "Thon rings, C30 of 1.2 mm: mean weight of the right sign", float(np.mean(weights_with_c30)), "1", "", None
        ),
        case("Thon rings, no C30: mean weight of the right sign", float(np.mean(weights_without_c30)), "1", "", None),
        case(f"Thon rings: right sign left out, of {len(seeds)}", lost, "1", "", None),
        case(f"Thon rings: undetermined, of {len(seeds)}", undetermined, "1", "", None),
        case("Thon rings: compile time", seconds[0] - float(np.median(seconds)), "s", "", None),
        case("Thon rings: time of an image of 256 pixels", float(np.median(seconds)), "s", "", None),
    ]


def _titanate(pixels: int | None) -> list[dict[str, Any]]:
    """The real file, or its first ``pixels`` x ``pixels``."""
    folder = data_folder()
    if folder is None:
        return [case("lattice, titanate file", None, "", "not available: needs the recorded data (EMTWIN_DATA)", None)]
    (file,) = read_vendor(folder / TITANATE_FILE)
    claimed = file.axes[1].scale
    start = time.perf_counter()
    image = np.asarray(file.data, float)[:pixels, :pixels]
    measurement = measure_lattice(image, TITANATE, claimed, hum=DWELL * MAINS)
    seconds = time.perf_counter() - start
    rows = []
    for name, expected in (("pixel_x", 0.029), ("pixel_y", 0.041)):
        mean, std = measurement.value(name)
        smaller, error = 1.0 - mean / claimed, std / mean
        near = abs(smaller - expected) < 2.0 * error
        rows.append(
            case(
                f"lattice, titanate file: {name} smaller than claimed by",
                smaller,
                "1",
                f"{expected} within 2 sigma",
                near,
            )
        )
        rows.append(case(f"lattice, titanate file: error of {name}", error, "1", "< 0.003", error < 0.003))
    for name, unit in (("shear", "1"), ("rotation", "rad")):
        rows += [
            case(f"lattice, titanate file: {name}", measurement.value(name)[0], unit, "", None),
            case(f"lattice, titanate file: error of {name}", measurement.value(name)[1], unit, "", None),
        ]
    return [*rows, case(f"lattice, titanate file: time of {image.shape[1]} x {image.shape[0]}", seconds, "s", "", None)]


def _says(measurement: Measurement, text: str) -> bool:
    """Whether a reason why something is undetermined contains ``text``."""
    return any(text in reason for reason in measurement.undetermined.values())


def _refusals() -> list[dict[str, Any]]:
    """Inputs for which the measurement must be reported as undetermined."""
    y, x = np.mgrid[:128, :128] * 0.2
    rows = (
        np.random.default_rng(0).poisson(20.0 * (1.0 + 0.5 * np.cos(2.0 * np.pi * (x + 0.3 * y) / 2.9))).astype(float)
    )
    scan = recorded(FIRST["lattice"] - 1, TITANATE, pixels=128, quiet=True)
    disk = pattern(FIRST["disk"] - 2, crystal=0.0, electrons=1e6).counts
    empty = np.zeros((128, 128))
    tried = {
        "one lattice row": ("one lattice row", measure_lattice(rows, TITANATE, 0.2)),
        "a structure that does not fit": ("does not fit", measure_lattice(scan.image, GRAPHENE, scan.nominal)),
        "a rectangle for a square": ("does not fit", measure_lattice(scan.image, Projection((3.905, 0.0), (0.0, 6.3)), scan.nominal)),
        "lattice, no electrons": ("no electrons", measure_lattice(empty, TITANATE, 0.2)),
        "saturated disk": ("saturated", measure_disk(np.minimum(disk, np.round(0.5 * np.quantile(disk, 0.99))), 5.5e5)),
        "empty disk": ("no electrons", measure_disk(empty, 5.5e5)),
        "rotation, no electrons": ("no electrons", measure_rotation(np.zeros((8, 8, 8, 8)))),
        "Thon rings, no electrons": ("no electrons", measure_thon(empty, 1.0, ENERGY)),
    }  # fmt: skip
    return [
        case(f"refused with its reason: {name}", sorted(measurement.undetermined), "", f"says {expected!r}", _says(measurement, expected))
        for name, (expected, measurement) in tried.items()
    ]  # fmt: skip
