"""`simulate`: the signal of a sample in a microscope, as ``emtwin simulate`` computes it, as an xarray Dataset."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from twin.api.microscope import Microscope
from twin.api.sample import Sample
from twin.api.scan import Detectors, Scan, camera_values, detector_values
from twin.api.spectrometer import Spectrometer, spectrum_plan
from twin.api.values import plain
from twin.compiled_programs import double_precision
from twin.detection.camera import Camera
from twin.grid import CUTOFF, TAPER
from twin.optics.electrons import wavelength
from twin.simulation.beam import SAMPLING
from twin.simulation.plan.reading import from_dict
from twin.simulation.plan.tables import PROBES, Simulation
from twin.simulation.run import run
from twin.simulation.spectrum.run import run_spectrum

if TYPE_CHECKING:
    from twin.api.dataset import Dataset

Signal = Literal["hrtem", "exit-wave", "diffraction", "cbed", "stem", "4d-stem", "ronchigram", "eels"]
PER_AREA = ("hrtem", "stem", "4d-stem")
"""Signals whose dose is in electrons per square angstrom; that of other patterns is in electrons."""


def simulate(
    sample: Sample,
    microscope: Microscope,
    signal: Signal,
    *,
    scan: Scan | None = None,
    detectors: Detectors | None = None,
    position: tuple[float, float] = (0.0, 0.0),
    defoci: Sequence[float] | None = None,
    coherence: Literal["envelopes", "averaged"] = "envelopes",
    selected_area: float | None = None,
    dose: float | None = None,
    camera: Camera | None = None,
    spectrometer: Spectrometer | None = None,
    low_loss: Mapping[str, Any] | None = None,
    edges: Mapping[str, Mapping[str, Any]] | None = None,
    sampling: float | None = None,
    gpts: tuple[int, int] | None = None,
    seed: int | None = None,
    tolerance: float = 1e-3,
    algorithm: Literal["auto", "direct", "prism", "gram", "crystal"] = "auto",
    memory: float = 2e9,
    name: str = "",
) -> "Dataset":
    """The ``signal`` of a ``sample``: the same computation and the same numbers as ``emtwin simulate``. Float64 is switched on for the time it
    takes, and compiled programs are kept for later calls and processes (in ``EMTWIN_CACHE``, unless JAX was given a folder).

    ``scan`` and ``detectors`` (a sequence, or by name) for stem and 4d-stem, one Pixelated for patterns (default: the beams themselves); ``position`` (x, y) in
    angstrom of a probe that is not scanned; ``defoci`` in angstrom, added to -C10, and ``coherence`` for hrtem; ``selected_area`` diameter in angstrom for
    diffraction. ``dose`` in electrons per square angstrom for hrtem, stem and 4d-stem and in electrons for other patterns (None: no noise), counted by a
    ``camera``; ``sampling`` in angstrom or ``gpts`` (ny, nx) of the waves (default: 0.1 angstrom,
    or as fine as the detectors need); ``seed`` (default: the sample's); ``tolerance`` of a STEM image's ``algorithm`` as
    a share of its signal; ``memory`` in bytes. For eels a ``spectrometer``, and the keys of the tables [low_loss] and [edges.NAME] of a scenario, as in
    ``edges={"Ti L": {"crystal_field": 2.1}}``; ``dose`` is then in electrons for each spectrum, and there is no channelling.

    Returns a Dataset with the variable ``data``: [channel, y, x] for stem, [y, x, theta_y, theta_x] for 4d-stem, [theta_y, theta_x] for diffraction, cbed
    and ronchigram, [y, x] or [defocus, y, x] for hrtem, [configuration, y, x] for exit-wave, [energy_loss] or [y, x, energy_loss] for eels, in eV; lengths
    in angstrom, angles in mrad. `twin.errors.BadInput` (a ValueError) naming the scenario's key at fault, the problem and the cure for what cannot be
    computed.
    """
    from twin.api.dataset import dataset_of

    if signal == "eels":
        asked = spectrum_plan(
            sample, microscope, spectrometer, scan=scan, dose=dose, low_loss=low_loss, edges=edges, seed=seed, memory=memory, name=name
        )  # fmt: skip
        with double_precision():
            return dataset_of(run_spectrum(asked, sample.structure))
    plan = plan_of(
        sample, microscope, signal, scan=scan, detectors=detectors, position=position, defoci=defoci, coherence=coherence,
        selected_area=selected_area, dose=dose, camera=camera, sampling=sampling, gpts=gpts, seed=seed, tolerance=tolerance,
        algorithm=algorithm, memory=memory, name=name,
    )  # fmt: skip
    with double_precision():
        return dataset_of(run(plan, sample.structure))


def plan_of(
    sample: Sample,
    microscope: Microscope,
    signal: str,
    *,
    scan: Scan | None = None,
    detectors: Detectors | None = None,
    position: tuple[float, float] = (0.0, 0.0),
    defoci: Sequence[float] | None = None,
    coherence: str = "envelopes",
    selected_area: float | None = None,
    dose: float | None = None,
    camera: Camera | None = None,
    sampling: float | None = None,
    gpts: tuple[int, int] | None = None,
    seed: int | None = None,
    tolerance: float = 1e-3,
    algorithm: str = "auto",
    memory: float = 2e9,
    name: str = "",
) -> Simulation:
    """The plan that `simulate` computes, as a scenario's file would give it; BadInput for one that contradicts itself."""
    lens: dict[str, Any] = {}
    if signal == "hrtem":
        averaged = coherence if coherence != "envelopes" else None
        lens = {**microscope.lens_values(), "defoci": defoci, "coherence": averaged}
    elif signal == "diffraction":
        lens = {"selected_area": selected_area}
    lens = plain(lens)
    tables = detector_values(detectors)
    if sampling is None and gpts is None:
        sampling = _sampling(tables, microscope.energy)
    values = {
        "name": name or f"{signal} of {sample.source}", "kind": "simulate", "signal": signal, "specimen": sample.values(),
        "beam": {**microscope.values(signal in PROBES), **({"position": position} if any(position) else {})},
        "lens": lens or None, "scan": None if scan is None else scan.values(), "detectors": tables,
        "camera": None if camera is None else camera_values(camera),
        "dose": None if dose is None else {"per_area" if signal in PER_AREA else "electrons": dose},
        "grid": {"sampling": sampling, "gpts": gpts},
        "compute": {"tolerance": tolerance, "form": algorithm, "memory_MB": memory / 1e6},
        "seed": sample.seed if seed is None else seed,
    }  # fmt: skip
    return from_dict(plain(values), "simulate")


def _sampling(tables: dict[str, dict[str, Any]], energy: float) -> float | None:
    """Angstrom between points that carry the angles of annular and segmented detectors; None where the default does."""
    reach = 0.0
    for table in tables.values():
        outer = table.get("outer_mrad", table.get("collection_mrad", max(table.get("radii_mrad", (0.0,)))))
        reach = max(reach, 1e-3 * (outer + math.hypot(*table.get("offset_mrad", (0.0, 0.0)))))
    finest = (CUTOFF - TAPER) * 0.5 * wavelength(energy) / reach if reach > 0.0 else SAMPLING
    return finest if finest < SAMPLING else None
