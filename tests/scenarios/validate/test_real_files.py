"""Real files: what is truly wrong in each, argued, and nothing else."""

import functools
from pathlib import Path

import pytest

from reconstruct.validation.data.options import Known
from reconstruct.validation.session import outside
from scenarios.io.progress import SilentProgress
from scenarios.validate import job
from scenarios.validate.columns import ensemble
from scenarios.validate.job import ValidatedSession, validate_files
from scenarios.validate.options import ValidateOptions


@pytest.fixture
def without_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model of the column: half a minute, and one test of its own."""
    monkeypatch.setattr(outside, "column_of", lambda *_: None)


def validated(*paths: Path, specimen: str | None = None, sensors: tuple[Path, ...] = ()) -> ValidatedSession:
    return validate_files(ValidateOptions(paths, Known(specimen), sensors=sensors), SilentProgress())


def findings(session: ValidatedSession) -> dict[str, dict[str, str]]:
    """{file: {field: status}} of all findings."""
    result: dict[str, dict[str, str]] = {}
    for item in session.files:
        assert item.validation is not None, item.problem
        for verdict in item.validation.findings:
            result.setdefault(item.read.path.name, {})[verdict.field] = verdict.status
    return result


FINDINGS: dict[str, dict[str, str]] = {
    # 1 nm by 0.2 nm, in two units: made so for the reader's tests
    "images/dm-nonsquare-pixels.dm3": {"pixel.x": "disagrees", "pixel.y": "disagrees"},
    # 14 um / (0.0251 angstrom x 320 mm) is 0.0174 / nm, the file's pixels are ten times that: with them the camera would see 450 mrad
    "images/dm-diffraction-pattern.dm3": {
        "pixel.kx": "disagrees",
        "pixel.ky": "disagrees",
        "camera_length": "disagrees",
    },
    "images/dm-stem-image.dm3": {},
    "images/fei_example_dpc_titles.emd": {},
    # an image of a camera, with the camera length of the last diffraction pattern
    "images/fei_example_tem_stack.emd": {"camera_length": "stale"},
    # the zero loss lies at -0.135 eV: it was not aligned, or the dispersion is off
    "spectra/al-low-loss.dm3": {"energy_offset": "disagrees", "dispersion": "disagrees"},
    "spectra/dm-eels-si.dm4": {},
    "spectra/dm-eels-spectrum.dm3": {},
    "spectra/tia-spectrum-image.emi": {},
    "spectra/titanate-si-eels.dm3": {},
    "spectra/titanate-si-haadf.dm3": {},
    "spectra/titanate-si-survey.dm3": {},
}


@pytest.mark.usefixtures("without_columns")
@pytest.mark.parametrize("name", FINDINGS)
def test_what_is_wrong_in_a_file_and_nothing_else(data: Path, name: str):
    session = validated(data / name)
    assert findings(session) == ({Path(name).name: FINDINGS[name]} if FINDINGS[name] else {})


WITH_SPECIMEN: dict[tuple[str, str], dict[str, str]] = {
    # the plasmon is 15.0 eV above the zero loss by the file's dispersion: it is the zero that lies at -0.135 eV
    ("spectra/al-low-loss.dm3", "Al"): {"energy_offset": "disagrees"},
    # Ti L3 and O K are 2.7 and 5.8 eV below their usual places: not enough, with chemical shifts and rises that are channels wide, for one alarm in 100 files
    ("spectra/titanate-si-eels.dm3", "SrTiO3"): {},
    # no electrons are in these two
    ("spectra/dm-eels-spectrum.dm3", "SrTiO3"): {},
    ("spectra/tia-spectrum-image.emi", "SrTiO3"): {},
}


@pytest.mark.usefixtures("without_columns")
@pytest.mark.parametrize("name, specimen", WITH_SPECIMEN)
def test_spectra_of_a_known_specimen(data: Path, name: str, specimen: str):
    expected = WITH_SPECIMEN[name, specimen]
    assert findings(validated(data / name, specimen=specimen)) == ({Path(name).name: expected} if expected else {})


@pytest.mark.usefixtures("without_columns")
def test_what_a_low_loss_of_aluminium_leaves_open(data: Path):
    """Its current and collection semi-angle: the file states a current of 0, which is none, and it ends before Al L."""
    session = validated(data / "spectra/al-low-loss.dm3", specimen="Al")
    validation = session.files[0].validation
    assert validation is not None
    assert validation["dispersion"].status == "agrees"
    exposure, collection = validation["exposure"], validation["collection_semiangle"]
    assert (exposure.status, collection.status) == ("unverifiable", "unverifiable")
    assert "claims no beam current" in exposure.words
    assert "no edges are seen" in collection.words
    assert "current" in exposure.cure


@pytest.mark.usefixtures("without_columns")
@pytest.mark.slow  # 16 recordings of one file
def test_a_file_of_spectra_and_maps_has_nothing_wrong(data: Path):
    assert findings(validated(data / "spectra/velox-eels-eds.emd")) == {}


@pytest.mark.slow
@pytest.mark.usefixtures("without_columns")
def test_the_titanate_of_a_titan(data: Path):
    """SrTiO3 {100} measures 4.02 and 4.07 angstrom in it: pixels are 2.9 and about 4 % too large, and the image is sheared."""
    session = validated(data / "images/sto-titan80.emi", specimen="SrTiO3")
    assert findings(session) == {"sto-titan80.emi": {"pixel.x": "disagrees", "pixel.y": "disagrees"}}
    validation = session.files[0].validation
    assert validation is not None
    x, y = validation["pixel.x"], validation["pixel.y"]
    assert x.suggested == pytest.approx(0.10013 * 3.905 / 4.02, rel=5e-3)
    assert y.suggested == pytest.approx(0.10013 * 3.905 / 4.07, rel=1e-2)
    assert x.z > 5.0
    assert y.z > 5.0
    assert "sheared" in x.words
    assert x.causes[0][0] == "pixel size"


@pytest.mark.usefixtures("without_columns")
def test_three_files_of_a_themis_are_a_session(data: Path):
    """A negative semi-angle in all, stale in the last; a camera length of diffraction in the image; a zero of defocus that was moved."""
    folder = data / "images"
    names = ("themis-ceta-imaging.emd", "themis-ceta-diffraction.emd", "themis-haadf.emd")
    session = validated(*(folder / name for name in names))
    assert findings(session) == {
        names[0]: {"convergence_semiangle": "disagrees", "camera_length": "stale"},
        names[1]: {"convergence_semiangle": "disagrees", "C10": "disagrees"},
        names[2]: {"convergence_semiangle": "disagrees"},
    }
    last = next(item for item in session.files if item.read.path.name == names[2])
    assert last.validation is not None
    verdict = last.validation["convergence_semiangle"]
    assert "negative" in verdict.words
    assert "same digits" in verdict.words
    assert verdict.since is not None
    assert session.timeline is not None
    assert {fault.field for fault in session.timeline.faults} == {"convergence_semiangle", "camera_length", "C10"}


@pytest.mark.usefixtures("without_columns")
@pytest.mark.slow  # the log of an hour is followed
def test_a_log_of_another_year_covers_nothing(data: Path):
    session = validated(data / "images/themis-haadf.emd", sensors=(data / "sensors/krios-health-2025-07-28.xml.gz",))
    validation = session.files[0].validation
    assert validation is not None
    assert validation["high_tension"].status == "unverifiable"
    assert "not covered" in validation["high_tension"].words


@pytest.mark.slow  # draws of the column: half a minute, once for a cache folder
def test_lenses_say_that_the_imaging_file_is_an_image(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(job, "ensemble", functools.partial(ensemble, draws=96))
    session = validated(data / "images/themis-ceta-imaging.emd")
    validation = session.files[0].validation
    assert validation is not None
    assert "the lenses make an image" in validation["camera_length"].words
    assert validation.recordings[0].notes == ("mode by the lens settings: TEM imaging",)
