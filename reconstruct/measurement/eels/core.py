"""What the edges of spectra say: electrons of each edge, atoms per area and their ratios, with one covariance; whether each edge is there at all."""

import math
from typing import Any, NamedTuple

import numpy as np

from reconstruct.eels.core_loss.detection import FALSE_ALARMS, POWER, Presence, detection_limit, presence
from reconstruct.eels.core_loss.fit import CoreLossFit, fit_core_loss, white_lines
from reconstruct.eels.core_loss.shared import tied
from reconstruct.measurement.measurement import FitPlot
from twin.eels.atoms import subshell

CROSS_SECTION_ERROR = {"K": 0.05, "L": 0.05, "M": 0.10, "N": 0.15}
"""Relative rms error of cross-sections by shell: what they differ by from those of Bote and Salvat, and more for shallow shells."""
USUAL_THICKNESS, USUAL_PLASMON, USUAL_RANGE = 0.5, (23.0, 15.0), 300.0
"""t/lambda, energy and width of the plasmon, and range in eV of the low loss that is taken where none is given, for the error of that."""
LIMIT_SPECTRA = 64
"""Spectra by whose background and edges the detection limit is computed."""


class Quantities(NamedTuple):
    """``names`` with ``units``, ``mean`` [p] and ``covariance`` [p, p]; ``shared``: their derivatives by what all spectra share [p, m + g (+ c)]."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
    shared: np.ndarray


def quantities_of(fit: CoreLossFit, electrons: float | None) -> Quantities:
    """Net electrons of each element's edges in the range (mean spectrum), atoms per area where the ``electrons`` of the mean spectrum are known, ratios to
    the first element, and the exponent of the background."""
    design, learned = fit.design, fit.learned
    theta, _ = fit.mean()
    own = fit.own_covariance.sum(axis=0) / len(fit.fitted.parameters) ** 2
    _, common = fit.sensitivity
    count, gain = len(design.elements), learned.camera.counts_per_electron
    curve = learned.curves.sum(axis=1)
    shared, sums = len(learned.information), learned.rows.basis.sum(axis=1)
    names, units, mean, by_own, by_shared, by_sigma = [], [], [], [], [], []

    def add(name: str, unit: str, value: float, slopes: dict[int, float], shape: np.ndarray, sigma: np.ndarray) -> None:
        row = np.zeros(len(theta))
        for index, slope in slopes.items():
            row[index] = slope
        names.append(name)
        units.append(unit)
        mean.append(value)
        by_own.append(row)
        by_shared.append(np.concatenate([shape, np.zeros(shared - len(shape))]))
        by_sigma.append(sigma)

    none, unit_vectors = np.zeros(fit.shared_by_edges), np.eye(count)
    amplitude = theta[2 : 2 + count] / design.scale
    if electrons is not None:
        electrons *= fit.more_electrons
    for k, element in enumerate(design.elements):
        # the scale of an edge's shape and its amplitude change places: electrons are free of that
        begin, end = learned.rows.members[k]
        of_rows = np.zeros(len(sums))
        of_rows[begin:end] = theta[2 + k] * sums[begin:end] / gain
        shape = tied(of_rows, learned.rows)
        add(
            f"electrons_{element}",
            "electron",
            theta[2 + k] * curve[k] / gain,
            {2 + k: curve[k] / gain},
            shape,
            np.zeros(count),
        )
    for k, element in enumerate(design.elements):
        if electrons is not None:
            density = amplitude[k] / gain / electrons
            slope = 1.0 / (design.scale[k] * gain * electrons)
            counted = -density * fit.log_electrons
            add(f"areal_density_{element}", "1/angstrom^2", density, {2 + k: slope}, counted, density * unit_vectors[k])
    for k, element in enumerate(design.elements[1:], 1):
        ratio = amplitude[k] / amplitude[0]
        slopes = {2 + k: ratio / theta[2 + k], 2: -ratio / theta[2]}
        sigma = ratio * (unit_vectors[k] - unit_vectors[0])
        add(f"ratio_{element}_{design.elements[0]}", "1", ratio, slopes, none, sigma)
    add("background_exponent", "1", float(theta[1]), {1: 1.0}, none, np.zeros(count))
    own_rows, sigma_rows = np.array(by_own), np.array(by_sigma)
    shared_rows = own_rows @ common + np.array(by_shared)
    sigma_errors = np.array([_cross_section_error(fit, k) for k in range(count)])
    covariance = own_rows @ own @ own_rows.T + shared_rows @ learned.covariance @ shared_rows.T
    covariance += sigma_rows @ np.diag(sigma_errors**2) @ sigma_rows.T
    # atoms per area are ratios of counts of one camera
    scale = np.array([1.0 if name.startswith("electrons") else 0.0 for name in names])
    scaled = np.array(mean) * scale * learned.camera.error  # counts per electron are no better known
    return Quantities(tuple(names), tuple(units), np.array(mean), covariance + np.outer(scaled, scaled), shared_rows)


def with_plural_error(fit: CoreLossFit, quantities: Quantities) -> Quantities:
    """``quantities`` of edges that were not corrected for plural scattering, with the error of that: what a usual low loss (t/lambda of `USUAL_THICKNESS`)
    changes in the sum of the spectra, all quantities together."""
    count, learned = len(fit.counts), fit.learned
    mean = (fit.counts / learned.pattern).mean(axis=0, keepdims=True)
    camera = learned.camera._replace(
        gain=learned.camera.gain / count, readout=learned.camera.readout / math.sqrt(count)
    )
    kernel = usual_low_loss(float(fit.energies[1] - fit.energies[0]))
    fits = [
        fit_core_loss(mean, fit.energies, fit.design.edges, curve, learned.used, camera=camera)
        for curve in (None, kernel)
    ]
    plain, corrected = (dict(zip(*_values(quantities_of(each, None)), strict=True)) for each in fits)
    # electrons of the mean of spectra are counted with the gain of a mean
    change = np.array([
        _relative(name, plain[name], corrected[name]) * value if name in plain else 0.0
        for name, value in zip(quantities.names, quantities.mean, strict=True)
    ])  # fmt: skip
    return quantities._replace(covariance=quantities.covariance + np.outer(change, change))


def _values(quantities: Quantities) -> tuple[tuple[str, ...], np.ndarray]:
    return quantities.names, quantities.mean


def _relative(name: str, plain: float, corrected: float) -> float:
    """Relative change, no more than all of the value."""
    return float(np.clip((corrected - plain) / max(abs(plain), abs(corrected), 1e-300), -1.0, 1.0)) * np.sign(
        plain or 1.0
    )


def usual_low_loss(step: float) -> np.ndarray:
    """A low loss of unit sum from zero loss on, in channels of ``step`` eV, of t/lambda `USUAL_THICKNESS` and one broad plasmon as oxides have."""
    losses = step * np.arange(int(USUAL_RANGE / step) + 1)
    energy, width = USUAL_PLASMON
    single = losses * width / ((losses**2 - energy**2) ** 2 + (losses * width) ** 2)
    transform = np.fft.rfft(single / single.sum(), 2 * len(losses))
    return np.fft.irfft(np.exp(USUAL_THICKNESS * (transform - 1.0)), 2 * len(losses))[: len(losses)]


def _cross_section_error(fit: CoreLossFit, element: int) -> float:
    """Of the edges of an element that are fitted: that of the best known one."""
    edges = [edge for edge in fit.design.edges if edge.element == fit.design.elements[element]]
    return min(CROSS_SECTION_ERROR[edge.name[0]] for edge in edges)


class Found(NamedTuple):
    """Whether the edges of an element are there: the test, the least amplitude that is found in a spectrum (median) and that all together show, as
    electrons of the edge, and in how many of the tested spectra it was found."""

    element: str
    presence: Presence
    limit: float
    pooled_limit: float
    tested: int


def presence_of(fit: CoreLossFit, element: int) -> Found:
    """The test in the spectra from which shapes were not learnt, where there are some."""
    chosen = ~fit.chosen if not fit.chosen.all() else fit.chosen
    shared, gain = fit.learned.shared, fit.learned.camera.counts_per_electron
    tested = presence(fit.counts[chosen], shared, element, gain)
    parameters = fit.fitted.parameters[chosen]
    some = parameters[:: max(1, len(parameters) // LIMIT_SPECTRA)]
    per_amplitude = float(np.asarray(shared.edges)[element].sum()) / gain
    limit = float(np.median(detection_limit(some, shared, element, gain))) * per_amplitude
    together = float(detection_limit(some, shared, element, gain, pooled=True, steps=0)[0])
    together *= per_amplitude * math.sqrt(len(some) / len(parameters))
    return Found(fit.design.elements[element], tested, limit, together, len(parameters))


def details_of(fit: CoreLossFit, detected: list[Found], seen: dict[str, float]) -> dict[str, Any]:
    """Edges, camera and shapes as plain values; ``seen``: onsets in eV on the spectrum's axis by edge."""
    edges = []
    for number, edge in enumerate(fit.design.edges):
        if not edge.shaped:
            continue
        test = next(item for item in detected if item.element == edge.element)
        row: dict[str, Any] = {
            "element": edge.element, "edge": edge.name, "onset": edge.onset, "seen": seen.get(f"{edge.element} {edge.name}"), "deviate": test.presence.pooled,
            "false_alarm": test.presence.false_alarm, "spectra_tested": test.tested,
            "spectra_found": int(test.presence.detected().sum()), "rate_of_false_alarms": FALSE_ALARMS, "power": POWER,
            "limit_electrons": test.limit, "limit_electrons_all": test.pooled_limit,
        }  # fmt: skip
        if edge.name in ("L2,3", "M4,5"):
            lower, upper = ("L3", "L2") if edge.name[0] == "L" else ("M5", "M4")
            split = subshell(edge.element, upper).energy - subshell(edge.element, lower).energy
            ratio = white_lines(fit, number, 0.75 * split)
            row["white_line_ratio"] = None if ratio is None else {"value": ratio[0], "error": ratio[1]}
        edges.append(row)
    camera = fit.learned.camera
    return {
        "edges": edges,
        "camera": {
            "counts_per_electron": camera.counts_per_electron, "error": camera.error * camera.counts_per_electron, "told": fit.learned.told,
            "channel_correlation": list(camera.correlation), "readout": camera.readout, "pattern_rms": fit.learned.roughness,
        },
        "learnt_from": int(fit.chosen.sum()),
        "spectra": len(fit.counts),
    }  # fmt: skip


def plot_of(fit: CoreLossFit) -> FitPlot:
    """The mean spectrum without the camera's pattern, its model with the error that the mean has, and what is left of the spectra that were not learnt from."""
    tested = ~fit.chosen if not fit.chosen.all() else fit.chosen
    background, edges = fit.expected()
    pattern = fit.learned.pattern
    data, model = fit.counts.mean(axis=0) / pattern, (background + edges).mean(axis=0) / pattern
    noise = np.sqrt(fit.learned.camera.gain * np.maximum(model, 0.0) / pattern / len(fit.counts))
    count = int(tested.sum())
    spread = math.sqrt(
        count * (1.0 + (count / fit.chosen.sum() if fit.learned.roughness > 0.0 and not fit.chosen.all() else 0.0))
    )
    residual = fit.whitened_residual()[tested].sum(axis=0) / spread
    used = np.asarray(fit.learned.used) > 0
    marks = tuple((f"{edge.element} {edge.name}", edge.onset) for edge in fit.design.edges if edge.shaped)
    ends = float(fit.energies[0]), float(fit.energies[-1])
    name = "core loss" if len(fit.counts) == 1 else f"core loss, mean of {len(fit.counts)} spectra"
    data, residual = np.where(used, data, np.nan), np.where(used, residual, np.nan)
    parts = (("background", background.mean(axis=0) / pattern),)
    return FitPlot(name, data, model, residual, ends, "electronvolt", marks, noise, parts)
