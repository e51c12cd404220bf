"""The collection semi-angle by edges that lie far apart: against the dipole formula, and in spectra of the forward model."""

import math

import msgspec
import numpy as np
import pytest

from reconstruct.measurement.eels.core import CROSS_SECTION_ERROR
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.spectra.angles import FIELD, log_ratio
from reconstruct.validation.data.spectra.spectrum import spectrum
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import validate_recording
from tests.benchmarks.validate.recordings.losses import CHANNELS, SHAPES, made_of
from tests.benchmarks.validate.recordings.made import signal_of
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.reconstruct.validation.data.spectra.test_energy_axis_evidence import WHOLE, both
from tests.synthetic.energy_losses import signal_of_spectrum
from twin.optics.electrons import momentum_times_velocity
from twin.records import Claim, Signal

SILICON = ("Si L2,3", "Si K")


def slope(function, at: float) -> float:
    """d ln f / d ln x."""
    step = 1.02
    return (function(at * step) - function(at / step)) / (2.0 * math.log(step))


@pytest.mark.parametrize("tension", [80e3, 200e3])
def test_the_ratio_changes_with_the_angle_as_dipole_transitions_do(tension):
    """ln(1 + (beta / theta_E)^2) of each edge, at its mean loss in the window (Egerton, section 3.3); the high tension moves it through theta_E alone."""
    angle = 10e-3

    def dipole(collection: float, high_tension: float) -> float:
        angles = [loss / momentum_times_velocity(high_tension) for loss in (99.0 + 60.0, 1839.0 + 60.0)]
        parts = [math.log(math.log1p((collection / theta) ** 2)) for theta in angles]
        return parts[0] - parts[1]

    by_angle = slope(lambda x: log_ratio(*SILICON, tension, x), angle)
    assert by_angle == pytest.approx(slope(lambda x: dipole(x, tension), angle), rel=0.15)
    by_tension = slope(lambda x: log_ratio(*SILICON, x, angle), tension)
    # it also moves how much transverse excitation there is
    assert by_tension == pytest.approx(slope(lambda x: dipole(angle, x), tension), rel=0.2)


def claiming(counts: np.ndarray, **claims: float) -> Signal:
    signal = signal_of_spectrum(counts, WHOLE.dispersion, WHOLE.offset)
    more = {name: Claim(value, "radian", name) for name, value in claims.items()}
    return msgspec.structs.replace(signal, claims={**signal.claims, **more})


def test_edges_that_lie_close_say_that_they_tell_nothing():
    signal = claiming(both(WHOLE, 12), collection_semiangle=0.02)
    items, gaps = evidence_by(spectrum, signal, Known("TiO2"))
    assert "ratio of edges" not in {item.name for item in items}
    (gap,) = [gap for gap in gaps if FIELD in gap.fields]
    assert "Ti L2,3 and O K" in gap.why
    assert "bright-field disk" in gap.verify
    error = math.hypot(CROSS_SECTION_ERROR["L"], CROSS_SECTION_ERROR["K"])
    assert f"known to {error:.0%}" in gap.why


def test_angles_that_no_cross_section_is_for_leave_a_gap():
    _, gaps = evidence_by(spectrum, claiming(both(WHOLE, 12), collection_semiangle=0.6), Known("TiO2"))
    assert any("too large" in gap.why for gap in gaps)


@pytest.fixture(scope="module")
def silicon():
    """A spectrum of silicon at 80 kV into 9 mrad."""
    values = {
        "high_tension": 80e3, "convergence_semiangle": 3e-3, "collection_semiangle": 9e-3, "beam_current": 2e-10, "exposure": 2.0, "gain": 12.0,
        "dispersion": 1.0, "energy_offset": -45.0,
    }  # fmt: skip
    return made_of("Si", values, 300.0, SHAPES["Si"], CHANNELS["Si"], 70)


@pytest.mark.slow  # a spectrum of the forward model, and fits of its edges
def test_the_ratio_of_silicon_tells_the_angle(silicon):
    items, _ = evidence_by(spectrum, signal_of(silicon, silicon.values), Known("Si"))
    (item,) = [item for item in items if item.name == "ratio of edges"]
    assert set(item.statements[0].terms) == {"collection_semiangle", "high_tension"}
    assert np.abs(nearest(item, silicon.values)).max() < 2.0
    # the cross-sections of the model are those of the evidence: what is left of it is less than its error
    assert math.sqrt(item.components[0].covariance[0, 0]) < 0.2


@pytest.mark.slow  # as above
def test_the_full_angle_is_found_and_the_high_tension_is_not_blamed_alone(silicon):
    doubled = {**silicon.values, "collection_semiangle": 2.0 * silicon.values["collection_semiangle"]}
    result = validate_recording("silicon", signal_of(silicon, doubled), Known("Si"))
    verdict = result.verdict("collection_semiangle")
    assert verdict.status == "disagrees"
    assert verdict.causes[0][0] == "full angle for semi-angle"
    lower = {**silicon.values, "high_tension": 200e3}
    wrong = validate_recording("silicon", signal_of(silicon, lower), Known("Si"))
    assert {"collection_semiangle", "high_tension"} & {item.field for item in wrong.findings}
    assert numbers(wrong.claims)["high_tension"] == 200e3
    if wrong.verdict("high_tension").status == "disagrees":
        assert wrong.verdict("collection_semiangle").status == "disagrees"
