"""Units: the names used inside emtwin, units as files and users write them, and numbers as people read them. Without JAX; pint is loaded when a file is read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "inside": ["BASE", "known", "require"],
        "foreign": ["CELSIUS", "KELVIN", "NUMBER", "SHARE", "Unit", "axis_unit", "read_unit"],
        "shown": ["age", "one", "places", "rounded", "scale", "shown", "symbol"],
    },
)
