"""`emtwin acquire` on a recording, through the wire: whole, interrupted and resumed, and without a recording to replay."""

import json

import pytest

import scenarios.replay.session
from scenarios.cli.main import BAD_INPUT, DONE, INTERRUPTED, run

SCENARIO = """
name = "few-spectra"
kind = "replay-titanate"
tolerance = 0.001
max_measured_share = 0.08
[instrument]
kind = "replay"
"""
MOST = int(0.08 * 294)


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text(SCENARIO)
    return str(path)


def _result(text: str) -> dict:
    result = json.loads(text)
    return {name: value for name, value in result.items() if name != "seconds"}


@pytest.mark.slow
def test_interrupted_and_resumed_it_comes_to_the_same_end(data, scenario, tmp_path, capsys, monkeypatch):
    whole, half = str(tmp_path / "whole"), str(tmp_path / "half")
    assert run(["acquire", scenario, "--data", str(data), "--out", whole, "--json"]) == DONE
    expected = _result(capsys.readouterr().out)
    assert expected["measured"] == MOST
    assert (tmp_path / "whole" / "report.html").stat().st_size > 10_000

    true_run = scenarios.replay.session.acquire_map

    def interrupted(remote, journal, **arguments):
        class Stopping:
            def __getattr__(self, name):
                return getattr(arguments["progress"], name)

            def request(self, event):
                if event["index"] == 18:
                    raise KeyboardInterrupt

        return true_run(remote, journal, **{**arguments, "progress": Stopping()})

    with monkeypatch.context() as patch:
        patch.setattr(scenarios.replay.session, "acquire_map", interrupted)
        assert run(["acquire", scenario, "--data", str(data), "--out", half, "--json"]) == INTERRUPTED
    assert f"--resume {half}" in json.loads(capsys.readouterr().out)["error"]["cure"]
    assert run(["session", "show", half, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["resumable"]

    assert run(["acquire", "--resume", half, "--data", str(data), "--json"]) == DONE
    assert _result(capsys.readouterr().out) == expected
    assert run(["acquire", "--resume", half, "--data", str(data), "--json"]) == BAD_INPUT


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_no_recording_is_bad_input(folder, scenario, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "s"
    assert run(["acquire", scenario, "--data", str(tmp_path / folder), "--out", str(out), "--json"]) == BAD_INPUT
    assert folder in " ".join(json.loads(capsys.readouterr().out)["error"].values())
    assert run(["acquire", scenario, "--out", str(out)]) == BAD_INPUT
    assert not out.exists()
