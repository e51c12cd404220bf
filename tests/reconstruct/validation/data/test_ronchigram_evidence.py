"""Shadow images of films as evidence on defocus: drawn by another program, with claims that are true and false, and images that tell nothing."""

import dataclasses
import math

import numpy as np
import pytest

from reconstruct.validation.data.options import AMORPHOUS, Known
from reconstruct.validation.data.ronchigram import may_be_shadow, shadow_image
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.convergent.ronchigrams import Shadow, grid_of, shadow_of, signal_of_shadow
from tests.synthetic.films import WAVELENGTH

CORRECTED = Known(AMORPHOUS, spherical=0.0)
DRAWN = Shadow(8000.0, c12=(300.0, 200.0))


@pytest.fixture(scope="module")
def counts():
    return shadow_of(DRAWN, 3)


@pytest.mark.parametrize("unit", ["radian", "1/angstrom"])
@pytest.mark.parametrize("factor", [1.3, -1.0])
def test_defocus_is_found_whatever_is_claimed(counts, unit, factor):
    signal = signal_of_shadow(counts, DRAWN, unit, C10=factor * DRAWN.c10)
    (item,), gaps = evidence_by(shadow_image, signal, CORRECTED)
    assert not gaps
    truth = {**numbers(signal.claims), "C10": DRAWN.c10}
    assert abs(nearest(item, truth)[0]) < 2.5
    assert math.sqrt(float(item.components[0].covariance[0, 0])) < 0.01 * DRAWN.c10
    claimed = abs(nearest(item, numbers(signal.claims))[0])
    assert claimed > 10.0 if factor > 0.0 else claimed < 2.5  # both signs are readings


@pytest.mark.parametrize("unit", ["radian", "1/angstrom"])
def test_a_wrong_pixel_moves_the_rings_as_the_evidence_says(counts, unit):
    signal = signal_of_shadow(counts, DRAWN, unit, pixel=1.03 * DRAWN.pixel)
    (item,), _ = evidence_by(shadow_image, signal, CORRECTED)
    claimed, right = numbers(signal.claims), numbers(signal_of_shadow(counts, DRAWN, unit).claims)
    assert nearest(item, claimed)[0] < -3.0
    assert abs(nearest(item, right)[0]) < 2.5


def test_of_frequencies_the_high_tension_counts_the_other_way(counts):
    """|C10| goes with the wavelength where pixels are angles, and with one over it where they are frequencies."""
    coefficients = []
    for unit in ("radian", "1/angstrom"):
        (item,), _ = evidence_by(shadow_image, signal_of_shadow(counts, DRAWN, unit), CORRECTED)
        coefficients.append(item.statements[0].terms["wavelength"] * WAVELENGTH / DRAWN.c10)
    assert coefficients == pytest.approx([-1.0, 1.0], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("c10", [-15000.0, 15000.0])
def test_spherical_aberration_is_allowed_for(c10):
    """The defocus changes by a third between the middle and the edge of the disk."""
    drawn = Shadow(c10, c30=1.2e7)
    signal = signal_of_shadow(shadow_of(drawn, 1), drawn, C10=1.05 * c10)
    (item,), _ = evidence_by(shadow_image, signal, Known(AMORPHOUS))
    truth = {**numbers(signal.claims), "C10": c10}
    assert abs(nearest(item, truth)[0]) < 2.5
    assert abs(nearest(item, numbers(signal.claims))[0]) > 5.0


def test_a_true_defocus_agrees(counts):
    assert validate_recording("film", signal_of_shadow(counts, DRAWN), CORRECTED).agrees


def test_a_wrong_defocus_is_found(counts):
    wrong = validate_recording("film", signal_of_shadow(counts, DRAWN, C10=0.5 * DRAWN.c10), CORRECTED)
    verdict = wrong.verdict("C10")
    assert verdict.status == "disagrees"
    assert verdict.suggested == pytest.approx(DRAWN.c10, rel=0.02)


def lattice_phase(drawn: Shadow, period: float) -> np.ndarray:
    size, extent, _ = grid_of(drawn)
    x = 2.0 * np.pi * np.arange(size) * round(extent / period) / size
    return 0.2 * (np.cos(x)[:, None] + np.cos(x)[None, :] + np.cos(x[:, None] + x[None, :]))


@pytest.mark.parametrize(
    "drawn, period",
    [
        (dataclasses.replace(DRAWN, strength=0.0), None),
        (dataclasses.replace(DRAWN, electrons=0.3, strength=0.1), None),
        (Shadow(100.0), None),
        (DRAWN, 3.9),
        (DRAWN, 12.0),
    ],
    ids=["vacuum", "few electrons", "in focus", "crystal", "large cell"],
)
def test_what_is_no_film_out_of_focus_is_a_gap(drawn, period):
    phase = None if period is None else lattice_phase(drawn, period)
    signal = signal_of_shadow(shadow_of(drawn, 5, phase), drawn)
    items, (gap,) = evidence_by(shadow_image, signal, CORRECTED)
    assert not items
    assert gap.fields == ("C10",)
    assert "Record the shadow image" in gap.verify


def test_without_the_lens_nothing_is_said(counts):
    items, (gap,) = evidence_by(shadow_image, signal_of_shadow(counts, DRAWN))
    assert not items
    assert "spherical aberration" in gap.why


def test_only_few_patterns_of_no_known_crystal_may_be_shadows(counts):
    signal = signal_of_shadow(counts, DRAWN)
    values = numbers(signal.claims)
    assert may_be_shadow(signal, values, Known())
    assert not may_be_shadow(signal, values, Known("SrTiO3"))
    assert not may_be_shadow(signal, {k: v for k, v in values.items() if k != "convergence_semiangle"}, Known())
    scan = signal_of_shadow(np.broadcast_to(counts[None, None], (4, 4, *counts.shape)), DRAWN)
    assert not may_be_shadow(scan, values, Known())
