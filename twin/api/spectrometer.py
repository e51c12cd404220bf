"""The spectrometer of a simulation from Python: energy axis, angles, zero loss, and the camera; and the plan of a spectrum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.api.microscope import Microscope
from twin.api.sample import Sample
from twin.api.scan import Scan
from twin.api.values import kilo, mrad, plain
from twin.errors import BadInput
from twin.simulation.plan.reading import spectrum_from_dict
from twin.simulation.plan.spectrum_tables import EELS, SpectrumSimulation


@dataclass(frozen=True, kw_only=True)
class Spectrometer:
    """A spectrometer that takes in the semi-angle ``collection`` in radian on ``channels`` of ``dispersion`` eV, the first at ``offset`` eV of energy loss.

    ``resolution``: full width at half maximum of the zero loss in eV, ``loss_tail`` and ``gain_tail`` lengths of its exponential tails in eV. The camera
    makes ``gain`` counts of an electron (``excess``: their variance over the squared mean), spread over channels by a Gaussian (``spread``, rms in channels)
    and a share ``tail`` in a Lorentzian of half width ``tail_width``; ``dark`` level and ``readout`` noise in counts, ``pattern`` the rms of the gain of
    single channels. ``acceptance``: share of the beam's electrons that enters. Values are checked when something is computed.

    >>> Spectrometer(collection=30e-3, dispersion=0.25, offset=400.0).energies[[0, -1]]
    array([400.  , 911.75])
    """

    collection: float
    dispersion: float
    offset: float
    channels: int = 2048
    resolution: float = 0.8
    loss_tail: float = 0.1
    gain_tail: float = 0.05
    gain: float = 1.0
    excess: float = 0.0
    dark: float = 0.0
    readout: float = 0.0
    spread: float = 0.0
    tail: float = 0.0
    tail_width: float = 4.0
    pattern: float = 0.0
    acceptance: float = 1.0

    @property
    def energies(self) -> np.ndarray:
        """Energy losses [channels] in eV."""
        return self.offset + self.dispersion * np.arange(self.channels)

    def values(self) -> dict[str, Any]:
        """The tables [spectrometer] and [zero_loss] of a scenario, as plain values."""
        table = {
            name: getattr(self, name)
            for name in (
                "dispersion",
                "offset",
                "channels",
                "gain",
                "excess",
                "dark",
                "readout",
                "spread",
                "tail",
                "tail_width",
                "pattern",
                "acceptance",
            )
        }
        zero = {"width": self.resolution, "loss_tail": self.loss_tail, "gain_tail": self.gain_tail}
        return plain({"spectrometer": {"collection_mrad": mrad(self.collection), **table}, "zero_loss": zero})


def spectrum_plan(
    sample: Sample,
    microscope: Microscope,
    spectrometer: Spectrometer | None,
    *,
    scan: Scan | None = None,
    dose: float | None = None,
    low_loss: Mapping[str, Any] | None = None,
    edges: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int | None = None,
    memory: float = 2e9,
    name: str = "",
) -> SpectrumSimulation:
    """The plan of a spectrum, as a scenario's file would give it; BadInput for one that contradicts itself."""
    if spectrometer is None:
        raise BadInput(
            "spectrometer", "is missing, and eels needs one", "Give Spectrometer(collection=, dispersion=, offset=)."
        )
    if sample.thickness is None:
        raise BadInput(
            "sample", "has no thickness, from which atoms per area follow", "Give Sample(..., thickness=) in angstrom."
        )
    elements = {*sample.occupancy, *sample.vacancies}
    filled = {
        element: sample.occupancy.get(element, 1.0) * (1.0 - sample.vacancies.get(element, 0.0)) for element in elements
    }
    raster = None
    if scan is not None:
        pixel = (
            float(np.max(np.broadcast_to(scan.fov, 2) / np.asarray(scan.shape[::-1]))) if scan.fov is not None else 1.0
        )
        raster = {"shape": scan.shape, "pixel": pixel}
    values = {
        "name": name or f"{EELS} of {sample.source}", "kind": "simulate", "signal": EELS,
        "specimen": {"structure": sample.source, "thickness": sample.thickness, "occupancy": filled},
        "beam": {"energy_keV": kilo(microscope.energy), "semiangle_mrad": mrad(microscope.semiangle)},
        **spectrometer.values(), "low_loss": low_loss, "edges": edges, "scan": raster,
        "dose": None if dose is None else {"electrons": dose}, "memory_MB": memory / 1e6, "seed": sample.seed if seed is None else seed,
    }  # fmt: skip
    return spectrum_from_dict(plain(values), "simulate")
