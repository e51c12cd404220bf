"""`measure` from Python: the same numbers as ``emtwin measure`` bit for bit, from arrays, Datasets and signals of files, and refusals that name the input."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from instrument.readers import close_reader, read_vendor
from reconstruct import measure
from reconstruct.measurement.recorded.known import KINDS
from reconstruct.measurement.recorded.result import RecordedMeasurement
from scenarios.cli.main import DISAGREES, DONE, run
from scenarios.measure.given import inputs_of
from scenarios.measure.kinds import KINDS as COMMANDS
from scenarios.simulate.output.files import write_zarr
from tests.scenarios.measured import stored
from tests.synthetic.disks import pattern
from tests.synthetic.films import film
from tests.synthetic.lattices import TITANATE, recorded
from tests.synthetic.scans4d import scanned
from twin import Microscope, Pixelated, Sample, Scan
from twin.api.dataset import dataset_of
from twin.api.simulate import plan_of
from twin.errors import BadInput
from twin.simulation.run import run as simulate_plan

IMAGE = np.random.default_rng(0).poisson(20.0, (64, 64)).astype(float)
SCAN = np.random.default_rng(1).poisson(3.0, (8, 8, 16, 16)).astype(float)
NUMBERS = ("quantities", "covariance", "components", "readings", "undetermined", "misfit", "electrons")


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def command(capsys: pytest.CaptureFixture[str], *words: Any) -> dict[str, Any]:
    """What the command prints under --json."""
    assert run(["measure", *(str(word) for word in words), "--json"]) in (DONE, DISAGREES)
    return json.loads(capsys.readouterr().out)


def same(result: RecordedMeasurement, printed: dict[str, Any]) -> None:
    """Every number of both, bit for bit: JSON of Python's keeps doubles."""
    plain = json.loads(json.dumps(result.to_dict()))
    assert {name: plain[name] for name in NUMBERS} == {name: printed[name] for name in NUMBERS}
    used = [{key: setting[key] for key in ("name", "value", "unit")} for setting in plain["settings"]]
    assert used == [{key: setting[key] for key in ("name", "value", "unit")} for setting in printed["settings"]]


@pytest.mark.slow
def test_a_lattice_by_both_doors(tmp_path: Path, capsys) -> None:
    image = recorded(41, TITANATE, pixels=128, quiet=True, electrons=100.0)
    file = stored(tmp_path / "lattice.zarr", image.image, (("", 1.0), ("", 1.0)))
    printed = command(
        capsys, "lattice", file, "--structure", "SrTiO3", "--pixel-angstrom", image.nominal, "--pixel-error-percent", 7
    )
    result = measure("lattice", image.image, structure="SrTiO3", pixel=image.nominal, pixel_error=0.07)
    same(result, printed)
    same(
        measure("lattice", image.image, structure=Sample.crystal("SrTiO3"), pixel=image.nominal, pixel_error=0.07),
        printed,
    )
    assert result.units["pixel_x"] == "angstrom"
    assert abs(result["pixel_x"][0] - image.truth[0]) < 4.0 * result["pixel_x"][1]


@pytest.mark.slow
def test_thon_rings_by_both_doors(tmp_path: Path, capsys) -> None:
    micrograph = film(4, c30=0.0, dose=500.0)
    file = stored(tmp_path / "film.zarr", micrograph.image, (("", 1.0), ("", 1.0)), unit="counts")
    options = ("--pixel-angstrom", micrograph.pixel, "--energy-keV", 200, "--cs-mm", 0, "--span-nm", 400)
    result = measure("thon", micrograph.image, pixel=micrograph.pixel, energy=200e3, spherical=0.0, span=4000.0)
    same(result, command(capsys, "thon", file, *options))
    assert len(result.readings) == 2


def test_a_disk_by_both_doors(tmp_path: Path, capsys) -> None:
    drawn = pattern(3, crystal=0.0)
    file = stored(tmp_path / "disk.zarr", drawn.counts, (("mrad", 0.5), ("mrad", 0.5)), beam={"semiangle_mrad": 11.0})
    printed = command(capsys, "disk", file)
    result = measure("disk", read_vendor(file)[0])
    same(result, printed)
    assert [claim["agrees"] for claim in result.claims] == [claim["agrees"] for claim in printed["claims"]]
    assert result.claims
    axis = np.arange(drawn.counts.shape[0]) * 5e-4
    angles = {name: (name, axis, {"units": "rad", "step": 5e-4}) for name in ("y", "x")}
    bare = measure("disk", xr.DataArray(drawn.counts, dims=("y", "x"), coords=angles, attrs={"units": "electrons"}))
    assert bare.values["radius"] == result.values["radius"]
    assert bare.claims == []


def test_a_rotation_by_both_doors(tmp_path: Path, capsys) -> None:
    scan = scanned(2, electrons=3000.0)
    sides = (("angstrom", 0.4), ("angstrom", 0.4), ("mrad", 1.0), ("mrad", 1.0))
    file = stored(tmp_path / "scan.zarr", 20.0 * scan.patterns, sides, unit="counts")
    printed = command(capsys, "rotation", file, "--gain", 20, "--frame", "0:12", "--step-angstrom", 0.4)
    same(measure("rotation", 20.0 * scan.patterns, gain=20, frame=slice(0, 12), step=0.4), printed)
    same(measure("rotation", 20.0 * scan.patterns, gain=20, frame="0:12", step=0.4), printed)


@pytest.mark.slow
def test_a_simulated_dataset_and_its_file_say_the_same(tmp_path: Path, capsys) -> None:
    """Axes, claims and provenance of the Dataset of `twin.simulate` are those of the Zarr store that ``emtwin simulate`` writes."""
    sample = Sample.crystal("SrTiO3", cells=2, repeats=(6, 6))
    microscope = Microscope(energy=200e3, semiangle=15e-3)
    camera = Pixelated((48, 48), pixel=0.9e-3)
    plan = plan_of(
        sample, microscope, "4d-stem", scan=Scan((4, 4), fov=3.905), detectors=[camera], dose=1e6, sampling=0.15
    )
    simulated = simulate_plan(plan, sample.structure)
    write_zarr(tmp_path / "scan.zarr", simulated.recording, simulated.provenance)
    dataset = dataset_of(simulated)
    printed = command(capsys, "disk", tmp_path / "scan.zarr")
    result = measure("disk", dataset)
    same(result, printed)
    assert [claim["claimed"] for claim in result.claims] == [claim["claimed"] for claim in printed["claims"]] == [15e-3]
    dataset.to_zarr(tmp_path / "kept.zarr", consolidated=False)
    same(measure("disk", xr.open_zarr(tmp_path / "kept.zarr", consolidated=False)), printed)
    assert command(capsys, "disk", tmp_path / "kept.zarr")["components"] == printed["components"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_defaults_are_those_of_the_command(kind: str) -> None:
    assert inputs_of(kind, COMMANDS[kind].options()).known == KINDS[kind].known()


def test_float64_is_switched_on_for_the_measurement() -> None:
    import jax

    counts = pattern(3, crystal=0.0).counts
    with jax.enable_x64(False):
        single = measure("disk", counts, pixel=5e-4)
    assert single.values == measure("disk", counts, pixel=5e-4).values


@pytest.mark.parametrize(
    ("kind", "data", "known", "words"),
    [
        ("latice", IMAGE, {}, ["kind = 'latice'", "lattice, thon"]),
        ("disk", IMAGE, {"pixels": 1e-3}, ["pixels", "Did you mean pixel?"]),
        ("disk", IMAGE, {"energie": 2e5}, ["energie", "Did you mean energy?"]),
        ("lattice", IMAGE, {"pixel": 0.2}, ["does not say which crystal", "Give structure"]),
        ("lattice", IMAGE, {"structure": "SrTiO3"}, ["how large its pixels are", "Give pixel in angstrom"]),
        ("lattice", IMAGE, {"structure": "SrTiO3", "pixel": np.nan}, ["pixel = nan", "finite number"]),
        ("lattice", IMAGE, {"structure": "SrTiO3", "pixel": "wide"}, ["pixel = 'wide'", "not a number"]),
        ("lattice", IMAGE, {"structure": "SrTiO3", "pixel": (0.2, 0.2)}, ["pixel = (0.2, 0.2)", "not a number"]),
        ("film", SCAN, {"error": [2.0]}, ["error = [2.0]", "dictionary"]),
        ("haadf", IMAGE, {"detector": "70,140"}, ["detector = '70,140'", "not numbers"]),
        ("lattice", IMAGE, {"structure": "no.cif", "pixel": 0.2}, ["no.cif", "neither built in nor a file"]),
        ("lattice", IMAGE, {"structure": "SrTiO3", "zone": (0, 0), "pixel": 0.2}, ["zone = (0, 0)", "0,0,1"]),
        ("lattice", IMAGE, {"structure": "SrTiO3", "pixel": 0.2, "mains": 50.0}, ["mains", "Give dwell in second"]),
        ("lattice", np.full((64, 64), np.nan), {"structure": "SrTiO3", "pixel": 0.2}, ["data", "NaN"]),
        ("lattice", IMAGE[0], {"structure": "SrTiO3", "pixel": 0.2}, ["data", "shape (64,)"]),
        ("lattice", IMAGE.astype(complex), {"structure": "SrTiO3", "pixel": 0.2}, ["complex", "squared modulus"]),
        ("lattice", "image.dm4", {}, ["path 'image.dm4'", "read_vendor"]),
        ("lattice", None, {}, ["data", "NoneType"]),
        ("lattice", np.stack([IMAGE, IMAGE]), {"structure": "SrTiO3", "pixel": 0.2}, ["stack of 2 x 64 x 64", 'frame="N"']),
        ("lattice", [IMAGE, IMAGE], {"structure": "SrTiO3", "pixel": 0.2}, ["is a list", "measures one"]),
        ("thon", IMAGE, {"pixel": 0.5, "spherical": 0.0}, ["energy of the electrons", "Give energy in electronvolt"]),
        ("thon", IMAGE, {"pixel": 0.5, "energy": 200, "spherical": 0.0}, ["energy = 200", "for 200 keV, energy = 200000"]),
        ("disk", IMAGE, {"semiangle": 20.0}, ["semiangle = 20", "for 20 mrad, semiangle = 0.02"]),
        ("rotation", IMAGE, {"gain": 1.0}, ["4D-STEM scan"]),
        ("rotation", SCAN, {}, ["how many counts an electron makes", "Give gain"]),
        ("haadf", IMAGE, {"structure": "SrTiO3", "pixel": 0.2, "energy": 2e5, "semiangle": 0.02}, ["detector", "(inner, outer)"]),
        ("haadf", [IMAGE, IMAGE], {"changes": [1.0]}, ["changes", "1 are given for 2"]),
        ("film", SCAN, {"energy": 2e5, "semiangle": 0.03, "error": {"C99": 2.0}}, ["C99", "C12.a"]),
        ("disk", IMAGE, {"frame": 0}, ["frame = 0", "holds one image"]),
        ("disk", IMAGE, {"part": ((5, 2), (0, 3))}, ["part", "64 x 64"]),
        ("disk", IMAGE, {"bin": 0}, ["bin = 0", "no number of pixels"]),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_named_with_its_cure(
    kind: str, data: Any, known: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(BadInput) as refused:
        inspect.unwrap(measure)(
            kind, data, **known
        )  # as users call it: without the checks of types that tests run under
    assert refused.value.problem
    assert refused.value.cure
    for word in words:
        assert word in str(refused.value)


def test_the_result_shows_itself() -> None:
    result = measure("disk", pattern(3, crystal=0.0).counts, pixel=5e-4, semiangle=0.011)
    html = result._repr_html_()
    assert "<table" in html
    assert "radius" in html
    assert repr(result).startswith("<disk, determined: radius ")
    assert result.covariance.shape == (len(result.names), len(result.names))
    assert result.settings[0].source == "given"
