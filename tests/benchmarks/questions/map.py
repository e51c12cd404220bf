"""Questions of kind "map" on specimens whose maps each seed draws: errors by the truth, and electrons beside an even scan.

Sessions run on the simulated scan in this process; one of each question runs as `emtwin acquire` does, processes and all, for the time to its first map. The
even scan exposes every pixel alike, just long enough for the error that is asked for: pixel by pixel by the true noise, and with the session's own Gaussian
process over its values, which is taken as well to see what error that has.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from instrument.replay import SURVEY
from instrument.simulation.scan.instrument import EPOCH, DosedScan, open_scan
from learn.mapping.dosed.even import even_dwells, even_dwells_denoised, even_electrons
from learn.mapping.dosed.loop import DosedMap, acquire_dosed
from learn.mapping.loop import Survey
from reconstruct.measurement.scanned import PixelQuantity
from scenarios.acquire.maps.job import instrument_config, quantity_of, run_map
from scenarios.acquire.maps.library import library_of
from scenarios.acquire.maps.wanted import WantedMap, wanted_map
from scenarios.io.progress import SilentProgress
from scenarios.question.reading import question_of
from scenarios.question.tables import Question
from scenarios.replay.recording import Played, played_with
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.compiled_programs import double_precision
from twin.records import Scan

_AREA = {"nx": 24, "ny": 24, "pixel": 20}
_BEAM = {"energy_keV": 300, "semiangle_mrad": 10, "current_pA": 100, "flyback": 2e-4}
_OXIDES = [{"formula": "Fe", "density": 7.87}, {"formula": "Fe2O3", "density": 5.24}]
_CERIA = [{"formula": "CeO2", "density": 7.22}, {"formula": "ZrO2", "density": 5.68}]
_NITRIDES = [{"formula": "GaN", "density": 6.15}, {"formula": "AlN", "density": 3.26}]
QUESTIONS: dict[str, dict[str, Any]] = {
    "O K of Fe2O3 in Fe to 10 %": {
        "quantity": {"kind": "map", "name": "O K"}, "asked": {"std": 0.1}, "instrument": _BEAM,
        "area": {**_AREA, "thickness": [250, 450], "layout": "inclusions", "phase": _OXIDES},
        "option": [{"technique": "eels", "collection_mrad": 20, "dispersion": 1, "channels": 160, "seconds": 1e-3}],
    },
    "t/lambda of GaN and AlN to 0.005": {
        "quantity": {"kind": "map", "name": "t/lambda"}, "asked": {"std": 0.005}, "instrument": {"semiangle_mrad": 10, "current_pA": 20, "flyback": 2e-5},
        "area": {**_AREA, "thickness": [300, 700], "phase": _NITRIDES},
        "option": [{"technique": "eels", "collection_mrad": 20, "dispersion": 0.5, "channels": 240, "seconds": 1e-5}],
    },
    "Ce M of CeO2 in ZrO2 to 5 %": {
        "quantity": {"kind": "map", "name": "Ce M"}, "asked": {"std": 0.05}, "instrument": _BEAM,
        "area": {**_AREA, "thickness": [200, 400], "layout": "gradient", "phase": _CERIA},
        "option": [{"technique": "eels", "collection_mrad": 20, "dispersion": 1, "channels": 256, "seconds": 1e-3}],
    },
}  # fmt: skip
SEEDS = {Form.WHOLE: 20, Form.SHORT: 4, Form.SMOKE: 1}
BRIGHT = 1e10
Z90 = 1.645
MET, COVERED, WRONG, FAR, RATIO, DECISION, FIRST = 0.9, (0.85, 0.95), 1.25, 4.0, 0.5, 0.5, 60.0
"""Least share of sessions that keep what they told, share of 90 % intervals that hold, errors over what was asked from which a session is sure and wrong,
standard deviations from which a pixel is, electrons over the even scan's, seconds of a decision, seconds to the first map."""


class Scanned:
    """The simulated scan in this process (`learn.mapping.dosed.session.DosedSource`)."""

    def __init__(self, instrument: DosedScan, wanted: WantedMap, played: Played):
        self.instrument, self.wanted, self.played = instrument, wanted, played
        self.electrons = played.survey.exposure.total

    @property
    def seconds(self) -> float:
        """See `DosedSource`."""
        return (self.instrument.now() - EPOCH) * 1e-9

    def expose(self, row: int, column: int, dwells: int) -> np.ndarray:
        """See `DosedSource`."""
        self.instrument.apply({"pixel.y": float(row), "pixel.x": float(column)})
        return self.taken((1, 1), float(dwells))

    def taken(self, shape: tuple[int, int], dwells: float) -> np.ndarray:
        """The data of a scan of that shape."""
        plan = self.wanted.plan
        frame = self.instrument.acquire(Scan(self.played.detector, shape, 1.0, dwells * plan.dwell, plan.visit, 0.0))
        self.electrons += frame.exposure.total
        return frame.data

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """See `DosedSource`."""


def cases(short: Form, progress: Callable[..., None], seeds: int | None = None) -> list[Case]:
    """All questions."""
    count = seeds or SEEDS[short]
    rows: list[Case] = []
    for name, asked in list(QUESTIONS.items())[: 1 if short is Form.SMOKE else None]:
        question = question_of(
            {"name": "map", "kind": "map", "specimen": {"structure": "SrTiO3"}, **asked}, "benchmark"
        )
        with tempfile.TemporaryDirectory(prefix="emtwin-benchmark-") as folder, double_precision():
            file = Path(folder) / "expected.npz"
            library_of(question, wanted_map(question)).save(file)
            made = []
            for seed in range(count):
                progress(f"{name}, seed {seed}", seed / count)
                made.append(_session(question, file, seed))
            progress(f"{name}, as emtwin acquire")
            told = run_map(question, Path(folder) / "session", None, SilentProgress())
            whole = told["until_first_map_seconds"]
        rows += _rows(name, made, whole)
    return rows


def _session(question: Question, file: Path, seed: int) -> dict[str, Any]:
    """One session, with its even scans."""
    wanted = wanted_map(question)
    plan = dataclasses.replace(wanted.plan, seed=seed)
    area, shape = wanted.area, (wanted.area.ny, wanted.area.nx)
    instrument = open_scan(file, None, {**instrument_config(wanted), "shape": list(shape)}, seed)
    frame = instrument.acquire(Scan(SURVEY, shape, area.pixel, wanted.survey, plan.visit, 0.0))
    played = played_with(shape, frame, "EELS")
    quantity, source = quantity_of(wanted, played), Scanned(instrument, wanted, played)
    survey = Survey(np.asarray(frame.data, np.float64), played.finer)
    made = acquire_dosed(source, survey, wanted.name, quantity, plan, area.gain, SilentProgress())
    spent, session = source.electrons, made.session
    truth, noise = _truth(instrument, quantity, wanted, shape)
    off, std = session.prediction.mean - truth, np.sqrt(session.discrepancy) * session.prediction.std
    alone = even_dwells(noise, session.asked, False)
    denoised = even_dwells_denoised(session, session.asked)
    assert denoised is not None
    with_model = even_electrons(plan, shape, denoised) + frame.exposure.total
    return {
        "reached": made.ended == "reached", "error": float(np.sqrt((off**2).mean())) / session.asked, "sigmas": off / std,
        "electrons": spent, "even": even_electrons(plan, shape, alone), "denoised": with_model,
        "denoised_error": _even_error(source, made, denoised, truth, shape) / session.asked,
        "exposures": session.count, "pixels": float((session.exposures.dwells > 0).mean()), "distrusted": session.distrusted,
        "decision": float(np.median(made.decisions)), "fit": max(made.fits), "first": made.first_answer,
    }  # fmt: skip


def _truth(
    instrument: DosedScan, quantity: PixelQuantity, wanted: WantedMap, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The true map [n], and the noise variance of one shortest dwell time."""
    places = [{"settings": {"pixel.y": y, "pixel.x": x}} for y in range(shape[0]) for x in range(shape[1])]
    data = np.stack([frame.ravel() for frame, _ in instrument.truth.expected(places)])
    values, variances = quantity.values(BRIGHT * wanted.area.gain * data)
    factor = 1.0 / (wanted.area.gain * BRIGHT) if quantity.unit == "count" else 1.0
    return values * factor, variances * factor**2 * BRIGHT / wanted.plan.electrons


def _even_error(source: Scanned, made: DosedMap, dwells: float, truth: np.ndarray, shape: tuple[int, int]) -> float:
    """Root mean square error of the session's model over an even scan that is taken."""
    session = made.session
    data = source.taken(shape, dwells)
    values, _ = session.exposures.quantity.values(data.reshape(-1, *data.shape[2:]))
    factor = 1.0 / (source.wanted.area.gain * session.plan.electrons * dwells) if session.exposures.counted else 1.0
    known = np.flatnonzero(np.isfinite(values))
    predicted = session.model.predict(known, values[known] * factor, session.noise[known] / dwells)
    return float(np.sqrt(((predicted.mean - truth) ** 2).mean()))


def _rows(name: str, made: list[dict[str, Any]], whole: float) -> list[Case]:
    def each(key: str) -> np.ndarray:
        return np.array([one_session[key] for one_session in made], float)

    told, error = each("reached") > 0, each("error")
    met = float((told & (error <= 1.0)).mean())
    wrong = float((told & (error > WRONG)).mean())
    sigmas = np.abs(np.concatenate([session["sigmas"] for session in made]))
    covered, control = float((sigmas < Z90).mean()), float((sigmas < 0.5 * Z90).mean())
    far = float((sigmas > FAR).mean())
    ratio = float(each("electrons").sum() / each("even").sum())
    decision = float(np.median(each("decision")))
    return [
        case(f"{name}: sessions that reach it", float(told.mean())),
        case(f"{name}: sessions whose error is as told", met, "", f"at least {MET}", met >= MET),
        case(f"{name}: rms error over what was asked for, mean", float(error.mean())),
        case(f"{name}: sessions that are sure and {WRONG} times as wrong", wrong, "", "at most 0.02", wrong <= 0.02),
        case(f"{name}: pixels more than {FAR:g} standard deviations off", far, "", "at most 0.02", far <= 0.02),
        case(f"{name}: 90 % intervals that hold", covered, "", f"{COVERED[0]} to {COVERED[1]}", COVERED[0] <= covered <= COVERED[1]),
        case(f"{name}: the same with a quarter of the variance (must fail)", control, "", f"below {COVERED[0]}", control < COVERED[0]),
        case(f"{name}: electrons over those of an even scan, pixel by pixel", ratio, "", f"at most {RATIO}", ratio <= RATIO),
        case(f"{name}: electrons over those of an even scan with the same model", float(each("electrons").sum() / each("denoised").sum())),
        case(f"{name}: rms error of that scan over what was asked for, mean", float(each("denoised_error").mean())),
        case(f"{name}: exposures, mean", float(each("exposures").mean())),
        case(f"{name}: share of pixels exposed, mean", float(each("pixels").mean())),
        case(f"{name}: sessions in which the model was distrusted", float(each("distrusted").mean())),
        case(f"{name}: seconds of a decision, median", decision, "s", f"at most {DECISION}", decision <= DECISION),
        case(f"{name}: seconds of the longest estimation of the model's parameters", float(each("fit").max()), "s"),
        case(f"{name}: seconds to the first map, emtwin acquire as a whole", whole, "s", f"at most {FIRST:g}", whole <= FIRST),
    ]  # fmt: skip
