"""What the images to come would tell, before any is taken: the twin's belief, linearised at its likeliest reading, as plans need it."""

import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from learn.design.exposure_design import Exposure, Way
from learn.design.lookahead import Step
from reconstruct.inference.belief import Belief
from reconstruct.inference.image_inference import covariance, known
from scenarios.acquire.dose_accounting import electrons_of
from scenarios.acquire.twin_session import Following
from twin.image.microscope import Microscope, affine_optics, counting_variance, images_and_slopes
from twin.image.prediction import View, black_level, drift_of, view
from twin.records import Scan

BATCH = 6
"""Images computed at once: as many as there are defoci to choose from, or half of what plans look ahead for and a few more."""


class Foresight:
    """Plans' figures for images that the twin of ``following`` could take now or later."""

    def __init__(self, following: Following):
        self.following = following

    @property
    def belief(self) -> Belief:
        """As it is; a lost position as a Gaussian that is even over the cell."""
        return known(self.following.belief)

    def steps(
        self, settings: list[dict[str, float]], scan: Scan, times: list[int], lead: float = 0.0
    ) -> tuple[list[Step], list[Way]]:
        """What planning needs to know of requests with these settings at ``times`` (ns from now): linearised at the likeliest reading.

        Each step leads to ``lead`` seconds before its request (at once, if that is past), its way from there to the request.
        """
        views, points = self._at(settings, scan)
        pixels, slopes = self._slopes(views, points)
        steps, ways = [], []
        before = 0.0
        for number, request in enumerate(views):
            image, slope = pixels[number], slopes[number]
            at = times[number] * 1e-9
            rest = min(lead, max(at - before, 0.0))
            transition, factor = self.following.dynamics.discretise(max(at - before, 0.0) - rest)
            signal = image - black_level(request, points[number])
            own = self.following.discrepancy.covariance(signal, scan)
            steps.append(_step(self.following.microscope, request, signal, slope, own, transition, factor))
            transition, factor = self.following.dynamics.discretise(rest)
            ways.append(Way(transition, factor @ factor.T))
            before = max(at, before)
        return steps, ways

    def exposures(self, settings: list[list[dict[str, float]]], scans: list[Scan]) -> list[list[Exposure]]:
        """What alignment images would tell: ``settings`` [k, e] and ``scans`` [e]. Along k they differ by their beam shift at most: what an image of
        the crystal tells of its parameters does not depend on that, so it is found once, at the first."""
        found: dict[int, tuple[np.ndarray, float]] = {}
        for scan in dict.fromkeys(scans):
            own = [number for number, one in enumerate(scans) if one == scan]
            views, points = self._at([settings[0][number] for number in own], scan)
            pixels, slopes = self._slopes(views, points)
            for at, number in enumerate(own):
                signal = pixels[at] - black_level(views[at], points[at])
                root = np.linalg.cholesky(self._scatter(signal, scan))
                white = solve_triangular(root, slopes[at], lower=True, check_finite=False)
                found[number] = white.T @ white, electrons_of(scan)
        microscope = self.following.microscope
        return [
            [
                Exposure(affine_optics(microscope.layout, microscope.calibration, one)[0], *found[number])
                for number, one in enumerate(row)
            ]
            for row in settings
        ]

    def _at(self, settings: list[dict[str, float]], scan: Scan) -> tuple[list[View], np.ndarray]:
        """Views of images at these settings, and the parameters [k, p] of the likeliest reading there."""
        belief = self.belief
        drift = drift_of(self.following.microscope.layout, belief.mean)
        views = [view(self.following.microscope, one, scan, drift) for one in settings]
        likeliest = belief.means[int(np.argmax(belief.weights))]
        return views, np.stack([request.matrix @ likeliest + request.offset for request in views])

    def _slopes(self, views: list[View], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images [k, pixels] and their derivatives [k, pixels, p], computed for multiples of BATCH: what is compiled is compiled once."""
        padded = np.concatenate([points, np.repeat(points[-1:], -len(points) % BATCH, axis=0)])
        grid, black = jnp.asarray(views[0].grid), jnp.asarray(views[0].black, dtype=jnp.float64)
        parts = np.split(padded, len(padded) // BATCH)
        begun = [images_and_slopes(self.following.microscope, jnp.asarray(part), grid, black) for part in parts]
        pixels, slopes = (np.concatenate([np.asarray(part) for part in found]) for found in zip(*begun, strict=True))
        return pixels[: len(points)], slopes[: len(points)]

    def _scatter(self, signal: np.ndarray, scan: Scan) -> np.ndarray:
        """Covariance [pixels, pixels] of an image about its expected ``signal`` [pixels]: the model's error and counting."""
        return covariance(self.following.microscope, signal, self.following.error(scan), scan)


def _step(
    microscope: Microscope,
    request: View,
    signal: np.ndarray,
    slope: np.ndarray,
    own: np.ndarray,
    transition,
    factor,
) -> Step:
    """A request for planning, from its ``signal`` [pixels], ``slope`` [pixels, p] and the model error's covariance ``own`` [pixels, pixels]."""
    noise = counting_variance(microscope.calibration, request.scan, np.maximum(signal, 0.0))
    root = np.linalg.cholesky(own + np.diag(noise))
    scale = len(signal) * signal.mean() ** 2
    white = solve_triangular(root, np.concatenate([slope, own], axis=1), lower=True, check_finite=False)
    seen, explained = white[:, : slope.shape[1]], white[:, slope.shape[1] :]
    return Step(
        transition=transition,
        noise=factor @ factor.T,
        door=request.matrix,
        weight=slope.T @ slope / scale,
        information=seen.T @ seen,
        floor=float(np.trace(own)) / scale,
        floor_measured=float(max(np.trace(own) - (explained**2).sum(), 0.0)) / scale,
        ceiling=2.0 * float(signal.var()) / signal.mean() ** 2,
    )
