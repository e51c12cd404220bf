"""Where HyperSpy's metadata keep fields, in the units of its metadata reference: keV, nA, mm, mrad, degree, second; the thickness in metre.

One table for signals and files that are read and for files that are written.
"""

from typing import NamedTuple

_TEM = "Acquisition_instrument.TEM"


class HyperspyPlace(NamedTuple):
    """Of a ``field`` the dotted ``key`` under the metadata of a signal, with the ``unit`` of the number there ("": none, None: text). ``also``: other keys
    where files keep it; ``beside``: the unit may stand in a key of the same name that ends in "_units"; ``written``: files that are written have it, "spectra":
    those of energy-loss spectra."""

    field: str
    key: str
    unit: str | None
    also: tuple[str, ...] = ()
    beside: bool = True
    written: bool | str = True


HYPERSPY_PLACES = (
    HyperspyPlace("high_tension", f"{_TEM}.beam_energy", "kV", beside=False),
    HyperspyPlace("beam_current", f"{_TEM}.beam_current", "nA"),
    HyperspyPlace("camera_length", f"{_TEM}.camera_length", "mm"),
    HyperspyPlace("convergence_semiangle", f"{_TEM}.convergence_angle", "mrad"),
    HyperspyPlace("collection_semiangle", f"{_TEM}.Detector.EELS.collection_angle", "mrad"),
    HyperspyPlace("magnification", f"{_TEM}.magnification", "", beside=False),
    HyperspyPlace("C10", f"{_TEM}.defocus", "", written=False),
    HyperspyPlace("dwell", f"{_TEM}.Detector.EELS.dwell_time", "s", (f"{_TEM}.dwell_time",), written="spectra"),
    HyperspyPlace(
        "exposure", f"{_TEM}.Detector.EELS.exposure", "s", (f"{_TEM}.exposure", f"{_TEM}.Detector.Camera.exposure"), written="spectra"
    ),
    HyperspyPlace("stage.x", f"{_TEM}.Stage.x", "mm"),
    HyperspyPlace("stage.y", f"{_TEM}.Stage.y", "mm"),
    HyperspyPlace("stage.z", f"{_TEM}.Stage.z", "mm"),
    HyperspyPlace("stage.alpha", f"{_TEM}.Stage.tilt_alpha", "deg"),
    HyperspyPlace("stage.beta", f"{_TEM}.Stage.tilt_beta", "deg"),
    HyperspyPlace("thickness", "Sample.thickness", "m", written=False),
    HyperspyPlace("illumination_mode", f"{_TEM}.acquisition_mode", None, written=False),
    HyperspyPlace("instrument", f"{_TEM}.microscope", None),
    HyperspyPlace("detector", f"{_TEM}.Detector.detector_type", None, written=False),
)  # fmt: skip
"""All of them."""
