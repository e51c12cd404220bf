"""The recording of a simulated signal: averaged over the source, counted at the dose there is, with its axes and its provenance."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scenarios.simulate.output import files
from scenarios.simulate.output.files import Axis, Recording
from scenarios.simulate.ready import Ready
from scenarios.simulate.sampling import Sampling, warning
from scenarios.simulate.scenario.plan import PROBES, Simulation
from scenarios.simulate.signals import pattern_of
from twin.detection import camera as cameras
from twin.detection.counting import sample_electrons
from twin.optics.source import blur, plane
from twin.sample.orthogonal import bracket

SCHEMA = "emtwin.simulate/1"
NOTED_LOSS = 0.03
"""Share of the beam lost to the grid from which on the user is told."""
FORMS = {
    "prism": "PRISM, every plane wave of the aperture that its interpolation leaves",
    "gram": "Gram matrices of {of}",
    "crystal": "Gram matrices of one unit cell of a perfect crystal",
}


def averaged(ready: Ready, kept: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
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


def record(ready: Ready, clean: np.ndarray, sink: cameras.Camera | None) -> Recording:
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
    made = pattern_of(ready, jnp.zeros((1, *ready.gpts), jnp.float32))
    found = []
    for name, along in (("theta_y", made.y), ("theta_x", made.x)):
        values = 1e3 * np.asarray(along)
        found.append(
            Axis(name, len(values), "mrad", float(values[0]), float(values[1] - values[0]) if len(values) > 1 else 1.0)
        )
    return found[0], found[1]


def cell_of(ready: Ready) -> dict[str, Any]:
    """The orthogonal cell that the specimen repeats: its lengths in angstrom, the crystal directions [u v w] of x, y and z, and how often."""
    made = ready.made
    directions = dict(zip("xyz", [list(one) for one in made.cell.directions], strict=True))
    return {
        "lengths": list(made.unit),
        "directions": directions,
        "repeats": list(made.repeats),
        "described": made.cell.described,
    }


def caption_of(ready: Ready) -> str:
    """One line under a picture: the formula, and the crystal directions of its axes."""
    x, y, z = (bracket(one) for one in ready.made.cell.directions)
    scan = scan_of(ready)
    covered = "" if scan is None else f"; {scan['described']}"
    structure, thick = ready.made.structure.formula, ready.made.specimen.thickness
    return f"{structure}, x along {x}, y along {y}, beam along {z}, {thick:.1f} Å thick{covered}"


def scan_of(ready: Ready) -> dict[str, Any] | None:
    """What a scan covers: probes (ny, nx), field of view and pixel (x, y) in angstrom, and the same in cells; None without a scan."""
    scan = ready.plan.scan
    if scan is None:
        return None
    (ny, nx), (x, y) = scan.shape, ready.fov
    across, down = x / nx, y / ny
    cells = [side / cell for side, cell in zip(ready.fov, ready.made.unit[:2], strict=True)]
    apart = f"{across:.3g} Å" if abs(across / down - 1.0) < 1e-3 else f"{across:.3g} x {down:.3g} Å"
    described = f"{nx} x {ny} probes {apart} apart over {x:.4g} x {y:.4g} Å ({cells[0]:.3g} x {cells[1]:.3g} cells)"
    return {"shape": [ny, nx], "fov": [x, y], "pixel": [across, down], "cells": cells, "described": described}


def provenance_of(ready: Ready, flux: float, seconds: float, sampling: Sampling) -> dict[str, Any]:
    """Where a recording comes from: all that is needed to make it again, and what became of the beam."""
    plan, made, notes = ready.plan, ready.made, list(ready.notes)
    if 1.0 - flux > NOTED_LOSS:
        cause = "is absorbed or scattered" if plan.specimen.thermal == "absorptive" else "is scattered"
        notes.append(f"{100 * (1.0 - flux):.1f} % of the beam {cause} beyond the angles that the grid carries")
    warned = warning(sampling, plan.grid.tolerance)
    form = "multislice, one wave for each probe" if plan.signal in PROBES else "multislice of a plane wave"
    if ready.form is not None and not ready.direct:
        some = ready.form.modes
        of = "all plane waves of the aperture" if some is None else f"{len(some.waves)} modes that span the probes"
        form = f"{FORMS[ready.form.name].format(of=of)}, within {ready.form.error:.1e}"
    count = 1 if plan.specimen.phonons is None else plan.specimen.phonons.configurations
    return {
        "schema": SCHEMA, "origin": "simulated", "scenario": {**plan.as_dict(), "folder": ""}, "seed": plan.seed,
        "versions": files.versions(), "structure_hash": made.hash(), "strain": made.cell.strain,
        "structure": made.structure.as_dict(), "cell": cell_of(ready),
        "cell_matrix": np.asarray(made.cell.matrix).tolist(), "extent": list(ready.extent), "thickness": made.specimen.thickness,
        "gpts": list(ready.gpts), "slices": made.slices, "slice_thickness": made.spacing, "atoms": len(made.specimen.symbols),
        "form": f"{form}, complex64, {count} {'configuration' if count == 1 else 'configurations'}",
        "flux": {"through": flux, "lost": 1.0 - flux}, "scan": scan_of(ready), "sampling": sampling.as_dict(),
        "seconds": round(seconds, 3), "notes": notes, "warnings": [] if warned is None else [warned],
    }  # fmt: skip
