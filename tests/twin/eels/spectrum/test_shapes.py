"""Shapes of which spectra are made: zero loss, valence losses, dielectric functions, edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.twin.eels.spectrum.standin import aluminium, subshell
from twin.eels.spectrum import (
    Measured,
    atomic_edge,
    components,
    dielectric_table,
    edge,
    edges_in,
    energy_axis,
    expected,
    iakoubovskii,
    malis,
    names_of,
    single_losses,
    spectrum_model,
    zero_loss,
)  # fmt: skip
from twin.eels.spectrum.dielectric import inverse_mean_free_path, surfaces, volume
from twin.eels.spectrum.edges import PEARSON, lorentzian, profile, step
from twin.eels.spectrum.low_loss import characteristic_angle
from twin.eels.spectrum.parameters import defaults
from twin.eels.spectrum.zero_loss import full_width, gaussian_of


def test_the_zero_loss_has_its_area_mean_width_and_tails() -> None:
    axis = energy_axis(2000, -20.0, 0.02, 0.5)
    model = spectrum_model(axis, 200e3)
    tails = {"zero_loss.loss_tail": 0.4, "zero_loss.gain_tail": 0.1}
    shape = np.asarray(expected(model, {"counts": 1.0, "zero_loss.gaussian": 0.15, **tails}))
    at = axis.energies
    assert shape.sum() == pytest.approx(1.0, abs=1e-9)
    assert (at * shape).sum() == pytest.approx(0.0, abs=1e-6)
    above = at[shape > 0.5 * shape.max()]
    assert above[-1] - above[0] == pytest.approx(full_width(0.15, 0.4, 0.1), abs=0.03)
    # far from the middle only the exponentials are left
    slope = np.diff(np.log(np.maximum(shape, 1e-300)))[np.searchsorted(at, [3.0, -1.2])] / 0.02
    np.testing.assert_allclose(slope, [-1.0 / 0.4, 1.0 / 0.1], rtol=0.01)
    assert gaussian_of(full_width(0.15, 0.4, 0.1), 0.4, 0.1) == pytest.approx(0.15, rel=1e-3)


def test_a_measured_zero_loss_comes_back_and_scatters_like_the_model() -> None:
    axis = energy_axis(600, -30.0, 0.3, 1.6)
    terms = [(15.0, 3.0, 1.0)]
    model = spectrum_model(axis, 200e3, plasmons=terms)
    shape = {"counts": 1.0, "zero_loss.gaussian": 0.7}
    zero, thick = (np.asarray(expected(model, {**shape, "t_over_lambda": t})) for t in (0.0, 1.5))
    again = spectrum_model(axis, 200e3, plasmons=terms, measured=Measured(7.0 * zero[60:140], 40.0))
    np.testing.assert_allclose(expected(again, {"counts": 1.0, "t_over_lambda": 0.0}), zero, atol=1e-7)
    np.testing.assert_allclose(expected(again, {"counts": 1.0, "t_over_lambda": 1.5}), thick, atol=2e-7)


def test_a_measured_shape_between_its_channels_does_not_alternate() -> None:
    """Two points a channel: the points of the channels are what was recorded, and between a single spike's neighbours the highest frequency vanishes."""
    spike = np.zeros(64)
    spike[20] = 1.0
    axis = energy_axis(64, -20.0, 1.0, 3.0)
    assert axis.oversampling == 2
    transform = np.asarray(zero_loss.measured(axis, spike, 20.0, 1.0))
    fine = 2.0 * np.fft.irfft(transform, axis.size) * np.exp(12.0 / axis.size * np.arange(axis.size))
    places = np.arange(-20, 20)
    np.testing.assert_allclose(fine[2 * places], spike[20 + places], atol=1e-9)
    # a periodic sinc: sin(pi x) / (n tan(pi x / n)) halfway between channels
    length = axis.size // 2
    halfway = places[20:] + 0.5
    damped = np.exp(12.0 / length * halfway)
    np.testing.assert_allclose(
        fine[1:40:2], damped * np.sin(np.pi * halfway) / (length * np.tan(np.pi * halfway / length)), atol=1e-9
    )


def test_a_measured_low_loss_scatters_edges() -> None:
    axis = energy_axis(600, -20.0, 0.3, 1.0)
    terms = [(15.0, 3.0, 1.0)]
    low = np.asarray(expected(spectrum_model(axis, 200e3, plasmons=terms), {"counts": 1.0, "t_over_lambda": 0.8}))
    # up to 100 eV: edges up to 100 eV above their onset are scattered by it
    zero = 20.0 / 0.3
    core = energy_axis(400, 60.0, 0.3, 1.0, whole=False)
    measured = spectrum_model(core, 200e3, measured=Measured(low[:400], zero), edges=[aluminium()])
    model = spectrum_model(core, 200e3, plasmons=terms, edges=[aluminium()])
    values = {"counts": 1e6 * low[:400].sum(), "Al.areal_density": 10.0}
    np.testing.assert_allclose(
        expected(measured, values)[:350],
        expected(model, {**values, "counts": 1e6, "t_over_lambda": 0.8})[:350],
        rtol=3e-3,
        atol=1e-3,
    )


def test_oscillators_peak_where_they_should_and_a_gap_leaves_nothing_below() -> None:
    axis = energy_axis(1000, -10.0, 0.05, 0.3)
    model = spectrum_model(axis, 200e3, plasmons=[(15.0, 0.6, 1.0)], gap=3.0)
    at, shape = (np.asarray(part) for part in single_losses(model, {"gap.softness": 0.02}))
    assert at[np.argmax(shape)] == pytest.approx(15.0, abs=0.1)
    assert shape[at < 2.8].max() < 1e-4 * shape.max()
    above = (at > 3.2) & (at < 3.6)
    ratio = (
        np.asarray(single_losses(spectrum_model(axis, 200e3, plasmons=[(15.0, 0.6, 1.0)]), {})[1])[above] / shape[above]
    )
    # a direct gap opens with the square root, to one scale
    np.testing.assert_allclose(
        ratio * np.sqrt(1.0 - 3.0 / at[above]) / ratio[-1], np.sqrt(1.0 - 3.0 / at[above][-1]), rtol=5e-3
    )


@pytest.mark.parametrize(
    ("energy", "density", "collection", "convergence", "nanometres"),
    # by exspy 0.3.2, iMFP_Iakoubovskii and iMFP_angular_correction
    [(200e3, 2.7, 0.01, 0.0, 166.55934), (300e3, 5.12, 0.03, 0.015, 151.7506), (100e3, 19.3, 0.01, 0.0, 72.913116)],
)
def test_the_mean_free_path_is_iakoubovskiis(
    energy: float, density: float, collection: float, convergence: float, nanometres: float
) -> None:
    assert iakoubovskii(energy, density, collection, convergence) == pytest.approx(10.0 * nanometres, rel=1e-6)


def test_the_mean_free_path_is_maliss() -> None:
    # by hand, for carbon at 100 kV and 10 mrad: F = 0.76771, Em = 7.6 * 6^0.36 = 14.486 eV, 106 F 100 / (Em ln(2 * 10 * 100 / Em)) nm
    assert malis(100e3, {6: 1.0}, 0.01) == pytest.approx(1140.3, rel=1e-3)
    with pytest.raises(ValueError, match="too small for the formula of Malis"):
        malis(100e3, {79: 1.0}, 1e-4)


def free_electrons(energies: np.ndarray, plasmon: float = 15.0, width: float = 1.0) -> np.ndarray:
    return 1.0 - plasmon**2 / (energies**2 + 1j * energies * width)


@pytest.mark.slow
def test_losses_by_a_dielectric_function_are_egertons() -> None:
    energies = np.linspace(0.05, 120.0, 6000)
    table = dielectric_table(energies, free_electrons(energies))
    narrow = dielectric_table(energies, free_electrons(energies, width=0.2))
    axis = energy_axis(800, -10.0, 0.1, 0.6)
    # the mean free path of plasmons in aluminium at 200 kV: a0 m v^2 / (E_p / 2 ln(1 + (beta/theta_E)^2)) (Egerton, eq. 3.58, with the relativistic angle)
    beta = 0.01
    angle = float(characteristic_angle(jnp.asarray([15.0]), 200e3)[0])
    gamma = 1.0 + 200e3 / 510998.95
    slow = 510998.95 * (1.0 - gamma**-2)
    path = 0.529177 * slow / (0.5 * 15.0 * np.log1p((beta / angle) ** 2))
    assert 1.0 / inverse_mean_free_path(narrow, 200e3, beta) == pytest.approx(path, rel=0.01)
    model = spectrum_model(axis, 200e3, collection=beta, table=table)
    oscillator = spectrum_model(axis, 200e3, collection=beta, plasmons=[(15.0, 1.0, 1.0)])
    by_table, by_term = (single_losses(made, {})[1] for made in (model, oscillator))
    np.testing.assert_allclose(by_table, by_term, atol=2e-3 * float(by_term.max()))


def test_surfaces_add_their_plasmon_and_take_from_the_volume() -> None:
    energies = np.linspace(0.05, 60.0, 4000)
    table = dielectric_table(energies, free_electrons(energies, width=0.5))
    at = jnp.linspace(0.1, 40.0, 4000)
    both = np.asarray(surfaces(table, at, 200e3, 0.01))
    # by quadrature over angles of one interface (Ritchie's density), twice
    losses = np.array([5.0, 10.6, 15.0])
    angles = np.geomspace(1e-8, 0.01, 20001)
    eps = free_electrons(losses, width=0.5)
    kinetic, wave = 0.5 * 510998.95 * (1.0 - (1.0 + 200e3 / 510998.95) ** -2), 2.0 * np.pi / 0.0250793
    theta = np.asarray(characteristic_angle(jnp.asarray(losses), 200e3))
    density = angles**2 / (angles**2 + theta[:, None] ** 2) ** 2
    integral = np.trapezoid(density, angles, axis=1)
    true = 2.0 * integral * ((eps - 1.0) ** 2 / (eps * (eps + 1.0))).imag / (np.pi * 0.529177 * wave * kinetic)
    np.testing.assert_allclose(np.interp(losses, at, both), true, rtol=5e-3)
    assert float(at[np.argmax(both)]) == pytest.approx(15.0 / np.sqrt(2.0), abs=0.05)
    assert float(at[np.argmin(both)]) == pytest.approx(15.0, abs=0.05)
    # what they take away belongs to some tens of angstrom of the volume
    assert -both.min() / float(volume(table, jnp.asarray([15.0]), 200e3, 0.01)[0]) < 50.0


def test_onsets_and_lines_keep_their_areas_on_any_grid() -> None:
    for pitch in (0.05, 0.7):
        at = jnp.arange(0.0, 400.0, pitch) + 0.123 * pitch
        assert pitch * float(lorentzian(at, 200.0, 0.4, pitch).sum()) == pytest.approx(1.0, abs=1e-3)
        centre = float((at * lorentzian(at, 200.0, 0.4, pitch)).sum() / lorentzian(at, 200.0, 0.4, pitch).sum())
        assert centre == pytest.approx(200.0, abs=0.05)
        # its integral is a straight line that goes through its onset; the tails of an arctangent are even about it
        raised = pitch * float(step(at, 200.0, 0.4, pitch).sum())
        ends = 0.5 * ((float(at[0]) - 0.5 * pitch - 200.0) + (float(at[-1]) + 0.5 * pitch - 200.0))
        assert raised - 0.5 * pitch * len(at) == pytest.approx(ends, abs=0.01)


def test_white_lines_have_their_area_ratio_and_splitting() -> None:
    shaped = aluminium(white=True, split=True)
    values = {name.removeprefix("Al L."): value for name, value in defaults(_parameters(shaped)).items()}
    values |= {
        "white_lines": 0.8,
        "ratio": 3.0,
        "line_width": 0.3,
        "line_width_ratio": 1.0,
        "crystal_field": 2.0,
        "eg_share": 0.4,
    }
    at, pitch = jnp.arange(40.0, 200.0, 0.01), 0.01
    lines = np.asarray(profile(shaped, at, pitch, values) - profile(shaped, at, pitch, {**values, "white_lines": 0.0}))
    assert pitch * lines.sum() == pytest.approx(0.8 * shaped.reference, rel=5e-3)
    window = np.linspace(73.0 + PEARSON[0], 73.0 + PEARSON[1], 500)
    continuum = 2e-5 * (window / 73.0) ** -3.0 + 1e-5 * (window / 79.0) ** -3.0
    assert shaped.reference == pytest.approx(np.trapezoid(continuum, window), rel=1e-3)
    peaks = [
        float(at[index]) for index in range(1, len(lines) - 1) if lines[index - 1] < lines[index] > lines[index + 1]
    ]
    np.testing.assert_allclose(peaks, [72.2, 74.2, 78.2, 80.2], atol=0.02)
    heights = np.interp(peaks, np.asarray(at), lines)
    np.testing.assert_allclose(heights / heights[0], [1.0, 2.0 / 3.0, 1.0 / 3.0, 2.0 / 9.0], rtol=0.03)


def _parameters(at: object) -> tuple:
    return spectrum_model(energy_axis(500, -10.0, 0.5, 1.5), 200e3, edges=[at]).parameters  # type: ignore[list-item]


def test_fine_structure_returns_to_the_atom() -> None:
    shaped = aluminium(knots=(5.0, 10.0, 20.0, 40.0))
    plain = {name.removeprefix("Al L."): value for name, value in defaults(_parameters(shaped)).items()}
    at = jnp.arange(60.0, 160.0, 0.1)
    ratio = np.asarray(
        profile(shaped, at, 0.1, {**plain, "fine": jnp.asarray([0.3, -0.2, 0.1, 0.05])})
        / profile(shaped, at, 0.1, plain)
    )
    assert np.interp(73.0, at, ratio) == pytest.approx(1.3, abs=1e-6)
    np.testing.assert_allclose(ratio[np.asarray(at) > 113.1], 1.0, atol=1e-9)
    slope = np.diff(ratio)
    assert np.abs(np.diff(slope)[np.asarray(at)[1:-1] > 73.2]).max() < 2e-3  # smooth


def test_edges_of_atoms_are_there_by_name() -> None:
    assert names_of("Ti", 100.0) == ("L", "L1")
    assert names_of("O") == ("K",)
    made = edges_in(("O", "Ti"), 300.0, 900.0, 200e3, 0.03, shapes={"Ti L": {"white": True}})
    assert [at.label for at in made] == ["O K", "Ti L", "Ti L1"]
    titanium = made[1]
    assert titanium.onset == 456.0
    # places in 3d that are empty in the atom, 8 of 10: about as much as the continuum over 50 eV
    assert 0.8 < titanium.white_area < 1.5
    with pytest.raises(ValueError, match=r"Ti has no edge 'M'; it has .*L, L1"):
        atomic_edge("Ti", "M", 200e3, 0.03)


def test_an_edge_of_atoms_has_the_cross_section_of_the_table() -> None:
    from twin.eels.atoms import differential_cross_section
    from twin.eels.atoms import subshell as of

    axis = energy_axis(1600, 450.0, 0.5, 2.0, whole=False)
    oxygen = atomic_edge("O", "K", 200e3, 0.03, 0.02, last=1300.0)
    model = spectrum_model(axis, 200e3, edges=[oxygen])
    counts = np.asarray(expected(model, {"counts": 1e9, "O.areal_density": 2.0, "zero_loss.gaussian": 0.8}))
    at = axis.energies
    true = 1e9 * 2.0 * 0.5 * differential_cross_section(of("O", "K"), at, 200e3, 0.03, 0.02)
    far = at > 560.0
    np.testing.assert_allclose(counts[far][:-40], true[far][:-40], rtol=5e-3)
    inside = (at > 520.0) & (at < 620.0)
    assert counts[inside].sum() == pytest.approx(true[inside].sum(), rel=0.01)
    assert set(components(model, {"O.areal_density": 2.0})) == {"O K"}


def test_chemical_shifts_move_an_edge() -> None:
    axis = energy_axis(500, 40.0, 0.2, 0.8, whole=False)
    model = spectrum_model(axis, 200e3, edges=[edge("Al", "L", [subshell("L3", 73.0, 1e-5)])])
    still, moved = (
        np.asarray(expected(model, {"counts": 1e6, "Al.areal_density": 1.0, "Al L.shift": shift}))
        for shift in (0.0, 2.0)
    )
    rise = [
        float(np.interp(0.5 * part.max(), part[: int(np.argmax(part))], axis.energies[: int(np.argmax(part))]))
        for part in (still, moved)
    ]
    assert rise[1] - rise[0] == pytest.approx(2.0, abs=0.05)
    assert (
        float(
            jax.grad(lambda shift: expected(model, {"counts": 1e6, "Al.areal_density": 1.0, "Al L.shift": shift})[165])(
                0.0
            )
        )
        < 0.0
    )
