"""The microscope composed: where the state puts the optics and the specimen, and the images that follow.

`place` is affine: the parameters an image depends on are ``matrix @ state + offset`` for given settings. What is curved (the image as a
function of those parameters) is `images`, so that a belief over the state enters and leaves through a linear door.
"""

import functools
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.aberrations import NAMES, index
from twin.electrons import kappa
from twin.records import Scan
from twin.smatrix import GramModel, harmonics, image
from twin.state import Layout

PARAMETERS = (
    "C10",
    "C12a",
    "C12b",
    "C21a",
    "C21b",
    "C23a",
    "C23b",
    "C30",
    "x",
    "y",
    "thickness",
    "tilt.x",
    "tilt.y",
    "source",
    "gain",
    "black",
)
"""What an image depends on, in this order: aberrations and positions in angstrom, tilts in radian, log gain, black level in counts."""

_ABERRATIONS = tuple(name for name in PARAMETERS if name in NAMES)


class Calibration(eqx.Module):
    """Constants that turn state and settings into optics; angstrom, eV, kelvin.

    ``cc`` chromatic aberration of the probe-forming lens, ``per_kelvin`` defocus per kelvin of the lagged coil temperature,
    ``focal_spread`` rms, ``gain`` counts per electron, ``black`` counts per pixel, ``readout`` rms counts per pixel.
    """

    energy: float = 200e3
    cc: float = 1.2e7
    per_kelvin: float = 80.0
    focal_spread: float = 30.0
    gain: float = 20.0
    black: float = 100.0
    readout: float = 5.0


class Microscope(eqx.Module):
    """A specimen's detector Gram matrices, the calibration, and the layout of the state that they are driven by."""

    gram: GramModel
    calibration: Calibration
    layout: Layout = eqx.field(static=True)
    cell: float = 3.905


def place(layout: Layout, calibration: Calibration, settings: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix [16, n] and offset [16] with parameters = matrix @ state + offset, for the order of `PARAMETERS`.

    dC10 = Cc (2 dI/I - kappa dV/V), with dI/I and dV/V in 1e-6 in the state.
    """
    matrix, offset = np.zeros((len(PARAMETERS), len(layout))), np.zeros(len(PARAMETERS))

    def put(parameter: str, **weights: float):
        for name, weight in weights.items():
            matrix[PARAMETERS.index(parameter), layout.index(name.replace("__", "."))] = weight

    for name in PARAMETERS:
        put(name, **{name.replace(".", "__"): 1.0})
    focus = float(settings.get("C10", 0.0))
    put(
        "C10",
        C10__scale=focus,
        C10__memory=1.0,
        C10__memory__slow=1.0,
        T__lagged=calibration.per_kelvin,
        HT=-1e-6 * calibration.cc * kappa(calibration.energy),
        current=2e-6 * calibration.cc,
    )
    offset[PARAMETERS.index("C10")] = focus
    for name, control in (("C12a", "C12.a"), ("C12b", "C12.b")):
        offset[PARAMETERS.index(name)] = float(settings.get(control, 0.0))
    shift = (float(settings.get("beam_shift.x", 0.0)), float(settings.get("beam_shift.y", 0.0)))
    put("x", shift__xx=shift[0], shift__xy=shift[1])
    put("y", shift__yx=shift[0], shift__yy=shift[1])
    offset[PARAMETERS.index("x")], offset[PARAMETERS.index("y")] = shift
    return matrix, offset


def raster(scan: Scan, drift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Probe positions of a scan about its centre, float64 [ny, nx, 2] (x, y) in angstrom, sheared by a drift in angstrom per second.

    Time counts from the first pixel: a line takes nx dwells and a flyback.
    """
    ny, nx = scan.shape
    y, x = np.meshgrid((np.arange(ny) - ny / 2) * scan.pixel, (np.arange(nx) - nx / 2) * scan.pixel, indexing="ij")
    seconds = np.arange(ny)[:, None] * (nx * scan.dwell + scan.flyback) + np.arange(nx)[None, :] * scan.dwell
    return np.stack([x + drift[0] * seconds, y + drift[1] * seconds], axis=-1)


def electrons_per_pixel(scan: Scan) -> float:
    """Nominal electrons per pixel."""
    return scan.dose * scan.pixel**2


def black_scale(calibration: Calibration, scan: Scan) -> float:
    """Fraction of the incident beam that one count per pixel looks like."""
    return 1.0 / (calibration.gain * electrons_per_pixel(scan))


def to_fraction(calibration: Calibration, scan: Scan, counts: np.ndarray) -> np.ndarray:
    """Counts to fractions of the incident beam by the nominal calibration."""
    return (np.asarray(counts, dtype=np.float64) - calibration.black) * black_scale(calibration, scan)


def counting_variance(calibration: Calibration, scan: Scan, fraction: np.ndarray) -> np.ndarray:
    """Variance of a measured fraction whose expectation is ``fraction``: Poisson electrons and readout."""
    readout = (calibration.readout * black_scale(calibration, scan)) ** 2
    return np.maximum(fraction, 1e-9) / electrons_per_pixel(scan) + readout


def _image(
    microscope: Microscope, parameters: Float[Array, " 16"], grid: Float[Array, "pixels 2"], black: Float[Array, ""]
) -> Float[Array, " pixels"]:
    coefficients = jnp.zeros(len(NAMES), dtype=parameters.dtype)
    coefficients = coefficients.at[np.array([index(name) for name in _ABERRATIONS])].set(
        parameters[np.array([PARAMETERS.index(name) for name in _ABERRATIONS])]
    )
    value = {name: parameters[place_] for place_, name in enumerate(PARAMETERS)}
    spread = jnp.asarray(microscope.calibration.focal_spread, dtype=jnp.float64)
    waves = harmonics(microscope.gram, coefficients, value["thickness"], jnp.stack([value["tilt.x"], value["tilt.y"]]), spread)
    centre = jnp.stack([value["x"], value["y"]])
    pixels = image(microscope.gram, waves, grid + centre[None, :], value["source"])
    return jnp.exp(value["gain"]) * pixels.astype(jnp.float64) + black * value["black"]


@functools.partial(jax.jit)
def images(
    microscope: Microscope, parameters: Float[Array, "samples 16"], grid: Float[Array, "pixels 2"], black: Float[Array, ""]
) -> Float[Array, "samples pixels"]:
    """Expected images, as fractions of the incident beam by the nominal calibration, for a batch of parameters.

    ``grid`` from `raster`; ``black`` from `black_scale`.
    """
    return jax.vmap(lambda u: _image(microscope, u, grid, black))(parameters)


@functools.partial(jax.jit)
def images_and_slopes(
    microscope: Microscope, parameters: Float[Array, "samples 16"], grid: Float[Array, "pixels 2"], black: Float[Array, ""]
) -> tuple[Float[Array, "samples pixels"], Float[Array, "samples pixels 16"]]:
    """The same with their derivatives in every parameter."""

    def both(u):
        def one(v):
            value = _image(microscope, v, grid, black)
            return value, value

        slopes, value = jax.jacfwd(one, has_aux=True)(u)
        return value, slopes

    return jax.vmap(both)(parameters)
