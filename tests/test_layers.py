"""Import rules: layers are imported in one direction, and the instrument server does not load JAX."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Run in a process of its own, since this one has JAX already; prints which forbidden modules got loaded.
_PROBE = """
import sys
{body}
print("loaded:", sorted(set(sys.modules) & {{"jax", "jaxlib", "equinox", "jaxtyping", "tinygp"}}))
"""


def _loaded_by(body: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", _PROBE.format(body=body)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip().splitlines()[-1]


@pytest.mark.smoke
def test_probe_sees_jax():
    assert "'jax'" in _loaded_by("import jax")


@pytest.mark.parametrize(
    "module",
    [
        "twin", "twin.channels", "twin.records", "instrument", "instrument.remote.server", "instrument.remote.client", "instrument.remote.launch",
        "instrument.core.journal", "instrument.simulation.instrument", "instrument.replay", "scenarios.cli.main",
    ],
)  # fmt: skip
def test_module_loads_no_jax(module: str):
    assert _loaded_by(f"import {module}") == "loaded: []"


@pytest.mark.parametrize("kind", ["simulated", "replay"])
def test_serve_command_loads_no_jax(kind: str):
    body = f"""
from scenarios.cli.main import run
import contextlib, io
try:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        run(["instrument", "serve", "{kind}", "--help"])
except SystemExit as end:
    assert end.code in (0, None), end.code
assert "--port" in output.getvalue(), output.getvalue()
"""
    assert _loaded_by(body) == "loaded: []"


def test_layers_hold():
    """import-linter's contracts, as CI checks them; each contract is one that the code could break."""
    process = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in process.stdout
