"""One scalar that depends on all parameters of the simulation, to compare its derivatives with finite differences.

Atoms -> thermal motion -> potential -> multislice, tilted -> a STEM image on an annular detector, blurred by the source, and an HRTEM image with partial
coherence -> a weighted sum. Float64 throughout.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twin.detection.detectors import Annular, detect
from twin.grid import band_limit, frequencies
from twin.optics.aberrations import coefficients, index
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, plane_wave, probe
from twin.optics.transfer import Imaging, quasi_coherent_image
from twin.sample.potential.projected import potential
from twin.sample.specimen import srtio3
from twin.sample.thermal import displaced, normals
from twin.scattering.multislice import intensities, multislice, propagator, transmission

ENERGY, SEMIANGLE = 200e3, 21.4e-3
SHAPE, SLICES = (64, 60), 4
EDGE = 3e-3
"""Soft edge of the detector and of the objective aperture in radian."""
THERMAL: dict[str, dict[str, Any]] = {
    "frozen": {"projection": "finite"},
    "debye-waller": {"thermal": "debye-waller"},
    "absorptive": {"thermal": "absorptive", "energy": ENERGY},
}
"""How u2 gets in: atoms displaced by sqrt(u2) times fixed normal numbers (with finite slices, so that z counts), damped factors, or damped factors
with the absorptive potential of diffuse scattering (whole atoms in a slice)."""

Loss = Callable[[dict[str, Array]], Array]

compiled = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)
"""`jax.jit` that spends less on compiling, which is nearly all of the time here."""


def detected(thermal: str = "frozen") -> tuple[Loss, dict[str, Array]]:
    """The number as a function of all there is to differ in, to be `compiled`, and where to differ; ``thermal`` a key of THERMAL."""
    specimen = srtio3((2, 2, 2))
    extent, atoms = specimen.extent, len(specimen.symbols)
    unit = normals(1, atoms) if thermal == "frozen" else np.zeros((atoms, 3))
    displacements = specimen.displacements(1) if thermal == "frozen" else None
    plan = specimen.plan(SHAPE, SLICES, displacements, np.float64, **THERMAL[thermal])
    limit = band_limit(SHAPE, extent)
    kx, ky = frequencies(SHAPE, extent)
    window = aperture(SHAPE, extent, ENERGY, SEMIANGLE)
    plane = plane_wave(SHAPE, extent, ENERGY, dtype=jnp.complex128)
    steps = np.array([[extent[0] * n / 2, extent[1] * m / 3] for m in range(3) for n in range(2)])
    scan_x, scan_y = frequencies((3, 2), extent)
    random = np.random.default_rng(0)
    of_stem, of_image = random.uniform(0.5, 1.0, (3, 2)), random.uniform(0.0, 2.0, SHAPE) / (SHAPE[0] * SHAPE[1])

    def loss(parameters):
        where = displaced(specimen.positions, parameters["u2"], unit) + parameters["positions"]
        functions = transmission(potential(plan, where, parameters["occupancy"], parameters["u2"]), ENERGY, limit)
        kernel = propagator(SHAPE, extent, ENERGY, parameters["spacing"], parameters["tilt"], jnp.complex128)
        beam = Illumination(parameters["aberrations"], ENERGY, SEMIANGLE, source=parameters["source"])
        spots = parameters["position"][None] + steps
        waves = probe(beam.coefficients, spots, window, extent, ENERGY, jnp.complex128)
        # the plane wave goes along with the probes: one multislice to compile
        behind = multislice(jnp.concatenate([waves, plane[None]]), functions, kernel)
        diffraction = intensities(behind[:-1])
        detector = Annular(parameters["inner"], parameters["outer"], EDGE)
        image = detect(diffraction, detector.weights(kx[None, :], ky[:, None], wavelength(ENERGY))).reshape(3, 2)
        blur = beam.spectrum(*jnp.broadcast_arrays(scan_x[None, :], scan_y[:, None]))
        stem = jnp.fft.ifft2(jnp.fft.fft2(image) * blur).real
        lens = Imaging(
            parameters["aberrations"],
            ENERGY,
            semiangle=parameters["objective"],
            edge=EDGE,
            focal_spread=parameters["focal spread"],
            convergence=parameters["convergence"],
        )
        hrtem = quasi_coherent_image(behind[-1], extent, lens)
        return jnp.sum(stem * of_stem) + jnp.sum(hrtem**2 * of_image)

    start = {
        "positions": np.zeros((atoms, 3)),
        "occupancy": np.linspace(0.7, 1.0, atoms),
        "u2": specimen.u2,
        "spacing": specimen.thickness / SLICES,
        "tilt": [2e-3, -1e-3],
        "aberrations": coefficients({"C10": 15.0, "C12a": 10.0, "C21b": 200.0, "C30": 1e4}),
        "position": [0.7, 0.5],
        "source": 0.4,
        "inner": 28e-3,
        "outer": 47e-3,
        "objective": 18e-3,
        "focal spread": 30.0,
        "convergence": 4e-4,
    }
    # of one type, not weak: nothing is compiled twice
    return loss, {name: jnp.asarray(value, jnp.float64) for name, value in start.items()}


Case = tuple[str, tuple[int, ...], float]

CASES: list[Case] = [
    *(
        ("aberrations", (index(name),), step)
        for name, step in [("C10", 0.5), ("C12b", 0.5), ("C21a", 20.0), ("C30", 2e3), ("C45b", 1e5), ("C56a", 5e6)]
    ),
    ("tilt", (0,), 1e-4),
    ("tilt", (1,), 1e-4),
    ("spacing", (), 5e-3),
    ("position", (0,), 2e-3),
    ("positions", (0, 0), 1e-3),
    ("positions", (1, 1), 1e-3),
    ("occupancy", (3,), 1e-2),
    ("u2", (0,), 1e-4),
    ("u2", (7,), 1e-4),
    ("inner", (), 1e-6),
    ("outer", (), 1e-6),
    ("source", (), 1e-2),
    ("objective", (), 2e-5),
    ("focal spread", (), 0.5),
    ("convergence", (), 1e-5),
]
"""Parameter, entry, and the step of its differences."""

BY_THERMAL: dict[str, list[Case]] = {
    "frozen": [*CASES, ("positions", (6, 2), 1e-3), ("positions", (22, 2), 1e-3)],
    "debye-waller": [case for case in CASES if case[0] in ("positions", "occupancy", "u2", "spacing")],
    "absorptive": [case for case in CASES if case[0] in ("positions", "occupancy", "u2", "spacing", "tilt")],
}


def slope_and_difference(
    loss: Loss,
    start: dict[str, Array],
    name: str,
    position: tuple[int, ...],
    step: float,
    gradient: dict[str, Array],
) -> tuple[float, float]:
    """The derivative of ``loss`` in its ``gradient`` and its five-point difference, whose error is of fourth order in ``step``."""
    slope = gradient[name][position]
    at = {n: float(loss({**start, name: start[name].at[position].add(n * step)})) for n in (-2, -1, 1, 2)}
    return float(slope), (8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12.0 * step)


def along(loss: Loss, start: dict[str, Array], gradient: dict[str, Array], seed: int = 0) -> tuple[float, float]:
    """The derivative of ``loss`` in a random direction of all parameters together, and its difference: a step of each as in CASES at most."""
    random = np.random.default_rng(seed)
    size = dict.fromkeys(start, 0.0) | {name: 0.3 * step for name, _, step in reversed(CASES)}
    direction = {name: size[name] * random.uniform(-1.0, 1.0, np.shape(value)) for name, value in start.items()}
    # aberrations of different orders have different scales
    direction["aberrations"] = np.zeros(25)
    for name, position, step in CASES:
        if name == "aberrations":
            direction[name][position] = 0.3 * step * random.uniform(-1.0, 1.0)
    slope = sum(float(jnp.sum(gradient[name] * direction[name])) for name in start)
    at = {n: float(loss({name: value + n * direction[name] for name, value in start.items()})) for n in (-2, -1, 1, 2)}
    return slope, (8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / 12.0
