"""Position-averaged patterns of SrTiO3 [001] by abTEM, spoiled: what cameras do, what beams do, and specimens that are not one flat crystal."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter1d

from tests.benchmarks.spoiled.sample import Sample
from tests.synthetic import pacbed_patterns as truth
from twin import Sample as Crystal

PRINCIPAL = {"thickness": None, "tilt.x": None, "tilt.y": None}
SPOILINGS = {
    "hot pixels": "3, 10 or 30 pixels 20 times as bright as the brightest",
    "dead pixels": "5, 20 or 60 pixels at zero",
    "dead columns": "1, 2 or 4 columns at zero",
    "hot column": "a column with half, once or thrice the disk's brightness more",
    "dead block": "a corner of the frame at zero: 1/16, 1/8 or 1/4 of it",
    "beam stop": "a bar of 2, 4 or 7 pixels from the border to behind the middle, nearly opaque",
    "saturated disk": "clipped at the 97, 85 or 60 % quantile of the disk",
    "cosmic rays": "2, 5 or 12 tracks of 2 to 6 pixels",
    "dark level": "every pixel 1, 4 or 12 % of the disk's brightness more",
    "gain step": "the right half of the camera 1, 3 or 8 % more sensitive",
    "few electrons": "1e5, 2e4 or 4e3 electrons in all",
    "descan": "smeared by 1, 2 or 4 pixels along x",
    "ellipse": "1, 2.5 or 6 % longer along x",
    "blur": "spread by 0.5, 1 or 2 pixels rms",
    "bent region": "tilts of up to 0.6, 1.5 or 3 mrad to either side of the mean",
    "wedge": "6, 15 or 30 % thicker and thinner than the mean",
    "contamination": "5, 15 or 35 % of the electrons scattered by amorphous carbon",
    "part in vacuum": "5, 15 or 40 % of the electrons beside the specimen",
    "two grains": "5, 15 or 40 % of the electrons through a grain turned by 30 degrees",
}
WRONG = {
    "structure": "silicon [110]",
    "zone axis": "[0 1 1]",
    "energy": "240 keV",
    "semi-angle": "15 % larger",
    "pixel": "10 % larger",
    "rotation": "20 degrees off",
    "thickness": "twice, with an error of 5 %",
    "tilt": "5 mrad along x, with an error of 0.5",
    "thickest": "0.6 of the thickness is tried",
}
ERRORS_BEFORE = {"thickness": 1.77, "tilt.x": 3.98e-5, "tilt.y": 4.08e-5}
KNOWN: Mapping[str, Any] = {
    "structure": "SrTiO3", "energy": truth.ENERGY, "semiangle": truth.SEMIANGLE, "pixel": truth.PIXEL, "gain": 1.0, "thickest": 320.0,
}  # fmt: skip
DOSE = 1e6


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Sample:
    """The pattern of a seed, spoiled, or with what is known of it stated wrongly."""
    made = truth.specimen(seed)
    trial = made.trial
    right = {"thickness": trial.thickness, "tilt.x": trial.tilt[0], "tilt.y": trial.tilt[1]}
    clean = _counts(seed, made, truth.camera_mean(trial, made.flat))
    if spoiling is None:
        return Sample(clean, right, KNOWN)
    if spoiling in WRONG:
        return Sample(clean, right, {**KNOWN, **_wrong(spoiling, trial)})
    if spoiling in _CAMERA:
        data, bad = _CAMERA[spoiling](clean, trial, strength, np.random.default_rng([seed, 214]))
        told = clean if bad is None else np.where(bad, np.nan, data)
        return Sample(data, right, KNOWN, (told, KNOWN))
    data = _BEAM[spoiling](seed, made, strength)
    # a mixture of tilts, thicknesses or crystals has no fit that could be told
    told = None if spoiling in ("bent region", "wedge", "two grains") else (clean, KNOWN)
    return Sample(data, right, KNOWN, told)


def _counts(
    seed: int, made: truth.Specimen, shares: np.ndarray, dose: float = DOSE, variance: float = 0.17
) -> np.ndarray:
    background = made.trial.background
    mean = dose * ((1.0 - background) * truth.spread(shares, variance) + background / shares.size)
    return np.random.default_rng([seed, 213]).poisson(mean).astype(np.float64)


def _wrong(name: str, trial: Any) -> dict[str, Any]:
    return {
        "structure": {"structure": _silicon(), "zone": (1, 1, 0)},
        "zone axis": {"zone": (0, 1, 1)},
        "energy": {"energy": 1.2 * truth.ENERGY},
        "semi-angle": {"semiangle": 1.15 * truth.SEMIANGLE},
        "pixel": {"pixel": 1.1 * truth.PIXEL},
        "rotation": {"rotation": np.deg2rad(20.0)},
        "thickness": {"thickness": (2.0 * trial.thickness, 0.1 * trial.thickness), "thickest": 620.0},
        "tilt": {"tilt": (5e-3, 0.0), "tilt_error": 0.5e-3},
        "thickest": {"thickest": 0.6 * trial.thickness},
    }[name]


@functools.cache
def _silicon() -> Crystal:
    from ase.build import bulk

    return Crystal.from_atoms(bulk("Si", "diamond", 5.431, cubic=True), "silicon", cells=1, zone=(1, 1, 0))


def _bright(clean: np.ndarray) -> float:
    """Counts of a pixel in the disk."""
    return float(np.quantile(clean, 0.95))


def _hot(clean, trial, strength, rng):
    bad = np.zeros(clean.shape, bool)
    bad.ravel()[rng.choice(clean.size, (3, 10, 30)[strength], replace=False)] = True
    return np.where(bad, 20.0 * clean.max(), clean), bad


def _dead(clean, trial, strength, rng):
    bad = np.zeros(clean.shape, bool)
    bad.ravel()[rng.choice(clean.size, (5, 20, 60)[strength], replace=False)] = True
    return np.where(bad, 0.0, clean), bad


def _dead_columns(clean, trial, strength, rng):
    bad = np.zeros(clean.shape, bool)
    bad[:, rng.integers(22, 42, (1, 2, 4)[strength])] = True
    return np.where(bad, 0.0, clean), bad


def _hot_column(clean, trial, strength, rng):
    bad = np.zeros(clean.shape, bool)
    bad[:, rng.integers(22, 42)] = True
    return np.where(bad, clean + np.round((0.5, 1.0, 3.0)[strength] * _bright(clean)), clean), bad


def _dead_block(clean, trial, strength, rng):
    ny, nx = ((16, 16), (32, 16), (32, 32))[strength]
    bad = np.zeros(clean.shape, bool)
    bad[:ny, :nx] = True
    bad = np.rot90(bad, int(rng.integers(4)))
    return np.where(bad, 0.0, clean), bad


def _beam_stop(clean, trial, strength, rng):
    y, x = np.meshgrid(*(np.arange(n) + 0.5 - 0.5 * n for n in clean.shape), indexing="ij")
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    shadow = gaussian_filter(((np.abs(across) < (1.0, 2.0, 3.5)[strength]) & (along > -3.0)).astype(float), 0.7)
    return rng.binomial(clean.astype(np.int64), 1.0 - 0.99 * shadow).astype(np.float64), shadow > 1e-3


def _saturated(clean, trial, strength, rng):
    disk = np.sort(clean.ravel())[-int(np.pi * (trial.semiangle / truth.PIXEL) ** 2) :]
    top = np.round(np.quantile(disk, (0.97, 0.85, 0.6)[strength]))
    return np.minimum(clean, top), clean >= top


def _cosmic(clean, trial, strength, rng):
    data, bad = clean.copy(), np.zeros(clean.shape, bool)
    for _ in range((2, 5, 12)[strength]):
        (y, x), angle, length = rng.uniform(4.0, 60.0, 2), rng.uniform(0.0, np.pi), rng.integers(2, 7)
        for step in range(length):
            i, j = int(y + step * np.sin(angle)) % 64, int(x + step * np.cos(angle)) % 64
            data[i, j] += np.round(rng.uniform(2.0, 8.0) * _bright(clean))
            bad[i, j] = True
    return data, bad


def _dark(clean, trial, strength, rng):
    return clean + np.round((0.01, 0.04, 0.12)[strength] * _bright(clean)), None


def _gain_step(clean, trial, strength, rng):
    data = clean.copy()
    data[:, 32:] = np.round(data[:, 32:] * (1.01, 1.03, 1.08)[strength])
    return data, None


_CAMERA = {
    "hot pixels": _hot, "dead pixels": _dead, "dead columns": _dead_columns, "hot column": _hot_column, "dead block": _dead_block,
    "beam stop": _beam_stop, "saturated disk": _saturated, "cosmic rays": _cosmic, "dark level": _dark, "gain step": _gain_step,
}  # fmt: skip


def _few(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    return _counts(seed, made, truth.camera_mean(made.trial, made.flat), (1e5, 2e4, 4e3)[strength])


def _descan(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    wide = truth.camera_mean(made.trial, made.flat)
    size = (1, 2, 4)[strength]
    smeared = uniform_filter1d(wide, size + 1, axis=1) if size % 2 == 0 else 0.5 * (wide + np.roll(wide, 1, axis=1))
    return _counts(seed, made, smeared)


def _ellipse(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    return _counts(seed, made, truth.camera_mean(made.trial, made.flat, 0.5 * (0.01, 0.025, 0.06)[strength]))


def _blur(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    return _counts(seed, made, truth.camera_mean(made.trial, made.flat), variance=0.17 + (0.5, 1.0, 2.0)[strength] ** 2)


def _bent(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    return _counts(seed, made, truth.camera_mean(made.trial, made.bent[strength]))


def _wedge(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    return _counts(seed, made, truth.camera_mean(made.trial, made.wedge[strength]))


def _mixed(seed: int, made: truth.Specimen, share: float, other: np.ndarray) -> np.ndarray:
    return _counts(seed, made, (1.0 - share) * truth.camera_mean(made.trial, made.flat) + share * other)


def _contaminated(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    direct = truth.camera_mean(made.trial, made.flat)
    y, x = np.meshgrid(*((np.arange(n) - n // 2) * truth.PIXEL for n in truth.SHAPE), indexing="ij")
    # carbon scatters into angles about wavelength / (2 pi x 0.5 angstrom), twice as far in the tails
    halo = 1.0 / (1.0 + (np.hypot(x, y) / 8e-3) ** 2) ** 2
    scattered = np.fft.irfft2(np.fft.rfft2(direct) * np.fft.rfft2(np.fft.ifftshift(halo / halo.sum())), s=direct.shape)
    return _mixed(seed, made, (0.05, 0.15, 0.35)[strength], np.maximum(scattered, 0.0))


def _vacuum(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    empty = truth.camera_mean(made.trial, truth.vacuum(made.trial))
    return _mixed(seed, made, (0.05, 0.15, 0.4)[strength], empty)


def _grains(seed: int, made: truth.Specimen, strength: int) -> np.ndarray:
    turned = truth.camera_mean(made.trial, made.flat, turned=np.deg2rad(30.0))
    return _mixed(seed, made, (0.05, 0.15, 0.4)[strength], turned)


_BEAM = {
    "few electrons": _few, "descan": _descan, "ellipse": _ellipse, "blur": _blur, "bent region": _bent, "wedge": _wedge,
    "contamination": _contaminated, "part in vacuum": _vacuum, "two grains": _grains,
}  # fmt: skip
