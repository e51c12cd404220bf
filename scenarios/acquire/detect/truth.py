"""Which columns of a field are truly changed, in a process of its own after the instrument was sealed (``python -m scenarios.acquire.detect.truth SESSION
TICKET``): JSON with ``changed``, for each column that was tested 1 or 0, and ``settings`` by name."""

import json
import sys
from pathlib import Path

import numpy as np

from instrument.core.journal import Journal
from instrument.remote.client import TruthClient


def main(folder: str, ticket: str) -> None:
    """Print what is true of a session's columns: those nearest to where they were looked at."""
    with Journal.open(Path(folder)) as journal:
        columns = next(iter(journal.rows("columns"))).arrays["places"]
    with TruthClient(ticket, timeout=60.0) as truth:
        facts = truth.facts()
    places = np.asarray(facts["columns"])
    apart = np.hypot(*(columns[:, None] - places[None]).transpose(2, 0, 1))
    nearest = apart.argmin(1)
    values = {name: float(facts[name]) for name in ("C10", "C12.a", "C12.b", "source", "gain", "cells")}
    changed = np.asarray(facts["changed"])[nearest].astype(int).tolist()
    json.dump({"changed": changed, "off": apart.min(1).tolist(), "settings": values}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
