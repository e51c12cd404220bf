"""Commands of ``emtwin measure`` for images: ``lattice``, ``thon``, ``haadf``. Everything heavy is imported by the command that needs it."""

from typing import TYPE_CHECKING, Annotated

import typer

from scenarios.measure.options import (
    Changes,
    Energy,
    File,
    Files,
    Finish,
    Frame,
    Gain,
    Json,
    Out,
    Picture,
    Pixel,
    Right,
    Semiangle,
    Signal,
    Structure,
    Zone,
)

if TYPE_CHECKING:
    from scenarios.measure.found import Found
    from scenarios.progress import Progress


def add_images(app: typer.Typer, finish: Finish) -> None:
    """Put them into ``app``; ``finish`` does the work of one and ends it."""

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
