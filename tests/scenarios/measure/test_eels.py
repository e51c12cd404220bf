"""``emtwin measure eels`` from files: quantities, maps, the low loss beside, what it refuses and what it says can still be done."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.readers import close_reader, read_vendor
from reconstruct import measure
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, run
from tests.scenarios.measured import stored_spectra
from tests.synthetic.eels.spectra import core_image, low_loss, recorded
from twin.errors import BadInput

OFFSET, STEP, CHANNELS = 400.0, 1.0, 256
ENERGIES = OFFSET + STEP * np.arange(CHANNELS)
ANGLES = ("--energy-keV", "200", "--collection-mrad", "33", "--semiangle-mrad", "21")
ELECTRONS = 2e5


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A core-loss image of 8 x 10 spectra, its low loss (twice the electrons, half the exposure), and files with one thing wrong."""
    folder = tmp_path_factory.mktemp("eels")
    mean, _ = core_image(8, 10, ENERGIES, ELECTRONS, 0)
    counts = recorded(mean, 1, gain=10.0)
    low = np.random.default_rng(2).poisson(low_loss(600, -10.0, 0.25, 1e7, 0.3)).astype(float)
    saturated = counts.copy()
    saturated[2, 3, 40:50] = saturated.max() + 1.0
    return {
        "core": stored_spectra(folder / "core.hspy", counts, OFFSET, STEP),
        "low": stored_spectra(folder / "low.hspy", 10.0 * low, -10.0, 0.25),
        "flat": stored_spectra(folder / "flat.hspy", np.full((4, CHANNELS), 100.0), OFFSET, STEP),
        "saturated": stored_spectra(folder / "saturated.hspy", saturated, OFFSET, STEP),
        "negative": stored_spectra(folder / "negative.hspy", counts - counts.mean(), OFFSET, STEP),
        "low-image": stored_spectra(folder / "low-image.hspy", np.tile(10.0 * low, (3, 3, 1)), -10.0, 0.25),
    }


def command(capsys: pytest.CaptureFixture[str], *words: object, code: int = DONE) -> dict[str, Any]:
    assert run(["measure", "eels", *(str(word) for word in words), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run(["measure", "eels", *(str(word) for word in words)]) == BAD_INPUT
    return capsys.readouterr().err


@pytest.mark.slow
def test_edges_of_a_spectrum_image_with_maps_and_a_figure(files, capsys, tmp_path: Path) -> None:
    result = command(capsys, files["core"], *ANGLES, "--elements", "Ti,O", "--map", "--figure", tmp_path / "figure.png")
    names = [quantity["name"] for quantity in result["quantities"]]
    assert {"electrons_Ti", "electrons_O", "ratio_O_Ti", "background_exponent"} <= set(names)
    assert "unverifiable" in result["undetermined"]["energy_offset"]
    assert "unverifiable" in result["undetermined"]["thickness"]
    assert result["checks"][0]["passed"]
    assert result["details"]["camera"]["counts_per_electron"] == pytest.approx(10.0, rel=0.05)
    titanium = next(item for item in result["maps"] if item["name"] == "electrons_Ti")
    values = np.array(titanium["values"])
    assert values.shape == np.array(titanium["errors"]).shape == (8, 10)
    assert values[:, :5].mean() > 2.5 * values[:, 5:].mean()  # 1 against 0.3
    assert [edge["element"] for edge in result["details"]["edges"]] == ["Ti", "O"]
    assert all(edge["false_alarm"] < 1e-6 for edge in result["details"]["edges"])
    assert "low_loss" not in str(result["notes"])
    assert "--low-loss" in str(result["notes"])
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_atoms_per_area_with_the_low_loss(files, capsys) -> None:
    """The exposure of the core loss makes ELECTRONS of the low loss's 1e7: the truth is what the image was made of."""
    _, amplitudes = core_image(8, 10, ENERGIES, ELECTRONS, 0)
    result = command(
        capsys, files["core"], *ANGLES, "--elements", "Ti,O", "--gain", 10, "--low-loss", files["low"], "--exposure-ratio", 0.02, "--mean-free-path-nm", 120
    )  # fmt: skip
    values = {quantity["name"]: quantity for quantity in result["quantities"]}
    assert not result["undetermined"]
    assert values["t_over_lambda"]["value"] == pytest.approx(0.3, rel=0.05)
    assert values["thickness"]["value"] == pytest.approx(360.0, rel=0.06)
    for element in ("Ti", "O"):
        quantity = values[f"areal_density_{element}"]
        # the synthetic edges have no plural scattering: the fit with it sees more in the zero loss
        truth = amplitudes[element].mean() / (0.02 * 1e7)
        assert abs(quantity["value"] - truth) < 4.0 * quantity["error"] + 0.3 * truth


@pytest.mark.slow
def test_python_says_the_same_and_takes_arrays(files, capsys) -> None:
    printed = command(capsys, files["core"], *ANGLES, "--elements", "Ti,O")
    known = {"energy": 200e3, "collection": 33e-3, "semiangle": 21e-3, "elements": ("Ti", "O")}
    result = measure("eels", read_vendor(files["core"])[0], **known)
    assert result.values == {quantity["name"]: quantity["value"] for quantity in printed["quantities"]}
    assert result.maps[0].values.shape == (8, 10)
    data = read_vendor(files["core"])[0].data
    again = measure("eels", np.asarray(data), dispersion=STEP, offset=OFFSET, **known)
    assert again.values == pytest.approx(result.values)


@pytest.mark.slow
def test_elements_are_proposed(files, capsys) -> None:
    result = command(capsys, files["core"], *ANGLES)
    assert {item["element"] for item in result["details"]["proposed"]} == {"Ti", "O"}


def test_nothing_to_see_is_undetermined(files, capsys) -> None:
    result = command(capsys, files["flat"], "--energy-keV", 200, code=DISAGREES)
    assert result["outcome"] == "undetermined"
    assert "--elements" in str(result["notes"])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("core", ("--elements", "Ti", "--dispersion-eV", "0"), ("dispersion is 0 eV", "State --dispersion-eV and --offset-eV")),
        ("saturated", ("--elements", "Ti"), ("10 channels from 440 to 449 eV", "1 of 80 spectra", "--range-eV")),
        ("negative", ("--elements", "Ti"), ("dark level", "--black -")),
        ("core", ("--elements", "Ti,C"), ("C has no edge within", "K 284", "to measure the others")),
        ("core", ("--elements", "Ti,Xx"), ("'Xx' is no element",)),
        ("core", ("--elements", "Ti", "--range-eV", "600,500"), ("--range-eV", "does not rise")),
        ("core", ("--elements", "Ti", "--low-loss", "core"), ("--low-loss", "has no zero loss", "ratios of elements are measured without it")),
        ("core", ("--elements", "Ti", "--low-loss", "low-image"), ("--low-loss", "3 x 3 spectra", "8 x 10", "Sum its spectra")),
        ("core", ("--elements", "Ti", "--dispersion-eV", "nan"), ("--dispersion-eV", "not a finite number")),
    ],
)  # fmt: skip
def test_bad_input_says_what_can_still_be_done(
    name: str, options: tuple[str, ...], words: tuple[str, ...], files, capsys
) -> None:
    given = [files.get(word, word) if before == "--low-loss" else word for before, word in zip(("", *options), options, strict=False)]  # fmt: skip
    message = refused(capsys, files[name], *ANGLES, *given)
    for word in words:
        assert word in message


def test_without_a_collection_angle_edges_are_refused(files, capsys) -> None:
    assert "--collection-mrad" in refused(capsys, files["core"], "--energy-keV", 200, "--elements", "Ti")


@pytest.mark.slow
def test_the_titanate_spectrum_image(data: Path) -> None:
    """Real: half of the spectra predict the noise of the others; Ti, O and what rises speak for beside."""
    result = measure("eels", read_vendor(data / "spectra" / "titanate-si-eels.dm3")[0], elements="Ti,O")
    assert 0.9 < result.measurement.misfit < 1.2
    assert {item["element"] for item in result.measurement.details["proposed"]} == {"La", "Mn"}
    assert 24.0 < result.measurement.details["camera"]["counts_per_electron"] < 33.0
    oxygen, error = result["ratio_O_Ti"]
    assert 3.0 < oxygen < 4.5  # SrTiO3 on LaMnO3
    assert error > 0.1
    maps = {item.name: item for item in result.maps}
    titanium = maps["electrons_Ti"].values.mean(axis=1)
    assert titanium[:15].mean() > 3.0 * titanium[21:26].mean()
    assert "unverifiable" in result.undetermined["energy_offset"]


@pytest.mark.slow
def test_the_low_loss_of_aluminium(data: Path) -> None:
    result = measure("eels", read_vendor(data / "spectra" / "al-low-loss.dm3")[0], elements="Al")
    energy, error = result["plasmon_energy"]
    assert energy == pytest.approx(15.0, abs=0.3)
    assert error < 0.02
    assert 0.14 < result["t_over_lambda"][0] < 0.22
    assert "thickness" not in result.undetermined


@pytest.mark.parametrize("name", ["dm-eels-spectrum.dm3", "tia-spectrum-image.emi"])
def test_spectra_without_electrons_are_undetermined(name: str, data: Path) -> None:
    assert measure("eels", read_vendor(data / "spectra" / name)[0]).outcome == "undetermined"


def test_proposed_elements_wait_for_the_collection_angle(files, capsys) -> None:
    result = command(capsys, files["core"], "--energy-keV", 200, code=DISAGREES)
    assert result["outcome"] == "undetermined"
    assert "--collection-mrad" in str(result["notes"])


@pytest.mark.slow
def test_a_low_loss_stays_where_the_edges_do_not_fit(tmp_path: Path, capsys) -> None:
    """An edge at 73 eV on plural plasmons that no power law is: the counts per electron are told, so that the misfit is seen."""
    counts = np.random.default_rng(0).poisson(low_loss(1200, -10.0, 0.2, 3e7, 1.0)).astype(float)
    path = stored_spectra(tmp_path / "low.hspy", counts, -10.0, 0.2)
    result = command(capsys, path, *ANGLES, "--gain", 1, "--elements", "Al", code=DISAGREES)
    assert result["outcome"] == "the model does not fit"
    values = {quantity["name"]: quantity for quantity in result["quantities"]}
    assert values["t_over_lambda"]["determined"]
    assert values["t_over_lambda"]["value"] == pytest.approx(1.0, rel=0.02)
    assert not values["areal_density_Al"]["determined"]


@pytest.mark.slow
def test_shallow_edges_that_nothing_tests_are_refused(tmp_path: Path, capsys) -> None:
    """The same without counts per electron: the noise would be what the fit leaves, misfit included."""
    counts = np.random.default_rng(0).poisson(low_loss(1200, -10.0, 0.2, 3e7, 1.0)).astype(float)
    path = stored_spectra(tmp_path / "low.hspy", counts, -10.0, 0.2)
    result = command(capsys, path, *ANGLES, "--elements", "Al", code=DISAGREES)
    assert result["outcome"] == "undetermined"
    reason = result["undetermined"]["areal_density_Al"]
    assert "Al L2,3" in reason
    assert "--gain" in reason
    assert "--range-eV" in reason
    assert "t_over_lambda" not in result["undetermined"]


@pytest.mark.slow
def test_edges_of_known_energies_tell_where_the_axis_is(files, capsys) -> None:
    """An axis that reads 4 eV too much: onsets that are stated determine it, and without them it is said how."""
    stated = ("--elements", "Ti,O", "--gain", 10, "--offset-eV", OFFSET + 4.0)
    result = command(capsys, files["core"], *ANGLES, *stated, "--edges-eV", "Ti L=456,O K=532")
    offset = next(quantity for quantity in result["quantities"] if quantity["name"] == "energy_offset")
    assert offset["determined"]
    assert abs(offset["value"] - OFFSET) < 3.0 * offset["error"]
    assert offset["error"] < 2.0
    result = command(capsys, files["core"], *ANGLES, *stated)
    assert "--edges-eV" in result["undetermined"]["energy_offset"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--edges-eV", "Ti L"), ("--edges-eV", "no edge with its energy")),
        (("--edges-eV", "Ti L=656"), ("--edges-eV", "not near 656 eV", "L3 4")),
        (("--edges-eV", "O K=532"), ("--edges-eV", "none of the elements", "--elements")),
        (("--drift-eV", "-1"), ("--drift-eV",)),
    ],
)
def test_edges_and_drift_that_cannot_be(options: tuple[str, ...], words: tuple[str, ...], files, capsys) -> None:
    message = refused(capsys, files["core"], *ANGLES, "--elements", "Ti", *options)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("core", {"dispersion": 0.0}, ("dispersion is 0 eV", "dispersion")),
        ("saturated", {}, ("the camera is saturated", "give range")),
        ("negative", {}, ("dark level", "state black")),
        ("core", {"elements": "Ti,C"}, ("C has no edge within", "leave it out of elements")),
        ("core", {"range": (600.0, 500.0)}, ("range", "does not rise")),
        ("core", {"low_loss": "core"}, ("low_loss", "has no zero loss", "Leave low_loss out")),
        ("core", {"low_loss": "low-image"}, ("low_loss", "3 x 3 spectra", "Sum its spectra")),
        ("core", {"edge_energies": {"Ti L": 656.0}}, ("edge_energies", "not near 656 eV")),
    ],
)
def test_python_refuses_the_same_in_its_own_words(
    name: str, known: dict[str, Any], words: tuple[str, ...], files
) -> None:
    known = {"energy": 200e3, "collection": 33e-3, "semiangle": 21e-3, "elements": "Ti", **known}
    if "low_loss" in known:
        known["low_loss"] = read_vendor(files[known["low_loss"]])[0]
    with pytest.raises(BadInput) as refused:
        measure("eels", read_vendor(files[name])[0], **known)
    for word in words:
        assert word.lower() in str(refused.value).lower()
