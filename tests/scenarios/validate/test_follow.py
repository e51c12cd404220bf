"""Files that land while `emtwin validate --follow` runs: when they are taken, tried again, and judged."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from reconstruct.validation.data.options import Known
from scenarios.io.progress import SilentProgress
from scenarios.validate.follow import PATIENCE, SETTLED, FollowedSession, Landing
from scenarios.validate.options import ValidateOptions
from scenarios.validate.pool import Validators


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.smoke
def test_a_file_is_taken_when_it_no_longer_changes(tmp_path: Path):
    clock = Clock()
    landing = Landing((tmp_path,), clock)
    file = tmp_path / "a.tif"
    file.write_bytes(b"first")
    assert landing.settled() == []
    clock.now += 0.5 * SETTLED
    file.write_bytes(b"first and second")
    assert landing.settled() == []
    clock.now += 0.9 * SETTLED
    assert landing.settled() == [], "it changed since"
    clock.now += 0.2 * SETTLED
    assert landing.settled() == [file]
    clock.now += 10.0
    assert landing.settled() == [], "it was taken"
    os.utime(file, ns=(1, 1))
    landing.settled()
    clock.now += SETTLED
    assert landing.settled() == [file], "it was written anew"


def test_a_file_that_cannot_be_read_is_tried_again_for_a_while(tmp_path: Path):
    clock = Clock()
    landing = Landing((tmp_path,), clock)
    file = tmp_path / "a.tif"
    file.write_bytes(b"x")
    landing.settled()
    clock.now = SETTLED
    assert landing.settled() == [file]
    assert landing.again(file)
    assert landing.settled() == [file]
    clock.now = PATIENCE + 1.0
    assert not landing.again(file)


def test_what_is_no_recording_is_left_alone(tmp_path: Path):
    clock = Clock()
    landing = Landing((tmp_path,), clock)
    for name in ("notes.txt", ".hidden.tif", "a.tif.emtwin.json"):
        (tmp_path / name).write_bytes(b"x")
    landing.settled()
    clock.now = 2.0 * SETTLED
    assert landing.settled() == []


@pytest.mark.slow  # two processes import what validation needs
def test_files_are_judged_beside_those_before(tmp_path: Path, data: Path):
    source = data / "images"
    options = ValidateOptions((tmp_path,), Known(), follow=True)
    with Validators(options.known, options.false_alarms) as validators:
        validators.warm()
        clock = Clock()
        session = FollowedSession(options, validators, SilentProgress())
        session.landing = Landing((tmp_path,), clock)
        for name in ("sto-titan80.emi", "sto-titan80_1.ser", "dm-nonsquare-pixels.dm3"):
            shutil.copy(source / name, tmp_path / name)
        (tmp_path / "broken.dm3").write_bytes(b"no such thing")
        session.look()
        clock.now = SETTLED
        session.look()
        clock.now += PATIENCE
        session.look()
        while session.busy:
            session.look()
        files = {item.read.path.name: item for item in session.session().files}
    assert set(files) == {"sto-titan80.emi", "dm-nonsquare-pixels.dm3", "broken.dm3"}, (
        "the series belongs to its description"
    )
    assert files["broken.dm3"].problem is not None
    assert files["sto-titan80.emi"].agrees
    validations = [files[name].validation for name in ("dm-nonsquare-pixels.dm3", "sto-titan80.emi")]
    assert all(validation is not None for validation in validations)
    wrong, right = (validation for validation in validations if validation is not None)
    assert [item.field for item in wrong.findings] == ["pixel.y", "pixel.x"]
    assert np.isfinite(right.recordings[0].signal.data).all()
