"""Benchmark of the forward model: multislice compared with abTEM, derivatives, the Gram model compared with exact multislice, time and memory.

Run as a module of its own (``python -m tests.benchmarks.physics.bench``) it builds the default Gram model in a fresh process and prints
time, memory and the speed of its use as JSON: that is how `cases` measures them.
"""

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks._case import case
from tests.benchmarks._form import Form

ROOT = Path(__file__).resolve().parents[3]


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers; ``short`` leaves out Si [110] and gold, and every second derivative; the smoke form has small crystals and few derivatives."""
    rows = []
    for name in ("SrTiO3",) if short else ("SrTiO3", "Si [110]", "Au particle"):
        progress(f"multislice against abTEM: {name}")
        rows += _against_abtem(name, short is Form.SMOKE)
    progress("time per probe and slice, and abTEM's")
    rows += _probe_times(4 if short is Form.SMOKE else 64)
    progress("derivatives against differences")
    rows += _derivatives(short)
    progress("Gram model against exact multislice")
    rows += _gram_against_exact(2 if short is Form.SMOKE else 6)
    progress("building the default Gram model in a process of its own")
    return rows + _default_build(small=short is Form.SMOKE)


def _against_abtem(name: str, small: bool) -> list[dict[str, Any]]:
    from tests.physics.checks.oracle import POLAR, SHORT, SPECIMENS, diffraction, diffraction_by_abtem, rings

    specimen, shape, count = SPECIMENS[name](SHORT[name]) if small else SPECIMENS[name]()
    slices = specimen.slices(shape, count, specimen.displacements(11), dtype=np.float64)
    spot = (0.31 * slices.extent[0], 0.57 * slices.extent[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_abtem = diffraction_by_abtem(slices, spot, POLAR)
    ours = diffraction(slices, spot, POLAR)
    total = float(np.abs(ours - by_abtem).sum() / by_abtem.sum())
    ring = rings(ours, shape, slices.extent) / rings(by_abtem, shape, slices.extent)
    worst = float(np.abs(ring - 1.0).max())
    return [
        case(f"{name}: difference from abTEM, float64", total, "of the total", "<= 1e-4", total <= 1e-4),
        case(f"{name}: worst of {len(ring)} rings of 10 mrad", worst, "relative", "<= 1e-3", worst <= 1e-3),
    ]


def _probe_times(probes: int) -> list[dict[str, Any]]:
    import abtem

    from tests.physics.checks.oracle import ENERGY, SEMIANGLE
    from twin.grid import band_limit
    from twin.optics.probe import aperture, probe
    from twin.sample.specimen import srtio3
    from twin.scattering.multislice import multislice, propagator, transmission

    specimen, shape, count = srtio3(), (160, 160), 40
    slices = specimen.slices(shape, count, specimen.displacements(0))
    functions = transmission(slices.array, ENERGY, band_limit(shape, slices.extent))
    kernel = propagator(shape, slices.extent, ENERGY, slices.spacing)
    spots = np.random.default_rng(0).uniform(0.0, 11.0, (probes, 2))
    waves = probe(np.zeros(25), spots, aperture(shape, slices.extent, ENERGY, SEMIANGLE), slices.extent, ENERGY)
    run = jax.jit(multislice)
    compiling = _seconds(lambda: run(waves, functions, kernel))
    twin_seconds = min(_seconds(lambda: run(waves, functions, kernel)) for _ in range(3))
    with abtem.config.set({"precision": "float32", "device": "cpu"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        potential = abtem.PotentialArray(
            np.ascontiguousarray(np.asarray(slices.array).transpose(0, 2, 1)), slices.spacing, extent=slices.extent
        )
        abtem_probe = abtem.Probe(energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, extent=slices.extent, gpts=shape)
        scan = abtem.CustomScan(spots)
        abtem_probe.multislice(potential, scan=scan, lazy=False)
        abtem_seconds = min(
            _seconds(lambda: abtem_probe.multislice(potential, scan=scan, lazy=False)) for _ in range(2)
        )
    scale = 1e3 / (probes * count)
    return [
        case("probe and slice at 160 x 160, complex64", twin_seconds * scale, "ms"),
        case("the same by abTEM", abtem_seconds * scale, "ms"),
        case("compiling multislice", compiling - twin_seconds, "s"),
    ]


def _derivatives(short: Form) -> list[dict[str, Any]]:
    from tests.physics.checks.derivatives import CASES, compiled, detected, slope_and_difference

    share, start = detected()
    share, slopes = compiled(share), compiled(jax.grad(share))(start)
    rows = []
    for name, index, step in CASES[:: (1, 2, 8)[short]]:
        gradient, difference = slope_and_difference(share, start, name, index, step, slopes)
        error = abs(gradient / difference - 1.0)
        label = f"derivative in {name}{list(index) if index else ''}"
        rows.append(case(label, error, "relative", "<= 1e-3", error <= 1e-3))
    return rows


def _gram_against_exact(cells: int) -> list[dict[str, Any]]:
    """The general form for one frozen configuration of 3 x 3 x ``cells`` cells at 160 x 160 against probes one by one."""
    from twin.grid import band_limit
    from twin.optics.aberrations import coefficients
    from twin.optics.probe import aperture, probe
    from twin.sample.specimen import Specimen, srtio3_unit
    from twin.scattering.gram.crystal import build_gram, centred_in_slices, detector_weights
    from twin.scattering.gram.model import harmonics, image
    from twin.scattering.multislice import intensities, multislice, propagator, transmission

    energy, ring, seed = 200e3, (60e-3, 95e-3), 3
    model = build_gram(
        srtio3_unit(),
        cells_z=cells,
        depths=(cells,),
        tilt_step=0.0,
        seeds=(seed,),
        untilted_seeds=(),
        symmetry=None,
        periodic=False,
    )
    specimen = Specimen.from_atoms(centred_in_slices(srtio3_unit(), 2) * (3, 3, cells))
    shape, extent = (160, 160), specimen.extent
    slices = specimen.slices(shape, 2 * cells, specimen.displacements(seed))
    vector = coefficients({"C10": -60.0, "C12a": 20.0, "C21b": 600.0, "C30": -4e4})
    spots = np.random.default_rng(1).uniform(0.0, 11.0, (16, 2))
    waves = probe(vector, spots, aperture(shape, extent, energy, 21.4e-3), extent, energy)
    functions = transmission(slices.array, energy, band_limit(shape, extent))
    exit_waves = multislice(waves, functions, propagator(shape, extent, energy, slices.spacing))
    weights = jnp.asarray(detector_weights(shape, extent, energy, ring), jnp.float32)
    exact = np.asarray(jnp.sum(intensities(exit_waves) * weights[None], axis=(-1, -2)))
    ours = np.asarray(image(model, harmonics(model, vector, cells * 3.905, np.zeros(2)), spots))
    worst = float(np.abs(ours / exact - 1.0).max())
    return [case("Gram model, general form, against exact multislice", worst, "relative", "<= 1e-4", worst <= 1e-4)]


def _default_build(small: bool) -> list[dict[str, Any]]:
    """In a process of its own, or in this one and of a thin crystal if ``small``."""
    if small:
        report = built(SMALL)
    else:
        command = [sys.executable, "-m", "tests.benchmarks.physics.bench"]
        process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        report = json.loads(process.stdout.splitlines()[-1])
    return [
        case("building the default Gram model", report["seconds"], "s", "< 35", report["seconds"] < 35),
        case("memory peak of the build", report["peak_mib"], "MiB", "< 1536", report["peak_mib"] < 1536),
        case("fit over thickness, relative rms of pairs", report["residual"], "relative"),
        case(
            "harmonics, CPU time a sample of 128", report["harmonics_ms"], "ms", "<= 0.3", report["harmonics_ms"] <= 0.3
        ),
        case("16 x 16 image from harmonics, CPU time", report["image_ms"], "ms"),
        case("compiling harmonics for a batch", report["compile_s"], "s"),
    ]


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def _cpu_seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - start


def _peak_mib() -> float:
    """Largest resident memory of this process in MiB. ru_maxrss will not do: a child starts with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


SMALL: dict[str, Any] = {
    "cells_z": 4,
    "depths": (2, 3, 4),
    "seeds": (0,),
    "untilted_seeds": (),
    "gpts": 96,
    "degree": 2,
    "detector": (30e-3, 55e-3),
}
"""Options of a model of a thin crystal on few points."""


def built(options: dict[str, Any]) -> dict[str, float]:
    """What it took to build a model with these ``options`` and to use it."""
    from twin.sample.specimen import srtio3_unit
    from twin.scattering.gram.crystal import build_gram
    from twin.scattering.gram.model import harmonics, image

    start = time.perf_counter()
    model = build_gram(srtio3_unit(), **options)
    seconds = time.perf_counter() - start
    peak = _peak_mib()
    rng, samples = np.random.default_rng(0), 128
    vectors = np.zeros((samples, 25))
    vectors[:, :8] = rng.normal(size=(samples, 8)) * [50, 20, 20, 200, 200, 200, 200, 1e4]
    arguments = (
        vectors,
        rng.normal(*((12, 1) if options else (80, 5)), samples),
        rng.normal(0, 2e-3, (samples, 2)),
        np.full(samples, 30.0),
    )
    many = jax.jit(jax.vmap(harmonics, in_axes=(None, 0, 0, 0, 0)))
    compiling = _seconds(lambda: many(model, *arguments))
    seconds_per_batch = min(_cpu_seconds(lambda: many(model, *arguments)) for _ in range(5))
    axis = np.arange(16) * 3.905 / 16
    spots = np.stack(np.meshgrid(axis, axis), axis=-1)
    draw = jax.jit(jax.vmap(image, in_axes=(None, 0, None, None)))
    batch = many(model, *arguments)
    jax.block_until_ready(draw(model, batch, spots, 0.4))
    drawing = min(_cpu_seconds(lambda: draw(model, batch, spots, 0.4)) for _ in range(5))
    return {
        "seconds": seconds,
        "peak_mib": peak,
        "residual": model.residual,
        "harmonics_ms": seconds_per_batch / samples * 1e3,
        "image_ms": drawing / samples * 1e3,
        "compile_s": compiling - seconds_per_batch,
    }


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print(json.dumps(built({})))
