"""Crystals that are known by name: the usual specimens for calibration, and elements.

Lattice parameters in angstrom at room temperature. Sources: silicon, certificate of NIST SRM 640f; others, R. W. G. Wyckoff, Crystal Structures
(2nd ed., 1963), and W. P. Davey, Phys. Rev. 25, 753 (1925), as the powder diffraction standards of the ICDD have them since; rounded to 1e-4.
"""

from typing import TYPE_CHECKING, NamedTuple

from twin.sample.structures import srtio3_unit

if TYPE_CHECKING:
    from ase import Atoms


class Standard(NamedTuple):
    """A cubic crystal: ASE's name of its ``prototype``, the side ``a`` of its cell in angstrom, and its ``space_group``."""

    prototype: str
    a: float
    space_group: str


_FCC, _BCC, _DIAMOND, _ROCKSALT = "F m -3 m (225)", "I m -3 m (229)", "F d -3 m (227)", "F m -3 m (225)"
STANDARDS = {
    "SrTiO3": Standard("perovskite", 3.905, "P m -3 m (221)"),
    "Si": Standard("diamond", 5.4311, _DIAMOND),
    "Ge": Standard("diamond", 5.6576, _DIAMOND),
    "C": Standard("diamond", 3.5668, _DIAMOND),
    "Al": Standard("fcc", 4.0496, _FCC),
    "Ni": Standard("fcc", 3.5238, _FCC),
    "Cu": Standard("fcc", 3.6150, _FCC),
    "Pd": Standard("fcc", 3.8898, _FCC),
    "Ag": Standard("fcc", 4.0862, _FCC),
    "Pt": Standard("fcc", 3.9231, _FCC),
    "Au": Standard("fcc", 4.0786, _FCC),
    "Fe": Standard("bcc", 2.8664, _BCC),
    "Mo": Standard("bcc", 3.1472, _BCC),
    "W": Standard("bcc", 3.1650, _BCC),
    "MgO": Standard("rocksalt", 4.2130, _ROCKSALT),
    "NaCl": Standard("rocksalt", 5.6402, _ROCKSALT),
    "GaAs": Standard("zincblende", 5.6534, "F -4 3 m (216)"),
    "CeO2": Standard("fluorite", 5.4113, _FCC),
}
"""By name. "C" is diamond."""


def standard_unit(name: str) -> "Atoms":
    """The cubic unit cell of ``STANDARDS[name]`` as ASE atoms."""
    if name == "SrTiO3":
        return srtio3_unit()
    from ase.build import bulk

    about = STANDARDS[name]
    return bulk(name, about.prototype, a=about.a, cubic=True)
