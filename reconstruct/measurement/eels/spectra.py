"""Spectra as they are fitted: counts with an energy axis, and what is wrong with some of their channels."""

import dataclasses
import math

import numpy as np

from reconstruct.eels.features import Peak, zero_loss
from reconstruct.measurement.outcome import Defect

LEAST_CHANNELS = 64
LEAST_NUMBERS = 0.5
"""Share of a spectrum's channels that must be numbers."""
DARK_END, END_WINDOW, MOST_END = 0.6, 30, 0.03
"""Share of the counts of the next channels below which a channel at an end is without light, how many these are, and the share of channels that may be."""
PLATEAU, LEAST_SATURATED = 3, 255.0
"""Neighbouring channels at the highest value of all, and the least such value, that make it one of saturation."""
NEGATIVE_ERRORS = 6.0
"""Standard errors by which the mean of a stretch of channels must lie below zero to be negative."""
STRETCHES = 8


@dataclasses.dataclass(frozen=True)
class Spectra:
    """``counts`` [n, channels] (dark level subtracted) of spectra that lie as ``shape`` (() for one), at ``energies`` [channels] in eV by the file's axis
    or what was stated; ``used`` [channels]: 0 for channels that are left out, with the ``defects`` why. ``zero``: the zero loss of their sum, or why none
    is seen; ``valid`` [n]: spectra that hold numbers."""

    counts: np.ndarray
    shape: tuple[int, ...]
    energies: np.ndarray
    used: np.ndarray
    zero: Peak | str
    valid: np.ndarray
    defects: tuple[Defect, ...] = ()

    @property
    def dispersion(self) -> float:
        """eV a channel."""
        return float(self.energies[1] - self.energies[0])

    @property
    def summed(self) -> np.ndarray:
        """The sum of all spectra [channels]."""
        return self.counts.sum(axis=0)

    @property
    def losses(self) -> np.ndarray:
        """Energies [channels] counted from the zero loss, where it is seen; else by the axis."""
        if isinstance(self.zero, str):
            return self.energies
        return self.dispersion * (np.arange(len(self.energies)) - self.zero.centre)


def spectra_of(
    data: np.ndarray,
    offset: float,
    dispersion: float,
    black: float = 0.0,
    window: tuple[float, float] | None = None,
) -> Spectra:
    """``data`` [..., channels] whose first channel is at ``offset`` eV, with steps of ``dispersion`` eV, less ``black`` counts a channel; only what is in the
    ``window`` (eV, by this axis).

    A falling axis is turned round; channels that are no number in some spectrum are left out of all, spectra without a number are not valid. ValueError
    naming what is wrong with the axis or the counts, and what can still be done.
    """
    if dispersion == 0.0 or not math.isfinite(dispersion):
        raise ValueError(
            f"the dispersion is {dispersion:g} eV a channel: no energy is known; state {{dispersion}} and {{offset}}, which two known edges, or "
            f"the zero loss and an edge, calibrate"
        )
    counts = np.asarray(data, np.float64).reshape(-1, data.shape[-1]) - black
    energies = offset + dispersion * np.arange(counts.shape[1])
    if dispersion < 0.0:
        counts, energies = counts[:, ::-1], energies[::-1]
    if window is not None:
        inside = (energies >= window[0]) & (energies <= window[1])
        if inside.sum() < LEAST_CHANNELS:
            raise ValueError(
                f"{{range}} {window[0]:g} to {window[1]:g} eV holds {inside.sum()} channels of spectra from {energies[0]:g} to {energies[-1]:g} eV; "
                f"give at least {LEAST_CHANNELS}"
            )
        counts, energies = counts[:, inside], energies[inside]
    if counts.shape[1] < LEAST_CHANNELS:
        raise ValueError(f"the spectra have {counts.shape[1]} channels; give at least {LEAST_CHANNELS}")
    number = np.isfinite(counts)
    valid = number.mean(axis=1) > LEAST_NUMBERS
    if not valid.any():
        raise ValueError("the spectra hold no numbers, or hardly any; give those that were recorded")
    used = np.asarray(number[valid].all(axis=0), np.float64)
    counts = np.where(number & valid[:, None], counts, 0.0)
    _refuse_saturated(counts, energies)
    _refuse_negative(counts[valid], energies)
    used, defects = _without_dark_ends(counts[valid], energies, used)
    if not number.all():
        words = f"{(~number).sum()} values are no numbers: {(~valid).sum()} spectra and {int((used == 0).sum())} channels are left out"
        defects = (*defects, Defect("not numbers", int((~number).sum()), "masked", words))
    zero = zero_loss(np.where(used > 0, counts.sum(axis=0), 0.0))
    return Spectra(counts, data.shape[:-1], energies, used, zero, valid, defects)


def _refuse_saturated(counts: np.ndarray, energies: np.ndarray) -> None:
    highest = counts.max()
    if highest < LEAST_SATURATED:
        return
    full = counts >= highest * (1.0 - 1e-9)
    run = full[:, PLATEAU - 1 :].copy()
    for step in range(1, PLATEAU):
        run &= full[:, PLATEAU - 1 - step : full.shape[1] - step]
    if not run.any():
        return
    channels = np.flatnonzero(full.any(axis=0))
    spectra = int(run.any(axis=1).sum())
    raise ValueError(
        f"{len(channels)} channels from {energies[channels[0]]:.6g} to {energies[channels[-1]]:.6g} eV stand at {highest:g} counts in "
        f"{spectra} of {len(counts)} spectra: the camera is saturated; "
        "give {range} without them to measure what else there is, and record the zero loss with a shorter exposure"
    )


def _refuse_negative(counts: np.ndarray, energies: np.ndarray) -> None:
    """Spectra that are negative beyond noise: too much dark level was subtracted."""
    mean = counts.mean(axis=0)
    # noise by differences of neighbours, which may share some of it
    noise = 2.0 * float(np.median(np.abs(np.diff(mean)))) / 0.954
    size = len(mean) // STRETCHES
    for begin in range(0, size * STRETCHES, size):
        stretch = mean[begin : begin + size]
        if stretch.mean() < -NEGATIVE_ERRORS * noise / math.sqrt(size) and stretch.mean() < -1e-3 * mean.max():
            ends = f"{energies[begin]:.6g} to {energies[begin + size - 1]:.6g} eV"
            raise ValueError(
                f"from {ends} there are {stretch.mean():.4g} counts on average: more dark level was subtracted than there is; state {{black}} "
                f"{min(stretch.mean(), mean.min()):.4g} to add it again, or "
                "give {range} without these channels"
            )


def _without_dark_ends(
    counts: np.ndarray, energies: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, tuple[Defect, ...]]:
    """Channels at both ends that light does not reach are left out."""
    mean, channels = counts.mean(axis=0), counts.shape[1]
    most = int(MOST_END * channels)
    ends = []
    for order in (1, -1):
        values = mean[::order]
        count = 0
        for channel in range(most):
            next_ = values[most : most + END_WINDOW]
            if (
                values[channel] < DARK_END * np.median(next_)
                and np.median(next_) > 0.0
                and next_.min() > 0.3 * np.median(next_)
            ):
                count = channel + 1
        # a rise towards an edge or a zero loss is no shadow: the step must be as sharp as a border
        sharp = count and values[count : count + 4].mean() > DARK_END * np.median(values[most : most + END_WINDOW])
        ends.append(count if sharp else 0)
    if not sum(ends):
        return used, ()
    kept = used.copy()
    kept[: ends[0]] = 0.0
    kept[channels - ends[1] :] = 0.0
    where = " and ".join(
        f"{count} at {energy:.4g} eV" for count, energy in zip(ends, (energies[0], energies[-1]), strict=True) if count
    )
    return kept, (Defect("dark ends", sum(ends), "masked", f"channels that light does not reach: {where}"),)
