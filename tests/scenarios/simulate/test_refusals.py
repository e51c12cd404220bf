"""What ``emtwin simulate`` refuses: before anything is computed, with input, problem and cure, and with nothing left behind."""

import json
from typing import Any

import pytest

from scenarios.cli.main import BAD_INPUT, run
from scenarios.io.errors import BadInput
from scenarios.io.progress import SilentProgress
from scenarios.simulate import job
from scenarios.simulate.job import run_simulate
from tests.scenarios.simulate.test_simulate import values
from twin.simulation.plan.reading import from_dict

ADF = {"kind": "annular", "inner_mrad": 30, "outer_mrad": 50}
NAN = float("nan")


@pytest.mark.parametrize(
    ("signal", "tables", "expected"),
    [
        ("stem", {}, ["detectors", "needs a detector", "detectors.NAME"]),
        ("stem", {"detectors": {"D": {**ADF, "inner_mrad": 60}}}, ["detectors.D.inner_mrad", "60 mrad is not below outer_mrad = 50"]),
        ("stem", {"detectors": {"D": {**ADF, "outer_mrad": 300}}}, ["detectors.D", "too coarse", "gpts"]),
        ("stem", {"detectors": {"D": {**ADF, "outr_mrad": 3}}}, ["outr_mrad", "outer_mrad"]),
        ("stem", {"detectors": {"D": {**ADF, "kind": "anular"}}}, ["anular", "annular"]),
        ("stem", {"detectors": {"D": {"kind": "pixelated"}}}, ["detectors.D", "4d-stem"]),
        ("stem", {"detectors": {"D": ADF}, "scan": {"shape": [0, 4]}}, ["scan.shape"]),
        ("stem", {"detectors": {"D": ADF}, "specimen__thermal": "debye-waller"}, ["detectors.D", "diffuse", "phonons"]),
        ("stem", {"detectors": {"D": ADF}, "specimen__thermal": "absorptive"}, ["detectors.D", "diffuse", "phonons"]),
        ("stem", {"detectors": {"D": ADF}, "compute": {"form": "magic"}}, ["compute.form"]),
        ("stem", {"detectors": {"D": ADF}, "compute__form": "crystal", "specimen__phonons": {"configurations": 1}}, ["compute.form", "at rest"]),
        ("cbed", {"compute__form": "gram"}, ["compute.form", "stem"]),
        ("4d-stem", {"detectors": {"D": ADF}}, ["detectors", "pixelated"]),
        ("4d-stem", {"detectors": {"D": {"kind": "pixelated", "reach_mrad": 90}}}, ["reach_mrad", "carries"]),
        ("4d-stem", {"scan": {"shape": [300, 300]}}, ["memory_MB", "recording takes"]),
        ("4d-stem", {"compute": {"memory_MB": 1}, "grid": {"gpts": [360, 360]}}, ["memory_MB", "too small"]),
        ("4d-stem", {"dose": {"per_area": 0}}, ["dose.per_area"]),
        ("cbed", {"dose": {"electrons": 0.0}}, ["dose.electrons"]),
        ("cbed", {"dose": {"per_area": 10.0}}, ["dose.per_area", "electrons"]),
        ("cbed", {"dose": {}}, ["dose", "exactly one"]),
        ("cbed", {"beam__position": [0.0, NAN]}, ["beam.position", "nan"]),
        ("cbed", {"beam__defocus": float("inf")}, ["beam.defocus", "finite"]),
        ("cbed", {"beam__defocus": 2000.0}, ["beam.defocus", "probe needs", "specimen.size"]),
        ("cbed", {"beam__aberrations": {"C30": 4e8}}, ["beam", "overlaps itself"]),
        ("cbed", {"beam__aberrations": {"C9": 1.0}}, ["C9", "C10"]),
        ("cbed", {"beam__aberrations": {"C10": 1.0}, "beam__defocus": 1.0}, ["defocus", "C10"]),
        ("cbed", {"beam__semiangle_mrad": 0.1}, ["beam.semiangle_mrad = 0.1", "specimen.size = [612, 612]"]),
        ("cbed", {"beam__semiangle_mrad": 90.0}, ["beam", "aperture reaches"]),
        ("cbed", {"beam__energy_keV": 0.2}, ["beam.energy_keV"]),
        ("cbed", {"beam__focal_spread": 3.0, "beam__cc": 1e7}, ["focal_spread"]),
        ("cbed", {"lens": {}}, ["lens", "no use"]),
        ("cbed", {"camera": {}}, ["camera", "dose"]),
        ("hrtem", {"beam__semiangle_mrad": 20.0}, ["semiangle_mrad", "plane wave"]),
        ("hrtem", {"lens": {"aperture_mrad": 60.0}}, ["lens.aperture_mrad", "sampl"]),
        ("hrtem", {"lens": {"defoci": []}}, ["lens.defoci"]),
        ("hrtem", {"lense": {}}, ["lense", "lens"]),
        ("hrtem", {"specimen__thicknes": 3}, ["thicknes", "thickness"]),
        ("hrtem", {"specimen__thickness": 3.0}, ["specimen.thickness", "both"]),
        ("hrtem", {"specimen": {}}, ["specimen.thickness", "neither"]),
        ("hrtem", {"specimen__zone": [0, 0, 0]}, ["specimen.zone", "no direction"]),
        ("hrtem", {"specimen__zone": [0, 0, 0.5]}, ["specimen.zone"]),
        ("hrtem", {"specimen__structure": "absent.cif"}, ["specimen.structure", "absent.cif"]),
        ("hrtem", {"specimen__size": [9.0, 9.0]}, ["repeats", "size"]),
        ("hrtem", {"specimen__vacancies": {"Fe": 0.1}}, ["specimen.vacancies", "Fe"]),
        ("hrtem", {"specimen__u2": {"Sr": 0.01}}, ["specimen", "u2 lacks"]),
        ("hrtem", {"specimen__thermal": "absorptive", "specimen__phonons": {"configurations": 1}}, ["thermal", "twice"]),
        ("hrtem", {"specimen__phonons": {"configurations": 0}}, ["configurations"]),
        ("hrtem", {"grid": {"gpts": [4, 90]}}, ["grid.gpts"]),
        ("hrtem", {"grid__sampling": 0.1}, ["grid.gpts", "sampling"]),
        ("hrtem", {"grid": {"aperture_mrad": 3}}, ["aperture_mrad", "lens"]),
        ("exit-wave", {"dose": {"per_area": 3.0}}, ["dose", "not counted"]),
        ("dance", {}, ["signal", "dance", "4d-stem"]),
    ],
)  # fmt: skip
def test_refused_before_anything_is_computed(
    signal: str, tables: dict[str, Any], expected: list[str], tmp_path, monkeypatch
):
    monkeypatch.setattr(job, "pieces", lambda *_: pytest.fail("it computes"))
    with pytest.raises(BadInput) as caught:
        run_simulate(from_dict(values(signal, **tables), "mine.toml"), tmp_path / "out.zarr", False, SilentProgress())
    error = caught.value
    for word in expected:
        assert word in f"{error.input} {error.problem} {error.cure}"
    assert error.problem
    assert error.cure
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_failing_at_once_leaves_nothing(tmp_path):
    """Too few nodes for the focal spread is seen only with the wave at hand."""
    lens, tables = {"coherence": "averaged", "aperture_mrad": 25.0}, {"beam__focal_spread": 3000.0}
    plan = from_dict(values("hrtem", lens=lens, **tables), "mine.toml")
    with pytest.raises(ValueError, match="nodes"):
        run_simulate(plan, tmp_path / "out.zarr", False, SilentProgress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0 0.0 0.0 Sr\n0.0 0.0 0.05 Ti", "overlap"),
        ("", "atoms"),
    ],
)
def test_structures_that_cannot_be(text: str, expected: str, tmp_path):
    """Two atoms on top of each other, and a cell with none."""
    from ase import Atoms

    rows = [row.split() for row in text.splitlines()]
    atoms = Atoms(
        [row[3] for row in rows],
        [[float(coordinate) for coordinate in row[:3]] for row in rows],
        cell=[4, 4, 4],
        pbc=True,
    )
    atoms.write(tmp_path / "cell.xyz", format="extxyz")
    plan = from_dict(values("hrtem", specimen__structure="cell.xyz", folder=str(tmp_path)), "mine.toml")
    with pytest.raises(BadInput) as caught:
        run_simulate(plan, tmp_path / "out.zarr", False, SilentProgress())
    assert expected in caught.value.problem
    assert "cell.xyz" in caught.value.input
    assert [path.name for path in tmp_path.iterdir()] == ["cell.xyz"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cbed"], "--out"),
        (["--out", "a.zarr"], "SCENARIO"),
        (["no-such-preset", "--out", "a.zarr"], "stem-haadf"),
        (["absent.toml", "--out", "a.zarr"], "absent.toml"),
        (["other.toml", "--out", "a.zarr"], "kind"),
        (["cbed", "--out", "a.tif"], ".hspy"),
        (["cbed", "--out", "there.zarr"], "exists already"),
        (["cbed", "--out", "pictured.zarr"], "pictured.png"),
        (["cbed", "--out", "nowhere/a.zarr"], "no folder"),
        (["cbed", "--out", "begun.zarr"], "--resume"),
        (["cbed", "--out", "a.zarr", "--resume"], "no interrupted simulation"),
        (["cbed", "--out", "begun.zarr", "--resume", "--seed", "1"], "--seed"),
        (["--out", "begun.zarr", "--resume"], "cannot be read"),
        (["cbed", "--out", "a.zarr", "--seed", "-1"], "--seed"),
    ],
)
def test_command_line_refuses(arguments: list[str], expected: str, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.toml").write_text('name = "a"\nkind = "tune-and-map"\n')
    (tmp_path / "there.zarr").mkdir()
    (tmp_path / "pictured.png").write_bytes(b"")
    (tmp_path / "begun.zarr.part").mkdir()
    (tmp_path / "begun.zarr.part" / "job.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert run(["simulate", *arguments, "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert set(error) == {"input", "problem", "cure"}
    assert expected in " ".join(error.values())
    assert sorted(tmp_path.rglob("*")) == before
