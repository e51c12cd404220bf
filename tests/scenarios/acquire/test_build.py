"""The twin of a scenario: refused before anything is computed, computed once, and kept by what it depends on."""

from typing import Any

import numpy as np
import pytest

import scenarios.acquire.job
from scenarios.acquire import build
from scenarios.acquire.scenario import from_dict
from scenarios.cli.main import BAD_INPUT, run
from scenarios.io.errors import BadInput
from tests.small import small_gram


def scenario(**twin: Any):
    return from_dict({"name": "small", "kind": "tune-and-map", "twin": twin}, "test")


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("computed before it refused")


@pytest.mark.parametrize(
    ("twin", "words"),
    [({"priors": {"thicknes": (28.0, 3.0)}}, "thicknes"), ({"structure": "unobtainium"}, "unobtainium")],
)
def test_what_the_twin_cannot_be_is_refused_before_anything_is_computed(twin, words, monkeypatch, tmp_path):
    monkeypatch.setattr(build.crystal, "build_gram", refuse)
    with pytest.raises(BadInput, match=words):
        build.build_twin(scenario(**twin), refuse, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_the_microscope_cannot_be_is_refused_before_anything_is_computed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "build_twin", refuse)
    monkeypatch.setattr(scenarios.acquire.job, "launch", refuse)
    (tmp_path / "bad.toml").write_text("name = 'bad'\nkind = 'tune-and-map'\n[instrument.config]\nthicknes_scale = 2\n")
    assert run(["acquire", str(tmp_path / "bad.toml"), "--out", str(tmp_path / "s")]) == BAD_INPUT
    message = capsys.readouterr().err
    assert "instrument.config" in message
    assert "thicknes_scale" in message
    assert not (tmp_path / "s").exists()


def test_a_model_is_computed_once_and_computed_anew_where_it_cannot_be_read(monkeypatch, tmp_path):
    commands, messages = [], []

    def make(*arguments: Any, **_: Any):
        commands.append(arguments)
        return small_gram()

    monkeypatch.setattr(build.crystal, "build_gram", make)

    def built(**twin: Any):
        return build.build_twin(scenario(**twin), lambda text, _: messages.append(text), tmp_path)

    first, again = built(), built(priors={"thickness": (30.0, 2.0)})
    assert len(commands) == 1
    np.testing.assert_array_equal(first.microscope.gram.gram_real, again.microscope.gram.gram_real)
    assert again.microscope.layout.prior_std()[again.microscope.layout.index("thickness")] == 2.0
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    built()
    assert len(commands) == 2
    assert "cannot be read" in messages[-1]
    monkeypatch.setattr(build, "DEPTHS", (4, 6))
    built()
    assert len(commands) == 3
