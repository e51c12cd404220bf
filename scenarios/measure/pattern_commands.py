"""Commands of ``emtwin measure`` for patterns: ``disk``, ``rotation``, ``pacbed``, ``film``. Everything heavy is imported by the command that needs it."""

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
    PixelAngle,
    Right,
    Semiangle,
    Signal,
    Structure,
    Zone,
)

if TYPE_CHECKING:
    from scenarios.measure.found import Found
    from scenarios.progress import Progress


def add_patterns(app: typer.Typer, finish: Finish) -> None:
    """Put them into ``app``; ``finish`` does the work of one and ends it."""

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
