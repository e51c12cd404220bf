"""Readers of vendor files. Names are imported on first use: importing the package imports no parser."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "logs.log": ["LoggedChannel", "SensorLog"],
        "reader": ["close_reader", "read_log", "read_vendor", "read_vendor_many", "warm_reader"],
        "signals": ["VendorError"],
    },
)
