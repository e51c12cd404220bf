"""What the columns of a crystal contribute to an edge's map, with their places read off an image recorded with the spectra."""

from reconstruct.eels.columns.placement import Placement, place_in_cell
from reconstruct.eels.columns.response import EdgeResponse, edge_response

__all__ = ["EdgeResponse", "Placement", "edge_response", "place_in_cell"]
