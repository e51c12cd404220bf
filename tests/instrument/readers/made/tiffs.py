"""TIFF files with the tags of FEI and JEOL."""

from pathlib import Path

import numpy as np
import tifffile

PIXELS = np.arange(12 * 20, dtype=np.uint16).reshape(12, 20)
SFEG = """[User]
Date=03/03/2021
Time=12:31:14 PM
UserText=text

[System]
Type=SEM
SystemType=Helios

[Beam]
HV=30000
Beam=EBeam

[EBeam]
BeamCurrent=5e-11

[Scan]
PixelWidth=1e-9
PixelHeight=2e-9
Dwelltime=3e-06
HorFieldsize=2e-08
FrameTime=0.5

[Stage]
StageX=0.0005
StageT=0.1

[Image]
ResolutionX=20
ResolutionY=12
"""
_ENTRIES = (
    ("Microscope", "Titan", ""), ("High tension", "300", "kV"), ("Defocus", "-0.002", "um"), ("Camera length", "0.115", "m"), ("Emission", "120", "uA"),
    ("Stage A", "-3.5", "deg"), ("Stage B", "1.0", "mm"), ("Stage X", "15", "um"), ("Stage Z", "nan", "um"),
    ("C1 lens", "20.85", "%"), ("Magnification", "1300000", "x"),
)  # fmt: skip
TITAN = (
    "<Root>"
    + "".join(
        f"<Data><Label>{label}</Label><Value>{value}</Value><Unit>{unit}</Unit></Data>"
        for label, value, unit in _ENTRIES
    )
    + "</Root>"
)


def fei_tiff(path: Path) -> Path:
    """With the tag FEI_SFEG."""
    tifffile.imwrite(path, PIXELS, extratags=[(34680, "s", 0, SFEG.replace("\n", "\r\n"), False)], metadata=None)
    return path


def jeol_tiff(path: Path, mode: str) -> Path:
    """As SightX writes: XML in the description, "JEOL Ltd." as the maker; 100 pixels a centimetre."""
    value, unit = ("50000", "X") if mode == "MAG" else ("80", "cm")
    selected = f"<SelectorValue>{value}</SelectorValue><SelectorUnitString>{unit}</SelectorUnitString><SelectorString>{mode}</SelectorString>"
    text = (
        "<TemReporter><DateTime>2022-03-01T14:30:00.1234567+09:00</DateTime><Instruments>JEM-F200</Instruments><Eos><EosMode>eosTEM</EosMode></Eos>"
        "<IlluminationSystem><ImageField>modeBright</ImageField></IlluminationSystem><ElectronGun><AccelerationVoltage>200000</AccelerationVoltage></ElectronGun>"
        f"<ImageFormingSystem><ModeString>{mode}</ModeString>{selected}<ImageFormingMode>modeMAG</ImageFormingMode></ImageFormingSystem>"
        "<GonioStage><StagePosition><TX>2.0</TX><TY>0</TY></StagePosition></GonioStage></TemReporter>"
    )
    tifffile.imwrite(
        path,
        PIXELS,
        description=text,
        resolution=(100.0, 100.0),
        resolutionunit="CENTIMETER",
        metadata=None,
        extratags=[(271, "s", 0, "JEOL Ltd.", False)],
    )
    return path
