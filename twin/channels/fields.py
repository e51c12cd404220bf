"""The fields of a file's metadata that emtwin knows: one name, unit and sign convention for what every vendor calls otherwise.

Readers (`instrument.readers`) bring what a file says to these names and units as claims; validation gives a verdict on each of them; exports write them
under the identifiers of the EM Glossary (v2.0, Helmholtz Metadata Collaboration) and the paths of NXem (NeXus, NIAC) where these have one.
"""

from typing import Literal

import msgspec

Form = Literal["scale", "signed", "angle", "time", "text", "count"]
"""How errors act on a field: ``scale``: positive, errors multiply; ``signed``: may have either sign, errors add; ``angle``: on the circle; ``time``: int64 ns;
``text``: a word; ``count``: a whole number."""


class Field(msgspec.Struct, frozen=True):
    """One field: ``name``, inside ``unit``, ``form``, and the range ``low`` to ``high`` outside of which no microscope is (a slip or another unit).

    ``sign`` says what a positive value means where a vendor may write it the other way. ``glossary`` is the identifier in the EM Glossary, ``nxem`` the path
    below an NXem event ("[1]": the second number of a vector); both are empty where there is none. ``aliases`` are other channels of the instrument
    that report the same quantity.
    """

    name: str
    unit: str
    form: Form
    low: float = float("-inf")
    high: float = float("inf")
    doc: str = ""
    sign: str = ""
    glossary: str = ""
    nxem: str = ""
    aliases: tuple[str, ...] = ()


_MM, _UM = 1e7, 1e4
_OPTICS, _STAGE, _DETECTOR = "instrument/optics/", "instrument/stage/", "instrument/detector/"
_SOURCE, _SCAN = "instrument/ebeam_column/electron_source/", "instrument/ebeam_column/scan_controller/"
"""Groups of an NXem event (release v2026.01 of the definitions)."""

FIELDS: tuple[Field, ...] = (
    Field("high_tension", "volt", "scale", 1e3, 3.5e6, "acceleration voltage",
          glossary="EMG_00000004", nxem=_SOURCE + "voltage", aliases=("gun.high_tension",)),
    Field("extraction_voltage", "volt", "scale", 10.0, 1e4, "of a field emitter",
          glossary="EMG_00000026", nxem=_SOURCE + "extraction_voltage", aliases=("extraction.voltage.commanded",)),
    Field("emission", "ampere", "scale", 1e-9, 1e-2, "emission current of the gun; not the beam current",
          glossary="EMG_00000025", nxem=_SOURCE + "emission_current", aliases=("gun.emission",)),
    Field("beam_current", "ampere", "scale", 1e-16, 1e-6, "current on the specimen", glossary="EMG_00000041", nxem=_OPTICS + "probe_current"),
    Field("screen_current", "ampere", "scale", 1e-17, 1e-6, "last current on the screen: valid with the screen in", aliases=("screen.current",)),
    Field("spot_size", "1", "count", 0, 100, "index of the spot", aliases=("spot_size",)),
    Field("convergence_semiangle", "radian", "scale", 1e-6, 0.5, "half the opening angle of the beam on the specimen",
          glossary="EMG_00000010", nxem=_OPTICS + "semi_convergence_angle"),
    Field("collection_semiangle", "radian", "scale", 1e-6, 1.0, "half the opening angle that a spectrometer accepts"),
    Field("detector.inner", "radian", "scale", 1e-6, 1.0, "inner angle of an annular detector"),
    Field("detector.outer", "radian", "scale", 1e-6, 2.0, "outer angle of an annular detector"),
    Field("camera_length", "angstrom", "scale", 1.0 * _MM, 5e5 * _MM, "effective, of a pattern",
          glossary="EMG_00000008", nxem=_OPTICS + "camera_length", aliases=("camera_length",)),
    Field("magnification", "1", "scale", 1.0, 1e9, "indicated magnification", nxem=_OPTICS + "magnification", aliases=("magnification",)),
    Field("C10", "angstrom", "signed", -1e3 * _UM, 1e3 * _UM, "defocus coefficient of the objective lens, relative to the user's zero",
          sign="positive is overfocus, a stronger lens: minus the defocus of most textbooks, Thermo's defocus as it stands", nxem=_OPTICS + "defocus"),
    Field("astigmatism", "angstrom", "scale", 0.0, 1e2 * _UM, "size of two-fold astigmatism C12"),
    Field("spherical_aberration", "angstrom", "signed", -50 * _MM, 50 * _MM, "C30 of the objective lens"),
    Field("thickness", "angstrom", "scale", 1.0, 1e2 * _UM, "of the specimen along the beam"),
    Field("pixel.x", "angstrom", "scale", 1e-4, 1e7, "distance of two columns of an image"),
    Field("pixel.y", "angstrom", "scale", 1e-4, 1e7, "distance of two rows of an image"),
    Field("pixel.kx", "1/angstrom", "scale", 1e-7, 1.0, "distance of two columns of a diffraction pattern, as spatial frequency"),
    Field("pixel.ky", "1/angstrom", "scale", 1e-7, 1.0, "distance of two rows of a diffraction pattern, as spatial frequency"),
    Field("pixel.angle.x", "radian", "scale", 1e-8, 0.05, "angle between two columns of a diffraction pattern"),
    Field("pixel.angle.y", "radian", "scale", 1e-8, 0.05, "angle between two rows of a diffraction pattern"),
    Field("field_of_view.x", "angstrom", "scale", 1.0, 1e10, "width of an image", nxem=_OPTICS + "field_of_view[0]"),
    Field("field_of_view.y", "angstrom", "scale", 1.0, 1e10, "height of an image", nxem=_OPTICS + "field_of_view[1]"),
    Field("columns", "1", "count", 1, 1e6, "columns of an image as the metadata state them"),
    Field("rows", "1", "count", 1, 1e6, "rows of an image as the metadata state them"),
    Field("frames", "1", "count", 1, 1e9, "images of a stack as the metadata state them"),
    Field("binning.x", "1", "count", 1, 4096, "camera pixels along a row that make one recorded pixel"),
    Field("binning.y", "1", "count", 1, 4096, "camera pixels along a column that make one recorded pixel"),
    Field("camera_pixel", "angstrom", "scale", 0.1 * _UM, 1e4 * _UM, "side of one pixel of the camera's sensor", nxem=_DETECTOR + "x_pixel_size"),
    Field("scan_rotation", "radian", "angle", doc="of the scan's x axis, towards its y axis", aliases=("scan.rotation",)),
    Field("pattern_rotation", "radian", "angle", doc="of the scan's x axis from the camera's, towards +y"),
    Field("dwell", "second", "scale", 1e-9, 1e4, "time of the beam on one pixel", glossary="EMG_00000015", nxem=_SCAN + "dwell_time"),
    Field("line_time", "second", "scale", 1e-8, 1e5, "from the beginning of a line to that of the next"),
    Field("flyback", "second", "scale", 0.0, 10.0, "from the end of a line to the beginning of the next", glossary="EMG_00000028", nxem=_SCAN + "flyback_time"),
    Field("frame_time", "second", "scale", 1e-7, 1e6, "time of one image"),
    Field("exposure", "second", "scale", 1e-7, 1e6, "exposure of a camera", glossary="EMG_00000055", nxem=_DETECTOR + "count_time"),
    Field("dose", "electron/angstrom^2", "scale", 1e-9, 1e9, "electrons on the specimen in one recording"),
    Field("gain", "1", "scale", 1e-6, 1e9, "counts per electron"),
    Field("dispersion", "electronvolt", "scale", 1e-5, 100.0, "energy of one channel of a spectrum"),
    Field("energy_offset", "electronvolt", "signed", -1e4, 1e5, "energy of the first channel of a spectrum"),
    Field("drift_tube", "volt", "signed", -1e4, 1e4, "voltage of the spectrometer's drift tube", aliases=("spectrometer.drift_tube",)),
    Field("stage.x", "angstrom", "signed", -5 * _MM, 5 * _MM, "position of the stage", nxem=_STAGE + "position[0]"),
    Field("stage.y", "angstrom", "signed", -5 * _MM, 5 * _MM, "position of the stage", nxem=_STAGE + "position[1]"),
    Field("stage.z", "angstrom", "signed", -5 * _MM, 5 * _MM, "height of the stage", nxem=_STAGE + "position[2]"),
    Field("stage.alpha", "radian", "signed", -1.6, 1.6, "first tilt of the stage", nxem=_STAGE + "tilt1"),
    Field("stage.beta", "radian", "signed", -1.6, 1.6, "second tilt of the stage", nxem=_STAGE + "tilt2"),
    Field("temperature", "kelvin", "scale", 1.0, 3000.0, "of the specimen, by the holder", aliases=("holder.temperature",)),
    *(
        Field(
            f"lens.{name}", "1", "signed", -2.0, 2.0, "normalised excitation as commanded",
            nxem=f"instrument/ebeam_column/lens_{name}/power_setting", aliases=(f"lens.{name}",),
        )
        for name in (
            *("gun", "condenser1", "condenser2", "condenser3", "minicondenser", "objective", "lorentz", "diffraction", "adl", "intermediate"),
            *("intermediate1", "intermediate2", "intermediate3", "intermediate4", "projector", "projector1", "projector2", "projector3"),
        )
    ),
    Field("illumination_mode", "1", "text", doc="probe or spread beam, as the instrument names it", nxem="instrument/ebeam_column/operation_mode"),
    Field("projection_mode", "1", "text", doc="image or diffraction, as the instrument names it"),
    Field("instrument", "1", "text", doc="name or number of the instrument"),
    Field("detector", "1", "text", doc="name of the detector or camera"),
    Field("time.start", "nanosecond", "time", doc="when the recording began", nxem="start_time"),
    Field("time.end", "nanosecond", "time", doc="when the recording ended", nxem="end_time"),
    Field("time.saved", "nanosecond", "time", doc="when the file was written"),
    Field("time.unstated", "nanosecond", "time", doc="a time whose meaning (start, end, saving) the file does not state"),
)  # fmt: skip
_BY_NAME = {item.name: item for item in FIELDS}


def field(name: str) -> Field:
    """The field of that name; ValueError if there is none."""
    if name not in _BY_NAME:
        raise ValueError(f"unknown field {name!r}; the fields are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
