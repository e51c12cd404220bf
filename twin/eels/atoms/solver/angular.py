"""Angular momentum and spherical Bessel functions."""

from functools import cache
from math import factorial, sqrt

import numpy as np


@cache
def three_j(a: int, b: int, c: int, alpha: int, beta: int, gamma: int) -> float:
    """Wigner's 3j symbol of integers, by Racah's formula."""
    if alpha + beta + gamma or not abs(a - b) <= c <= a + b or abs(alpha) > a or abs(beta) > b or abs(gamma) > c:
        return 0.0
    f = factorial
    triangle = f(a + b - c) * f(a - b + c) * f(-a + b + c) / f(a + b + c + 1)
    product = f(a + alpha) * f(a - alpha) * f(b + beta) * f(b - beta) * f(c + gamma) * f(c - gamma)
    total = 0.0
    for t in range(max(0, b - c - alpha, a - c + beta), min(a + b - c, a - alpha, b + beta) + 1):
        below = (
            f(t) * f(c - b + t + alpha) * f(c - a + t - beta) * f(a + b - c - t) * f(a - t - alpha) * f(b - t + beta)
        )
        total += (-1) ** t / below
    return (-1) ** (a - b - gamma) * sqrt(triangle) * sqrt(product) * total


def multipoles(l: int, final: int) -> range:  # noqa: E741
    """The lambda of exp(i q r) that take l to ``final``."""
    return range(abs(l - final), l + final + 1, 2)


def coupling(l: int, final: int, multipole: int) -> float:  # noqa: E741
    """(2 lambda + 1)(2 l' + 1)(l lambda l'; 0 0 0)^2: the share of a multipole in transitions from one electron to all m'."""
    return (2 * multipole + 1) * (2 * final + 1) * three_j(l, multipole, final, 0, 0, 0) ** 2


def spherical_bessel(largest: int, x: np.ndarray) -> np.ndarray:
    """j_0 .. j_largest of ``x`` >= 0, [order, ...]: upwards by recurrence where that is stable (x > largest), else downwards (Miller)."""
    flat = np.maximum(np.ravel(x), 1e-30)
    result = np.empty((largest + 2, flat.size))
    upward = flat > largest
    z = flat[upward]
    below, here = np.sin(z) / z, (np.sin(z) / z - np.cos(z)) / z
    for order in range(largest + 2):
        result[order, upward] = below
        below, here = here, (2 * order + 3) / z * here - below
    z = flat[~upward]
    above, here = np.zeros_like(z), np.full_like(z, 1e-280)
    start = largest + 20 + int(4 * largest**0.5)
    down = np.empty((largest + 2, z.size))
    for order in range(start, -1, -1):
        if order < largest + 2:
            down[order] = here
        above, here = here, (2 * order + 1) / z * here - above
        grown = np.abs(here) > 1e150
        if grown.any():
            here[grown] *= 1e-200
            above[grown] *= 1e-200
            down[order:, grown] *= 1e-200
    # the larger of j_0 and j_1 sets the scale
    zeroth = np.sin(z) / z
    small = np.maximum(z, 1e-2)
    first = np.where(z < 1e-2, z / 3 * (1 - z**2 / 10), (np.sin(small) / small - np.cos(small)) / small)
    by_first = np.abs(first) > np.abs(zeroth)
    with np.errstate(all="ignore"):
        scale = np.where(by_first, first / down[1], zeroth / down[0])
    result[:, ~upward] = down * scale
    return result[: largest + 1].reshape(largest + 1, *np.shape(x))
