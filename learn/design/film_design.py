"""The next exposure for aligning a probe on an amorphous film: largest reduction of expected loss per electron.

The Fisher information of an exposure (`reconstruct.measurement.film.likelihood`) does not depend on its counts. The information of exposures adds, so a
series is chosen one exposure at a time. The loss is the variance of the aberration function over the aperture (A-optimal: trace of weights times
covariance) or the log determinant of the covariance (D-optimal). See Chaloner & Verdinelli, Stat. Sci. 10, 273 (1995).
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from learn.design.series import Criterion, best_series, inverse, loss
from reconstruct.measurement.film.blocks import KNOTS, block, nuisance_precision, prepare
from reconstruct.measurement.film.exposure import Optics, Setting, Spectra, pixels_in_disk, scan_frequencies
from reconstruct.measurement.film.likelihood import information
from twin.optics.aberrations import basis
from twin.optics.electrons import interaction_constant, wavelength
from twin.optics.weak import THIRD
from twin.sample.potential.factors import projected_factor

SAMPLED_FREQUENCIES = 200
"""Number of scan frequencies at which an expected information is evaluated; each represents its share of all."""


@dataclasses.dataclass(frozen=True)
class Film:
    """An amorphous film: ``thickness`` (mean, standard deviation) in angstrom, log ``power`` [KNOTS] (angstrom^2) as in the fit."""

    thickness: tuple[float, float]
    power: np.ndarray

    @classmethod
    def of(
        cls,
        symbol: str,
        density: float,
        thickness: tuple[float, float],
        optics: Optics,
        source: float = 0.3,
        closest: float = 0.0,
    ) -> "Film":
        """Film with ``density`` atoms per cubic angstrom, at least ``closest`` angstrom apart, and a source of ``source`` angstrom rms.

        power = density thickness S(q) (sigma f(q))^2 exp(-(2 pi source q)^2), with S of `hard_spheres`.
        """
        at = np.linspace(0.0, 2.0, KNOTS) * optics.semiangle / wavelength(optics.energy)
        f = float(interaction_constant(optics.energy)) * np.asarray(projected_factor(symbol, at**2))
        order = hard_spheres(at, density, closest)
        power = density * thickness[0] * order * f**2 * np.exp(-((2.0 * np.pi * source * at) ** 2))
        return cls(thickness, np.log(power))


def hard_spheres(q: np.ndarray, density: float, diameter: float) -> np.ndarray:
    """Structure factor S(q) [n] of spheres ``diameter`` angstrom wide, ``density`` of them per cubic angstrom, at ``q`` [n] in 1/angstrom, by the equation of
    Percus & Yevick as Wertheim solved it (Phys. Rev. Lett. 10, 321, 1963; Ashcroft & Lekner, Phys. Rev. 145, 83, 1966). ValueError where they do not fit."""
    filled = np.pi / 6.0 * density * diameter**3
    if not 0.0 <= filled < 0.5:
        raise ValueError(
            f"spheres {diameter} angstrom wide would fill {filled:.2f} of the film; give less than 0.5 of it"
        )
    if filled == 0.0:
        return np.ones(np.shape(q))
    # towards 0 the terms cancel; S is flat there
    x = np.maximum(2.0 * np.pi * np.asarray(q, np.float64) * diameter, 0.05)
    sin, cos = np.sin(x), np.cos(x)
    a = (1.0 + 2.0 * filled) ** 2 / (1.0 - filled) ** 4
    b = -6.0 * filled * (1.0 + 0.5 * filled) ** 2 / (1.0 - filled) ** 4
    first = a * (sin - x * cos) / x**3
    second = b * (2.0 * x * sin - (x**2 - 2.0) * cos - 2.0) / x**4
    third = -(x**4) * cos + 4.0 * ((3.0 * x**2 - 6.0) * cos + (x**3 - 6.0 * x) * sin + 6.0)
    return 1.0 / (1.0 + 24.0 * filled * (first + second + 0.5 * filled * a * third / x**6))


@dataclasses.dataclass(frozen=True)
class Choice:
    """``index`` of the exposure to take, its ``gain`` per electron, the ``gains`` [n] of all candidates, and the expected ``covariance`` [12, 12]
    after it.
    """

    index: int
    gain: float
    gains: np.ndarray
    covariance: np.ndarray


def expected_information(setting: Setting, optics: Optics, film: Film, coefficients: np.ndarray) -> np.ndarray:
    """Information [12, 12] (1/angstrom^2) on COEFFICIENTS that an exposure at ``coefficients`` [12] would bring, the film's thickness, power and the noise
    being fitted along. ValueError if no pixel lies in the disk."""
    inside = pixels_in_disk(setting, optics)
    if not inside.any():
        raise ValueError("no pixel of the setting lies in the bright-field disk; give angles within the semi-angle")
    q, _ = scan_frequencies(setting, optics)
    stride = max(1, len(q) // SAMPLED_FREQUENCIES)
    share = setting.width**2 / (np.pi * optics.semiangle**2)
    mean = setting.electrons / (setting.points[0] * setting.points[1]) * share
    angles = np.asarray(setting.angles, np.float64)[inside]
    chosen = q[stride // 2 :: stride]
    empty = np.zeros((len(chosen), len(angles)), np.complex64)
    strength = np.full(len(angles), np.sqrt(mean) / setting.step)
    model = prepare(Spectra(empty, chosen, strength, angles, setting), optics)
    where = np.concatenate([coefficients, film.thickness[:1], film.power, [0.0]])
    fisher = np.asarray(information(block(model, coefficients), jnp.asarray(where))) * len(q) / len(chosen)
    others = fisher[THIRD:, THIRD:] + nuisance_precision(film.thickness)
    return fisher[:THIRD, :THIRD] - fisher[:THIRD, THIRD:] @ np.linalg.solve(others, fisher[THIRD:, :THIRD])


def aperture_weights(optics: Optics, points: int = 41) -> np.ndarray:
    """Weights W [12, 12] such that c W c is the mean square of chi (radian^2) over the aperture, its mean and slope (a shift of the probe) apart."""
    length = wavelength(optics.energy)
    line = np.linspace(-1.0, 1.0, points) * optics.semiangle / length
    kx, ky = (axis.ravel() for axis in np.meshgrid(line, line))
    inside = np.hypot(kx, ky) <= optics.semiangle / length
    kx, ky = kx[inside], ky[inside]
    terms = np.asarray(basis(kx, ky, length))[:THIRD]
    flat = np.stack([np.ones_like(kx), kx, ky])
    rest = terms - terms @ flat.T @ np.linalg.inv(flat @ flat.T) @ flat
    return rest @ rest.T / len(kx)


def next_exposure(
    candidates: Sequence[Setting],
    optics: Optics,
    film: Film,
    mean: np.ndarray,
    covariance: np.ndarray,
    weights: np.ndarray | None = None,
    criterion: Criterion = "A",
    draws: int = 1,
    known: Sequence[np.ndarray] | None = None,
) -> Choice:
    """The candidate with the largest loss reduction per electron, for COEFFICIENTS of ``mean`` [12] and ``covariance`` [12, 12] (angstrom).

    ``weights`` default to `aperture_weights`. With ``draws`` > 1 the loss is averaged over that many draws of the coefficients. ``known``: the candidates'
    `expected_information` at the mean, if already computed. ValueError for no candidates or a mean or covariance of the wrong shape.
    """
    if not candidates:
        raise ValueError("no candidates to choose from; give at least one exposure that could be taken")
    if np.shape(mean) != (THIRD,) or np.shape(covariance) != (THIRD, THIRD) or not np.isfinite(covariance).all():
        raise ValueError(
            f"the belief has mean {np.shape(mean)} and covariance {np.shape(covariance)}; give [12] and [12, 12], finite"
        )
    matter = aperture_weights(optics) if weights is None else weights
    precision = inverse(covariance)
    before = loss(covariance, matter, criterion)
    generator = np.random.default_rng(0)
    scale = np.sqrt(np.diag(covariance))
    root = scale[:, None] * np.linalg.cholesky(covariance / np.outer(scale, scale))
    points = [mean, *(mean + generator.normal(size=(draws - 1, THIRD)) @ root.T)]
    gains, posteriors = np.zeros(len(candidates)), []
    for number, setting in enumerate(candidates):
        informations = (
            [known[number]]
            if known is not None
            else [expected_information(setting, optics, film, point) for point in points]
        )
        posts = [inverse(precision + information_matrix) for information_matrix in informations]
        posteriors.append(posts[0])
        gains[number] = (before - np.mean([loss(post, matter, criterion) for post in posts])) / setting.electrons
    best = int(np.argmax(gains))
    return Choice(best, float(gains[best]), gains, posteriors[best])


def series(
    candidates: Sequence[Setting],
    count: int,
    optics: Optics,
    film: Film,
    mean: np.ndarray,
    covariance: np.ndarray,
    weights: np.ndarray | None = None,
    criterion: Criterion = "A",
) -> list[int]:
    """Indices of ``count`` exposures: greedy selection, then exchanges of single exposures while they lower the loss.

    A candidate may be repeated. Give candidates of equal electrons, since these are not compared.
    Exchanges after Fedorov (Theory of Optimal Experiments, 1972).
    """
    if count < 1:
        raise ValueError(f"a series of {count} exposures; give at least one")
    matter = aperture_weights(optics) if weights is None else weights
    known = [expected_information(candidate, optics, film, mean) for candidate in candidates]
    electrons = np.ones(len(candidates))  # they are of equal electrons
    return best_series(known, electrons, covariance, matter, criterion, count, np.inf)
