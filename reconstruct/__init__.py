"""Estimation: a state in time from sensors and images, quantities from images and patterns, constants of a column from a table."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
