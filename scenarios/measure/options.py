"""Options of ``emtwin measure`` that kinds share, in groups: a kind's options are a class that inherits the groups it takes (`scenarios.measure.kinds`).

Every kind takes `Counts` and `Output`, and those of images `Data`; an option has one name, unit and meaning wherever it is.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

FILES = "DM3, DM4, EMD, EMI, SER, HSPY, TIFF, or a .zarr of emtwin simulate."
REFERENCES = "NPY, or a file as those that are measured."
File = Annotated[Path, typer.Argument(help=FILES, show_default=False)]
Files = Annotated[list[Path], typer.Argument(help=f"One or several: {FILES}", show_default=False)]


def option(*words: str) -> Any:
    """An option by its name, if it is not that of its field, and its help; the default is not printed beside it."""
    *names, help_text = words
    return typer.Option(*names, help=help_text, show_default=False)


def number(*words: str) -> Any:
    """As `option`, with the default printed."""
    *names, help_text = words
    return typer.Option(*names, help=help_text)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Which recording of a file is measured, and what its counts are. None where the file is to say."""

    signal: Annotated[str | None, option("Which signal of a file with several: number or title.")] = None
    black: Annotated[float | None, option("Counts of a pixel without a beam. Default: 0.")] = None
    gain: Annotated[float | None, option("Counts per electron. Default: the file's.")] = None


@dataclasses.dataclass(frozen=True)
class Data(Counts):
    """Which part of a recording of images is measured."""

    frame: Annotated[
        str | None,
        option(
            "Which of a stack, from 0: N, or N,N for two axes, or a detector's name; FROM:TO is summed, or of a scan the part."
        ),
    ] = None
    axes: Annotated[
        str | None,
        option("Order of the file's axes, by number, rows and columns of an image or pattern last: 2,3,0,1."),
    ] = None
    part: Annotated[str | None, option("Rows and columns that are used, from 0: FROM:TO,FROM:TO. Default: all.")] = None
    bin: Annotated[int, number("Pixels along each side that are summed to one; sizes of pixels stay the file's.")] = 1
    mask: Annotated[
        Path | None,
        option(f"Image, not zero where a pixel is left out, of all recorded rows and columns: {REFERENCES}"),
    ] = None
    dark: Annotated[Path | None, option(f"Image without a beam, which is subtracted: {REFERENCES}")] = None
    flat: Annotated[Path | None, option(f"Image of an even illumination, which is divided out: {REFERENCES}")] = None
    all_pixels: Annotated[
        bool, typer.Option("--all-pixels", help="Do not look for defects (hot pixels and the like) to leave out.")
    ] = False


@dataclasses.dataclass(frozen=True)
class Output:
    """Where a measurement goes."""

    out: Annotated[Path | None, option("--out", "JSON file to make; must not exist.")] = None
    figure: Annotated[Path | None, option("--figure", "Figure to make, .png or .svg; must not exist.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False


@dataclasses.dataclass(frozen=True)
class Crystal:
    """The crystal that is seen."""

    structure: Annotated[str | None, option("SrTiO3 or a CIF file. Default: the file's own.")] = None
    zone: Annotated[str | None, option("Zone axis, u,v,w. Default: the file's, or 0,0,1.")] = None
    x: Annotated[str | None, option("--x", "Direction u,v,w that points along x of the cell.")] = None


@dataclasses.dataclass(frozen=True)
class Energy:
    """The beam's energy."""

    energy: Annotated[float | None, option("--energy-keV", "Energy of the electrons. Default: the file's.")] = None


@dataclasses.dataclass(frozen=True)
class Semiangle:
    """The probe's convergence."""

    semiangle: Annotated[float | None, option("--semiangle-mrad", "Convergence semi-angle. Default: the file's.")] = (
        None
    )


@dataclasses.dataclass(frozen=True)
class ImagePixel:
    """How large a pixel of an image is."""

    pixel: Annotated[float | None, option("--pixel-angstrom", "Side of a recorded pixel. Default: the file's.")] = None


@dataclasses.dataclass(frozen=True)
class PatternPixel:
    """Which angle a pixel of a pattern spans."""

    pixel: Annotated[
        float | None, option("--pixel-mrad", "Angle that a recorded pixel spans. Default: the file's.")
    ] = None


@dataclasses.dataclass(frozen=True)
class Step:
    """How far probes of a scan are apart."""

    step: Annotated[float | None, option("--step-angstrom", "Distance of the probes. Default: the file's.")] = None


@dataclasses.dataclass(frozen=True)
class FocalSpread:
    """Partial temporal coherence."""

    focal_spread: Annotated[float, number("--focal-spread-angstrom", "Focal spread, rms.")] = 0.0


@dataclasses.dataclass(frozen=True)
class Spherical:
    """The lens."""

    spherical: Annotated[
        float | None, option("--cs-mm", "Spherical aberration C30; 0 for a corrected lens. Default: the file's.")
    ] = None


@dataclasses.dataclass(frozen=True)
class Changes:
    """What was changed between files."""

    changes: Annotated[
        list[float] | None, option("--c10-change-nm", "Known change of C10 of each file, in their order. Default: 0.")
    ] = None


def with_options(
    options: type, several: bool, run: Callable[[tuple[Path, ...], Any, Output], None]
) -> Callable[..., None]:
    """A command that takes files, the options of the class ``options`` and `Output`, and gives them to ``run`` as objects."""
    fields, output = fields_of(options), fields_of(Output)

    def command(**values: Any) -> None:
        files = values["files"] if several else [values["file"]]
        selected = options(**{field.name: values[field.name] for field in fields})
        run(tuple(files), selected, Output(**{field.name: values[field.name] for field in output}))

    keyword = inspect.Parameter.KEYWORD_ONLY
    name, hint = ("files", Files) if several else ("file", File)
    parameters = [inspect.Parameter(name, keyword, annotation=hint)]
    for group in (options, Output):
        hints = typing.get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])
            for field in fields_of(group)
        ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def fields_by_option(options: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a class of options by the names that a user types."""
    hints = typing.get_type_hints(options, include_extras=True)
    fields = {}
    for field in fields_of(options):
        declaration = typing.get_args(hints[field.name])[-1]
        # typer keeps a name that is given first as the default
        fields[declaration.default if isinstance(declaration.default, str) else f"--{field.name}"] = field
    return fields


def fields_of(options: type) -> list[dataclasses.Field[Any]]:
    """Fields of a class of options: its own first, then those of each group in the order in which it names them, `Data` last."""
    fields = {field.name: field for field in dataclasses.fields(options)}
    order = [name for group in options.__mro__ for name in vars(group).get("__annotations__", {}) if name in fields]
    return [fields[name] for name in dict.fromkeys(order)]
