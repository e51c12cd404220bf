"""Quantities of edges: electrons, atoms per area and ratios with one covariance; maps, presence."""

import numpy as np
import pytest

from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.fit import CoreLossFit, fit_core_loss
from reconstruct.measurement.eels.core import (
    plot_of,
    presence_of,
    quantities_of,
    usual_low_loss,
    with_plural_error,
)
from reconstruct.measurement.eels.maps import maps_of
from tests.synthetic.eels.spectra import COLLECTION, CONVERGENCE, HIGH_TENSION, core_image, edge, recorded

ENERGIES = 400.0 + 1.0 * np.arange(256)
SHAPE, ELECTRONS, GAIN = (8, 10), 1e5, 12.0


@pytest.fixture(scope="module")
def amplitudes() -> dict[str, np.ndarray]:
    return core_image(*SHAPE, ENERGIES, ELECTRONS, 3)[1]


@pytest.fixture(scope="module")
def fit() -> CoreLossFit:
    counts = recorded(core_image(*SHAPE, ENERGIES, ELECTRONS, 3)[0], 4, gain=GAIN).reshape(-1, len(ENERGIES))
    edges = [
        item for name in ("Ti", "O", "Sn") for item in edges_for(name, ENERGIES, HIGH_TENSION, COLLECTION, CONVERGENCE)
    ]
    return fit_core_loss(counts, ENERGIES, edges)


def test_electrons_and_ratios_hold_the_truth(fit: CoreLossFit, amplitudes: dict[str, np.ndarray]) -> None:
    quantities = quantities_of(fit, ELECTRONS)
    errors = np.sqrt(np.diag(quantities.covariance))
    value = dict(zip(quantities.names, zip(quantities.mean, errors, strict=True), strict=True))
    for element in ("Ti", "O"):
        lines = 0.15 if element == "Ti" else 0.0
        truth = amplitudes[element].mean() * edge(element, ENERGIES, lines).sum()
        mean, error = value[f"electrons_{element}"]
        assert abs(mean - truth) < 4.0 * error
        mean, error = value[f"areal_density_{element}"]
        assert abs(mean - amplitudes[element].mean() / ELECTRONS) < 3.0 * error
    mean, error = value["ratio_O_Ti"]
    truth = amplitudes["O"].mean() / amplitudes["Ti"].mean()
    assert abs(mean - truth) < 3.0 * error
    # electrons do not depend on what the shape and the amplitude share
    assert (
        value["electrons_Ti"][1] / value["electrons_Ti"][0]
        < 0.6 * value["areal_density_Ti"][1] / value["areal_density_Ti"][0]
    )
    assert np.linalg.eigvalsh(quantities.covariance / np.outer(errors, errors)).min() > -1e-9


def test_without_a_low_loss_errors_hold_what_it_would_change() -> None:
    """Edges with plural scattering of t/lambda = 0.5 that nobody told of: the ratio stays within its errors."""
    longer = 200.0 + np.arange(456)
    plain, amplitudes = core_image(*SHAPE, longer, 5.0 * ELECTRONS, 3)
    kernel = usual_low_loss(1.0)
    assert kernel.sum() == pytest.approx(1.0, abs=0.01)
    assert kernel[0] == pytest.approx(np.exp(-0.5), rel=0.02)
    mean = np.zeros_like(plain)
    for lag, share in enumerate(kernel):
        mean[..., lag:] += share * plain[..., : len(longer) - lag]
    counts = recorded(mean[..., 200:], 4, gain=GAIN).reshape(-1, 256)
    edges = [item for name in ("Ti", "O") for item in edges_for(name, ENERGIES, HIGH_TENSION, COLLECTION, CONVERGENCE)]
    fit = fit_core_loss(counts, ENERGIES, edges)
    quantities = quantities_of(fit, None)
    wide = with_plural_error(fit, quantities)
    index = quantities.names.index("ratio_O_Ti")
    assert wide.covariance[index, index] > quantities.covariance[index, index]
    truth = amplitudes["O"].mean() / amplitudes["Ti"].mean()
    assert abs(wide.mean[index] - truth) < 3.0 * np.sqrt(wide.covariance[index, index])
    assert np.array_equal(wide.mean, quantities.mean)


def test_an_element_that_is_not_there_is_not_found(fit: CoreLossFit) -> None:
    present = {fit.design.elements[index]: presence_of(fit, index) for index in range(3)}
    assert present["Ti"].presence.pooled > 50.0
    assert abs(present["Sn"].presence.pooled) < 4.0
    assert present["Sn"].presence.detected().mean() < 0.25
    assert 0.0 < present["Sn"].pooled_limit < present["Sn"].limit
    assert present["Sn"].tested == 40


def test_maps_have_errors_and_gaps(fit: CoreLossFit, amplitudes: dict[str, np.ndarray]) -> None:
    valid = np.ones(80, bool)
    maps = {item.name: item for item in maps_of(fit, SHAPE, valid, np.full(80, ELECTRONS), ((), "1"))}
    titanium = maps["areal_density_Ti"]
    off = (titanium.values - amplitudes["Ti"] / ELECTRONS) / titanium.values
    assert np.abs(off - off.mean()).max() < 6.0 * (titanium.errors / titanium.values).max()
    assert abs(off.mean()) < 4.0 * titanium.common
    assert maps_of(fit, (80,), valid, None, ((), "1")) == ()


def test_the_plot_has_the_edges_and_the_background(fit: CoreLossFit) -> None:
    plot = plot_of(fit)
    assert [name for name, _ in plot.marks] == ["Ti L2,3", "O K", "Sn M4,5"]
    assert plot.parts[0][0] == "background"
    assert (plot.model[100:] > plot.parts[0][1][100:]).all()
    assert 0.7 < float(np.sqrt(np.nanmean(plot.residual**2))) < 1.4
