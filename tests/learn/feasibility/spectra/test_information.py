"""Derivatives of a spectrum against differences, bounds against closed forms, and what cannot be asked of it."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from learn.feasibility.spectra.image import BACKGROUND, CROSS_SECTION, EXPONENT, OFFSET
from learn.feasibility.spectra.information import (
    GAIN,
    SITES,
    THICKNESS,
    SpectralQuantity,
    parametrised,
    spectral_information,
)
from twin.eels.spectrum import expected
from twin.simulation.plan.spectrum_tables import (
    CompositionPlan,
    EdgePlan,
    ElectronsPlan,
    LowLossPlan,
    SpectrometerPlan,
    SpectrumSimulation,
)
from twin.simulation.spectrum.ready import ReadySpectrum, make_spectrum


@functools.cache
def ready(offset: float, channels: int) -> ReadySpectrum:
    return make_spectrum(
        SpectrumSimulation(
            name="spectrum", kind="simulate", signal="eels",
            specimen=CompositionPlan(areal_density={"Ti": 1.6, "O": 4.8, "V": 1e-6}, thickness=100.0),
            beam=ElectronsPlan(energy_keV=200.0, semiangle_mrad=15.0),
            spectrometer=SpectrometerPlan(collection_mrad=30.0, dispersion=1.0, offset=offset, channels=channels),
            low_loss=LowLossPlan(plasmons=[(25.0, 12.0, 1.0)]), edges={"Ti L": EdgePlan(crystal_field=2.1)} if offset > 0.0 else {},
        )
    )  # fmt: skip


LOW, CORE = (-20.0, 160), (430.0, 160)
ASKED = {
    "t/lambda": (SpectralQuantity("t_over_lambda"), LOW, {"zero_loss.gain_tail": 0.0, "zero_loss.loss_tail": 0.0}),
    "ratio": (SpectralQuantity("composition", "Ti", over="O"), CORE, {}),
    "atoms": (SpectralQuantity("composition", "Ti"), CORE, {}),
    "share": (SpectralQuantity("composition", "Ti", by="V"), CORE, {}),
    "shift": (SpectralQuantity("edge_shift", edge="Ti L"), CORE, {}),
    "offset": (SpectralQuantity("energy_offset"), CORE, {}),
}
FIRST = {
    "t/lambda": THICKNESS, "ratio": "Ti/O", "atoms": "Ti.areal_density", "share": "share of V", "shift": "Ti L.shift", "offset": OFFSET,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ASKED))
def test_derivatives_are_differences_of_the_twins_spectrum(name: str) -> None:
    asked, axis, priors = ASKED[name]
    made, told = parametrised(ready(*axis), asked, priors), spectral_information(ready(*axis), asked, priors)
    assert told.names[0] == FIRST[name]
    whole = np.asarray(expected(ready(*axis).model, {**ready(*axis).values, "counts": 1.0}))
    np.testing.assert_allclose(told.rates, whole, rtol=1e-6, atol=1e-13)
    for number, start in enumerate(made.start):
        step = np.zeros(len(made.start))
        step[number] = 1e-4 * max(abs(start), 0.1)
        more, less = (np.asarray(made.rates(jnp.asarray(made.start + sign * step))) for sign in (1.0, -1.0))
        slope, largest = (more - less) / (2.0 * step[number]), np.abs(told.jacobian[:, number]).max()
        np.testing.assert_allclose(told.jacobian[:, number], slope, atol=5e-3 * largest, err_msg=made.names[number])


@pytest.mark.slow
def test_the_bound_of_t_over_lambda_is_that_of_counting_the_zero_loss() -> None:
    """With all else known: t/lambda = ln(total / zero loss), of which the zero loss is counted."""
    asked, axis, _ = ASKED["t/lambda"]
    told = spectral_information(ready(*axis), asked, {})
    electrons = 1e6
    unscattered = electrons * np.exp(-ready(*axis).t_over_lambda)
    binomial = np.sqrt((1.0 - unscattered / electrons) / unscattered)
    assert told.bound(electrons).known[0] == pytest.approx(binomial, rel=0.05)
    assert told.bound(electrons).std[0] > told.bound(electrons).known[0]
    assert told.bound(100.0 * electrons).std[0] == pytest.approx(0.1 * told.bound(electrons).std[0])


@pytest.mark.slow
def test_what_is_not_known_holds_a_composition_back() -> None:
    strengths = {CROSS_SECTION + label: 0.1 for label in ("Ti L", "Ti L1", "O K")}
    exact = dict.fromkeys(strengths, 0.0)
    asked, axis, _ = ASKED["ratio"]
    many = 1e14
    held = spectral_information(ready(*axis), asked, strengths).bound(many).std[0]
    # strengths of 10 %, two of titanium and one of oxygen
    assert held == pytest.approx(np.sqrt(0.5 + 1.0) * 0.1 / 3.0, rel=0.02)
    assert spectral_information(ready(*axis), asked, exact).bound(many).std[0] < 1e-3 * held
    asked = ASKED["atoms"][0]
    with pytest.raises(ValueError, match="do not determine"):
        spectral_information(ready(*axis), asked, {}).bound(many)
    gained = spectral_information(ready(*axis), asked, {**exact, GAIN: 0.02}).bound(1e12).std[0]
    assert gained == pytest.approx(0.02 * 1.6, rel=0.02)
    all_of = {CROSS_SECTION + at.label: 0.1 for at in ready(*axis).model.edges}
    shared = spectral_information(ready(*axis), ASKED["share"][0], all_of)
    assert SITES in shared.names
    # none there yet: the strength of its edge does not matter
    assert shared.bound(many).std[0] < 1e-3


@pytest.mark.slow
def test_a_shift_is_known_as_well_as_the_axis_is() -> None:
    asked, axis, _ = ASKED["shift"]
    told = spectral_information(ready(*axis), asked, {OFFSET: 0.05})
    assert {BACKGROUND, EXPONENT, OFFSET, "Ti L.white_lines", "Ti L.crystal_field"} < set(told.names)
    free = spectral_information(ready(*axis), asked, {})
    # O K, whose shift is known, holds the axis
    assert told.bound(1e9).std[0] < free.bound(1e9).std[0] < 1.0
    assert told.bound(1e3).std[0] > told.bound(1e9).std[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (SpectralQuantity("composition", "Sr"), "no edge of Sr"),
        (SpectralQuantity("composition", "Ti", over="Ti"), "two that differ"),
        (SpectralQuantity("composition"), "name them"),
        (SpectralQuantity("edge_shift", edge="Fe L"), "Fe L does not begin"),
    ],
)
def test_what_a_spectrum_does_not_have(asked: SpectralQuantity, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parametrised(ready(*CORE), asked, {})
