"""What an image is expected to tell of quantities of which a mixture of Gaussians is believed.

An image lowers the variance within each component, and tells components apart. The first is a linear Gaussian update. For the second, images of two
components differ by D standard deviations (of noise, and of what is not known within a component): the logarithm of the likelihood ratio is normal with mean
D^2 / 2 and variance D^2, and the expected product of the two posterior probabilities p and 1 - p follows from it (Bhattacharyya's coefficient exp(-D^2 / 8)
is its limit for large D; Kailath, IEEE Trans. Commun. 15, 52, 1967).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from reconstruct.inference.belief import Belief, triangular

SPACING, REACH = 1.5, 2.2
"""Of the parts of a component that is split: their distance in their standard deviations, and the farthest in that of the component."""
FARTHEST = 6.0
_Z = np.linspace(-FARTHEST, FARTHEST, 121)
_DENSITY = norm.pdf(_Z) / norm.pdf(_Z).sum()


class Components(NamedTuple):
    """A mixture of Gaussians: ``weights`` [c], ``means`` [c, n] and roots of covariances ``roots`` [c, n, n]."""

    weights: Float[np.ndarray, " c"]
    means: Float[np.ndarray, "c n"]
    roots: Float[np.ndarray, "c n n"]

    def variances(self, rows: Float[np.ndarray, "q n"]) -> Float[np.ndarray, " q"]:
        """Of linear functions ``rows`` of the state."""
        within = np.square(np.einsum("qn,cnm->cqm", rows, self.roots)).sum(-1)
        values = self.means @ rows.T
        return self.weights @ (within + np.square(values - self.weights @ values))


class Response(NamedTuple):
    """An image by the components of a belief, whitened by its noise: ``images`` [c, m], their derivatives ``jacobians`` [c, m, n] in the state, and its
    ``electrons``."""

    images: Float[np.ndarray, "c m"]
    jacobians: Float[np.ndarray, "c m n"]
    electrons: float


def components_of(
    belief: Belief, row: Float[np.ndarray, " n"], widest: float, most: int, least_weight: float = 0.02
) -> Components:
    """At most ``most`` components of a belief, those of less than ``least_weight`` left out; one whose ``row`` @ state has a standard deviation above
    ``widest`` is split along it, for images are linear in it over less than that."""
    parts: list[tuple[float, np.ndarray, np.ndarray]] = []
    for weight, mean, root in zip(belief.weights, belief.means, belief.cov_sqrt, strict=True):
        along = root @ (root.T @ row)
        std = float(np.sqrt(row @ along))
        if std <= widest:
            parts.append((float(weight), mean, root))
            continue
        step, share = along / std, widest / std
        # a root of P - (1 - s^2) u u^T, by the square root of I - (1 - s^2) v v^T with v of unit length
        inner = root.T @ row / std
        narrowed = triangular(root - (1.0 - share) * np.outer(root @ inner, inner))
        nodes, shares = _nodes(share)
        parts += [
            (float(weight * part), mean + node * step, narrowed) for node, part in zip(nodes, shares, strict=True)
        ]
    parts.sort(key=lambda each: -each[0])
    kept = [each for each in parts[:most] if each[0] >= least_weight * parts[0][0]]
    weights = np.array([each[0] for each in kept])
    return Components(
        weights / weights.sum(), np.stack([each[1] for each in kept]), np.stack([each[2] for each in kept])
    )


def _nodes(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Places and weights of Gaussians with standard deviation ``spread`` whose mixture is nearly a standard normal one, with its variance."""
    count = 2 * int(np.ceil(REACH / (SPACING * spread))) + 1
    nodes = REACH * np.linspace(-1.0, 1.0, count)
    weights = norm.pdf(nodes)
    weights /= weights.sum()
    # the places are scaled so that the variance is right
    return nodes * np.sqrt((1.0 - spread**2) / (weights @ nodes**2)), weights


def confusion(squares: Float[np.ndarray, "..."], share: float) -> Float[np.ndarray, "..."]:
    """Expected product p (1 - p) of the posterior probabilities of two hypotheses of prior probability ``share`` and 1 - ``share`` whose data differ by
    ``squares`` = D^2."""
    other = 1.0 - share
    ratio = 0.5 * np.sqrt(squares)[..., None] * _Z
    # of exp(-D^2 / 8) / (a exp(l / 2) + b exp(-l / 2)) over l of N(0, D^2), the geometric mean of both hypotheses' densities
    largest = np.maximum(ratio + np.log(share), np.log(other) - ratio)
    denominator = largest + np.log(np.exp(ratio + np.log(share) - largest) + np.exp(np.log(other) - ratio - largest))
    return share * other * np.exp(-squares / 8.0) * (np.exp(-denominator) @ _DENSITY)


def expected_variances(
    components: Components, rows: Float[np.ndarray, "q n"], response: Response, most: int
) -> Float[np.ndarray, "most q"]:
    """Variances of ``rows`` @ state that are expected after 1 to ``most`` images like one another."""
    counts = np.arange(1, most + 1)[:, None]
    total, spectra = np.zeros((most, len(rows))), list[tuple[np.ndarray, np.ndarray]]()
    for weight, root, jacobian in zip(components.weights, components.roots, response.jacobians, strict=True):
        seen = jacobian @ root
        values, vectors = np.linalg.eigh(seen.T @ seen)
        values = np.maximum(values, 0.0)
        parts = np.square(vectors.T @ (root.T @ rows.T))
        total += weight * (1.0 / (1.0 + counts * values) @ parts)
        spectra.append((values, vectors.T @ seen.T))
    means = components.means @ rows.T
    for first in range(len(components.weights)):
        for second in range(first + 1, len(components.weights)):
            both = components.weights[first] + components.weights[second]
            difference = response.images[first] - response.images[second]
            each = [_told_apart(difference, *spectra[own], counts[:, 0]) for own in (first, second)]
            squares = 0.5 * (each[0] + each[1])
            mixed = both**2 * confusion(squares, components.weights[first] / both)
            total += mixed[:, None] * np.square(means[first] - means[second])
    return total


def _told_apart(difference: np.ndarray, values: np.ndarray, projected: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """D^2 of ``counts`` images whose whitened expectations differ by ``difference`` [m], what is not known within a component taken as noise."""
    along = np.square(projected @ difference)
    alone = difference @ difference
    squares = counts * alone - np.square(counts) * (1.0 / (1.0 + counts[:, None] * values) @ along)
    return np.maximum(squares, 0.0)
