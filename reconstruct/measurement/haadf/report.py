"""The measurement that a fit of HAADF images gives, and its plots."""

import dataclasses

import numpy as np
from scipy.special import ndtr

from reconstruct.measurement.haadf.checks import fit_checks, noise_contradictions, untested
from reconstruct.measurement.haadf.fit import Problem
from reconstruct.measurement.haadf.model import SHARED, cell_points, unit_cell, waves
from reconstruct.measurement.haadf.sampling import PosteriorSample
from reconstruct.measurement.haadf.scan import DETERMINED_SHARE, GEOMETRY, Geometry
from reconstruct.measurement.measurement import Component, FitPlot, Measurement, group_components, withhold
from twin.image.microscope import Calibration

KIND = "HAADF"
OPTICAL = {
    "C10": "angstrom", "C12a": "angstrom", "C12b": "angstrom", "source": "angstrom", "scale": "1", "black": "count", "thickness": "angstrom",
}  # fmt: skip
PRINCIPAL = ("C10", "C12a", "C12b")
EVIDENCE_POWER = 0.85
"""Power of the weights of readings: which sign of defocus fits better hangs on details that the field of the model's error does not hold (tilt, layers on the
faces, another table of scattering factors). Measured on 58 clean images with several readings of the benchmark of spoiled images (abTEM, seeds 0 to 59): the
probability of the readings that are right is largest at 0.53 and holds from 0.27 to 0.86 (95 %): the likeliest reading is right in 42, where this power
expects 47 and the evidence alone 48.7. Of 90 % intervals of the mixture 0.96 hold at a power of 0.75, 0.94 at this one, 0.90 at 1. A smaller power makes the
weights more honest and the mixture wider than it need be; this one is near the upper end of what the weights allow."""
MIN_WEIGHT = 1e-3
"""Readings of less weight are left out."""
POSTERIOR_BINS = 60


def prior_only(
    mean: np.ndarray, sd: np.ndarray, geometry: Geometry, reason: str, black: float, electrons: float
) -> Measurement:
    """Only what was known of optics and detector (``mean``, ``sd`` of `SHARED` and more)."""
    values, spread = _prior_in_units(mean, sd, black)
    component = _component(1.0, values, np.diag(spread**2), geometry)
    undetermined = dict.fromkeys(OPTICAL, reason) | geometry.undetermined
    return Measurement(
        KIND, (*OPTICAL, *GEOMETRY), (*OPTICAL.values(), *GEOMETRY.values()), (component,), undetermined, electrons=electrons,
        principal=PRINCIPAL,
    )  # fmt: skip


def report(
    problem: Problem,
    best: np.ndarray,
    samples: PosteriorSample,
    geometry: Geometry,
    calibration: Calibration,
    electrons: float,
) -> Measurement:
    """The mixture of ``samples`` in the units of `OPTICAL`, with the ``geometry`` of the scan and the checks of the fit; the maximum is at ``best`` [p]. Where
    a check fails, all quantities are withheld."""
    black = float(calibration.black)
    prior_mean, prior_sd = _prior_in_units(problem.mean, problem.sd, black)
    parts = []
    for weight, mean, covariance in zip(samples.weights, samples.means, samples.covariances, strict=True):
        mean, covariance = mean[:-1], covariance[:-1, :-1]  # the last is the model's error
        theta = problem.theta(mean[None])[0]
        full_covariance = np.diag(np.full(len(theta), 1e-18))
        full_covariance[np.ix_(problem.free, problem.free)] += covariance * np.outer(
            problem.sd[problem.free], problem.sd[problem.free]
        )
        full_covariance[0, 0] += problem.error.face**2
        values, slope = _in_units(theta, black)
        indices = [SHARED.index(name) for name in OPTICAL]
        parts.append((weight, values, full_covariance[np.ix_(indices, indices)] * np.outer(slope, slope)))
    stds = np.sqrt(sum(weight * np.diag(covariance) for weight, _, covariance in parts))
    undetermined = dict(geometry.undetermined)
    for index, name in enumerate(OPTICAL):
        if stds[index] > DETERMINED_SHARE * prior_sd[index]:
            undetermined[name] = (
                f"the image leaves {stds[index]:.3g} {OPTICAL[name]} open, and {prior_sd[index]:.3g} was known before"
            )
    undetermined_indices = [index for index, name in enumerate(OPTICAL) if name in undetermined]
    components = []
    for weight, values, covariance in parts:
        values[undetermined_indices] = prior_mean[undetermined_indices]
        covariance[undetermined_indices], covariance[:, undetermined_indices] = 0.0, 0.0
        covariance[undetermined_indices, undetermined_indices] = prior_sd[undetermined_indices] ** 2
        components.append(_component(float(weight), values, covariance, geometry))
    components = _tempered(components)
    notes = [
        f"errors of the unit cell of {problem.relative:.1%} over {problem.error.length:.1f} angstrom, estimated from this image",
        f"{samples.effective:.0f} effective draws",
        *geometry.notes,
    ]
    if words := untested(problem, best):
        notes.insert(0, f"the image does not test these stated numbers: {', '.join(words)}")
    if len(components) > 1 and "C10" not in undetermined:
        notes.insert(0, _defocus_note(components))
    defects = tuple(dict.fromkeys(defect for cell in problem.data for defect in cell.defects))
    measurement = Measurement(
        KIND, (*OPTICAL, *GEOMETRY), (*OPTICAL.values(), *GEOMETRY.values()), tuple(components), undetermined, problem.misfit(best),
        electrons, notes=tuple(notes), checks=fit_checks(problem, best, black), defects=defects, principal=PRINCIPAL,
        contradictions=(*noise_contradictions(problem, float(calibration.gain)), *geometry.contradictions),
    )  # fmt: skip
    nothing = prior_only(problem.mean, problem.sd, geometry, "", black, electrons)
    return withhold(measurement, nothing.components[0])


def _tempered(components: list[Component]) -> list[Component]:
    """With the weights of readings, groups of components, raised to `EVIDENCE_POWER`; those of little weight left out."""
    groups = group_components(components)
    totals = np.array([sum(part.weight for part in group) for group in groups])
    weights = np.maximum(totals, 1e-300) ** EVIDENCE_POWER
    weights = weights / weights.sum()
    heavy = [
        dataclasses.replace(part, weight=float(part.weight / total * weight))
        for group, total, weight in zip(groups, totals, weights, strict=True)
        if weight > MIN_WEIGHT
        for part in group
        if part.weight / total * weight > 0.1 * MIN_WEIGHT
    ]
    sum_of_weights = sum(part.weight for part in heavy)
    return [dataclasses.replace(part, weight=part.weight / sum_of_weights) for part in heavy]


def _defocus_note(components: list[Component]) -> str:
    """The possible values of C10, as text."""
    ordered = sorted(components, key=lambda component: -component.weight)
    text = ", ".join(f"{component.mean[0]:.0f} ({component.weight:.1%})" for component in ordered)
    signs = {bool(component.mean[0] > 0.0) for component in ordered}
    meaning = "both signs of C10 are possible" if len(signs) > 1 else "there is more than one reading of the focus"
    return f"{meaning}: C10 of {text} angstrom, over- and underfocus about the crystal's best; an image at another, known defocus decides"


def _in_units(theta: np.ndarray, black: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of `OPTICAL` and their derivatives by the parameters."""
    values = dict(zip(SHARED, theta, strict=False))
    values["scale"], values["black"], values["source"] = (
        np.exp(values["scale"]),
        black + values["black"],
        abs(values["source"]),
    )
    slope = np.ones(len(OPTICAL))
    slope[list(OPTICAL).index("scale")] = values["scale"]
    return np.array([values[name] for name in OPTICAL]), slope


def _prior_in_units(mean: np.ndarray, sd: np.ndarray, black: float) -> tuple[np.ndarray, np.ndarray]:
    values, slope = _in_units(mean, black)
    return values, np.maximum(sd[[SHARED.index(name) for name in OPTICAL]] * slope, 1e-9)


def _component(weight: float, values: np.ndarray, covariance: np.ndarray, geometry: Geometry) -> Component:
    count = len(OPTICAL)
    full_covariance = np.zeros((count + len(GEOMETRY),) * 2)
    full_covariance[:count, :count] = covariance
    full_covariance[count:, count:] = geometry.covariance
    return Component(weight, np.concatenate([values, geometry.mean]), 0.5 * (full_covariance + full_covariance.T))


def make_plots(
    problem: Problem,
    stack: np.ndarray,
    known: np.ndarray,
    best: np.ndarray,
    samples: PosteriorSample,
    black: float,
    pixel: float,
) -> tuple[FitPlot, ...]:
    """Every image and its mean unit cell beside the best model, and the posterior of C10 beside the reported mixture."""
    plots, theta = [], problem.theta(best[None])
    ny, nx = stack.shape[1:]
    for index, (image, mask, cell) in enumerate(zip(stack, known, problem.data, strict=True)):
        values = problem.harmonics(theta, index)[0]
        model = (waves(cell.g, cell.positions.reshape(-1, 2), problem.model.cell) @ values).reshape(ny, nx) + black
        data = np.where(mask, image, np.nan)
        extent = (0.0, nx * pixel, ny * pixel, 0.0)
        name = "image" if len(stack) == 1 else f"image {index + 1}"
        plots.append(FitPlot(name, data, model, (data - model) / np.sqrt(cell.variance), extent, "angstrom"))
        size = problem.model.cell
        measured, fitted = (unit_cell(cell.g, harmonics, size) for harmonics in (cell.mean, values))
        sigma = _sigmas(problem, index, size, measured.shape)
        extent = (0.0, size[0], size[1], 0.0)
        name = name.replace("image", "mean unit cell")
        plots.append(FitPlot(name, measured + black, fitted + black, (measured - fitted) / sigma, extent, "angstrom"))
    return (*plots, _posterior_plot(problem, samples)) if "C10" in _free_names(problem) else tuple(plots)


def _free_names(problem: Problem) -> list[str]:
    return [SHARED[index] for index in problem.free if index < len(SHARED)]


def _sigmas(problem: Problem, number: int, size: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """Standard deviation [ny, nx] of the mean unit cell less the model: counting and the model's error."""
    cell = problem.data[number]
    ridge = 1e-9 * np.trace(cell.information) / len(cell.mean) * np.eye(len(cell.mean))
    full_covariance = np.linalg.inv(cell.information + ridge)
    if problem.columns:
        full_covariance = full_covariance + problem.relative**2 * problem.columns[number] @ problem.columns[number].T
    functions = waves(cell.g, cell_points(size, shape[0]), size)
    return np.sqrt(np.einsum("pi,ij,pj->p", functions, full_covariance, functions)).reshape(shape)


def _posterior_plot(problem: Problem, samples: PosteriorSample) -> FitPlot:
    index = _free_names(problem).index("C10")
    mean, sd = problem.mean[0], problem.sd[0]
    values = mean + sd * samples.draws[:, index]
    spread = np.sqrt(samples.covariances[:, index, index])
    low = float((samples.means[:, index] - 4.0 * spread).min()) * sd + mean
    high = float((samples.means[:, index] + 4.0 * spread).max()) * sd + mean
    edges = np.linspace(low, high, POSTERIOR_BINS + 1)
    width = edges[1] - edges[0]
    histogram = np.histogram(values, edges, weights=samples.shares)[0]
    error = np.sqrt(np.histogram(values, edges, weights=samples.shares**2)[0] + (1.0 / len(values)) ** 2)
    cumulative = np.array(
        [samples.weights @ ndtr(((edge - mean) / sd - samples.means[:, index]) / spread) for edge in edges]
    )
    expected = np.diff(cumulative)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return FitPlot(
        "posterior of C10 (per angstrom)", histogram / width, expected / width, (histogram - expected) / error,
        (float(centres[0]), float(centres[-1])), "angstrom",
    )  # fmt: skip
