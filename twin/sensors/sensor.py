"""One sensor: the expected reading of its channel in a given state, its noise, and when its readings are evidence."""

from typing import Literal

import msgspec
import numpy as np

from twin.channels import Kind
from twin.state import Layout

Reports = Literal["periodic", "on-change", "event"]
"""When a source sends a channel: at its rate, when the value has changed, or when something has happened."""


class Sensor(msgspec.Struct, frozen=True):
    """A channel's reading = offset + sum of coefficient * state entry + sum of coefficient * input + white noise of rms ``noise``.

    All in the channel's unit. ``quantisation`` is the step readings are rounded to, ``rate`` (Hz) and ``reports`` say when they come,
    ``source`` whose clock stamps them, ``valid`` the channel that must be nonzero for this one to count ("" none), ``part`` the part of the
    model that it measures. ``field`` is the field of files' metadata (`twin.channels.FIELDS`) that it tells of, and ``bias`` the state entry that is its own
    constant error ("" none).
    """

    channel: str
    coefficients: dict[str, float]
    offset: float
    noise: float
    unit: str = "1"
    kind: Kind = "measured"
    inputs: dict[str, float] = {}
    quantisation: float = 0.0
    rate: float = 0.0
    reports: Reports = "periodic"
    source: str = ""
    valid: str = ""
    part: str = ""
    doc: str = ""
    field: str = ""
    bias: str = ""

    @property
    def evidence(self) -> bool:
        """Whether readings say anything of the state: an echo never does."""
        return self.kind != "echo" and bool(self.coefficients)

    @property
    def variance(self) -> float:
        """Variance of one reading: noise and rounding."""
        return self.noise**2 + self.quantisation**2 / 12.0

    def row(self, layout: Layout) -> np.ndarray:
        """The coefficients as a row vector [n] over a layout."""
        row = np.zeros(len(layout))
        for name, value in self.coefficients.items():
            row[layout.index(name)] = value
        return row
