"""The question of a module of tests, as a file in a folder of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.cli.main import BAD_INPUT, run


@pytest.fixture
def question(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """small.toml with the module's ``QUESTION``, in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(request.module.QUESTION)
    return path


@pytest.fixture
def refused(
    question: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str, str], None]:
    """Checks that the module's ``QUESTION`` with ``new`` instead of ``old`` is bad input, that the ``message`` names it, and that a cure is given."""

    def check(old: str, new: str, message: str) -> None:
        assert old in request.module.QUESTION
        question.write_text(request.module.QUESTION.replace(old, new, 1))
        assert run(["plan", "small.toml", "--json"]) == BAD_INPUT
        error = json.loads(capsys.readouterr().out)["error"]
        assert message in f"{error['input']} {error['problem']}"
        assert error["cure"]

    return check
