"""What is measured: one recording, with every number that is known of it and where it comes from.

What a recording says of itself is a claim; what is given overrides it.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.preparation.prepare import Preparation, reorder_axes
from reconstruct.measurement.recorded.frames import axis_order, preparation_of
from reconstruct.measurement.recorded.inputs import Inputs
from twin.errors import BadInput
from twin.records import Axis, Signal


class Setting(NamedTuple):
    """A number that the measurement rests on: ``value`` in ``unit`` (inside units; text has none), and its ``source``."""

    name: str
    value: float | str
    unit: str
    source: str


@dataclasses.dataclass
class Recording:
    """A ``signal`` called ``name``, the ``inputs`` that were given, its ``preparation`` by them, the ``settings`` used so far, and the
    ``defects`` that its preparation found and masked."""

    name: str
    signal: Signal
    inputs: Inputs
    preparation: Preparation = dataclasses.field(default_factory=Preparation)
    settings: list[Setting] = dataclasses.field(default_factory=list)
    defects: list[Defect] = dataclasses.field(default_factory=list)

    def add_setting(self, name: str, value: float | str, unit: str, source: str) -> Any:
        """Record a number that is used, and return it."""
        self.settings.append(Setting(name, value, unit, source))
        return value

    def add_given(self, description: str, name: str, value: float | str, unit: str = "") -> Any:
        """Record a number that was given as the input ``name``, and return it."""
        return self.add_setting(description, value, unit, self.inputs.words.source(name))

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns of what is measured: of the part that is used, in binned pixels."""
        axes = []
        for columns, axis in enumerate(self.signal.axes[-2:]):
            size, scale, offset = self.preparation.axis(axis.size, axis.scale, axis.offset, bool(columns))
            axes.append(msgspec.structs.replace(axis, size=size, scale=scale, offset=offset))
        return axes[0], axes[1]

    @property
    def steps(self) -> tuple[Axis, Axis]:
        """The scan's own axes (y, x): of those before the patterns' that no frame fixes, the last two."""
        leading = self.signal.axes[:-2]
        selections = (*self.preparation.frame, *[slice(None)] * (len(leading) - len(self.preparation.frame)))
        varying = [axis for axis, selection in zip(leading, selections, strict=True) if isinstance(selection, slice)]
        return varying[-2], varying[-1]

    @property
    def simulated(self) -> bool:
        """Whether it is a simulation of emtwin's."""
        return self.provenance("scenario.name") is not None

    def provenance(self, key: str) -> Any:
        """What emtwin's own recording says under a dotted key of its provenance, or None."""
        return self.signal.raw.get(f"emtwin.{key}")

    def provenance_number(self, key: str) -> float | None:
        """As `provenance`, a number; None for what is none."""
        value = self.provenance(key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def claim(self, name: str) -> float | None:
        """A number above zero that the recording claims, in inside units, or None."""
        claimed = self.signal.claims.get(name)
        value = None if claimed is None else claimed.value
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        return float(value) if usable else None  # type: ignore[arg-type]

    def require(self, description: str, name: str, claimed: float | None) -> float:
        """The number given as ``name``, or the ``claimed`` one; BadInput where there is neither."""
        value = self.optional(description, name, claimed)
        if value is None:
            raise BadInput(self.name, f"does not say its {description}", self.inputs.words.add(name))
        return value

    def optional(self, description: str, name: str, claimed: float | None) -> float | None:
        """As `require`, but None where there is neither; a given number of zero or below, or of another unit by its size, is refused."""
        unit = self.inputs.words.quantities[name].unit
        if getattr(self.inputs.known, name) is not None:
            return self.add_given(description, name, self.inputs.positive(name), unit)
        return None if claimed is None else self.add_setting(description, claimed, unit, self.inputs.words.origin)

    @property
    def energy(self) -> float | None:
        """eV, as the recording claims it."""
        energy = self.claim("high_tension")
        return energy if energy is not None and 1e3 <= energy <= 2e6 else None

    def beam_energy(self) -> float:
        """The energy of the electrons in eV; BadInput where it is neither given nor claimed."""
        return self.require("energy of the electrons", "energy", self.energy)

    def semiangle(self) -> float:
        """The convergence semi-angle in radian; BadInput where it is neither given nor claimed."""
        return self.require("convergence semi-angle", "semiangle", self.claim("convergence_semiangle"))


def recording_of(name: str, signal: Signal, inputs: Inputs, scan: bool = False) -> Recording:
    """An image or a stack of images as the inputs say; BadInput for what is none. ``scan``: all patterns are measured, and ranges of frames cut the scan."""
    if np.iscomplexobj(signal.data):
        cure = "Give intensities, in counts or electrons: of a wave, its squared modulus."
        raise BadInput(name, "holds complex numbers, a wave", cure)
    if signal.data.dtype.kind == "b":
        raise BadInput(name, "holds a mask of true and false", "Give intensities, in counts or electrons.")
    axes = axis_order(name, signal, inputs)
    if axes:
        values, ordered_axes = reorder_axes(signal.data, axes), tuple(signal.axes[index] for index in axes)
        signal = msgspec.structs.replace(signal, data=values, axes=ordered_axes)
    return Recording(name, signal, inputs, preparation_of(name, signal, inputs, scan))


def c10_changes(recordings: tuple[Recording, ...]) -> tuple[float, ...]:
    """Known change of C10 in angstrom of each recording; BadInput where there is not one for each."""
    inputs = recordings[0].inputs
    changes: Sequence[float] = inputs.known.changes or [0.0] * len(recordings)
    if len(changes) != len(recordings):
        problem = f"{len(changes)} are given for {len(recordings)} files"
        raise BadInput(inputs.words.label("changes"), problem, "Give it once for each file, in their order.")
    return tuple(inputs.finite("changes", float(change)) for change in changes)
