"""Set-up of JAX for commands and for functions that are called from Python: float64, and a cache of compiled programs.

Programs are cached by the versions of Python and JAX, processor and number of cores: a program compiled for one processor may not run on another, and
JAX's own keys do not distinguish them.
"""

import contextlib
import hashlib
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twin.cache_folder import cores, limit_size, usable_cache, writable

MAX_CACHE_SIZE = 2**30
"""Largest size in bytes of the cache of compiled programs, all versions together; the least recently used are removed first."""
MIN_COMPILE_SECONDS = 0.01
"""Smallest compilation time of a program that is cached: reading one takes some milliseconds."""
_TROUBLE = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']*)'")


def start_jax() -> None:
    """Set JAX up for a command: call it before the first use of JAX."""
    import jax

    jax.config.update("jax_enable_x64", True)
    keep_programs()


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Float64 for as long as it lasts, with compiled programs kept (`keep_programs`) and linear algebra on one thread: for small matrices more threads
    wait for one another."""
    import jax
    from threadpoolctl import threadpool_limits

    keep_programs()
    with threadpool_limits(1, "blas"), jax.enable_x64(True):
        yield


def keep_programs() -> None:
    """Have this process keep the programs that JAX compiles in the cache folder (``EMTWIN_CACHE``), for itself and for later ones.

    A folder that was set before, by JAX's own environment variable or configuration, is left alone.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    folder = _compiled_folder()
    if folder is None:
        return
    limit_size(folder.parent, MAX_CACHE_SIZE, "-cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)
    _heal(folder)


def _compiled_folder() -> Path | None:
    """Where programs compiled by these versions for this processor are kept; None where nothing can be kept."""
    cache = usable_cache()
    folder = None if cache is None else cache / "compiled" / machine_key()
    return folder if folder is not None and writable(folder) else None


def machine_key() -> str:
    """A folder name for what a compiled program depends on beside its source: Python, JAX, the processor's instructions, and the cores it may use."""
    from importlib.metadata import version

    digest = hashlib.sha256(f"{platform.machine()} {_processor()}".encode()).hexdigest()[:12]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"python{python}-jax{version('jax')}-jaxlib{version('jaxlib')}-{digest}-{cores()}"


def _processor() -> str:
    """The processor's model and instruction sets, as the kernel lists them; its name where there is no such list."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    facts = [line for line in lines if line.split(":")[0].strip() in ("model name", "flags", "Features")]
    return "\n".join(sorted(set(facts)))


def _heal(folder: Path) -> None:
    """Have programs in ``folder`` that cannot be read removed, so that they are compiled and kept anew, and say nothing of it.

    JAX compiles a program that it cannot read, with a warning, but never writes over it: a file cut short when a command was killed would else
    cost its compile time and a warning in every command from then on.
    """
    show = warnings.showwarning

    def heed(
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: str | None = None
    ) -> None:
        trouble = _TROUBLE.match(str(message))
        if trouble is None:
            show(message, category, filename, lineno, file, line)
        elif trouble[1] == "reading":
            for path in folder.glob(f"{trouble[2]}-*-cache"):
                path.unlink(missing_ok=True)

    warnings.showwarning = heed
    warnings.filterwarnings("always", message=_TROUBLE.pattern)
