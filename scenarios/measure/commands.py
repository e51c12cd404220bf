"""The commands ``emtwin measure KIND FILE``: one for each kind, with its own options. Everything heavy is imported by the command that needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenarios.errors import BadInput

if TYPE_CHECKING:
    from scenarios.measure.found import Found
    from scenarios.progress import Progress

DONE, DISAGREES = 0, 1

Guarded = Callable[[Callable[[], tuple[int, dict[str, Any]]], bool, Callable[[], Path | None]], int]
"""Runs a command's work and makes a message and an exit code of what it raises."""

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


def measure_commands(guarded: Guarded) -> typer.Typer:
    """The sub-application ``emtwin measure``."""
    app = typer.Typer(
        help="Images as sensors: quantities with errors out of a file, what it leaves open, and what it contradicts.",
        rich_markup_mode=None,
    )

    def finish(
        kind: str, path: Path, work: Callable[["Progress"], "Found"], out: Path | None, figure: Path | None, js: bool
    ) -> None:
        raise typer.Exit(guarded(lambda: _run(kind, path, work, out, figure, js), js, lambda: None))

    @app.command("lattice")
    def lattice(
        file: File,
        structure: Structure = None,
        zone: Zone = None,
        x: Right = None,
        pixel: Pixel = None,
        pixel_error: Annotated[
            float, typer.Option("--pixel-error-percent", help="How well that is known, rms.")
        ] = 10.0,
        skew: Annotated[float, typer.Option("--skew-percent", help="How far from square pixels may be, rms.")] = 5.0,
        mains: Annotated[
            float | None, typer.Option("--mains-hz", help="50 or 60, of scans whose lines wait for the mains.")
        ] = None,
        frame: Frame = None,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """An image of a known crystal: pixel sizes, shear, rotation."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure import images
            from scenarios.measure.inputs import open_file

            given = open_file(file, signal, frame)
            return images.lattice(given, progress, structure, zone, x, pixel, pixel_error, skew, mains)

        finish("lattice", file, work, out, figure, as_json)

    @app.command("thon")
    def thon(
        file: File,
        pixel: Pixel = None,
        energy: Energy = None,
        spherical: Annotated[
            float | None, typer.Option("--cs-mm", help="Spherical aberration; 0 for a corrected lens.")
        ] = None,
        span: Annotated[float, typer.Option("--span-nm", help="Largest defocus that is looked for.")] = 1000.0,
        astigmatism: Annotated[
            float, typer.Option("--astigmatism-nm", help="How large astigmatism may be, rms of either part.")
        ] = 30.0,
        focal_spread: Annotated[float, typer.Option("--focal-spread-angstrom", help="Rms.")] = 0.0,
        frame: Frame = None,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """An image of an amorphous film: defocus and astigmatism by its Thon rings."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure import images
            from scenarios.measure.inputs import open_file

            given = open_file(file, signal, frame)
            return images.thon(given, progress, pixel, energy, spherical, span, astigmatism, focal_spread)

        finish("thon", file, work, out, figure, as_json)

    @app.command("disk")
    def disk(
        file: File,
        pixel_mrad: PixelAngle = None,
        pixel_error: Annotated[
            float, typer.Option("--pixel-error-percent", help="How well angle or camera length is known, rms.")
        ] = 1.0,
        energy: Energy = None,
        semiangle: Annotated[
            float | None, typer.Option("--semiangle-mrad", help="If it is known: gives the camera length.")
        ] = None,
        semiangle_error: Annotated[
            float, typer.Option("--semiangle-error-percent", help="How well that is known, rms.")
        ] = 1.0,
        detector_pixel: Annotated[
            float | None, typer.Option("--detector-pixel-um", help="Side of the camera's pixels.")
        ] = None,
        camera_length: Annotated[float | None, typer.Option("--camera-length-mm", help="If it is known.")] = None,
        gain: Gain = None,
        frame: Frame = None,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """A pattern with a bright-field disk: radius, centre, ellipse, edge; semi-angle or camera length."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure import patterns
            from scenarios.measure.inputs import open_file

            given = open_file(file, signal, frame)
            return patterns.disk(
                given, progress, pixel_mrad, pixel_error, energy, semiangle, semiangle_error, detector_pixel, camera_length, gain
            )  # fmt: skip

        finish("disk", file, work, out, figure, as_json)

    @app.command("rotation")
    def rotation(
        file: File,
        dark: Annotated[
            float | None,
            typer.Option(
                "--dark-field-mrad", help="Angle beyond which patterns make an image that is bright at atoms."
            ),
        ] = None,
        gain: Gain = None,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """A 4D-STEM scan: rotation and flip between scan and camera."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure import patterns
            from scenarios.measure.inputs import open_file

            return patterns.rotation(open_file(file, signal), progress, dark, gain)

        finish("rotation", file, work, out, figure, as_json)

    @app.command("pacbed")
    def pacbed(
        file: File,
        structure: Structure = None,
        zone: Zone = None,
        x: Right = None,
        energy: Energy = None,
        semiangle: Semiangle = None,
        pixel_mrad: PixelAngle = None,
        rotation_deg: Annotated[
            float, typer.Option("--rotation-deg", help="Of the crystal's x from the camera's, towards +y.")
        ] = 0.0,
        rotation_error: Annotated[float, typer.Option("--rotation-error-deg", help="How well that is known.")] = 1.0,
        known: Annotated[
            str | None, typer.Option("--thickness-nm", help="If it is known: mean,error.", show_default=False)
        ] = None,
        thickest: Annotated[float, typer.Option("--thickest-nm", help="Largest thickness that is tried.")] = 40.0,
        tilt: Annotated[str, typer.Option("--tilt-mrad", help="Specimen tilt x,y as it is known.")] = "0,0",
        tilt_error: Annotated[float, typer.Option("--tilt-error-mrad", help="How well that is known.")] = 3.0,
        precision: Annotated[
            float, typer.Option("--precision-percent", help="Half of a 90 % interval from which a thickness is open.")
        ] = 5.0,
        gain: Gain = None,
        black: Annotated[float, typer.Option(help="Counts of a pixel without a beam.")] = 0.0,
        frame: Frame = None,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """A position-averaged pattern (a 4D-STEM scan is summed): a crystal's thickness and tilt."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure import patterns
            from scenarios.measure.inputs import open_file

            given = open_file(file, signal, frame)
            return patterns.thickness(
                given, progress, structure, zone, x, energy, semiangle, pixel_mrad, rotation_deg, rotation_error, known, thickest,
                tilt, tilt_error, precision, gain, black,
            )  # fmt: skip

        finish("pacbed", file, work, out, figure, as_json)

    @app.command("haadf")
    def haadf(
        files: Files,
        changes: Changes = None,
        structure: Structure = None,
        zone: Zone = None,
        x: Right = None,
        pixel: Pixel = None,
        energy: Energy = None,
        semiangle: Semiangle = None,
        detector: Annotated[
            str | None, typer.Option("--detector-mrad", help="Angles INNER,OUTER. Default: the file's.")
        ] = None,
        thickness: Annotated[float | None, typer.Option("--thickness-nm", help="Default: the file's.")] = None,
        thickness_error: Annotated[float, typer.Option("--thickness-error-nm", help="How well it is known.")] = 0.5,
        dose: Annotated[float | None, typer.Option(help="Electrons per square angstrom. Default: the file's.")] = None,
        current: Annotated[float | None, typer.Option("--current-pA", help="Beam current, instead of a dose.")] = None,
        dwell: Annotated[float | None, typer.Option("--dwell-us", help="Time on a pixel. Default: the file's.")] = None,
        flyback: Annotated[float, typer.Option("--flyback-us", help="From the end of a line to the next.")] = 500.0,
        gain: Gain = None,
        gain_error: Annotated[float, typer.Option("--gain-error-percent", help="How well it is known.")] = 5.0,
        black: Annotated[float, typer.Option(help="Counts of a pixel without a beam.")] = 0.0,
        black_error: Annotated[float, typer.Option(help="How well it is known, in counts.")] = 5.0,
        readout: Annotated[float, typer.Option(help="Rms counts of a pixel without a beam.")] = 0.0,
        c10: Annotated[float, typer.Option("--c10-nm", help="C10 (minus the defocus) as it is known.")] = 0.0,
        c10_error: Annotated[float, typer.Option("--c10-error-nm", help="How well it is known.")] = 10.0,
        spherical: Annotated[float | None, typer.Option("--cs-mm", help="Default: 0, known to 1 um.")] = None,
        source: Annotated[
            float | None, typer.Option("--source-angstrom", help="Rms of the source's image, known to 30 %.")
        ] = None,
        seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
        frame: Frame = None,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """HAADF images of a known crystal: C10, astigmatism, source, detector, scan, drift."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure.haadf import Wish, haadf
            from scenarios.measure.inputs import open_file

            given = tuple(open_file(one, signal, frame) for one in files)
            wish = Wish(
                structure, zone, x, pixel, energy, semiangle, detector, thickness, thickness_error, dose, current, dwell, flyback,
                gain, gain_error, black, black_error, readout, c10, c10_error, spherical, source, seed,
            )  # fmt: skip
            return haadf(given, tuple(changes or [0.0] * len(given)), wish, progress)

        finish("haadf", files[0], work, out, figure, as_json)

    @app.command("film")
    def film(
        files: Files,
        changes: Changes = None,
        energy: Energy = None,
        semiangle: Semiangle = None,
        focal_spread: Annotated[float, typer.Option("--focal-spread-angstrom", help="Rms.")] = 0.0,
        step: Annotated[
            float | None, typer.Option("--step-angstrom", help="Distance of the probes. Default: the file's.")
        ] = None,
        pixel_mrad: PixelAngle = None,
        each: Annotated[
            float | None, typer.Option("--electrons", help="Electrons on a probe. Default: what the camera saw.")
        ] = None,
        gain: Gain = None,
        expected: Annotated[
            list[str] | None, typer.Option(help="What is known of an aberration: NAME=ANGSTROM, such as C10=-900.")
        ] = None,
        error: Annotated[
            list[str] | None, typer.Option(help="How well: NAME=ANGSTROM, such as C12=50; rms of a part.")
        ] = None,
        thickness: Annotated[float, typer.Option("--thickness-nm", help="The film's, about.")] = 5.0,
        thickness_error: Annotated[float, typer.Option("--thickness-error-nm", help="How well it is known.")] = 2.0,
        repeats: Annotated[
            bool, typer.Option("--repeats", help="The film repeats with the scan, as simulated ones may.")
        ] = False,
        signal: Signal = None,
        out: Out = None,
        figure: Picture = None,
        as_json: Json = False,
    ) -> None:
        """4D-STEM scans of an amorphous film: aberrations to third order."""

        def work(progress: "Progress") -> "Found":
            from scenarios.measure.film import film
            from scenarios.measure.inputs import open_file

            given = tuple(open_file(one, signal) for one in files)
            return film(
                given, tuple(changes or [0.0] * len(given)), progress, energy, semiangle, focal_spread, step, pixel_mrad, each, gain,
                tuple(expected or ()), tuple(error or ()), thickness, thickness_error, repeats,
            )  # fmt: skip

        finish("film", files[0], work, out, figure, as_json)

    return app


def _run(
    kind: str, path: Path, work: Callable[["Progress"], "Found"], out: Path | None, figure: Path | None, as_json: bool
) -> tuple[int, dict[str, Any]]:
    """Measure, draw, and only then write; refuse files that are in the way before anything is computed."""
    from scenarios.learn_sensors import new_file
    from scenarios.progress import open_progress

    if out is not None:
        new_file(out)
    if figure is not None:
        if figure.suffix not in (".png", ".svg"):
            raise BadInput(f"--figure {figure}", "is neither .png nor .svg", "Name a file of one of them.")
        new_file(figure, "--figure")
    import jax

    jax.config.update("jax_enable_x64", True)
    from scenarios.measure.told import as_json as strict
    from scenarios.measure.told import tell, write

    with open_progress(f"emtwin measure {kind} {path}") as progress:
        found = work(progress)
    told = tell(found)
    content = strict(told)
    if figure is not None:
        from scenarios.measure.figure import draw_measured

        write(draw_measured(found, figure.suffix[1:]), figure)
    if out is not None:
        write(content, out)
    if not as_json:
        from scenarios.measure.show import print_measured

        print_measured(told)
    return DISAGREES if told["disagreements"] else DONE, told
