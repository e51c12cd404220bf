"""Where a simulated recording comes from: cell, scan, caption, versions, and all that is needed to make it again."""

import importlib.metadata
import platform
from typing import Any

import numpy as np

from twin.sample.orthogonal import bracket
from twin.simulation.losses import losses_of
from twin.simulation.plan.tables import PROBES
from twin.simulation.ready import Ready
from twin.simulation.sampling import Sampling, warning

SCHEMA = "emtwin.simulate/1"
NOTED_LOSS = 0.03
"""Share of the beam lost to the grid from which on the user is told."""
FORMS = {
    "prism": "PRISM, every plane wave of the aperture that its interpolation leaves",
    "gram": "Gram matrices of {of}",
    "crystal": "Gram matrices of one unit cell of a perfect crystal",
}


def versions() -> dict[str, str]:
    """What computed: emtwin and the libraries that numbers go through."""
    versions = {"python": platform.python_version()}
    for name in ("emtwin", "jax", "jaxlib", "numpy", "scipy", "gemmi", "zarr", "rosettasciio"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "a checkout that is not installed"
    return versions


def cell_of(ready: Ready) -> dict[str, Any]:
    """The orthogonal cell that the specimen repeats: its lengths in angstrom, the crystal directions [u v w] of x, y and z, and how often."""
    made = ready.made
    directions = dict(zip("xyz", [list(direction) for direction in made.cell.directions], strict=True))
    return {
        "lengths": list(made.unit),
        "directions": directions,
        "repeats": list(made.repeats),
        "described": made.cell.described,
    }


def caption_of(ready: Ready) -> str:
    """One line under a picture: the formula, and the crystal directions of its axes."""
    x, y, z = (bracket(direction) for direction in ready.made.cell.directions)
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


def provenance_of(ready: Ready, flux: float, sampling: Sampling) -> dict[str, Any]:
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
        "versions": versions(), "structure_hash": made.hash(), "strain": made.cell.strain,
        "structure": made.structure.as_dict(), "cell": cell_of(ready),
        "cell_matrix": np.asarray(made.cell.matrix).tolist(), "extent": list(ready.extent), "thickness": made.specimen.thickness,
        "gpts": list(ready.gpts), "slices": made.slices, "slice_thickness": made.spacing, "atoms": len(made.specimen.symbols),
        "form": f"{form}, complex64, {count} {'configuration' if count == 1 else 'configurations'}",
        "flux": {"through": flux, "lost": 1.0 - flux}, "scan": scan_of(ready), "sampling": sampling.as_dict(),
        **({"losses": losses_of(ready)} if ready.windows else {}), "notes": notes, "warnings": [] if warned is None else [warned],
    }  # fmt: skip
