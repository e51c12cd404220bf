"""Electrons of a spectrum with its zero loss as evidence on current, exposure and counts per electron."""

import numpy as np
import pytest
from scipy.constants import elementary_charge

from reconstruct.validation.data.options import Known
from reconstruct.validation.data.spectra.electrons import entering
from reconstruct.validation.data.spectra.spectrum import spectrum
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by
from tests.synthetic.energy_losses import Axes, low_loss, signal_of_spectrum
from twin.channels import field
from twin.records import Claim, Signal

AXIS, CURRENT, GAIN = Axes(0.1, -10.0, 2048), 40e-12, 7.0
BEAM = "counts of the whole beam"


def counted(seed: int, spectra: int = 1, gain: float = GAIN, dark: float = 0.0) -> tuple[np.ndarray, float]:
    """Spectra [n, channels] of counts, and the time that the beam takes for their mean where a tenth of it is lost."""
    electrons = np.stack([low_loss(AXIS, 100 * seed + number) for number in range(spectra)])
    exposure = float(electrons.sum(axis=1).mean()) / 0.9 * elementary_charge / CURRENT
    return gain * electrons + dark, exposure


def claiming(counts: np.ndarray, **claims: float) -> Signal:
    signal = signal_of_spectrum(counts, AXIS.dispersion, AXIS.offset)
    stated = {"collection_semiangle": 0.02, "beam_current": CURRENT, **claims}
    more = {name: Claim(value, field(name).unit, name) for name, value in stated.items() if value}
    return Signal(counts, signal.axes, "spectrum", "", "", "synthetic", {**signal.claims, **more})


def beam_of(signal: Signal, known: Known = Known()):
    items, gaps = evidence_by(spectrum, signal, known)
    return next((item for item in items if item.name == BEAM), None), gaps


@pytest.mark.parametrize("dark", [0.0, 3.0, -1.0])
def test_true_claims_agree(dark):
    counts, exposure = counted(1, dark=dark)
    signal = claiming(counts[0], exposure=exposure, gain=GAIN)
    item, _ = beam_of(signal)
    assert item is not None
    assert item.statements[0].terms == {"beam_current": 1.0, "exposure": 1.0, "gain": 1.0}
    off = abs(float(item.components[0].mean[0]) - item.statements[0].of(numbers(signal.claims)))
    assert off < item.tolerance[0] + 0.05


@pytest.mark.parametrize("name", ["exposure", "beam_current", "gain"])
@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_a_prefix_that_is_wrong_is_found_and_all_three_are_named(name, factor):
    counts, exposure = counted(2)
    true = {"exposure": exposure, "beam_current": CURRENT, "gain": GAIN}
    result = validate_recording("low loss", claiming(counts[0], **{**true, name: true[name] * factor}))
    assert {verdict.field for verdict in result.findings} == set(true)
    assert {verdict.causes[0][0] for verdict in result.findings} == {"unit or prefix"}


def test_the_scatter_of_spectra_stands_for_a_gain_that_is_not_claimed():
    counts, exposure = counted(3, spectra=24)
    item, _ = beam_of(claiming(counts, exposure=exposure))
    assert item is not None
    assert set(item.statements[0].terms) == {"beam_current", "exposure"}
    off = float(item.components[0].mean[0]) - np.log(CURRENT * exposure)
    assert abs(off) < item.tolerance[0] + 0.1
    # without the counts per electron it would be seven times as many electrons
    assert abs(off + np.log(GAIN)) > item.tolerance[0]


def test_a_wrong_gain_is_found_by_the_scatter_of_spectra():
    counts, exposure = counted(4, spectra=48)
    items, _ = evidence_by(spectrum, claiming(counts, exposure=exposure, gain=2.0 * GAIN))
    item = next(item for item in items if item.name == "scatter of spectra")
    mean, error = float(np.exp(item.components[0].mean[0])), float(np.sqrt(item.components[0].covariance[0, 0]))
    assert abs(mean / GAIN - 1.0) < 3.0 * error
    assert error < 0.1
    assert "gain" in {verdict.field for verdict in validate_recording("x", claiming(counts, exposure=exposure, gain=2.0 * GAIN)).findings}  # fmt: skip


@pytest.mark.parametrize(
    "change, words",
    [
        ({"gain": 0.0}, "counts per electron are not known"),
        ({"beam_current": 0.0}, "claims no beam current"),
        ({"exposure": 0.0}, "claims no dwell"),
    ],
)
def test_what_is_not_claimed_leaves_a_gap(change, words):
    counts, exposure = counted(5)
    item, gaps = beam_of(claiming(counts[0], **{"exposure": exposure, "gain": GAIN, **change}))
    assert item is None
    assert any(words in gap.why for gap in gaps)


def test_a_saturated_zero_loss_counts_nothing():
    counts, exposure = counted(6)
    counts = np.minimum(counts, 0.6 * counts.max())
    item, gaps = beam_of(claiming(counts[0], exposure=exposure, gain=GAIN))
    assert item is None
    assert any("saturated" in gap.why for gap in gaps)


def test_a_probe_wider_than_the_aperture_is_cut():
    whole = entering(0.0, {"collection_semiangle": 0.01})
    cut = entering(0.0, {"collection_semiangle": 0.01, "convergence_semiangle": 0.02})
    assert np.allclose(np.array(cut) / np.array(whole), 0.25)


@pytest.mark.slow  # three specimens by multislice
@pytest.mark.parametrize(
    "crystal, thickness, path", [("SrTiO3", 300.0, 900.0), ("Au", 200.0, 750.0), ("Si", 600.0, 1400.0)]
)
def test_multislice_leaves_no_less_than_the_least_share(crystal, thickness, path):
    """A probe of 8 mrad along a zone axis: diffraction, less what phonons scatter, part of which enters too; ``path``: usual mean free paths in angstrom."""
    from twin import Microscope, Sample, simulate

    sample = Sample.crystal(crystal, thickness=thickness)
    pattern = simulate(sample, Microscope(energy=200e3, semiangle=8e-3), "cbed").data
    angles = 1e-3 * np.hypot(pattern.theta_y.values[:, None], pattern.theta_x.values[None])
    for collection in (0.008, 0.015, 0.03):
        share = float(pattern.values[angles <= 1.001 * collection].sum())
        values = {"collection_semiangle": collection, "convergence_semiangle": 0.008, "high_tension": 200e3}
        low, high = entering(thickness / path, values, sample.structure.content)
        assert low < share < high
