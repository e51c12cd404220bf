"""Whole spectra: conservation of electrons, plural scattering, components, gradients, images of spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.twin.eels.spectrum.standin import aluminium, core_model, core_values, low_model, low_values, subshell
from twin.eels.spectrum import (
    SpectrumModel,
    components,
    covariance,
    defaults,
    edge,
    electrons,
    energy_axis,
    expected,
    flatten,
    labels,
    sample,
    single_losses,
    spectrum_model,
    unflatten,
)  # fmt: skip


def low(channels: int = 2000, dispersion: float = 0.3, offset: float = -20.0, **options: object):
    axis = energy_axis(channels, offset, dispersion, 1.0)
    return spectrum_model(axis, 200e3, plasmons=[(15.0, 2.0, 1.0)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("thickness", [0.0, 0.5, 2.0, 5.0])
def test_electrons_are_conserved(thickness: float) -> None:
    counts = expected(low(channels=8000), {"counts": 1.0, "t_over_lambda": thickness})
    # what is missing are losses beyond 2400 eV: the tail of a plasmon falls as E^-3, and its integral as E^-2
    assert float(counts.sum()) == pytest.approx(1.0, abs=3e-5 * thickness + 1e-9)


def test_n_losses_have_poissons_areas() -> None:
    # a plasmon that is narrow beside its energy: the n-th order lies around 15 n eV
    axis = energy_axis(4000, -5.0, 0.05, 0.4)
    model = spectrum_model(axis, 200e3, plasmons=[(15.0, 0.3, 1.0)])
    counts = np.asarray(
        expected(model, {"counts": 1.0, "t_over_lambda": 2.0, "zero_loss.gaussian": 0.15, "zero_loss.loss_tail": 0.02})
    )
    at = axis.energies
    share = np.array([counts[np.abs(at - 15.0 * n) < 7.5].sum() for n in range(6)])
    poisson = np.exp(-2.0) * 2.0 ** np.arange(6) / np.array([1, 1, 2, 6, 24, 120])
    # the Lorentzian tails of each order reach into its neighbours: 0.3 eV / (pi 7.5 eV) = 1.3 % of it
    np.testing.assert_allclose(share, poisson, rtol=0.03, atol=1e-4)


def test_a_spectrum_ends_anywhere_without_wrapping_around() -> None:
    values = {"counts": 1.0, "t_over_lambda": 3.0}
    short = np.asarray(expected(low(channels=200), values))  # 40 eV, while the mean loss is 48 eV
    whole = np.asarray(expected(low(channels=4000), values))
    # tails above the longer range are integrated instead of sampled
    np.testing.assert_allclose(short, whole[:200], rtol=2e-5, atol=1e-9)


def test_the_fourier_log_gives_single_losses_and_thickness_back() -> None:
    axis = energy_axis(4096, -40.0, 0.1, 0.6)
    model = spectrum_model(axis, 200e3, collection=0.02, plasmons=[(15.0, 3.0, 1.0), (22.0, 6.0, 0.4)])
    values = {"counts": 1.0, "t_over_lambda": 2.0}
    spectrum, zero = (np.asarray(expected(model, {**values, "t_over_lambda": t})) for t in (2.0, 0.0))
    padded = 1 << 14
    ratio = np.fft.rfft(spectrum, padded) / np.fft.rfft(zero * np.exp(-2.0), padded)
    # beyond the zero loss's band there is only rounding, and no loss: a Gaussian of twice its width takes it out
    turns = np.fft.rfftfreq(padded, 0.1)
    blur = np.exp(-2.0 * (np.pi * 0.5 * turns) ** 2)
    logs = np.log(np.abs(ratio)) + 1j * np.unwrap(np.angle(ratio))
    recovered = np.fft.irfft(np.where(blur > 1e-9, logs, 0.0) * blur, padded)[:3600] / 0.1
    at, single = single_losses(model, values)
    step = float(at[1] - at[0])
    fine = np.fft.rfft(np.asarray(single), 1 << 15) * np.exp(-2.0 * (np.pi * 0.5 * np.fft.rfftfreq(1 << 15, step)) ** 2)
    true = 2.0 * np.interp(0.1 * np.arange(3600), at, np.fft.irfft(fine, 1 << 15)[: len(at)])
    assert np.abs(recovered - true).max() < 0.01 * true.max()
    thickness = np.log(spectrum.sum() / (zero.sum() * np.exp(-2.0)))
    assert thickness == pytest.approx(2.0, rel=5e-3)


def test_components_add_up_and_an_edge_holds_its_atoms() -> None:
    axis = energy_axis(3000, 350.0, 0.3, 1.0)
    atoms = [edge("Ti", "L", [subshell("L3", 456.0, 1e-7, 1300.0), subshell("L2", 462.0, 5e-8, 1300.0)])]
    model = spectrum_model(axis, 200e3, plasmons=[(25.0, 10.0, 1.0)], edges=atoms, backgrounds=1)
    values = {"counts": 1e8, "t_over_lambda": 0.6, "Ti.areal_density": 5.0, "background1.level": 1e3}
    parts = {name: np.asarray(part) for name, part in components(model, values).items()}
    np.testing.assert_allclose(sum(parts.values()), electrons(model, values), rtol=1e-10)
    # cross-section x atoms per area x electrons, up to the end of the axis, where plural scattering has moved some beyond
    within = (
        1e8
        * 5.0
        * sum(level * onset / 2.0 * (1.0 - (onset / 1249.7) ** 2) for level, onset in ((1e-7, 456.0), (5e-8, 462.0)))
    )
    assert 0.985 < parts["Ti L"].sum() / within < 1.0
    power = np.asarray(parts["background1"])
    assert power[10] / power[2000] == pytest.approx((axis.energies[10] / axis.energies[2000]) ** -3.0, rel=1e-10)


def test_edges_alone_are_what_they_are_from_zero_loss_on() -> None:
    atoms = [edge("Ti", "L", [subshell("L3", 456.0, 1e-7, 1300.0), subshell("L2", 462.0, 5e-8, 1300.0)], white=True)]
    values = {"counts": 1e8, "t_over_lambda": 0.6, "Ti.areal_density": 5.0}
    made = {}
    for whole in (False, True):
        axis = energy_axis(1500, 380.0, 0.3, 1.0, whole=whole)
        model = spectrum_model(axis, 200e3, plasmons=[(25.0, 10.0, 1.0)], edges=atoms)
        made[whole] = components(model, values)["Ti L"]
    # to first order in atoms per area, and without what was scattered from the tail below the grid
    np.testing.assert_allclose(made[False], made[True], rtol=2e-3, atol=1e-3 * float(made[True].max()))


@pytest.mark.parametrize(("model", "given"), [(low_model(), low_values()), (core_model(), core_values())])
@pytest.mark.slow
def test_gradients_of_every_parameter_are_those_of_finite_differences(
    model: SpectrumModel, given: dict[str, object]
) -> None:
    values = {**defaults(model.parameters), **given}
    names = [item.name for item in model.parameters if item.name not in ("readout", "pattern")]
    vector = flatten(values, names)
    weights = np.random.default_rng(2).uniform(0.2, 1.0, model.axis.channels)

    @jax.jit
    def merit(vector: jax.Array) -> jax.Array:
        return (weights * jnp.sqrt(expected(model, unflatten(vector, values, names)))).sum()

    slope = jax.jit(jax.grad(merit))(vector)
    for number, name in enumerate(labels(values, names)):
        step = 3e-4 * max(abs(float(vector[number])), 0.1)
        # of fourth order, so that steps are large enough for rounding not to matter
        at = [float(merit(vector.at[number].add(factor * step))) for factor in (-2.0, -1.0, 1.0, 2.0)]
        difference = (at[0] - 8.0 * at[1] + 8.0 * at[2] - at[3]) / (12.0 * step)
        assert float(slope[number]) == pytest.approx(difference, rel=1e-4), name


def test_an_image_of_spectra_is_that_of_each() -> None:
    model, rng = low_model(), np.random.default_rng(1)
    varied = {
        "t_over_lambda": rng.uniform(0.2, 2.0, (9, 11)),
        "counts": rng.uniform(1e4, 1e6, (9, 1)),
        "offset": -12.0 + rng.normal(0.0, 0.2, 11),
    }
    whole = expected(model, {**low_values(), **varied})
    assert whole.shape == (9, 11, 400)
    own = {
        "t_over_lambda": varied["t_over_lambda"][7, 3],
        "counts": varied["counts"][7, 0],
        "offset": varied["offset"][3],
    }
    np.testing.assert_allclose(whole[7, 3], expected(model, {**low_values(), **own}), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("excess", [0.0, 1.0])
def test_recordings_scatter_as_their_covariance_says(excess: float) -> None:
    model, values = low_model(excess=excess > 0.0), {**low_values(), **({"excess": excess} if excess else {})}
    many = {**values, "t_over_lambda": jnp.full(3000, 1.3)}
    drawn = np.asarray(sample(jax.random.key(3), model, many))
    mean = np.asarray(expected(model, values))
    off = (drawn.mean(0) - mean) / (drawn.std(0) / np.sqrt(3000))
    assert abs(np.mean(off**2) - 1.0) < 0.25
    spread = np.sqrt(np.asarray(covariance(model, values)))
    score = (drawn - mean) / spread
    for lag in (0, 1, 2, 5):
        said = np.asarray(covariance(model, values, lag)) / (spread[: 400 - lag] * spread[lag:])
        seen = (score[:, : 400 - lag] * score[:, lag:]).mean(0)
        # 1.2 million products, each with a standard deviation of about 1
        assert (seen - said).mean() == pytest.approx(0.0, abs=4e-3), lag
        assert lag == 5 or said.mean() > 0.05
    np.testing.assert_array_equal(sample(jax.random.key(3), model, values), sample(jax.random.key(3), model, values))


def test_losses_need_not_be_valence_losses() -> None:
    axis = energy_axis(300, -10.0, 0.4, 1.2)
    model = spectrum_model(axis, 200e3, edges=[aluminium()])
    counts = np.asarray(expected(model, {"counts": 1.0, "Al.areal_density": 10.0}))
    assert counts.sum() < 1.0
    assert counts[axis.energies > 60.0].sum() > 100.0 * counts[(axis.energies > 20.0) & (axis.energies < 55.0)].sum()
