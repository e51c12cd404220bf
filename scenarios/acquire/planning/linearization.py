"""Linearised images and their information matrices, for plans over future requests."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from learn.design.ambiguity import Response
from learn.design.exposure_design import Exposure, Transition
from learn.design.lookahead import Step
from reconstruct.inference.belief import Belief
from reconstruct.inference.image_inference import covariance, uniform_as_gaussian
from scenarios.acquire.dose_accounting import electrons_of
from scenarios.acquire.twin_session import TwinSession
from twin.image.microscope import PARAMETERS, Microscope, affine_optics, counting_variance, images_and_slopes
from twin.image.prediction import View, black_level, drift_of, view
from twin.records import Scan

BLACK = PARAMETERS.index("black")
BATCH = 6
"""Number of images computed at once: as many as there are candidate defoci."""


class Linearization:
    """Linearisation of the images that a twin session could take now or later."""

    def __init__(self, twin_session: TwinSession):
        self.twin_session = twin_session

    @property
    def belief(self) -> Belief:
        """The current belief; an unknown position as a Gaussian with the variance of a uniform distribution over the cell."""
        return uniform_as_gaussian(self.twin_session.belief)

    def steps(
        self, settings: list[dict[str, float]], scan: Scan, times: list[int], lead: float = 0.0
    ) -> tuple[list[Step], list[Transition]]:
        """Steps and transitions for requests with these settings at ``times`` (ns from now), linearised at the most probable component.

        Each step leads to ``lead`` seconds before its request (or to now, if that is past), the transition from there to the request.
        """
        views, points = self._at(settings, scan)
        pixels, slopes = self._slopes(views, points)
        steps, transitions = [], []
        before = 0.0
        for number, request in enumerate(views):
            image, slope = pixels[number], slopes[number]
            at = times[number] * 1e-9
            rest = min(lead, max(at - before, 0.0))
            transition, factor = self.twin_session.dynamics.discretise(max(at - before, 0.0) - rest)
            signal = image - black_level(request, points[number])
            model_covariance = self.twin_session.discrepancy.covariance(signal, scan)
            steps.append(
                _step(self.twin_session.microscope, request, signal, slope, model_covariance, transition, factor)
            )
            transition, factor = self.twin_session.dynamics.discretise(rest)
            transitions.append(Transition(transition, factor @ factor.T))
            before = max(at, before)
        return steps, transitions

    def exposures(self, settings: list[list[dict[str, float]]], scans: list[Scan]) -> list[list[Exposure]]:
        """Information of alignment images: ``settings`` [k, e] and ``scans`` [e].

        Along k only the beam shift differs, on which the information about the image parameters does not depend: it is computed once, for the first.
        """
        steps: dict[int, tuple[np.ndarray, float]] = {}
        for scan in dict.fromkeys(scans):
            numbers = [number for number, other_scan in enumerate(scans) if other_scan == scan]
            views, points = self._at([settings[0][number] for number in numbers], scan)
            pixels, slopes = self._slopes(views, points)
            for at, number in enumerate(numbers):
                signal = pixels[at] - black_level(views[at], points[at])
                root = np.linalg.cholesky(self._scatter(signal, scan))
                white = solve_triangular(root, slopes[at], lower=True, check_finite=False)
                steps[number] = white.T @ white, electrons_of(scan)
        microscope = self.twin_session.microscope
        return [
            [
                Exposure(affine_optics(microscope.layout, microscope.calibration, setting)[0], *steps[number])
                for number, setting in enumerate(row)
            ]
            for row in settings
        ]

    def responses(self, settings: list[dict[str, float]], scans: Sequence[Scan], states: np.ndarray) -> list[Response]:
        """Images with each of the ``settings`` by each of the ``scans`` (of one raster: only dwell and dose differ), settings first, at ``states`` [c, n];
        whitened by the noise about the image of the first state."""
        microscope = self.twin_session.microscope
        drift = drift_of(microscope.layout, self.belief.mean)
        views = [[view(microscope, setting, scan, drift) for scan in scans] for setting in settings]
        points = np.stack([row[0].matrix @ state + row[0].offset for row in views for state in states])
        pixels, slopes = self._slopes([row[0] for row in views for _ in states], points)
        made, count = [], len(states)
        for number, row in enumerate(views):
            own = slice(number * count, (number + 1) * count)
            for scan, request in zip(scans, row, strict=True):
                # of all that images depend on only the black level counts differently by dwell and dose
                scaled = slopes[own].copy()
                scaled[:, :, BLACK] *= request.black / row[0].black
                signals = np.stack(
                    [image - black_level(row[0], point) for image, point in zip(pixels[own], points[own], strict=True)]
                )
                images = signals + np.array([[black_level(request, point)] for point in points[own]])
                # images beside one another, then the derivatives of each in the state
                columns = np.concatenate([images.T, *(slope @ request.matrix for slope in scaled)], axis=1)
                root = np.linalg.cholesky(self._scatter(signals[0], scan))
                white = solve_triangular(root, columns, lower=True, check_finite=False)
                jacobians = white[:, count:].reshape(len(white), count, -1).transpose(1, 0, 2)
                made.append(Response(white[:, :count].T, jacobians, electrons_of(scan)))
        return made

    def _at(self, settings: list[dict[str, float]], scan: Scan) -> tuple[list[View], np.ndarray]:
        """Views of images with these settings, and image parameters [k, p] of the most probable component."""
        belief = self.belief
        drift = drift_of(self.twin_session.microscope.layout, belief.mean)
        views = [view(self.twin_session.microscope, setting, scan, drift) for setting in settings]
        likeliest = belief.means[int(np.argmax(belief.weights))]
        return views, np.stack([request.matrix @ likeliest + request.offset for request in views])

    def _slopes(self, views: list[View], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images [k, pixels] and their derivatives [k, pixels, p], padded to multiples of BATCH so that one program is compiled."""
        padded = np.concatenate([points, np.repeat(points[-1:], -len(points) % BATCH, axis=0)])
        grid, black = jnp.asarray(views[0].grid), jnp.asarray(views[0].black, dtype=jnp.float64)
        parts = np.split(padded, len(padded) // BATCH)
        begun = [images_and_slopes(self.twin_session.microscope, jnp.asarray(part), grid, black) for part in parts]
        pixels, slopes = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*begun, strict=True))
        return pixels[: len(points)], slopes[: len(points)]

    def _scatter(self, signal: np.ndarray, scan: Scan) -> np.ndarray:
        """Covariance [pixels, pixels] of an image about its expected ``signal`` [pixels]: model error and counting."""
        return covariance(self.twin_session.microscope, signal, self.twin_session.error(scan), scan)


def _step(
    microscope: Microscope,
    request: View,
    signal: np.ndarray,
    slope: np.ndarray,
    model_covariance: np.ndarray,
    transition,
    factor,
) -> Step:
    """A request for planning, from its ``signal`` [pixels], ``slope`` [pixels, p] and ``model_covariance`` [pixels, pixels] of the model error."""
    noise = counting_variance(microscope.calibration, request.scan, np.maximum(signal, 0.0))
    root = np.linalg.cholesky(model_covariance + np.diag(noise))
    scale = len(signal) * signal.mean() ** 2
    white = solve_triangular(root, np.concatenate([slope, model_covariance], axis=1), lower=True, check_finite=False)
    whitened_slope, explained = white[:, : slope.shape[1]], white[:, slope.shape[1] :]
    return Step(
        transition=transition,
        noise=factor @ factor.T,
        jacobian=request.matrix,
        weight=slope.T @ slope / scale,
        information=whitened_slope.T @ whitened_slope,
        floor=float(np.trace(model_covariance)) / scale,
        floor_measured=float(max(np.trace(model_covariance) - (explained**2).sum(), 0.0)) / scale,
        ceiling=2.0 * float(signal.var()) / signal.mean() ** 2,
    )
