"""The recording in a file: one of its signals, as the options say; masks, dark frames and flat fields."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from instrument.readers import read_vendor
from reconstruct.measurement.preparation.checks import shape_text
from reconstruct.measurement.recorded.inputs import Inputs
from reconstruct.measurement.recorded.recording import Recording, recording_of
from scenarios.io.errors import BadInput
from twin.records import Signal, is_x_ray


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
    return recording_of(str(path), _chosen(path, images, wanted), inputs, scan)


def open_spectra(path: Path, wanted: str | None, inputs: Inputs) -> Recording:
    """The spectrum or spectrum image of energy losses in a file; BadInput if there is none, or several and ``wanted`` (--signal) does not say which."""
    return Recording(str(path), _chosen(path, _spectra(path), wanted), inputs)


def _spectra(path: Path) -> list[Signal]:
    """The spectra in a file but those of X-rays."""
    signals = read_vendor(path)
    spectra = [signal for signal in signals if signal.kind.startswith("spectrum") and not is_x_ray(signal)]
    if not spectra:
        kinds = ", ".join(
            dict.fromkeys(f"{signal.kind} of {shape_text(signal.data.shape)} values" for signal in signals)
        )
        raise BadInput(str(path), f"holds no spectrum of energy losses ({kinds})", "Give a file that holds one.")
    return spectra


def _chosen(path: Path, signals: list[Signal], wanted: str | None) -> Signal:
    """The only one, or the ``wanted`` one by number or title."""
    titles = ", ".join(
        f"{number} {signal.title!r} {shape_text(signal.data.shape)}{_from(signal)}"
        for number, signal in enumerate(signals[:12])
    )
    if wanted is None and len(signals) > 1:
        cure = "Choose one with --signal NUMBER or TITLE."
        raise BadInput(str(path), f"holds {len(signals)} signals: {titles}", cure)
    if wanted is None:
        return signals[0]
    named = [signal for number, signal in enumerate(signals) if wanted in (signal.title, str(number))]
    if not named:
        raise BadInput(f"--signal {wanted}", f"is none of {path}, which has {titles}", "Choose one of them.")
    return named[0]


def _from(signal: Signal) -> str:
    """Where a spectrum begins: several of one file have one title."""
    axis = signal.axes[-1]
    return f" from {axis.offset:g} eV" if axis.unit == "electronvolt" else ""


def read_references(inputs: Inputs) -> Inputs:
    """The inputs with the images of mask, dark frame and flat field, and the low loss, in place of their paths; BadInput for files that hold none."""
    paths = {name: getattr(inputs.known, name, None) for name in ("mask", "dark", "flat")}
    read: dict[str, Any] = {
        name: _image(inputs.words.label(name), Path(path)) for name, path in paths.items() if path is not None
    }
    low_loss = getattr(inputs.known, "low_loss", None)
    if low_loss is not None:
        read["low_loss"] = _low_loss(inputs.words.label("low_loss"), Path(low_loss))
    return dataclasses.replace(inputs, known=dataclasses.replace(inputs.known, **read)) if read else inputs


def _low_loss(option: str, path: Path) -> Signal:
    """The one low loss in a file: of several spectra the one that begins below zero."""
    spectra = _spectra(path)
    below = [signal for signal in spectra if signal.axes[-1].offset < 0.0]
    chosen = spectra if len(spectra) == 1 else below
    if len(chosen) != 1:
        problem = f"holds {len(spectra)} spectra, and {len(below)} of them begin below zero"
        raise BadInput(f"{option} {path}", problem, "Give a file with one low loss.")
    return chosen[0]


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
