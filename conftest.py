"""What every test runs under: shapes, dtypes and types checked at every call of our numerical code, float64, no silent broadcasting of ranks."""

import os
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

from tests.recorded import data_folder

ROOT = Path(__file__).resolve().parent
PACKAGES = ("twin", "reconstruct", "learn")


def _with_shapes() -> list[str]:
    """The modules whose annotations say shapes: pyright cannot check those, and checking every call of all others costs the streams' tests sixfold."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in paths
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    ]


# Before anything imports them: every annotated function of these modules checks its arguments' shapes, dtypes and types.
_hook = install_import_hook(_with_shapes(), "beartype.beartype")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real files; the test is skipped, saying so, where it is absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no folder of real data: set EMTWIN_DATA, or lay it at ../shared/data beside the project")
    return folder
