"""Expected data of every pixel of a simulated scan, as shares of the beam: from a library of spectra with a hidden map, or from a recording."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from instrument.replay import opened_scan
from instrument.simulation.scan.config import ScanConfig
from instrument.simulation.scan.hidden import hidden_map
from twin.records import Axis, Claim, RecordedScan, Signal, Wanted, scan_of

LIBRARY = ".npz"
"""Suffix of a library: arrays ``spectra`` [phases, thicknesses, channels] and ``survey`` [phases, thicknesses] as shares of the beam, ``energy`` [offset, step]
in eV, and ``claims`` [high tension in eV, semi-angles of convergence and collection in radian]."""
SHARES = "fraction of the beam"


def expected_scan(data: str | Path, survey: str | Path | None, config: ScanConfig, seed: int) -> RecordedScan:
    """The noise-free scan, its data and its survey shares of the beam; ValueError for files that hold none."""
    if Path(data).suffix == LIBRARY:
        return _of_library(Path(data), config, seed)
    return _of_recording(data, survey, config)


def _of_library(path: Path, config: ScanConfig, seed: int) -> RecordedScan:
    if config.shape is None:
        raise ValueError("the configuration of a scan: shape is missing; a library of spectra needs it")
    with np.load(path, allow_pickle=False) as archive:
        spectra, fractions, energy, claimed = (archive[name] for name in ("spectra", "survey", "energy", "claims"))
    hidden = hidden_map(config.shape, config.pixel, len(spectra), config.layout, config.width, seed)
    at = hidden.thickness * (spectra.shape[1] - 1)
    low = np.minimum(at.astype(int), max(spectra.shape[1] - 2, 0))
    high, share = np.minimum(low + 1, spectra.shape[1] - 1), (at - low)[..., None]
    data = np.zeros((*config.shape, spectra.shape[2]))
    survey = np.zeros(config.shape)
    for part, own, seen in zip(hidden.phases, spectra, fractions, strict=True):
        data += part[..., None] * ((1.0 - share) * own[low] + share * own[high])
        survey += part * ((1.0 - share[..., 0]) * seen[low] + share[..., 0] * seen[high])
    rows, columns = config.shape
    places = tuple(Axis(name, size, config.pixel, 0.0, "angstrom") for name, size in (("y", rows), ("x", columns)))
    energies = Axis("energy_loss", spectra.shape[2], float(energy[1]), float(energy[0]), "electronvolt")
    names = ("high_tension", "convergence_semiangle", "collection_semiangle")
    claims = {
        name: Claim(float(value), unit, name)
        for name, value, unit in zip(names, claimed, ("volt", "radian", "radian"), strict=True)
    }
    cube = Signal(
        data.astype(np.float32), (*places, energies), "spectrum-image", "simulated scan", "", "", claims, raw={"unit": SHARES}
    )  # fmt: skip
    # the survey is one of its own, not made of the data
    made = scan_of([cube], Wanted("spectrum", config.energies), None, "simulated scan")
    return made._replace(survey=survey, finer=1, survey_name="annular dark-field image of the same area", virtual=False)


def _of_recording(data: str | Path, survey: str | Path | None, config: ScanConfig) -> RecordedScan:
    """A recording taken as what is expected: its counts, over those of the beam where they are not shares of it."""
    wanted: dict[str, Any] = {"energies": config.energies, "signal": config.signal, "bin": config.bin}
    scan = opened_scan(data, survey, {**wanted, **({"content": config.content} if config.content else {})})
    values = np.maximum(np.nan_to_num(np.asarray(scan.data, np.float64)), 0.0)
    if str(scan.cube.raw.get("unit", "")) in (SHARES, "1"):
        values /= config.bin**2
    else:
        gain = scan.cube.claims.get("gain")
        counts = 1.0 if gain is None else float(gain.value)
        electrons = scan.electrons if math.isfinite(scan.electrons) else float("nan")
        if not electrons > 0.0:  # not told: then all that is recorded is the beam
            electrons = float(values.sum(axis=tuple(range(2, values.ndim))).mean()) / counts
        values /= counts * electrons
    image = np.maximum(np.asarray(scan.survey, np.float64), 0.0)
    if not (values.sum() > 0.0 and image.sum() > 0.0):
        raise ValueError(f"{data} holds no counts; give another recording")
    return scan._replace(data=values.astype(np.float32), survey=config.survey * image / image.mean())
