"""Arguments and options that commands of ``emtwin measure`` share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scenarios.measure.found import Found
    from scenarios.progress import Progress

Finish = Callable[[str, Path, Callable[["Progress"], "Found"], Path | None, Path | None, bool], None]
"""Measures a kind (named, with the file and the work), makes --out and --figure, prints, and ends with the exit code."""
FILES = "DM3, DM4, EMD, EMI, SER, HSPY, TIFF, or a .zarr of emtwin simulate."
File = Annotated[Path, typer.Argument(help=FILES, show_default=False)]
Files = Annotated[list[Path], typer.Argument(help=f"One or several: {FILES}", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", help="JSON file to make; must not exist.", show_default=False)]
Picture = Annotated[
    Path | None, typer.Option("--figure", help="Figure to make, .png or .svg; must not exist.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Signal = Annotated[
    str | None, typer.Option(help="Which signal of a file with several: number or title.", show_default=False)
]
Frame = Annotated[
    str | None, typer.Option(help="Which of a stack: N, or N,N for two axes, or a detector's name.", show_default=False)
]
Structure = Annotated[
    str | None, typer.Option(help="SrTiO3 or a CIF file. Default: the file's own.", show_default=False)
]
Zone = Annotated[str | None, typer.Option(help="Zone axis, u,v,w. Default: the file's, or 0,0,1.", show_default=False)]
Right = Annotated[
    str | None, typer.Option("--x", help="Direction u,v,w that points along x of the cell.", show_default=False)
]
Pixel = Annotated[
    float | None, typer.Option("--pixel-angstrom", help="Side of a pixel. Default: the file's.", show_default=False)
]
Energy = Annotated[float | None, typer.Option("--energy-keV", help="Default: the file's.", show_default=False)]
Semiangle = Annotated[
    float | None,
    typer.Option("--semiangle-mrad", help="Convergence semi-angle. Default: the file's.", show_default=False),
]
PixelAngle = Annotated[
    float | None,
    typer.Option("--pixel-mrad", help="Angle that a pixel spans. Default: the file's.", show_default=False),
]
Gain = Annotated[float | None, typer.Option(help="Counts per electron. Default: the file's.", show_default=False)]
Changes = Annotated[
    list[float] | None,
    typer.Option(
        "--c10-change-nm", help="Known change of C10 of each file, in their order. Default: 0.", show_default=False
    ),
]
