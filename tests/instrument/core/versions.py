"""Versions of stored results: a check that fails where numbers changed and their version number did not."""

from collections.abc import Mapping

import numpy as np

TOLERANCE = 1e-5
"""As a share of the root mean square: far above rounding of float32 on another processor, far below a change of the physics."""


def fingerprint(array: np.ndarray) -> tuple[float, float]:
    """Root mean square of the values, and their mean with a weight that differs from place to place."""
    values = np.asarray(array).ravel()
    parts = np.concatenate([np.real(values), np.imag(values)]) if np.iscomplexobj(values) else values
    numbers = parts.astype(np.float64)
    weights = np.cos(1.0 + 2.4 * np.arange(numbers.size))
    return float(np.sqrt(np.mean(numbers**2))), float(np.mean(numbers * weights))


def check_version(
    module: str,
    version: int,
    arrays: Mapping[str, np.ndarray],
    reference: tuple[int, Mapping[str, tuple[float, float]]],
) -> None:
    """AssertionError where the fingerprints of ``arrays`` are not those of ``reference``, or its version is not ``version``."""
    known_version, known = reference
    now = {name: fingerprint(array) for name, array in arrays.items()}
    changed = [
        name
        for name in sorted({*now, *known})
        if name not in now
        or name not in known
        or not np.allclose(now[name], known[name], rtol=0.0, atol=TOLERANCE * max(known[name][0], 1e-300))
    ]
    if version == known_version:
        assert not changed, (
            f"the numbers that {module} computes changed ({', '.join(changed)}): raise VERSION there, so that stored results of the old numbers are not "
            f"used, and set REFERENCE of this test to ({version + 1}, {_text(now)})"
        )
    assert version == known_version, (
        f"VERSION of {module} is {version}: set REFERENCE of this test to ({version}, {_text(now)})"
    )


def _text(fingerprints: Mapping[str, tuple[float, float]]) -> str:
    return "{" + ", ".join(f'"{name}": ({a:.8g}, {b:.8g})' for name, (a, b) in fingerprints.items()) + "}"
