"""`measure`: quantities with covariance from images and patterns, as ``emtwin measure`` finds them."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from reconstruct.api.data import signal_of
from reconstruct.measurement.recorded.inputs import Inputs, Wording
from reconstruct.measurement.recorded.known import KINDS, Kind, quantities
from reconstruct.measurement.recorded.recording import Recording, recording_of
from reconstruct.measurement.recorded.result import RecordedMeasurement
from twin.compiled_programs import double_precision
from twin.errors import BadInput

KindName = Literal["lattice", "thon", "haadf", "disk", "rotation", "pacbed", "film", "eels"]


def measure(
    kind: KindName, data: Any, *, progress: Callable[[str, float | None], None] | None = None, **known: Any
) -> RecordedMeasurement:
    """Measure quantities of a ``kind`` from ``data``, with covariance; list what is undetermined and what contradicts the data's own claims.

    ``kind``: "lattice" (pixel sizes, shear and rotation of an image of a known crystal), "thon" (defocus and astigmatism of an amorphous film's image), "haadf"
    (C10, astigmatism, source, detector, scan, drift), "disk" (bright-field disk, semi-angle or camera length), "rotation" (of a 4D-STEM scan against its
    camera), "pacbed" (thickness and tilt from a position-averaged pattern), "film" (aberrations to third order from 4D-STEM scans of a film), "eels"
    (thickness,
    plasmon and edges of energy-loss spectra, with maps).

    ``data``: an image [y, x], a pattern [ky, kx], a scan [y, x, ky, kx] or a stack of one of these, or spectra [..., channel], as an array, as what
    `twin.simulate`
    returns, as an xarray DataArray with coordinates and their units, as a HyperSpy signal, or as the `twin.records.Signal` that
    `instrument.readers.read_vendor` reads from a file. "haadf" and "film" take
    a list of several. Counts in electrons, or with ``gain``; NaN marks pixels that are not known, where a kind takes them.

    ``known``: what is known, in angstrom, radian, electronvolt, second, ampere, shares (0.05 is 5 %), errors as rms. Every kind takes ``black`` and
    ``gain``, those of images ``frame``, ``axes``, ``part`` and ``bin``; each kind's own names, units and defaults are the fields of its class in
    `reconstruct.measurement.recorded.known`.
    What a Dataset or a file says need not be given, and is overridden where it is. ``progress`` is told the step and the share that is done.

    Returns values, covariance, inside units, undetermined quantities with the reason, claims with a verdict, and the settings used; notebooks show it. The same
    computation and numbers as the command; float64 is switched on for the time it takes. `twin.errors.BadInput` (a ValueError) naming the input, the problem
    and the cure. Sources: each estimator in `reconstruct.measurement` names its own.

    >>> import numpy as np
    >>> y, x = np.mgrid[:48, :48] - 23.5
    >>> beam = np.random.default_rng(0).poisson(400.0 / (1.0 + np.exp(2.0 * (np.hypot(x, y) - 15.0))))
    >>> disk = measure("disk", beam, pixel=1e-3)
    >>> disk.units["semiangle"], round(disk.values["semiangle"], 4)
    ('radian', 0.015)
    """
    selected = _kind(kind)
    words = Wording(selected.known)
    inputs = Inputs(_known(kind, selected, known), words)
    inputs.check()
    with double_precision():
        recordings = _recordings(kind, selected, data, inputs)
        return selected.function(recordings if selected.several else recordings[0], progress or _quiet)


def _quiet(text: str, share: float | None) -> None:
    """Nobody is told."""


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise BadInput(f"kind = {kind!r}", "is no kind of measurement", f"Give one of {', '.join(KINDS)}.")
    return KINDS[kind]


def _known(name: str, kind: Kind, known: dict[str, Any]) -> Any:
    """What is known as the kind's own class, numbers as doubles; BadInput for a name that the kind does not take."""
    fields = {field.name: field for field in dataclasses.fields(kind.known)}
    for key in known:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            cure = f"Did you mean {near[0]}? " if near else ""
            raise BadInput(key, f"is nothing that {name} takes", f"{cure}It takes {', '.join(fields)}.")
    kinds = quantities(kind.known)
    return kind.known(
        **{key: _numbers(key, value, kinds[key].form) if key in kinds else value for key, value in known.items()}
    )


def _numbers(name: str, value: Any, form: str) -> Any:
    """A number as a double, several as a tuple of them, several by name as a dictionary; BadInput for what is none of the ``form``."""
    wanted = {
        "number": "a number", "numbers": "numbers", "mapping": 'a dictionary, such as {"C10": 50.0}',
        "number or free": 'a number, or "free"',
    }[form]  # fmt: skip
    if value is None or (form == "number or free" and value == "free"):
        return value
    if form == "mapping":
        usable, numbers = isinstance(value, Mapping), np.zeros(0)
    else:
        numbers = _array(value)
        usable = numbers.dtype.kind in "iuf" and (form == "numbers" or numbers.ndim == 0)
    if not usable:
        raise BadInput(f"{name} = {value!r}", f"is not {wanted}", f"Give {name} {wanted}.")
    if form == "mapping":
        return dict(value)
    return tuple(float(number) for number in numbers.ravel()) if form == "numbers" else float(numbers)


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:  # lists of different lengths
        return np.asarray(None)


def _recordings(name: str, kind: Kind, data: Any, inputs: Inputs) -> tuple[Recording, ...]:
    several = (
        isinstance(data, (list, tuple))
        and len(data) > 0
        and all(np.ndim(part) >= 2 or _labelled(part) for part in data)
    )
    if several and not kind.several:
        raise BadInput(
            "data",
            f"is a list, and {name} measures one recording",
            "Give one array, or stack them and choose by frame.",
        )
    parts = list(data) if several else [data]
    names = [f"data[{number}]" if several else "data" for number in range(len(parts))]
    signals = [signal_of(part, label, kind.spectra) for part, label in zip(parts, names, strict=True)]
    if kind.spectra:
        low_loss = inputs.known.low_loss
        if low_loss is not None:
            low_loss = signal_of(low_loss, "low_loss", True)
            inputs = dataclasses.replace(inputs, known=dataclasses.replace(inputs.known, low_loss=low_loss))
        return tuple(
            Recording(signal.path or label, signal, inputs) for signal, label in zip(signals, names, strict=True)
        )
    return tuple(
        recording_of(signal.path or label, signal, inputs, kind.scan)
        for signal, label in zip(signals, names, strict=True)
    )


def _labelled(part: Any) -> bool:
    return hasattr(part, "axes") or hasattr(part, "data_vars")
