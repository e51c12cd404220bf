"""Maps whose truth is simulated: a sheet of MoS2 with vacancies and antisites in 4D-STEM, and a film of SrTiO3 without a share of its titanium in EELS."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase.build import make_supercell, mx2

from instrument.core.result_cache import load_or_compute
from reconstruct.eels.columns import EdgeResponse
from twin import Annular, EdgeMap, Microscope, Pixelated, Sample, Scan, simulate
from twin.cache_folder import usable_cache

VERSION = 1
"""Raised when the numbers of a simulation change."""
NOISE = 0.05
"""Variance of the noise of a value, as a share of the variance of the map."""
COUNTS = 400.0
"""Mean counts of a pixel of the image."""


class Recording(NamedTuple):
    """An ``image``, ``finer`` times finer than the map of ``values`` [rows, columns], whose noise has ``variances``; ``response`` of the pixels if known."""

    name: str
    image: np.ndarray
    finer: int
    values: np.ndarray
    variances: np.ndarray
    response: EdgeResponse | None = None


def sheet(progress: Callable[..., None]) -> Recording:
    """MoS2: the length of the centre of mass of each of 20 x 20 patterns, that is of the field; 12 % of S vacant, sulphur on 10 % of the Mo sites."""
    made = _kept("sheet-com", _simulated_sheet, progress)
    return _counted("4D-STEM of MoS2 with defects", made["image"], 8, np.hypot(made["x"], made["y"]))


def film(progress: Callable[..., None]) -> Recording:
    """SrTiO3 [001], 2 nm thick, 45 % of the Ti vacant at random: Ti L counts of 18 x 18 pixels, each the mean of 4 x 4 probes."""
    made = _kept("film-titanium", _simulated_film, progress)
    return _counted("EELS of SrTiO3 with vacancies", made["image"], 4, made["map"].reshape(18, 4, 18, 4).mean((1, 3)))


def _kept(
    name: str, compute: Callable[[], dict[str, np.ndarray]], progress: Callable[..., None]
) -> dict[str, np.ndarray]:
    folder = usable_cache()
    progress(f"simulating {name}")
    return load_or_compute(folder and Path(folder), f"benchmark-{name}", VERSION, {"name": name}, compute, progress)


def _counted(name: str, image: np.ndarray, finer: int, truth: np.ndarray) -> Recording:
    """With counting noise in the image, and normal noise in the values."""
    rng = np.random.default_rng(7)
    counts = rng.poisson(image / image.mean() * COUNTS).astype(np.float64)
    variances = np.full(truth.shape, NOISE * truth.var())
    return Recording(name, counts, finer, truth + np.sqrt(variances) * rng.standard_normal(truth.shape), variances)


def _simulated_sheet() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    cell = mx2("MoS2", "2H", a=3.18, thickness=3.13, size=(1, 1, 1), vacuum=3.0)
    atoms = make_supercell(cell, [[1, 0, 0], [1, 2, 0], [0, 0, 1]]).repeat((8, 5, 1))
    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    sulphur, molybdenum = np.flatnonzero(symbols == "S"), np.flatnonzero(symbols == "Mo")
    vacant = rng.choice(sulphur, int(0.12 * sulphur.size), replace=False)
    symbols[rng.choice(molybdenum, int(0.1 * molybdenum.size), replace=False)] = "S"
    atoms.set_chemical_symbols(symbols.tolist())
    del atoms[np.sort(vacant).tolist()]
    sample = Sample.from_atoms(atoms, phonons=2, u2={"Mo": 0.004, "S": 0.005}, cells=1, repeats=(1, 1))
    microscope = Microscope(energy=80e3, semiangle=25e-3, source=0.3)
    width, height = (float(side) for side in atoms.cell.lengths()[:2])
    detectors = {"HAADF": Annular(0.045, 0.085)}
    fine = simulate(
        sample, microscope, "stem", scan=Scan((160, 160), (width, height)), detectors=detectors, sampling=0.15
    )
    middles = (width / 20 * 7 / 16, height / 20 * 7 / 16)
    scan = Scan((20, 20), (width, height), middles)
    patterns = simulate(
        sample, microscope, "4d-stem", scan=scan, detectors=[Pixelated((48, 48), 1.5e-3)], sampling=0.15
    )
    data = np.asarray(patterns["data"].values, dtype=np.float64)
    total = data.sum((2, 3))
    x = (data.sum(2) * patterns["theta_x"].values).sum(-1) / total
    y = (data.sum(3) * patterns["theta_y"].values).sum(-1) / total
    return {"image": np.asarray(fine["data"].values[0], dtype=np.float64), "x": x, "y": y}


def _simulated_film() -> dict[str, np.ndarray]:
    sample = Sample.crystal("SrTiO3", cells=5, repeats=(4, 4), vacancies={"Ti": 0.45}, phonons=1, seed=5)
    microscope = Microscope(energy=200e3, semiangle=21.4e-3, source=0.35)
    detectors = {
        "HAADF": Annular(0.045, 0.075),
        "Ti L": EdgeMap("Ti L", (456.0, 496.0), 0.04, "local"),
        "camera": Pixelated((8, 8), 5e-3),
    }
    scan = Scan((72, 72), fov=15.62)
    made = simulate(sample, microscope, "stem", scan=scan, detectors=detectors, gpts=(160, 160))
    image, titanium = (np.asarray(channel, dtype=np.float64) for channel in made["data"].values[:2])
    return {"image": image, "map": titanium}
