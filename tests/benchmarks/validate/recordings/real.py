"""Real recordings whose metadata are known from other sources, to inject faults into.

Titanate of a Titan: its lattice measures 4.02 and 4.07 angstrom with the pixels that the file claims (a count of its columns), SrTiO3 has 3.905. Spectrum
image of a titanate: Ti L and O K lie where they should. Low loss of aluminium: the plasmon is 15.0 eV above a zero loss at -0.135 eV. Scan of a Titan: its
times and sizes follow from one another.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from instrument.readers import close_reader, read_vendor
from reconstruct.validation.data.options import Known
from tests.benchmarks.validate.recordings.made import Made
from tests.recorded import data_folder
from twin.records import Signal

CELL = 3.905
"""Angstrom: SrTiO3."""


def _titanate(claimed: Mapping[str, float]) -> dict[str, float]:
    return {"pixel.x": claimed["pixel.x"] * CELL / 4.02, "pixel.y": claimed["pixel.y"] * CELL / 4.07}


def _aluminium(claimed: Mapping[str, float]) -> dict[str, float]:
    return {"energy_offset": claimed["energy_offset"] + 0.135}


FILES: dict[str, tuple[str, str | None, Callable[[Mapping[str, float]], dict[str, float]]]] = {
    "real image": ("images/sto-titan80.emi", "SrTiO3", _titanate),
    "real core loss": ("spectra/titanate-si-eels.dm3", "SrTiO3", lambda _: {}),
    "real low loss": ("spectra/al-low-loss.dm3", "Al", _aluminium),
    "real scan": ("images/fei_example_dpc_titles.emd", None, lambda _: {}),
}
"""By kind: the file, its specimen, and what is true instead of what it claims."""


def real_kinds() -> tuple[str, ...]:
    """The kinds whose files are there."""
    folder = data_folder()
    return tuple(kind for kind, (name, _, _) in FILES.items() if folder is not None and (folder / name).is_file())


def real(kind: str) -> Made:
    """The recording of a kind, with what is true of it in place of what it claims."""
    folder = data_folder()
    if folder is None:
        raise FileNotFoundError("no folder of real data")
    name, specimen, truth = FILES[kind]
    signal = _read(folder / name)
    claimed = {name: claim.value for name, claim in signal.claims.items() if not isinstance(claim.value, (str, bool))}
    return Made("real", signal.data, {**claimed, **truth(claimed)}, Known(specimen), signal=signal)


@functools.lru_cache(maxsize=4)
def _read(path: Path) -> Signal:
    try:
        return read_vendor(path)[0]
    finally:
        close_reader()  # the process of a trial could not end beside it
