"""Tables of a question on the ways to record: one for each technique."""

from typing import Annotated

from msgspec import Meta

from twin.simulation.plan.keys import RAD, RADIUS, key
from twin.simulation.plan.tables import NotNegative, Plan, Positive, Spread

Angle = Annotated[float, Meta(ge=0, le=300)]
Reach = Annotated[float, Meta(ge=0.3, le=300)]
"""An angle in mrad that a detector or aperture reaches."""


class AnnularOption(Plan, tag="annular", tag_field="technique", frozen=True):
    """A scanned image of an annular detector: HAADF, ADF, ABF, BF."""

    inner_mrad: Annotated[Angle, key("mrad", "inner angle", mistaken=RADIUS)]
    outer_mrad: Annotated[Reach, key("mrad", "outer angle", mistaken=RADIUS)]
    name: Annotated[str, key("", "name of the option", default="by its angles", min_length=0, max_length=40)] = ""
    readout: Annotated[NotNegative, key("electrons", "readout noise of a place of the scan, rms")] = 0.0


class SegmentedOption(Plan, tag="dpc", tag_field="technique", frozen=True):
    """Differential phase contrast: a ring cut into sectors, each an image."""

    inner_mrad: Annotated[Angle, key("mrad", "inner angle", mistaken=RADIUS)] = 0.0
    outer_mrad: Annotated[Reach | None, key("mrad", "outer angle", mistaken=RADIUS, default="the semi-angle")] = None
    sectors: Annotated[int, key("", "sectors", ge=2, le=16)] = 4
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "DPC"
    readout: Annotated[NotNegative, key("electrons", "readout noise of a segment, rms")] = 0.0


class DiffractionCamera(Plan, frozen=True):
    """A camera in the diffraction plane."""

    pixel_mrad: Annotated[float, key("mrad", "side of a pixel", gt=0.02, le=50, mistaken=RAD)] = 2.0
    reach_mrad: Annotated[
        Reach | None, key("mrad", "angle up to which is recorded", mistaken=RADIUS, default="three semi-angles")
    ] = None
    bytes_per_pixel: Annotated[Positive, key("", "bytes of a stored pixel")] = 2.0
    readout: Annotated[NotNegative, key("electrons", "readout noise of a pixel, rms")] = 0.0


class CameraOption(DiffractionCamera, tag="4d-stem", tag_field="technique", frozen=True):
    """4D-STEM: a camera behind every place of the scan."""

    frames_per_second: Annotated[Positive, key("1/second", "fastest frames of the camera")] = 2000.0
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "4D-STEM"


class ImageOption(Plan, tag="hrtem", tag_field="technique", frozen=True):
    """HRTEM: an image of a plane wave."""

    defocus: Annotated[float, key("angstrom", "defocus = -C10: positive is underfocus", ge=-1e4, le=1e4)] = 60.0
    cs_mm: Annotated[float, key("mm", "spherical aberration C30 (C3) of the objective lens", ge=-10, le=10)] = 0.0
    aperture_mrad: Annotated[Reach, key("mrad", "semi-angle of the objective aperture", mistaken=RADIUS)] = 30.0
    focal_spread: Annotated[Spread, key("angstrom", "focal spread, rms")] = 20.0
    flux: Annotated[Positive, key("electrons/angstrom^2/second", "electrons on the specimen per area and time")] = 1e3
    seconds: Annotated[Positive, key("second", "shortest exposure")] = 0.1
    bytes_per_pixel: Annotated[Positive, key("", "bytes of a stored pixel")] = 2.0
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "HRTEM"
    readout: Annotated[NotNegative, key("electrons", "readout noise of a pixel, rms")] = 0.0


class PatternOption(DiffractionCamera, tag="cbed", tag_field="technique", frozen=True):
    """CBED: a pattern of the probe resting on the place. Its dose is told as that of the electrons over one cell."""

    seconds: Annotated[Positive, key("second", "shortest exposure")] = 0.01
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "CBED"


class SpectrumOption(Plan, tag="eels", tag_field="technique", frozen=True):
    """STEM-EELS: a core-loss spectrum at every place of the scan. Where a spectrum is asked for ("measure"), one spectrum of the field."""

    edge: Annotated[
        str | None,
        key("", 'element and edge, as in "O K"', default="the one by which the atoms that come or lack are seen best"),
    ] = None
    collection_mrad: Annotated[
        Reach | None, key("mrad", "collection semi-angle", mistaken=RADIUS, default="1.5 semi-angles of the probe")
    ] = None
    offset: Annotated[
        Annotated[float, Meta(ge=-1000, le=3000)] | None,
        key("eV", "energy loss in the first channel", default="40 eV below the edge"),
    ] = None
    dispersion: Annotated[float, key("eV", "energy of a channel", gt=0, le=100)] = 1.0
    channels: Annotated[int, key("", "channels of a spectrum", ge=16, le=4096)] = 128
    resolution: Annotated[float, key("eV", "full width at half maximum of the zero loss", gt=0, le=100)] = 0.8
    seconds: Annotated[Positive, key("second", "shortest exposure of a spectrum")] = 1e-3
    bytes_per_channel: Annotated[Positive, key("", "bytes of a stored channel")] = 4.0
    name: Annotated[str, key("", "name of the option", min_length=0, max_length=40)] = "EELS"
    readout: Annotated[NotNegative, key("electrons", "readout noise of a channel, rms")] = 0.0


OptionPlan = AnnularOption | SegmentedOption | CameraOption | ImageOption | PatternOption | SpectrumOption
