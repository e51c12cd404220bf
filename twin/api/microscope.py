"""The microscope of a simulation from Python: electrons, aberrations, aperture and coherence."""

from dataclasses import fields
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from twin import checks
from twin.api.values import kilo, mrad, plain
from twin.checks import Number
from twin.optics.aberrations import CEOS, NAMES, cartesian, index
from twin.optics.illumination import Illumination
from twin.optics.probe import Edge
from twin.optics.transfer import Imaging

Aberration = Number | tuple[Number, float]


class Microscope(eqx.Module):
    """One microscope for every signal, each of which takes what it needs: a probe ``semiangle`` and ``source``; an image ``aperture``, ``edge``,
    ``convergence`` and ``vibration``.

    ``energy`` in eV; ``semiangle`` of the probe in radian; ``aberrations`` in angstrom by Krivanek's name (C12a = 20, or C12 = (magnitude, azimuth in
    radian)) or CEOS's (A1 = (20, 0.5)), C10 = -defocus; ``focal_spread`` rms in angstrom; ``source`` size rms along one axis in angstrom; ``tilt`` (x, y)
    of the beam in radian; ``aperture`` semi-angle of the objective aperture in
    radian (None: none) and ``edge`` the width of its smooth edge; ``convergence`` of a plane wave's
    illumination rms along one axis in radian; ``vibration`` of the image rms along one axis in angstrom. A pytree: all but ``energy``, ``semiangle``,
    ``aperture`` and ``edge`` may be differentiated in. ValueError for an energy or angle that no microscope has.

    >>> Microscope(energy=200e3, semiangle=21e-3).at(C10=-50.0, C30=1e4).aberrations
    {'C10': -50.0, 'C30': 10000.0}
    """

    energy: float = eqx.field(static=True)
    semiangle: float | None = eqx.field(static=True, default=None)
    aberrations: dict[str, Aberration] = eqx.field(default_factory=dict)
    focal_spread: Number = 0.0
    source: Number = 0.0
    tilt: tuple[Number, Number] | Float[Array, " 2"] = (0.0, 0.0)
    aperture: float | None = eqx.field(static=True, default=None)
    edge: float | None = eqx.field(static=True, default=None)
    convergence: Number = 0.0
    vibration: Number = 0.0

    def __check_init__(self) -> None:
        checks.electron_energy(self.energy)
        for name, angle in (("semiangle", self.semiangle), ("aperture", self.aperture)):
            if angle is not None and not 0.0 < angle <= 0.2:
                raise ValueError(
                    f"{name} is {angle} rad; give it in radian, above 0 and at most 0.2, e.g. 21e-3 for 21 mrad"
                )
        for name in self.aberrations:
            if name not in CEOS and f"{name}a" not in NAMES:
                index(name)

    def at(self, **changes: Any) -> "Microscope":
        """A changed copy: fields by name, aberrations by theirs (``at(C10=-50.0, tilt=(1e-3, 0.0))``); other aberrations stay."""
        own = {field.name for field in fields(self)}
        values: dict[str, Any] = {name: getattr(self, name) for name in own}
        values |= {name: value for name, value in changes.items() if name in own}
        more = {name: value for name, value in changes.items() if name not in own}
        values["aberrations"] = {**values["aberrations"], **more}
        return Microscope(**values)

    def coefficients(self) -> Float[Array, " 25"]:
        """Aberrations in angstrom in the order of `twin.optics.aberrations.NAMES`; ValueError where JAX has no float64."""
        total = checks.float64([0.0] * len(NAMES))
        for name, value in self.aberrations.items():
            for part, size in cartesian(name, value).items():
                total = total.at[index(part)].add(size)
        return total

    def illumination(self, soft: Edge = True) -> Illumination:
        """The convergent beam, its aperture's edge ``soft``; ValueError without a ``semiangle``."""
        if self.semiangle is None:
            raise ValueError("a probe needs a convergence semi-angle; give Microscope(semiangle=...) in radian")
        return Illumination(self.coefficients(), self.energy, self.semiangle, soft, self.focal_spread, self.source)

    def imaging(self) -> Imaging:
        """The objective lens and the coherence of a plane wave."""
        zero = jnp.zeros_like(checks.float64(self.vibration))
        shaken = jnp.stack([checks.float64(self.vibration), checks.float64(self.vibration), zero])
        return Imaging(
            self.coefficients(),
            self.energy,
            self.aperture,
            self.edge,
            self.tilt,
            self.focal_spread,
            self.convergence,
            shaken,
        )

    def known(self) -> "Microscope":
        """What of it has a number: values under a JAX trace (of `jax.grad`, `jax.vmap`) are left out, their defaults in their place."""
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "aberrations":
                values[field.name] = {name: size for name, size in value.items() if checks.known(size)}
            elif checks.known(value):
                values[field.name] = value
        return Microscope(**values)

    def values(self, convergent: bool) -> dict[str, Any]:
        """The table [beam] of a scenario, as plain values, for a ``convergent`` beam or a plane wave."""
        table = {
            "energy_keV": kilo(self.energy), "semiangle_mrad": mrad(self.semiangle) if convergent else None,
            "aberrations": self.aberrations, "focal_spread": self.focal_spread, "tilt_mrad": mrad(self.tilt),
            "source": self.source if convergent else 0.0,
        }  # fmt: skip
        return plain(table)

    def lens_values(self) -> dict[str, Any]:
        """The table [lens] of a scenario, without what is its default; empty where all is."""
        table = {
            "aperture_mrad": mrad(self.aperture), "edge_mrad": mrad(self.edge),
            "convergence_mrad": mrad(self.convergence) or None, "vibration": self.vibration or None,
        }  # fmt: skip
        return plain(table)
