"""Validated recordings for tests of what is shown of them: claims and evidence by hand, nothing is measured."""

import math
from pathlib import Path

import numpy as np

from reconstruct.api.validate import Validation
from reconstruct.measurement.measurement import FitPlot
from reconstruct.validation.evidence import Contradiction, Evidence, Picture, Statement, gaussian
from reconstruct.validation.recording import Further, Validated, validate_recording
from reconstruct.validation.session.timeline import timeline
from scenarios.validate.files import ReadFile
from scenarios.validate.job import ValidatedFile, ValidatedSession
from twin.channels import field
from twin.records import Axis, Claim, Signal

START = 1_700_000_000_000_000_000
SHAPE = (48, 48)


def claims(**values: float | str) -> dict[str, Claim]:
    """Claims in inside units; "pixel__x" is pixel.x."""
    made = {}
    for key, value in values.items():
        name = key.replace("__", ".")
        unit = None if isinstance(value, str) else field(name).unit
        made[name] = Claim(
            value,
            unit,
            f"Microscope.{name}",
            f"{value} {unit or ''}".strip(),
            zone="UTC" if name.startswith("time") else "",
        )
    return made


def signal(title: str = "image", repeated: dict[str, tuple[Claim, ...]] | None = None, **values: float | str) -> Signal:
    """An image with counting noise and a bright square."""
    data = np.random.default_rng(1).poisson(20.0, SHAPE).astype(np.float64)
    data[10:30, 14:34] += 40.0
    axes = tuple(Axis(name, size, 0.1, 0.0, "angstrom") for name, size in zip("yx", SHAPE, strict=True))
    return Signal(data, axes, "image", title, "", "made", claims(**values), repeated or {})


def lattice(x: float, y: float, error: float = 2e-3) -> Evidence:
    """Pixel sizes by a lattice, with the fit to look at."""
    data = np.random.default_rng(2).normal(0.0, 1.0, SHAPE)
    model = np.zeros(SHAPE)
    model[16:32, 16:32] = 5.0
    plot = FitPlot("lattice", data + model, model, data, (0.0, 4.8, 4.8, 0.0), "angstrom")
    statements = tuple(Statement(f"{name} by the lattice", {name: 1.0}) for name in ("pixel.x", "pixel.y"))
    means = [math.log(x), math.log(y)]
    return Evidence("lattice of SrTiO3", "data", statements, gaussian(means, [error, error]), "The lattice makes the pixels smaller.",
                    ("high tension", "magnification"), pictures=(Picture("fit", plot, "The lattice in the image"),))  # fmt: skip


def validated(
    recording: Signal, *evidence: Evidence, contradictions: tuple[Contradiction, ...] = (), name: str = "a.emd"
) -> Validated:
    return validate_recording(name, recording, further=Further(evidence, contradictions))


def session(*files: Validated | tuple[str, str]) -> ValidatedSession:
    """Files file-1.emd, file-2.emd, ... of one recording each, or that could not be read for (problem, cure)."""
    done = []
    for number, item in enumerate(files, 1):
        path = Path(f"/data/file-{number}.emd")
        if isinstance(item, tuple):
            done.append(ValidatedFile(ReadFile(path), None, item))
        else:
            done.append(ValidatedFile(ReadFile(path, (item.signal,)), Validation(str(path), (item,))))
    recordings = [item for item in files if isinstance(item, Validated)]
    return ValidatedSession(tuple(done), timeline(recordings) if len(recordings) > 1 else None)


def wrong_pixels(name: str = "a.emd", /, **more: float | str) -> Validated:
    """An image whose pixels are 5 % too large by its lattice, among other claims."""
    values = {"pixel__x": 0.105, "pixel__y": 0.105, "high_tension": 200e3, "time__start": START, **more}
    return validated(signal(**values), lattice(0.1, 0.1), name=name)
