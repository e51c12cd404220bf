"""What every test runs under: shapes, dtypes and types checked at every call of our numerical code, float64, no silent broadcasting of ranks."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before NumPy is imported, for workers and the commands under test too: tests run two at a time, and threads of linear algebra would wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest
from beartype import BeartypeConf
from beartype.claw import beartype_packages
from jaxtyping import install_import_hook

from tests.once import FOLDER
from tests.recorded import data_folder

ROOT = Path(__file__).resolve().parent
PACKAGES = ("twin", "reconstruct", "learn")


def _modules(line: str) -> list[str]:
    """The modules of our packages that have such a ``line``."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in paths
        if line in path.read_text(encoding="utf-8")
    ]


# Before anything imports them: every annotated function of these packages checks its arguments' types, dtypes and shapes. Where no
# annotation says a shape beartype alone does it: looking after shapes there made the streams six times slower. Annotations by names that
# only a type checker imports (ASE's) cannot be checked here.
_SHAPED = _modules("from jaxtyping import")
_NEITHER = (*_SHAPED, *_modules("if TYPE_CHECKING:"))
beartype_packages(PACKAGES, conf=BeartypeConf(claw_is_pep526=False, claw_skip_package_names=_NEITHER))
_hook = install_import_hook(_SHAPED, "beartype.beartype")

# A folder that all processes of this run share, workers and the commands under test: see tests/once.py.
_OWN = FOLDER not in os.environ
_RUN = Path(os.environ.setdefault(FOLDER, tempfile.mkdtemp(prefix="emtwin-tests-") if _OWN else ""))
# What one test compiles no other compiles again, in whatever process, nor does the next run: workers and the commands under test take this from the
# environment. Not the smallest: they would be thousands of files.
from twin.cache_folder import limit_size, writable
from twin.compiled_programs import machine_key

PROGRAMS = ROOT / ".pytest_cache" / "programs"
MAX_MAPS = 25_000
"""Memory maps of a process above which compiled programs are dropped; Linux gives a process 65,530."""
_KEPT = PROGRAMS / machine_key()
CACHE = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_KEPT if writable(_KEPT) else _RUN / "jax"))
_LEAST = os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.02")
if _OWN:
    limit_size(PROGRAMS, 2**28, "-cache")
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", float(_LEAST))

# Compiled programs are millions of objects that live as long as the process: looking through them all for cycles takes most of a second each time.
gc.set_threshold(20_000, 10, 100)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))


def pytest_unconfigure() -> None:
    """Take the run's folder away again, where this process made it."""
    if _OWN:
        shutil.rmtree(_RUN, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _few_programs() -> Iterator[None]:
    """Programs are dropped between files where there are many: each takes half a dozen memory maps, and compiling without one left is a segmentation
    fault."""
    yield
    maps = Path("/proc/self/maps")
    if maps.is_file() and len(maps.read_bytes().splitlines()) > MAX_MAPS:
        jax.clear_caches()
        gc.collect()


# Benchmarks are run, not collected: `python -m tests.benchmarks`.
collect_ignore = ["tests/benchmarks"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Doctests are smoke tests."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker("smoke")


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    """Address of a small instrument that is served, for the examples in docstrings."""
    from tests.instrument.remote.toy import Toy, serving

    with serving(Toy()) as server:
        yield server.address


@pytest.fixture(autouse=True)
def _instruments_of_examples(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What examples of the instrument's interface need: an ``address``, a ``small`` configuration, and the cache of this run."""
    if isinstance(request.node, pytest.DoctestItem) and request.node.name.startswith("instrument.api"):
        from tests.instrument.simulation.tiny import TINY
        from tests.once import run_folder

        monkeypatch.setenv("EMTWIN_CACHE", str(run_folder("specimens")))
        doctest_namespace |= {"address": request.getfixturevalue("served"), "small": TINY}


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real files; the test is skipped, saying so, where it is absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no folder of real data: set EMTWIN_DATA, or lay it at ../shared/data beside the project")
    return folder
