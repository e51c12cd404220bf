"""Core-loss STEM-EELS maps with channelling, on the absolute scale of the spectrum: probabilities for each incident electron.

`core_loss_maps` makes the maps of `EdgeWindow`s for a crystal or a supercell; `one_pass` makes maps, detector signals and
diffraction patterns of probes from the same waves through frozen phonons.
"""

from twin.eels.maps.grams import EdgeGrams, edge_grams
from twin.eels.maps.images import CHANNELLING, EdgeMaps, core_loss_maps
from twin.eels.maps.one_pass import loss_potentials, one_pass, placed_potentials
from twin.eels.maps.window import EdgeWindow, least_width, local_potential, window_modes

__all__ = [
    "CHANNELLING",
    "EdgeGrams",
    "EdgeMaps",
    "EdgeWindow",
    "core_loss_maps",
    "edge_grams",
    "least_width",
    "local_potential",
    "loss_potentials",
    "one_pass",
    "placed_potentials",
    "window_modes",
]
