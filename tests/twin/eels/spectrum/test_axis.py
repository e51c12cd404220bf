"""Energy axes, parameters as vectors, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.twin.eels.spectrum.standin import aluminium, low_model, low_values, subshell
from twin.channels import channel, field
from twin.eels.spectrum import (
    Measured,
    completed,
    dielectric_table,
    edge,
    energy_axis,
    expected,
    flatten,
    labels,
    offset_by_channels,
    offset_change,
    spectrum_model,
    unflatten,
)  # fmt: skip
from twin.eels.spectrum.axis import DRIFT_TUBE, HIGH_TENSION


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((100, 0.0, 0.0, 1.0), "dispersion is 0.0 eV a channel, and must be above 0"),
        ((100, 0.0, -0.1, 1.0), "dispersion is -0.1"),
        ((100, 0.0, float("nan"), 1.0), "dispersion is nan"),
        ((100, float("inf"), 0.1, 1.0), "offset is inf"),
        ((100, 0.0, 0.1, 0.0), "resolution is 0.0 eV"),
        ((1, 0.0, 0.1, 1.0), "1 channels"),
        ((100, -30.0, 0.1, 1.0), "ends at -20.1 eV, below zero loss"),
        ((100, 5000.0, 0.001, 0.01, True), "coarser resolution"),
    ],
)
def test_axes_that_cannot_be_are_refused(arguments: tuple, said: str) -> None:
    whole = {"whole": True} if len(arguments) == 5 else {}
    with pytest.raises(ValueError, match=said):
        energy_axis(*arguments[:4], **whole)


def test_edges_outside_of_the_axis_are_refused_by_name() -> None:
    axis = energy_axis(500, -10.0, 0.1, 0.5)
    with pytest.raises(ValueError, match=r"Al L at 73 eV lies outside of 0 to 39.9 eV; leave it out"):
        spectrum_model(axis, 200e3, edges=[aluminium()])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"plasmons": [(15.0, 1.0, 1.0)], "table": True}, "give one"),
        ({"surface": True}, "surfaces follow from a dielectric function"),
        ({"table": True, "collection": 0.0}, "need the collection semi-angle"),
        ({"gap": 3.0}, "a gap is one of plasmons"),
        ({"backgrounds": 1}, "no value at zero loss"),
    ],
)
def test_contradictions_are_refused(options: dict, said: str) -> None:
    if options.get("table"):
        options = {
            "collection": 0.01,
            **options,
            "table": dielectric_table(np.arange(1.0, 9.0), np.full(8, 1.0 + 1.0j)),
        }
    with pytest.raises(ValueError, match=said):
        spectrum_model(energy_axis(500, -10.0, 0.1, 0.5), 200e3, **options)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("t_over_lambda", -0.1, "t_over_lambda is -0.1 1, and must be of at least 0"),
        ("t_over_lambda", float("nan"), "t_over_lambda is nan"),
        ("dispersion", 0.0, "dispersion is 0 electronvolt, and must be above 0"),
        ("counts", jnp.array([1.0, -2.0]), "counts is -2"),
        ("plasmon1.width", jnp.ones(3), r"plasmon1.width has the shape \(3,\); give one number for all spectra"),
        ("psf.tail", 1.5, "psf.tail is 1.5"),
        ("pattern", jnp.ones(3), "pattern has the shape"),
        ("plasma.width", 1.0, "has no parameter 'plasma.width'; it has counts, offset"),
    ],
)
def test_parameters_out_of_bounds_are_refused_by_name(name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        expected(low_model(), {name: value})


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="two spin-orbit partners"):
        edge("O", "K", [subshell("K", 532.0, 1e-7)], white=True)
    with pytest.raises(ValueError, match="give white=True"):
        edge("O", "K", [subshell("K", 532.0, 1e-7)], split=True)
    with pytest.raises(ValueError, match="must rise"):
        edge("O", "K", [subshell("K", 532.0, 1e-7)], knots=(5.0, 4.0, 8.0, 9.0))
    axis = energy_axis(200, -10.0, 0.2, 1.0)
    with pytest.raises(ValueError, match="sums to 0 counts"):
        expected(spectrum_model(axis, 200e3, measured=Measured(np.zeros(20), 10.0)), {})
    with pytest.raises(ValueError, match="in channel 30 of 20"):
        expected(spectrum_model(axis, 200e3, measured=Measured(np.ones(20), 30.0)), {})
    with pytest.raises(ValueError, match="do not rise"):
        dielectric_table(np.array([1.0, 3.0, 2.0, 4.0]), np.full(4, 1.0 + 1.0j))
    with pytest.raises(ValueError, match="give energy to electrons"):
        dielectric_table(np.arange(1.0, 5.0), np.full(4, 1.0 - 1.0j))


def test_parameters_are_one_vector_and_back() -> None:
    model = low_model()
    values = completed(model.parameters, {**low_values(), "t_over_lambda": jnp.array([[0.5, 1.0]])})
    names = ("t_over_lambda", "plasmon2.strength", "pattern")
    vector = flatten(values, names)
    assert labels(values, names)[:4] == (
        "t_over_lambda[0, 0]",
        "t_over_lambda[0, 1]",
        "plasmon2.strength",
        "pattern[0]",
    )
    back = unflatten(vector * 2.0, values, names)
    np.testing.assert_allclose(back["t_over_lambda"], [[1.0, 2.0]])
    assert float(back["gain"]) == 3.2
    assert model.parameter("t_over_lambda").each
    with pytest.raises(ValueError, match="flatten the same names"):
        unflatten(vector[:-1], values, names)


def test_high_tension_and_drift_tube_move_the_axis() -> None:
    assert float(offset_change(200e3, high_tension=3.0, drift_tube=2.0)) == 5.0
    # the energy on the prism's axis, p c = e B rho c: an electron of 200 kV and of 1 ppm more momentum has 0.343 eV more
    momentum = np.sqrt(200e3 * (200e3 + 2 * 510998.95))
    rise = np.sqrt((momentum * (1.0 + 1e-6)) ** 2 + 510998.95**2) - 510998.95 - 200e3
    assert float(offset_change(200e3, prism=1e-6)) == pytest.approx(-rise, rel=1e-5)
    then = {HIGH_TENSION: 199_622.0, DRIFT_TUBE: 0.0, "gun.emission": 1e-4}
    assert float(offset_by_channels(200e3, {HIGH_TENSION: 199_624.5}, then)) == 2.5
    assert channel(DRIFT_TUBE).unit == channel(HIGH_TENSION).unit == "volt"
    assert DRIFT_TUBE in field("drift_tube").aliases
    assert HIGH_TENSION in field("high_tension").aliases


def test_the_axis_may_be_off_its_nominal_place() -> None:
    model = low_model()
    counts = np.asarray(
        expected(model, {**low_values(), "pattern": jnp.ones(400), "dark": 0.0, "offset": -12.0, "dispersion": 0.3})
    )
    moved = np.asarray(
        expected(model, {**low_values(), "pattern": jnp.ones(400), "dark": 0.0, "offset": -13.5, "dispersion": 0.3})
    )
    np.testing.assert_allclose(moved[5:], counts[:-5], rtol=1e-6, atol=1e-9)
