"""The mean transmission function of a crystal of independently vibrating atoms: the exact average over displacements, seen by the coherent wave.

Slices whose atoms move independently transmit the mean wave by their mean functions, since E[P t psi] = P E[t] E[psi]; and independent atoms of one slice
by the product of theirs. The mean over the displacements u of one atom is a convolution of exp(i sigma v) with a Gaussian of variance <u^2>, so that

    E[t] = prod_atoms F^-1[ exp(-2 pi^2 <u^2> k^2) F[ exp(i sigma v_atom) ] ].

To second order in v this is the damped, absorptive potential of `twin.sample.potential.absorption`; heavy atoms go beyond it (Sr at 200 keV: 5 to
10 % of a beam's intensity). The intensity it removes from the wave is thermal diffuse scattering.
"""

import numpy as np
from jaxtyping import Complex

from twin.grid import band_limit, frequencies
from twin.optics.electrons import interaction_constant
from twin.sample.specimen import Specimen

OVERSAMPLING = 4
"""Functions are computed on a grid this many times finer, to resolve exp(i sigma v) of heavy atoms."""


def mean_transmission(
    cell: Specimen, slices: int, gpts: tuple[int, int], energy: float, parametrization: str = "lobato"
) -> Complex[np.ndarray, "slices y x"]:
    """Mean transmission functions of a ``cell`` in ``slices`` slices on a grid ``gpts`` (ny, nx), limited to the grid's band, for electrons of ``energy`` eV.

    Atoms are projected whole into their slices. Occupancies weigh potentials, as `Specimen.slices` does.
    """
    fine = (OVERSAMPLING * gpts[0], OVERSAMPLING * gpts[1])
    sigma = interaction_constant(energy)
    kx, ky = frequencies(fine, cell.extent)
    square = kx[None, :] ** 2 + ky[:, None] ** 2
    total = np.ones((slices, *fine), np.complex128)
    for atom, symbol in enumerate(cell.symbols):
        selected = slice(atom, atom + 1)
        single_atom = Specimen(
            cell.positions[selected], cell.u2[selected], (symbol,), cell.cell, cell.occupancy[selected]
        )
        potential = np.asarray(
            single_atom.slices(fine, slices, dtype=np.float64, parametrization=parametrization).array
        )
        damping = np.exp(-2.0 * np.pi**2 * float(cell.u2[atom]) * square)
        total *= np.fft.ifft2(np.fft.fft2(np.exp(1j * sigma * potential)) * damping)
    rows, columns = (np.rint(np.fft.fftfreq(n) * n).astype(int) for n in gpts)
    spectrum = np.fft.fft2(total)[:, rows[:, None], columns[None, :]] / OVERSAMPLING**2
    return np.fft.ifft2(spectrum * band_limit(gpts, cell.extent)).astype(np.complex64)
