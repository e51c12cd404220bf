"""Counts of the true specimens, by abTEM: Kirkland's atoms, other thermal motion, amorphous carbon on both faces, and settings drawn from the priors.

Averages over thermal motion are those of many configurations; what amorphous layers change is taken from few, each computed with the layers and without.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from learn.feasibility.matrices import Matrices
from learn.feasibility.scans import Window
from tests.benchmarks.plan.trials.specimens import Image, Study
from twin.grid import CUTOFF, smooth

VERSION = 1
MOTION = 1.06
"""Mean square displacements over those of the prediction."""
LAYER_STEP = 2.5
BATCH = 32
REACH, SPARE = 80e-3, 1.2
"""Radian that scattered waves are followed to at least, and over the largest angle that is counted."""
SHIFT = 0.05
"""Angstrom by which the lattice is placed wrongly at most, along either axis."""


class Settings(NamedTuple):
    """What is true of one recording: aberrations ``c10``, ``c12`` (a, b), ``source``, ``shift`` (x, y) of the scan in angstrom, ``cells`` more in depth than
    assumed, which of the true ``depth`` nodes the change has, and the ``seed`` of its layers."""

    c10: float
    c12: tuple[float, float]
    source: float
    shift: tuple[float, float]
    cells: int
    depth: int
    seed: int


def drawn(study: Study, count: int, depths: int, seed: int) -> list[Settings]:
    """Settings of ``count`` recordings from the priors; depths come in turn."""
    rng = np.random.default_rng([seed, 5])
    made = []
    for number in range(count):
        normal = rng.standard_normal(6)
        wide = study.priors
        thick = round(wide.get("thickness", 0.0) * normal[4] / study.cell.thickness)
        made.append(
            Settings(
                study.c10 + wide["C10"] * normal[0], (wide["C12a"] * normal[1], wide["C12b"] * normal[2]),
                max(0.05, study.source + wide["source"] * normal[3]), tuple(rng.uniform(-SHIFT, SHIFT, 2)), int(np.clip(thick, -1, 1)),
                number % depths, seed + 1000 * (number + 1),
            )
        )  # fmt: skip
    return made


class Medium:
    """Waves through specimens by abTEM, on beams as ``like`` has them."""

    def __init__(self, study: Study, like: Matrices):
        self.study, self.extent, self.energy = study, like.extent, like.energy
        highest = max(REACH, SPARE * study.reach) / _wavelength(like.energy) / CUTOFF
        nx, ny = (smooth(int(np.ceil(2.0 * highest * side))) for side in like.extent)
        self.gpts = (nx, ny)
        self.incident = like.bundle.indices
        whole = np.rint(like.k * np.array(self.extent)).astype(int)
        self.beams = (whole[:, 0] % self.gpts[0], whole[:, 1] % self.gpts[1])

    def transmissions(
        self, symbols: Sequence[str], positions: np.ndarray, occupancy: np.ndarray, depth: float, slices: int
    ) -> list[Any]:
        """abTEM's transmission functions of atoms, each projected whole, structure factors summed exactly."""
        import abtem
        from abtem.antialias import AntialiasAperture
        from abtem.parametrizations import KirklandParametrization

        nx, ny = self.gpts
        lx, ly = self.extent
        hx, hy = np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny)
        k2 = (hx[:, None] / lx) ** 2 + (hy[None, :] / ly) ** 2
        names = np.array(symbols)
        layer = np.clip((positions[:, 2] / depth * slices).astype(int), 0, slices - 1)
        along_x = np.exp(-2j * np.pi * positions[:, :1] / lx * hx) * occupancy[:, None]
        along_y = np.exp(-2j * np.pi * positions[:, 1:2] / ly * hy)
        array = np.zeros((slices, nx, ny), np.float32)
        factors = {name: KirklandParametrization().projected_scattering_factor(name)(k2) for name in np.unique(names)}
        for number in range(slices):
            spectrum = np.zeros((nx, ny), np.complex128)
            for name, factor in factors.items():
                chosen = (layer == number) & (names == name)
                spectrum += factor * (along_x[chosen].T @ along_y[chosen])
            array[number] = np.fft.ifft2(spectrum).real * (nx * ny / (lx * ly))
        made = abtem.PotentialArray(array, slice_thickness=depth / slices, extent=self.extent)
        functions = AntialiasAperture().bandlimit(made.transmission_function(self.energy), in_place=False)
        return list(functions.generate_slices())

    def scattered(
        self, before: list[Any], crystal: list[Any], exits: Sequence[int], after: list[Any]
    ) -> list[np.ndarray]:
        """Amplitudes [n, pixels] behind ``exits`` slices of the ``crystal`` and the layer ``after`` it; waves refer to the crystal's entrance face."""
        import abtem
        from abtem.antialias import AntialiasAperture
        from abtem.core.axes import OrdinalAxis
        from abtem.multislice import FresnelPropagator, conventional_multislice_step

        nx, ny = self.gpts
        step, limiter = FresnelPropagator(), AntialiasAperture()
        above = sum(each.slice_thickness[0] for each in before)
        results = [np.empty((len(self.incident), len(self.beams[0])), np.complex64) for _ in exits]
        for first in range(0, len(self.incident), BATCH):
            h = self.incident[first : first + BATCH]
            k2 = (h[:, 0] / self.extent[0]) ** 2 + (h[:, 1] / self.extent[1]) ** 2
            start = np.exp(1j * np.pi * _wavelength(self.energy) * above * k2)[:, None] * np.exp(
                2j * np.pi * h[:, :1] * np.arange(nx) / nx
            )
            array = start[:, :, None] * np.exp(2j * np.pi * h[:, 1:] * np.arange(ny) / ny)[:, None, :]
            axes: Any = [OrdinalAxis(values=tuple(range(len(h))))]
            waves = abtem.Waves(
                array.astype(np.complex64), energy=self.energy, extent=self.extent, ensemble_axes_metadata=axes
            )
            for each in before:
                waves = conventional_multislice_step(waves, each, step, limiter)
            for number, each in enumerate(crystal, 1):
                waves = conventional_multislice_step(waves, each, step, limiter)
                if number in exits:
                    leaving = waves.copy()
                    for layer in after:
                        leaving = conventional_multislice_step(leaving, layer, step, limiter)
                    spectrum = np.fft.fft2(np.asarray(leaving.array))[:, self.beams[0], self.beams[1]] / (nx * ny)
                    results[exits.index(number)][first : first + BATCH] = spectrum
        return results


def _wavelength(energy: float) -> float:
    return 12398.419843320026 / float(np.sqrt(energy * (2.0 * 510998.95 + energy)))


def carbon(extent: tuple[float, float], thickness: float, rng: np.random.Generator) -> np.ndarray:
    """Places [n, 3] of amorphous carbon of 0.1 atoms per cubic angstrom, none nearer than 1.35 angstrom to another, periodic in x and y."""
    size = np.array([*extent, thickness])
    count, places = round(0.1 * float(np.prod(size))), np.empty((0, 3))
    while len(places) < count:
        candidate = rng.uniform(size=3) * size
        apart = np.abs(places - candidate)
        apart[:, :2] = np.minimum(apart[:, :2], size[:2] - apart[:, :2])
        if not len(places) or (apart**2).sum(1).min() > 1.35**2:
            places = np.vstack([places, candidate])
    return places


class Recorder:
    """Mean counts of every technique over the whole field, for each electron on one place (HRTEM: for an even image), from abTEM's waves."""

    def __init__(self, study: Study, like: Matrices, window: Window, weights: dict[str, np.ndarray]):
        self.study, self.like, self.weights = study, like, weights
        ny, nx = window.shape
        self.shape = (ny * study.repeats[1], nx * study.repeats[0])
        self.cells = (ny, nx)
        step = (window.sides[0] / nx, window.sides[1] / ny)
        first = window.positions[0]
        x, y = (first[axis] + np.arange(self.shape[1 - axis]) * step[axis] for axis in range(2))
        self.positions = np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)
        self.step = step
        self.middle = window.positions.reshape(ny, nx, 2)[ny // 2, nx // 2]

    def recorded(self, amplitudes: np.ndarray, settings: Settings, below: float = 0.0) -> dict[str, np.ndarray]:
        """Of each technique [ny, nx, channels] over the field, its first cell about the change; ``below``: thickness of the layer on the exit face."""
        results = {}
        scans = {
            name: weights
            for name, weights in self.weights.items()
            if not isinstance(self.study.techniques[name], Image)
        }
        if scans:
            patterns = np.abs(self._incident(settings) @ amplitudes) ** 2
            for name, weights in scans.items():
                channels = (weights @ patterns.T).T.reshape(*self.shape, -1)
                results[name] = _moved(channels, self.like.extent, settings.shift, settings.source)
        for name, technique in self.study.techniques.items():
            if isinstance(technique, Image):
                results[name] = self._image(amplitudes, settings, technique, below)
        return results

    def _incident(self, settings: Settings) -> np.ndarray:
        k = self.like.bundle.k
        chi = np.pi * _wavelength(self.like.energy) * _quadratic(k, settings.c10, settings.c12)
        return (self.like.bundle.amplitude * np.exp(-1j * (chi + 2.0 * np.pi * self.positions @ k.T))).astype(
            np.complex64
        )

    def _image(self, amplitudes: np.ndarray, settings: Settings, lens: Image, below: float) -> np.ndarray:
        """HRTEM on the prediction's grid, averaged over foci."""
        ny, nx = self.like.gpts
        axis = int(np.flatnonzero(~self.like.bundle.indices.any(axis=1))[0])
        k, length = self.like.k, _wavelength(self.like.energy)
        passed = np.hypot(*k.T) * length <= lens.aperture * (1.0 + 1e-12)
        nodes, shares = np.polynomial.hermite_e.hermegauss(9)
        total = np.zeros((ny, nx))
        for node, share in zip(nodes, shares / shares.sum(), strict=True):
            c10 = lens.c10 + settings.c10 - self.study.c10 + lens.focal_spread * node - below
            chi = np.pi * length * _quadratic(k, c10, settings.c12)
            flat = np.zeros(ny * nx, np.complex128)
            flat[self.like.pixels] = amplitudes[axis] * passed * np.exp(-1j * chi)
            total += share * np.abs(np.fft.ifft2(flat.reshape(ny, nx)) * ny * nx) ** 2
        image = _moved(total[..., None], self.like.extent, settings.shift, 0.0)
        # the prediction's window begins half a cell before the change
        starts = []
        for side, count, centre, cells in zip(
            self.like.extent, (nx, ny), self.middle, self.study.repeats, strict=False
        ):
            number = count // cells
            starts.append(round(centre / (side / count)) - number // 2)
        return np.roll(image, (-starts[1], -starts[0]), (0, 1))


def _quadratic(k: np.ndarray, c10: float, c12: tuple[float, float]) -> np.ndarray:
    kx, ky = k.T
    return c10 * (kx**2 + ky**2) + c12[0] * (kx**2 - ky**2) + 2.0 * c12[1] * kx * ky


def _moved(images: np.ndarray, extent: tuple[float, float], shift: tuple[float, float], source: float) -> np.ndarray:
    """Images [ny, nx, channels] of a specimen that lies ``shift`` further, blurred by the source."""
    ny, nx = images.shape[:2]
    fx, fy = np.fft.fftfreq(nx, extent[0] / nx)[None, :], np.fft.fftfreq(ny, extent[1] / ny)[:, None]
    factor = np.exp(-2j * np.pi * (fx * shift[0] + fy * shift[1]) - 2.0 * np.pi**2 * source**2 * (fx**2 + fy**2))
    moved = np.fft.ifft2(np.fft.fft2(images, axes=(0, 1)) * factor[:, :, None], axes=(0, 1)).real
    return moved.astype(np.float32)


def fields(
    study: Study,
    like: Matrices,
    window: Window,
    weights: dict[str, np.ndarray],
    settings: Sequence[Settings],
    configurations: tuple[int, int],
    report: Callable[[str, float], None],
) -> dict[str, np.ndarray]:
    """Arrays "NAME perfect" and "NAME changed" [recordings, ny, nx, channels] of every technique over the field, its first cell about the change, and "NAME
    thickness" [recordings, ny, nx, channels] over a cell: by how much they change per angstrom of thickness.

    ``configurations`` of thermal motion without layers and with them.
    """
    import abtem

    options = {
        "diagnostics.progress_bar": False,
        "dask.lazy": False,
        "precision": "float32",
        "device": "cpu",
        "fft": "fftw",
        "fftw.threads": 1,
    }
    with abtem.config.set(options):
        return _fields(study, like, window, weights, settings, configurations, report)


def _fields(study, like, window, weights, settings, configurations, report) -> dict[str, np.ndarray]:
    medium, recorder = Medium(study, like), Recorder(study, like, window, weights)
    cells = study.repeats[2]
    spare = 1 if any(each.cells for each in settings) else 0
    deep = study._replace(repeats=(*study.repeats[:2], cells + spare))
    # within the thinnest crystal, whichever atom of the last cell is nearest
    last = study.cell.thickness * (cells - spare - 0.5) if spare else np.inf
    nodes = 1 + max(each.depth for each in settings)
    wanted = sorted({min((number + 0.5) / nodes * cells * study.cell.thickness, last) for number in range(nodes)})
    specimens = [deep._replace(change=study.change._replace(depth=depth)).hypotheses(1) for depth in wanted]
    perfect, changed = specimens[0].perfect, [each.changed[0] for each in specimens]
    exits = tuple(study.slices * each for each in range(cells - spare, cells + spare + 1))
    slices = study.slices * (cells + spare)
    layers = [
        [_layer(medium, each.seed + face, thickness) for face, thickness in enumerate(study.layers)]
        for each in settings
    ]
    sums: list[dict[str, list[np.ndarray]]] = [{} for _ in settings]
    plain, covered = configurations
    for number in range(plain):
        rng = np.random.default_rng([settings[0].seed, 7, number])
        moved = perfect.positions + np.sqrt(MOTION * perfect.u2)[:, None] * rng.standard_normal(perfect.positions.shape)
        moved[:, 2] = np.clip(moved[:, 2], 1e-3, perfect.thickness - 1e-3)
        functions = [
            medium.transmissions(each.symbols, moved, each.occupancy, each.thickness, slices)
            for each in (perfect, *changed)
        ]
        bare = [medium.scattered([], each, exits, []) for each in functions]
        for each, total, (above, below) in zip(settings, sums, layers, strict=True):
            stop = each.cells + spare
            pair = [recorder.recorded(bare[which][stop], each) for which in (0, 1 + each.depth)]
            terms = [
                pair[0],
                {name: pair[1][name] - pair[0][name] for name in weights},
                *[dict.fromkeys(weights, 0.0)] * 2,
            ]
            if spare:
                near = 1 if stop == 0 else stop - 1
                other = recorder.recorded(bare[0][near], each)
                step = (stop - near) * study.cell.thickness
                terms.append({name: (pair[0][name] - other[name]) / step for name in weights})
            if number < covered and above:
                leaving = [
                    medium.scattered(above, functions[which], exits[stop : stop + 1], below)[0]
                    for which in (0, 1 + each.depth)
                ]
                over = [recorder.recorded(waves, each, study.layers[1]) for waves in leaving]
                terms[2] = {name: over[0][name] - pair[0][name] for name in weights}
                terms[3] = {name: over[1][name] - over[0][name] - terms[1][name] for name in weights}
            for name in weights:
                rows = total.setdefault(name, [np.zeros_like(terms[0][name], np.float64) for _ in range(5)])
                for row, term in zip(rows, terms, strict=False):
                    row += term[name]
        report(f"abTEM, {study.name}", (number + 1) / plain)
    result = {}
    for name in weights:
        made = []
        for total in sums:
            whole, change, by_layers, mixed, slope = total[name]
            whole = _alike(whole / plain, study.repeats) + by_layers / max(covered, 1)
            made.append((whole, whole + change / plain + mixed / max(covered, 1), _alike(slope / plain, study.repeats)))
        for which, kind in enumerate(("perfect", "changed")):
            result[f"{name} {kind}"] = np.maximum(np.stack([each[which] for each in made]), 0.0).astype(np.float32)
        ny, nx = (
            recorder.cells
            if not isinstance(study.techniques[name], Image)
            else np.array(made[0][2].shape[:2]) // study.repeats[1::-1]
        )
        result[f"{name} thickness"] = np.stack([each[2][:ny, :nx] for each in made]).astype(np.float32)
    return result


def _alike(field: np.ndarray, repeats: tuple[int, ...]) -> np.ndarray:
    """The mean cell in every cell."""
    ny, nx = field.shape[0] // repeats[1], field.shape[1] // repeats[0]
    cell = field.reshape(repeats[1], ny, repeats[0], nx, -1).mean(axis=(0, 2))
    return np.tile(cell, (repeats[1], repeats[0], 1))


def _layer(medium: Medium, seed: int, thickness: float) -> list[Any]:
    if thickness == 0.0:
        return []
    places = carbon(medium.extent, thickness, np.random.default_rng(seed))
    return medium.transmissions(
        ["C"] * len(places), places, np.ones(len(places)), thickness, max(1, round(thickness / LAYER_STEP))
    )
