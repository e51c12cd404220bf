"""Claims: what a file says of the instrument, under the names of `twin.channels.FIELDS`, not verified. No JAX."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from twin.units import read_unit

if TYPE_CHECKING:
    from twin.records.signals import Axis

Value = str | float | int | bool

Claims = tuple[dict[str, "Claim"], dict[str, tuple["Claim", ...]]]
"""The first claim of each field by name, and further ones of the same fields."""


class Claim(msgspec.Struct, frozen=True):
    """One statement of the metadata about the instrument, not verified: ``value`` in the inside ``unit`` (None: text).

    ``key`` is its key in the metadata and ``text`` what stands there. Times are int64 ns UTC; ``zone`` is "UTC" where the file states the zone (or an epoch),
    "local" where it is the clock of a time zone that the file does not state, and then the value is as if that zone were UTC. ``step`` is the last digit of
    the number as it is written, in the inside unit: nothing finer is claimed; 0 where the text does not say.
    """

    value: Value
    unit: str | None
    key: str
    text: str = ""
    zone: str = ""
    step: float = 0.0


_OWN: tuple[tuple[str, str, str], ...] = (
    ("high_tension", "emtwin.scenario.beam.energy_keV", "kV"),
    ("convergence_semiangle", "emtwin.scenario.beam.semiangle_mrad", "mrad"),
    ("thickness", "emtwin.thickness", "Å"),
    ("dose", "emtwin.scenario.dose.per_area", ""),
    ("spherical_aberration", "emtwin.scenario.beam.aberrations.C30", "Å"),
    ("collection_semiangle", "emtwin.scenario.spectrometer.collection_mrad", "mrad"),
    ("exposure", "emtwin.scenario.spectrometer.exposure", "s"),
    ("beam_current", "emtwin.scenario.beam.current_pA", "pA"),
    ("gain", "emtwin.scenario.spectrometer.gain", ""),
)
"""Claims of emtwin's own recordings: the key in their provenance, and the unit of the number there."""
_SCENARIO = "emtwin.scenario"
_DEFOCUS = "emtwin.scenario.beam.defocus"
_AXES: dict[str, tuple[tuple[str, str], ...]] = {
    "angstrom": (("y", "pixel.y"), ("x", "pixel.x")),
    "1/angstrom": (("y", "pixel.ky"), ("x", "pixel.kx")),
    "radian": (("y", "pixel.angle.y"), ("x", "pixel.angle.x")),
}
"""Fields of the axes along rows and columns, by the unit of these."""


def collect(claims: Iterable[tuple[str, Claim]]) -> Claims:
    """Claims (name, claim) in their order, as first ones and repeated ones."""
    first: dict[str, Claim] = {}
    more: dict[str, tuple[Claim, ...]] = {}
    for name, claim in claims:
        if name not in first:
            first[name] = claim
        else:
            more[name] = (*more.get(name, ()), claim)
    return first, more


def last_digit(text: str, factor: float = 1.0) -> float:
    """What one step of the last digit of a number is worth that is written as ``text``, times ``factor``: 0.1 for "20.3", 1 for "0.3e1"; 0 for no number.

    Trailing zeros of whole numbers count as digits: "200" is taken as a number to the unit.
    """
    words = text.strip().lower().split()
    mantissa, _, exponent = (words[0] if words else "").partition("e")
    digits = mantissa.lstrip("+-")
    if not digits.replace(".", "", 1).isdigit():
        return 0.0
    decimals = len(digits.partition(".")[2])
    try:
        return 10.0 ** ((int(exponent) if exponent else 0) - decimals) * abs(factor)
    except (ValueError, OverflowError):
        return 0.0


def axis_claims(axes: tuple["Axis", ...], kind: str) -> list[tuple[str, Claim]]:
    """What the axes of a recording claim: pixel sizes of rows and columns, steps of a scan, dispersion and first energy of a spectrum.

    A negative scale is an axis that runs backwards; its size is what is claimed.
    """
    claims: list[tuple[str, Claim]] = []
    plane = axes[:-1][-2:] if kind.startswith("spectrum") else axes[-2:]
    groups = [plane, axes[:-2][-2:]] if len(axes) >= 4 and kind == "image-stack" else [plane]
    for group in groups:
        if len(group) != 2 or group[0].unit != group[1].unit or group[0].unit not in _AXES:
            continue
        for axis, (_, name) in zip(group, _AXES[group[0].unit], strict=True):
            if axis.scale != 0.0 and axis.size > 1:
                claims.append(
                    (
                        name,
                        Claim(abs(axis.scale), axis.unit, f"axes.{axis.name}.scale", f"{axis.scale:.8g} {axis.unit}"),
                    )
                )
    for axis in axes:
        if axis.unit == "electronvolt" and axis.scale != 0.0:
            claims.append(
                ("dispersion", Claim(axis.scale, axis.unit, f"axes.{axis.name}.scale", f"{axis.scale:.8g} eV"))
            )
            claims.append(
                ("energy_offset", Claim(axis.offset, axis.unit, f"axes.{axis.name}.offset", f"{axis.offset:.8g} eV"))
            )
    return claims


def own_claims(raw: Mapping[str, Value]) -> list[tuple[str, Claim]]:
    """The claims of one of emtwin's own recordings, whose flattened provenance ``raw`` has keys "emtwin. ..."."""
    claims = []
    for name, key, text in _OWN:
        value, unit = raw.get(key), read_unit(text)
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (unit is not None or not text)
        ):
            factor, inside = (
                (unit.factor, unit.unit)
                if unit is not None
                else (1.0, "1" if name != "dose" else "electron/angstrom^2")
            )
            claims.append((name, Claim(float(value) * factor, inside, key, f"{value:.12g} {text}".rstrip())))
    defocus = raw.get(_DEFOCUS)
    if isinstance(defocus, (int, float)) and math.isfinite(defocus):
        claims.append(("C10", Claim(-float(defocus), "angstrom", _DEFOCUS, f"{defocus:.12g} Å of defocus")))
    return claims + _scan_on_camera(raw)


def _scan_on_camera(raw: Mapping[str, Value]) -> list[tuple[str, Claim]]:
    """The rotation of a scan of patterns on its camera: minus that of the camera, whose x axis is turned from the scan's."""
    signal, quantity = raw.get(f"{_SCENARIO}.signal"), raw.get("quantity")
    if signal != "4d-stem" and not (signal == "stem" and quantity == "diffracted intensity"):
        return []
    cameras = [
        key.removesuffix(".kind")
        for key, value in raw.items()
        if key.startswith(f"{_SCENARIO}.detectors.") and key.endswith(".kind") and value == "pixelated"
    ]
    turned = raw.get(f"{cameras[0]}.rotation") if len(cameras) == 1 else None
    if not isinstance(turned, (int, float)) or isinstance(turned, bool) or not math.isfinite(turned):
        return []
    text = f"{turned:.12g} rad of the camera"
    return [("pattern_rotation", Claim(-float(turned) + 0.0, "radian", f"{cameras[0]}.rotation", text))]
