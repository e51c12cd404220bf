"""What every test runs under: types and shapes checked at every call of our numerical code, float64, no silent broadcasting of ranks."""

import os
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

from tests.recorded import data_folder

# Before anything imports them: every annotated function of these packages checks its arguments' shapes, dtypes and types.
_hook = install_import_hook(["twin", "reconstruct", "learn"], "beartype.beartype")

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
