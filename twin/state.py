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
