"""``emtwin simulate`` reports its scan, its sampling, and values in doubtful units in the output, the file and the picture."""

from typing import Any

import numpy as np
import pytest
import zarr

from scenarios.simulate.output.show import print_simulated
from tests.scenarios.simulate.test_simulate import DETECTORS, A, simulated, values
from twin.simulation.plan.reading import from_dict
from twin.simulation.provenance import caption_of
from twin.simulation.ready import make_ready, square_fov
from twin.simulation.sampling import Sampling, sampling_of, warning


@pytest.mark.parametrize(
    ("shape", "unit", "fov"),
    [
        ((16, 16), (4.0, 4.0, 1.0), (4.0, 4.0)),
        # a hexagonal cell made orthogonal is sqrt(3) longer than wide: 16 pixels along its longer side set the pixel
        ((16, 16), (2.0, 2.0 * 3**0.5, 1.0), (2.0 * 3**0.5, 2.0 * 3**0.5)),
        ((16, 32), (4.0, 4.0, 1.0), (8.0, 4.0)),
        ((1, 20), (5.0, 3.0, 1.0), (5.0, 0.25)),
        ((20, 1), (5.0, 3.0, 1.0), (0.15, 3.0)),
        ((1, 1), (5.0, 3.0, 1.0), (5.0, 5.0)),
    ],
)
def test_default_field_of_view_has_square_pixels_and_holds_a_cell(shape, unit, fov):
    sides = square_fov(shape, unit)
    np.testing.assert_allclose(sides, fov, rtol=1e-12)
    assert sides[0] / shape[1] == pytest.approx(sides[1] / shape[0])


@pytest.fixture
def hexagonal(tmp_path):
    """Values of a scan over zinc [001], whose cell is hexagonal."""
    from ase.build import bulk

    bulk("Zn", "hcp", a=2.665, c=4.947).write(tmp_path / "zn.cif")
    specimen = {"structure": "zn.cif", "cells": 1, "size": [10.0, 10.0]}
    return values("stem", specimen=specimen, detectors=DETECTORS, scan={"shape": [6, 6]}) | {"folder": str(tmp_path)}


def test_hexagonal_scan_is_square_in_its_pixels_and_says_what_it_covers(hexagonal):
    ready = make_ready(from_dict(hexagonal, "test"))
    x, y = ready.fov
    assert x / y == pytest.approx(1.0)
    assert min(ready.made.unit[:2]) < x == pytest.approx(max(ready.made.unit[:2]))
    said = " ".join(ready.notes)
    assert f"square pixels cover {x:.4g} x {y:.4g} angstrom" in said
    assert f"{x:.4g} x {y:.4g} Å" in caption_of(ready)


def test_pixels_that_are_not_square_are_noted(hexagonal):
    hexagonal["scan"]["fov"] = [2.0, 3.0]
    ready = make_ready(from_dict(hexagonal, "test"))
    assert ready.fov == (2.0, 3.0)
    assert any("not square" in note for note in ready.notes)


def test_sampling_stands_in_result_and_file_and_above_the_tolerance_as_a_warning(tmp_path, capsys):
    _, result, out = simulated(tmp_path, "exit-wave", grid__tolerance=1e-6)
    kept: dict[str, Any] = dict(zarr.open_group(out, mode="r", zarr_format=3).attrs)
    for key in ("scan", "sampling", "warnings"):
        assert result[key] == kept[key]
    assert result["scan"] is None
    np.testing.assert_allclose(result["sampling"]["points"], [3 * A / 90, 3 * A / 90])
    assert set(result["sampling"]["errors"]) == {"scattered wave"}
    assert "above grid.tolerance = 1e-06" in result["warnings"][0]
    print_simulated(result)
    printed = " ".join(capsys.readouterr().out.split())
    assert "estimated error of the scattered wave" in printed
    assert "above grid.tolerance" in printed


def test_no_warning_within_the_tolerance():
    sampling = Sampling((0.05, 0.05), 0.1, 0.01, {"HAADF": 0.03, "ABF": 0.01}, None)
    assert warning(sampling, 0.03) is None
    assert "estimated error of the HAADF is 3 %" in str(warning(sampling, 0.02))


@pytest.mark.parametrize(
    ("signal", "tables", "expected"),
    [
        ("hrtem", {"specimen__tilt_mrad": [0.005, 0.0]}, ["specimen.tilt_mrad = 0.005 mrad", "rad, write 5"]),
        ("hrtem", {"specimen__u2": {"Sr": 0.62, "Ti": 0.44, "O": 0.73}}, ["specimen.u2", "B = 8 pi^2 u2, write 0.007852"]),
        ("hrtem", {"beam__cc": 1.4, "beam__energy_spread": 0.3}, ["beam.cc", "mm, write 1.4e+07"]),
        ("hrtem", {"beam__cc": 1.4e7, "beam__energy_spread": 300.0}, ["beam.energy_spread", "meV, write 0.3"]),
    ],
)  # fmt: skip
def test_value_in_another_unit_is_doubted(signal: str, tables: dict[str, Any], expected: list[str]):
    notes = " ".join(make_ready(from_dict(values(signal, **tables), "test")).notes)
    for words in expected:
        assert words in notes


def test_usual_values_are_not_doubted():
    tables = {"specimen__tilt_mrad": [2.0, 0.0], "beam__cc": 1.4e7, "beam__energy_spread": 0.3}
    assert not any("unusual" in note for note in make_ready(from_dict(values("hrtem", **tables), "test")).notes)


def test_sampling_error_of_a_pattern_falls_with_the_sampling():
    coarse, fine = (
        sampling_of(make_ready(from_dict(values("diffraction", grid={"gpts": [n, n]}), "test"))) for n in (90, 180)
    )
    assert fine.worst[1] < 0.5 * coarse.worst[1]
    assert fine.beyond < coarse.beyond
    assert fine.band == pytest.approx(2.0 * coarse.band)
