"""The job ``emtwin simulate``: pieces of a signal, kept as they come, then the recording, its picture and its provenance.

A piece is some probes of a scan, or one frozen configuration of a plane wave. What is kept is free of noise and, as its last column, how much of
the beam came through; the noise is drawn at the end from the seed, so that an interrupted run ends as an uninterrupted one.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scenarios import simulate_drawings, simulate_files
from scenarios.errors import BadInput
from scenarios.progress import Progress
from scenarios.simulate_files import Axis, Recording
from scenarios.simulate_setup import FOCI, Ready, camera_of, make_ready
from scenarios.simulate_specimen import stacks
from scenarios.simulation import PROBES, Simulation, from_dict
from twin.detection import camera as cameras
from twin.detection.counting import sample_electrons
from twin.detection.detectors import detect
from twin.detection.pixelated import Pattern, binned, crop, resample
from twin.grid import frequencies
from twin.optics.source import blur, plane
from twin.optics.transfer import averaged_image, focal_series, refocused
from twin.scattering.multislice import intensities
from twin.scattering.signals import exit_waves, scanned
from twin.scattering.stem import FINER, stem_images

SCHEMA = "emtwin.simulate/1"
NOTED_LOSS = 0.03
"""Share of the beam lost to the grid from which on the user is told."""
FORMS = {
    "prism": "PRISM, every plane wave of the aperture that its interpolation leaves",
    "gram": "Gram matrices of all plane waves of the aperture",
    "window": "Gram matrices of the plane waves in a window of the specimen",
    "crystal": "Gram matrices of one unit cell of a perfect crystal",
}
Tell = Callable[[str, float | None], None]


def run_simulate(plan: Simulation | None, out: Path, resume: bool, progress: Progress) -> dict[str, Any]:
    """Simulate ``plan`` into ``out``, or go on with the unfinished ``out``. Returns what ``--json`` prints; BadInput before anything is written."""
    start = time.monotonic()
    simulate_files.check_out(out, resume)
    structure = None
    if resume:
        scenario, structure = simulate_files.recorded(out)
        begun = from_dict(scenario, str(simulate_files.part_of(out)))
        if plan is not None and {**plan.as_dict(), "folder": ""} != {**begun.as_dict(), "folder": ""}:
            raise BadInput("SCENARIO", f"is not the one that {out} was begun with", "Leave SCENARIO out with --resume.")
        plan = begun
    if plan is None:
        raise BadInput("SCENARIO", "is missing", "Name a TOML file or a preset.")
    progress.stage("checking the scenario")
    ready = make_ready(plan)
    sink = camera_of(plan)
    shape = _shape(ready)
    _check_size(ready, shape)
    if structure is not None and structure != ready.made.hash():
        raise BadInput(
            plan.specimen.structure, "has changed since the simulation began", "Begin anew, without --resume."
        )
    part = simulate_files.part_of(out) if resume else simulate_files.begin(out, plan.as_dict(), ready.made.hash())
    try:
        for first, piece in _pieces(ready, _done(part), progress.stage):
            simulate_files.save_piece(part, first, first + len(piece), piece)
    except Exception:
        simulate_files.drop_if_empty(part)
        raise
    progress.stage("recording")
    clean, flux = _averaged(ready, simulate_files.gathered(part), shape)
    if not (np.all(np.isfinite(clean)) and np.isfinite(flux)):
        raise ArithmeticError(f"the signal has values that are not finite; {part} keeps its pieces")
    recording = _record(ready, clean, sink)
    seconds = time.monotonic() - start
    provenance = _provenance(ready, flux, seconds)
    picture = simulate_drawings.picture(recording, plan.signal, plan.name)
    simulate_files.publish(out, part, recording, provenance, picture)
    return {
        "schema": SCHEMA, "scenario": plan.name, "signal": plan.signal, "seed": plan.seed, "shape": list(recording.data.shape),
        "axes": [one.as_dict() for one in recording.axes], "quantity": recording.quantity, "unit": recording.unit,
        "file": str(out), "picture": str(simulate_files.picture_of(out)), "seconds": round(seconds, 3),
        **{key: provenance[key] for key in ("form", "flux", "thickness", "notes")},
    }  # fmt: skip


def _done(part: Path) -> int:
    """How many probes or configurations are there already."""
    there = simulate_files.pieces(part)
    return there[-1][1] if there else 0


def _pieces(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """What is still to compute: where a piece begins, and the piece [n, columns]."""
    if ready.plan.signal in PROBES:
        yield from _probes(ready, start, tell)
    else:
        yield from _waves(ready, start, tell)


def _probes(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """Signals of convergent beams: probe by probe, or a STEM image by configuration in a form that is quicker."""
    if not ready.direct:
        yield from _images(ready, start, tell)
        return
    reduce = _reduce(ready)
    compute = ready.plan.compute
    assert ready.illumination is not None
    found = scanned(
        stacks(ready.plan, ready.made, ready.gpts, tell), ready.illumination, ready.positions,
        lambda patterns: _with_flux(reduce(patterns), patterns), ready.tilt, FOCI, ready.size,
        int(compute.memory_MB * 1e6), compute.workers, lambda _, share: tell("probes through the specimen", share), start,
        FINER,
    )  # fmt: skip
    for place, piece in found:
        yield place.start, piece


def _images(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """Images [pixels, channels] of one frozen configuration after the other, by plane waves; the flux beside every pixel is their mean."""
    scene, compute = ready.scene, ready.plan.compute
    assert scene is not None
    assert ready.form is not None
    assert ready.illumination is not None
    pixels, count = len(ready.positions), scene.configurations
    for number in range(start // pixels, count):
        one = dataclasses.replace(scene, seeds=scene.seeds[number : number + 1])

        def told(_: str, share: float, number: int = number) -> None:
            tell("plane waves through the specimen", (number + share) / count)

        made = stem_images(
            one, ready.illumination, *ready.axes, ready.responses, ready.form.error, ready.form.name, FOCI,
            int(compute.memory_MB * 1e6), compute.workers, told,
        )  # fmt: skip
        columns = made.array.reshape(len(ready.channels), pixels).T
        yield number * pixels, np.append(columns, np.full((pixels, 1), made.through, columns.dtype), axis=1)


def _reduce(ready: Ready) -> Callable[[jax.Array], jax.Array]:
    """Patterns [n, y, x] in FFT order to the columns [n, columns] that are kept."""
    if ready.responses:
        kx, ky = frequencies(ready.gpts, ready.extent)
        masks = jnp.asarray(np.stack([one(kx[None, :], ky[:, None]) for one in ready.responses]))
        return lambda patterns: detect(patterns, masks)
    return lambda patterns: _pattern(ready, patterns).values.reshape(patterns.shape[0], -1)


def _pattern(ready: Ready, patterns: jax.Array) -> Pattern:
    """Patterns in FFT order as the camera has them, or the beams themselves."""
    if ready.pixels is not None:
        return resample(crop(patterns, ready.extent, ready.wavelength), ready.pixels)
    kept = crop(patterns, ready.extent, ready.wavelength, ready.reach)
    factor = max((getattr(one, "bin", 1) for one in ready.plan.detectors.values()), default=1)
    return binned(kept, factor) if factor > 1 else kept


def _with_flux(columns: jax.Array, patterns: jax.Array) -> jax.Array:
    """``columns`` and, as the last, the sum of the whole pattern."""
    return jnp.concatenate([columns, patterns.sum(axis=(-2, -1))[:, None].astype(columns.dtype)], axis=1)


def _waves(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """Signals of a plane wave, one frozen configuration after the other."""
    makers = stacks(ready.plan, ready.made, ready.gpts, tell)
    for number in range(start, len(makers)):
        wave = next(iter(exit_waves([makers[number]], ready.energy, ready.tilt)))[-1]
        flux = float(np.mean(np.abs(wave) ** 2))
        columns = _of_wave(ready, wave).reshape(1, -1)
        yield number, np.append(columns, np.full((1, 1), flux, columns.dtype), axis=1)
        tell("waves through the specimen", (number + 1) / len(makers))


def _of_wave(ready: Ready, wave: np.ndarray) -> np.ndarray:
    """The signal of one exit wave [y, x]."""
    plan = ready.plan
    if plan.signal == "exit-wave":
        return wave
    if plan.signal == "diffraction":
        window = _selected_area(ready)
        return np.asarray(_pattern(ready, intensities(jnp.asarray(wave * window))[None]).values[0])
    assert ready.imaging is not None
    defoci = plan.lens.defoci if plan.lens is not None and plan.lens.defoci is not None else [0.0]
    steps = -np.asarray(defoci, dtype=np.float64)
    if plan.lens is not None and plan.lens.coherence == "averaged":
        images = [averaged_image(wave, ready.extent, refocused(ready.imaging, jnp.asarray(one))) for one in steps]
        return np.stack([np.asarray(image) for image in images])
    return np.asarray(focal_series(wave, ready.extent, ready.imaging, steps))


def _selected_area(ready: Ready) -> np.ndarray:
    """Amplitude [y, x] of the selected-area aperture in the middle of the cell, mean square 1; its edge is one point wide. 1 without one."""
    (ny, nx), lens = ready.gpts, ready.plan.lens
    if lens is None or lens.selected_area is None:
        return np.ones((1, 1), dtype=np.float32)
    x, y = (np.arange(nx) / nx - 0.5) * ready.extent[0], (np.arange(ny) / ny - 0.5) * ready.extent[1]
    step = max(ready.extent[0] / nx, ready.extent[1] / ny)
    disc = np.clip((0.5 * lens.selected_area - np.hypot(x[None, :], y[:, None])) / step + 0.5, 0.0, 1.0)
    return (disc / np.sqrt(np.mean(disc**2))).astype(np.float32)


def _shape(ready: Ready) -> tuple[int, ...]:
    """Shape of the columns of a piece, without the last."""
    plan = ready.plan
    if plan.signal == "stem":
        return (len(ready.channels),)
    if plan.signal == "hrtem":
        return (1 if plan.lens is None or plan.lens.defoci is None else len(plan.lens.defoci), *ready.gpts)
    if plan.signal == "exit-wave":
        return ready.gpts
    one = jax.eval_shape(
        lambda patterns: _pattern(ready, patterns).values, jax.ShapeDtypeStruct((1, *ready.gpts), "float32")
    )
    return one.shape[1:]


def _check_size(ready: Ready, shape: tuple[int, ...]) -> None:
    """BadInput if what is kept until the end exceeds the bound of memory."""
    phonons = ready.plan.specimen.phonons
    configurations = 1 if phonons is None else phonons.configurations
    count = len(ready.positions) * (1 if ready.direct else configurations) or configurations
    needed = count * int(np.prod(shape)) * (16 if ready.plan.signal == "exit-wave" else 8) / 1e6
    if needed > ready.plan.compute.memory_MB:
        raise BadInput(
            "compute.memory_MB",
            f"the recording takes {needed:.0f} MB, the bound is {ready.plan.compute.memory_MB:.0f}",
            "Raise it, or keep less: fewer probes, [detectors.NAME] with reach_mrad and bin.",
        )


def _averaged(ready: Ready, kept: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """The noise-free signal out of all pieces [items, columns], and the share of the beam that came through."""
    plan, flux = ready.plan, float(np.mean(np.real(kept[:, -1])))
    columns = kept[:, :-1]
    if plan.signal == "exit-wave":
        return columns.reshape(-1, *shape), flux
    if plan.signal not in PROBES:
        return columns.mean(axis=0, dtype=np.float64).astype(np.float32).reshape(shape), flux
    if plan.scan is None:
        return (ready.weights @ columns.astype(np.float64)).astype(np.float32).reshape(shape), flux
    ny, nx = plan.scan.shape
    if not ready.direct:
        return columns.reshape(-1, ny, nx, *shape).mean(axis=0, dtype=np.float64).astype(np.float32), flux
    image = columns.reshape(ny, nx, -1)
    if plan.beam.source > 0.0:
        image = _blurred(ready, image)
    return image.reshape(ny, nx, *shape), flux


def _blurred(ready: Ready, image: np.ndarray) -> np.ndarray:
    """An image [ny, nx, columns] averaged over the source: periodically, and where the field of view is not whole cells with its border repeated."""
    assert ready.illumination is not None
    ny, nx = image.shape[:2]
    steps = (ready.fov[0] / nx, ready.fov[1] / ny)
    whole = not any("source blurs" in note for note in ready.notes)
    pads = [0 if whole else int(np.ceil(4.5 * ready.plan.beam.source / step)) for step in steps[::-1]]
    wide = np.pad(image, np.array([[pads[0]] * 2, [pads[1]] * 2, [0, 0]]), mode="edge")
    shape = (wide.shape[0], wide.shape[1])
    window = ready.illumination.spectrum(*plane(shape, (steps[0] * shape[1], steps[1] * shape[0])))
    found = np.empty_like(image)
    for column in range(image.shape[2]):
        one = np.asarray(blur(wide[:, :, column], window))
        found[:, :, column] = one[pads[0] : pads[0] + ny, pads[1] : pads[1] + nx]
    return np.maximum(found, 0.0)


def _record(ready: Ready, clean: np.ndarray, sink: cameras.Camera | None) -> Recording:
    """The recording of a noise-free signal: counted at the dose there is, with its axes."""
    plan = ready.plan
    if plan.signal == "exit-wave":
        axes = (Axis("configuration", len(clean), navigate=True), *_of_cell(ready))
        return Recording(clean, axes, "exit wave, 1 in vacuum", "1")
    electrons = _electrons(ready)
    data, unit = clean, "1" if plan.signal == "hrtem" else "fraction of the beam"
    if electrons is not None:
        data, unit = _counted(clean, electrons, plan, sink), "counts" if sink is not None else "electrons"
    if plan.signal == "hrtem":
        defoci = plan.lens.defoci if plan.lens is not None else None
        if defoci is None:
            return Recording(data[0], _of_cell(ready), "intensity, 1 in vacuum", unit)
        focus = Axis(
            "defocus", len(defoci), "angstrom", defoci[0], defoci[1] - defoci[0] if len(defoci) > 1 else 1.0, True
        )
        if not np.allclose(focus.values(), defoci, rtol=0.0, atol=1e-6):
            focus = Axis(
                "image", len(defoci), navigate=True, labels=tuple(f"defocus {one:g} angstrom" for one in defoci)
            )
        return Recording(data, (focus, *_of_cell(ready)), "intensity, 1 in vacuum", unit)
    scan = _of_scan(ready) if plan.scan is not None else ()
    if plan.signal == "stem":
        axes = (Axis("channel", len(ready.channels), navigate=True, labels=ready.channels), *scan)
        return Recording(np.moveaxis(data, -1, 0), axes, "detector signal", unit)
    numbered = tuple(one._replace(navigate=True) for one in scan)
    return Recording(data, (*numbered, *_of_pattern(ready)), "diffracted intensity", unit)


def _electrons(ready: Ready) -> float | None:
    """Electrons that stand for a fraction of 1: at one probe, in one pixel of an image, or in one pattern."""
    plan, dose = ready.plan, ready.plan.dose
    if dose is None:
        return None
    if dose.electrons is not None:
        return dose.electrons
    assert dose.per_area is not None
    if plan.signal == "hrtem":
        return dose.per_area * ready.extent[0] * ready.extent[1] / (ready.gpts[0] * ready.gpts[1])
    assert plan.scan is not None
    return dose.per_area * ready.fov[0] * ready.fov[1] / (plan.scan.shape[0] * plan.scan.shape[1])


def _counted(clean: np.ndarray, electrons: float, plan: Simulation, sink: cameras.Camera | None) -> np.ndarray:
    """One recording of ``clean`` with counting noise; the seed fixes it. A 4D one line after the other, so that memory suffices."""
    key = jax.random.fold_in(jax.random.key(plan.seed), 3)
    lines = clean if plan.signal in ("4d-stem", "stem") else clean[None]
    counted = np.empty(lines.shape, np.float32)
    for number, line in enumerate(lines):
        own, shares = jax.random.fold_in(key, number), jnp.asarray(np.maximum(line, 0.0), jnp.float32)
        if sink is None:
            counted[number] = np.asarray(sample_electrons(own, shares, electrons))
        else:
            counted[number] = np.asarray(cameras.sample(own, sink, shares, electrons)[0])
    return counted.reshape(clean.shape)


def _of_cell(ready: Ready) -> tuple[Axis, Axis]:
    (ny, nx), extent = ready.gpts, ready.extent
    return Axis("y", ny, "angstrom", 0.0, extent[1] / ny), Axis("x", nx, "angstrom", 0.0, extent[0] / nx)


def _of_scan(ready: Ready) -> tuple[Axis, Axis]:
    assert ready.plan.scan is not None
    (ny, nx), (x, y) = ready.plan.scan.shape, ready.plan.scan.start
    return Axis("y", ny, "angstrom", y, ready.fov[1] / ny), Axis("x", nx, "angstrom", x, ready.fov[0] / nx)


def _of_pattern(ready: Ready) -> tuple[Axis, Axis]:
    """Angles of a pattern's rows and columns from the direct beam, in mrad."""
    made = _pattern(ready, jnp.zeros((1, *ready.gpts), jnp.float32))
    found = []
    for name, along in (("theta_y", made.y), ("theta_x", made.x)):
        values = 1e3 * np.asarray(along)
        found.append(
            Axis(name, len(values), "mrad", float(values[0]), float(values[1] - values[0]) if len(values) > 1 else 1.0)
        )
    return found[0], found[1]


def _provenance(ready: Ready, flux: float, seconds: float) -> dict[str, Any]:
    """Where a recording comes from: all that is needed to make it again, and what became of the beam."""
    plan, made, notes = ready.plan, ready.made, list(ready.notes)
    if 1.0 - flux > NOTED_LOSS:
        cause = "is absorbed or scattered" if plan.specimen.thermal == "absorptive" else "is scattered"
        notes.append(f"{100 * (1.0 - flux):.1f} % of the beam {cause} beyond the angles that the grid carries")
    form = "multislice, one wave for each probe" if plan.signal in PROBES else "multislice of a plane wave"
    if ready.form is not None and not ready.direct:
        form = f"{FORMS[ready.form.name]}, within {ready.form.error:.1e}"
    count = 1 if plan.specimen.phonons is None else plan.specimen.phonons.configurations
    return {
        "schema": SCHEMA, "origin": "simulated", "scenario": {**plan.as_dict(), "folder": ""}, "seed": plan.seed,
        "versions": simulate_files.versions(), "structure_hash": made.hash(), "strain": made.cell.strain,
        "cell_matrix": np.asarray(made.cell.matrix).tolist(), "extent": list(ready.extent), "thickness": made.specimen.thickness,
        "gpts": list(ready.gpts), "slices": made.slices, "slice_thickness": made.spacing, "atoms": len(made.specimen.symbols),
        "form": f"{form}, complex64, {count} {'configuration' if count == 1 else 'configurations'}",
        "flux": {"through": flux, "lost": 1.0 - flux}, "seconds": round(seconds, 3), "notes": notes,
    }  # fmt: skip
