"""The optics of a column from its settings: paraxial rays through every element, in closed form.

Every quantity is a differentiable function of the column's constants and of its settings. In a plane, (x, slope) of a ray that leaves the virtual source
at (x0, u) is M (x0, u), M from `twin.lenses.glaser.transfer`; at the specimen the frame is that in which the image does not turn.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.column.beamline import Beamline, nominal
from twin.column.corrected import Aberrations, corrector_of, set_values, together
from twin.column.elements import Aperture, Deflector, Detector, Element, Gun, Stigmator
from twin.column.settings import Settings
from twin.column.table import ColumnTable, Constant
from twin.lenses import immersed
from twin.lenses.fields import GlaserBell
from twin.lenses.paraxial import Transfer
from twin.optics.electrons import LIGHT_ANGSTROM_S, PLANCK_EV_S, REST_ENERGY_EV

_HC = PLANCK_EV_S * LIGHT_ANGSTROM_S
"""h c in eV angstrom."""


class Optics(NamedTuple):
    """The optics of a column: angstrom, radian, ampere. NaN where a quantity depends on a setting that was not reported.

    Illumination, at the specimen: ``crossover`` is C10 of the probe (positive: the crossover lies above the specimen), ``semi_angle`` the slope of the
    limiting aperture's edge, ``beam_diameter`` the geometrical disc that a point source makes, ``source_image`` the full width of the source's image,
    ``probe_size`` the width that holds half of the current in focus (J. E. Barth & P. Kruit, Optik 101, 101, 1996), ``current`` that of the beam,
    ``scan_rotation`` [deflectors] and ``scan_gain`` [deflectors] the azimuth and size in angstrom of what one unit of each deflector does.
    Imaging, at the detector: ``magnification`` and ``camera_length`` (both positive), ``image_rotation`` and ``pattern_rotation`` (a crossover's 180 degrees
    included), ``focus`` = C10 of the plane that the detector shows (positive: it lies below the specimen), ``pattern_focus`` the distance in the
    diffraction plane's terms, 1 / (angle per length that is mixed in).
    ``spherical`` and ``chromatic`` of the field before and behind the specimen, ``twofold`` (C12.a, C12.b) of the stigmators; a corrector's set values are in
    ``probe_size`` and in `Column.aberrations`.
    """

    crossover: Float[Array, ""]
    semi_angle: Float[Array, ""]
    beam_diameter: Float[Array, ""]
    source_image: Float[Array, ""]
    probe_size: Float[Array, ""]
    current: Float[Array, ""]
    scan_rotation: Float[Array, " d"]
    scan_gain: Float[Array, " d"]
    magnification: Float[Array, ""]
    camera_length: Float[Array, ""]
    image_rotation: Float[Array, ""]
    pattern_rotation: Float[Array, ""]
    focus: Float[Array, ""]
    pattern_focus: Float[Array, ""]
    spherical: Float[Array, " 2"]
    chromatic: Float[Array, " 2"]
    twofold: Float[Array, " 2"]


class Column:
    """A column described by a table. ``constants`` are its parameters with priors, ``controls`` the names of its settings."""

    def __init__(self, table: ColumnTable, detector: str | None = None):
        """``detector`` names the one at which images are meant, the last if None; ValueError if there is none of that name."""
        checks.require_float64()
        self.table = table
        detectors = [named.name for named in table.of(Detector)]
        if detector is not None and detector not in detectors:
            raise ValueError(f"the column {table.name!r} has no detector {detector!r}; it has {', '.join(detectors)}")
        self.detector = detector or detectors[-1]
        self.constants: tuple[Constant, ...] = table.constants()
        self.controls = table.controls()
        self._constant_index = {constant.name: i for i, constant in enumerate(self.constants)}
        self._control_index = {name: i for i, name in enumerate(self.controls)}
        self.beamline = Beamline(table, self._constant_index, self._control_index)
        self._compiled = jax.jit(self._optics)

    def nominal(self) -> np.ndarray:
        """The constants' prior means, [n]."""
        return np.array([constant.mean for constant in self.constants])

    def nominal_of(self, name: str) -> float:
        """The prior mean of one constant; ValueError for a name that is not there."""
        if name not in self._constant_index:
            raise ValueError(f"the column {self.table.name!r} has no constant {name!r}")
        return self.constants[self._constant_index[name]].mean

    def vector(self, values: Mapping[str, float]) -> np.ndarray:
        """Constants [n] with the named ``values`` and prior means elsewhere; ValueError for a name that is not there."""
        constants = self.nominal()
        for name, value in values.items():
            if name not in self._constant_index:
                raise ValueError(f"the column {self.table.name!r} has no constant {name!r}")
            constants[self._constant_index[name]] = value
        return constants

    def optics(self, settings: Settings, constants: np.ndarray | None = None) -> Optics:
        """What the optics are at ``settings`` with ``constants`` [n] (prior means if None)."""
        controls = self._vector(settings)
        return self.of(
            jnp.asarray(self.nominal() if constants is None else constants),
            jnp.asarray(controls),
            settings.high_tension,
        )

    def aberrations(self, settings: Settings, side: str, constants: np.ndarray | None = None) -> Aberrations:
        """Estimated aberrations at ``settings`` of the half of the objective before ("probe") or behind ("image") the specimen.

        C10 follows from the lens settings (of the plane that the detector shows, behind the specimen), C12 from the stigmators, C30 from the lens or from
        the set value of a corrector, with a variance that grows with the age of its last tableau. See `corrected` for unknown values.
        """
        corrector = corrector_of(self.table, side)
        numbers = jnp.asarray(self.nominal() if constants is None else constants)
        controls = jnp.asarray(self._vector(settings))
        optics = self.of(numbers, controls, settings.high_tension)
        specimen_position = nominal(self.table.of_specimen())
        stigmators = [
            stigmator
            for stigmator in self.table.of(Stigmator)
            if (nominal(stigmator) < specimen_position) == (side == "probe")
        ]
        first, second = (float(part) for part in self._twofold(numbers, controls, stigmators))
        lenses = {
            "C10": float(optics.crossover if side == "probe" else optics.focus),
            "C12a": first,
            "C12b": second,
            "C30": float(optics.spherical[0 if side == "probe" else 1]),
        }
        return together(lenses, corrector, settings)

    def _vector(self, settings: Settings) -> np.ndarray:
        """Values of the controls [m]: a corrector's are not a number without a tableau."""
        controls = settings.vector(self.controls)
        for side in ("probe", "image"):
            for name, value in set_values(corrector_of(self.table, side), settings).items():
                controls[self._control_index[name]] = value
        return controls

    def of(
        self, constants: Float[Array, " n"], controls: Float[Array, " m"], energy: float | Float[Array, ""]
    ) -> Optics:
        """The same for a vector ``controls`` of the ``controls``; differentiable."""
        return self._compiled(constants, controls, checks.float64(energy))

    def between(
        self,
        start: str,
        end: str,
        constants: Float[Array, " n"],
        controls: Float[Array, " m"],
        energy: Float[Array, ""],
    ) -> Transfer:
        """Rays from the plane of the element ``start`` to that of ``end`` behind it, by the elements' names."""
        for name in (start, end):
            self.table.named(name)
        return self.beamline.reached(start, (end,), constants, controls, energy)[end]

    def lens(self, name: str, constants: Float[Array, " n"], controls: Float[Array, " m"]) -> GlaserBell:
        """The field of a lens as it is driven; ValueError if the element is not a lens."""
        return self.beamline.bell(name, constants, controls)

    def _constant(self, element: Element, constants: Float[Array, " n"], field: str) -> Float[Array, ""]:
        return constants[self._constant_index[f"{element.name}.{field}"]]

    def _optics(self, constants: Float[Array, " n"], controls: Float[Array, " m"], energy: Float[Array, ""]) -> Optics:
        table = self.table
        gun, specimen = table.of(Gun)[0], table.of_specimen()
        planes = [
            element
            for element in table.element
            if isinstance(element, Aperture | Deflector) and nominal(element) < nominal(specimen)
        ]
        names = (*(element.name for element in planes), specimen.name)
        reached = self.beamline.reached(gun.name, names, constants, controls, energy)
        down = reached[specimen.name]
        (_, b), (_, d) = down.matrix
        # the narrowest aperture, as a half angle at the source
        half = jnp.stack(
            [
                self._radius(element, constants, controls) / jnp.abs(reached[element.name].matrix[0, 1])
                for element in planes
                if isinstance(element, Aperture)
            ]
            or [jnp.asarray(jnp.inf)]
        ).min()
        source = self._constant(gun, constants, "source")
        potential = energy * (1 + energy / (2 * REST_ENERGY_EV))
        current = self._constant(gun, constants, "brightness") * potential * (jnp.pi * source * half) ** 2 / 4
        rotations, gains = self._scan(planes, reached, down, constants)
        image = self.beamline.reached(specimen.name, (self.detector,), constants, controls, energy)[self.detector]
        (p, q), _ = image.matrix
        bell = self.lens(specimen.objective, constants, controls)
        specimen_centre = self._constant(specimen, constants, "place")
        upper, lower = (
            immersed.prefield(bell, specimen_centre, energy),
            immersed.postfield(bell, specimen_centre, energy),
        )
        semi_angle = jnp.abs(d) * half
        corrector = corrector_of(table, "probe")
        c30 = upper.spherical if corrector is None else controls[self._control_index[corrector.controls["C30"]]]
        source_image = source / jnp.abs(d)  # wherever it lies: the determinant is 1
        return Optics(
            crossover=b / d,
            semi_angle=semi_angle,
            beam_diameter=2 * jnp.abs(b) * half,
            source_image=source_image,
            probe_size=_probe_size(
                source_image, semi_angle, c30, upper.chromatic, self._constant(gun, constants, "energy_spread"), energy
            ),
            current=current,
            scan_rotation=rotations,
            scan_gain=gains,
            magnification=jnp.abs(p),
            camera_length=jnp.abs(q),
            image_rotation=image.rotation + jnp.where(p < 0, jnp.pi, 0.0),
            pattern_rotation=image.rotation + jnp.where(q < 0, jnp.pi, 0.0),
            focus=q / p,
            pattern_focus=p / q,
            spherical=jnp.stack([upper.spherical, lower.spherical]),
            chromatic=jnp.stack([upper.chromatic, lower.chromatic]),
            twofold=self._twofold(constants, controls, table.of(Stigmator)),
        )

    def _radius(
        self, aperture: Aperture, constants: Float[Array, " n"], controls: Float[Array, " m"]
    ) -> Float[Array, ""]:
        diameter = controls[self._control_index[aperture.control]]
        return jnp.where(diameter == 0, jnp.inf, 0.5 * diameter * self._constant(aperture, constants, "scale"))

    def _scan(self, planes, reached, down: Transfer, constants: Float[Array, " n"]) -> tuple[Array, Array]:
        rotations, gains = [], []
        for deflector in planes:
            if isinstance(deflector, Deflector):
                above = reached[deflector.name]
                to_specimen = down.matrix @ jnp.linalg.inv(above.matrix)
                shift = to_specimen[0, 1] * self._constant(deflector, constants, "deflection")
                rotations.append(
                    down.rotation
                    - above.rotation
                    + self._constant(deflector, constants, "azimuth")
                    + jnp.where(shift < 0, jnp.pi, 0.0)
                )
                gains.append(jnp.abs(shift))
        empty = jnp.zeros(0)
        return (jnp.stack(rotations), jnp.stack(gains)) if rotations else (empty, empty)

    def _twofold(
        self, constants: Float[Array, " n"], controls: Float[Array, " m"], stigmators: list[Stigmator]
    ) -> Float[Array, " 2"]:
        total = jnp.zeros(2)
        for stigmator in stigmators:
            strength, azimuth = (self._constant(stigmator, constants, name) for name in ("strength", "azimuth"))
            first, second = (controls[self._control_index[name]] for name in stigmator.controls)
            cos, sin = jnp.cos(2 * azimuth), jnp.sin(2 * azimuth)
            total = total + strength * jnp.stack([cos * first - sin * second, sin * first + cos * second])
        return total


def _probe_size(source_image: Array, semi_angle: Array, c30: Array, cc: Array, spread: Array, energy: Array) -> Array:
    wavelength = _HC / jnp.sqrt(energy * (energy + 2 * REST_ENERGY_EV))
    kappa = (1 + energy / REST_ENERGY_EV) / (1 + energy / (2 * REST_ENERGY_EV))
    diffraction = 0.54 * wavelength / semi_angle
    spherical = 0.18 * jnp.abs(c30) * semi_angle**3
    chromatic = 0.34 * cc * semi_angle * kappa * spread / energy
    waves = (diffraction**4 + spherical**4) ** (1.3 / 4)
    return jnp.sqrt((source_image**1.3 + waves) ** (2 / 1.3) + chromatic**2)
