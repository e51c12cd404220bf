"""Energy-loss spectra to quantities. Here are the inputs of their estimator: axis, angles, elements, low loss."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from reconstruct.measurement.eels.estimator import Setup, measure_eels
from reconstruct.measurement.eels.spectra import Spectra, spectra_of
from reconstruct.measurement.recorded.prepared import has_electrons
from reconstruct.measurement.recorded.recording import Recording
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.spectra import exposure_of
from twin.eels.atoms import edges_of
from twin.eels.atoms.solver.configurations import atomic_number
from twin.eels.spectrum import malis
from twin.errors import BadInput, from_twin
from twin.records import Axis, Signal

SHELLS = ("K", "L", "M", "N")
MOST_SHIFT = 20.0
"""eV by which a stated onset may differ from the atom's."""


def eels(recording: Recording, tell: Tell) -> RecordedMeasurement:
    """Thickness and plasmon of a low loss, edges of elements with maps."""
    inputs = recording.inputs
    tell("reading the spectra", None)
    spectra = _spectra(recording, recording.name, recording.signal, stated=True)
    energy = recording.beam_energy()
    convergence = recording.optional("convergence semi-angle", "semiangle", recording.claim("convergence_semiangle"))
    collection = recording.optional("collection semi-angle", "collection", recording.claim("collection_semiangle"))
    elements = _elements(recording)
    gain = None
    if has_electrons(recording):
        gain = 1.0 if inputs.known.gain is None else inputs.positive("gain")
        recording.add_setting(
            "counts per electron",
            gain,
            "1",
            inputs.words.source("gain") if inputs.known.gain is not None else inputs.words.origin,
        )
    elif recording.claim("gain") is not None:
        gain = recording.add_setting("counts per electron", recording.claim("gain") or 1.0, "1", inputs.words.origin)
    low, ratio = _low_loss(recording, spectra)

    def free_path(present: Sequence[str]) -> float | None:
        if inputs.known.mean_free_path is not None:
            return recording.add_given(
                "inelastic mean free path", "mean_free_path", inputs.positive("mean_free_path"), "angstrom"
            )
        if not present or collection is None:
            return None
        try:
            path = malis(energy, {atomic_number(element): 1.0 for element in present}, collection)
        except ValueError:  # beyond the formula's range of angles
            return None
        return recording.add_setting(
            "inelastic mean free path", path, "angstrom", "Malis' formula, elements in equal shares"
        )

    drift = 0.0
    if inputs.known.drift is not None:
        drift = recording.add_given("drift of the axis", "drift", inputs.positive("drift"), "electronvolt")
    setup = Setup(
        energy,
        collection,
        convergence or 0.0,
        elements,
        gain,
        ratio,
        free_path,
        _onsets(recording, elements),
        drift,
        _extent(recording.signal.axes[:-1]),
    )
    try:
        measurement = measure_eels(spectra, low, setup, tell)
    except ValueError as error:
        raise _refused(recording, recording.name, error) from error
    return RecordedMeasurement("eels", (recording,), measurement)


def _spectra(recording: Recording, name: str, signal: Signal, stated: bool) -> Spectra:
    """A signal as spectra on an axis in eV; ``stated``: what was stated of axis, dark level and range is this signal's."""
    inputs, axis = recording.inputs, signal.axes[-1]
    dispersion, offset = (axis.scale, axis.offset) if axis.unit == "electronvolt" else (None, None)
    window, black = None, 0.0
    if stated:
        known = inputs.known
        for field, words in (("dispersion", "energy of a channel"), ("offset", "energy of the first channel")):
            if getattr(known, field) is not None:
                recording.add_given(words, field, inputs.finite(field), "electronvolt")
        dispersion = known.dispersion if known.dispersion is not None else dispersion
        offset = known.offset if known.offset is not None else offset
        if known.black:
            black = recording.add_given("counts without a beam", "black", inputs.finite("black"), "count")
        if known.range is not None:
            low, high = inputs.pair("range")
            if not low < high:
                raise BadInput(
                    inputs.words.given("range", known.range), "does not rise", "Give the lower energy first."
                )
            window = low, high
            recording.add_given("range", "range", f"{low:g} to {high:g} eV")
    if dispersion is None or offset is None:
        cure = f"{inputs.words.add('dispersion')} {inputs.words.add('offset')}"
        raise BadInput(
            name, f"has no energy axis (its last axis is {axis.name!r} in {axis.claimed_unit or 'no unit'})", cure
        )
    if np.iscomplexobj(signal.data) or signal.data.dtype.kind == "b":
        raise BadInput(name, "holds no counts", "Give spectra in counts or electrons.")
    try:
        return spectra_of(np.asarray(signal.data), offset, dispersion, black, window)
    except ValueError as error:
        raise _refused(recording, name, error) from error


def _refused(recording: Recording, name: str, error: ValueError) -> BadInput:
    refused = from_twin(name, error, "")
    named = recording.inputs.words.named
    return BadInput(refused.input, named(refused.problem), named(refused.cure))


def _elements(recording: Recording) -> tuple[str, ...] | None:
    """The elements that are told; BadInput for what is none."""
    told: Any = recording.inputs.known.elements
    if told is None:
        return None
    words = re.split(r"[\s,;]+", told.strip()) if isinstance(told, str) else [str(word) for word in told]
    elements = tuple(dict.fromkeys(word for word in words if word))
    label = recording.inputs.words.given("elements", told)
    if not elements:
        raise BadInput(label, "names no element", "Give symbols with commas: Ti,O.")
    for element in elements:
        try:
            edges_of(element)
        except ValueError:
            raise BadInput(label, f"{element!r} is no element", "Give symbols with commas: Ti,O.") from None
    recording.add_given("elements", "elements", ", ".join(elements))
    return elements


def _onsets(recording: Recording, elements: tuple[str, ...] | None) -> dict[str, dict[str, float]]:
    """Energies of onsets that are known, by element and shell; BadInput for what is no edge, or one of an element that is not measured."""
    told: Any = recording.inputs.known.edge_energies
    if told is None:
        return {}
    label = recording.inputs.words.given("edge_energies", told)
    cure = f"Give {recording.inputs.words.label('edge_energies')} edges with energies in eV: Ti L=456,O K=532."
    pairs = told.items() if not isinstance(told, str) else [part.partition("=")[::2] for part in told.split(",")]
    onsets: dict[str, dict[str, float]] = {}
    for name, energy in pairs:
        words = str(name).split()
        try:
            number = float(energy)
        except ValueError:
            number = math.nan
        if len(words) != 2 or words[1][:1] not in SHELLS or not (math.isfinite(number) and number > 0.0):
            raise BadInput(label, f"{name!r} with {energy!r} eV is no edge with its energy", cure)
        element, shell = words[0], words[1][:1]
        if elements is not None and element not in elements:
            cure = f"Add it to {recording.inputs.words.label('elements')}, or leave it out."
            raise BadInput(label, f"{element} is none of the elements that are measured", cure)
        _near(label, element, shell, number)
        onsets.setdefault(element, {})[shell] = number
    recording.add_given("known edges", "edge_energies", ", ".join(str(name) for name, _ in pairs))
    return onsets


def _near(label: str, element: str, shell: str, energy: float) -> None:
    """BadInput for an energy that is not near the element's edge."""
    try:
        lowest = [edge.energy for edge in edges_of(element) if edge.name.startswith(shell)]
    except ValueError:
        raise BadInput(label, f"{element!r} is no element", "Give symbols.") from None
    if not any(abs(energy - usual) < max(MOST_SHIFT, 0.05 * usual) for usual in lowest):
        there = ", ".join(f"{edge.name} {edge.energy:g} eV" for edge in edges_of(element)) or "none up to 3 keV"
        raise BadInput(label, f"{element} {shell} is not near {energy:g} eV", f"Its edges: {there}.")


def _low_loss(recording: Recording, spectra: Spectra) -> tuple[Spectra | None, float]:
    """The low loss that is given, on its own axis, and the ratio of exposures; BadInput where it has no zero loss or another shape."""
    inputs = recording.inputs
    given = inputs.known.low_loss
    label = inputs.words.label("low_loss")
    if given is None:
        return None, 1.0
    if not isinstance(given, Signal):
        raise BadInput(label, f"is a {type(given).__name__}, and no recording", "Give spectra with an energy axis.")
    low = _spectra(recording, label, given, stated=False)
    cure = f"Leave {label} out: edges and ratios of elements are measured without it."
    if isinstance(low.zero, str):
        raise BadInput(label, f"has no zero loss ({low.zero})", cure)
    if low.shape not in ((), spectra.shape) and math.prod(low.shape) > 1:
        shapes = f"has {' x '.join(map(str, low.shape))} spectra, and {recording.name} {' x '.join(map(str, spectra.shape)) or 'one'}"
        raise BadInput(label, shapes, f"Sum its spectra to one, or bin both alike. {cure}")
    ratio = inputs.known.exposure_ratio
    if ratio is not None:
        return low, recording.add_given(
            "exposure of core over low loss", "exposure_ratio", inputs.positive("exposure_ratio"), "1"
        )
    times = exposure_of(recording.signal), exposure_of(given)
    if times[0] is not None and times[1] is not None:
        ratio = recording.add_setting("exposure of core over low loss", times[0] / times[1], "1", inputs.words.origin)
    else:
        ratio = recording.add_setting("exposure of core over low loss", 1.0, "1", "default")
    return low, ratio


def _extent(axes: tuple[Axis, ...]) -> tuple[tuple[float, ...], str]:
    """Of maps: lengths where the scan's axes have them, else pixels."""
    if len(axes) != 2:
        return (), "1"
    rows, columns = axes
    if rows.unit == columns.unit == "angstrom":
        width, height = abs(columns.scale) * columns.size, abs(rows.scale) * rows.size
        return (0.0, width, height, 0.0), "angstrom"
    return (-0.5, columns.size - 0.5, rows.size - 0.5, -0.5), "pixel"
