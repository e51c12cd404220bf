"""A spectrum made ready: composition, energy axis, edges and the values of all parameters, checked before anything is computed."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from twin.checks import require_float64
from twin.eels.atoms.solver.configurations import atomic_number
from twin.eels.spectrum import (
    Edge,
    SpectrumModel,
    atomic_edge,
    dielectric_table,
    energy_axis,
    iakoubovskii,
    malis,
    names_of,
    offset_change,
    spectrum_model,
)  # fmt: skip
from twin.eels.spectrum import dielectric as tables
from twin.eels.spectrum.atomic_edges import CORE, PARTNERS
from twin.eels.spectrum.edges import cross_section
from twin.eels.spectrum.zero_loss import gaussian_of
from twin.errors import BadInput, from_twin
from twin.optics.electrons import ELEMENTARY_CHARGE
from twin.sample.structures import Structure
from twin.simulation.plan.spectrum_tables import EdgePlan, SpectrumSimulation, spectrum_tables
from twin.simulation.plan.unit_hints import doubts
from twin.simulation.spectrum.composition import Composition, composition_of, free_plasmon, thickness_shares

DAMPED = 0.5
"""Full width of a free-electron plasmon over its energy, where nothing is said of it: that of most compounds."""
REACH = 6.0
"""Widths of the spread of electrons over channels that are computed; of its tails `TAILS`."""
TAILS = 12.0
GAPS = {"direct": 0.5, "indirect": 1.5}


class ReadySpectrum(NamedTuple):
    """All that a spectrum needs. ``electrons`` on the specimen for each spectrum (None: no noise, shares of the beam), ``thickness`` and ``mean_free_path``
    in angstrom where they are known, ``shares`` [...] of the thickness of each spectrum."""

    plan: SpectrumSimulation
    composition: Composition
    model: SpectrumModel
    values: dict[str, Any]
    electrons: float | None
    t_over_lambda: float
    mean_free_path: float | None
    shares: np.ndarray
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the recording."""
        return (*self.shares.shape, self.model.axis.channels)


def make_spectrum(plan: SpectrumSimulation, structure: Structure | None = None) -> ReadySpectrum:
    """Everything made and checked; BadInput that names the key at fault, the problem and the cure. ``structure``: the one that the plan names, where it was
    read before."""
    require_float64()
    composition = composition_of(plan, structure)
    notes = [*doubts(plan.as_dict(), spectrum_tables()), *_structure_notes(composition)]
    made, beam = plan.spectrometer, plan.beam
    energy, shares = 1e3 * beam.energy_keV, thickness_shares(plan)
    size = 8e-6 * math.prod(shares.shape) * made.channels
    if size > plan.memory_MB:
        problem = f"the recording takes {size:.0f} MB, the bound is {plan.memory_MB:.0f}"
        raise BadInput("memory_MB", problem, "Raise it, or keep less: fewer spectra or channels.")
    edges = _edges(plan, composition, energy)
    reach = math.ceil(max(REACH * made.spread, TAILS * made.tail_width if made.tail else 0.0))
    table = _dielectric(plan)
    plasmons, about = ((), []) if table is not None else _plasmons(plan, composition)
    try:
        axis = energy_axis(made.channels, made.offset, made.dispersion, plan.zero_loss.width, whole=True, reach=reach)
        laws = plan.backgrounds
        model = spectrum_model(
            axis, energy, collection=1e-3 * made.collection_mrad, plasmons=plasmons, gap=plan.low_loss.gap, gap_exponent=GAPS[plan.low_loss.gap_kind],
            table=table, surface=plan.low_loss.surface, edges=edges, backgrounds=len(laws), pattern=made.pattern > 0.0, excess=made.excess > 0.0,
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("spectrometer", error, "Change offset, dispersion or channels.") from None
    path, t_over_lambda = _thickness(plan, composition, energy, table)
    electrons = electrons_of(plan)
    cores = sum(cross_section(at, float(axis.energies[-1])) * composition.areal[at.element] for at in model.edges)
    # mean free paths by formula or from the zero loss count all losses, the dielectric function those of valence electrons
    valence = t_over_lambda if table is not None else max(t_over_lambda - cores, 0.0)
    values = _values(plan, model, composition, shares, valence, electrons)
    if t_over_lambda * float(shares.max()) > 4.0:
        notes.append(
            f"t/lambda is up to {t_over_lambda * float(shares.max()):.3g}: little of the beam is left without a loss"
        )
    return ReadySpectrum(plan, composition, model, values, electrons, t_over_lambda, path, shares, (*notes, *about))


def electrons_of(plan: SpectrumSimulation) -> float | None:
    """Electrons on the specimen for each spectrum; None where there are none."""
    if plan.dose is not None:
        return plan.dose.electrons
    if plan.beam.current_pA is None or plan.spectrometer.exposure is None:
        return None
    return 1e-12 * plan.beam.current_pA * plan.spectrometer.exposure / ELEMENTARY_CHARGE


def _structure_notes(composition: Composition) -> list[str]:
    structure = composition.structure
    if structure is None:
        return []
    notes = [f"structure: {note}" for note in structure.notes]
    return notes + [f"the structure file contradicts itself: {problem}" for problem in structure.contradictions]


def _edges(plan: SpectrumSimulation, composition: Composition, energy: float) -> list[Edge]:
    """The edges of the composition up to the last channel, shaped as the plan says; BadInput where there is none in the range, or none that is called so."""
    made = plan.spectrometer
    first, last = made.offset, made.offset + made.dispersion * (made.channels - 1)
    named: dict[str, str] = {}
    everywhere: dict[str, float] = {}
    for element in composition.areal:
        for name in names_of(element, 0.0):
            label = f"{element} {name}"
            named[label] = element
            everywhere[label] = _onset(element, name)
    for label in plan.edges:
        if label not in named:
            there = ", ".join(f'"{name}" ({everywhere[name]:g} eV)' for name in named)
            raise BadInput(
                f"edges.{label}",
                "the specimen has no such edge",
                f"Its edges are {there or 'none: atoms from Li to U have edges'}.",
            )
        if not CORE <= everywhere[label] < last:
            problem = f"its onset at {everywhere[label]:g} eV lies outside of {max(first, CORE):g} to {last:g} eV"
            raise BadInput(f"edges.{label}", problem, "Leave it out, or move spectrometer.offset.")
    seen = [label for label, onset in everywhere.items() if max(first, CORE) <= onset < last]
    if not seen and first > CORE:
        there = ", ".join(
            f"{label} {onset:g} eV"
            for label, onset in sorted(everywhere.items(), key=lambda item: item[1])
            if onset > CORE
        )
        cure = f"Move spectrometer.offset to an edge ({there}), or below 0 for the low loss."
        raise BadInput(
            "spectrometer.offset", f"no edge of {', '.join(composition.areal)} lies in {first:g} to {last:g} eV", cure
        )
    below = [label for label, onset in everywhere.items() if CORE <= onset < last]
    angles = 1e-3 * made.collection_mrad, 1e-3 * plan.beam.semiangle_mrad
    edges = []
    for label in below:
        element, _, name = label.partition(" ")
        try:
            edges.append(atomic_edge(element, name, energy, *angles, last=last, **_shape(name, plan.edges.get(label))))
        except ValueError as error:
            raise from_twin(f"edges.{label}", error, "Change the beam's energy or angles.") from None
    return edges


def _onset(element: str, name: str) -> float:
    from twin.eels.atoms import edges_of

    return min(shell.energy for shell in edges_of(element, 0.0) if shell.name in PARTNERS.get(name, (name,)))


def _shape(name: str, wanted: EdgePlan | None) -> dict[str, Any]:
    """Which parameters shape an edge: white lines of L and M wherever they are not denied, since free atoms have them as excitations to bound states."""
    partners = len(PARTNERS.get(name, (name,))) > 1
    if wanted is None:
        return {"white": partners}
    white = wanted.white_lines != 0.0 and partners
    asked = wanted.white_lines or wanted.ratio or wanted.crystal_field
    if asked and not partners:
        raise BadInput(
            f"edges.{name}", "white lines are of two spin-orbit partners, and it is one subshell", "Use lines."
        )
    return {"white": white, "split": white and wanted.crystal_field is not None, "lines": len(wanted.lines)}


def _plasmons(plan: SpectrumSimulation, composition: Composition) -> tuple[list[tuple[float, float, float]], list[str]]:
    """Terms of the valence losses, and what to say of them."""
    if plan.low_loss.plasmons is not None:
        return list(plan.low_loss.plasmons), []
    free = free_plasmon(composition)
    if free is None:
        if plan.low_loss.t_over_lambda == 0.0:
            return [(20.0, 10.0, 1.0)], []
        cure = "Add low_loss.plasmons = [[energy, width, 1]], or specimen.thickness."
        raise BadInput("low_loss.plasmons", "does not follow from atoms per area alone", cure)
    energy, count = free
    note = (
        f"valence losses are those of {count} free electrons of {composition.formula}: a plasmon at {energy:.3g} eV, "
        f"{DAMPED * energy:.3g} eV wide; low_loss.plasmons gives others"
    )
    return [(energy, DAMPED * energy, 1.0)], [note]


def _dielectric(plan: SpectrumSimulation) -> tables.Table | None:
    """The dielectric function of the plan's file; BadInput for a file that holds none."""
    name = plan.low_loss.dielectric
    if name is None:
        return None
    path = Path(plan.folder) / name
    if not path.is_file():
        raise BadInput(
            "low_loss.dielectric", f"there is no file {path}", "Give a text file with energy in eV, eps1 and eps2."
        )
    try:
        columns = np.loadtxt(path, delimiter="," if "," in path.read_text(encoding="utf-8") else None, ndmin=2)
        if columns.shape[1] != 3:
            raise ValueError(f"it has {columns.shape[1]} columns; give three: energy in eV, eps1, eps2")
        return dielectric_table(columns[:, 0], columns[:, 1] + 1j * columns[:, 2])
    except (ValueError, OSError) as error:
        raise from_twin(
            str(path), ValueError(str(error).splitlines()[0]), "Give energy in eV, eps1 and eps2 in three columns."
        ) from None


def _thickness(
    plan: SpectrumSimulation, composition: Composition, energy: float, table: tables.Table | None
) -> tuple[float | None, float]:
    """Inelastic mean free path in angstrom (None: not known), and t/lambda."""
    low, collection = plan.low_loss, 1e-3 * plan.spectrometer.collection_mrad
    path = low.mean_free_path
    try:
        if path is None and table is not None:
            path = 1.0 / tables.inverse_mean_free_path(table, energy, collection)
        elif path is None and low.formula == "malis":
            total = sum(composition.areal.values())
            path = malis(
                energy, {atomic_number(name): count / total for name, count in composition.areal.items()}, collection
            )
        elif path is None and composition.density is not None:
            path = iakoubovskii(energy, composition.density, collection, 1e-3 * plan.beam.semiangle_mrad)
    except ValueError as error:
        raise from_twin("low_loss.formula", error, "Give low_loss.mean_free_path.") from None
    if low.t_over_lambda is not None:
        return (
            composition.thickness / low.t_over_lambda if composition.thickness and low.t_over_lambda else None
        ), low.t_over_lambda
    assert composition.thickness is not None
    assert path is not None
    return path, composition.thickness / path


def _values(
    plan: SpectrumSimulation,
    model: SpectrumModel,
    composition: Composition,
    shares: np.ndarray,
    t_over_lambda: float,
    electrons: float | None,
) -> dict[str, Any]:
    """Every parameter that is not at its default."""
    made, zero = plan.spectrometer, plan.zero_loss
    moved = offset_change(model.energy, plan.beam.high_tension_change, made.drift_tube)
    try:
        gaussian = gaussian_of(zero.width, zero.loss_tail, zero.gain_tail)
    except ValueError as error:
        raise from_twin("zero_loss.width", error, "Give shorter tails.") from None
    values: dict[str, Any] = {
        "counts": made.acceptance * (electrons or 1.0), "offset": made.offset + moved, "t_over_lambda": t_over_lambda * shares,
        "zero_loss.gaussian": gaussian, "zero_loss.loss_tail": zero.loss_tail, "zero_loss.gain_tail": zero.gain_tail,
        "gain": made.gain, "dark": made.dark, "readout": made.readout,
    }  # fmt: skip
    if model.surface:
        values["surface.scale"] = 1.0
    if model.axis.reach:
        values |= {"psf.width": max(made.spread, 1e-3), "psf.tail": made.tail, "psf.tail_width": made.tail_width}
    if made.excess:
        values["excess"] = made.excess
    if made.pattern:
        key = jax.random.fold_in(jax.random.key(plan.seed), 4)
        values["pattern"] = jnp.maximum(1.0 + made.pattern * jax.random.normal(key, (made.channels,)), 0.0)
    for element in model.elements:
        values[f"{element}.areal_density"] = composition.areal[element] * shares
    for at in model.edges:
        values |= {f"{at.label}.{name}": value for name, value in _edge_values(at, plan.edges.get(at.label)).items()}
    for index, law in enumerate(plan.backgrounds.values(), 1):
        level = values["counts"] * law.level * (model.reference / law.energy) ** -law.exponent
        values |= {f"background{index}.level": level, f"background{index}.exponent": law.exponent}
    return values


def _edge_values(at: Edge, wanted: EdgePlan | None) -> dict[str, Any]:
    """Parameters of an edge without its label."""
    if wanted is None:
        return {}
    values: dict[str, Any] = {"shift": wanted.shift, "onset_width": wanted.onset_width}
    if at.white:
        values |= {"line_width": wanted.line_width, "line_width_ratio": wanted.line_width_ratio}
        values |= {} if wanted.white_lines is None else {"white_lines": wanted.white_lines}
        values |= {} if wanted.ratio is None else {"ratio": wanted.ratio}
    if at.split:
        values |= {"crystal_field": wanted.crystal_field, "eg_share": wanted.eg_share}
    for index, line in enumerate(wanted.lines, 1):
        values |= {
            f"line{index}.{name}": value for name, value in zip(("position", "width", "area"), line, strict=True)
        }
    return values
