"""Three files of one Themis: the mode from lens settings, a defocus zero that was moved, a stale camera length.

The column is a Titan's class, made to agree with three instruments whose settings are public (`twin/column/tables/titan.toml`); the mode is
estimated from the files' lens settings alone and compared with the mode that the files state.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from instrument.readers import read_vendor
from reconstruct.api.columns import load_column
from reconstruct.calibration.ensemble import agreeing_draws
from reconstruct.calibration.modes.claims import Record, judge
from reconstruct.calibration.modes.classify import spread_weights
from reconstruct.validation.session.columns import references
from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.recorded import data_folder
from twin.channels.lenses import THERMO_LENSES
from twin.column.column import Column
from twin.column.settings import from_thermo

FILES = {
    "images/themis-ceta-imaging.emd": ("imaging", "spread"),
    "images/themis-ceta-diffraction.emd": ("diffraction", "spread"),
    "images/themis-haadf.emd": ("diffraction", "probe"),
}
"""In the order of their times, with what they were: Ceta images are made with a spread beam, HAADF ones with a probe."""
DRAWS = (320, 96, 16)


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` fewer draws of the column."""
    folder = data_folder()
    if folder is None:
        return [case("Themis files", None, "", "needs the recorded data (EMTWIN_DATA)", None)]
    start = time.monotonic()
    column = Column(load_column("titan"))
    progress("columns that agree with three other instruments")
    rows, spread = references(column)
    draws = agreeing_draws(column, rows, DRAWS[short], np.random.default_rng(1))
    weights = spread_weights(column, spread, draws)
    progress("modes of three files")
    records = [record(folder / name) for name in FILES]
    modes, judgements = judge(column, records, draws, weights)
    case_rows = [case("Themis: draws that agree with the references", len(draws), "1", "", None)]
    for (name, (projection, beam)), mode in zip(FILES.items(), modes, strict=True):
        name = Path(name).stem
        share = mode.projection.get(projection, 0.0)
        case_rows.append(case(f"{name}: probability of {projection}", share, "1", "> 0.5", share > 0.5))
        share = mode.illumination.get(beam, 0.0)
        case_rows.append(case(f"{name}: probability of a {beam} beam", share, "1", "> 0.5", share > 0.5))
    judgement_by_key = {(judgement.label, judgement.quantity): judgement for judgement in judgements}
    stale = judgement_by_key["themis-ceta-imaging", "camera_length"]
    case_rows.append(case("imaging file: its camera length is", stale.verdict, "", "stale", stale.verdict == "stale"))
    moved = judgement_by_key["themis-ceta-diffraction", "defocus"]
    case_rows.append(
        case("diffraction file: its defocus is a", moved.verdict, "", "moved zero", moved.verdict == "moved zero")
    )
    case_rows.append(case("diffraction file: the zero was moved by", -moved.claimed / 10, "nm", "", None))
    for name in ("themis-ceta-diffraction", "themis-haadf"):
        judgement = judgement_by_key[name, "camera_length"]
        case_rows.append(case(f"{name}: its camera length", judgement.verdict, "", "", None))
    return [*case_rows, case("Themis: time of the part", time.monotonic() - start, "s", "", None)]


def record(path: Path) -> Record:
    """Lens settings and claims of one file. Thermo's defocus is C10: negative is underfocus."""
    signal = read_vendor(path)[0]
    lenses = {name: float(signal.raw[f"Optics.{name}"]) for name in THERMO_LENSES if f"Optics.{name}" in signal.raw}
    claims = {
        name: float(claim.value)
        for name, claim in signal.claims.items()
        if name in ("camera_length", "C10", "high_tension")
    }
    settings = from_thermo(claims["high_tension"], lenses)
    return Record(path.stem, settings, claims.get("camera_length"), claims.get("C10"))
