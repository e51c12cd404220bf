"""The specimen that the user names: its name in messages, its projection along the zone axis, and whether it is one at all."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reconstruct.measurement.kinds.crystals import orient_crystal
from reconstruct.measurement.projection import Projection, project
from reconstruct.measurement.recorded.inputs import Inputs, Wording
from reconstruct.measurement.recorded.known import Lattice
from reconstruct.measurement.recorded.recording import recording_of
from reconstruct.validation.data.options import AMORPHOUS, Known
from twin.errors import BadInput
from twin.records import Signal

if TYPE_CHECKING:
    from ase import Atoms


def name_of(known: Known) -> str:
    """The specimen for messages: of a path the name of the file, of a sample its source."""
    return Path(str(getattr(known.specimen, "source", known.specimen))).name


def oriented(signal: Signal, known: Known) -> "Atoms":
    """The smallest orthogonal cell of the specimen with its zone axis along z; BadInput for what is no crystal."""
    inputs = Inputs(Lattice(structure=known.specimen, zone=known.zone, x=known.x), Wording(Lattice))
    return orient_crystal(recording_of(signal.path or "data", signal, inputs))


def zone_of(signal: Signal, known: Known) -> Projection:
    """The specimen seen along its zone axis, by its shortest periods; BadInput for what is no crystal."""
    return project(oriented(signal, known)).primitive()


def check_specimen(known: Known, label: str) -> None:
    """BadInput, naming ``label``, for a specimen that is no crystal, cannot be read, or has no such zone axis."""
    if known.specimen is None or known.specimen == AMORPHOUS:
        return
    try:
        zone_of(Signal(np.zeros((2, 2)), (), "image", "", "", ""), known)
    except BadInput as error:
        raise BadInput(f"{label} {name_of(known)}", error.problem, error.cure) from None
