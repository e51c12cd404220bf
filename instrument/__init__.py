"""Talking to an instrument: the simulated microscope, a recording, or a real one. No JAX, so that it runs on the
microscope's own computer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
