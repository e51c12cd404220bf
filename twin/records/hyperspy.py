"""Where HyperSpy's metadata keep fields, in the units of its metadata reference: keV, nA, mm, mrad, degree, second; the thickness in metre.

One table for signals and files that are read and for files that are written.
"""

from typing import NamedTuple

TEM = "Acquisition_instrument.TEM"


class Place(NamedTuple):
    """Of a ``field`` the dotted ``key`` under the metadata of a signal, with the ``unit`` of the number there ("": none, None: text). ``also``: other keys
    where files keep it; ``beside``: the unit may stand in a key of the same name that ends in "_units"; ``written``: files that are written have it, "spectra":
    those of energy-loss spectra."""

    field: str
    key: str
    unit: str | None
    also: tuple[str, ...] = ()
    beside: bool = True
    written: bool | str = True


PLACES = (
    Place("high_tension", f"{TEM}.beam_energy", "kV", beside=False),
    Place("beam_current", f"{TEM}.beam_current", "nA"),
    Place("camera_length", f"{TEM}.camera_length", "mm"),
    Place("convergence_semiangle", f"{TEM}.convergence_angle", "mrad"),
    Place("collection_semiangle", f"{TEM}.Detector.EELS.collection_angle", "mrad"),
    Place("magnification", f"{TEM}.magnification", "", beside=False),
    Place("C10", f"{TEM}.defocus", "", written=False),
    Place("dwell", f"{TEM}.Detector.EELS.dwell_time", "s", (f"{TEM}.dwell_time",), written="spectra"),
    Place(
        "exposure", f"{TEM}.Detector.EELS.exposure", "s", (f"{TEM}.exposure", f"{TEM}.Detector.Camera.exposure"), written="spectra"
    ),
    Place("stage.x", f"{TEM}.Stage.x", "mm"),
    Place("stage.y", f"{TEM}.Stage.y", "mm"),
    Place("stage.z", f"{TEM}.Stage.z", "mm"),
    Place("stage.alpha", f"{TEM}.Stage.tilt_alpha", "deg"),
    Place("stage.beta", f"{TEM}.Stage.tilt_beta", "deg"),
    Place("thickness", "Sample.thickness", "m", written=False),
    Place("illumination_mode", f"{TEM}.acquisition_mode", None, written=False),
    Place("instrument", f"{TEM}.microscope", None),
    Place("detector", f"{TEM}.Detector.detector_type", None, written=False),
)  # fmt: skip
"""All of them."""
