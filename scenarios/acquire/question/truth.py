"""The true values of what a session asked for, in a process of its own after the microscope was sealed (``python -m scenarios.acquire.question.truth SESSION
TICKET``): JSON with ``values`` [images, quantities] and, at the end, ``last`` [quantities], in the quantities' units, and what a correction ``left``."""

import json
import sys
from pathlib import Path

import numpy as np

from instrument.core.journal import Journal
from instrument.remote.client import TruthClient

NAMES = {
    "C12a": "C12.a", "C12b": "C12.b", "C21a": "C21.a", "C21b": "C21.b", "C23a": "C23.a", "C23b": "C23.b",
}  # fmt: skip
"""What the truth calls parameters of an image."""


def main(folder: str, ticket: str) -> None:
    """Print the true values of a session's question."""
    with Journal.open(Path(folder)) as journal:
        wanted = next(iter(journal.rows("scenario"))).payload["wanted"]
        times = [row.payload["time_ns"] for row in journal.rows("question")]
        corrections = [row.payload for row in journal.rows("correction")]
    end = corrections[-1]["time_ns"] if corrections else times[-1]
    with TruthClient(ticket, timeout=60.0) as truth:
        state = truth.state(np.array([*times, end], np.int64))
    names = [NAMES.get(str(each["parameter"]), str(each["parameter"])) for each in wanted]
    values = np.stack(
        [each["sign"] * np.asarray(state[name]) / each["factor"] for each, name in zip(wanted, names, strict=True)], 1
    )
    scored = {"values": values[:-1].tolist(), "last": values[-1].tolist()}
    if corrections:
        # actual minus commanded, and what was commanded
        commanded = [
            each["sign"] * corrections[-1]["settings"][name] / each["factor"]
            for each, name in zip(wanted, names, strict=True)
        ]
        scored["left"] = (values[-1] + np.array(commanded)).tolist()
    json.dump(scored, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
