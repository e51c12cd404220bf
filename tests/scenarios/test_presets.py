"""Scenarios from TOML: what is accepted, and the errors for what is not."""

import math

import pytest

from scenarios.acquire.scenario import Scenario, any_from_dict
from scenarios.io.errors import BadInput
from scenarios.presets import default_scenario, load_scenario, preset_names
from twin.records import Scan


@pytest.mark.parametrize("name", preset_names())
def test_presets_load(name: str):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert any_from_dict(scenario.as_dict(), name) == scenario


def test_the_default_preset():
    scenario = default_scenario()
    assert (scenario.requests.count, scenario.requests.sites, scenario.requests.duration) == (60, 7, 1800.0)
    assert (scenario.requests.defocus, scenario.requests.shift) == (100.0, 20.0)
    scan = scenario.make_scan()
    assert isinstance(scan, Scan)
    assert scan.shape == (16, 16)
    assert scan.dose == 1e4
    assert math.isclose(16 * scan.pixel, 3.905, rel_tol=1e-6)


def test_changed_dose_and_seed():
    default = default_scenario()
    scenario = default.changed(dose=1e3, seed=7)
    assert (scenario.scan.dose, scenario.seed) == (1e3, 7)
    assert scenario.requests == default.requests


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 3\nkind = 'tune-and-map'", "name"),
        ("name = 'a'", "kind"),
        ("name = 'a'\nkind = 'dance'", "dance"),
        ("name = 'a'\nkind = 'tune-and-map'\ntolerence = 0.1", "tolerence"),
        ("name = 'a'\nkind = 'tune-and-map'\ntolerance = nan", "tolerance"),
        ("name = 'a'\nkind = 'tune-and-map'\ntolerance = -0.1", "tolerance"),
        ("name = 'a'\nkind = 'tune-and-map'\n[scan]\ndose = inf", "scan.dose"),
        ("name = 'a'\nkind = 'tune-and-map'\n[scan]\nshape = [0, 16]", "scan.shape"),
        ("name = 'a'\nkind = 'tune-and-map'\n[scan]\nshape = [16, 1000]", "scan.shape"),
        ("name = 'a'\nkind = 'tune-and-map'\n[requests]\ncount = 2.5", "requests.count"),
        ("name = 'a'\nkind = 'tune-and-map'\n[requests]\ncount = 3\nsites = 4", "requests.sites"),
        ("name = 'a'\nkind = 'tune-and-map'\n[twin.priors]\nC10 = [0.0, nan]", "twin.priors.C10"),
        ("name = 'a'\nkind = 'tune-and-map'\n[twin]\ncif = 'absent.cif'", "absent.cif"),
        ("name = 'a'\nkind = 'replay-titanate'", "replay"),
        ("name = 'a'\nkind = 'replay'\nbudget = 0", "budget"),
        ("name = 'a'\nkind = 'replay'\n[instrument]\nkind = 'simulated'", "instrument"),
        ("name = 'a'\nkind = 'replay'\nmodel = 'deeper'", "model"),
        ("name = 'a'\nname = 'b'", "TOML"),
        ("just words", "TOML"),
    ],
)
def test_bad_files_name_themselves_the_key_and_the_cure(tmp_path, text: str, message: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_scenario(path)
    assert caught.value.input == str(path)
    assert message in caught.value.problem + caught.value.cure
    assert caught.value.cure


def test_missing_binary_and_folder(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        load_scenario(tmp_path / "absent.toml")
    with pytest.raises(BadInput, match="folder"):
        load_scenario(tmp_path)
    binary = tmp_path / "b.toml"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(BadInput, match="UTF-8"):
        load_scenario(binary)
    with pytest.raises(BadInput, match="tune-and-map"):
        load_scenario("no-such-preset")


def test_cif_is_found_beside_the_file(tmp_path):
    (tmp_path / "crystal.cif").write_text("data_x\n")
    path = tmp_path / "mine.toml"
    path.write_text("name = 'a'\nkind = 'tune-and-map'\n[twin]\ncif = 'crystal.cif'")
    scenario = load_scenario(path)
    assert isinstance(scenario, Scenario)
    assert scenario.cif_path() == tmp_path / "crystal.cif"
