"""Learning: model error from checked predictions, constants from sessions, maps from few spectra, and what to measure next."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
