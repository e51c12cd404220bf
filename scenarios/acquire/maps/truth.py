"""The true map of a session, in a process of its own after the instrument was sealed (``python -m scenarios.acquire.maps.truth SESSION TICKET``): an archive
with ``truth`` [rows, columns] and ``noise``, the variance of a value by one shortest dwell time, in the units of the map."""

import sys
from pathlib import Path

import numpy as np

from instrument.core.journal import Journal
from instrument.remote.client import TruthClient
from instrument.remote.wire import TruthRequest
from reconstruct.measurement.scanned import pixel_quantity
from scenarios.acquire.maps.recorder import frames_of, survey_of
from scenarios.acquire.maps.wanted import wanted_map
from scenarios.question.reading import question_of
from scenarios.replay.recording import played_with
from twin.compiled_programs import double_precision
from twin.records import Scan

BRIGHT = 1e10
"""Electrons of a pixel by which the noise-free value is read."""
CHUNK = 64


def main(folder: str, ticket: str) -> None:
    """Write the archive to stdout."""
    with Journal.open(Path(folder)) as journal:
        question = question_of(next(iter(journal.rows("scenario"))).payload["question"], folder)
        survey = survey_of(journal)
        assert survey is not None
        initial = sum(row.payload["decision"] == "initial" for row in journal.rows("exposure"))
        frames = [frame for frame in frames_of(journal) if frame.scan.detector != survey.scan.detector][:initial]
    wanted = wanted_map(question)
    shape = int(survey.meta["rows"] or 0), int(survey.meta["columns"] or 0)
    played = played_with(shape, survey, frames[0].scan.detector)
    quantity = pixel_quantity(wanted.name, played.pixel(None, None))
    gain = float(survey.meta.get("claim.gain") or 1.0)
    count = shape[0] * shape[1]
    sums: dict[tuple[float, float], np.ndarray] = {}
    for frame in frames:  # what the first pixels told of all, as the session had it
        at = frame.settings["pixel.y"], frame.settings["pixel.x"]
        sums[at] = sums.get(at, 0.0) + np.asarray(frame.data, np.float64)
    quantity.learn(np.stack(list(sums.values())))
    values, variances = [], []
    with TruthClient(ticket, timeout=60.0) as truth:
        for start in range(0, count, CHUNK):
            places = [divmod(pixel, shape[1]) for pixel in range(start, min(start + CHUNK, count))]
            requests = [TruthRequest(0, {"pixel.y": float(y), "pixel.x": float(x)}, Scan(), False) for y, x in places]
            data = np.stack([frame.reshape(frames[0].data.shape) for frame, _ in truth.expected(requests)])
            made = quantity.values(BRIGHT * gain * data)
            values.append(made[0])
            variances.append(made[1])
    value, variance = np.concatenate(values), np.concatenate(variances)
    factor = 1.0 / (gain * BRIGHT) if quantity.unit == "count" else 1.0
    noise = variance * factor**2 * BRIGHT / wanted.plan.electrons
    np.savez(sys.stdout.buffer, truth=(value * factor).reshape(shape), noise=noise.reshape(shape))


if __name__ == "__main__":
    with double_precision():
        main(sys.argv[1], sys.argv[2])
