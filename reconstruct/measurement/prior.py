"""Prior of the aberrations."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from twin.optics.aberrations import NAMES
from twin.optics.weak import THIRD

COEFFICIENTS: tuple[str, ...] = tuple(n if len(n) == 3 else f"{n[:3]}.{n[3]}" for n in NAMES[:THIRD])
"""Names of the coefficients to third order as controls and channels have them: C10, C12.a, C12.b, C21.a ..."""
DETERMINED_SHARE = 0.7
"""A coefficient whose error is above this share of its prior's is called undetermined."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """Prior: ``mean`` [12] and ``covariance`` [12, 12] of the COEFFICIENTS in angstrom, the film's ``thickness`` as (mean, standard
    deviation) in angstrom. C10 is that at the film's entrance face."""

    mean: np.ndarray
    covariance: np.ndarray
    thickness: tuple[float, float] = (50.0, 20.0)

    def __post_init__(self):
        if np.shape(self.mean) != (THIRD,) or np.shape(self.covariance) != (THIRD, THIRD):
            raise ValueError(
                f"the prior has mean {np.shape(self.mean)} and covariance {np.shape(self.covariance)}; give [12] and [12, 12], {', '.join(COEFFICIENTS)}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise ValueError("the prior is not finite; give angstroms")
        scale = np.sqrt(np.abs(np.diag(self.covariance)))
        if not (scale > 0).all() or np.linalg.eigvalsh(self.covariance / np.outer(scale, scale)).min() <= 0:
            raise ValueError(
                "the prior's covariance is not positive definite; give what is known exactly a small width"
            )
        if not (self.thickness[0] > 0 and self.thickness[1] > 0):
            raise ValueError(f"the film's thickness is {self.thickness}; give (mean, standard deviation) in angstrom")

    @classmethod
    def independent(
        cls,
        std: Sequence[float | int] | np.ndarray,
        mean: Sequence[float | int] | np.ndarray | None = None,
        thickness: tuple[float, float] = (50.0, 20.0),
    ) -> "Prior":
        """With standard deviations ``std`` [12] in angstrom about ``mean`` [12] (default 0)."""
        middle = np.zeros(THIRD) if mean is None else np.asarray(mean, np.float64)
        return cls(middle, np.diag(np.asarray(std, np.float64) ** 2), thickness)
