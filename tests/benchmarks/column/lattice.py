"""Images as sensors, four of them: lattice to map, bright-field disk, scan rotation, Thon rings; each on images drawn by other code than the fit's.

Coverage is of central 90 % intervals of single quantities, pooled; the same with variances times 0.6 and 1.6 must lie outside the band. Seeds of an
estimator were not looked at while it was written.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm

from instrument.readers import read_vendor
from reconstruct.measure.disk.estimator import measure_disk
from reconstruct.measure.lattice.estimator import measure_lattice
from reconstruct.measure.measurement import Measurement
from reconstruct.measure.projection import Projection
from reconstruct.measure.rotation import measure_rotation
from reconstruct.measure.thon.estimator import measure_thon
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
LOW, HIGH = 0.87, 0.93


def _case(case: str, value: Any, unit: str, bar: str, holds: bool | None) -> dict[str, Any]:
    return {"case": case, "value": value, "unit": unit, "bar": bar, "holds": holds}


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` a few images each, and no bars that need many."""
    found = []
    for name, part in (("lattice", _lattices), ("disk", _disks), ("rotation", _rotations), ("thon", _thon)):
        progress(f"{name}: images by other code")
        count = COUNT[name][short]
        found += part(range(FIRST[name], FIRST[name] + count), short, lambda share, name=name: progress(name, share))
    progress("real file")
    found += _titanate()
    found += _refusals()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found.append(_case("lattice, disk, rotation, Thon rings: memory peak", peak, "GiB", "", None))
    return found


def _coverage(what: str, normal: np.ndarray, short: Form, judged: bool = True) -> list[dict[str, Any]]:
    """Shares of ``normal`` errors (in sigmas, any shape) within the 90 % interval, as told and with other variances."""

    def share(scale: float) -> float:
        return float((np.abs(normal) < norm.ppf(0.95) * np.sqrt(scale)).mean())

    def holds(value: bool) -> bool | None:
        return None if short or not judged else value

    band = f"{LOW} to {HIGH}"
    bars = (band, f"outside {band}") if judged else ("", "")
    name = f"{what}: coverage of 90 % intervals, {normal.size} values"
    told = [_case(name, share(1.0), "1", bars[0], holds(LOW <= share(1.0) <= HIGH))]
    for scale in (0.6, 1.6):
        outside = not LOW <= share(scale) <= HIGH
        told.append(
            _case(f"{what}: the same, variance x {scale} (must fail)", share(scale), "1", bars[1], holds(outside))
        )
    return told


def _best(found: Measurement) -> tuple[np.ndarray, np.ndarray]:
    best = max(found.components, key=lambda one: one.weight)
    return best.mean.copy(), np.sqrt(np.diag(best.covariance))


def _lattices(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, spreads, took, lost = [], [], [], 0
    for done, seed in enumerate(seeds):
        scan = recorded(seed)
        begun = time.perf_counter()
        found = measure_lattice(scan.image, scan.crystal, scan.nominal)
        took.append(time.perf_counter() - begun)
        if found.undetermined:
            lost += 1
            continue
        mean, std = _best(found)
        away = mean - scan.truth
        period = 2.0 * np.pi / scan.crystal.primitive().fold()
        away[3] = (away[3] + period / 2.0) % period - period / 2.0
        normal.append(away / std)
        spreads.append(std[:2] / scan.nominal)
        progress((done + 1) / len(seeds))
    name = "lattice, drift and jitter"
    return [
        *_coverage(name, np.array(normal), short),
        *(
            _case(
                f"{name}: coverage of {one}",
                float((np.abs(np.array(normal)[:, k]) < norm.ppf(0.95)).mean()),
                "1",
                "",
                None,
            )
            for k, one in enumerate(("pixel_x", "pixel_y", "shear", "rotation"))
        ),
        _case(f"{name}: median error told of pixel_x", float(np.median(np.array(spreads)[:, 0])), "1", "", None),
        _case(f"{name}: median error told of pixel_y", float(np.median(np.array(spreads)[:, 1])), "1", "", None),
        _case(f"{name}: refused of {len(seeds)}", lost, "1", "", None),
        _case(f"{name}: time of an image of 128 to 256 pixels", float(np.median(took)), "s", "", None),
    ]


def _disks(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, errors, took = {0.0: [], 0.5: []}, {0.0: [], 0.5: []}, []
    for done, seed in enumerate(seeds):
        crystal = 0.5 * (seed % 2)
        drawn = pattern(seed, crystal=crystal)
        begun = time.perf_counter()
        found = measure_disk(drawn.counts, 5.5e5, camera_length=(1.1e9, 1e5))
        took.append(time.perf_counter() - begun)
        normal[crystal].append((found.mean[:5] - drawn.truth[:5]) / found.std[:5])
        errors[crystal].append(found.value("semiangle")[0] * 1.1e9 / 5.5e5 / drawn.truth[0] - 1.0)
        progress((done + 1) / len(seeds))
    told = _coverage("disk", np.concatenate([*normal.values()]), short, judged=False)
    for crystal, kind in ((0.0, "vacuum"), (0.5, "crystal")):
        size = np.abs(errors[crystal])
        rms = float(np.sqrt((size**2).mean()))
        told.append(_case(f"disk, {kind}: rms error of the semi-angle", rms, "1", "<= 0.005", rms <= 0.005))
        told.append(
            _case(f"disk, {kind}: largest error of the semi-angle of {size.size}", float(size.max()), "1", "", None)
        )
    return [*told, _case("disk: time of a pattern of 128 pixels", float(np.median(took)), "s", "", None)]


def _rotations(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, flips, ends, took, open_ = [], [], [], [], 0
    for done, seed in enumerate(seeds):
        scan = scanned(seed, electrons=float(10.0 ** np.random.default_rng(seed).uniform(2.3, 4.0)))
        begun = time.perf_counter()
        found = measure_rotation(scan.patterns, scan.bright)
        took.append(time.perf_counter() - begun)
        progress((done + 1) / len(seeds))
        if "rotation" in found.undetermined:
            open_ += 1
            continue
        mean, std = _best(found)
        away = (mean[0] - scan.rotation + np.pi) % (2.0 * np.pi) - np.pi
        normal.append(((away + 0.5 * np.pi) % np.pi - 0.5 * np.pi) / std[0])
        flips.append(round(mean[1]) == scan.flip)
        ends.append(abs(away) < 0.5 * np.pi)
    return [
        *_coverage("scan rotation", np.array(normal), short, judged=False),
        _case("scan rotation: flips right", float(np.mean(flips)), "1", "", None),
        _case("scan rotation: ends (180 degrees) right, with a dark-field image", float(np.mean(ends)), "1", "", None),
        _case(f"scan rotation: said to be open, of {len(seeds)}", open_, "1", "", None),
        _case("scan rotation: time of 576 patterns", float(np.median(took)), "s", "", None),
    ]


def _thon(seeds: range, short: Form, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    normal, weights, took, open_, lost, spreads = [], [], [], 0, 0, []
    for done, seed in enumerate(seeds):
        seen = film(seed)
        begun = time.perf_counter()
        found = measure_thon(seen.image, seen.pixel, ENERGY, seen.c30, 5000.0)
        took.append(time.perf_counter() - begun)
        progress((done + 1) / len(seeds))
        if found.undetermined:
            open_ += 1
            continue
        right = [one for one in found.components if one.mean[0] * seen.truth[0] > 0.0]
        if not right:
            lost += 1
            continue
        best = max(right, key=lambda one: one.weight)
        std = np.sqrt(np.diag(best.covariance))
        normal.append((best.mean - seen.truth) / std)
        weights.append((seen.c30 > 0.0, best.weight))
        spreads.append(std[0])
    with_, without = (
        [weight for aberrated, weight in weights if aberrated == which] or [np.nan] for which in (True, False)
    )
    return [
        *_coverage("Thon rings", np.array(normal), short),
        _case("Thon rings: median error told of C10", float(np.median(spreads)), "angstrom", "", None),
        _case("Thon rings, C30 of 1.2 mm: mean weight of the right sign", float(np.mean(with_)), "1", "", None),
        _case("Thon rings, no C30: mean weight of the right sign", float(np.mean(without)), "1", "", None),
        _case(f"Thon rings: right sign left out, of {len(seeds)}", lost, "1", "", None),
        _case(f"Thon rings: said to be open, of {len(seeds)}", open_, "1", "", None),
        _case("Thon rings: compile time", took[0] - float(np.median(took)), "s", "", None),
        _case("Thon rings: time of an image of 256 pixels", float(np.median(took)), "s", "", None),
    ]


def _titanate() -> list[dict[str, Any]]:
    folder = data_folder()
    if folder is None:
        return [_case("lattice, titanate file", None, "", "not available: needs the recorded data (EMTWIN_DATA)", None)]
    (file,) = read_vendor(folder / TITANATE_FILE)
    claimed = file.axes[1].scale
    begun = time.perf_counter()
    found = measure_lattice(np.asarray(file.data, float), TITANATE, claimed, hum=DWELL * MAINS)
    took = time.perf_counter() - begun
    told = []
    for name, wanted in (("pixel_x", 0.029), ("pixel_y", 0.041)):
        mean, std = found.value(name)
        smaller, error = 1.0 - mean / claimed, std / mean
        near = abs(smaller - wanted) < 2.0 * error
        told.append(
            _case(
                f"lattice, titanate file: {name} smaller than claimed by",
                smaller,
                "1",
                f"{wanted} within 2 sigma",
                near,
            )
        )
        told.append(_case(f"lattice, titanate file: error of {name}", error, "1", "< 0.003", error < 0.003))
    for name, unit in (("shear", "1"), ("rotation", "rad")):
        told += [
            _case(f"lattice, titanate file: {name}", found.value(name)[0], unit, "", None),
            _case(f"lattice, titanate file: error of {name}", found.value(name)[1], unit, "", None),
        ]
    return [*told, _case("lattice, titanate file: time of 1024 x 1024", took, "s", "", None)]


def _refusals() -> list[dict[str, Any]]:
    """What must not be answered with a number."""
    y, x = np.mgrid[:128, :128] * 0.2
    rows = (
        np.random.default_rng(0).poisson(20.0 * (1.0 + 0.5 * np.cos(2.0 * np.pi * (x + 0.3 * y) / 2.9))).astype(float)
    )
    scan = recorded(FIRST["lattice"] - 1, TITANATE, pixels=128, quiet=True)
    disk = pattern(FIRST["disk"] - 2, crystal=0.0, electrons=1e6).counts
    nothing = np.zeros((128, 128))
    tried = {
        "one lattice row": ("one lattice row", measure_lattice(rows, TITANATE, 0.2)),
        "a structure that does not fit": ("does not fit", measure_lattice(scan.image, GRAPHENE, scan.nominal)),
        "a rectangle for a square": ("does not fit", measure_lattice(scan.image, Projection((3.905, 0.0), (0.0, 6.3)), scan.nominal)),
        "lattice, no electrons": ("no electrons", measure_lattice(nothing, TITANATE, 0.2)),
        "saturated disk": ("saturated", measure_disk(np.minimum(disk, np.round(0.5 * np.quantile(disk, 0.99))), 5.5e5)),
        "empty disk": ("no electrons", measure_disk(nothing, 5.5e5)),
        "rotation, no electrons": ("no electrons", measure_rotation(np.zeros((8, 8, 8, 8)))),
        "Thon rings, no electrons": ("no electrons", measure_thon(nothing, 1.0, ENERGY)),
    }  # fmt: skip
    return [
        _case(f"refused and said: {name}", sorted(found.undetermined), "", f"says {why!r}", any(why in said for said in found.undetermined.values()))
        for name, (why, found) in tried.items()
    ]  # fmt: skip
