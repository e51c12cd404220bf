"""Forward models: what the microscope and the sample are, and what they would record."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
