"""The microscope: optics and specimen from the state, and the expected images.

`affine_optics` gives the parameters of an image as an affine function of the state, ``matrix @ state + offset``, for given settings. The nonlinear
part, the image as a function of these parameters, is `images`. So a Gaussian over the state maps to one over the parameters exactly.
"""

import functools
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.optics.aberrations import NAMES, index
from twin.optics.electrons import kappa
from twin.records import Scan
from twin.scattering.gram.model import GramModel, harmonics, image
from twin.state import FIELD, Layout

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
    "tail",
    "focal_spread",
    "gain",
    "black",
    *FIELD,
)
"""Parameters of an image, in this order: aberrations and positions in angstrom, tilts in radian, log gain, black level in counts, relative field."""

TAIL_WIDTH = 3.0
"""Rms width of the tails of the source divided by that of its core."""

_ABERRATIONS = tuple(name for name in PARAMETERS if name in NAMES)


class Calibration(eqx.Module):
    """Constants that turn state and settings into optics; angstrom, eV, kelvin.

    ``cc`` chromatic aberration of the probe-forming lens, ``gain`` counts per electron, ``black`` counts per pixel, ``readout`` rms counts per pixel.
    """

    energy: float = 200e3
    cc: float = 1.2e7
    gain: float = 20.0
    black: float = 100.0
    readout: float = 5.0


class Microscope(eqx.Module):
    """A specimen's detector Gram matrices, the calibration, and the layout of the state that they are driven by."""

    gram: GramModel
    calibration: Calibration
    layout: Layout = eqx.field(static=True)
    cell: float = 3.905


def affine_optics(
    layout: Layout, calibration: Calibration, settings: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix [p, n] and offset [p] with parameters = matrix @ state + offset, for the order of `PARAMETERS`.

    dC10 = Cc (2 dI/I - kappa dV/V), with dI/I and dV/V in 1e-6 in the state.
    """
    matrix, offset = np.zeros((len(PARAMETERS), len(layout))), np.zeros(len(PARAMETERS))
    entry = _entry_indices(layout)
    matrix[np.arange(len(PARAMETERS)), [entry[name] for name in PARAMETERS]] = 1.0
    focus = float(settings.get("C10", 0.0))
    lens = {
        "C10.scale": focus,
        "C10.memory": 1.0,
        "C10.memory.slow": 1.0,
        "HT": -1e-6 * calibration.cc * kappa(calibration.energy),
        "current": 2e-6 * calibration.cc,
    }
    for name, weight in lens.items():
        matrix[_C10, entry[name]] = weight
    offset[_C10] = focus
    for name, control in (("C12a", "C12.a"), ("C12b", "C12.b")):
        offset[PARAMETERS.index(name)] = float(settings.get(control, 0.0))
    shift = (float(settings.get("beam_shift.x", 0.0)), float(settings.get("beam_shift.y", 0.0)))
    for row, axis in ((_X, "x"), (_Y, "y")):
        matrix[row, entry[f"shift.{axis}x"]], matrix[row, entry[f"shift.{axis}y"]] = shift
    offset[_X], offset[_Y] = shift
    return matrix, offset


_C10, _X, _Y = (PARAMETERS.index(name) for name in ("C10", "x", "y"))


@functools.lru_cache(maxsize=8)
def _entry_indices(layout: Layout) -> dict[str, int]:
    """Index of each entry of the layout; ValueError if one that `affine_optics` needs is missing."""
    for name in (*PARAMETERS, "C10.scale", "C10.memory", "C10.memory.slow", "HT", "current"):
        layout.index(name)
    return {name: number for number, name in enumerate(layout.names)}


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


def counting_cumulant(scan: Scan, fraction: np.ndarray) -> np.ndarray:
    """Fourth cumulant of a measured fraction whose expectation is ``fraction``: that of Poisson electrons (their mean); a Gaussian readout has none."""
    return np.maximum(fraction, 1e-9) / electrons_per_pixel(scan) ** 3


_WAVE_PARAMETERS = tuple(
    PARAMETERS.index(name) for name in (*_ABERRATIONS, "focal_spread", "thickness", "tilt.x", "tilt.y")
)
_REST_PARAMETERS = tuple(row for row in range(len(PARAMETERS)) if row not in _WAVE_PARAMETERS)
_REST_INDEX = {PARAMETERS[row]: number for number, row in enumerate(_REST_PARAMETERS)}


def _harmonics(microscope: Microscope, waves: Float[Array, " w"]) -> Array:
    """Real and imaginary parts [n_g, 2] of the image's harmonics for the parameters that need waves (aberrations, focal spread, thickness, tilt)."""
    coefficients = jnp.zeros(len(NAMES), dtype=waves.dtype)
    coefficients = coefficients.at[np.array([index(name) for name in _ABERRATIONS])].set(waves[: len(_ABERRATIONS)])
    spectrum = harmonics(microscope.gram, coefficients, waves[-3], waves[-2:], waves[-4])
    return jnp.stack([spectrum.real, spectrum.imag], axis=-1)


def _image_from_harmonics(
    microscope: Microscope, waves: Array, rest: Float[Array, " r"], grid: Float[Array, "pixels 2"]
) -> Float[Array, " pixels"]:
    """The image, linear in the harmonics, before detector and discrepancy.

    The scan's centre turns the phases of the harmonics, so that the pixels' own phases are the same for all samples of a batch.
    """
    centre = rest[np.array([_REST_INDEX["x"], _REST_INDEX["y"]])]
    turn = 2.0 * jnp.pi * (checks.float64(microscope.gram.g) @ centre)
    spectrum = jax.lax.complex(waves[:, 0], waves[:, 1]) * jax.lax.complex(jnp.cos(turn), jnp.sin(turn)).astype(
        jnp.complex64
    )
    core = image(microscope.gram, spectrum, grid, rest[_REST_INDEX["source"]]).astype(jnp.float64)
    wide = image(microscope.gram, spectrum, grid, TAIL_WIDTH * rest[_REST_INDEX["source"]]).astype(jnp.float64)
    return core + rest[_REST_INDEX["tail"]] * (wide - core)


def _gain_and_error(
    microscope: Microscope, rest: Float[Array, " r"], grid: Float[Array, "pixels 2"]
) -> Float[Array, " pixels"]:
    """Gain times the relative error field of the model (`twin.state.FIELD`), which all images share."""
    angle = (
        2.0
        * jnp.pi
        * (grid + rest[np.array([_REST_INDEX["x"], _REST_INDEX["y"]])][None, :])
        / checks.float64(microscope.gram.cell)[None, :]
    )
    x, y = angle[:, 0], angle[:, 1]
    patterns = jnp.stack(
        [
            jnp.ones_like(x),
            jnp.cos(x),
            jnp.cos(y),
            jnp.sin(x),
            jnp.sin(y),
            jnp.cos(x + y),
            jnp.cos(x - y),
            jnp.sin(x + y),
            jnp.sin(x - y),
        ],
        axis=-1,
    )
    field = patterns @ rest[np.array([_REST_INDEX[name] for name in FIELD])]
    return jnp.exp(rest[_REST_INDEX["gain"]]) * (1.0 + field)


@jax.jit
def images(
    microscope: Microscope,
    parameters: Float[Array, "samples p"],
    grid: Float[Array, "pixels 2"],
    black: Float[Array, ""],
) -> Float[Array, "samples pixels"]:
    """Expected images, as fractions of the incident beam by the nominal calibration, for a batch of parameters.

    ``grid`` from `raster`; ``black`` from `black_scale`.
    """
    checks.require_float64()

    def single_image(u):
        rest = u[np.array(_REST_PARAMETERS)]
        plain = _image_from_harmonics(microscope, _harmonics(microscope, u[np.array(_WAVE_PARAMETERS)]), rest, grid)
        return _gain_and_error(microscope, rest, grid) * plain + black * rest[_REST_INDEX["black"]]

    return jax.vmap(single_image)(parameters)


@jax.jit
def images_and_slopes(
    microscope: Microscope,
    parameters: Float[Array, "samples p"],
    grid: Float[Array, "pixels 2"],
    black: Float[Array, ""],
) -> tuple[Float[Array, "samples pixels"], Float[Array, "samples pixels p"]]:
    """The same with their derivatives in every parameter.

    Only twelve parameters pass through the scattering; the image is linear in its harmonics, so their slopes are images themselves.
    """
    checks.require_float64()

    def single_image(u):
        waves, rest = u[np.array(_WAVE_PARAMETERS)], u[np.array(_REST_PARAMETERS)]
        spectrum = _harmonics(microscope, waves)
        slopes = jax.jacfwd(lambda v: _harmonics(microscope, v))(waves)
        factor = _gain_and_error(microscope, rest, grid)
        of_waves = jax.vmap(
            lambda column: factor * _image_from_harmonics(microscope, column, rest, grid), in_axes=-1, out_axes=-1
        )(slopes)

        def of(v):
            value = (
                _gain_and_error(microscope, v, grid) * _image_from_harmonics(microscope, spectrum, v, grid)
                + black * v[_REST_INDEX["black"]]
            )
            return value, value

        of_rest, value = jax.jacfwd(of, has_aux=True)(rest)
        order = np.argsort(np.array(_WAVE_PARAMETERS + _REST_PARAMETERS))
        return value, jnp.concatenate([of_waves, of_rest], axis=-1)[:, order]

    return jax.vmap(single_image)(parameters)
