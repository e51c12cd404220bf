"""The question of a module of tests, as a file in a folder of its own."""

from pathlib import Path

import pytest


@pytest.fixture
def question(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """small.toml with the module's ``QUESTION``, in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(request.module.QUESTION)
    return path
