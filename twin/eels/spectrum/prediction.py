"""A spectrum as a function of its parameters: electrons in each channel, counts, their covariance, and recordings.

    electrons in a channel = counts dispersion [Z exp(t/lambda (S - 1) + F - F(0) + sum_k n_k (sigma_k - sigma_k(0)))](E) + background

with transforms of the zero loss Z, single losses S (of area 1), losses at both faces F and cross-sections sigma_k, and n_k atoms per area. Where the zero
loss is not on the axis (`Axis.whole` is False) edges are computed alone, to first order in n_k: counts Z exp(t/lambda (S - 1) + F - F(0)) sum_k n_k sigma_k.
All is float64, pure, and differentiable in every parameter.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from twin.checks import require
from twin.eels.spectrum import axis as axes
from twin.eels.spectrum import detector, dielectric, low_loss, parameters, zero_loss
from twin.eels.spectrum.edges import Edge, profile
from twin.eels.spectrum.model import SpectrumModel
from twin.eels.spectrum.parameters import Values
from twin.eels.spectrum.plural import exponent

BLOCK = 64
"""Spectra that are computed at once."""


_counts = jax.jit(detector.expected_counts, static_argnums=2)
_covariance = jax.jit(detector.covariance, static_argnums=(2, 3))
_sample = jax.jit(detector.sample, static_argnums=3)


class Transforms(NamedTuple):
    """What all spectra share: transforms of the zero loss (with the width of channels), of single losses, of losses at both faces and of the cross-section
    of each edge, and the integrals of the latter two over the grid."""

    zero: Complex[Array, " half"]
    single: Complex[Array, " half"] | None
    faces: Complex[Array, " half"] | None
    faces_total: Array
    edges: Complex[Array, "edges half"]
    edge_totals: Float[Array, " edges"]


def electrons(model: SpectrumModel, values: Values) -> Float[Array, "*batch wide"]:
    """Mean electrons in each channel, `Axis.reach` channels on either side included, before the camera.

    Parameters that differ between spectra have leading axes; `BLOCK` spectra at a time are computed. ValueError for parameters that cannot be
    (`parameters.completed`).
    """
    return _all_electrons(model, parameters.completed(model.parameters, values))


@functools.partial(jax.jit, static_argnums=0)
def _all_electrons(
    model: SpectrumModel, full: dict[str, Array], shape: Array | None = None
) -> Float[Array, "*batch wide"]:
    shared = transforms(model, full, shape)
    each = {item.name: full[item.name] for item in model.parameters if item.each}
    batch = jnp.broadcast_shapes(*(value.shape for value in each.values()))
    if not batch:
        return _electrons(model, full, shared)
    moving = {name: jnp.broadcast_to(value, batch).ravel() for name, value in each.items() if value.shape}
    made = jax.lax.map(
        lambda own: _electrons(model, {**full, **own}, shared), moving, batch_size=min(BLOCK, int(np.prod(batch)))
    )
    return made.reshape(*batch, -1)


def expected(
    model: SpectrumModel, values: Values, shape: Float[Array, " n"] | None = None
) -> Float[Array, "*batch channels"]:
    """Mean counts in each channel. ``shape`` [n]: counts in the place of those of ``model.measured``, and as many, so that a program that is compiled for
    one measured zero loss serves for others."""
    full = parameters.completed(model.parameters, values)
    return _counts(_all_electrons(model, full, shape), full, model.axis.reach)


def covariance(model: SpectrumModel, values: Values, lag: int = 0) -> Float[Array, "*batch shared"]:
    """Covariance in counts^2 of channels that are ``lag`` apart, [..., channels - lag]; lag 0: their variance."""
    full = parameters.completed(model.parameters, values)
    return _covariance(_all_electrons(model, full), full, model.axis.reach, lag)


def sample(key: PRNGKeyArray | Array, model: SpectrumModel, values: Values) -> Float[Array, "*batch channels"]:
    """One noisy recording in counts."""
    full = parameters.completed(model.parameters, values)
    return _sample(key, _all_electrons(model, full), full, model.axis.reach)


def energies(model: SpectrumModel, values: Values) -> Float[Array, "*batch channels"]:
    """Energy losses in eV of the channels."""
    full = parameters.completed(model.parameters, values)
    return axes.energies_of(model.axis, full["dispersion"], full["offset"])


def single_losses(model: SpectrumModel, values: Values) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
    """Energies in eV of the grid, from zero loss on, and the distribution of single valence losses there, per eV, of area 1 over all energies."""
    require(model.low, "the spectrum has no valence losses; give plasmons or a dielectric function")
    full = parameters.completed(model.parameters, values)
    return axes.grid(model.axis._replace(base=0), full["dispersion"]), _single(model, full)[0]


def components(model: SpectrumModel, values: Values) -> dict[str, Array]:
    """What the electrons of one spectrum are, [channels] each: the zero loss, valence losses, each edge with its plural scattering, each background, and
    losses to several cores. Their sum is the spectrum before the camera."""
    return _components(model, parameters.completed(model.parameters, values))


@functools.partial(jax.jit, static_argnums=0)
def _components(model: SpectrumModel, full: dict[str, Array]) -> dict[str, Array]:
    shared, reach = transforms(model, full), model.axis.reach
    valence, densities = _valence(full, shared), _densities(model, full)
    without_core = jnp.exp(-(densities * shared.edge_totals).sum())

    def read(factor: Array, exponent: Array) -> Array:
        return _read(model, full, factor, exponent)[reach : reach + model.axis.channels]

    parts: dict[str, Array] = {}
    if model.axis.whole:
        unscattered = full.get("t_over_lambda", 0.0) + _faces_scale(full, shared) * shared.faces_total
        nothing = jnp.full_like(valence, -unscattered)
        parts["zero loss"] = read(shared.zero, nothing) * without_core
        parts["valence losses"] = read(shared.zero, valence) * without_core - parts["zero loss"]
    for number, at in enumerate(model.edges):
        single = read(shared.zero * shared.edges[number], valence) * densities[number]
        parts[at.label] = single * without_core if model.axis.whole else single
    for number in range(1, model.backgrounds + 1):
        parts[f"background{number}"] = _power_law(model, full, number)[reach : reach + model.axis.channels]
    if model.axis.whole and model.edges:
        whole = _electrons(model, full, shared)[reach : reach + model.axis.channels]
        parts["several core losses"] = whole - sum(parts.values())
    return parts


def transforms(model: SpectrumModel, full: Values, measured: Array | None = None) -> Transforms:
    """What all spectra with the shapes of ``full`` (all parameters) share; ``measured``: counts of another measured zero loss than the model's."""
    axis, dispersion = model.axis, full["dispersion"]
    step = axes.step_of(axis, dispersion)
    width = axes.width(axis, dispersion, dispersion)
    if model.measured is None:
        shape = [full[f"zero_loss.{name}"] for name in ("gaussian", "loss_tail", "gain_tail")]
        zero = zero_loss.field_emission(axes.frequencies(axis, dispersion), *shape) * width
    else:
        counts, channel = model.measured.values, model.measured.zero_channel
        if measured is None:
            zero = zero_loss.measured(axis, counts, channel, dispersion)
        else:
            zero = zero_loss.transform_of(axis, measured, channel, dispersion)
        zero = zero if model.measured.recorded else zero * width
    single, faces, faces_total = None, None, jnp.zeros(())
    if model.low:
        distribution, at_faces = _single(model, full)
        single = axes.transform(axis, dispersion, distribution)
        if at_faces is not None:
            faces, faces_total = axes.transform(axis, dispersion, at_faces), step * at_faces.sum()
    at = axes.grid(axis, dispersion)
    sigmas = [profile(edge, at, step, _own(full, edge)) for edge in model.edges]
    sigmas = jnp.stack(sigmas) if sigmas else jnp.zeros((0, axis.size))
    # profiles are averages over a point of the grid, which is undone
    edges = axes.transform(axis, dispersion, sigmas) / axes.width(axis, dispersion, step)[None]
    return Transforms(zero, single, faces, faces_total, edges, step * sigmas.sum(-1))


def _own(full: Values, at: Edge) -> dict[str, Array]:
    """An edge's own parameters, without its label."""
    prefix = f"{at.label}."
    return {name.removeprefix(prefix): value for name, value in full.items() if name.startswith(prefix)}


def _single(model: SpectrumModel, full: Values) -> tuple[Array, Array | None]:
    """The distribution of single losses on the grid from zero loss on, per eV and of area 1 with what lies beyond; losses at both faces, per eV."""
    axis, table = model.axis._replace(base=0), model.table
    at, step = axes.grid(axis, full["dispersion"]), axes.step_of(axis, full["dispersion"])
    faces = None
    if table is not None:
        shape = functools.partial(dielectric.volume, table, energy=model.energy, collection=model.collection)
        faces = dielectric.surfaces(table, at, model.energy, model.collection) if model.surface else None
    else:
        shape = _oscillating(model, full)
    nodes, weights = low_loss.beyond(at[-1] + 0.5 * step)
    inside = shape(at)
    return inside / (step * inside.sum() + (weights * shape(nodes)).sum()), faces


def _oscillating(model: SpectrumModel, full: Values) -> Callable[[Array], Array]:
    """The distribution of losses to oscillators, of any area."""
    terms = [f"plasmon{number}" for number in range(1, model.terms + 1)]
    positions, widths = (jnp.stack([full[f"{name}.{what}"] for name in terms]) for what in ("energy", "width"))
    strengths = jnp.stack([full.get(f"{name}.strength", jnp.ones(())) for name in terms])

    def shape(where: Array) -> Array:
        made = low_loss.oscillators(where, positions, widths, strengths)
        if model.gap is not None:
            made = made * low_loss.gap_factor(where, full["gap.energy"], full["gap.softness"], model.gap)
        return made * low_loss.collected(where, model.energy, model.collection) if model.collection > 0.0 else made

    return shape


def _densities(model: SpectrumModel, full: Values) -> Float[Array, " edges"]:
    """Atoms per area of the element of each edge."""
    return jnp.stack([full[f"{at.element}.areal_density"] for at in model.edges]) if model.edges else jnp.zeros(0)


def _faces_scale(full: Values, shared: Transforms) -> Array:
    return jnp.zeros(()) if shared.faces is None else full["surface.scale"]


def _valence(full: Values, shared: Transforms) -> Complex[Array, " half"]:
    """The exponent of plural scattering by valence electrons and both faces."""
    total = jnp.zeros_like(shared.zero)
    if shared.single is not None:
        total = exponent(full["t_over_lambda"], shared.single)
    if shared.faces is not None:
        total = total + exponent(full["surface.scale"], shared.faces, shared.faces_total)
    return total


def _electrons(model: SpectrumModel, full: Values, shared: Transforms) -> Float[Array, " wide"]:
    """Electrons of one spectrum in each channel, with ``Axis.reach`` more on either side."""
    factor, scattering = shared.zero, _valence(full, shared)
    core = _densities(model, full) @ shared.edges
    if model.axis.whole:
        scattering = scattering + core - (_densities(model, full) * shared.edge_totals).sum()
    else:
        factor = factor * core
    total = _read(model, full, factor, scattering)
    for number in range(1, model.backgrounds + 1):
        total = total + _power_law(model, full, number)
    return total


def _read(
    model: SpectrumModel, full: Values, factor: Complex[Array, " half"], exponent: Complex[Array, " half"]
) -> Float[Array, " wide"]:
    """Electrons in the channels of a spectrum whose transform is ``factor`` exp(``exponent``)."""
    made = axes.sampled(model.axis, factor, exponent, full["dispersion"], full["offset"])
    return full["counts"] * full["dispersion"] * made


def _power_law(model: SpectrumModel, full: Values, number: int) -> Float[Array, " wide"]:
    """Electrons of a background in the channels; none at and below zero loss."""
    at = axes.energies_of(model.axis, full["dispersion"], full["offset"], model.axis.reach)
    level, exponent = full[f"background{number}.level"], full[f"background{number}.exponent"]
    logs = jnp.log(jnp.where(at > 0.0, at, 1.0) / model.reference)
    return jnp.where(at > 0.0, level * full["dispersion"] * jnp.exp(-exponent * logs), 0.0)
