"""All evidence that the data of one recording give, by what the recording is."""

from collections.abc import Callable, Mapping

import numpy as np

from reconstruct.validation.data import beam_current, counting, films, images, ronchigram
from reconstruct.validation.data.diffraction import averaged, patterns, spots
from reconstruct.validation.data.options import AMORPHOUS, Known, Tell
from reconstruct.validation.data.scanned import rotation, scan_noise
from reconstruct.validation.data.spectra import spectrum
from reconstruct.validation.evidence import Evidence, Gap
from twin.records import Signal

Source = Callable[[Signal, Mapping[str, float], Known, Tell], tuple[list[Evidence], list[Gap]]]


def evidence_of_data(
    signal: Signal, values: Mapping[str, float], known: Known, tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """Evidence and gaps of a ``signal`` whose fields have the claimed ``values`` (inside units, usable ones only)."""
    evidence: list[Evidence] = []
    gaps: list[Gap] = []
    for source in _sources(signal, values, known):
        more, missing = source(signal, values, known, tell)
        evidence += more
        gaps += missing
    return evidence, gaps


def _sources(signal: Signal, values: Mapping[str, float], known: Known) -> list[Source]:
    """The sources that make sense for what is recorded and claimed."""
    sources: list[Source] = []
    if spectrum.is_energy_loss(signal, values):
        sources.append(spectrum.spectrum)
    if signal.kind not in ("image", "image-stack") or np.iscomplexobj(signal.data):
        return sources
    film = known.specimen == AMORPHOUS
    if "pixel.x" in values and "pixel.y" in values and signal.data.ndim < 4 and not film:
        sources.append(images.lattice)
    if any(pair[0] in values and pair[1] in values for pair in (patterns.ANGLE, patterns.FREQUENCY)):
        sources += [patterns.disk] if film else [patterns.disk, spots.spots]
        if averaged.may_be_averaged(signal, values, known) and not film:
            sources.append(averaged.averaged)
    if rotation.FIELD in values:
        sources.append(rotation.rotation)
    if scan_noise.may_be_scan(signal, values):
        sources.append(scan_noise.scan_noise)
    if signal.data.ndim < 4 and {"gain", "dose"} & set(values):
        sources.append(counting.counting)
    if beam_current.may_be_whole_beam(signal, values, known):
        sources.append(beam_current.electrons)
    if films.may_be_film(signal, values, known):
        sources.append(films.thon)
    if ronchigram.may_be_shadow(signal, values, known):
        sources.append(ronchigram.shadow_image)
    return sources
