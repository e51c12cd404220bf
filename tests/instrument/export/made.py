"""Small records to export: every kind of signal, every status of a verdict."""

from pathlib import Path
from typing import Any

import numpy as np

from instrument.export import Activity, Agent, Evidence, Record, Recording, Sample, Verdict
from twin.records import Axis, Claim, Signal, axis_claims

START = 1_767_600_000_123_456_789
PIXEL, RIGHT_PIXEL = 0.100_13, 0.097_31
EVIDENCE = (
    Evidence("lattice", "lattice of SrTiO3", "data", "Its spots give 9.731 ± 0.023 pm.", ("high tension", "camera length")),
    Evidence("sensor", "HealthMonitor: HT", "sensors", "200.012 kV, 3 s before."),
)  # fmt: skip


def axes(unit: str, *shape: int, scale: float = PIXEL, prefix: str = "") -> tuple[Axis, ...]:
    """Axes z, y, x (the last ones of these) with a scale, and an origin that is no multiple of it."""
    names = ("w", "z", "y", "x")[-len(shape) :]
    return tuple(
        Axis(prefix + name, size, scale, -0.3 * size * scale, unit, unit)
        for name, size in zip(names, shape, strict=True)
    )


def signals() -> dict[str, Signal]:
    """One signal of each shape that files have."""
    random = np.random.default_rng(1)
    energy = Axis("energy", 5, 0.25, 441.3, "electronvolt", "eV")
    scan = axes("angstrom", 3, 4)
    frames = (Axis("frame", 2, 1.0, 0.0, None), *scan)
    detectors = (Axis("detector", 2, 1.0, 0.0, None, "", ("BF", "HAADF")), *scan)
    made: dict[str, tuple[np.ndarray, tuple[Axis, ...], str]] = {
        "image": (random.poisson(9.0, (3, 4)).astype(np.uint16), scan, "image"),
        "backwards": (random.random((3, 4)).astype(np.float32), (scan[0], Axis("x", 4, -PIXEL, 1.0, "angstrom")), "image"),
        "pattern": (random.random((3, 4)), axes("1/angstrom", 3, 4, scale=0.01), "image"),
        "angles": (random.random((3, 4)), axes("radian", 3, 4, scale=1e-3), "image"),
        "series": (random.poisson(9.0, (2, 3, 4)).astype(np.int32), frames, "image-stack"),
        "detectors": (random.random((2, 3, 4)), detectors, "image-stack"),
        "4d": (random.random((2, 2, 3, 4)), (*axes("angstrom", 2, 2), *axes("radian", 3, 4, scale=1e-3, prefix="k")), "image-stack"),
        "spectrum": (random.poisson(9.0, 5).astype(np.int64), (energy,), "spectrum"),
        "spectrum image": (random.random((3, 4, 5)).astype(np.float32), (*scan, energy), "spectrum-image"),
        "line scan": (random.random((4, 5)).astype(np.float32), (scan[1], energy), "spectrum-image"),
        "spectra without lengths": (random.random((2, 3, 5)), (Axis("y", 2, 1.0, 0.0, None), Axis("x", 3, 1.0, 0.0, None), energy), "spectrum-image"),
        "wave": ((random.random((3, 4)) + 1j * random.random((3, 4))).astype(np.complex64), scan, "image"),
        "waves": ((random.random((2, 3, 4)) + 1j).astype(np.complex128), frames, "image-stack"),
        "mask": (random.random((3, 4)) > 0.5, scan, "image"),
        "no units": (random.random((3, 4)), (Axis("y", 3, 1.0, 0.0, None, "furlong"), Axis("x", 4, 1.0, 0.0, None, "furlong")), "image"),
    }  # fmt: skip
    raw = {"Optics.AccelerationVoltage": "200000", "Optics.Gun/Lens": 5, "Stage.on": True, "Detectors.0.name": "HAADF"}
    result = {}
    for name, (data, described, kind) in made.items():
        claims = {**dict(axis_claims(described, kind)), **CLAIMS}
        repeated = {"high_tension": (Claim(2.0e5, "volt", "Gun.HT", "200 kV"),)}
        result[name] = Signal(data, described, kind, name, f"{name}.dm3", "DM3", claims, repeated, raw)  # type: ignore[arg-type]
    return result


CLAIMS: dict[str, Claim] = {
    "high_tension": Claim(200_000.0, "volt", "Optics.AccelerationVoltage", "200000"),
    "convergence_semiangle": Claim(-0.0287, "radian", "Optics.BeamConvergence", "-0.0287"),
    "camera_length": Claim(3.01e9, "angstrom", "Optics.CameraLength", "0.301"),
    "C10": Claim(-120.0, "angstrom", "Optics.Defocus", "-1.2e-8", step=10.0),
    "dwell": Claim(1e-5, "second", "Scan.DwellTime", "1e-05"),
    "flyback": Claim(6e-4, "second", "Scan.Flyback", "0.0006"),
    "exposure": Claim(0.5, "second", "Camera.Exposure", "0.5"),
    "beam_current": Claim(5e-11, "ampere", "Beam", "50 pA"),
    "spot_size": Claim(4, "1", "Optics.SpotIndex", "4"),
    "lens.objective": Claim(0.8797984719276428, "1", "Optics.ObjectiveLensIntensity", "0.8797984719276428"),
    **{f"stage.{name}": Claim(12.5, "angstrom", f"Stage.{name}", "1.25e-09") for name in "xyz"},
    "stage.alpha": Claim(0.01, "radian", "Stage.alpha", "0.01"),
    "stage.beta": Claim(-0.02, "radian", "Stage.beta", "-0.02"),
    "instrument": Claim("THEMISX", None, "Instrument.ComputerName", "THEMISX"),
    "illumination_mode": Claim("Probe", None, "Optics.IlluminationMode", "Probe"),
    "detector": Claim("HAADF", None, "BinaryResult.Detector", "HAADF"),
    "time.start": Claim(START, "nanosecond", "Acquisition.Start", "2026-01-05T08:00:00Z", "UTC", 1e9),
}  # fmt: skip


def verdicts(claims: dict[str, Claim]) -> tuple[Verdict, ...]:
    """A verdict of every status on the claims that are there; the rest unverifiable."""
    told = {
        "pixel.x": {"status": "disagrees", "value": RIGHT_PIXEL, "error": 2.3e-4, "z": 12.3, "suggested": RIGHT_PIXEL, "suggested_error": 2.3e-4,
                        "cause": "pixel size", "words": "The lattice is 2.9 % smaller.", "evidence": ("lattice",)},
        "high_tension": {"status": "agrees", "value": 200_012.0, "error": 20.0, "z": -0.6, "evidence": ("sensor", "lattice")},
        "convergence_semiangle": {"status": "disagrees", "words": "A semi-angle is positive.", "evidence": ()},
        "camera_length": {"status": "stale", "suggested": 2.5e9, "suggested_error": 1e7, "value": 2.5e9, "error": 1e7, "since": START - 60 * 10**9},
    }  # fmt: skip
    result = []
    for name, claim in claims.items():
        given = told.get(name, {"status": "unverifiable"})
        result.append(
            Verdict(field=name, claimed=claim.value, unit=claim.unit, text=claim.text, key=claim.key, **given)
        )  # type: ignore[arg-type]
    return tuple(result)


def recording(signal: Signal, name: str = "file-0", path: str = "one.dm3", sha256: str = "ab" * 32) -> Recording:
    """A recording with all claims of its signal judged."""
    claims = {field: (claim, *signal.repeated.get(field, ())) for field, claim in signal.claims.items()}
    return Recording(
        name,
        f"one.dm3: {signal.title}",
        path,
        sha256,
        signal,
        claims,
        verdicts(signal.claims),
        EVIDENCE,
        START,
        START + 10**9,
    )


def record(*recordings: Recording, base: str = "", sample: Sample | None = None) -> Record:
    """Recordings with an instrument, this program, an acquisition and a validation."""
    ids = tuple(item.id for item in recordings)
    agents = (Agent("instrument-0", "instrument", "THEMISX"), Agent("emtwin", "software", "emtwin", "0.2"))
    activities = (
        Activity("acquisition", "acquisition", ("instrument-0",), ids, START, START + 10**9),
        Activity("validation", "validation", ("emtwin",), ids, None, START + 10**12, {"false_alarms": 0.01}),
    )
    specimen = sample or Sample("a film", ("Sr", "Ti", "O"), START - 10**15)
    return Record("one", "report.json", base, recordings, agents, activities, specimen, START + 2 * 10**12)


def opened(path: Path, mode: str = "r") -> Any:
    """An HDF5 file; its members are of no type that a checker could know."""
    import h5py

    return h5py.File(path, mode)  # type: ignore[arg-type]
