"""Whether errors of the evidence from data hold: ``python -m tests.benchmarks.validate.coverage [DRAWS]`` prints, for each source, how often the truth lies
within two standard deviations of the reading next to it (93 to 97 % is right), and the same with errors taken 0.6 times as large, which must show.

Minutes for 40 draws: it is run by hand after a source was changed.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator

import numpy as np

from reconstruct.measurement.counting.gain import gain_of
from reconstruct.validation.data.diffraction.spots import spots
from reconstruct.validation.data.films import FLOOR, thon
from reconstruct.validation.data.options import AMORPHOUS, Known
from reconstruct.validation.data.ronchigram import shadow_image
from reconstruct.validation.data.scanned.rotation import rotation
from reconstruct.validation.data.scanned.scan_noise import scan_noise
from reconstruct.validation.data.spectra.spectrum import spectrum
from reconstruct.validation.judgement.verdict import numbers
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.reconstruct.validation.data.scanned.test_scans_evidence import signal_of_scan
from tests.reconstruct.validation.data.test_counting_evidence import counted
from tests.reconstruct.validation.data.test_films_evidence import signal_of_film
from tests.synthetic.convergent.laue_zones import Zone, zone_pattern
from tests.synthetic.convergent.ronchigrams import Shadow, shadow_of, signal_of_shadow
from tests.synthetic.diffraction_patterns import Drawn, pattern_of, signal_of_pattern
from tests.synthetic.energy_losses import Axes, core_loss, low_loss, signal_of_spectrum
from tests.synthetic.films import film
from tests.synthetic.lattices import CRYSTALS
from tests.synthetic.mains_scans import MainsScan, mains_scan, signal_of_mains_scan
from tests.synthetic.scans4d import scanned
from twin.compiled_programs import double_precision

NARROW = 0.6
"""Factor on errors of the control."""
FILMS = 0.3
"""Share of the draws for Thon rings, which take seconds each."""


def main(draws: int) -> None:
    """Print a line for each source."""
    print(f"{'source':28s} draws  gaps  statements  rms  within 2  of {NARROW:g} of the errors")
    for name, source in SOURCES.items():
        count = max(int(draws * FILMS), 8) if source is _film else draws
        deviations, gaps = [], 0
        for seed in range(count):
            measured = list(source(seed))
            gaps += not measured
            deviations += measured
        z = np.array(deviations)
        inside, narrow = (float((np.abs(z) < 2.0 * factor).mean()) for factor in (1.0, NARROW))
        print(
            f"{name:28s} {count:5d} {gaps:5d} {len(z):11d} {np.sqrt((z**2).mean()):5.2f} {inside:8.1%} {narrow:8.1%}",
            flush=True,
        )


def _pattern(base: Drawn, seed: int) -> Iterator[float]:
    """Patterns through a projector and of a cell that are each off by as much as is taken for usual."""
    rng = np.random.default_rng(1000 + seed)
    claimed = np.array(base.pixel)
    seen = claimed * np.exp(0.002 * rng.standard_normal() + 0.002 * rng.standard_normal(2))
    drawn = dataclasses.replace(
        base, pixel=tuple(seen), rotation=rng.uniform(0.0, 1.5), centre=tuple(rng.uniform(-8.0, 8.0, 2))
    )
    items, _ = evidence_by(spots, signal_of_pattern(pattern_of(drawn, seed), tuple(claimed)), Known("SrTiO3"))
    for item in items:
        yield from nearest(item, {"pixel.kx": claimed[0], "pixel.ky": claimed[1]})


def _edges(seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    axis = Axes(0.5 * math.exp(0.01 * rng.standard_normal()), 350.0 + 3.0 * rng.standard_normal())
    counts = core_loss(("Ti", "O"), axis, seed, shift=1.5)
    items, _ = evidence_by(spectrum, signal_of_spectrum(counts, 0.5, 350.0), Known("SrTiO3"))
    for item in items:
        yield from nearest(item, {"dispersion": axis.dispersion, "energy_offset": axis.offset})


def _zero_loss(seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    axis, plasmon = Axes(0.05, -5.0 + rng.standard_normal()), 15.0 + 0.15 * rng.standard_normal()
    counts = low_loss(axis, seed, plasmon)
    items, _ = evidence_by(spectrum, signal_of_spectrum(counts, 0.05, -5.0), Known("Al"))
    for item in items:
        yield from nearest(item, {"dispersion": axis.dispersion, "energy_offset": axis.offset})[1:]


def _rotation(seed: int) -> Iterator[float]:
    drawn = scanned(seed)
    items, _ = evidence_by(rotation, signal_of_scan(drawn.patterns, 0.0))
    for item in items:
        yield from nearest(item, {"pattern_rotation": drawn.rotation})


def _film(seed: int) -> Iterator[float]:
    drawn = film(seed, c30=1.2e7, dose=200.0)
    lens = 1.2e7 * math.exp(0.05 * np.random.default_rng(seed).standard_normal())
    signal = signal_of_film(drawn.image, drawn.pixel, C10=drawn.truth[0], spherical_aberration=lens, exposure=1.0)
    items, _ = evidence_by(thon, signal, Known(AMORPHOUS))
    truth = {**numbers(signal.claims), "C10": drawn.truth[0]}
    for item in items:
        if item.name == "distances of Thon rings":
            yield from nearest(item, truth)


def _shadow(seed: int) -> Iterator[float]:
    """Films beside the specimen's plane, projectors that distort, lenses with and without a corrector, images of few and of many electrons."""
    rng = np.random.default_rng(seed)
    corrected = rng.uniform() < 0.6
    semiangle = rng.uniform(0.012, 0.025) if corrected else rng.uniform(0.008, 0.012)
    c10 = math.exp(rng.uniform(math.log(6e3), math.log(2e4))) * (1.0 if corrected else 2.0) * rng.choice([-1.0, 1.0])
    c12 = 0.05 * abs(c10) * rng.standard_normal(2)
    drawn = Shadow(
        c10, semiangle, semiangle / 96.0, 10.0 ** rng.uniform(1.3, 2.5), (c12[0], c12[1]), 0.0 if corrected else 1.2e7,
        rng.uniform(0.1, 0.3), rng.uniform(0.3, 1.0), rng.uniform(20.0, 100.0),
    )  # fmt: skip
    claimed = drawn.pixel * math.exp(0.002 * rng.standard_normal())
    signal = signal_of_shadow(shadow_of(drawn, seed), drawn, pixel=claimed)
    items, _ = evidence_by(shadow_image, signal, Known(AMORPHOUS, spherical=drawn.c30))
    truth = {**numbers(signal.claims), "C10": c10 + FLOOR * rng.standard_normal()}
    for item in items:
        yield from nearest(item, truth)


def _laue_zone(seed: int) -> Iterator[float]:
    """Crystals of 8 to 25 nm, tilted by up to 3 mrad, through a projector that shows sines or tangents and distorts the ring."""
    rng = np.random.default_rng(seed)
    tension = float(rng.choice([100e3, 120e3, 150e3, 200e3, 250e3, 300e3]))
    drawn = Zone(
        tension=tension, cells=int(rng.integers(20, 65)), disk=rng.uniform(0.02, 0.08), tilt=(rng.uniform(-0.08, 0.08), rng.uniform(-0.08, 0.08)),
        electrons=10.0 ** rng.uniform(8.3, 9.3), background=rng.uniform(0.1, 0.4), rotation=rng.uniform(0.0, 1.5), flat=bool(rng.uniform() < 0.5),
        stretched=1.0 + 0.003 * rng.standard_normal(),
    )  # fmt: skip
    counts = zone_pattern(drawn, seed)
    items, _ = evidence_by(spots, signal_of_pattern(counts, (0.021, 0.021), tension=tension), Known("SrTiO3"))
    for item in items:
        if item.name == "high-order Laue zone":
            yield from nearest(item, {"high_tension": tension})


def _mains(seed: int) -> Iterator[float]:
    """Scans of several dwell times, with and without a third harmonic, at any angle to the crystal; gaps are frequencies that fall onto reflections."""
    rng = np.random.default_rng(seed)
    size = math.exp(rng.uniform(math.log(0.03), math.log(0.2)))
    drawn = MainsScan(
        shape=(256, int(rng.choice([256, 384]))), pixel=rng.uniform(0.12, 0.3), angle=rng.uniform(-3.0, 3.0), dwell=float(rng.choice([2e-5, 4e-5, 8e-5])),
        flyback=rng.uniform(1e-3, 1e-2), frequency=float(rng.choice([50.0, 60.0])), amplitudes=((1, size), (3, 0.4 * size))[: 1 + seed % 2],
        jitter=math.exp(rng.uniform(math.log(0.003), math.log(0.03))), electrons=10.0 ** rng.uniform(1.0, 2.5), crystal=CRYSTALS[seed % 4],
    )  # fmt: skip
    items, _ = evidence_by(scan_noise, signal_of_mains_scan(mains_scan(drawn, seed), drawn, drawn.dwell))
    for item in items:
        narrow = [part for part in item.components if part.covariance[0, 0] < 1.0]  # the source is the mains
        yield from nearest(dataclasses.replace(item, components=tuple(narrow)), {"dwell": drawn.dwell})


def _gain(seed: int) -> Iterator[float]:
    measured = gain_of(counted(seed))
    if not isinstance(measured, str):
        yield (measured.value - 7.3) / measured.error


SPOTS = Drawn(shape=(192, 192), pixel=(0.016, 0.016), electrons=3e5)
SOURCES: dict[str, Callable[[int], Iterator[float]]] = {
    "spots": lambda seed: _pattern(SPOTS, seed),
    "separate disks": lambda seed: _pattern(dataclasses.replace(SPOTS, radius=6.0), seed),
    "few electrons, small camera": lambda seed: _pattern(
        Drawn(shape=(128, 128), pixel=(0.024, 0.024), radius=3.0, electrons=3e4), seed
    ),
    "edges (shifts of 1.5 eV)": _edges,
    "plasmon of Al (0.15 eV)": _zero_loss,
    "rotation": _rotation,
    "Thon rings (C30 to 5 %)": _film,
    "shadow images": _shadow,
    "first-order Laue zone": _laue_zone,
    "mains in the scan": _mains,
    "gain": _gain,
}

if __name__ == "__main__":
    with double_precision():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
