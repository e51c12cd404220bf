"""Instruments: the simulated microscope, a replayed recording, or a real microscope. Imports no JAX, so that it runs on
the microscope's own computer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
