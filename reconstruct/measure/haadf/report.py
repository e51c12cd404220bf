"""What is told of a fit of HAADF images, and its pictures."""

import numpy as np
from scipy.special import ndtr

from reconstruct.measure.haadf.fit import Problem
from reconstruct.measure.haadf.model import POSITION, SHARED, cell_points, unit_cell, waves
from reconstruct.measure.haadf.sampling import Sampled
from reconstruct.measure.haadf.scan import GEOMETRY, NARROWED, Geometry
from reconstruct.measure.measurement import Component, Measurement, Shown

KIND = "HAADF"
OPTICAL = {
    "C10": "angstrom", "C12a": "angstrom", "C12b": "angstrom", "source": "angstrom", "scale": "1", "black": "count", "thickness": "angstrom",
}  # fmt: skip
REFUSED = 6.0
"""A signal that is off by so many times what was expected of the model is of another structure."""
MISFIT = 3.0
FAR = 6.0
"""Standard errors from what was known at which a parameter is no longer the one that was meant."""
BINS = 60


def unknown(
    mean: np.ndarray, sd: np.ndarray, geometry: Geometry, why: str, black: float, electrons: float
) -> Measurement:
    """Only what was known of optics and detector (``mean``, ``sd`` of `SHARED` and more)."""
    values, spread = _known(mean, sd, black)
    component = _component(1.0, values, np.diag(spread**2), geometry)
    undetermined = dict.fromkeys(OPTICAL, why) | geometry.undetermined
    return Measurement(
        KIND, (*OPTICAL, *GEOMETRY), (*OPTICAL.values(), *GEOMETRY.values()), (component,), undetermined, electrons=electrons
    )  # fmt: skip


def told(
    problem: Problem, best: np.ndarray, drawn: Sampled, geometry: Geometry, black: float, electrons: float
) -> Measurement:
    """The mixture of ``drawn`` in the units of `OPTICAL`, with the ``geometry`` of the scan; the maximum is at ``best`` [p]."""
    misfit, expected = problem.misfit(best), problem.error.relative
    if problem.relative > REFUSED * expected or misfit > MISFIT:
        why = (
            f"the structure does not fit: the unit cell is {problem.relative:.0%} off (misfit {misfit:.1f}) at best, {expected:.0%} is expected; check "
            "structure, thickness and detector angles"
        )
        return _refused(problem, geometry, why, black, electrons, misfit)
    if np.abs(best).max() > FAR:
        entry = int(problem.free[np.abs(best).argmax()])
        name = (*SHARED, *POSITION * len(problem.data))[entry]
        why = (
            f"the structure does not fit unless {name} is {np.abs(best).max():.0f} standard errors from what was known of it; check structure, calibration "
            "and what was known"
        )
        return _refused(problem, geometry, why, black, electrons, misfit)
    prior_mean, prior_sd = _known(problem.mean, problem.sd, black)
    parts = []
    for weight, mean, covariance in zip(drawn.weights, drawn.means, drawn.covariances, strict=True):
        mean, covariance = mean[:-1], covariance[:-1, :-1]  # the last is the model's error
        theta = problem.theta(mean[None])[0]
        whole = np.diag(np.full(len(theta), 1e-18))
        whole[np.ix_(problem.free, problem.free)] += covariance * np.outer(
            problem.sd[problem.free], problem.sd[problem.free]
        )
        whole[0, 0] += problem.error.face**2
        values, slope = _in_units(theta, black)
        places = [SHARED.index(name) for name in OPTICAL]
        parts.append((weight, values, whole[np.ix_(places, places)] * np.outer(slope, slope)))
    within = np.sqrt(sum(weight * np.diag(covariance) for weight, _, covariance in parts))
    undetermined = dict(geometry.undetermined)
    for place, name in enumerate(OPTICAL):
        if within[place] > NARROWED * prior_sd[place]:
            undetermined[name] = (
                f"the image leaves {within[place]:.3g} {OPTICAL[name]} open, and {prior_sd[place]:.3g} was known before"
            )
    loose = [place for place, name in enumerate(OPTICAL) if name in undetermined]
    components = []
    for weight, values, covariance in parts:
        values[loose] = prior_mean[loose]
        covariance[loose], covariance[:, loose] = 0.0, 0.0
        covariance[loose, loose] = prior_sd[loose] ** 2
        components.append(_component(float(weight), values, covariance, geometry))
    notes = [
        f"errors of the unit cell of {problem.relative:.1%} over {problem.error.length:.1f} angstrom, learnt from this image",
        f"{drawn.effective:.0f} effective draws",
        *geometry.notes,
    ]
    if len(components) > 1 and "C10" not in undetermined:
        notes.insert(0, _foci(components))
    return Measurement(
        KIND, (*OPTICAL, *GEOMETRY), (*OPTICAL.values(), *GEOMETRY.values()), tuple(components), undetermined, misfit,
        electrons, notes=tuple(notes),
    )  # fmt: skip


def _foci(components: list[Component]) -> str:
    """The readings there are, in words."""
    ordered = sorted(components, key=lambda one: -one.weight)
    told_ = ", ".join(f"{one.mean[0]:.0f} ({one.weight:.1%})" for one in ordered)
    signs = {bool(one.mean[0] > 0.0) for one in ordered}
    which = "both signs of C10 are possible" if len(signs) > 1 else "there is more than one reading of the focus"
    return f"{which}: C10 of {told_} angstrom, over- and underfocus about the crystal's best; an image at another, known defocus tells"


def _refused(
    problem: Problem, geometry: Geometry, why: str, black: float, electrons: float, misfit: float
) -> Measurement:
    found = unknown(problem.mean, problem.sd, geometry, why, black, electrons)
    return Measurement(
        found.kind, found.names, found.units, found.components, found.undetermined, misfit, electrons, notes=(why,)
    )


def _in_units(theta: np.ndarray, black: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of `OPTICAL` and their derivatives by the parameters."""
    at = dict(zip(SHARED, theta, strict=False))
    at["scale"], at["black"], at["source"] = np.exp(at["scale"]), black + at["black"], abs(at["source"])
    slope = np.ones(len(OPTICAL))
    slope[list(OPTICAL).index("scale")] = at["scale"]
    return np.array([at[name] for name in OPTICAL]), slope


def _known(mean: np.ndarray, sd: np.ndarray, black: float) -> tuple[np.ndarray, np.ndarray]:
    values, slope = _in_units(mean, black)
    return values, np.maximum(sd[[SHARED.index(name) for name in OPTICAL]] * slope, 1e-9)


def _component(weight: float, values: np.ndarray, covariance: np.ndarray, geometry: Geometry) -> Component:
    count = len(OPTICAL)
    whole = np.zeros((count + len(GEOMETRY),) * 2)
    whole[:count, :count] = covariance
    whole[count:, count:] = geometry.covariance
    return Component(weight, np.concatenate([values, geometry.mean]), 0.5 * (whole + whole.T))


def pictures(
    problem: Problem, stack: np.ndarray, known: np.ndarray, best: np.ndarray, drawn: Sampled, black: float, pixel: float
) -> tuple[Shown, ...]:
    """Every image and its mean unit cell beside the best model, and the posterior of C10 beside the mixture that is told of it."""
    shown, theta = [], problem.theta(best[None])
    ny, nx = stack.shape[1:]
    for number, (image, mask, cell) in enumerate(zip(stack, known, problem.data, strict=True)):
        values = problem.harmonics(theta, number)[0]
        model = (waves(cell.g, cell.places.reshape(-1, 2), problem.model.cell) @ values).reshape(ny, nx) + black
        data = np.where(mask, image, np.nan)
        extent = (0.0, nx * pixel, ny * pixel, 0.0)
        name = "image" if len(stack) == 1 else f"image {number + 1}"
        shown.append(Shown(name, data, model, (data - model) / np.sqrt(cell.variance), extent, "angstrom"))
        size = problem.model.cell
        seen, fitted = (unit_cell(cell.g, one, size) for one in (cell.mean, values))
        sigma = _sigmas(problem, number, size, seen.shape)
        extent = (0.0, size[0], size[1], 0.0)
        name = name.replace("image", "mean unit cell")
        shown.append(Shown(name, seen + black, fitted + black, (seen - fitted) / sigma, extent, "angstrom"))
    return (*shown, _posterior(problem, drawn)) if "C10" in _free(problem) else tuple(shown)


def _free(problem: Problem) -> list[str]:
    return [SHARED[place] for place in problem.free if place < len(SHARED)]


def _sigmas(problem: Problem, number: int, size: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """Standard deviation [ny, nx] of the mean unit cell less the model: counting and the model's error."""
    one = problem.data[number]
    ridge = 1e-9 * np.trace(one.information) / len(one.mean) * np.eye(len(one.mean))
    whole = np.linalg.inv(one.information + ridge)
    if problem.columns:
        whole = whole + problem.relative**2 * problem.columns[number] @ problem.columns[number].T
    functions = waves(one.g, cell_points(size, shape[0]), size)
    return np.sqrt(np.einsum("pi,ij,pj->p", functions, whole, functions)).reshape(shape)


def _posterior(problem: Problem, drawn: Sampled) -> Shown:
    place = _free(problem).index("C10")
    mean, sd = problem.mean[0], problem.sd[0]
    values = mean + sd * drawn.draws[:, place]
    spread = np.sqrt(drawn.covariances[:, place, place])
    low = float((drawn.means[:, place] - 4.0 * spread).min()) * sd + mean
    high = float((drawn.means[:, place] + 4.0 * spread).max()) * sd + mean
    edges = np.linspace(low, high, BINS + 1)
    width = edges[1] - edges[0]
    seen = np.histogram(values, edges, weights=drawn.shares)[0]
    error = np.sqrt(np.histogram(values, edges, weights=drawn.shares**2)[0] + (1.0 / len(values)) ** 2)
    below = np.array([drawn.weights @ ndtr(((edge - mean) / sd - drawn.means[:, place]) / spread) for edge in edges])
    expected = np.diff(below)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return Shown(
        "posterior of C10 (per angstrom)", seen / width, expected / width, (seen - expected) / error,
        (float(centres[0]), float(centres[-1])), "angstrom",
    )  # fmt: skip
