"""Our multislice, potential and probe against abTEM in float64."""

from typing import Any

import numpy as np
import pytest

from tests.physics.checks.oracle import EVERY, SPECIMENS, TILT, against_abtem, diffraction, diffraction_by_abtem
from twin.grid import frequencies
from twin.sample.specimen import Specimen, srtio3

pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize("name", list(SPECIMENS))
@pytest.mark.slow
def test_multislice_agrees_with_abtem(name):
    """A tilted crystal, a probe with one aberration of every kind, four energies; in double and in single precision."""
    deviations = against_abtem(name, short=True)
    assert list(deviations) == [60e3, 80e3, 200e3, 300e3]
    for deviation in deviations.values():
        assert 0.9 < deviation.passed <= 1.0
        assert deviation.count >= 6
        # 5e-9 and 5e-6 were measured: what is left in double precision is abTEM's older rest energy and elementary charge
        assert deviation.total < 1e-7
        assert deviation.ring < 1e-4
        assert deviation.single < 2e-5
        assert deviation.single_ring < 1e-4


def test_the_compared_deviations_react_to_errors():
    """The opposite tilt, another energy or a missing aberration give deviations far above the bounds."""
    specimen, shape, count = SPECIMENS["SrTiO3"](6)
    slices = specimen.slices(shape, count, specimen.displacements(11), dtype=np.float64)
    spot = (0.31 * slices.extent[0], 0.57 * slices.extent[1])
    theirs = diffraction_by_abtem(slices, spot, EVERY, tilt=TILT)
    changes: list[dict[str, Any]] = [
        {"tilt": (-TILT[0], -TILT[1])},
        {"tilt": TILT[::-1]},
        {"energy": 201e3},
        {"polar": EVERY | {"C56": 0.0}},
        {"polar": EVERY | {"phi34": -EVERY["phi34"]}},
    ]
    for change in changes:
        options: dict[str, Any] = {"polar": EVERY, "tilt": TILT} | change
        ours = diffraction(slices, spot, **options)
        assert np.abs(ours - theirs).sum() > 1e-3


@pytest.mark.parametrize("symbol", ["C", "O", "Si", "Ti", "Sr", "Au", "U"])
def test_projected_factor_is_lobatos(symbol):
    """Fourier components of our projected atom against abTEM's Lobato parametrisation."""
    from abtem.parametrizations import LobatoParametrization

    from twin.sample.potential.projected import projected_factor

    k_squared = np.linspace(0.0, 36.0, 50).reshape(5, 10)
    theirs = LobatoParametrization().projected_scattering_factor(symbol)(k_squared)
    # abTEM computes this one in single precision, with coefficients that nearly cancel
    np.testing.assert_allclose(projected_factor(symbol, k_squared), theirs, rtol=3e-5)


def test_projected_potential_in_real_space():
    """The potential of a lone atom on the grid against the closed form of the Lobato potential's projection."""
    from abtem.parametrizations import LobatoParametrization
    from ase import Atoms

    side, gpts = 12.0, 320
    atoms = Atoms("Sr", positions=[(4.03, 7.51, 1.0)], cell=[side, side, 2.0], pbc=True)
    potential = np.asarray(Specimen.from_atoms(atoms).slices(gpts, 1, dtype=np.float64).array)[0]
    axis = np.arange(gpts) * side / gpts
    delta_x = (axis - 4.03 + side / 2) % side - side / 2
    delta_y = (axis - 7.51 + side / 2) % side - side / 2
    radius = np.hypot(delta_x[None, :], delta_y[:, None])
    # means over rings: the grid ends at a finite frequency, and rings around the cusp
    number = (radius / 0.1).astype(int)
    theirs = LobatoParametrization().projected_potential("Sr")(np.maximum(radius, 1e-3).ravel())
    mean = np.bincount(number.ravel(), potential.ravel()) / np.bincount(number.ravel())
    expected = np.bincount(number.ravel(), theirs) / np.bincount(number.ravel())
    np.testing.assert_allclose(mean[1:15], expected[1:15], rtol=0.01)
    assert np.unravel_index(np.argmax(potential), potential.shape) == (
        round(7.51 / side * gpts),
        round(4.03 / side * gpts),
    )


def test_potential_of_the_crystal_is_abtems():
    """All slices of displaced SrTiO3 on points of the grid: abTEM's infinite projection differs only by its own pixel correction."""
    import abtem

    cells = srtio3((3, 3, 1))
    from ase import Atoms

    gpts, step = 320, 11.715 / 320
    positions = cells.positions % np.array([11.715, 11.715, 3.905])[None, :]
    positions[:, :2] = np.round(positions[:, :2] / step) * step % 11.715
    snapped = Specimen(positions, cells.u2, cells.symbols, cells.cell)
    ours = np.asarray(snapped.slices(gpts, 2, dtype=np.float64).array)
    with abtem.config.set({"precision": "float64", "device": "cpu"}):
        potential = abtem.Potential(
            Atoms(list(cells.symbols), positions, cell=cells.cell, pbc=True),
            gpts=gpts,
            slice_thickness=3.905 / 2,
            projection="infinite",
            parametrization="lobato",
        )
        theirs = np.asarray(potential.build(lazy=False).array).transpose(0, 2, 1)
    kx, ky = frequencies((gpts, gpts), cells.extent)
    low = np.hypot(kx[None, :], ky[:, None]) < 4.0
    spectrum, expected = np.fft.fft2(ours)[:, low], np.fft.fft2(theirs)[:, low]
    radius = step * np.hypot(kx[None, :], ky[:, None])[low]
    correction = np.where(radius > 0.0, np.sin(radius) / np.where(radius > 0.0, radius, 1.0), 1.0)
    assert np.abs(spectrum - expected * correction[None, :]).max() < 1e-4 * np.abs(spectrum).max()
