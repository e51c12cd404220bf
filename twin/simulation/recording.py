"""The recording of a simulated signal: averaged over the source, counted at the dose there is, with its axes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from twin.detection import camera as cameras
from twin.detection.counting import sample_electrons
from twin.optics.source import blur, plane
from twin.simulation.plan.tables import PROBES, Simulation
from twin.simulation.ready import Ready
from twin.simulation.signals import pattern_of, pattern_shape

_COUNTING, _BESIDE = 3, 4
"""Streams of chance of a signal's counts, and of those of patterns beside a STEM image."""


class Axis(NamedTuple):
    """One axis of a result: the value at index i is offset + scale * i. ``navigate``: it numbers recordings, rather than points within one."""

    name: str
    size: int
    unit: str = ""
    offset: float = 0.0
    scale: float = 1.0
    navigate: bool = False
    labels: tuple[str, ...] = ()

    def values(self) -> np.ndarray:
        """Coordinates [size]."""
        return self.offset + self.scale * np.arange(self.size)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {"name": self.name, "size": self.size, "unit": self.unit, "offset": self.offset, "scale": self.scale}
        return {**plain, "labels": list(self.labels)} if self.labels else plain


class Recording(NamedTuple):
    """A result: ``data`` with one of ``axes`` for each dimension, and what its values are. ``patterns``: those of the same probes beside a STEM image."""

    data: np.ndarray
    axes: tuple[Axis, ...]
    quantity: str
    unit: str
    patterns: "Recording | None" = None


def averaged(ready: Ready, pieces: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """The noise-free signal out of all pieces [items, columns], and the share of the beam that came through."""
    plan, flux = ready.plan, float(np.mean(np.real(pieces[:, -1])))
    columns = pieces[:, :-1]
    if plan.signal == "exit-wave":
        return columns.reshape(-1, *shape), flux
    if plan.signal not in PROBES:
        return columns.mean(axis=0, dtype=np.float64).astype(np.float32).reshape(shape), flux
    if plan.scan is None:
        return (ready.weights @ columns.astype(np.float64)).astype(np.float32).reshape(shape), flux
    ny, nx = plan.scan.shape
    if not ready.direct:
        return columns.reshape(-1, ny, nx, *shape).mean(axis=0, dtype=np.float64).astype(np.float32), flux
    image = columns.reshape(ny, nx, -1)
    if plan.beam.source > 0.0:
        image = _blurred(ready, image)
    return image.reshape(ny, nx, *shape), flux


def _blurred(ready: Ready, image: np.ndarray) -> np.ndarray:
    """An image [ny, nx, columns] averaged over the source: periodically, and where the field of view is not whole cells with its border repeated."""
    assert ready.illumination is not None
    ny, nx = image.shape[:2]
    steps = (ready.fov[0] / nx, ready.fov[1] / ny)
    whole = not any("source blurs" in note for note in ready.notes)
    pads = [0 if whole else int(np.ceil(4.5 * ready.plan.beam.source / step)) for step in steps[::-1]]
    wide = np.pad(image, np.array([[pads[0]] * 2, [pads[1]] * 2, [0, 0]]), mode="edge")
    shape = (wide.shape[0], wide.shape[1])
    window = ready.illumination.spectrum(*plane(shape, (steps[0] * shape[1], steps[1] * shape[0])))
    blurred = np.empty_like(image)
    for column in range(image.shape[2]):
        plane_image = np.asarray(blur(wide[:, :, column], window))
        blurred[:, :, column] = plane_image[pads[0] : pads[0] + ny, pads[1] : pads[1] + nx]
    return np.maximum(blurred, 0.0)


def record(ready: Ready, clean: np.ndarray, sink: cameras.Camera | None) -> Recording:
    """The recording of a noise-free signal: counted at the dose there is, with its axes."""
    plan = ready.plan
    if plan.signal == "exit-wave":
        axes = (Axis("configuration", len(clean), navigate=True), *_of_cell(ready))
        return Recording(clean, axes, "exit wave, 1 in vacuum", "1")
    if plan.signal == "stem":
        return _images(ready, clean, sink)
    data, unit = _dosed(ready, clean, sink)
    if plan.signal == "hrtem":
        defoci = plan.lens.defoci if plan.lens is not None else None
        if defoci is None:
            return Recording(data[0], _of_cell(ready), "intensity, 1 in vacuum", unit)
        focus = Axis(
            "defocus", len(defoci), "angstrom", defoci[0], defoci[1] - defoci[0] if len(defoci) > 1 else 1.0, True
        )
        if not np.allclose(focus.values(), defoci, rtol=0.0, atol=1e-6):
            focus = Axis(
                "image", len(defoci), navigate=True, labels=tuple(f"defocus {value:g} angstrom" for value in defoci)
            )
        return Recording(data, (focus, *_of_cell(ready)), "intensity, 1 in vacuum", unit)
    return _patterns(ready, data, unit)


def _images(ready: Ready, clean: np.ndarray, sink: cameras.Camera | None) -> Recording:
    """Channels of a scan, and the patterns beside them: each is counted for itself."""
    count = len(ready.channels)
    axes = (Axis("channel", count, navigate=True, labels=ready.channels), *_of_scan(ready))
    data, unit = _dosed(ready, clean[..., :count], None)
    made = Recording(np.moveaxis(data, -1, 0), axes, "detector signal", unit)
    if not ready.plan.patterned:
        return made
    patterns = clean[..., count:].reshape(*clean.shape[:2], *pattern_shape(ready))
    return made._replace(patterns=_patterns(ready, *_dosed(ready, patterns, sink, _BESIDE)))


def _patterns(ready: Ready, data: np.ndarray, unit: str) -> Recording:
    scan = _of_scan(ready) if ready.plan.scan is not None else ()
    numbered = tuple(axis._replace(navigate=True) for axis in scan)
    return Recording(data, (*numbered, *_of_pattern(ready)), "diffracted intensity", unit)


def _dosed(
    ready: Ready, clean: np.ndarray, sink: cameras.Camera | None, stream: int = _COUNTING
) -> tuple[np.ndarray, str]:
    """A signal as it is recorded, and its unit: counted, or without a dose free of noise."""
    electrons = _electrons(ready)
    if electrons is None:
        return clean, "1" if ready.plan.signal == "hrtem" else "fraction of the beam"
    unit = "counts" if sink is not None else "electrons"
    return _counted(clean, electrons, ready.plan, sink, stream), unit


def _electrons(ready: Ready) -> float | None:
    """Electrons that stand for a fraction of 1: at one probe, in one pixel of an image, or in one pattern."""
    plan, dose = ready.plan, ready.plan.dose
    if dose is None:
        return None
    if dose.electrons is not None:
        return dose.electrons
    assert dose.per_area is not None
    if plan.signal == "hrtem":
        return dose.per_area * ready.extent[0] * ready.extent[1] / (ready.gpts[0] * ready.gpts[1])
    assert plan.scan is not None
    return dose.per_area * ready.fov[0] * ready.fov[1] / (plan.scan.shape[0] * plan.scan.shape[1])


def _counted(
    clean: np.ndarray, electrons: float, plan: Simulation, sink: cameras.Camera | None, stream: int
) -> np.ndarray:
    """One recording of ``clean`` with counting noise; the seed fixes it. A 4D one line after the other, so that memory suffices."""
    key = jax.random.fold_in(jax.random.key(plan.seed), stream)
    lines = clean if plan.signal in ("4d-stem", "stem") else clean[None]
    counted = np.empty(lines.shape, np.float32)
    for number, line in enumerate(lines):
        own, shares = jax.random.fold_in(key, number), jnp.asarray(np.maximum(line, 0.0), jnp.float32)
        if sink is None:
            counted[number] = np.asarray(sample_electrons(own, shares, electrons))
        else:
            counted[number] = np.asarray(cameras.sample(own, sink, shares, electrons)[0])
    return counted.reshape(clean.shape)


def _of_cell(ready: Ready) -> tuple[Axis, Axis]:
    (ny, nx), extent = ready.gpts, ready.extent
    return Axis("y", ny, "angstrom", 0.0, extent[1] / ny), Axis("x", nx, "angstrom", 0.0, extent[0] / nx)


def _of_scan(ready: Ready) -> tuple[Axis, Axis]:
    assert ready.plan.scan is not None
    (ny, nx), (x, y) = ready.plan.scan.shape, ready.plan.scan.start
    return Axis("y", ny, "angstrom", y, ready.fov[1] / ny), Axis("x", nx, "angstrom", x, ready.fov[0] / nx)


def _of_pattern(ready: Ready) -> tuple[Axis, Axis]:
    """Angles of a pattern's rows and columns from the direct beam, in mrad."""
    made = pattern_of(ready, jnp.zeros((1, *ready.gpts), jnp.float32))
    axes = []
    for name, along in (("theta_y", made.y), ("theta_x", made.x)):
        values = 1e3 * np.asarray(along)
        axes.append(
            Axis(name, len(values), "mrad", float(values[0]), float(values[1] - values[0]) if len(values) > 1 else 1.0)
        )
    return axes[0], axes[1]
