"""NXem: what stands where, links from verdicts to values and evidence, and not one complaint by pynxtools' validator."""

import os
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

from instrument.export import Record, Sample, write
from instrument.export.record import ExportError
from instrument.export.writers.nxem import iso
from tests.instrument.export import made
from tests.instrument.export.made import opened
from twin.channels import FIELDS

PYNX = "EMTWIN_PYNX"
"""Environment variable with the python of an environment in which pynxtools and pynxtools-em are installed: `python -m tests.checkers FOLDER` makes one."""
EVENT = "entry/measurement/event1"


def written(tmp_path: Path, record: Record) -> Path:
    out = tmp_path / "out.nxs"
    write(record, "nxem", out)
    return out


def test_values_stand_in_their_places_in_si(tmp_path: Path) -> None:
    out = written(tmp_path, made.record(made.recording(made.signals()["image"])))
    expected = {
        "instrument/ebeam_column/electron_source/voltage": (200e3, "V"),
        "instrument/optics/defocus": (-120e-10, "m"),
        "instrument/optics/camera_length": (0.25, "m"),
        "instrument/optics/camera_length_errors": (1e-3, None),
        "instrument/optics/probe_current": (5e-11, "A"),
        "instrument/ebeam_column/scan_controller/dwell_time": (1e-5, "s"),
        "instrument/ebeam_column/scan_controller/flyback_time": (6e-4, "s"),
        "instrument/ebeam_column/lens_objective/power_setting": (0.8797984719276428, None),
        "instrument/detector/count_time": (0.5, "s"),
        "instrument/stage/tilt2": (-0.02, "rad"),
    }
    with opened(out) as file:
        event = file[EVENT]
        for where, (value, unit) in expected.items():
            assert event[where][()] == pytest.approx(value, rel=1e-12), where
            assert event[where].attrs.get("units") == unit, where
        np.testing.assert_allclose(event["instrument/stage/position"][()], [12.5e-10] * 3)
        # a refuted value that nothing replaces is not stated
        assert "semi_convergence_angle" not in event["instrument/optics"]
        assert event["start_time"][()].decode() == "2026-01-05T08:00:00.123456789+00:00"
        assert event["image1/image_2d/axis_i"][1] - event["image1/image_2d/axis_i"][0] == pytest.approx(
            made.RIGHT_PIXEL
        )


def test_verdicts_are_linked_to_values_and_evidence(tmp_path: Path) -> None:
    out = written(tmp_path, made.record(made.recording(made.signals()["image"])))
    with opened(out) as file:
        links, kept = file[EVENT]["emtwin/links"], file[EVENT]["emtwin"]
        assert links["high_tension/value"] == file[EVENT]["instrument/ebeam_column/electron_source/voltage"]
        names = [links[f"high_tension/evidence_{number}/name"][()].decode() for number in range(2)]
        assert names == ["HealthMonitor: HT", "lattice of SrTiO3"]
        assert kept["verdicts/high_tension/status"][()] == b"agrees"
        assert kept["verdicts/camera_length/claimed"][()] == 3.01e9


def test_every_path_of_the_vocabulary_is_written(tmp_path: Path) -> None:
    """A path of `FIELDS` that the writer leaves out would be a promise of the documentation only."""
    signal = made.signals()["image"]
    claims = {
        item.name: msgspec.structs.replace(
            made.CLAIMS["C10"], value="word" if item.form == "text" else 1.5, unit=item.unit
        )
        for item in FIELDS
        if item.nxem and item.form != "time"
    }
    recording = msgspec.structs.replace(
        made.recording(signal), claims={name: (claim,) for name, claim in claims.items()}, verdicts=()
    )
    with opened(written(tmp_path, made.record(recording))) as file:
        for name in claims:
            where = next(item.nxem for item in FIELDS if item.name == name).partition("[")[0]
            assert where in file[EVENT], name


@pytest.mark.parametrize(
    ("sample", "missing"),
    [(Sample("a film", (), 1), "elements"), (Sample("a film", ("Sr",), None), "prepared"), (None, "start time")],
)
def test_what_the_definition_requires_is_asked_for(tmp_path: Path, sample: Sample | None, missing: str) -> None:
    recording = made.recording(made.signals()["image"])
    if sample is None:
        recording = msgspec.structs.replace(recording, start=None)
    with pytest.raises(ExportError, match=missing) as caught:
        written(tmp_path, made.record(recording, sample=sample))
    assert "--elements" in caught.value.cure


def test_times_have_nanoseconds_and_a_zone() -> None:
    assert iso(made.START) == "2026-01-05T08:00:00.123456789+00:00"
    assert iso(-1) == "1969-12-31T23:59:59.999999999+00:00"


@pytest.mark.skipif(
    PYNX not in os.environ, reason=f"{PYNX} names no python with pynxtools: python -m tests.checkers FOLDER makes it"
)
@pytest.mark.slow
def test_pynxtools_has_no_complaint(tmp_path: Path) -> None:
    items = [made.recording(signal, name) for name, signal in made.signals().items()]
    out = written(tmp_path, made.record(*items))
    pynx = Path(os.environ[PYNX]).with_name("pynx")
    done = subprocess.run([pynx, "validate", out], capture_output=True, text=True, timeout=200)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert lines == [f"The entry `entry` in file `{out}` is valid according to the `NXem` application definition."]
