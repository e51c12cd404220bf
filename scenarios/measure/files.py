"""The recording in a file: one of its signals, as the options say; masks, dark frames and flat fields."""

import dataclasses
from pathlib import Path

import numpy as np

from instrument.readers import read_vendor
from reconstruct.measurement.preparation.checks import shape_text
from reconstruct.measurement.recorded.inputs import Inputs
from reconstruct.measurement.recorded.recording import Recording, recording_of
from scenarios.io.errors import BadInput


def open_file(path: Path, wanted: str | None, inputs: Inputs, scan: bool = False) -> Recording:
    """The image or stack of images in a file; BadInput if there is none, or several and ``wanted`` (--signal) does not say which.

    ``scan``: all patterns of a scan are measured, and ranges of --frame cut it.
    """
    signals = read_vendor(path)
    images = [signal for signal in signals if signal.kind in ("image", "image-stack") and signal.data.ndim >= 2]
    if not images:
        kinds = ", ".join(
            dict.fromkeys(f"{signal.kind} of {shape_text(signal.data.shape)} values" for signal in signals)
        )
        raise BadInput(str(path), f"holds no image ({kinds})", "Give a file of images or diffraction patterns.")
    titles = ", ".join(
        f"{number} {signal.title!r} {shape_text(signal.data.shape)}" for number, signal in enumerate(images[:12])
    )
    if wanted is None and len(images) > 1:
        raise BadInput(str(path), f"holds {len(images)} signals: {titles}", "Choose one with --signal NUMBER or TITLE.")
    chosen = images[0]
    if wanted is not None:
        named = [signal for number, signal in enumerate(images) if wanted in (signal.title, str(number))]
        if not named:
            raise BadInput(f"--signal {wanted}", f"is none of {path}, which has {titles}", "Choose one of them.")
        chosen = named[0]
    return recording_of(str(path), chosen, inputs, scan)


def read_references(inputs: Inputs) -> Inputs:
    """The inputs with the images of mask, dark frame and flat field in place of their paths; BadInput for files that hold none."""
    paths = {name: getattr(inputs.known, name) for name in ("mask", "dark", "flat")}
    images = {name: _image(inputs.words.label(name), Path(path)) for name, path in paths.items() if path is not None}
    return dataclasses.replace(inputs, known=dataclasses.replace(inputs.known, **images)) if images else inputs


def _image(option: str, path: Path) -> np.ndarray:
    """The one image in a file."""
    label, cure = f"{option} {path}", "Give a file with one image, of the recorded rows and columns."
    if path.suffix.lower() == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except ValueError as error:
            raise BadInput(label, f"is no NPY file of numbers ({error})", cure) from None
    images = [signal.data for signal in read_vendor(path) if signal.data.ndim == 2 and signal.kind == "image"]
    if len(images) != 1:
        raise BadInput(label, f"holds {len(images)} images", cure)
    return images[0]
