"""Forward models: the microscope, the sample, and the signals they predict."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
