"""Compiled programs are cached between commands, separately for each machine, and no damage to the cache breaks a command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from twin import compiled_programs
from twin.cache_folder import limit_size, usable_cache, writable

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
from twin.compiled_programs import start_jax
start_jax()
import jax, jax.monitoring
import jax.numpy as jnp
counts = {}
jax.monitoring.register_event_listener(lambda name, **_: counts.update({name: counts.get(name, 0) + 1}))
value = jax.jit(lambda x: jnp.linalg.cholesky(x @ x.T + jnp.eye(5)).sum())(jnp.arange(25.0).reshape(5, 5))
hits = counts.get("/jax/compilation_cache/cache_hits", 0)
result = {"value": float(value), "type": str(value.dtype), "hits": hits, "folder": jax.config.jax_compilation_cache_dir}
print(json.dumps(result))
"""


def begin(cache: Path, program: str = PROGRAM, **variables: str) -> subprocess.Popen[str]:
    """Start the program in another process, with its cache in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"PYTHONPATH": str(ROOT), "EMTWIN_CACHE": str(cache), "JAX_PLATFORMS": "cpu"}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | variables
    return subprocess.Popen(
        [sys.executable, "-c", program], text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process: subprocess.Popen[str]) -> dict:
    """Its output; it must exit with 0 and print nothing to stderr."""
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return json.loads(out)


def programs_in(cache: Path) -> list[Path]:
    return sorted((cache / "compiled").rglob("*-cache"))


@pytest.mark.slow
def test_a_second_command_compiles_nothing_and_a_broken_program_is_compiled_anew(tmp_path):
    first = ended(begin(tmp_path))
    assert first["type"] == "float64"
    assert (first["hits"], Path(first["folder"]).parent) == (0, tmp_path / "compiled")
    programs = programs_in(tmp_path)
    assert programs
    second = ended(begin(tmp_path))
    assert second["hits"] == len(programs)
    for path in programs:  # cut short, as by a full disk or a command killed while it wrote
        path.write_bytes(path.read_bytes()[:100])
    broken = ended(begin(tmp_path))
    assert (broken["value"], broken["hits"]) == (first["value"], 0)
    assert ended(begin(tmp_path))["hits"] == len(programs)


@pytest.mark.slow
def test_functions_called_from_python_keep_programs_and_leave_single_precision(tmp_path):
    """Also where JAX has compiled something before."""
    program = PROGRAM.replace(
        "from twin.compiled_programs import start_jax\nstart_jax()\n",
        "from twin.compiled_programs import double_precision\n",
    )
    program = program.replace("value = ", "jnp.ones(3).sum()\nwith double_precision():\n    value = ").replace(
        "result = {", 'result = {"outside": str(jnp.ones(1).dtype), '
    )
    first, second = (ended(begin(tmp_path, program)) for _ in range(2))
    assert (first["type"], first["outside"], first["hits"]) == ("float64", "float32", 0)
    assert Path(first["folder"]).parent == tmp_path / "compiled"
    assert second["hits"] > 0
    assert second["value"] == first["value"]


@pytest.mark.slow
def test_commands_at_once_share_programs(tmp_path):
    results = [ended(process) for process in [begin(tmp_path) for _ in range(3)]]
    assert len({result["value"] for result in results}) == 1
    assert ended(begin(tmp_path))["hits"] == len(programs_in(tmp_path))


def test_without_a_writable_folder_nothing_is_cached(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert ended(begin(tmp_path / "file" / "cache"))["folder"] is None


def test_a_folder_that_the_user_named_wins(tmp_path):
    result = ended(begin(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "theirs")))
    assert result["folder"] == str(tmp_path / "theirs")
    assert list((tmp_path / "theirs").glob("*-cache"))
    assert not (tmp_path / "ours").exists()


def test_programs_are_cached_apart_by_processor_versions_and_cores(monkeypatch):
    key = compiled_programs.machine_key()
    assert compiled_programs.machine_key() == key
    monkeypatch.setattr(compiled_programs, "_processor", lambda: "flags: sse2")
    other = compiled_programs.machine_key()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")
    older = compiled_programs.machine_key()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert len({key, other, older, compiled_programs.machine_key()}) == 4


def test_what_was_used_least_recently_goes_first(tmp_path):
    for number, name in enumerate(["c-cache", "a-cache", "b-cache", "other"]):
        path = tmp_path / name
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 + number, 1e9))
    os.utime(tmp_path / "b-cache", (1e9 - 5, 1e9 - 5))
    assert limit_size(tmp_path, 200, "-cache") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-cache", "c-cache", "other"]
    assert limit_size(tmp_path, 200, "-cache") == 0
    assert limit_size(tmp_path, 0) == 3
    assert limit_size(tmp_path / "absent", 0) == 0


def test_a_cache_that_cannot_be_made_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EMTWIN_CACHE", str(tmp_path / "file"))
    assert usable_cache() is None
    monkeypatch.setenv("EMTWIN_CACHE", str(tmp_path / "new" / "cache"))
    assert usable_cache() == tmp_path / "new" / "cache"
    assert writable(tmp_path)
    assert list((tmp_path / "new" / "cache").iterdir()) == []


@pytest.mark.parametrize("text", ["other trouble", "Error reading something else"])
def test_other_warnings_are_shown(text, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("warnings.showwarning", lambda message, *_: shown.append(str(message)))
    monkeypatch.setattr("warnings.filters", [])
    compiled_programs._heal(tmp_path)
    import warnings

    warnings.showwarning(UserWarning(text), UserWarning, "file.py", 1)
    assert shown == [text]
