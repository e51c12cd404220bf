"""How exact windows of a scene are, measured with a few probes: what `forms` states beforehand bounds what leaves a window, not what that changes.

What leaves a window on one side comes in on the other and meets atoms of the same crystal there; most of the signal stays what it was. Some
probes through the whole specimen and through the window, in one frozen configuration, tell how much it changes.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import qmc

from twin.optics.illumination import Illumination
from twin.sample.factors import scattering_factor
from twin.scattering.beams import Response, beams
from twin.scattering.by_probes import columns, completed, of_waves
from twin.scattering.forms import FLOAT32, MARGINS, Form, choose, forms, outside, sparse_raster, wave_cost
from twin.scattering.scene import Scene, Window, window

PROBES, COLUMNS = 8, 4
"""Probes spread over the scan, and on top of atoms in it, where the signal and what may be wrong with it are largest."""
HIGH = 2.0
"""Frequency in 1/angstrom at which atoms are compared: where they scatter to dark field."""
SAFETY = 2.0
"""What is stated over what was measured: twice, for so few probes."""
HOPELESS = 10.0
"""A window whose bound is so many times the tolerance is not measured."""
_POTENTIALS = 25
"""Waves that making the transmission functions of a scene costs as much as, for the cost of a measurement."""


def best(
    scene: Scene,
    beam: Illumination,
    x: np.ndarray,
    y: np.ndarray,
    detectors: Sequence[Response],
    tolerance: float,
    names: Sequence[str] | None = None,
    focal_nodes: int = 7,
    memory: int | None = None,
    workers: int | None = None,
) -> tuple[Form, tuple[Form, ...]]:
    """The cheapest form within ``tolerance`` (of those called ``names``, if given), and all that were weighed.

    Windows that are cheaper than that, and whose bound is too large but not hopeless, are measured first if that pays. ValueError if there is none.
    """
    found = forms(scene, beam, x, y, detectors, focal_nodes, memory)
    allowed = [one for one in found if names is None or one.name in names]
    taken = choose(allowed, tolerance) if any(one.error <= tolerance for one in allowed) else None
    probe = scene.slices * wave_cost(scene.gpts)
    most = np.inf if taken is None else taken.cost - (PROBES + COLUMNS + _POTENTIALS) * probe
    parts = _parts(scene, beam, x, y, [one for one in allowed if one.margin and one.cost < most])
    wanted = {
        part for form, part in parts.items() if part is not None and tolerance < form.error <= HOPELESS * tolerance
    }
    if not wanted:
        return choose(allowed, tolerance), found
    errors = _measured(scene, beam, x, y, detectors, wanted, memory, workers)
    beyond = outside(scene, beam, MARGINS)

    def told(form: Form) -> Form:
        measured = errors.get(parts.get(form))
        if measured is None:
            return form
        bound = 2.0 * beyond[form.margin]
        return form._replace(error=form.error - bound + min(bound, measured))

    known = tuple(told(one) for one in found)
    return choose([one for one in known if names is None or one.name in names], tolerance), known


def _parts(
    scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray, windows: Sequence[Form]
) -> dict[Form, Window | None]:
    """Of each of ``windows`` the part of the scene that it is made in."""
    bundle = beams(scene.specimen.extent, beam.energy, beam.semiangle, beam.soft)
    places: dict[float, tuple[np.ndarray, np.ndarray] | None] = {0.0: (x, y)}
    for spread in {form.spread for form in windows} - {0.0}:
        some = sparse_raster(bundle, beam, x, y, spread)
        places[spread] = None if some is None else (some.x.at, some.y.at)
    found = {}
    for form in windows:
        place = places[form.spread]
        found[form] = None if place is None else window(scene, *place, form.margin)
    return found


def _measured(
    scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray, detectors: Sequence[Response],
    parts: set[Window], memory: int | None, workers: int | None,
) -> dict[Window | None, float]:  # fmt: skip
    """For each of ``parts`` how much the signals are changed in it, as stated after measuring."""
    one = Scene(
        scene.specimen, scene.gpts, scene.slices, scene.seeds[:1], scene.tilt, scene.cell, scene.repeats, scene.options
    )
    low, span = np.array([x.min(), y.min()]), np.array([np.ptp(x), np.ptp(y)])
    spread = low[None, :] + qmc.Halton(2, scramble=False).random(PROBES + 1)[1:] * span[None, :]
    spots = np.concatenate([spread, _atoms(scene, low, span)])
    nominal = beam.foci(1)[0][0]

    def seen(part: Window | None) -> np.ndarray:
        def passing(*given):
            return of_waves(*given, part=part)

        found = columns(passing, one, nominal, spots, detectors, 1, memory, workers, None)
        return completed(found, found[:PROBES].mean(axis=0), scene, nominal, part)[:, :-1]

    whole, found = seen(None), {}
    for part in sorted(parts):
        off = np.sqrt(np.mean((seen(part) - whole) ** 2, axis=0)) / np.maximum(whole[:PROBES].mean(axis=0), 1e-12)
        found[part] = SAFETY * float(off.max()) + FLOAT32
    return found


def _atoms(scene: Scene, low: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Places [n, 2] of up to `COLUMNS` atoms that a scan from ``low`` over ``span`` (x, y) passes, no two in one column, those that scatter most first."""
    found: list[np.ndarray] = []
    sides = np.array(scene.specimen.extent)
    along = (scene.specimen.positions[:, :2] - low[None, :] + 0.1) % sides[None, :] - 0.1
    high = np.array([HIGH**2])
    factors = {symbol: float(scattering_factor(symbol, high)[0]) for symbol in set(scene.specimen.symbols)}
    weight = np.array([factors[symbol] for symbol in scene.specimen.symbols])
    for place in along[np.argsort(-weight, kind="stable")]:
        passed = np.all((place >= -0.1) & (place <= span + 0.1))
        if passed and all(np.hypot(*(place - other)) > 0.5 for other in found) and len(found) < COLUMNS:
            found.append(place)
    return low[None, :] + np.array(found).reshape(-1, 2)
