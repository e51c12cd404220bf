"""Electrons of a spectrum with its zero loss as evidence on current, exposure and counts per electron.

All of the beam that enters the spectrometer lies in such a spectrum: its counts are current x exposure x counts per electron, times the
share that enters. That is what elastic scattering leaves within the collection semi-angle beta: exp(-n / (1 + (beta / theta0)^2)), with
theta0 = Z^(1/3) / (k0 a0) and n = (t/lambda) Z / 20 elastic events, after the inelastic ones that the spectrum itself counts (Egerton,
Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed., 2011, sections 3.1 and 3.2). That is of atoms on their own:
crystals along a zone axis may scatter three times as often, or keep what they diffract by less than beta. So the share lies between
exp(-3 n / ...) and 1; of a probe that is wider than the aperture, the share of the probe that the aperture takes in comes on top.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.eels.camera import camera_by_background
from reconstruct.eels.features import EMPTY_WIDTHS, Peak, onsets, zero_loss
from reconstruct.measurement.measurement import Component
from reconstruct.validation.data import beam_current
from reconstruct.validation.data.beam_current import time_of, whole_beam
from reconstruct.validation.data.counting import ERROR as GAIN_ERROR
from reconstruct.validation.data.options import Tell
from reconstruct.validation.data.spectra.energy_axis import past_valence
from reconstruct.validation.evidence import Evidence, Gap, Statement
from twin.eels.atoms.solver.configurations import atomic_number
from twin.eels.atoms.solver.potential import BOHR
from twin.optics.electrons import wavelength
from twin.records import Signal

ELASTIC = 20.0
"""Z over which elastic events are more than inelastic ones."""
CHANNELLED = 3.0
"""Factor by which a crystal along a zone axis may scatter more often beyond an aperture than its atoms on their own."""
USUAL_NUMBER = 40.0
"""Z of a specimen that is not known."""
SMALLEST_COLLECTION = 1e-3
"""Semi-angle in radian that is taken where none is claimed: nearly all of what was scattered may be lost."""
LARGEST_SHARE, RECORDED = 1.02, 0.8
"""Of the electrons that enter: most and least that are recorded; some lose more than the range holds, arrive while the camera is read, or hit the rim of an
aperture that is off the centre."""
MOST_SPECTRA = 512
"""Spectra whose scatter gives the counts per electron."""
VERIFY = "Record the beam in vacuum at the same settings, with a current that was measured."


def electrons(
    signal: Signal, counts: np.ndarray, values: Mapping[str, float], composition: Mapping[str, float], tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """Evidence of the electrons in ``counts`` [channels], the mean of the spectra of ``signal``; ``composition`` of the specimen, {} where it is not known."""
    zero = zero_loss(counts)
    time = time_of(values)
    if isinstance(zero, str) or not {time, "beam_current", "gain"} & set(values):
        return [], []
    tell("counting the electrons of the spectrum", None)
    fields = tuple(name for name in (time, "beam_current", "gain") if name in values)
    measured = gain_by_scatter(signal, counts, zero)
    evidence = [_gain(measured)] if "gain" in values and not isinstance(measured, str) else []
    missing = [name for name in (time, "beam_current") if name not in values]
    if missing:
        named = " and no ".join(name.replace("_", " ") for name in missing)
        why = f"the file claims no {named}: the counts of the spectrum give the product of current and exposure"
        return evidence, [Gap(fields, why, VERIFY)]
    gain = (1.0, 0.0)
    if "gain" not in values and signal.raw.get("unit") != "electrons":
        if isinstance(measured, str):
            return evidence, [Gap(fields, f"the counts per electron are not known: {measured}", VERIFY)]
        gain = measured[0], math.hypot(measured[1], GAIN_ERROR)
    total = _total(signal, counts, zero)
    if isinstance(total, str):
        return evidence, [Gap(fields, f"the electrons of the beam were not counted: {total}", VERIFY)]
    low, high = total
    shares = entering(thickness_of(counts, zero), values, composition)
    words = f"The spectrum holds {0.5 * (low + high):.3g} counts: {shares[0]:.0%} to all of the electrons of the beam."
    if shares[1] < 1.0:
        words = words.replace("to all", f"to {shares[1]:.0%}")
    rests = tuple(name for name in ("collection_semiangle", "convergence_semiangle") if name in values)
    return [*evidence, whole_beam(total, values, shares, words, gain, rests)], []


def entering(
    thickness: float, values: Mapping[str, float], composition: Mapping[str, float] = {}
) -> tuple[float, float]:
    """The least and the largest share of the beam's electrons that a spectrum holds, at a ``thickness`` in inelastic mean free paths (t/lambda)."""
    numbers = np.array([float(atomic_number(element)) for element in composition] or [USUAL_NUMBER])
    shares = np.array([*composition.values()] or [1.0])
    # elastic events go with Z^1.5 an atom, inelastic ones with its root
    ratio = float((shares * numbers**1.5).sum() / (shares * numbers**0.5).sum()) / ELASTIC
    collection = values.get("collection_semiangle", SMALLEST_COLLECTION)
    mean = float((shares * numbers).sum() / shares.sum())
    tension = values.get("high_tension", 300e3)
    angle = mean ** (1.0 / 3.0) * wavelength(tension) / (2.0 * math.pi * BOHR)
    lost = thickness * ratio / (1.0 + (collection / angle) ** 2)
    stopped = 1.0
    if "collection_semiangle" in values:
        stopped = min(1.0, (collection / max(values.get("convergence_semiangle", 0.0), 1e-12)) ** 2)
    return RECORDED * stopped * math.exp(-CHANNELLED * lost), LARGEST_SHARE * stopped


def thickness_of(counts: np.ndarray, zero: Peak) -> float:
    """t/lambda as the logarithm of all counts over those of the zero loss, up to its flank."""
    level = _dark(counts, zero)
    end = math.ceil(zero.centre + zero.width) + 1
    whole, unscattered = (float((part - level).sum()) for part in (counts, counts[:end]))
    return math.log(max(whole / max(unscattered, 1e-300), 1.0))


def gain_by_scatter(signal: Signal, counts: np.ndarray, zero: Peak) -> tuple[float, float] | str:
    """Counts per electron and their relative error by how spectra of an image differ between plasmons and the first edge, or why that is not told."""
    data: Any = np.asarray(signal.data)
    spectra = data.reshape(-1, data.shape[-1])
    if len(spectra) == 1:
        return "it is one spectrum, whose noise is not told from its shape"
    spectra = spectra[:: max(1, len(spectra) // MOST_SPECTRA)].astype(np.float64)
    spectra = spectra[np.isfinite(spectra).all(axis=1)]
    first = past_valence(counts, zero)
    rises = [rise.channel - 3.0 * rise.error for rise in onsets(counts[first:])]
    losses = np.arange(len(counts)) - zero.centre
    last = min(first + min(rises, default=math.inf), len(counts) - 1.0)
    try:
        window = float(losses[first]), float(last - zero.centre)
        camera = camera_by_background(losses, spectra - _dark(counts, zero), window)
    except ValueError as error:
        return str(error).partition(";")[0]
    return camera.counts_per_electron, camera.error


def _gain(measured: tuple[float, float]) -> Evidence:
    value, error = measured
    part = Component(1.0, np.array([math.log(value)]), np.array([[error**2 + GAIN_ERROR**2]]))
    words = f"The scatter of the spectra makes {value:.3g} counts an electron."
    return Evidence("scatter of spectra", "data", (Statement("gain by the scatter of spectra", {"gain": 1.0}),), (part,), words)  # fmt: skip


def _dark(counts: np.ndarray, zero: Peak) -> float:
    """Mean of the channels before the zero loss, which no electron reaches."""
    return float(counts[: max(int(zero.centre - EMPTY_WIDTHS * zero.width), 1)].mean())


def _total(signal: Signal, counts: np.ndarray, zero: Peak) -> tuple[float, float] | str:
    """The least and the most counts of a mean spectrum, or why they are not known."""
    if saturated(signal):
        return "the zero loss is saturated"
    dark = _dark(counts, zero) * len(counts)
    total = float(counts.sum())
    if abs(dark) > beam_current.DARK_SHARE * total:
        return "most counts are the camera's dark level"
    if total - max(dark, 0.0) < beam_current.LEAST_ELECTRONS:
        return "too few electrons are in the spectrum"
    return total - max(dark, 0.0), total - min(dark, 0.0)


def saturated(signal: Signal) -> bool:
    """Whether neighbouring channels of some spectrum stand at the highest value of all."""
    data: Any = np.asarray(signal.data)
    spectra = data.reshape(-1, data.shape[-1])
    full = spectra >= np.nanmax(spectra)
    return bool((full[:, 2:] & full[:, 1:-1] & full[:, :-2]).any())
