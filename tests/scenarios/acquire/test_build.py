"""The twin of a scenario: bad input is refused before anything is computed; models are stored by what they depend on."""

import inspect
from collections.abc import Callable
from pathlib import Path
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
    [
        ({"priors": {"thicknes": (28.0, 3.0)}}, "thicknes"),
        ({"structure": "unobtainium"}, "unobtainium"),
        ({"column": "dens"}, r"twin.column.*does not fit images.*C10"),
        ({"column": "unobtainium"}, "unobtainium"),
    ],
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


class Builds:
    """Builds twins, with a small model in place of the crystal's; ``count`` is how many models were computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.count, self.messages, self.monkeypatch, self.folder = 0, [], monkeypatch, folder
        self.replace_builder()

    def replace_builder(self, **defaults: Any) -> None:
        """Replace `build_gram` by one whose parameters have other ``defaults``."""

        def make(*_: Any, **__: Any):
            self.count += 1
            return small_gram()

        signature = inspect.signature(original)
        parameters = [p.replace(default=defaults.get(p.name, p.default)) for p in signature.parameters.values()]
        make.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportFunctionMemberAccess]
        self.monkeypatch.setattr(build.crystal, "build_gram", make)

    def __call__(self, **twin: Any) -> build.TwinModel:
        return build.build_twin(scenario(**twin), lambda text, _: self.messages.append(text), self.folder)


original = build.crystal.build_gram


@pytest.fixture
def built(monkeypatch, tmp_path) -> Builds:
    return Builds(monkeypatch, tmp_path)


@pytest.mark.slow
def test_a_model_is_computed_once(built):
    first, again = built(), built(priors={"thickness": (30.0, 2.0)})
    assert built.count == 1
    np.testing.assert_array_equal(first.microscope.gram.gram_real, again.microscope.gram.gram_real)
    assert again.microscope.layout.prior_std()[again.microscope.layout.index("thickness")] == 2.0


def test_a_damaged_model_is_computed_again(built):
    built()
    (stored,) = built.folder.iterdir()
    stored.write_bytes(stored.read_bytes()[:1000])
    built()
    assert built.count == 2
    assert "cannot be read" in built.messages[-1]


def test_a_model_of_other_inputs_is_another_model(built, monkeypatch):
    built()
    monkeypatch.setattr(build, "DEPTHS", (4, 6))
    built()
    assert built.count == 2
    # a default of the builder is an input too, though no scenario names it
    built.replace_builder(gpts=192)
    built()
    assert built.count == 3
    monkeypatch.setattr(build.crystal, "VERSION", build.crystal.VERSION + 1)
    built()
    assert built.count == 4


def test_a_change_of_source_code_computes_nothing_again(built, monkeypatch):
    built()
    monkeypatch.setattr(Path, "read_bytes", _other_source(Path.read_bytes))
    built()
    assert built.count == 1


def _other_source(read: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
    return lambda path: read(path) + b"# a comment" if path.suffix == ".py" else read(path)
