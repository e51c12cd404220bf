"""One exposure of an alignment: a scan of Ronchigrams over an amorphous film, and its spectra as the likelihood takes them in."""

import dataclasses

import numpy as np

from twin import checks
from twin.optics.electrons import wavelength

MAX_FREQUENCY = 1.9
"""Scan frequencies are used up to this many aperture radii; there the two overlaps have all but gone."""
STRUCK = 15.0
"""Widths of a pixel's readings above their median from which one is struck by a cosmic ray."""
UNLIT_SHARE = 0.05
"""Counts over the median below which a position or a pixel had no beam."""
MAX_MISSING = 0.1
"""A pixel that lacks more than this share of its positions is left out."""


@dataclasses.dataclass(frozen=True)
class Optics:
    """What is known of the probe besides its aberrations: ``energy`` eV, ``semiangle`` radian, ``focal_spread`` angstrom rms."""

    energy: float
    semiangle: float
    focal_spread: float = 0.0

    def __post_init__(self):
        checks.electron_energy(self.energy)
        checks.positive("semiangle", self.semiangle, "give the convergence semi-angle in radian")
        checks.not_negative("focal_spread", self.focal_spread, "give the rms in angstrom, 0 for none")


@dataclasses.dataclass(frozen=True)
class Setting:
    """How an exposure is, or would be, taken: everything but its counts.

    Probe positions (ny, nx) = ``points`` ``step`` angstrom apart; pixels at ``angles`` [pixels, 2] (x, y) radian from the disk's centre, ``width`` radian
    wide; ``electrons`` incident in all; the probe tilted by ``tilt`` (x, y) radian, so that its cone passes the lens there; C10 changed by
    ``c10`` angstrom from what is to be measured. ``periodic``: the film repeats with the scan (simulated ones do).
    """

    points: tuple[int, int]
    step: float
    angles: np.ndarray
    width: float
    electrons: float
    tilt: tuple[float, float] = (0.0, 0.0)
    c10: float = 0.0
    periodic: bool = False

    def __post_init__(self):
        if len(self.points) != 2 or min(self.points) < 8:
            raise ValueError(f"a scan of {self.points} positions is too small to have frequencies; give at least 8 x 8")
        angles = np.asarray(self.angles)
        if angles.ndim != 2 or angles.shape[1] != 2 or len(angles) == 0:
            raise ValueError(f"angles have shape {angles.shape}; give [pixels, 2], (x, y) in radian for every pixel")
        checks.finite("angles", angles, "give (x, y) in radian from the disk's centre for every pixel")
        checks.positive("step", self.step, "give the distance of probe positions in angstrom")
        checks.positive("width", self.width, "give the side of a pixel in radian")
        checks.positive("electrons", self.electrons, "without electrons there is nothing to fit")
        checks.finite("tilt", self.tilt, "give the probe's tilt (x, y) in radian")
        checks.finite("c10", self.c10, "give the change of C10 in angstrom, 0 for none")


@dataclasses.dataclass(frozen=True)
class Exposure:
    """``counts`` [y, x, pixels] of a `Setting`, which has the meaning of the rest. NaN is a reading that is missing; ``full_scale`` (counts) is where the
    detector saturates. ValueError for shapes that do not fit."""

    counts: np.ndarray
    setting: Setting
    full_scale: float = np.inf

    def __post_init__(self):
        expected_shape = (*self.setting.points, len(self.setting.angles))
        if np.shape(self.counts) != expected_shape:
            raise ValueError(
                f"counts have shape {np.shape(self.counts)}, but the exposure's positions and pixels make {expected_shape}; give [y, x, pixels]"
            )


@dataclasses.dataclass(frozen=True)
class Spectra:
    """An exposure over its noise: ``z`` [q, pixels] with counting noise of variance 1, frequencies ``q`` [q, 2] (x, y) in 1/angstrom, ``strength`` [pixels]
    (square roots of counts per angstrom^2: times T and the root of the film's power, in angstrom^2, it is the signal in ``z``), the ``angles`` [pixels, 2]
    used, and ``notes`` on what was left out."""

    z: np.ndarray
    q: np.ndarray
    strength: np.ndarray
    angles: np.ndarray
    setting: Setting
    notes: tuple[str, ...] = ()


def scan_frequencies(setting: Setting, optics: Optics, dense: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Independent scan frequencies [q, 2] (x, y) in 1/angstrom by rising length, and their places [q] in the flattened spectrum.

    One of q and -q, none at the edge of the band. Of a film that does not repeat, seen through a Hann window, only every other unless
    ``dense``.
    """
    ny, nx = setting.points
    ky, kx = np.meshgrid(np.fft.fftfreq(ny, setting.step), np.fft.fftfreq(nx, setting.step), indexing="ij")
    iy, ix = np.meshgrid(np.fft.fftfreq(ny, 1 / ny), np.fft.fftfreq(nx, 1 / nx), indexing="ij")
    length = np.hypot(kx, ky)
    top = min(MAX_FREQUENCY * optics.semiangle / wavelength(optics.energy), 0.49 / setting.step)
    use = (length > 0) & (length <= top) & ((iy > 0) | ((iy == 0) & (ix > 0)))
    if not (setting.periodic or dense):
        use &= (iy % 2 == 0) & (ix % 2 == 0)
    indices = np.flatnonzero(use)
    indices = indices[np.argsort(length.ravel()[indices], kind="stable")]
    return np.stack([kx.ravel()[indices], ky.ravel()[indices]], axis=-1), indices


def pixels_in_disk(setting: Setting, optics: Optics) -> np.ndarray:
    """Which pixels [pixels] lie in the bright-field disk as a whole."""
    return np.hypot(*np.asarray(setting.angles).T) + 0.5 * setting.width <= optics.semiangle


def lit_pixels(exposure: Exposure, optics: Optics) -> tuple[np.ndarray, list[str]]:
    """Which pixels [pixels] can be used, and notes on the others: those in the disk that are saturated, empty or mostly missing.

    ValueError if none is left.
    """
    setting, notes = exposure.setting, []
    counts = np.asarray(exposure.counts, np.float64)
    finite = np.isfinite(counts)
    inside = pixels_in_disk(setting, optics)
    values = np.where(finite, counts, 0.0)
    saturated = (values >= exposure.full_scale).any(axis=(0, 1)) | np.isinf(counts).any(axis=(0, 1))
    # positions without any reading are missing for all pixels alike
    read = max(1, int(finite.any(axis=-1).sum()))
    missing = (1.0 - finite.sum(axis=(0, 1)) / read > MAX_MISSING) & ~saturated
    total = values.sum(axis=(0, 1))
    # next to the median of all, a pixel with hardly a count is not lit
    known = inside & ~missing & ~saturated
    empty = known & (total <= max(0.0, UNLIT_SHARE * float(np.median(total[known])) if known.any() else 0.0))
    for reason, pixels in (("saturated", saturated), ("missing", missing), ("empty", empty)):
        if np.any(pixels & inside):
            notes.append(
                f"{int((pixels & inside).sum())} of {int(inside.sum())} pixels in the disk are {reason} and left out"
            )
    use = known & ~empty
    if not use.any():
        raise ValueError(
            f"no pixel of the bright-field disk can be used ({'; '.join(notes) or 'none lies within the semi-angle'}); "
            "look at the beam, the exposure time and the detector's angles"
        )
    return use, notes


def struck_readings(counts: np.ndarray) -> np.ndarray:
    """Which readings [y, x, pixels] are far above all that their pixel reads elsewhere, as where cosmic rays strike."""
    middle = np.nanmedian(counts, axis=(0, 1))
    # counting noise at least, and the film's contrast
    width = np.maximum(1.4826 * np.nanmedian(np.abs(counts - middle), axis=(0, 1)), np.sqrt(np.maximum(middle, 1.0)))
    return counts > middle + STRUCK * width


def unlit_positions(counts: np.ndarray) -> np.ndarray:
    """Which probe positions [y, x] had no beam: with hardly a count in all pixels together, beside the others."""
    total = np.nansum(counts, axis=tuple(range(2, counts.ndim)))
    return (
        total <= UNLIT_SHARE * float(np.median(total[total > 0.0]))
        if (total > 0.0).any()
        else np.zeros(total.shape, bool)
    )


def _bridged(changes: np.ndarray, unread: np.ndarray) -> np.ndarray:
    """``changes`` [y, x, pixels] with positions that were not read between those above and below, so that a lost line makes no frequencies of its own."""
    filled, rows = changes.copy(), np.arange(len(changes))
    for column in np.flatnonzero(unread.any(axis=0)):
        lost = unread[:, column]
        if lost.all():
            continue
        position = np.interp(rows[lost], rows[~lost], np.arange(int((~lost).sum())))
        low = np.floor(position).astype(int)
        high, share = np.minimum(low + 1, int((~lost).sum()) - 1), (position - low)[:, None]
        kept = changes[~lost, column]
        filled[lost, column] = (1.0 - share) * kept[low] + share * kept[high]
    return filled


def spectra(exposure: Exposure, optics: Optics, dense: bool = False) -> Spectra:
    """What the likelihood takes in, of the pixels that are `lit`, at `scan_frequencies`; ValueError if no pixel is lit."""
    setting = exposure.setting
    use, notes = lit_pixels(exposure, optics)
    counts = np.asarray(exposure.counts, np.float64)
    finite = np.isfinite(counts)
    values = np.where(finite, counts, 0.0)[..., use]
    number = finite[..., use].sum(axis=(0, 1))
    mean = values.sum(axis=(0, 1)) / number
    # a missing reading is set to the mean: it says nothing
    changes = np.where(finite[..., use], values - mean, 0.0)
    unread = np.asarray(~finite[..., use].any(axis=-1))
    if unread.any():
        changes = _bridged(changes, unread)
    ny, nx = setting.points
    window = np.ones((ny, nx))
    if not setting.periodic:
        window = np.outer(np.hanning(ny + 1)[:-1], np.hanning(nx + 1)[:-1])
    power = float((window**2).sum())
    q, indices = scan_frequencies(setting, optics, dense)
    transform = np.fft.fft2(changes * window[..., None], axes=(0, 1)).reshape(ny * nx, -1)[indices]
    return Spectra(
        z=(transform / np.sqrt(mean * power)).astype(np.complex64),
        q=q,
        strength=np.sqrt(mean) / setting.step,
        angles=np.asarray(setting.angles, np.float64)[use],
        setting=setting,
        notes=tuple(notes),
    )
