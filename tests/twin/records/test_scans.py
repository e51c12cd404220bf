"""Scans of recordings: which signal is the cube, which image its survey, and what is refused."""

import math

import numpy as np
import pytest

from twin.errors import BadInput
from twin.records import Axis, Claim, Signal, Wanted, content_of, finer_of, scan_of

ROWS, COLUMNS = 4, 6
SCAN = (Axis("y", ROWS, 2.0, 0.0, "angstrom"), Axis("x", COLUMNS, 2.0, 0.0, "angstrom"))
CURRENT = {"beam_current": Claim(1.602176634e-12, "ampere", "k"), "dwell": Claim(1e-3, "second", "k")}


def _cube(
    first: float = 300.0, title: str = "EELS", step: float = 1.0, claims: dict[str, Claim] | None = None
) -> Signal:
    data = np.arange(ROWS * COLUMNS * 50, dtype=np.float64).reshape(ROWS, COLUMNS, 50)
    axes = (*SCAN, Axis("Energy", 50, step, first, "electronvolt"))
    return Signal(data, axes, "spectrum-image", title, "a.dm4", "", claims or {})


def _patterns() -> Signal:
    disk = np.hypot(*(np.mgrid[:16, :16] - 7.5)) < 4.0
    data = np.where(disk, 100.0, 1.0) * (1.0 + 0.1 * np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS, 1, 1) * ~disk)
    axes = (*SCAN, *(Axis(name, 16, 1e-3, -7.5e-3, "radian") for name in ("ky", "kx")))
    return Signal(data, axes, "image-stack", "4d", "a.zarr", "")


def _image(title: str, finer: int = 1, value: float = 1.0) -> Signal:
    shape = ROWS * finer, COLUMNS * finer
    axes = tuple(Axis(name, size, 1.0, 0.0, None) for name, size in zip("yx", shape, strict=True))
    return Signal(np.full(shape, value), axes, "image", title, "a.dm4", "")


def test_the_cube_is_the_one_that_holds_the_energies() -> None:
    low, high = _cube(-10.0, "low"), _cube(300.0, "high")
    assert scan_of([low, high], Wanted("spectrum", (310.0, 340.0))).cube is high
    assert scan_of([low, high], Wanted("spectrum", (0.0, 20.0))).cube is low
    assert scan_of([low, high], Wanted("spectrum", signal="1")).cube is high
    with pytest.raises(BadInput, match="-10 to 39 eV, 300 to 349 eV, which does not hold 500"):
        scan_of([low, high], Wanted("spectrum", (500.0, 520.0)))
    with pytest.raises(BadInput, match="Ask for a quantity of spectra"):
        scan_of([low], Wanted("pattern"))
    with pytest.raises(BadInput, match="Ask for a quantity of patterns"):
        scan_of([_patterns()], Wanted("spectrum"))
    with pytest.raises(BadInput, match="holds no scan: 0 'HAADF', image of 4 x 6"):
        scan_of([_image("HAADF")], Wanted("spectrum"))


def test_x_rays_and_stacks_with_names_are_no_scans() -> None:
    assert content_of(_cube(0.0, "EDS", 10.0)) is None
    assert content_of(_cube()) == "spectrum"
    assert content_of(_patterns()) == "pattern"
    assert content_of(_image("HAADF")) is None


def test_the_survey_is_a_detector_and_no_map_of_an_element() -> None:
    signals = [_image("Fe", value=1.0), _image("other", value=2.0), _image("HAADF", 3, value=3.0), _cube()]
    scan = scan_of(signals, Wanted("spectrum"))
    assert (scan.finer, scan.survey.mean(), scan.virtual) == (3, 3.0, False)
    assert scan_of(signals[:2] + signals[3:], Wanted("spectrum")).survey.mean() == 2.0
    alone = scan_of([signals[0], signals[3]], Wanted("spectrum"))
    assert alone.virtual
    assert "total counts" in alone.survey_name
    np.testing.assert_allclose(alone.survey, _cube().data.sum(axis=-1))


def test_a_survey_of_another_shape_is_refused() -> None:
    assert (finer_of((8, 12), (4, 6)), finer_of((8, 13), (4, 6)), finer_of((8, 6), (4, 6))) == (2, 0, 0)
    odd = Signal(np.ones((5, 6)), (Axis("y", 5, 1.0, 0.0, None), SCAN[1]), "image", "HAADF", "b.dm3", "")
    with pytest.raises(BadInput, match=r"b\.dm3: holds 5 x 6; the scan of data has 4 x 6 pixels"):
        scan_of([_cube()], Wanted("spectrum"), [odd])


def test_the_virtual_dark_field_holds_what_lies_outside_of_the_disk() -> None:
    scan = scan_of([_patterns()], Wanted("pattern"))
    assert "dark-field" in scan.survey_name
    rising = scan.survey.ravel()
    np.testing.assert_allclose(rising / rising[0], 1.0 + 0.1 * np.arange(ROWS * COLUMNS))


def test_pixels_without_a_number_are_filled_in_a_survey() -> None:
    image = _image("HAADF")
    image.data[0, 0] = np.nan
    assert scan_of([_cube()], Wanted("spectrum"), [image]).survey[0, 0] == 1.0
    image.data[:3] = np.nan
    with pytest.raises(BadInput, match="hold no number"):
        scan_of([_cube()], Wanted("spectrum"), [image])


def test_binning_sums_pixels_and_keeps_the_survey() -> None:
    scan = scan_of([_cube(claims=CURRENT)], Wanted("spectrum", bin=2), [_image("HAADF", 3)])
    assert (scan.shape, scan.finer) == ((2, 3), 6)
    np.testing.assert_allclose(scan.data[0, 0], _cube().data[:2, :2].sum(axis=(0, 1)))
    assert scan.electrons == pytest.approx(4e4)
    with pytest.raises(BadInput, match="bin = 9"):
        scan_of([_cube()], Wanted("spectrum", bin=9))


def test_electrons_are_those_the_recording_tells() -> None:
    assert scan_of([_cube(claims=CURRENT)], Wanted("spectrum")).electrons == pytest.approx(1e4)
    dose = {"dose": Claim(1e3, "", "k")}
    assert scan_of([_cube(claims=dose)], Wanted("spectrum")).electrons == pytest.approx(4e3)
    assert math.isnan(scan_of([_cube()], Wanted("spectrum")).electrons)


def test_lines_of_spectra_and_falling_axes() -> None:
    cube = _cube()
    axes = (SCAN[1], Axis("Energy loss", 50, -1.0, 349.0, "electronvolt"))
    line = Signal(cube.data[0, :, ::-1], axes, "spectrum-image", "", "", "")
    scan = scan_of([line], Wanted("spectrum", (310.0, 340.0)))
    assert (scan.shape, scan.axes[0].offset, scan.axes[0].scale) == ((1, COLUMNS), 300.0, 1.0)
    np.testing.assert_allclose(scan.data[0], cube.data[0])
