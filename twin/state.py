"""The state of a microscope and its specimen: a flat float64 vector of named entries, each with unit, scale and prior.

Names and scales define the vector, its covariance and its file. What the console was commanded
(settings) is not in here: `twin.image.microscope.affine_optics` joins the two.
"""

from collections.abc import Mapping

import msgspec
import numpy as np


class Entry(msgspec.Struct, frozen=True):
    """One number of the state: name, unit, prior mean and standard deviation, and description.

    ``period`` > 0: the entry is periodic with that length while it is unknown (a lattice's phase).
    """

    name: str
    unit: str
    mean: float
    std: float
    doc: str = ""
    period: float = 0.0


class Layout(msgspec.Struct, frozen=True):
    """Which entries a state has, and where each stands in the vector."""

    entries: tuple[Entry, ...]

    def __post_init__(self):
        names = [entry.name for entry in self.entries]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(
                f"state entries named twice: {', '.join(sorted(twice))}; give each entry a name of its own"
            )
        for entry in self.entries:
            if not (np.isfinite(entry.mean) and np.isfinite(entry.std) and entry.std > 0):
                raise ValueError(
                    f"the prior of {entry.name!r} is {entry.mean} +- {entry.std}; both must be finite and the second positive"
                )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def index(self, name: str) -> int:
        """Place of an entry in the vector; ValueError if the state has no such entry."""
        for position, entry in enumerate(self.entries):
            if entry.name == name:
                return position
        raise ValueError(f"the state has no entry {name!r}; it has {', '.join(self.names)}")

    def prior_mean(self) -> np.ndarray:
        """Prior means, float64 [n]."""
        return np.array([entry.mean for entry in self.entries])

    def prior_std(self) -> np.ndarray:
        """Prior standard deviations, float64 [n]."""
        return np.array([entry.std for entry in self.entries])

    def replaced(self, priors: Mapping[str, tuple[float, float]]) -> "Layout":
        """The same layout with some priors replaced by ``{name: (mean, std)}``; ValueError for an unknown name."""
        for name in priors:
            self.index(name)
        return Layout(
            tuple(
                msgspec.structs.replace(entry, mean=float(priors[entry.name][0]), std=float(priors[entry.name][1]))
                if entry.name in priors
                else entry
                for entry in self.entries
            )
        )


FIELD = ("field.level", "field.cx", "field.cy", "field.sx", "field.sy", "field.cp", "field.cm", "field.sp", "field.sm")
"""Level, and amplitudes of the lowest lattice harmonics (cosine and sine along x, y and the two diagonals), of the errors that the forward
model makes in every image: potentials, thermal amplitudes, amorphous layers, the detector's angles and response. Without them such errors
would be attributed to tilt, thickness and the detector's gain."""


def standard_layout(cell: float = 3.905) -> Layout:
    """The entries of a probe-forming column above a crystal of square cell ``cell`` (angstrom), with assumed priors.

    The drift figures behind the priors are assumptions of ordinary size (aberration zeros of a corrected 200 kV column), not
    measurements of one instrument; a scenario states its own where they matter.
    """
    a, pm = "angstrom", "1e-6"
    return Layout(
        (
            Entry(
                "C10",
                a,
                0.0,
                60.0,
                "defocus at zero command: the user's zero, what wandered since, and the response to temperature",
            ),
            Entry("C10.scale", "1", 0.0, 0.02, "relative error of the focus calibration"),
            Entry("C10.memory", a, 0.0, 1.0, "what remains of the response to earlier focus commands, fast part"),
            Entry("C10.memory.slow", a, 0.0, 1.0, "the same, slow part"),
            Entry("C12a", a, 0.0, 25.0),
            Entry("C12b", a, 0.0, 25.0),
            Entry("C21a", a, 0.0, 250.0),
            Entry("C21b", a, 0.0, 250.0),
            Entry("C23a", a, 0.0, 250.0),
            Entry("C23b", a, 0.0, 250.0),
            Entry("C30", a, 0.0, 1.5e4),
            Entry("HT", pm, 0.0, 0.5, "relative deviation of the high tension"),
            Entry("HT.bias", "volt", 0.0, 1000.0, "error of the divider that measures the high tension"),
            Entry("current", pm, 0.0, 0.3, "relative deviation of the objective's current"),
            Entry("current.bias", pm, 0.0, 10.0, "error of the current's measurement"),
            Entry("T", "kelvin", 0.0, 0.3, "temperature of the objective's coil, from where it began"),
            Entry("T.lagged", "kelvin", 0.0, 0.3, "the same as the pole piece follows it"),
            Entry("T.bias", "kelvin", 295.0, 6.0, "reading of the coil's thermometer at the beginning"),
            Entry("x", a, 0.0, cell / np.sqrt(12), "scan centre at zero beam shift, in the specimen's lattice", cell),
            Entry("y", a, 0.0, cell / np.sqrt(12), "scan centre at zero beam shift, in the specimen's lattice", cell),
            Entry("vx", "angstrom/second", 0.0, 0.16, "drift of the scan over the specimen"),
            Entry("vy", "angstrom/second", 0.0, 0.16, "drift of the scan over the specimen"),
            Entry("shift.xx", "1", 0.0, 0.012, "error of the deflector calibration"),
            Entry("shift.xy", "1", 0.0, 0.012, "error of the deflector calibration"),
            Entry("shift.yx", "1", 0.0, 0.012, "error of the deflector calibration"),
            Entry("shift.yy", "1", 0.0, 0.012, "error of the deflector calibration"),
            Entry("thickness", a, 78.1, 8.0),
            Entry("tilt.x", "radian", 0.0, 2.0e-3),
            Entry("tilt.y", "radian", 0.0, 2.0e-3),
            Entry("source", a, 0.35, 0.06, "rms radius per axis of the source's image on the specimen"),
            Entry(
                "tail",
                "1",
                0.06,
                0.06,
                "share of the current in the source's tails, taken as a second Gaussian three times as wide",
            ),
            Entry("focal_spread", a, 27.0, 6.0, "rms spread of focus, from the energy spread and the supplies' ripple"),
            Entry("gain", "1", 0.0, 0.03, "logarithm of detector gain times dose over their nominal product"),
            Entry("black", "count", 0.0, 5.0, "detector level without beam, from its nominal value"),
            *(
                Entry(name, "1", 0.0, 0.04, "lasting relative error of the model's image, locked to the lattice")
                for name in FIELD
            ),
        )
    )
