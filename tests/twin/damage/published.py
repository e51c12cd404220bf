"""Published fits of Mott's cross-section relative to Rutherford's: M. J. Boschini et al., Radiat. Phys. Chem. 90, 39
(2013), in the form of T. Lijian, H. Qing and L. Zhengming, Radiat. Phys. Chem. 45, 235 (1995); coefficients as Geant4
lists them. The fits are good to about 1 %.
"""

import numpy as np

FITS = {
    74: (
        (1.00025, -1.12974e-3, 3.25083e-4, 1.46196e-2, -1.49818e-2, -6.15916e-2),
        (-2.31499e-1, 1.42403, 6.68301, -8.72894, -3.12005e1, 8.13039e-2),
        (2.84004, 2.04799, -3.40292e1, 1.28426e1, 2.14035e2, 1.24907e2),
        (-2.24701, -2.76343, 4.3216e1, 4.91177, -3.2188e2, -2.66423e2),
        (2.87708e-1, -4.13579e-1, -1.67235e1, -6.90724, 1.33305e2, 1.29426e2),
    ),
    79: (
        (1.00043, -1.06114e-3, -4.7734e-3, 1.25001e-2, 2.40713e-2, -1.65728e-2),
        (-3.80207e-1, 9.40778e-1, 1.13464e1, -3.34423, -6.89259e1, -5.00549e1),
        (3.07493, 4.26732, -5.06567e1, -1.47102e1, 3.67721e2, 3.45521e2),
        (-2.0297, -4.13334, 6.10696e1, 4.02298e1, -4.99399e2, -5.35495e2),
        (1.06694e-1, -4.80932e-1, -2.28393e1, -2.00106e1, 1.95512e2, 2.27574e2),
    ),
}


def published_ratio(charge: int, beta: float, sines: np.ndarray) -> np.ndarray:
    """The ratio at ``sines`` of half the scattering angle for electrons of velocity ``beta`` c."""
    coefficients = np.array(FITS[charge]) @ (beta - 0.7181287) ** np.arange(6)
    return np.sum(coefficients * (2 * sines[:, None] ** 2) ** (np.arange(5) / 2), axis=1)
