"""The job `replay-titanate`: the Ti L2,3 map of a recorded spectrum image from few of its spectra.

The HAADF image of the whole area is given. Spectra are measured one at a time: first spread out over position and image features, then at the pixels that
lower the variance of the whole map most, with a few random ones as audits, until the largest standard deviation of the predicted map is within
tolerance, also after a batch of audits. The other spectra are read after the last decision, only to score the map.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.design.sampling import most_informative, spread_out
from learn.gp.spectra import GPMap, image_features
from reconstruct.eels.edge_signal import COUNTS_PER_ELECTRON, TITANIUM_L
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress, SilentProgress
from scenarios.replay.host import Host, HostResponse, host_response
from scenarios.replay.map_score import recorded_map, summary
from scenarios.replay.map_session import MapSession, SpectrumRecorder

INITIAL = 16
BATCH = 4
SPREAD_OVER = 8.0
"""Length of the map in standard deviations of a feature, when the first pixels are spread out."""


def run(instrument: Instrument, journal: Journal | None = None, **options: Any) -> dict[str, Any]:
    """`acquire_map` without its arrays: the result that `--json` prints."""
    return acquire_map(instrument, journal, **options)[0]


def acquire_map(
    instrument: Instrument,
    journal: Journal | None = None,
    tolerance: float = 0.15,
    max_measured: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    audit_share: float = 0.1,
    counts_per_electron: float = COUNTS_PER_ELECTRON,
    withheld: frozenset[int] = frozenset(),
    host: Host | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measure until the largest standard deviation of the map, over its range, is within ``tolerance``.

    Returns the result that `--json` prints, and arrays over the map [rows, columns]: predicted, predicted_std (without counting noise), measured, order
    (-1 where not measured), recorded, recorded_std (nan where unknown); also the image, and history_measured with history_uncertainty, one entry per
    prediction.

    ``instrument`` has controls pixel.x, pixel.y and detectors HAADF and EELS (a `ReplayInstrument`, local or remote). ``max_measured`` limits the spectra.
    With a ``journal`` every step is recorded, and spectra it already holds are reused, so that an interrupted session ends in the same result. ``withheld``
    pixels (row order) are never measured before scoring: for benchmarks. ``host``: the crystal whose lattice the image shows. What a pixel gives is then the
    twin's map over its cell, where the image has the pixel, times a Gaussian process of the atoms. The same seed gives the same result.
    Raises BadInput for an instrument, tolerance
    or number that cannot be used.
    """
    begun = time.monotonic()
    progress = progress or SilentProgress()
    rows, columns = _grid(instrument)
    count = rows * columns
    limit = count - len(withheld) if max_measured is None else min(max_measured, count - len(withheld))
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise BadInput("tolerance", f"{tolerance!r} is no share of a range", "Give a positive number such as 0.15.")
    if limit < INITIAL:
        raise BadInput("max_measured", f"{limit} spectra are too few to start from", f"Allow {INITIAL} or more.")
    recorder = SpectrumRecorder(instrument, journal)
    progress.stage("recording the HAADF image")
    image = recorder.image()
    claims, image = image.meta, image.data
    if image.ndim != 2 or image.shape[0] % rows or image.shape[1] * rows != image.shape[0] * columns:
        problem = f"its image of {image.shape} pixels does not fit {rows} x {columns} spectra"
        raise BadInput("instrument", problem, "Use a recording whose image covers the spectra on a finer grid.")
    with jax.enable_x64(True):
        features = image_features(image.astype(np.float64), image.shape[0] // rows)
        known = _response(host, image, image.shape[0] // rows, claims, recorder, progress)
        model = GPMap((rows, columns), features, response=None if known is None else known.response)
        session = MapSession(recorder, model, counts_per_electron, progress, tolerance)
        rng = np.random.default_rng(seed)
        allowed = np.array(sorted(set(range(count)) - withheld))
        points = np.concatenate([model.positions * SPREAD_OVER / max(rows, columns), features], axis=1)
        for pixel in spread_out(points, INITIAL, allowed, rng):
            session.measure(int(pixel), "initial", None)
        prediction = session.predict()
        while not session.confirmed and len(session.taken) < limit:
            left = np.setdiff1d(allowed, session.pixels)
            size = min(BATCH, limit - len(session.taken))
            confirming = session.within(prediction)
            if confirming:  # a first claim to be sure is checked at random pixels before it is believed
                batch, audits = rng.choice(left, size, replace=False), np.ones(size, dtype=bool)
            else:
                noise = np.full(count, float(np.mean(session.variances)))
                batch, _ = most_informative(prediction.covariance, noise, left, size)
                audits = rng.random(batch.size) < audit_share
                others = np.setdiff1d(left, batch)
                audits &= others.size >= batch.size
                if audits.any():
                    batch[audits] = rng.choice(others, int(audits.sum()), replace=False)
            for pixel, audit in zip(batch, audits, strict=True):
                session.measure(int(pixel), "audit" if audit else "measure", prediction)
            session.check(batch, prediction)
            prediction = session.predict()
            session.confirmed = confirming and session.within(prediction)
    recorder.note("sealed", {"measured": len(session.taken), "uncertainty": prediction.uncertainty})
    truth, truth_variance = recorded_map(session, recorder, instrument, (rows, columns), progress)
    result, arrays = summary(session, prediction, image, truth, truth_variance, seed, withheld)
    result["host"] = None if known is None else known.summary
    result["seconds"] = time.monotonic() - begun
    recorder.note("score", {name: result[name] for name in ("r2", "rmse", "rmse_always", "coverage90")}, None, arrays)
    recorder.note("result", result)
    return result, arrays


def _response(
    host: Host | None,
    image: np.ndarray,
    finer: int,
    claims: Mapping[str, Any],
    recorder: SpectrumRecorder,
    progress: Progress,
) -> HostResponse | None:
    """The physical model under the map; None without a host, or where the image does not show it, which is noted."""
    if host is None:
        return None
    progress.stage("computing what the edge gives over a cell of the host crystal")
    try:
        made = host_response(host, "Ti L", TITANIUM_L.signal, image, finer, claims)
    except BadInput:
        raise
    except ValueError as error:
        recorder.note(
            "finding", {"kind": "no_host_lattice", "text": f"the map is predicted without a crystal: {error}"}
        )
        return None
    recorder.note("host", made.summary)
    return made


def _grid(instrument: Instrument) -> tuple[int, int]:
    description = instrument.describe()
    controls = {control.name: control for control in description.controls}
    missing = [name for name in ("pixel.x", "pixel.y") if name not in controls]
    missing += [name for name in ("HAADF", "EELS") if name not in description.detectors]
    if missing:
        problem = f"{description.name!r} ({description.kind}) has no {', '.join(missing)}"
        raise BadInput("instrument", problem, "Connect to `emtwin instrument serve replay --data FOLDER`.")
    return int(controls["pixel.y"].highest) + 1, int(controls["pixel.x"].highest) + 1
