"""The true value of what a session asked for, in a process of its own after the microscope was sealed (``python -m scenarios.acquire.question.truth SESSION
TICKET``): JSON with ``values``, one for each image, in the quantity's unit."""

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
    with TruthClient(ticket, timeout=60.0) as truth:
        state = truth.state(np.array(times, np.int64))
    parameter = str(wanted["parameter"])
    values = wanted["sign"] * np.asarray(state[NAMES.get(parameter, parameter)]) / wanted["factor"]
    json.dump({"values": values.tolist()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
