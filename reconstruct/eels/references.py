"""Energies of features that calibrate an electron energy-loss spectrum: onsets of ionisation edges and volume plasmons, in electronvolt.

An onset is where the edge rises most steeply. From the EELS Atlas (Ahn & Krivanek, Gatan 1983) and the EELS Data Base (eelsdb.eu); edges of metals and their
oxides differ by the error that is given (rms). Plasmons: Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, table 3.2.
"""

from typing import NamedTuple


class Onset(NamedTuple):
    """The steepest rise of an edge of an ``element``: ``energy`` and its rms ``error`` over compounds, in eV; ``main``: it is seen where the element is."""

    element: str
    name: str
    energy: float
    error: float
    main: bool = True


ONSETS: tuple[Onset, ...] = (
    Onset("Al", "L2,3", 74.0, 2.0), Onset("Si", "L2,3", 102.0, 3.0), Onset("B", "K", 189.5, 2.0), Onset("C", "K", 284.5, 1.5),
    Onset("Ca", "L3", 347.5, 1.5), Onset("N", "K", 400.5, 1.5), Onset("Sc", "L3", 400.5, 1.5), Onset("Ti", "L3", 456.8, 1.5),
    Onset("V", "L3", 515.0, 1.7), Onset("O", "K", 530.8, 1.5), Onset("Cr", "L3", 576.0, 1.7), Onset("Mn", "L3", 640.3, 1.8),
    Onset("F", "K", 685.5, 2.0), Onset("Fe", "L3", 708.0, 1.5), Onset("Co", "L3", 778.5, 1.5), Onset("Ba", "M5", 781.5, 1.5),
    Onset("La", "M5", 832.0, 1.5), Onset("Ni", "L3", 853.5, 1.5), Onset("Ce", "M5", 882.5, 2.0), Onset("Cu", "L3", 932.0, 2.0),
    Onset("Pr", "M5", 931.0, 2.0), Onset("Nd", "M5", 979.0, 2.0), Onset("Zn", "L3", 1022.0, 2.0), Onset("Na", "K", 1073.0, 2.5),
    Onset("Gd", "M5", 1186.0, 2.0), Onset("Mg", "K", 1306.0, 2.5), Onset("Al", "K", 1562.0, 3.0), Onset("Si", "K", 1842.0, 3.0),
    Onset("Sr", "L3", 1942.0, 3.0), Onset("Zr", "L3", 2224.0, 3.0),
    *(Onset(*line, 1.7, False) for line in (
        ("Ca", "L2", 351.0), ("Ti", "L2", 462.3), ("V", "L2", 522.0), ("Cr", "L2", 584.5), ("Mn", "L2", 651.0), ("Fe", "L2", 721.0), ("Co", "L2", 793.5),
        ("Ba", "M4", 796.5), ("La", "M4", 848.8), ("Ni", "L2", 871.0), ("Ce", "M4", 900.0), ("Cu", "L2", 952.0),
    )),
)  # fmt: skip

PLASMONS: dict[str, tuple[float, float]] = {
    "Al": (15.0, 0.15), "Si": (16.7, 0.2), "Be": (18.7, 0.2), "Mg": (10.3, 0.15), "Ge": (16.0, 0.3), "Na": (5.7, 0.2),
}  # fmt: skip
"""Energy and rms error of the volume plasmon of pure elements whose loss function is one narrow peak."""
