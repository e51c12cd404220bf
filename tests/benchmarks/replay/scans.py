"""Recordings for the benchmark of replays: the titanate's spectrum image, a simulated low-loss spectrum image, and a simulated 4D-STEM scan."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from instrument.readers import read_vendor
from learn.mapping.host import Host, HostClaims
from learn.mapping.loop import MapPlan, Survey, acquire_map
from learn.mapping.replay import InMemory
from reconstruct.measurement.scanned import pixel_data, pixel_quantity, quantity_named
from tests.synthetic.eels.spectra import low_loss
from twin import Microscope, Pixelated, Sample, Scan, simulate
from twin.records import Axis, RecordedScan, Signal, Wanted, scan_of

HOST = Host("SrTiO3", (1, 1, 0), 100.0)
"""The crystal of the preset replay-titanate."""
TITANIUM = quantity_named("Ti L", (395.0, 450.0), (455.0, 475.0))
TITANATE_GAIN = 28.0


class Silent:
    """Progress of a replay that nobody is told."""

    def stage(self, text: str, fraction: float | None = None) -> None:
        """A step."""

    def request(self, event: dict[str, Any]) -> None:
        """A pixel."""


def titanate(folder: Path) -> RecordedScan:
    """The recorded spectrum image with its HAADF."""
    spectra, image = (read_vendor(folder / "spectra" / f"titanate-si-{name}.dm3") for name in ("eels", "haadf"))
    return scan_of(spectra, Wanted("spectrum", TITANIUM.energies), image)


def low_losses(rows: int = 20, columns: int = 24, electrons: float = 2e4) -> RecordedScan:
    """Low losses of a film that is thicker to the right, with a particle on it; the survey follows the mass, with noise, on a grid twice as fine."""
    rng = np.random.default_rng(0)

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        particle = 1.0 / (1.0 + np.exp((np.hypot(y - 0.6 * rows, x - 0.3 * columns) - 4.0) / 0.5))
        return 0.3 + 0.3 * x / columns + 0.4 * particle

    y, x = np.mgrid[:rows, :columns].astype(float)
    moved = 0.2 * np.sin(x / 5.0)
    values = zip(moved.ravel(), thickness(y, x).ravel(), strict=True)
    spectra = [rng.poisson(low_loss(512, -6.0 - off, 0.1, electrons, at)) for off, at in values]
    finer = np.mgrid[: 2 * rows, : 2 * columns] / 2.0 - 0.25
    survey = rng.poisson(400.0 * thickness(finer[0], finer[1])).astype(float)
    axes = (Axis("y", rows, 1.0, 0.0, None), Axis("x", columns, 1.0, 0.0, None))
    energy = Axis("Energy loss", 512, 0.1, -6.0, "electronvolt")
    cube = Signal(
        np.array(spectra, np.float64).reshape(rows, columns, 512), (*axes, energy), "spectrum-image", "low", "", ""
    )
    return scan_of([cube], Wanted("spectrum"), [_image(survey)])


def patterns(side: int = 24, electrons: float = 2e3) -> RecordedScan:
    """Patterns of SrTiO3 [001] over two by two unit cells with counting noise, and an annular dark-field image with noise of its own."""
    sample, microscope = Sample.crystal("SrTiO3", cells=3), Microscope(energy=200e3, semiangle=21e-3)
    scan = Scan((side, side), fov=2 * 3.905)
    with jax.enable_x64(True):
        made = simulate(sample, microscope, "4d-stem", scan=scan, detectors=[Pixelated((32, 32), 3e-3)])["data"]
    mean = electrons * np.asarray(made.values, np.float64).reshape(side, side, 32, 32)
    rng = np.random.default_rng(0)
    y, x = (3e-3 * (np.arange(32) - 15.5) for _ in range(2))
    dark = np.hypot(x[None, :], y[:, None]) > 30e-3
    survey = rng.poisson(20.0 * mean[..., dark].sum(axis=-1)).astype(float)
    step = 2 * 3.905 / side
    places = (Axis("y", side, step, 0.0, "angstrom"), Axis("x", side, step, 0.0, "angstrom"))
    angles = tuple(Axis(name, 32, 3e-3, -15.5 * 3e-3, "radian") for name in ("theta_y", "theta_x"))
    cube = Signal(rng.poisson(mean).astype(float), (*places, *angles), "image-stack", "4d", "", "", raw={"unit": "electrons"})  # fmt: skip
    return scan_of([cube], Wanted("pattern"), [_image(survey)])


def _image(values: np.ndarray) -> Signal:
    axes = tuple(Axis(name, size, 1.0, 0.0, None) for name, size in zip("yx", values.shape, strict=True))
    return Signal(values, axes, "image", "HAADF", "", "")


def mapped(
    scan: RecordedScan, quantity: str, gain: float | None = None, host: bool = False, **plan: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The map of a ``quantity`` of a scan; ``plan``: fields of `MapPlan`."""
    name = TITANIUM if quantity == "Ti L" else quantity_named(quantity)
    claims = {key: claim.value for key, claim in scan.cube.claims.items()}
    known = pixel_data(scan.axes, claims, str(scan.cube.raw.get("unit", "")), gain)
    survey = Survey(scan.survey, scan.finer, HostClaims(known.energy, known.convergence, known.collection))
    chosen = MapPlan(**plan, host=HOST if host else None)
    return acquire_map(InMemory(scan), survey, name, pixel_quantity(name, known), chosen, Silent())
