"""All checks as numbers with their bounds, for a benchmark at full size or ``short``."""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tests.physics.checks import evidence, forms
from tests.physics.checks.derivatives import BY_THERMAL, THERMAL, along, compiled, detected, slope_and_difference
from tests.physics.checks.oracle import SPECIMENS, against_abtem


class Measured(NamedTuple):
    """A deviation ``value``, its reference or ``unit``, and the ``bar`` below which it must be."""

    case: str
    value: float
    unit: str
    bar: float

    @property
    def holds(self) -> bool:
        """Whether it does; NaN does not."""
        return self.value <= self.bar


def everything(short: bool, progress: Callable[[str], None] = lambda label: None) -> Iterator[Measured]:
    """All checks in turn; ``progress`` is called with the name of the next. Float64 must be enabled."""
    for part in (_constants, _abtem, _laws, _forms, _derivatives):
        yield from part(short, progress)


def _constants(short: bool, progress: Callable[[str], None]) -> Iterator[Measured]:
    progress("constants and Kirkland's row of atoms")
    for name, (deviation, bar) in evidence.constants().items():
        yield Measured(name, deviation, "angstrom" if name.startswith("wavelength") else "1/(V angstrom)", bar)
    lowest, highest, _ = evidence.kirkland_row()
    yield Measured("Kirkland's Fig. 5.12, minimum against 0.72", abs(lowest - 0.72), "of vacuum", 0.005)
    yield Measured("Kirkland's Fig. 5.12, maximum against 1.03", abs(highest - 1.03), "of vacuum", 0.005)


def _abtem(short: bool, progress: Callable[[str], None]) -> Iterator[Measured]:
    for name in SPECIMENS:
        progress(f"multislice against abTEM: {name}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            deviations = against_abtem(name, short=short)
        for energy, deviation in deviations.items():
            label = f"abTEM, {name}, {energy / 1e3:.0f} keV"
            yield Measured(f"{label}: float64", deviation.total, "of the total", 1e-5)
            yield Measured(f"{label}: float32", deviation.single, "of the total", 1e-4)
            yield Measured(f"{label}: worst of {deviation.count} rings, float64", deviation.ring, "relative", 1e-3)
            yield Measured(
                f"{label}: worst of {deviation.count} rings, float32", deviation.single_ring, "relative", 1e-3
            )


def _laws(short: bool, progress: Callable[[str], None]) -> Iterator[Measured]:
    progress("reciprocity, reversal and flux")
    cells, gpts = ((2, 3, 3), (96, 64)) if short else ((3, 3, 20), (160, 160))
    real = evidence.crystal(cells, gpts)
    absorptive = evidence.crystal(cells, gpts, thermal="absorptive", energy=evidence.ENERGY)
    for name, slices in (("frozen atoms", real), ("absorptive", absorptive)):
        for tilt, beam in (((0.0, 0.0), (0, 0)), ((5e-3, -8e-3), (2, -1))):
            error = evidence.reciprocity(slices, tilt, beam, stride=6 if short else 16)
            yield Measured(f"reciprocity, {name}, tilt {tilt}, beam {beam}", error, "of the mean", 1e-6)
        for limited in (False, True):
            flux = evidence.flux(slices, limited)
            how = "band-limited" if limited else "whole"
            yield Measured(f"flux, {name}, {how} transmissions: unaccounted", flux.unaccounted, "of the beam", 1e-12)
            if not limited:
                gap = flux.unexplained
                yield Measured(f"flux, {name}: lost otherwise than by Im V", gap, "of the beam", 1e-12)
    for name, slices in (("vacuum", evidence.nothing()), ("weak phase gratings", evidence.gratings())):
        round_trip = evidence.there_and_back(slices)
        yield Measured(f"forward and back, {name}", round_trip.residual, "of the wave", 1e-12)
    round_trip = evidence.there_and_back(real)
    excess = round_trip.residual**2 - round_trip.lost
    yield Measured("forward and back, frozen atoms: what is missing beyond what was lost", excess, "of the beam", 1e-12)
    yield Measured(
        "forward and back, frozen atoms: overlap against share kept", round_trip.overlap, "of the beam", 1e-12
    )


def _forms(short: bool, progress: Callable[[str], None]) -> Iterator[Measured]:
    progress("PRISM, Gram and crystal forms")
    cells, points = ((2, 3, 3), 32) if short else (forms.CELLS, forms.POINTS)
    for name, dtype, bar in (("float64", jnp.complex128, 1e-12), ("float32", jnp.complex64, 1e-4)):
        deviation, count = forms.prism(cells, points, dtype)
        yield Measured(f"PRISM at interpolation 1, {count} beams, {name}", deviation, "of the largest amplitude", bar)
        gram = forms.general_gram(cells, points, dtype)
        yield Measured(f"Gram, general form, {name}", gram, "of the largest pixel", bar)
    crystal = forms.crystal_gram(cells, points)
    yield Measured("Gram, crystal form, float32", crystal, "of the largest pixel", 1e-4)
    progress("jit, vmap and batches")
    for name, deviation in forms.ways_of_mapping().items():
        yield Measured(f"{name}, float64", deviation, "of the largest beam", 1e-12)
    for name, deviation in forms.ways_of_batching().items():
        yield Measured(f"{name}, float32", deviation, "of the largest beam", 1e-5)


def _derivatives(short: bool, progress: Callable[[str], None]) -> Iterator[Measured]:
    for thermal in ("frozen",) if short else THERMAL:
        progress(f"derivatives against differences, {thermal}")
        loss, start = detected(thermal)
        loss, gradient = compiled(loss), compiled(jax.grad(loss))(start)
        for name, position, step in BY_THERMAL[thermal]:
            slope, difference = slope_and_difference(loss, start, name, position, step, gradient)
            label = f"derivative, {thermal}, in {name}{list(position) if position else ''}"
            yield Measured(label, abs(slope / difference - 1.0), "relative", 1e-5)
        slope, difference = along(loss, start, gradient)
        yield Measured(f"derivative, {thermal}, along everything", abs(slope / difference - 1.0), "relative", 1e-5)
