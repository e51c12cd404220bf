"""How exact windows of a scene are, measured with a few probes: what `forms` states beforehand bounds what leaves a window, not what that changes.

What leaves a window on one side comes in on the other and meets atoms of the same crystal there; most of the signal stays what it was. Some
probes through the whole specimen and through the window, in one frozen configuration, tell how much it changes.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import qmc

from twin.optics.illumination import Illumination
from twin.scattering.beams import Response, beams
from twin.scattering.by_probes import columns, of_waves
from twin.scattering.forms import FLOAT32, MARGINS, Form, choose, forms, outside, sparse_raster, wave_cost
from twin.scattering.scene import Scene, Window, window

PROBES = 8
"""So many measure an rms difference to a quarter of itself."""
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
    most = np.inf if taken is None else taken.cost - (PROBES + _POTENTIALS) * probe
    parts = {one: _part(scene, beam, x, y, one) for one in allowed if one.margin and one.cost < most}
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


def _part(scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray, form: Form) -> Window | None:
    if form.name == "window":
        return window(scene, x, y, form.margin)
    bundle = beams(scene.specimen.extent, beam.energy, beam.semiangle, beam.soft)
    some = sparse_raster(bundle, beam, x, y, form.spread)
    return None if some is None else window(scene, some.x.at, some.y.at, form.margin)


def _measured(
    scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray, detectors: Sequence[Response],
    parts: set[Window], memory: int | None, workers: int | None,
) -> dict[Window | None, float]:  # fmt: skip
    """For each of ``parts`` how much the signals are changed in it, as stated after measuring."""
    one = Scene(
        scene.specimen, scene.gpts, scene.slices, scene.seeds[:1], scene.tilt, scene.cell, scene.repeats, scene.options
    )
    low, span = np.array([x.min(), y.min()]), np.array([np.ptp(x), np.ptp(y)])
    spots = low[None, :] + qmc.Halton(2, scramble=False).random(PROBES + 1)[1:] * span[None, :]
    nominal = beam.foci(1)[0][0]

    def seen(part: Window | None) -> np.ndarray:
        def passing(*given):
            return of_waves(*given, part=part)

        return columns(passing, one, nominal, spots, detectors, 1, memory, workers, None)[:, :-1]

    whole, found = seen(None), {}
    for part in sorted(parts):
        off = np.sqrt(np.mean((seen(part) - whole) ** 2, axis=0)) / np.maximum(whole.mean(axis=0), 1e-12)
        found[part] = SAFETY * float(off.max()) + FLOAT32
    return found
