"""What is known of energy-loss spectra beside them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Setup(NamedTuple):
    """What is known: beam ``energy`` in eV, semi-angles in radian (``collection`` None: not known), ``elements`` (None: to be proposed), ``gain`` in counts per
    electron, the ratio of the exposures of core and low loss, the mean ``free_path`` in angstrom of a specimen of some elements, absolute energies of
    ``onsets`` in eV by element and shell ("K", "L", ...), rms ``drift`` in eV of the axis from spectrum to spectrum, and the ``extent`` of maps with its
    unit."""

    energy: float
    collection: float | None
    convergence: float
    elements: tuple[str, ...] | None = None
    gain: float | None = None
    exposure_ratio: float = 1.0
    free_path: Callable[[Sequence[str]], float | None] = lambda elements: None
    onsets: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    drift: float = 0.0
    extent: tuple[tuple[float, ...], str] = ((), "1")
