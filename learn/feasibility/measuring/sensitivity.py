"""Expected counts of each option and their derivatives in a quantity, configuration by configuration, and in what else is not known."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from learn.feasibility.imaged import cut, exit_waves, mean_image, pixels_of, slope_of, unknowns_of
from learn.feasibility.matrices import Matrices
from learn.feasibility.measuring import limits
from learn.feasibility.measuring.ends import Ends, windows_of
from learn.feasibility.measuring.quantity import Quantity
from learn.feasibility.scanned import Detector
from learn.feasibility.scans import (
    Probe,
    Window,
    derivatives_of,
    filtered,
    frequencies_of,
    incident_of,
    patterns_of,
)
from twin.optics.aberrations import basis, index
from twin.optics.electrons import wavelength
from twin.optics.transfer import Imaging

Build = Callable[[Matrices], Detector]
"""The detector of an option on the beams of a matrix."""


class Sensitivity(NamedTuple):
    """For each electron on the window's places p: ``rates`` [p, channels], ``slopes`` [configurations, p, channels] of the quantity, ``derivatives``
    [p, channels] of unknowns by name, ``far``: derivative in the shift of the other cells of a field that is strained, with ``spread`` the rms distance
    (angstrom) of their middles; ``window``; ``quantum``: information of one electron at the quantum limit; ``readout``: variance of each count."""

    rates: Float[np.ndarray, "p channels"]
    slopes: Float[np.ndarray, "configurations p channels"]
    derivatives: Mapping[str, Float[np.ndarray, "p channels"]]
    window: Window
    quantum: float
    readout: float = 0.0
    far: Float[np.ndarray, "p channels"] | None = None
    spread: float = 0.0


class Patterns(NamedTuple):
    """Of probes in the ``window``, before a detector: ``rates`` [configurations, p, pixels], ``slopes`` alike, ``derivatives`` [p, pixels] by name, and the
    ``quantum`` information of an electron; the matrices ``base`` and ``ends`` that they are of; ``spread`` as in `Sensitivity`."""

    rates: np.ndarray
    slopes: np.ndarray
    derivatives: Mapping[str, np.ndarray]
    window: Window
    quantum: float
    base: Matrices
    quantity: Quantity
    ends: Ends | None
    spread: float


def patterns(
    base: Matrices, quantity: Quantity, ends: Ends | None, window: Window, probe: Probe, cells: tuple[int, int], others: Mapping[str, Ends] | None = None
) -> Patterns:  # fmt: skip
    """Patterns over the ``window`` in a field of ``cells`` (x, y) alike, with derivatives in the quantity, the place of the scan, the lens, and ``others`` that
    have matrices, by name."""
    derivatives: dict[str, np.ndarray] = dict(derivatives_of(base, window, probe))
    for name, each in (others or {}).items():
        derivatives[name] = _slopes(base, each, window, probe).mean(0)
    parts = [slice(number, number + 1) for number in range(len(base.amplitudes))]
    rates = np.stack([patterns_of(base, window, probe, configurations=part) for part in parts])
    spread = 0.0
    if ends is None:
        slopes = _aberrated(base, quantity.coefficient, window, probe)
    elif quantity.kind == "strain":
        # the crystal under the probe is stretched, and moved by the strain times the distance from the middle
        axis = "xy".index(quantity.axis)
        slopes = _dilated(base, ends, window, probe, axis)
        spread = window.sides[axis] * float(np.sqrt((cells[axis] ** 2 - 1) / 12.0))
    else:
        slopes = _slopes(base, ends, window, probe)
    quantum = _quantum(base, quantity, ends, window, probe, spread)
    return Patterns(rates, slopes, derivatives, window, quantum, base, quantity, ends, spread)


def at_rest(made: Patterns, probe: Probe) -> Patterns:
    """The same with the probe resting in the middle of the window (CBED), its place in other cells of the field not known beforehand."""
    middle = made.window.shape[0] // 2 * made.window.shape[1] + made.window.shape[1] // 2
    places = slice(middle, middle + 1)
    window = Window(made.window.positions[places], (1, 1), made.window.sides)
    derivatives = {name: each[places] for name, each in made.derivatives.items()}
    quantum = _quantum(made.base, made.quantity, made.ends, window, probe, 0.0)
    return made._replace(
        rates=made.rates[:, places], slopes=made.slopes[:, places], derivatives=derivatives, window=window, quantum=quantum, spread=0.0
    )  # fmt: skip


def _quantum(
    base: Matrices, quantity: Quantity, ends: Ends | None, window: Window, probe: Probe, spread: float
) -> float:
    if ends is None:
        return limits.probe_aberration_limit(base, quantity.coefficient, window, probe)
    if quantity.kind == "strain":
        return limits.dilation_limit(base, ends, window, probe, "xy".index(quantity.axis), spread)
    return limits.probe_limit(base, ends, window, probe)


def counted(made: Patterns, build: Build) -> Sensitivity:
    """What the detector of an option counts of the patterns."""
    detector = build(made.base)
    slopes = detector.counted(made.slopes)
    derivatives = {name: detector.counted(each) for name, each in made.derivatives.items()}
    far = derivatives[made.quantity.axis] if made.spread else None
    return Sensitivity(
        detector.counted(made.rates.mean(0)), slopes, derivatives, made.window, made.quantum, detector.readout, far, made.spread
    )  # fmt: skip


def images(
    base: Matrices, quantity: Quantity, ends: Ends | None, window: Window, lens: Imaging, cells: tuple[int, int],
    others: Mapping[str, Ends] | None = None, readout: float = 0.0,
) -> Sensitivity:  # fmt: skip
    """Images of a plane wave (HRTEM) through ``lens``, at the grid's pixels within the ``window``; an aberration is one of this lens."""
    pixels, covered = pixels_of(base, window)
    waves = exit_waves(base.amplitudes, base)
    picture = mean_image(waves, base, lens)
    derivatives = dict(unknowns_of(base, waves, picture, lens, pixels))
    for name, each in (others or {}).items():
        derivatives[name] = _image_slopes(each, lens, pixels).mean(0)
    field = base.extent[0] * base.extent[1]
    axis, far, spread = "xy".index(quantity.axis), None, 0.0
    if ends is None:
        number = index(quantity.coefficient)
        slopes = np.stack([cut(slope_of(each[None], base, lens, number), pixels) for each in waves])
        quantum = limits.lens_limit(base, quantity.coefficient)
    else:
        slopes, quantum = _image_slopes(ends, lens, pixels), limits.plane_limit(ends)
    if quantity.kind == "strain" and ends is not None:
        middle, side = limits.middle_of(covered)[axis], base.extent[axis]
        away = (covered.positions[:, axis] - middle + 0.5 * side) % side - 0.5 * side
        far = derivatives[quantity.axis]
        slopes = slopes + (away[:, None] * far)[None]
        spread = window.sides[axis] * np.sqrt((cells[axis] ** 2 - 1) / 12.0)
        quantum = limits.plane_dilation_limit(base, ends, axis, middle, 0.0)
    if quantity.local:
        # of all electrons of the field those on the window are counted
        quantum *= field / window.area
    return Sensitivity(cut(picture, pixels), slopes, derivatives, covered, quantum, readout, far, spread)


def _slopes(base: Matrices, ends: Ends, window: Window, probe: Probe) -> np.ndarray:
    """Derivatives [configurations, p, pixels] by central differences, in the frame that is stretched along."""
    parts = windows_of(window, base, ends)
    made = []
    for number in range(len(base.amplitudes)):
        chosen = slice(number, number + 1)
        less, more = (
            patterns_of(end, part, probe, configurations=chosen) for end, part in zip(ends[:2], parts, strict=True)
        )
        made.append((more - less) / ends.step)
    return np.stack(made)


def _dilated(base: Matrices, ends: Ends, window: Window, probe: Probe, axis: int) -> np.ndarray:
    """Derivatives [configurations, p, pixels] in a strain about the window's middle, of beams at angles that stay."""
    waves, own, shifts = limits.dilated(base, ends, window, probe, axis)
    away = window.positions[:, axis] - limits.middle_of(window)[axis]
    shape = (len(base.amplitudes), -1, waves.shape[-1])
    changes = [_damped(2.0 * np.real(waves.conj() * each).reshape(shape), window, probe) for each in (own, shifts)]
    return changes[0] + away[None, :, None] * changes[1]


def _aberrated(base: Matrices, name: str, window: Window, probe: Probe) -> np.ndarray:
    """Derivatives [configurations, p, pixels] per angstrom of an aberration of the probe, exact."""
    incident = np.asarray(incident_of(base, window, probe.coefficients))
    row = np.asarray(basis(base.bundle.k[:, 0], base.bundle.k[:, 1], wavelength(base.energy)))[index(name)]
    changed = jnp.asarray(incident * (-1j * row), jnp.complex64)
    made = []
    for each in base.amplitudes:
        wave, slope = np.asarray(jnp.asarray(incident) @ jnp.asarray(each)), np.asarray(changed @ jnp.asarray(each))
        made.append(2.0 * np.real(wave.conj() * slope))
    return _damped(np.stack(made), window, probe)


def _damped(changes: np.ndarray, window: Window, probe: Probe) -> np.ndarray:
    """Changes [configurations, p, pixels] averaged over the source."""
    fx, fy = frequencies_of(window)
    damping = np.exp(-2.0 * np.pi**2 * probe.source**2 * (fx**2 + fy**2))
    return np.stack([filtered(each.astype(np.float64), window, damping) for each in changes])


def _image_slopes(ends: Ends, lens: Imaging, pixels: np.ndarray) -> np.ndarray:
    waves = [exit_waves(end.amplitudes, end) for end in ends[:2]]
    return np.stack(
        [
            cut(mean_image(more[None], ends.more, lens) - mean_image(less[None], ends.less, lens), pixels) / ends.step
            for less, more in zip(*waves, strict=True)
        ]
    )
