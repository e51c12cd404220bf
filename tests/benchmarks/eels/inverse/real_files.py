"""Real files: the low loss of aluminium, and the titanate spectrum image with its time; exspy beside them where it can be run.

exspy is run by the interpreter that ``EMTWIN_EXSPY`` names (an environment of its own: ``python -m venv E; E/bin/pip install exspy``), by `exspy_fits`.
"""

import json
import math
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from instrument.readers import close_reader, read_vendor
from reconstruct import measure
from reconstruct.eels.core_loss.elements import axis_shift, edges_for, rises_of
from reconstruct.eels.core_loss.fit import fit_core_loss
from reconstruct.eels.core_loss.pixels import fit_spectra
from reconstruct.measurement.eels.low import low_loss_of
from reconstruct.measurement.eels.spectra import spectra_of
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.recorded import data_folder

ELEMENTS = ("Ti", "O", "La", "Mn")
SECONDS, FASTER, SECOND = 3.0, 20.0, 0.3


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """None where there is no folder of real files."""
    folder = data_folder()
    if folder is None:
        return [case("real files", "skipped: no folder of real files")]
    try:
        peer = _exspy(folder, short, progress)
        return [
            *_aluminium(folder / "spectra" / "al-low-loss.dm3", peer, progress),
            *_titanate(folder / "spectra" / "titanate-si-eels.dm3", peer, progress),
        ]
    finally:
        close_reader()


def _exspy(folder: Path, short: Form, progress: Callable[..., None]) -> dict[str, Any]:
    """What exspy says of the same files; empty where it cannot be run."""
    python = os.environ.get("EMTWIN_EXSPY")
    if not python or short is Form.SMOKE:
        return {}
    progress("exspy")
    script = Path(__file__).with_name("exspy_fits.py")
    # an environment of its own does not find ours
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [python, str(script), str(folder / "spectra")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=own)
    return json.loads(done.stdout.splitlines()[-1])


def _aluminium(path: Path, peer: dict[str, Any], progress: Callable[..., None]) -> list[Case]:
    progress("low loss of aluminium")
    detected = measure("eels", read_vendor(path)[0])
    energy, width, thickness = (detected[name] for name in ("plasmon_energy", "plasmon_width", "t_over_lambda"))
    again = read_vendor(path)[0]
    axis = again.axes[-1]
    second = 0.0
    for less in (0, 3):
        start = time.monotonic()
        part = spectra_of(np.asarray(again.data)[less:], axis.offset + less * axis.scale, axis.scale)
        low_loss_of(part, 200e3, None, None, None)
        second = time.monotonic() - start
    rows = [
        case("Al: a second low loss of about the same size", second, "s", f"at most {SECOND:g} s", second <= SECOND),
        case(f"Al plasmon, error {energy[1]:.4f} eV", energy[0], "eV", "15.0 +- 0.3 eV", abs(energy[0] - 15.0) <= 0.3),
        case(f"Al plasmon width, error {width[1]:.4f} eV", width[0], "eV"),
        case(f"Al t/lambda, error {thickness[1]:.4f}", thickness[0]),
    ]
    if not peer:
        return [*rows, case("exspy", "skipped: EMTWIN_EXSPY names no interpreter")]
    theirs = peer["aluminium"]
    off = abs(theirs["width"] - width[0]) / math.hypot(width[1], theirs["width_error"])
    rows.append(
        case(
            f"exspy's width {theirs['width']:.4f} +- {theirs['width_error']:.4f} eV, off in errors",
            off,
            "",
            "at most 2",
            off <= 2.0,
        )
    )
    ours = detected.measurement.details["low_loss"][
        "t_over_lambda_of_recorded_range"
    ]  # exspy has no losses beyond the range
    off = abs(theirs["thickness"] - ours["value"]) / math.hypot(ours["error"], theirs["thickness_error"])
    words = (
        f"ln(all / zero loss) {ours['value']:.4f}, exspy's {theirs['thickness']:.4f} +- {theirs['thickness_error']:.4f} "
        f"(where its zero loss is ended: {theirs['ends']}), off in errors"
    )
    rows.append(case(words, off, "", "at most 2", off <= 2.0))
    return rows


def _titanate(path: Path, peer: dict[str, Any], progress: Callable[..., None]) -> list[Case]:
    progress("titanate spectrum image")
    signal = read_vendor(path)[0]
    axis = signal.axes[-1]
    energies = axis.offset + axis.scale * np.arange(axis.size)
    counts = np.asarray(signal.data, np.float64).reshape(-1, axis.size)
    seconds = []
    for _ in range(4):  # the first compiles
        start = time.monotonic()
        rises = rises_of(counts)
        shift = axis_shift(rises, energies, ELEMENTS)
        edges = [edge for name in ELEMENTS for edge in edges_for(name, energies, 200e3, 33e-3, 30e-3, rises, shift)]
        fit = fit_core_loss(counts, energies, edges)
        seconds.append(time.monotonic() - start)
    quickest = min(seconds[1:])
    detected = measure("eels", signal, elements="Ti,O")
    assert fit.tested is not None
    maps = {item.name: item for item in detected.maps}
    rows = [
        case(
            "titanate: reduced chi squared of the other half, all channels' covariance",
            fit.tested[0],
            "",
            "0.9 to 1.2",
            0.9 <= fit.tested[0] <= 1.2,
        ),
        case("titanate: counts per electron learnt", fit.learned.camera.counts_per_electron),
        case("titanate: correlation of neighbouring channels", fit.learned.camera.correlation[0]),
        case("titanate: fixed pattern, rms", 100.0 * fit.learned.roughness, "%"),
        case(
            "titanate: 294 spectra, camera, pattern and shapes learnt too",
            quickest,
            "s",
            f"at most {SECONDS:g} s",
            quickest <= SECONDS,
        ),
        case(
            "titanate: maps with errors", ", ".join(maps), "", "Ti and O", {"electrons_Ti", "electrons_O"} <= set(maps)
        ),
        case(
            "titanate: energy and thickness",
            detected.undetermined["energy_offset"],
            "",
            "unverifiable",
            all("unverifiable" in detected.undetermined[name] for name in ("energy_offset", "thickness")),
        ),
    ]
    for name, element in (("Ti", "electrons_Ti"), ("O", "electrons_O")):
        item = maps[element]
        rows.append(
            case(
                f"titanate: {name} map, noise over mean",
                100.0 * float(np.nanmean(item.errors) / np.nanmean(item.values)),
                "%",
            )
        )
    start = time.monotonic()
    fit_spectra(counts, fit.learned.shared)
    given = time.monotonic() - start
    rows.append(case("titanate: 294 spectra with shapes and camera given", given, "s"))
    if peer:
        theirs = peer["titanate"]["seconds"]
        rows.append(
            case(
                "titanate: exspy's time over ours, learning camera, pattern and shapes included",
                theirs / quickest,
                "x",
            )
        )
        rows.append(
            case(
                f"titanate: exspy's time ({peer['titanate']['model']}) over ours, shapes given to both",
                theirs / given,
                "x",
                f"at least {FASTER:g} x",
                theirs >= FASTER * given,
            )
        )
    return rows
