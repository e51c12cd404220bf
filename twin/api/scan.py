"""A raster of probes, and the detectors of a simulation from Python as the tables of a scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.api.values import mrad, plain
from twin.detection.camera import NO_BLUR, Camera
from twin.detection.detectors import Annular, Segmented
from twin.detection.pixelated import Pixelated
from twin.detection.transfer import Mixture


@dataclass(frozen=True)
class EdgeMap:
    """The core-loss map of an ``edge`` ("Ti L"), losses ``window`` (from, to) in eV and angles up to ``collection`` in radian, as a channel of a stem image;
    ``channelling``: "double" (exact), "single" or "local" (`twin.eels.maps`)."""

    edge: str
    window: tuple[float, float]
    collection: float
    channelling: str = "double"

    def values(self) -> dict[str, Any]:
        """The table [detectors.NAME] of a scenario, as plain values."""
        collection = mrad(self.collection)
        return plain(
            {
                "kind": "eels",
                "edge": self.edge,
                "window": self.window,
                "collection_mrad": collection,
                "channelling": self.channelling,
            }
        )


Detector = Annular | Segmented | Pixelated | EdgeMap
Detectors = Sequence[Detector] | Mapping[str, Detector]


@dataclass(frozen=True)
class Scan:
    """A raster of ``shape`` (ny, nx) probes over the field of view ``fov`` (x, y), or one number for both, in angstrom (None: square pixels that cover
    at least one cell each way), from ``start`` (x, y) in angstrom on.

    >>> Scan((2, 4), fov=8.0).positions().shape
    (8, 2)
    """

    shape: tuple[int, int]
    fov: float | tuple[float, float] | None = None
    start: tuple[float, float] = (0.0, 0.0)

    def positions(self) -> np.ndarray:
        """Positions [ny nx, 2] (x, y) in angstrom, row by row; ValueError without ``fov``, which then follows from the sample."""
        if self.fov is None:
            raise ValueError("the scan has no field of view of its own; give Scan(shape, fov=...) in angstrom")
        fov = np.broadcast_to(self.fov, 2)
        x, y = (np.arange(count) * side / count for count, side in zip(self.shape[::-1], fov, strict=True))
        along_x, along_y = np.meshgrid(self.start[0] + x, self.start[1] + y)
        return np.stack([along_x.ravel(), along_y.ravel()], axis=1)

    def values(self) -> dict[str, Any]:
        """The table [scan] of a scenario, as plain values."""
        fov = None if self.fov is None else tuple(np.broadcast_to(np.asarray(self.fov, np.float64), 2))
        return plain({"shape": self.shape, "fov": fov, "start": self.start})


def detector_values(detectors: Detectors | None) -> dict[str, dict[str, Any]]:
    """Tables [detectors.NAME] of a scenario; those without a name are called by kind and angles in mrad ("annular 60-200")."""
    if detectors is None:
        return {}
    if isinstance(detectors, Mapping):
        return {name: _values(detector) for name, detector in detectors.items()}
    tables: dict[str, dict[str, Any]] = {}
    for detector in [detectors] if isinstance(detectors, Detector) else detectors:
        table = _values(detector)
        name, number = _name(table), 1
        while (label := name if number == 1 else f"{name} ({number})") in tables:
            number += 1
        tables[label] = table
    return tables


def _name(table: dict[str, Any]) -> str:
    if table["kind"] == "annular":
        return f"annular {table['inner_mrad']:g}-{table['outer_mrad']:g}"
    if table["kind"] == "eels":
        return table["edge"]
    return "segmented" if table["kind"] == "segmented" else "pixelated"


def _values(detector: Detector) -> dict[str, Any]:
    if not isinstance(detector, Detector):
        raise ValueError(f"{detector!r} is no detector; give Annular, Segmented, Pixelated or EdgeMap")
    if isinstance(detector, EdgeMap):
        return detector.values()
    if not isinstance(detector, Pixelated) and tuple(np.ravel(np.asarray(detector.response))) != (1.0,):
        raise ValueError(
            "simulate takes detectors of uniform response; give one without response, or weigh patterns of a 4d-stem simulation"
        )
    if isinstance(detector, Annular):
        table = {"kind": "annular", "inner_mrad": mrad(detector.inner), "outer_mrad": mrad(detector.outer)}
    elif isinstance(detector, Segmented):
        radii = tuple(float(radius) for radius in detector.radii)
        table = {
            "kind": "segmented", "radii_mrad": mrad(radii), "sectors": detector.sectors,
            "rotation": detector.rotation, "gap_mrad": mrad(detector.gap),
        }  # fmt: skip
    else:
        table = {
            "kind": "pixelated",
            "shape": detector.shape,
            "pixel_mrad": mrad(detector.pixel),
            "rotation": detector.rotation,
        }
    return plain({**table, "offset_mrad": mrad(detector.offset)})


def camera_values(camera: Camera) -> dict[str, Any]:
    """The table [camera] of a scenario; ValueError for a camera that a scenario cannot say."""
    if camera.ntf is not None or camera.gain_map is not None or not isinstance(camera.mtf, Mixture):
        raise ValueError(
            "simulate takes a camera with a Mixture as its MTF, no NTF of its own and no gain map; leave those out, or call twin.detection.camera.sample"
        )
    mtf = (
        {}
        if camera.mtf is NO_BLUR
        else {"gaussians": camera.mtf.gaussians, "lorentzians": camera.mtf.lorentzians, "floor": camera.mtf.floor}
    )
    saturation = None if np.isinf(camera.saturation) else camera.saturation
    table = {
        **mtf, "efficiency": camera.efficiency, "gain": camera.gain, "dark": camera.dark, "dark_noise": camera.dark_noise,
        "readout": camera.readout, "saturation": saturation,
    }  # fmt: skip
    return plain(table)
