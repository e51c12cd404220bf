"""A number for each pixel of a scan, by name, from the spectrum or the pattern of that pixel alone."""

from reconstruct.measurement.scanned.names import QuantityName, quantity_named
from reconstruct.measurement.scanned.quantity import PixelData, PixelQuantity, pixel_data, pixel_quantity

__all__ = ["PixelData", "PixelQuantity", "QuantityName", "pixel_data", "pixel_quantity", "quantity_named"]
