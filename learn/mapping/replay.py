"""`replay`: the map of one quantity over a recorded scan, from as few of its pixels as a tolerance allows."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from learn.mapping.host import Host, HostClaims
from learn.mapping.loop import MapPlan, Survey, acquire_map, check_plan
from reconstruct.api.data import signal_of
from reconstruct.measurement.scanned import PixelData, QuantityName, pixel_data, pixel_quantity, quantity_named
from twin.compiled_programs import double_precision
from twin.errors import BadInput
from twin.notebook import table
from twin.records import RecordedScan, Signal, Wanted, scan_of
from twin.units import symbol


@dataclasses.dataclass(frozen=True)
class ReplayedMap:
    """A map over a recorded scan from a part of its pixels; arrays [rows, columns] in ``unit``.

    ``map`` with its standard deviation ``std`` (without counting noise), which pixels were ``measured``, their ``order`` (-1 where not measured), the values
    of all pixels as ``recorded`` with ``recorded_std`` by counting, the ``survey`` image, and the ``result`` in numbers, as ``emtwin acquire replay --json``
    prints it.
    """

    title: str
    unit: str
    map: np.ndarray
    std: np.ndarray
    measured: np.ndarray
    order: np.ndarray
    recorded: np.ndarray
    recorded_std: np.ndarray
    survey: np.ndarray
    result: dict[str, Any]

    def __repr__(self) -> str:
        result = self.result
        reached = "reached" if result["tolerance_reached"] else "not reached"
        return f"<map of {self.title}: {result['measured']} of {result['requests']} pixels, tolerance {result['tolerance']:g} {reached}>"

    def _repr_html_(self) -> str:
        """The result in numbers, with notes."""
        result = self.result
        rows = [("pixels measured", f"{result['measured']} of {result['requests']}")]
        rows.append(
            ("tolerance", f"{result['tolerance']:g}, {'reached' if result['tolerance_reached'] else 'not reached'}")
        )
        if result["r2"] is not None:
            rows.append(("R² where not measured", f"{result['r2']:.3f}"))
        if result["coverage90"] is not None:
            rows.append(("90 % intervals hold", f"{100 * result['coverage90']:.1f} %"))
        alerts = ["the model is distrusted"] if result["model_distrusted"] else []
        return table(f"map of {self.title}", ("", ""), rows, [f"survey: {result['survey']}", *result["notes"]], alerts)


def replay(
    data: Any,
    quantity: str,
    *,
    survey: Any = None,
    tolerance: float = 0.15,
    budget: int | None = None,
    host: Host | None = None,
    model: str | None = None,
    rule: str = "variance",
    background: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    gain: float | None = None,
    pixel: float | None = None,
    signal: str | None = None,
    bin: int = 1,
    audit_share: float = 0.1,
    seed: int = 0,
    progress: Callable[[str, float | None], None] | None = None,
) -> ReplayedMap:
    """The map of a ``quantity`` over a recorded scan from as few of its pixels as the ``tolerance`` allows: what ``emtwin acquire replay`` does.

    ``data``: a scan with a spectrum [y, x, channel] or a pattern [y, x, ky, kx] at each pixel, as what `twin.simulate` returns, an xarray DataArray with
    coordinates and their units, a HyperSpy signal, an array of patterns, or the signals that `instrument.readers.read_vendor` reads from a file. ``survey``: an
    image of the same area on the scan's grid or one a whole number of times finer; without it one of the same file, or one made of the data themselves.

    ``quantity``: an edge ("Ti L"), "plasmon energy", "t/lambda", "zero-loss position" or "450-470 eV" of spectra; "centre of mass x", "centre of mass y",
    "com magnitude" or "20-60 mrad" of patterns. ``tolerance``: the largest standard deviation of the map as a share of its range; at most ``budget`` pixels
    are measured. ``host``: a crystal (`learn.Host`) on whose lattice the atoms of an edge stand; ``model``: "plain", "host", "deep" or "compared" (default: by
    ``host``; see `learn.mapping.models`). ``rule``: which pixels are measured next, "variance", "novelty", "improvement" or "confidence"
    (`learn.design.acquisition`).
    ``background`` and ``window`` in eV replace the usual windows of an edge; ``gain`` in counts per electron; ``pixel``: the angle of a camera pixel in radian;
    ``signal``: number or title, where there are several; ``bin`` pixels along each side are summed to one; ``audit_share``: share of random pixels, as a check.

    `twin.errors.BadInput` (a ValueError) naming the input, the problem and the cure. Sources: Rasmussen & Williams, Gaussian Processes for Machine Learning
    (2006); Krause, Singh & Guestrin, JMLR 9, 235 (2008).
    """
    with double_precision():
        name = quantity_named(quantity, background, window)
        _check_numbers(gain, pixel, budget, seed, audit_share)
        wanted = Wanted(name.content, name.energies, signal, bin)
        images = None if survey is None else _signals(survey, "survey", False)
        scan = scan_of(_signals(data, "data", name.content == "spectrum"), wanted, images, "data")
        claims = {key: claim.value for key, claim in scan.cube.claims.items()}
        known = pixel_data(scan.axes, claims, str(scan.cube.raw.get("unit", "")), gain, pixel)
        plan = MapPlan(float(tolerance), budget, audit_share, seed, host, model, rule)
        check_plan(plan, scan.shape, name)
        return _replayed(scan, name, known, plan, progress)


def _replayed(
    scan: RecordedScan,
    name: QuantityName,
    known: PixelData,
    plan: MapPlan,
    progress: Callable[[str, float | None], None] | None,
) -> ReplayedMap:
    made = pixel_quantity(name, known)
    survey = Survey(scan.survey, scan.finer, HostClaims(known.energy, known.convergence, known.collection))
    result, arrays = acquire_map(InMemory(scan), survey, name, made, plan, _Told(progress))
    result |= described(name, made.unit, scan.survey_name, scan.virtual, scan.shape)
    result |= dose_of(result, scan.electrons, scan.virtual)
    return ReplayedMap(
        name.title, made.unit, arrays["predicted"], arrays["predicted_std"], arrays["measured"] > 0, arrays["order"],
        arrays["recorded"], arrays["recorded_std"], scan.survey, result,
    )  # fmt: skip


def described(name: QuantityName, unit: str, survey: str, virtual: bool, shape: tuple[int, int]) -> dict[str, Any]:
    """What a result says of its map."""
    return {
        "quantity": name.text, "title": name.title, "unit": unit, "unit_symbol": symbol(unit), "survey": survey,
        "survey_is_virtual": virtual, "pixels": list(shape),
    }  # fmt: skip


def dose_of(result: dict[str, Any], electrons: float, virtual: bool) -> dict[str, float | None]:
    """Electrons spent and saved; None where the recording does not tell them, and where the survey itself is made of the data of all pixels."""
    if virtual or not electrons > 0.0:
        return {"dose_spent": None, "dose_saved": None}
    return {"dose_spent": electrons * result["measured"], "dose_saved": electrons * result["simulated"]}


def _signals(data: Any, name: str, spectra: bool) -> list[Signal]:
    if isinstance(data, Sequence) and data and all(isinstance(part, Signal) for part in data):
        return list(data)
    return [signal_of(data, name, spectra)]


def _check_numbers(gain: Any, pixel: Any, budget: Any, seed: Any, share: Any) -> None:
    for label, value in (("gain", gain), ("pixel", pixel)):
        if value is not None and not value > 0.0:
            raise BadInput(f"{label} = {value!r}", "is no number above zero", "Give a positive number.")
    for label, value in (("budget", budget), ("seed", seed)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise BadInput(f"{label} = {value!r}", "is no whole number from zero on", "Give one.")
    if not 0.0 <= share <= 1.0:
        raise BadInput(f"audit_share = {share!r}", "is no share", "Give a number from 0 to 1.")


class InMemory:
    """The pixels of a recording in memory; nothing is recorded of the session but ``notes``: (kind, payload) of each step."""

    def __init__(self, scan: RecordedScan):
        self._data = scan.data
        self.notes: list[tuple[str, dict[str, Any]]] = []

    def data(self, row: int, column: int) -> tuple[np.ndarray, bool]:
        """See `learn.mapping.session.Source`."""
        return np.asarray(self._data[row, column], np.float32), True

    def unrecorded(self, row: int, column: int) -> np.ndarray | None:
        """See `learn.mapping.session.Source`."""
        return np.asarray(self._data[row, column], np.float32)

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """See `learn.mapping.session.Source`."""
        self.notes.append((kind, payload))


class _Told:
    """Progress as a function of (step, share)."""

    def __init__(self, tell: Callable[[str, float | None], None] | None):
        self._tell = tell

    def stage(self, text: str, fraction: float | None = None) -> None:
        if self._tell is not None:
            self._tell(text, fraction)

    def request(self, event: dict[str, Any]) -> None:
        if self._tell is not None:
            self._tell(f"pixel {event['index'] + 1}: {event['why']}", None)
