"""Measurements of several files at once: what was changed between them."""

from scenarios.io.errors import BadInput
from scenarios.measure.data.checks import finite
from scenarios.measure.data.inputs import Recording
from scenarios.measure.options import Changes


def c10_changes(recordings: tuple[Recording, ...], options: Changes) -> tuple[float, ...]:
    """Known change of C10 in angstrom of each file; BadInput where there is not one for each."""
    changes = options.changes or [0.0] * len(recordings)
    if len(changes) != len(recordings):
        problem = f"{len(changes)} are given for {len(recordings)} files"
        raise BadInput("--c10-change-nm", problem, "Give it once for each file, in their order.")
    return tuple(10.0 * finite("--c10-change-nm", change) for change in changes)
