"""Plural scattering, exactly: losses are independent, so that the number of each kind is Poisson distributed.

With the mean number of losses per eV n(E), of transform N(s), and the zero loss Z(s), a spectrum of one electron has the transform Z exp(N(s) - N(0)): all
orders of scattering in any mixture (Misell & Jones, J. Phys. A 2, 540, 1969; Egerton, Electron Energy-Loss Spectroscopy, 3rd ed., eq. 4.8).
"""

from jaxtyping import Array, Complex

from twin.checks import Number


def exponent(thickness: Number, single: Complex[Array, " half"], total: Number = 1.0) -> Complex[Array, " half"]:
    """N(s) - N(0) of a kind of loss: its mean number per unit is ``single``, of ``total`` over all energies, and there are ``thickness`` units (t/lambda,
    atoms per area).

    Losses beyond the range in which ``single`` was sampled are in ``total`` and nowhere else: what is scattered there leaves the range.
    """
    return thickness * (single - total)
