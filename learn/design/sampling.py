"""Sampling of a map: pixels spread out at first, then pixels that lower the total variance most per unit of cost."""

import numpy as np
from jaxtyping import Float, Int


def spread_out(
    points: Float[np.ndarray, "n d"], count: int, allowed: Int[np.ndarray, " a"], rng: np.random.Generator
) -> Int[np.ndarray, " count"]:
    """``count`` of the ``allowed`` points, each as far as possible from those before it; the first is random (Gonzalez 1985).

    ``points`` [n, d] are coordinates in which distance measures difference. ValueError if ``count`` exceeds the allowed points.
    """
    if not 1 <= count <= allowed.size:
        raise ValueError(f"{count} points of {allowed.size} requested; request 1 to {allowed.size}")
    open_ = np.zeros(len(points), dtype=bool)
    open_[allowed] = True
    chosen = [int(rng.choice(allowed))]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        open_[chosen[-1]] = False
        farthest = int(np.where(open_, distance, -1.0).argmax())
        chosen.append(farthest)
        distance = np.minimum(distance, ((points - points[farthest]) ** 2).sum(1))
    return np.array(chosen)


def most_informative(
    covariance: Float[np.ndarray, "n n"],
    noise: Float[np.ndarray, " n"],
    allowed: Int[np.ndarray, " a"],
    count: int,
    cost: Float[np.ndarray, " n"] | None = None,
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Up to ``count`` of the ``allowed`` pixels, chosen in turn by the reduction of the summed variance per unit of ``cost``.

    A-optimal design (Krause, Singh & Guestrin, JMLR 9, 235, 2008, compare criteria): measuring pixel j with noise variance noise[j] lowers the total
    variance by |C_j|^2 / (C_jj + noise_j); the covariance is updated before the next choice. Returns pixels and reductions.
    """
    remaining = np.array(covariance, dtype=np.float64)
    left = np.array(allowed)
    price = np.ones(len(noise)) if cost is None else cost
    chosen: list[int] = []
    falls: list[float] = []
    while len(chosen) < count and left.size:
        fall = np.einsum("ij,ij->j", remaining, remaining)[left] / (remaining[left, left] + noise[left])  # no copy
        best = int((fall / price[left]).argmax())
        pixel = int(left[best])
        chosen.append(pixel)
        falls.append(float(fall[best]))
        remaining -= np.outer(remaining[:, pixel], remaining[pixel]) / (remaining[pixel, pixel] + noise[pixel])
        left = np.delete(left, best)
    return np.array(chosen, dtype=np.int64), np.array(falls)
