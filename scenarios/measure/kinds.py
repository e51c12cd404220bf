"""The kinds of ``emtwin measure``: for each its options, and what it measures. Nothing heavy is imported here."""

import dataclasses
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from scenarios.measure.options import (
    Changes,
    Counts,
    Crystal,
    Data,
    Energy,
    FocalSpread,
    ImagePixel,
    PatternPixel,
    Semiangle,
    Spherical,
    Step,
    number,
    option,
)


@dataclasses.dataclass(frozen=True)
class LatticeOptions(Crystal, ImagePixel, Data):
    """Of an image of a known crystal."""

    pixel_error: Annotated[float, number("--pixel-error-percent", "How well the pixel is known, rms.")] = 10.0
    skew: Annotated[float, number("--skew-percent", "How far from square pixels may be, rms.")] = 3.0
    mains: Annotated[float | None, option("--mains-hz", "50 or 60, of scans whose lines wait for the mains.")] = None


@dataclasses.dataclass(frozen=True)
class ThonOptions(ImagePixel, Energy, Spherical, FocalSpread, Data):
    """Of an image of an amorphous film."""

    span: Annotated[float, number("--span-nm", "Largest defocus and astigmatism that are looked for.")] = 1000.0
    astigmatism: Annotated[
        float,
        number("--astigmatism-nm", "How large astigmatism is expected to be, rms of either part; rings may have more."),
    ] = 30.0
    phase_shift: Annotated[str, number("--phase-shift-deg", 'Of a phase plate; or "free" to measure it too.')] = "0"
    amplitude_contrast: Annotated[
        float, number("--amplitude-contrast-percent", "Of the film, over its phase contrast.")
    ] = 5.0
    amplitude_contrast_error: Annotated[
        float, number("--amplitude-contrast-error-percent", "How well that is known, rms.")
    ] = 5.0


@dataclasses.dataclass(frozen=True)
class HaadfOptions(Crystal, ImagePixel, Energy, Semiangle, Spherical, Changes, Data):
    """Of HAADF images of a known crystal."""

    detector: Annotated[str | None, option("--detector-mrad", "Angles INNER,OUTER. Default: the file's.")] = None
    thickness: Annotated[float | None, option("--thickness-nm", "The specimen's. Default: the file's.")] = None
    thickness_error: Annotated[float, number("--thickness-error-nm", "How well it is known, rms.")] = 0.5
    dose: Annotated[float | None, option("Electrons per square angstrom. Default: the file's.")] = None
    current: Annotated[float | None, option("--current-pA", "Beam current, instead of a dose.")] = None
    dwell: Annotated[float | None, option("--dwell-us", "Time on a pixel. Default: the file's.")] = None
    flyback: Annotated[float, number("--flyback-us", "From the end of a line to the next.")] = 500.0
    gain_error: Annotated[float, number("--gain-error-percent", "How well the gain is known, rms.")] = 5.0
    black_error: Annotated[float, number("--black-error", "How well the black level is known, in counts, rms.")] = 5.0
    readout: Annotated[float, number("--readout", "Rms counts of a pixel without a beam.")] = 0.0
    c10: Annotated[float, number("--c10-nm", "C10 (minus the defocus) as it is known.")] = 0.0
    c10_error: Annotated[float, number("--c10-error-nm", "How well it is known, rms.")] = 10.0
    astigmatism: Annotated[float, number("--astigmatism-nm", "How large C12 may be, rms of either part.")] = 3.0
    semiangle_error: Annotated[float, number("--semiangle-error-percent", "How well it is known, rms.")] = 1.0
    focal_spread: Annotated[float | None, option("--focal-spread-angstrom", "Focal spread, rms, known to 20 %.")] = None
    source: Annotated[float | None, option("--source-angstrom", "Rms of the source's image, known to 30 %.")] = None
    seed: Annotated[int, number("--seed", "Seed of the sampler.")] = 0


@dataclasses.dataclass(frozen=True)
class DiskOptions(PatternPixel, Energy, Semiangle, Data):
    """Of a pattern with a bright-field disk."""

    semiangle: Annotated[
        float | None, option("--semiangle-mrad", "Convergence semi-angle, if it is known: gives the camera length.")
    ] = None
    semiangle_error: Annotated[float, number("--semiangle-error-percent", "How well that is known, rms.")] = 1.0
    pixel_error: Annotated[
        float, number("--pixel-error-percent", "How well the pixel's angle or the camera length is known, rms.")
    ] = 1.0
    detector_pixel: Annotated[float | None, option("--detector-pixel-um", "Side of the camera's pixels.")] = None
    camera_length: Annotated[float | None, option("--camera-length-mm", "If it is known.")] = None


@dataclasses.dataclass(frozen=True)
class RotationOptions(PatternPixel, Step, Energy, Data):
    """Of a 4D-STEM scan."""

    dark_field: Annotated[
        float | None,
        option("--dark-field-mrad", "Angle beyond which patterns make an image that is bright at atoms."),
    ] = None


@dataclasses.dataclass(frozen=True)
class PacbedOptions(Crystal, PatternPixel, Energy, Semiangle, Data):
    """Of a position-averaged pattern."""

    rotation: Annotated[float, number("--rotation-deg", "Of the crystal's x from the camera's, towards +y.")] = 0.0
    rotation_error: Annotated[float, number("--rotation-error-deg", "How well that is known, rms.")] = 1.0
    thickness: Annotated[str | None, option("--thickness-nm", "The specimen's, if it is known: mean,error.")] = None
    thickest: Annotated[float, number("--thickest-nm", "Largest thickness that is tried.")] = 40.0
    tilt: Annotated[str, number("--tilt-mrad", "Specimen tilt x,y as it is known.")] = "0,0"
    tilt_error: Annotated[float, number("--tilt-error-mrad", "How well that is known, rms.")] = 3.0
    precision: Annotated[
        float, number("--precision-percent", "Half of a 90 % interval from which a thickness is open.")
    ] = 5.0


@dataclasses.dataclass(frozen=True)
class FilmOptions(PatternPixel, Step, Energy, Semiangle, FocalSpread, Changes, Data):
    """Of 4D-STEM scans of an amorphous film."""

    electrons: Annotated[float | None, option("--electrons", "Electrons on a probe. Default: what the camera saw.")] = (
        None
    )
    expected: Annotated[
        list[str] | None, option("What is known of an aberration: NAME=ANGSTROM, such as C10=-900.")
    ] = None
    error: Annotated[list[str] | None, option("How well: NAME=ANGSTROM, such as C12=50; rms of a part.")] = None
    thickness: Annotated[float, number("--thickness-nm", "The film's, about.")] = 5.0
    thickness_error: Annotated[float, number("--thickness-error-nm", "How well it is known, rms.")] = 2.0
    rotation: Annotated[float, number("--rotation-deg", "Of the scan's x from the camera's, towards +y.")] = 0.0
    repeats: Annotated[
        bool, typer.Option("--repeats", help="The film repeats with the scan, as simulated ones may.")
    ] = False


@dataclasses.dataclass(frozen=True)
class EelsOptions(Energy, Semiangle, Counts):
    """Of energy-loss spectra."""

    elements: Annotated[
        str | None, option("Elements whose edges are fitted: Ti,O. Default: those that rises of the spectra speak for.")
    ] = None
    low_loss: Annotated[
        Path | None, option("--low-loss", "Low loss of the same place: a file as those that are measured.")
    ] = None
    exposure_ratio: Annotated[
        float | None, option("--exposure-ratio", "Exposure of core loss over low loss. Default: by the files, or 1.")
    ] = None
    collection: Annotated[float | None, option("--collection-mrad", "Collection semi-angle. Default: the file's.")] = (
        None
    )
    dispersion: Annotated[float | None, option("--dispersion-eV", "Energy of a channel. Default: the file's.")] = None
    offset: Annotated[float | None, option("--offset-eV", "Energy of the first channel. Default: the file's.")] = None
    range: Annotated[str | None, option("--range-eV", "Energies FROM,TO that are used. Default: all.")] = None
    mean_free_path: Annotated[
        float | None,
        option("--mean-free-path-nm", "For inelastic scattering, gives the thickness. Default: by Malis' formula."),
    ] = None
    edge_energies: Annotated[
        str | None,
        option("--edges-eV", "Onsets that are known, by which the axis's offset is measured: Ti L=456,O K=532."),
    ] = None
    drift: Annotated[
        float | None,
        option("--drift-eV", "By how much the axis differs between spectra, rms: each has its own shift then."),
    ] = None
    map: Annotated[bool, typer.Option("--map", help="Put the maps of a spectrum image into the JSON.")] = False


class Kind(NamedTuple):
    """A measurement's ``options``, its ``description``, and whether it takes ``several`` files; `reconstruct.measurement.recorded.known.KINDS` has the rest."""

    options: type[Counts]
    description: str
    several: bool = False


KINDS = {
    "lattice": Kind(LatticeOptions, "An image of a known crystal: pixel sizes, shear, rotation."),
    "thon": Kind(ThonOptions, "An image of an amorphous film: defocus and astigmatism by its Thon rings."),
    "haadf": Kind(
        HaadfOptions, "HAADF images of a known crystal: C10, astigmatism, source, detector, scan, drift.", True
    ),
    "disk": Kind(
        DiskOptions, "A pattern with a bright-field disk: radius, centre, ellipse, edge; semi-angle or camera length."
    ),
    "rotation": Kind(RotationOptions, "A 4D-STEM scan: rotation and flip between scan and camera."),
    "pacbed": Kind(
        PacbedOptions, "A position-averaged pattern (a 4D-STEM scan is summed): a crystal's thickness and tilt."
    ),
    "film": Kind(FilmOptions, "4D-STEM scans of an amorphous film: aberrations to third order.", True),
    "eels": Kind(EelsOptions, "Energy-loss spectra: thickness, plasmon, edges of elements, with maps."),
}
