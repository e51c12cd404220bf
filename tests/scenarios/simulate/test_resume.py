"""A simulation interrupted by a real signal goes on where it was, and ends as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from scenarios.cli.main import BAD_INPUT, DONE, INTERRUPTED, run

SCENARIO = """
name = "long"
kind = "simulate"
signal = "stem"
[specimen]
repeats = [3, 3]
cells = 6
phonons = { configurations = CONFIGURATIONS }
[beam]
energy_keV = 200
semiangle_mrad = 20
source = 0.4
[scan]
shape = [16, 16]
[detectors.ADF]
kind = "annular"
inner_mrad = 30
outer_mrad = 60
[dose]
per_area = 1e5
[grid]
gpts = [96, 96]
[compute]
workers = 1
form = "FORM"
"""


def emtwin(folder: Path, *arguments: str) -> subprocess.Popen:
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root}
    # what a shell started in the background ignores the signal, and would hand that down
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "scenarios.cli.main", "simulate", *arguments, "--json"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("form", "configurations", "total"), [("direct", 2, 256), ("gram", 8, 8 * 256)])
@pytest.mark.slow
def test_interrupted_and_resumed_is_as_if_it_never_was(form, configurations, total, tmp_path, monkeypatch, capsys):
    """``total``: the rows of all pieces, one for each probe, and in the Gram form for each configuration as well."""
    scenario = SCENARIO.replace("CONFIGURATIONS", str(configurations)).replace("FORM", form)
    (tmp_path / "long.toml").write_text(scenario)
    running, part = emtwin(tmp_path, "long.toml", "--out", "cut.zarr"), tmp_path / "cut.zarr.part"
    try:
        limit = time.monotonic() + 120.0
        while not list(part.glob("piece-*.npy")):
            assert running.poll() is None, running.communicate()[1]
            assert time.monotonic() < limit
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        stdout, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == INTERRUPTED
    assert json.loads(stdout)["error"]["cure"].endswith("emtwin simulate --out cut.zarr --resume")
    assert not (tmp_path / "cut.zarr").exists()
    assert not (tmp_path / "cut.png").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in part.glob("piece-*.npy")}
    assert 0 < max(int(name[16:25]) for name in kept) < total

    # another scenario is not what was begun
    monkeypatch.chdir(tmp_path)
    Path("other.toml").write_text(scenario.replace("per_area = 1e5", "per_area = 2e5"))
    assert run(["simulate", "other.toml", "--out", "cut.zarr", "--resume", "--json"]) == BAD_INPUT
    assert "begun with" in json.loads(capsys.readouterr().out)["error"]["problem"]
    assert {path.name: path.stat().st_mtime_ns for path in part.glob("piece-*.npy")} == kept

    assert run(["simulate", "--out", "cut.zarr", "--resume", "--json"]) == DONE
    first = json.loads(capsys.readouterr().out)
    assert not part.exists()
    assert run(["simulate", "long.toml", "--out", "whole.zarr", "--json"]) == DONE
    second = json.loads(capsys.readouterr().out)
    resumed, whole = (
        np.asarray(zarr.open_array(name, path="data", mode="r")[...]) for name in ("cut.zarr", "whole.zarr")
    )
    # to rounding: pieces of another size are summed in another order, which may tip a count
    np.testing.assert_allclose(resumed, whole, rtol=1e-4, atol=1.0)
    assert np.count_nonzero(resumed != whole) <= 2
    assert first["flux"]["through"] == pytest.approx(second["flux"]["through"], rel=1e-6)
    assert (first["shape"], first["axes"]) == (second["shape"], second["axes"])
