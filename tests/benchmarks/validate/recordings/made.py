"""A recording whose true metadata are known, and the signal that claims them, or something else."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from reconstruct.validation.data.options import Known
from reconstruct.validation.recording import Further
from twin.channels import field
from twin.records import Axis, Claim, Signal

AXES = {
    "image": ("pixel.y", "pixel.x"),
    "pattern": ("pixel.ky", "pixel.kx"),
    "disk": ("pixel.angle.y", "pixel.angle.x"),
    "scan": ("pixel.y", "pixel.x", "pixel.angle.y", "pixel.angle.x"),
}
"""Fields of the axes of each form of data; a spectrum has an axis of its own."""


@dataclasses.dataclass(frozen=True)
class Made:
    """A recording: its ``data``, their ``form``, the true ``values`` of what it claims (inside units), what is ``known`` besides, evidence from ``outside``
    of it for what it claims, ``raw`` metadata, claims that are ``texts``, and those of the file ``before``.

    ``written``: what a file without a fault writes, where that is not the truth (an encoder's reading); ``tells_time``: whether a wrong time (ns) shows in
    what else the file claims; ``signal``: a real recording, which keeps its axes and texts."""

    form: str
    data: np.ndarray
    values: Mapping[str, float]
    known: Known = dataclasses.field(default_factory=Known)
    outside: Callable[[Signal], Further] | None = None
    raw: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    before: Mapping[str, Claim] = dataclasses.field(default_factory=dict)
    written: Mapping[str, float] | None = None
    tells_time: Callable[[float], bool] | None = None
    signal: Signal | None = None


def signal_of(made: Made, claimed: Mapping[str, float]) -> Signal:
    """The recording as a file with these claims would be read."""
    if made.signal is not None:
        return claiming(made.signal, claimed)
    claims = {name: Claim(value, field(name).unit, f"made.{name}", f"{value:.8g} {field(name).unit}", zone="UTC" if name.startswith("time.") else "")
              for name, value in claimed.items()}  # fmt: skip
    claims |= {name: Claim(text, None, f"made.{name}", text) for name, text in made.texts.items()}
    if made.form == "spectrum":
        axes: tuple[Axis, ...] = (
            Axis("energy", made.data.shape[-1], claimed["dispersion"], claimed["energy_offset"], "electronvolt", "eV"),
        )
        return Signal(made.data, axes, "spectrum", "made", "", "made", claims, {}, dict(made.raw))
    names = AXES[made.form]
    axes = tuple(
        Axis(name, size, claimed[name], 0.0, field(name).unit, field(name).unit)
        for name, size in zip(names, made.data.shape, strict=True)
    )
    kind = "image" if made.data.ndim == 2 else "image-stack"
    return Signal(made.data, axes, kind, "made", "", "made", claims, {}, dict(made.raw))


def claiming(signal: Signal, claimed: Mapping[str, float]) -> Signal:
    """The ``signal`` with other values of its claims, wherever it states them, and axes that follow them."""
    claims = {
        name: msgspec.structs.replace(claim, value=claimed[name], text="") if name in claimed else claim
        for name, claim in signal.claims.items()
    }
    axes = []
    for axis in signal.axes:
        if axis.unit == "electronvolt":
            axes.append(msgspec.structs.replace(axis, scale=claimed["dispersion"], offset=claimed["energy_offset"]))
        elif f"pixel.{axis.name}" in claimed:
            axes.append(msgspec.structs.replace(axis, scale=claimed[f"pixel.{axis.name}"]))
        else:
            axes.append(axis)
    return msgspec.structs.replace(signal, claims=claims, axes=tuple(axes), repeated={})
