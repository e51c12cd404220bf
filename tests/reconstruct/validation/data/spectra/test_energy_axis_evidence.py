"""Energy axes by the zero loss, plasmon and edges: against drawn spectra, with claims that are true and false, and spectra in which nothing is seen."""

import dataclasses
import math

import msgspec
import numpy as np
import pytest
from scipy.special import expit

from reconstruct.eels.features import onsets, zero_loss
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.spectra.spectrum import is_energy_loss, spectrum
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.energy_losses import EDGES, Axes, core_loss, low_loss, signal_of_spectrum
from twin.optics.electrons import momentum_times_velocity
from twin.records import Claim

TITANATE = Known("SrTiO3")
CORE, LOW = Axes(), Axes(0.05, -5.0)


def truth(axis: Axes) -> dict[str, float]:
    return {"dispersion": axis.dispersion, "energy_offset": axis.offset}


@pytest.mark.smoke
def test_edges_of_the_specimen_confirm_the_axis():
    (item,), gaps = evidence_by(spectrum, signal_of_spectrum(core_loss(("Ti", "O"), CORE, 0), 0.5, 350.0), TITANATE)
    assert not gaps
    assert {statement.form for statement in item.statements} == {"linear"}
    assert np.abs(nearest(item, truth(CORE))).max() < 2.5
    assert "Ti L3" in item.words
    assert "O K" in item.words


@pytest.mark.parametrize("dispersion, offset", [(0.5, 380.0), (0.5, 250.0), (1.0, 350.0), (0.25, 350.0)])
def test_a_wrong_axis_is_found(dispersion, offset):
    counts = core_loss(("Ti", "O"), CORE, 1)
    (item,), _ = evidence_by(spectrum, signal_of_spectrum(counts, dispersion, offset), TITANATE)
    assert np.abs(nearest(item, {"dispersion": dispersion, "energy_offset": offset})).max() > 4.0
    assert np.abs(nearest(item, truth(CORE))).max() < 3.0


def test_a_wrong_offset_is_suggested():
    signal = signal_of_spectrum(core_loss(("Ti", "O"), CORE, 2), 0.5, 375.0)
    verdict = validate_recording("spectrum", signal, TITANATE).verdict("energy_offset")
    assert verdict.status == "disagrees"
    assert verdict.causes[0][0] == "energy offset"
    assert verdict.error is not None
    assert verdict.error < 3.0
    assert verdict.suggested == pytest.approx(350.0, abs=3.0 * verdict.error)


def test_errors_of_edges_cover_chemical_shifts():
    deviations = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        axis = Axes(0.5 * math.exp(0.01 * rng.standard_normal()), 350.0 + 3.0 * rng.standard_normal())
        counts = core_loss(("Ti", "O"), axis, seed, shift=1.2)
        items, _ = evidence_by(spectrum, signal_of_spectrum(counts, 0.5, 350.0), TITANATE)
        deviations += [] if not items else list(nearest(items[0], truth(axis)))
    assert len(deviations) >= 40
    assert 0.5 < math.sqrt(float(np.mean(np.square(deviations)))) < 1.5


def test_the_edges_of_another_specimen_are_none_of_this():
    counts = core_loss(("Mn", "La"), CORE, 3)
    items, gaps = evidence_by(spectrum, signal_of_spectrum(counts, 0.5, 350.0), Known("GaAs"))
    assert not items
    assert "not the edges" in gaps[0].why


def test_without_specimen_there_is_no_edge_of_known_energy():
    items, gaps = evidence_by(spectrum, signal_of_spectrum(core_loss(("Ti", "O"), CORE, 4), 0.5, 350.0))
    assert not items
    assert "the specimen is not known" in gaps[0].why


def test_the_zero_loss_tells_the_offset():
    for shift in (0.0, 3.0):
        counts = low_loss(LOW, 5)
        (item,), (gap,) = evidence_by(spectrum, signal_of_spectrum(counts, 0.05, -5.0 + shift))
        assert np.abs(nearest(item, truth(LOW))).max() < 2.0
        assert gap.fields == ("dispersion",)
        deviation = abs(nearest(item, {"dispersion": 0.05, "energy_offset": -5.0 + shift}).max())
        assert deviation > 20.0 if shift else deviation < 2.0


@pytest.mark.parametrize("factor", [1.0, 1.1, 2.0])
def test_the_plasmon_of_a_pure_element_tells_the_dispersion(factor):
    signal = signal_of_spectrum(low_loss(LOW, 6), 0.05 * factor, -5.0 * factor)
    (item,), gaps = evidence_by(spectrum, signal, Known("Al"))
    assert not gaps
    assert item.statements[1].terms == {"dispersion": 1.0}
    assert math.exp(item.components[0].mean[1]) == pytest.approx(0.05, rel=0.03)
    assert item.components[0].covariance[1, 1] < 0.02**2


def both(axis: Axes, seed: int, elements: tuple[str, ...] = ("Ti", "O")) -> np.ndarray:
    """A spectrum with its zero loss and edges: over what falls off behind the plasmon at 15 eV."""
    rng = np.random.default_rng(seed)
    energies = axis.energies
    counts = low_loss(axis, seed, counts=1e8, width=2.0)
    behind = np.where(energies > 0.0, 1e5 / (1.0 + (energies / 60.0) ** 2), 0.0)
    for element in elements:
        for position, step, line in EDGES[element]:
            onset = position + rng.standard_normal()
            local = 1e5 * (onset / 60.0) ** -2.0
            behind += local * expit((energies - onset) / 0.5) * step * (np.maximum(energies, onset) / onset) ** -3.0
            behind += local * line * np.exp(-0.5 * ((energies - onset - 1.2) / 1.0) ** 2)
    return counts + rng.poisson(behind)


WHOLE = Axes(0.5, -20.0, 1400)


def dispersion_of(items) -> float:
    """The dispersion by all statements alone, by weighted least squares."""
    rows = [
        (statement.terms["dispersion"], item.components[0].mean[i], item.components[0].covariance[i, i] ** -0.5)
        for item in items
        for i, statement in enumerate(item.statements)
    ]
    at, energy, weight = np.array(rows).T
    return float(np.polyfit(at, energy, 1, w=weight)[0])


TWO, ONE = ("Ti", "O"), ("O",)


@pytest.mark.parametrize("elements, factor", [(TWO, 1.0), (TWO, 1.07), (TWO, 0.5), (TWO, 2.0), (ONE, 1.0), (ONE, 1.07)])
def test_edges_and_the_zero_loss_tell_the_dispersion(elements: tuple[str, ...], factor: float):
    signal = signal_of_spectrum(both(WHOLE, 9, elements), 0.5 * factor, -20.0 * factor)
    items, gaps = evidence_by(spectrum, signal, TITANATE)
    assert [item.name for item in items] == ["zero loss", "edges of the specimen"]
    assert not gaps
    deviations = np.concatenate([nearest(item, truth(WHOLE)) for item in items])
    assert np.abs(deviations).max() < 3.0
    assert dispersion_of(items) == pytest.approx(0.5, rel=0.01)


def test_one_edge_may_be_that_of_an_element_that_was_not_named():
    """N K lies at 400.5 eV: as O K (530.8 eV) the dispersion would be 1.33 of what it is."""
    signal = signal_of_spectrum(both(WHOLE, 10, ("O",)), 0.5 * 400.5 / 530.8, -20.0 * 400.5 / 530.8)
    result = validate_recording("spectrum", signal, TITANATE)
    assert "dispersion" not in {verdict.field for verdict in result.findings}
    off = signal_of_spectrum(both(WHOLE, 10, ("O",)), 0.5 * 0.85, -20.0 * 0.85)
    assert "dispersion" in {verdict.field for verdict in validate_recording("spectrum", off, TITANATE).findings}


@pytest.mark.parametrize("tension", [80e3, 300e3])
def test_a_dispersion_of_another_high_tension_is_told_from_one_of_another_setting(tension):
    """The spectrum is of 200 kV, and claims another high tension with the dispersion at that; or a dispersion 8 % off from there."""
    counts = both(WHOLE, 11)
    for more, cause in ((1.0, "high tension"), (0.92, "dispersion")):
        ratio = more * momentum_times_velocity(tension) / momentum_times_velocity(200e3)
        signal = signal_of_spectrum(counts, 0.5 * ratio, -20.0 * ratio)
        claims = {**signal.claims, "high_tension": Claim(tension, "volt", "high_tension")}
        result = validate_recording("spectrum", msgspec.structs.replace(signal, claims=claims), TITANATE)
        verdict = result.verdict("dispersion")
        assert verdict.status == "disagrees"
        assert verdict.suggested == pytest.approx(0.5, rel=0.01)
        assert verdict.causes[0][0] == cause
        assert verdict.causes[0][1] > 0.9
        # nothing but the dispersion speaks about the high tension
        assert result.verdict("high_tension").status == "unverifiable"
        said = "200 kV, and the dispersion is that at" in result.verdict("high_tension").words
        assert said is (cause == "high tension")


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_edges_and_no_zero_loss(seed):
    counts = np.random.default_rng(seed).normal(0.0, 100.0, 2048)
    assert onsets(counts) == []
    assert isinstance(zero_loss(counts), str)
    items, gaps = evidence_by(spectrum, signal_of_spectrum(counts, 0.5, -100.0), TITANATE)
    assert not items
    assert gaps


def test_a_peak_at_the_beginning_is_no_zero_loss():
    counts = low_loss(Axes(0.05, -0.5), 7)
    assert "beginning" in zero_loss(counts)


def test_spectra_of_x_rays_are_left_out():
    counts = low_loss(dataclasses.replace(LOW, channels=512), 8)
    for name, dispersion, expected in (
        ("Energy loss", 0.05, True),
        ("X-ray energy", 0.05, False),
        ("Energy", 10.0, False),
    ):
        signal = signal_of_spectrum(counts, dispersion, 0.0, name)
        assert is_energy_loss(signal, numbers(signal.claims)) is expected


def test_real_spectra(data):
    from instrument.readers import read_vendor

    def measured(name: str, known: Known):
        return evidence_by(spectrum, read_vendor(data / "spectra" / name)[0], known)

    # no zero loss is in it, and chemical shifts are no smaller than what its edges are off
    (item,), _ = measured("titanate-si-eels.dm3", TITANATE)
    assert "Ti L3" in item.words
    assert "O K" in item.words
    assert np.abs(nearest(item, {"dispersion": 0.5, "energy_offset": 350.0})).max() < 3.0
    # the highest peak stands 0.135 eV, most of its width of 0.157 eV, below the file's zero
    (item,), _ = measured("al-low-loss.dm3", Known("Al"))
    claimed = {"dispersion": 0.0201262179762125, "energy_offset": -3.6092472976966974}
    deviations = nearest(item, claimed)
    assert deviations[0] > 5.0
    assert abs(deviations[1]) < 1.0
    for name in ("dm-eels-spectrum.dm3", "tia-spectrum-image.emi"):  # no electrons in them
        assert measured(name, TITANATE)[0] == []
