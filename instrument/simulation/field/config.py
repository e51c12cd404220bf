"""The configuration of a field: atoms of one cell, what may be changed, the optics that are believed, and how well."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0, lt=1e9)]
NotNegative = Annotated[float, Meta(ge=0, lt=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Place = tuple[float, float]


class FieldConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One orthogonal cell with the beam along z: atomic ``numbers``, ``positions`` (angstrom), ``u2`` (<u^2> along one axis, angstrom^2) and ``occupancy`` of
    its atoms, its ``sides``; the specimen is ``depth`` cells thick. The atom number ``site`` stands for the column in which one atom may become one of atomic
    number ``by`` (0: none), ``at`` a depth in angstrom or at any; ``alike``: where columns like it are in the cell, as displacements (x, y) from it.

    The hidden truth is drawn by the seed: each column like it is changed with probability ``share``; C10, both parts of C12, the source's size, thickness, and
    the gain deviate normally with the standard deviations given (angstrom; gain: a share), columns are displaced by ``jitter`` (rms of each axis) and differ
    in thickness by ``roughness``. ``motion``: mean square displacements over ``u2``. The other numbers are known.
    """

    numbers: Annotated[list[Annotated[int, Meta(ge=1, le=103)]], Meta(min_length=1, max_length=5000)]
    positions: list[tuple[float, float, float]]
    u2: list[NotNegative]
    occupancy: list[Share]
    sides: tuple[Positive, Positive, Positive]
    depth: Annotated[int, Meta(ge=1, le=500)] = 1
    site: Annotated[int, Meta(ge=0)]
    by: Annotated[int, Meta(ge=0, le=103)]
    at: NotNegative | None = None
    alike: Annotated[list[Place], Meta(min_length=1)]
    share: Share = 0.15
    energy: Annotated[float, Meta(ge=2e4, le=1.5e6)] = 200e3
    semiangle: Annotated[float, Meta(ge=1e-3, le=0.06)] = 21.4e-3
    detectors: Annotated[dict[str, tuple[NotNegative, Positive]], Meta(min_length=1, max_length=8)]
    c10: float = 0.0
    source: NotNegative = 0.35
    defocus_std: NotNegative = 20.0
    astigmatism_std: NotNegative = 10.0
    source_std: NotNegative = 0.1
    thickness_std: NotNegative = 0.0
    gain_std: NotNegative = 0.05
    jitter: NotNegative = 0.05
    roughness: NotNegative = 0.0
    drift: NotNegative = 0.0  # angstrom/second along each axis, rms
    motion: Positive = 1.06
    configurations: Annotated[int, Meta(ge=1, le=200)] = 12
    parked: NotNegative = 1e-4  # seconds of beam on the specimen before the first pixel of a scan
    readout: NotNegative = 0.0  # rms electrons of a pixel
    dose_limit: Positive = 1e8  # electrons/angstrom^2 of one scan


def from_mapping(values: dict[str, object]) -> FieldConfig:
    """The configuration of a JSON table. ValueError naming key, value and cure when one is wrong."""
    try:
        config = msgspec.convert(values, FieldConfig)
    except msgspec.ValidationError as error:
        names = ", ".join(FieldConfig.__struct_fields__)
        raise ValueError(f"field: {error}; the keys are {names}") from error
    count = len(config.numbers)
    for name in ("positions", "u2", "occupancy"):
        if len(getattr(config, name)) != count:
            raise ValueError(
                f"field: {name} has {len(getattr(config, name))} entries for {count} atoms; give one for each"
            )
    if config.site >= count:
        raise ValueError(f"field: site = {config.site} is no atom of the cell; give a number below {count}")
    for name, (inner, outer) in config.detectors.items():
        if not inner < outer <= 0.3:
            raise ValueError(
                f"field: detectors: {name} from {inner} to {outer} rad; give a smaller and a larger angle, at most 0.3"
            )
    if not all(math.isfinite(value) for each in (*config.positions, *config.alike) for value in each):
        raise ValueError("field: positions or alike are not finite; give angstrom")
    thickness = config.depth * config.sides[2]
    if config.at is not None and config.at > thickness:
        raise ValueError(f"field: at = {config.at} is not within the specimen; give a depth up to {thickness:g}")
    return config
