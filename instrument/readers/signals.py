"""The error of a file that cannot be read, and the units of its axes."""

from twin.units import axis_unit


class VendorError(ValueError):
    """A file that could not be read: ``path`` names it, ``problem`` says what is wrong, ``cure`` what to do."""

    def __init__(self, path: str, problem: str, cure: str):
        super().__init__(f"{path}: {problem}. {cure}")
        self.path = path
        self.problem = problem
        self.cure = cure

    def __reduce__(self) -> tuple[type["VendorError"], tuple[str, str, str]]:
        return VendorError, (self.path, self.problem, self.cure)


def axis_scale(text: str) -> tuple[float, str | None]:
    """Factor and inside unit of an axis whose unit a file writes as ``text``; (1, None) where it writes none, or one that is not known."""
    unit = axis_unit(text)
    return (1.0, None) if unit is None else (unit.factor, unit.unit)
