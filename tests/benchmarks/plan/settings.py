"""Advised settings against the best of a grid of 50, both judged by abTEM: the dose for power 0.8 by tests made of its waves."""

import math
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np

from instrument.simulation.truth.imaging.scattering import potential
from learn.feasibility.assessment import Asked
from learn.feasibility.hypotheses import Change, Hypotheses, hypotheses_of
from learn.feasibility.imaged import imaged
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Scanned, Unknown, annular, camera, scanned, segments, signatures_of
from learn.feasibility.scans import Probe, Window, finest_step, window_of
from learn.feasibility.search.climbing import climb
from learn.feasibility.search.imaging import images_of
from learn.feasibility.search.scanning import narrowed, scans_of
from learn.feasibility.search.smooth import log_dose
from learn.information import dose_for
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.grid import smooth
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging
from twin.sample.specimen import Specimen, srtio3

ENERGY, SOURCE, SPREAD = 200e3, 0.35, 20.0
"""Electron energy in eV, rms of the source and of the focus in angstrom."""
LARGEST, REACH = 22e-3, 60e-3
"""Radian: the semi-angle and scattering angle that are computed."""
ASKED = Asked(0.8, 0.05, 1, 3)
UNKNOWN = Unknown(
    {"C10": 20.0, "C12a": 10.0, "C12b": 10.0, "source": 0.1, "thickness": 20.0},
    {"x": 0.1, "y": 0.1, "thickness": 2.0},
    0.05,
)
TWIN, ABTEM = (8, 4, 2), (24, 8, 4)
"""Configurations of thermal motion, by the form of the benchmark."""
LOOSER = 1.10
"""Dose of the advised settings over the best of the grid, at most."""
MOTION = 1.06
"""Mean square displacements of the true specimen over those of the twin's."""
A = 3.905
"""Side of a cell in angstrom."""

Settings = Mapping[str, float]


class Study(NamedTuple):
    """A ``change`` in SrTiO3 of some ``cells`` (x, y, z), seen by a ``technique``: ``given`` settings (angstrom, radian), and the values that make the grid.
    Pairs of a key are a ring."""

    name: str
    technique: str
    change: Change
    cells: tuple[int, int, int]
    given: Settings
    grid: Mapping[str, tuple[Any, ...]]


SEMIANGLES = (11e-3, 13.5e-3, 16e-3, 19e-3, 22e-3)
DEFOCI = (-100.0, -75.0, -50.0, -30.0, -10.0, 10.0, 30.0, 50.0, 75.0, 100.0)
"""Of which all probes fit into the field."""
RINGS = ((0, 10), (5, 15), (8, 20), (11, 22), (15, 30), (20, 40), (25, 55), (30, 60), (40, 60), (50, 60))
STUDIES = (
    Study(
        "La in SrTiO3, annular", "annular", Change("substitution", "Sr", "La"), (2, 2, 6),
        {"defocus": 0.0, "semiangle": 22e-3, "inner": 40e-3, "outer": 60e-3},
        {"semiangle": SEMIANGLES, "ring": RINGS},
    ),
    Study(
        "O vacancy in SrTiO3, annular", "annular", Change("vacancy", "O", column=1), (2, 2, 6),
        {"defocus": 0.0, "semiangle": 22e-3, "inner": 11e-3, "outer": 22e-3},
        {"semiangle": SEMIANGLES, "ring": RINGS},
    ),
    Study(
        "O vacancy in SrTiO3, 4D-STEM", "4d-stem", Change("vacancy", "O", column=1), (2, 2, 6),
        {"defocus": 0.0, "semiangle": 22e-3, "reach": 45e-3},
        {"semiangle": SEMIANGLES, "defocus": DEFOCI},
    ),
    Study(
        "O vacancy in SrTiO3, HRTEM", "hrtem", Change("vacancy", "O", column=1), (2, 2, 6),
        {"defocus": 60.0, "c30": 0.0, "aperture": 30e-3},
        {"aperture": (12e-3, 16e-3, 20e-3, 26e-3, 32e-3), "defocus": DEFOCI},
    ),
)  # fmt: skip
RANGES = {
    "annular": {"semiangle": (11e-3, 22e-3), "defocus": (-100.0, 100.0), "inner": (0.0, 50e-3), "outer": (4e-3, 60e-3)},
    "4d-stem": {"semiangle": (11e-3, 22e-3), "defocus": (-100.0, 100.0)},
    "hrtem": {"defocus": (-100.0, 100.0), "aperture": (12e-3, 32e-3)},
}
CHOSEN = (STUDIES, STUDIES[1:3], STUDIES[3:])
"""By the form of the benchmark."""


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """The ratio of both doses for every study."""
    rows: list[Case] = []
    with jax.enable_x64(True):
        for study in CHOSEN[short]:
            progress(study.name)
            rows += _studied(study, short, progress)
    return rows


def _studied(study: Study, short: Form, progress: Callable[..., None]) -> list[Case]:
    deep = 2 if short is Form.SMOKE else study.cells[2]
    made = hypotheses_of(srtio3((1, 1, 1)), (*study.cells[:2], deep), study.change, 1 if short is Form.SMOKE else 2)
    points = smooth(math.ceil(2.0 * 1.1 * REACH / 0.025079 / (2.0 / 3.0) * made.perfect.extent[0]))
    grid = Grid((points, points), 2 * deep, ENERGY, LARGEST, REACH, tuple(range(TWIN[short])), before=2)
    window, begun = _window(made.location), time.perf_counter()
    twin = [matrices_of(each, grid) for each in (made.perfect, *made.changed)]
    objective, data = _objective(study, twin, window, made.perfect.thickness)
    descent = climb(objective, data, RANGES[study.technique], [study.given], tried=16 if short is Form.WHOLE else 4)
    seconds = time.perf_counter() - begun
    advised = dict(descent.best.settings)
    progress("abTEM's waves")
    true = _by_abtem(made, grid, ABTEM[short])
    judge = Judge(study, true, window)
    doses = [judge.dose(settings) for settings in _grid(study, 4 if short is Form.SMOKE else 50)]
    best, least = _grid(study, 4 if short is Form.SMOKE else 50)[int(np.argmin(doses))], min(doses)
    dose, given = judge.dose(advised), judge.dose(study.given)
    parts = [Judge(study, [_part(each, first) for each in true], window) for first in range(2)]
    ratio, either = dose / least, [each.dose(advised) / each.dose(best) for each in parts]
    bar = f"at most {LOOSER:g}"
    return [
        case(f"{study.name}: dose of the advised settings over the best of 50", ratio, "", bar, ratio <= LOOSER),
        case(f"{study.name}: the same by either half of abTEM's configurations", either),
        case(f"{study.name}: dose of the advised settings, {_text(advised)}", dose, "e/A^2"),
        case(f"{study.name}: dose of the best of the grid, {_text(best)}", least, "e/A^2"),
        case(f"{study.name}: dose of the settings to begin with, {_text(study.given)}", given, "e/A^2"),
        case(f"{study.name}: dose that the twin told for the advised settings", Judge(study, twin, window).dose(advised), "e/A^2"),
        case(f"{study.name}: dose that the twin told for the best of the grid", Judge(study, twin, window).dose(best), "e/A^2"),
        case(f"{study.name}: evaluations", descent.evaluations),
        case(f"{study.name}: matrices and search", seconds, "s"),
    ]  # fmt: skip


def _part(matrices: Matrices, first: int) -> Matrices:
    """Of every second pair of configurations."""
    chosen = [number for number in range(len(matrices.amplitudes)) if number // 2 % 2 == first] or [first]
    thinner = None if matrices.thinner is None else matrices.thinner[chosen]
    return matrices._replace(amplitudes=matrices.amplitudes[chosen], thinner=thinner)


def _objective(
    study: Study, matrices: list[Matrices], window: Window, thickness: float
) -> tuple[Callable[..., Any], Any]:
    if study.technique == "hrtem":
        images = images_of(matrices[0], matrices[1:], window, _lens(study.given), UNKNOWN)
        return lambda settings, data: log_dose(images.signals(settings, data), ASKED), images.waves
    scans = scans_of(
        matrices[0], matrices[1:], window, _probe(study.given), study.technique, UNKNOWN, LARGEST, REACH,  # pyright: ignore[reportArgumentType]
        pixel=4e-3, thickness=thickness,
    )  # fmt: skip

    def objective(settings: Mapping[str, Any], data: Any) -> Any:
        # a probe that the field does not hold is no answer
        return log_dose(scans.signals(settings, data), ASKED) + 20.0 * scans.crowding(settings)

    return objective, scans.waves


class Judge:
    """Doses that a study needs by ``matrices``; scans of one probe are made once."""

    def __init__(self, study: Study, matrices: list[Matrices], window: Window):
        self.study, self.matrices, self.window = study, matrices, window
        self._scans: dict[tuple[float, float], tuple[Scanned, Matrices]] = {}

    def dose(self, settings: Settings) -> float:
        """Electrons per square angstrom for the power asked for."""
        if self.study.technique == "hrtem":
            seen = imaged(self.matrices[0], self.matrices[1:], self.window, _lens(settings))
            detector = Detector(np.ones((1, 1)))
        else:
            seen, narrow = self._scan(settings)
            detector = _detector(self.study, narrow, settings)
        (signature,), _ = signatures_of(seen, detector, UNKNOWN)
        return dose_for(signature, ASKED.power, ASKED.false_alarms, ASKED.references) / self.window.area

    def _scan(self, settings: Settings) -> tuple[Scanned, Matrices]:
        probe = settings["semiangle"], settings["defocus"]
        if probe not in self._scans:
            if self.study.technique == "4d-stem":
                self._scans.clear()  # none comes again, and patterns of all places are large
            narrow = [narrowed(each, settings["semiangle"]) for each in self.matrices]
            self._scans[probe] = scanned(narrow[0], narrow[1:], self.window, _probe(settings)), narrow[0]
        return self._scans[probe]


def _detector(study: Study, matrices: Matrices, settings: Settings) -> Detector:
    if study.technique == "4d-stem":
        return camera(matrices, settings["reach"], 4e-3)
    if study.technique == "dpc":
        return segments(matrices, settings["inner"], settings["outer"])
    return annular(matrices, settings["inner"], settings["outer"])


def _window(location: tuple[float, float]) -> Window:
    return window_of(location, (A, A), finest_step(LARGEST, ENERGY))


def _probe(settings: Settings) -> Probe:
    return Probe(coefficients({"C10": -settings["defocus"]}), SOURCE)


def _lens(settings: Settings) -> Imaging:
    vector = coefficients({"C10": -settings["defocus"], "C30": settings["c30"]})
    return Imaging(vector, ENERGY, settings["aperture"], focal_spread=SPREAD)


def _grid(study: Study, count: int) -> list[dict[str, float]]:
    """Settings of the grid, as many as are wanted."""
    names = list(study.grid)
    made = []
    for values in np.ndindex(*(len(study.grid[name]) for name in names)):
        settings = dict(study.given)
        for name, at in zip(names, values, strict=True):
            value = study.grid[name][at]
            if name == "ring":
                settings["inner"], settings["outer"] = 1e-3 * value[0], 1e-3 * value[1]
            else:
                settings[name] = value
        made.append(settings)
    return made[:: max(1, len(made) // count)][:count]


def _text(settings: Settings) -> str:
    return ", ".join(
        f"{name} {value if name in ('defocus', 'c30') else 1e3 * value:.3g}" for name, value in settings.items()
    )


def _by_abtem(made: Hypotheses, grid: Grid, configurations: int) -> list[Matrices]:
    """Matrices of the same beams by abTEM: Kirkland's potentials, larger and other thermal motion."""
    light = grid._replace(seeds=(), before=0)
    empty = matrices_of(made.perfect, light)
    results = []
    for specimen in (made.perfect, *made.changed):
        parts = [_waves(specimen, grid, empty, 1000 + number) for number in range(configurations)]
        thin, whole = (np.stack([part[at] for part in parts]) for at in range(2))
        step = grid.before * specimen.thickness / grid.slices
        results.append(empty._replace(amplitudes=whole, thinner=thin, step=step))
    return results


def _waves(specimen: Specimen, grid: Grid, like: Matrices, seed: int) -> list[np.ndarray]:
    """Amplitudes [n, pixels] before the last of the specimen and behind it."""
    import abtem
    import ase
    from abtem.antialias import AntialiasAperture
    from abtem.core.axes import AxisMetadata, OrdinalAxis
    from abtem.multislice import FresnelPropagator, conventional_multislice_step

    count, there = grid.gpts[0], specimen.occupancy > 0.0
    moved = specimen.positions + math.sqrt(MOTION) * specimen.displacements(seed)
    # an atom stays in its slice, as displacements along the beam change nothing
    moved[:, 2] = specimen.positions[:, 2]
    symbols = [symbol for symbol, kept in zip(specimen.symbols, there, strict=True) if kept]
    atoms = ase.Atoms(symbols, moved[there] % np.array(specimen.cell), cell=specimen.cell, pbc=True)
    with abtem.config.set({"diagnostics.progress_bar": False, "dask.lazy": False, "precision": "float32"}):
        config: Any = SimpleNamespace(gpts=count)
        functions = potential(atoms, config, grid.slices).transmission_function(grid.energy)
        slices = list(AntialiasAperture().bandlimit(functions, in_place=False).generate_slices())
        step, limiter, x = FresnelPropagator(), AntialiasAperture(), np.arange(count) / count
        h = like.bundle.indices
        array = np.exp(2j * np.pi * h[:, :1] * x)[:, :, None] * np.exp(2j * np.pi * h[:, 1:] * x)[:, None, :]
        axes: list[AxisMetadata] = [OrdinalAxis(values=tuple(range(len(h))))]
        waves = abtem.Waves(
            array.astype(np.complex64), energy=grid.energy, extent=specimen.extent, ensemble_axes_metadata=axes
        )
        results = []
        for number, each in enumerate(slices, 1):
            waves = conventional_multislice_step(waves, each, step, limiter)
            if number in (grid.slices - grid.before, grid.slices):
                # abTEM has x first
                spectra = np.fft.fft2(np.asarray(waves.array)).transpose(0, 2, 1).reshape(len(h), -1)
                results.append((spectra[:, like.pixels] / count**2).astype(np.complex64))
    return results
