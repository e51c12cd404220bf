"""Readers of vendor files. The face is lazy: importing it imports no parser."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "logs.log": ["LoggedChannel", "SensorLog"],
        "reader": ["close_reader", "read_log", "read_vendor"],
        "signals": ["Axis", "Claim", "VendorError", "VendorSignal", "coordinates"],
    },
)
