"""The recording in a file: one of its signals, as the options say."""

from pathlib import Path

from instrument.readers import read_vendor
from reconstruct.measurement.preparation import shape_text
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
