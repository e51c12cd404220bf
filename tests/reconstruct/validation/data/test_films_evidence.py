"""Thon rings as evidence on defocus, astigmatism and the scale of an image: on drawn films, with claims that are true and false."""

import numpy as np
import pytest

from reconstruct.validation.data.films import may_be_film, thon
from reconstruct.validation.data.options import AMORPHOUS, Known
from reconstruct.validation.judgement.verdict import numbers
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.films import ENERGY, film
from twin.records import Axis, Claim, Signal, axis_claims, collect

CS = 1.2e7


def signal_of_film(image: np.ndarray, pixel: float, **claims: float) -> Signal:
    axes = (Axis("y", image.shape[0], pixel, 0.0, "angstrom"), Axis("x", image.shape[1], pixel, 0.0, "angstrom"))
    measured, _ = collect(axis_claims(axes, "image"))
    stated = {name: Claim(value, None, name) for name, value in {"high_tension": ENERGY, **claims}.items()}
    return Signal(image, axes, "image", "", "", "synthetic", {**measured, **stated})


@pytest.fixture(scope="module")
def drawn():
    return film(3, c30=CS, dose=300.0)


@pytest.mark.slow
def test_defocus_is_found_whatever_is_claimed(drawn):
    for claimed in (drawn.truth[0], -drawn.truth[0]):
        signal = signal_of_film(drawn.image, drawn.pixel, C10=claimed, spherical_aberration=CS, exposure=1.0)
        (item, scale), gaps = evidence_by(thon, signal, Known(AMORPHOUS))
        assert not gaps
        truth = {**numbers(signal.claims), "C10": drawn.truth[0]}
        assert abs(nearest(item, truth)[0]) < 2.5
        assert abs(nearest(scale, truth)[0]) < 2.0
    assert np.abs(nearest(item, numbers(signal.claims))).max() > 10.0


@pytest.mark.slow
def test_a_wrong_pixel_moves_the_rings_as_the_evidence_says(drawn):
    """A pixel that is a tenth too large makes C30 seem 46 % larger; with the true pixel the same evidence agrees."""
    signal = signal_of_film(drawn.image, 1.1 * drawn.pixel, C10=drawn.truth[0], spherical_aberration=CS, exposure=1.0)
    items, _ = evidence_by(thon, signal, Known(AMORPHOUS))
    scale = next(item for item in items if item.name == "distances of Thon rings")
    claimed = numbers(signal.claims)
    assert nearest(scale, claimed)[0] > 3.0
    assert abs(nearest(scale, {**claimed, "pixel.x": drawn.pixel, "pixel.y": drawn.pixel})[0]) < 2.0


def test_without_the_lens_nothing_is_said(drawn):
    signal = signal_of_film(drawn.image, drawn.pixel, C10=1e3, spherical_aberration=0.0)
    items, (gap,) = evidence_by(thon, signal)
    assert not items
    assert "spherical aberration" in gap.why


def test_only_images_of_cameras_may_be_films(drawn):
    claims = {"C10": 1e3, "spherical_aberration": CS}
    image = signal_of_film(drawn.image, drawn.pixel, **claims)
    scan = signal_of_film(drawn.image, drawn.pixel, **claims, dwell=1e-5)
    assert may_be_film(image, numbers(image.claims), Known())
    assert not may_be_film(scan, numbers(scan.claims), Known())
    assert not may_be_film(image, numbers(image.claims), Known("SrTiO3"))


@pytest.mark.slow
def test_real_rings(data):
    from instrument.readers import read_vendor

    for name, c10, astigmatism in (("thon-ice-ring", -8000.0, None), ("thon-strong-astigmatism", -8000.0, 2236.0)):
        image = np.asarray(read_vendor(data / "spoiled" / f"{name}.tif")[0].data)
        claims = {"C10": c10, "spherical_aberration": 2.7e7, "high_tension": 300e3, "astigmatism": astigmatism or 1.0}
        items, _ = evidence_by(thon, signal_of_film(image, 1.0, **claims), Known(AMORPHOUS))
        deviations = nearest(items[0], {**claims, "pixel.x": 1.0, "pixel.y": 1.0})
        assert np.abs(deviations).max() < 2.5
        assert len(deviations) == (1 if astigmatism is None else 2)
