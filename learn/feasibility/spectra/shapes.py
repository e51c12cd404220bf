"""What a spectrum is made of, for each electron on the specimen: background, edges for each atom per area, and their derivatives in what is not known."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from twin import checks
from twin.eels.maps import EdgeWindow
from twin.eels.spectrum import components
from twin.optics.electrons import momentum_times_velocity, wavelength
from twin.simulation.spectrum.ready import ReadySpectrum


class Shapes(NamedTuple):
    """A spectrum at ``energies`` [c] (eV): the ``background`` [c] of valence losses, power laws and losses to several cores, and each of the edges
    ``labels`` with ``per_atom`` [e, c] electrons for an atom per square angstrom, at the composition's ``areal`` [e] atoms per square angstrom. ``within``
    [e]: whether the edge begins within the range; others are part of what lies below. ``slopes``: derivatives of background and per_atom by name:
    "energy offset" per eV and "thickness" per angstrom."""

    energies: Float[np.ndarray, " c"]
    background: Float[np.ndarray, " c"]
    labels: tuple[str, ...]
    per_atom: Float[np.ndarray, "e c"]
    areal: Float[np.ndarray, " e"]
    within: np.ndarray
    slopes: Mapping[str, tuple[Float[np.ndarray, " c"], Float[np.ndarray, "e c"]]]


def shapes_of(ready: ReadySpectrum) -> Shapes:
    """Of one spectrum that was made ready; plural scattering by valence electrons is in every part. ValueError where it has no edge."""
    model, values = ready.model, {**ready.values, "counts": ready.plan.spectrometer.acceptance}
    if not model.edges:
        raise ValueError("the spectrum has no edge; move its range to one")
    areal = np.array([ready.composition.areal[at.element] for at in model.edges])

    def parts(moved: Any) -> tuple[Any, Any]:
        made = components(model, {**values, "offset": moved[0], "t_over_lambda": moved[1]})
        edges = jnp.stack([made.pop(at.label) for at in model.edges])
        return sum(made.values(), jnp.zeros(model.axis.channels)), edges / areal[:, None]

    at = checks.float64([values["offset"], values["t_over_lambda"]])
    background, per_atom = parts(at)
    by_offset, by_thickness = (jax.jvp(parts, (at,), (unit,))[1] for unit in jnp.eye(2))
    deep = ready.t_over_lambda / ready.composition.thickness if ready.composition.thickness else 0.0
    slopes = {
        "energy offset": tuple(np.asarray(part) for part in by_offset),
        "thickness": tuple(deep * np.asarray(part) for part in by_thickness),
    }
    first = float(model.axis.energies[0])
    return Shapes(
        np.asarray(model.axis.energies), np.asarray(background), tuple(at.label for at in model.edges), np.asarray(per_atom), areal,
        np.array([at.onset >= first for at in model.edges]), slopes,
    )  # fmt: skip


def delocalisation(loss: float, energy: float) -> float:
    """Diameter in angstrom that holds half of the electrons which lost ``loss`` eV: 0.5 wavelength / theta_E^(3/4) (Egerton, Electron Energy-Loss
    Spectroscopy in the Electron Microscope, 3rd ed., section 5.5)."""
    return 0.5 * wavelength(energy) / (loss / momentum_times_velocity(energy)) ** 0.75


def merit_of(edge: EdgeWindow, spectrum: Shapes, energy: float, blur: float = 0.5) -> float:
    """How well one atom is seen by an edge: its squared signal in the window over what is recorded there, and over the area that it is seen
    from (``blur`` in angstrom added in squares). 0 for an edge that ``spectrum`` does not have."""
    if edge.label not in spectrum.labels:
        return 0.0
    inside = (spectrum.energies >= edge.low) & (spectrum.energies < edge.high)
    if inside.sum() < 2:
        return 0.0
    row = spectrum.labels.index(edge.label)
    signal = float(spectrum.per_atom[row, inside].sum())
    total = spectrum.background + spectrum.areal @ spectrum.per_atom
    below = float(total[inside].sum())
    return signal**2 / below / (delocalisation(edge.low, energy) ** 2 + blur**2)
