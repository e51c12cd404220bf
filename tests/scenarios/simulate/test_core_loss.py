"""``emtwin simulate`` with core-loss maps among the channels of a STEM image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.readers import read_vendor
from scenarios.io.errors import BadInput
from scenarios.io.progress import SilentProgress
from scenarios.simulate.job import run_simulate
from tests.scenarios.simulate.test_simulate import simulated, values
from twin import EdgeMap, Microscope, Pixelated, Sample, Scan, simulate
from twin.simulation.plan.reading import from_dict

TITANIUM = {"kind": "eels", "edge": "Ti L", "window": [456, 470], "collection_mrad": 20, "channelling": "local"}
RING = {"kind": "annular", "inner_mrad": 8, "outer_mrad": 40}


@pytest.mark.slow
def test_maps_stand_beside_detectors_and_tell_their_error(tmp_path: Path) -> None:
    tables = {
        "detectors": {"ring": RING, "Ti": TITANIUM},
        "specimen": {"repeats": [2, 2], "cells": 1, "thermal": "debye-waller"},
    }
    data, result, _ = simulated(tmp_path, "stem", compute__form="crystal", grid__gpts=[60, 60], **tables)
    assert result["axes"][0]["labels"] == ["ring", "Ti"]
    map_ = data[1]
    assert np.unravel_index(map_.argmax(), map_.shape) == (2, 2)  # the column of titanium
    assert map_.mean() * 3.905**2 == pytest.approx(result["losses"][0]["cross_section"], rel=0.15)
    assert any("Ti: channelling 'local' differs from double channelling by" in note for note in result["notes"])


@pytest.mark.slow
def test_maps_of_probes_are_those_of_the_crystal(tmp_path: Path) -> None:
    """One pass through atoms at rest, as with the detector's own waves, against one unit cell."""
    tables = {"detectors": {"ring": RING, "Ti": TITANIUM}, "specimen": {"repeats": [2, 2], "cells": 1}}
    by_probes, result, _ = simulated(tmp_path, "stem", compute__form="direct", grid__gpts=[60, 60], **tables)
    by_cell, _, _ = simulated(tmp_path, "stem", compute__form="crystal", grid__gpts=[60, 60], **tables)
    assert by_probes == pytest.approx(by_cell, rel=2e-3)
    assert result["losses"] == [
        {
            "channel": "Ti", "edge": "Ti L", "window": [456.0, 470.0], "collection_mrad": 20.0, "channelling": "local",
            "cross_section": result["losses"][0]["cross_section"],
        }
    ]  # fmt: skip


@pytest.mark.slow
def test_a_specimen_that_is_narrow_against_the_range_of_losses_is_told_of(tmp_path: Path) -> None:
    shallow = {**TITANIUM, "edge": "Ti M3", "window": [40, 60]}
    specimen = {"repeats": [2, 2], "cells": 1, "vacancies": {"Sr": 0.5}}
    _, result, _ = simulated(
        tmp_path, "stem", detectors={"M": shallow, "L": TITANIUM}, grid__gpts=[60, 60], specimen=specimen
    )
    told = [note for note in result["notes"] if "angstrom wide" in note]
    assert len(told) == 1
    assert told[0].startswith("M: the specimen is 7.81 angstrom wide")


def test_a_map_alone_is_counted_at_the_dose(tmp_path: Path) -> None:
    specimen = {"repeats": [2, 2], "cells": 1, "vacancies": {"Ti": 0.5}}
    tables: dict[str, Any] = {"detectors": {"Ti": TITANIUM}, "specimen": specimen, "dose": {"electrons": 1e8}}
    data, result, _ = simulated(tmp_path, "stem", grid__gpts=[60, 60], **tables)
    assert result["unit"] == "electrons"
    assert np.array_equal(data, np.round(data))
    assert data.max() > 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge": "Fe L"}, ("detectors.Ti.edge", "O, Sr, Ti")),
        ({"edge": "Ti K"}, ("detectors.Ti.edge", "has no edge")),
        ({"window": [400, 440]}, ("detectors.Ti.window", "begins at 456 eV")),
        ({"window": [470, 456]}, ("detectors.Ti.window", "lower energy loss first")),
        ({"collection_mrad": 0.02}, ("detectors.Ti.collection_mrad", "20")),
        ({"collection_mrad": 90}, ("detectors.Ti.collection_mrad", "coarse")),
        ({"channelling": "twice"}, ("channelling", "double")),
    ],
)
def test_what_a_map_cannot_be(tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    def refused() -> None:
        plan = from_dict(values("stem", detectors={"Ti": {**TITANIUM, **changes}}), "test")
        run_simulate(plan, tmp_path / "a.zarr", False, SilentProgress())

    with pytest.raises(BadInput) as caught:
        refused()
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not list(tmp_path.iterdir())


def test_double_channelling_of_vacancies_says_what_works(tmp_path: Path) -> None:
    detector = {**TITANIUM, "channelling": "double"}
    plan = from_dict(values("stem", detectors={"Ti": detector}, specimen__vacancies={"O": 0.1}), "test")
    with pytest.raises(BadInput, match='channelling = "local"'):
        run_simulate(plan, tmp_path / "a.zarr", False, SilentProgress())


DISK = {"kind": "annular", "inner_mrad": 0, "outer_mrad": 30}
CAMERA = {"kind": "pixelated", "reach_mrad": 45}
BESIDE = {"detectors": {"disk": DISK, "Ti": TITANIUM, "camera": CAMERA}, "specimen": {"repeats": [2, 2], "cells": 1}}


@pytest.mark.slow
def test_images_maps_and_patterns_come_from_the_same_probes(tmp_path: Path) -> None:
    data, result, out = simulated(tmp_path, "stem", grid__gpts=[60, 60], **BESIDE)
    images = {**BESIDE, "detectors": {"disk": DISK, "Ti": TITANIUM}}
    alone, _, _ = simulated(tmp_path, "stem", compute__form="direct", grid__gpts=[60, 60], **images)
    assert result["axes"][0]["labels"] == ["disk", "Ti"]
    assert data == pytest.approx(alone, rel=1e-5)
    image, patterns = read_vendor(out)
    assert (image.title, patterns.title) == ("small", "small patterns")
    assert [axis.name for axis in patterns.axes] == ["y", "x", "theta_y", "theta_x"]
    y, x = (axis.offset + axis.scale * np.arange(axis.size) for axis in patterns.axes[2:])
    inside = np.hypot(y[:, None], x) <= 0.03
    assert patterns.data[..., inside].sum(axis=-1) == pytest.approx(data[0], rel=1e-4)
    assert result["patterns"]["shape"] == list(patterns.data.shape)
    assert "pattern_rotation" in patterns.claims
    assert "pattern_rotation" not in image.claims


@pytest.mark.slow
def test_patterns_beside_an_image_are_counted_and_kept_by_hyperspy(tmp_path: Path) -> None:
    tables = {**BESIDE, "dose": {"electrons": 1e6}, "grid": {"gpts": [60, 60]}}
    _, result, out = simulated(tmp_path, "stem", "hspy", **tables)
    image, patterns = read_vendor(out)
    assert patterns.data.shape == (4, 4, *result["patterns"]["shape"][2:])
    y, x = (axis.offset + axis.scale * np.arange(axis.size) for axis in patterns.axes[2:])
    counted = patterns.data[..., np.hypot(y[:, None], x) <= 0.03].sum(axis=-1)
    off = (counted - image.data[0]) / np.sqrt(counted + image.data[0])
    assert 0.4 < off.std() < 1.6  # counted apart, to the same mean
    assert abs(off.mean()) < 1.2


def test_a_dataset_holds_patterns_beside_its_channels() -> None:
    sample = Sample.crystal("SrTiO3", cells=1, repeats=(2, 2))
    detectors = {"Ti": EdgeMap("Ti L", (456.0, 470.0), 0.02, "local"), "camera": Pixelated((16, 16), 3e-3)}
    microscope = Microscope(energy=200e3, semiangle=20e-3)
    made = simulate(sample, microscope, "stem", scan=Scan((2, 2)), detectors=detectors, gpts=(60, 60))
    assert made["data"].dims == ("channel", "y", "x")
    assert made["patterns"].dims == ("y", "x", "theta_y", "theta_x")
    assert made["patterns"].shape == (2, 2, 16, 16)
    assert made["patterns"].attrs["units"] == made["data"].attrs["units"] == "fraction of the beam"
    assert 0.5 < float(made["patterns"].sum(("theta_y", "theta_x")).mean()) < 1.0


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"detectors": {"camera": CAMERA}}, ("detectors.camera", "4d-stem")),
        ({"detectors": {"disk": DISK, "one": CAMERA, "two": CAMERA}}, ("detectors.two", "one is pixelated already")),
        ({**BESIDE, "compute": {"form": "gram"}}, ("compute.form", "'gram' makes no patterns")),
        ({"detectors": {"disk": DISK}, "dose": {"electrons": 1}, "camera": {}}, ("camera", "has none")),
    ],
)
def test_what_patterns_beside_an_image_cannot_be(tables: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as caught:
        from_dict(values("stem", **tables), "test")
    assert all(word in str(caught.value) for word in words), str(caught.value)
