"""What one energy-loss spectrum tells of a quantity: expected electrons and their derivatives in it and in what is not known along with it.

The spectrum is that of `twin.eels.spectrum` with plural scattering. Known with it or not are its electrons, what lies below edges (amplitude and exponent of a
power law's correction), the energy axis, thickness, the strengths of edges, and the shape of what is in the range: zero loss, plasmons, white lines.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from learn.feasibility.spectra.image import BACKGROUND, CROSS_SECTION, EXPONENT, OFFSET
from learn.information import Bound, bound, fisher_information
from twin import checks
from twin.eels.spectrum import SpectrumModel, components
from twin.simulation.spectrum.ready import ReadySpectrum

GAIN, THICKNESS, SITES = "gain", "t_over_lambda", "sites"
"""Names of what is not known: the electrons (a share), mean free paths, and how many sites two elements share (a share)."""
SHAPED = ("white_lines", "ratio", "line_width", "crystal_field")
"""Parameters of an edge whose shift is asked for that are not known along with it."""
Kind = Literal["t_over_lambda", "composition", "edge_shift", "energy_offset"]


class SpectralQuantity(NamedTuple):
    """What is asked of a spectrum: "t_over_lambda"; "composition": atoms per square angstrom of ``element``, or their ratio to those of ``over``, or the share
    of its sites that are taken ``by`` another; "edge_shift" in eV of the ``edge`` ("Ti L"); "energy_offset" in eV."""

    kind: Kind
    element: str | None = None
    over: str | None = None
    by: str | None = None
    edge: str | None = None

    @property
    def unit(self) -> str:
        """Of its standard deviation."""
        if self.kind == "composition":
            return "" if self.over or self.by else "1/angstrom^2"
        return "" if self.kind == "t_over_lambda" else "electronvolt"


class Parametrised(NamedTuple):
    """A spectrum as a function of the quantity, the first of ``names``, and of what is not known: ``rates`` of a vector [p] are electrons [c] for each electron
    on the specimen; at the expected values ``start`` [p]. ``priors`` [p]: standard deviations known beforehand (inf: none)."""

    names: tuple[str, ...]
    start: Float[np.ndarray, " p"]
    priors: Float[np.ndarray, " p"]
    rates: Callable[[Any], Array]


class SpectralInformation(NamedTuple):
    """``rates`` [c] in each channel for each electron on the specimen, their derivatives ``jacobian`` [c, p] in the quantity, the first of ``names``, and in
    what is not known, with ``priors`` [p] (standard deviations; inf: free)."""

    rates: Float[np.ndarray, " c"]
    jacobian: Float[np.ndarray, "c p"]
    names: tuple[str, ...]
    priors: Float[np.ndarray, " p"]

    def bound(self, electrons: float, readout: float = 0.0) -> Bound:
        """Least standard deviation of the quantity for a number of ``electrons`` on the specimen and a ``readout`` variance of each channel; ValueError where
        the spectrum does not determine it."""
        return bound(fisher_information(self.jacobian, self.rates, electrons, readout), 1, self.priors)


def parametrised(ready: ReadySpectrum, asked: SpectralQuantity, priors: Mapping[str, float]) -> Parametrised:
    """The spectrum ``ready`` as a function of what is ``asked`` and what is not known.

    ``priors``: standard deviations by name: "gain", "background", "background exponent", "energy offset" (eV), "t_over_lambda", "cross-section of Ti L", and
    those of the model (`twin.eels.spectrum`); names without a prior are free, with 0 known. ValueError for an element or an edge that the spectrum does
    not have.
    """
    model = ready.model
    first, last = float(model.axis.energies[0]), float(model.axis.energies[-1])
    within = tuple(at.label for at in model.edges if first <= at.onset < last)
    values = {name: checks.float64(value) for name, value in ready.values.items()}
    values |= {item.name: checks.float64(item.default) for item in model.parameters if item.name not in values}
    del values[GAIN]  # of the camera: components are electrons before it
    values["counts"] = checks.float64(ready.plan.spectrometer.acceptance)
    wanted = _wanted(asked, model, within)
    own = {"t_over_lambda": THICKNESS, "energy_offset": OFFSET}.get(asked.kind)
    free = _unknown(model, asked, within, first)
    names = [own or wanted, *(name for name in free if name != (own or wanted))]
    names = [name for number, name in enumerate(names) if number == 0 or priors.get(name, np.inf) > 0.0]
    start = [float(_start(name, asked, values)) for name in names]
    widths = [np.inf, *(priors.get(name, np.inf) for name in names[1:])]

    @jax.jit
    def rates(vector: Array) -> Array:
        return _rates(model, values, asked, within, dict(zip(names, vector, strict=True)))

    return Parametrised(tuple(names), np.array(start), np.array(widths), rates)


def spectral_information(
    ready: ReadySpectrum, asked: SpectralQuantity, priors: Mapping[str, float]
) -> SpectralInformation:
    """Expected electrons and their derivatives; see `parametrised`."""
    made = parametrised(ready, asked, priors)
    start = jnp.asarray(made.start)
    return SpectralInformation(
        np.maximum(np.asarray(made.rates(start)), 0.0), np.asarray(jax.jacfwd(made.rates)(start)), made.names, made.priors
    )  # fmt: skip


def _wanted(asked: SpectralQuantity, model: SpectrumModel, within: tuple[str, ...]) -> str:
    """Name of the asked parameter; ValueError where the spectrum does not have it."""
    there = ", ".join(within) or "none"
    if asked.kind == "composition":
        for element in (asked.by or asked.element, asked.over):
            if element is not None and not any(label.startswith(f"{element} ") for label in within):
                raise ValueError(f"no edge of {element} begins in the range of the spectrum; there are {there}")
        if asked.element is None or asked.element in (asked.over, asked.by):
            raise ValueError("the composition is that of an element, or of two that differ; name them")
        if asked.by:
            return f"share of {asked.by}"
        return f"{asked.element}/{asked.over}" if asked.over else f"{asked.element}.areal_density"
    if asked.kind == "edge_shift":
        if asked.edge not in within:
            raise ValueError(f"{asked.edge} does not begin in the range of the spectrum; there are {there}")
        return f"{asked.edge}.shift"
    if asked.kind == "t_over_lambda" and not model.low:
        raise ValueError("the spectrum has no losses to valence electrons, and so no t/lambda")
    return asked.kind


def _unknown(model: SpectrumModel, asked: SpectralQuantity, within: tuple[str, ...], first: float) -> list[str]:
    """Names of what is not known of the spectrum."""
    named = {item.name for item in model.parameters}
    unknown = [GAIN, OFFSET, THICKNESS]
    if first > 0.0:
        unknown += [BACKGROUND, EXPONENT]
    else:
        unknown += [name for name in sorted(named) if name.startswith("zero_loss.")]
        for number in range(1, model.terms + 1):
            terms = [f"plasmon{number}.{what}" for what in ("energy", "width", "strength")]
            unknown += [name for name in terms if name in named]
    unknown += [CROSS_SECTION + label for label in within]
    if asked.kind == "composition":
        # elements other than the one asked for; of a ratio the atoms of the second
        there = dict.fromkeys(label.partition(" ")[0] for label in within)
        unknown += [f"{element}.areal_density" for element in there if element not in (asked.element, asked.by)]
        unknown += [SITES] if asked.by else []
    if asked.kind == "edge_shift":
        unknown += [name for name in (f"{asked.edge}.{what}" for what in SHAPED) if name in named]
    return unknown


def _start(name: str, asked: SpectralQuantity, values: Mapping[str, Any]) -> Any:
    if name in values:
        return values[name]
    if name.startswith("share of "):
        shared = values[f"{asked.by}.areal_density"]
        return shared / (shared + values[f"{asked.element}.areal_density"])
    if "/" in name:
        return values[f"{asked.element}.areal_density"] / values[f"{asked.over}.areal_density"]
    return values["offset"] if name == OFFSET else 0.0


def _rates(
    model: SpectrumModel, values: Mapping[str, Array], asked: SpectralQuantity, within: tuple[str, ...], given: Mapping[str, Array]
) -> Array:  # fmt: skip
    """Electrons [c] at ``given`` parameters; shares are relative to the expected spectrum."""
    used = dict(values) | {name: value for name, value in given.items() if name in values}
    used["offset"] = given.get(OFFSET, values["offset"])
    if asked.over is not None:
        over = used[f"{asked.over}.areal_density"]
        used[f"{asked.element}.areal_density"] = given[f"{asked.element}/{asked.over}"] * over
    if asked.by is not None:
        sites = sum(values[f"{name}.areal_density"] for name in (asked.element, asked.by))
        sites, share = sites * (1.0 + given.get(SITES, 0.0)), given[f"share of {asked.by}"]
        used[f"{asked.by}.areal_density"], used[f"{asked.element}.areal_density"] = share * sites, (1.0 - share) * sites
    parts = components(model, used)
    edges = sum(((1.0 + given.get(CROSS_SECTION + label, 0.0)) * parts.pop(label) for label in within), jnp.zeros(()))
    below = sum(parts.values(), jnp.zeros(model.axis.channels))
    if BACKGROUND in given or EXPONENT in given:
        energies = model.axis.energies
        slope = -given.get(EXPONENT, 0.0) * np.log(energies / energies.mean())
        below = below * (1.0 + given.get(BACKGROUND, 0.0)) * jnp.exp(slope)
    return (1.0 + given.get(GAIN, 0.0)) * (below + edges)
