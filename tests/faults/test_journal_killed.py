"""A writer killed at any moment: every acknowledged row is there, and the session can be continued."""

import random
import signal
import subprocess
import sys

import numpy as np
import pytest

from instrument.core.journal import Journal
from twin.records import Exposure, Frame, Scan

WRITER = """
import sys
import numpy as np
from instrument.core.journal import Journal
from twin.records import Exposure, Frame, Readings, Scan

with Journal.open(sys.argv[1], write=True) as journal:
    while True:
        number = journal.append("note", {"n": 1}, arrays={"a": np.arange(100)})
        print("note", number, flush=True)
        data = np.full((64, 64), number, np.int32)
        number = journal.append_frame(Frame(data, number, 0, Scan(), {}, Exposure(0.0, 0.0, 0.0)))
        print("frame", number, flush=True)
        number = journal.append_readings([Readings("a", 0, np.arange(5), np.zeros(5))] * 3)
        print("readings", number, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_nothing_acknowledged_is_lost(tmp_path, seed):
    folder = tmp_path / "session"
    Journal.create(folder).close()
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(random.Random(seed).randint(1, 60))]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    process.wait()
    with Journal.open(folder) as journal:
        assert journal.verify() == []
        kinds = {row.id: row.kind for row in journal.rows()}
        for line in acknowledged:
            if line.endswith("\n"):
                kind, number = line.split()
                assert kinds[int(number)] == kind
        frames = [journal.frame(row) for row in journal.rows("frame")]
        assert all((frame.data == frame.sequence).all() for frame in frames)
    with Journal.open(folder, write=True) as journal:
        exposure = Exposure(0.0, 0.0, 0.0)
        number = journal.append_frame(Frame(np.full((64, 64), 7, np.int32), 7, 0, Scan(), {}, exposure))
        assert (journal.frame(number).data == 7).all()
        assert [journal.frame(row).sequence for row in journal.rows("frame")][:-1] == [
            frame.sequence for frame in frames
        ]
        assert journal.verify() == []
