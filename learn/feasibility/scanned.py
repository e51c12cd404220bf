"""Options that scan a probe: annular detectors, segments and cameras, as the signatures of a change in their counts."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from learn.feasibility.matrices import Matrices
from learn.feasibility.scans import (
    Probe,
    Window,
    above_of,
    derivatives_of,
    filtered,
    frequencies_of,
    patterns_of,
    shifts_of,
    waves_of,
)
from learn.information import Signature, distinguishability
from twin.detection.detectors import Annular, Segmented
from twin.optics.electrons import wavelength

CAMERA_PIXEL = 2e-3
"""Side of a pixel (radian) of the camera of a 4D-STEM option, by default."""


BENDS = ((0, 0), (1, 1), (0, 1))
"""Second derivatives along x and y."""
MANY = 64
"""Channels from which on weights are taken as sparse."""


class Detector(NamedTuple):
    """Channels of what a probe leaves: ``weights`` [channels, pixels] of the beams; ``readout``: variance (electrons^2) of each count."""

    weights: Float[np.ndarray, "channels pixels"]
    readout: float = 0.0

    def counted(self, patterns: Float[np.ndarray, "*n pixels"]) -> Float[np.ndarray, "*n channels"]:
        """What the channels count of ``patterns``."""
        flat = patterns.reshape(-1, patterns.shape[-1])
        # a camera's pixels share no beams: of its weights nearly all are zero
        counts = flat @ (csr_array(self.weights).T if len(self.weights) > MANY else self.weights.T)
        return np.asarray(counts).reshape(*patterns.shape[:-1], -1)


class Scanned(NamedTuple):
    """A scan without a change and with it: ``rates`` [p, pixels] and ``changed`` [k, p, pixels] as shares of the beam, ``derivatives`` by name, the
    ``window``, and ``quantum`` [k]: how far one electron can tell both apart at most; ``halves``: differences by the even and the odd configurations, where
    there are at least two; ``wrong`` [e, p, pixels]: directions in which the rates may be off by an approximation, one standard deviation each; ``others``:
    the same at other settings that there may be, with derivatives by place and thickness only and without ``quantum``."""

    rates: Float[np.ndarray, "p pixels"]
    changed: Float[np.ndarray, "k p pixels"]
    derivatives: Mapping[str, Float[np.ndarray, "p pixels"]]
    window: Window
    quantum: Float[np.ndarray, " k"]
    halves: Float[np.ndarray, "2 k p pixels"] | None
    wrong: Float[np.ndarray, "e p pixels"] | None = None
    others: Sequence["Scanned"] = ()


def scanned(
    perfect: Matrices,
    changed: Sequence[Matrices],
    window: Window,
    probe: Probe,
    others: Sequence[Probe] = (),
    thicker: Matrices | None = None,
) -> Scanned:
    """Patterns of all hypotheses over the ``window``, of none but ``perfect`` where nothing is changed; also with ``others`` of the probes there may be.
    With a ``thicker`` crystal (`above_of`) there is the derivative `ABOVE`, too."""
    quantum = []
    before = waves_of(perfect, window, probe)
    for each in changed:
        after = waves_of(each, window, probe)
        flat = [waves.reshape(-1, waves.shape[-1]) for waves in (before, after)]
        quantum.append(distinguishability(*flat))
    slopes = derivatives_of(perfect, window, probe) | above_of(thicker, window, probe)
    made = _compared(perfect, changed, window, probe, slopes)
    return made._replace(
        quantum=np.array(quantum), others=[compared(perfect, changed, window, each, thicker) for each in others]
    )


def compared(
    perfect: Matrices, changed: Sequence[Matrices], window: Window, probe: Probe, thicker: Matrices | None = None
) -> Scanned:
    """One of the others of a scan: with those derivatives in which columns may differ, without what one electron can tell."""
    return _compared(perfect, changed, window, probe, shifts_of(perfect, window, probe, thicker))


def _compared(
    perfect: Matrices, changed: Sequence[Matrices], window: Window, probe: Probe, slopes: Mapping[str, np.ndarray]
) -> Scanned:
    """Without what one electron can tell."""
    count = len(perfect.amplitudes)
    parts = [slice(first, None, 2) for first in range(min(count, 2))]
    shares = [len(range(count)[part]) / count for part in parts]
    befores = [patterns_of(perfect, window, probe, configurations=part) for part in parts]
    halves = np.zeros((len(parts), len(changed), *befores[0].shape))
    for number, (part, before) in enumerate(zip(parts, befores, strict=True)):
        for way, each in enumerate(changed):
            halves[number, way] = patterns_of(each, window, probe, configurations=part) - before
    rates = np.tensordot(shares, np.stack(befores), 1)
    whole = np.tensordot(shares, halves, 1)  # none where nothing is changed
    return Scanned(rates, rates + whole, slopes, window, np.zeros(0), halves if changed and count > 1 else None)


def still(scan: Scanned, perfect: Matrices, changed: Sequence[Matrices], probe: Probe) -> Scanned:
    """The same with the probe resting on the place of the change (CBED): all electrons make one pattern."""
    ny, nx = scan.window.shape
    middle = slice(ny // 2 * nx + nx // 2, ny // 2 * nx + nx // 2 + 1)
    window = Window(scan.window.positions[middle], (1, 1), scan.window.sides)
    before = waves_of(perfect, window, probe)[:, 0]
    quantum = [distinguishability(before, waves_of(each, window, probe)[:, 0]) for each in changed]
    resting = _resting(scan, middle, window)
    return resting._replace(quantum=np.array(quantum), others=[_resting(each, middle, window) for each in scan.others])


def _resting(scan: Scanned, middle: slice, window: Window) -> Scanned:
    return Scanned(
        scan.rates[middle], scan.changed[:, middle], {name: slope[middle] for name, slope in scan.derivatives.items()}, window, scan.quantum,
        None if scan.halves is None else scan.halves[:, :, middle], None if scan.wrong is None else scan.wrong[:, middle],
    )  # fmt: skip


def annular(matrices: Matrices, inner: float, outer: float, readout: float = 0.0) -> Detector:
    """A ring of angles ``inner`` to ``outer`` in radian, its edges as wide as the grid's step."""
    ring = Annular(inner, outer, _step(matrices) if inner > 0.0 else 0.0)
    return Detector(_weights(ring, matrices).reshape(1, -1), readout)


def segments(matrices: Matrices, inner: float, outer: float, sectors: int = 4, readout: float = 0.0) -> Detector:
    """A ring cut into ``sectors``, the first from +x on."""
    return Detector(
        _weights(Segmented((inner, outer), sectors, 0.0, _step(matrices)), matrices).reshape(sectors, -1), readout
    )


def _weights(detector: Annular | Segmented, matrices: Matrices) -> np.ndarray:
    return np.asarray(detector.weights(matrices.k[:, 0], matrices.k[:, 1], wavelength(matrices.energy)), np.float64)


def _step(matrices: Matrices) -> float:
    return wavelength(matrices.energy) * 0.5 * sum(1.0 / side for side in matrices.extent)


def camera(matrices: Matrices, reach: float, pixel: float = CAMERA_PIXEL, readout: float = 0.0) -> Detector:
    """Square pixels of side ``pixel`` in radian, as far as ``reach``: each beam counts in the pixel it falls on."""
    angles = matrices.k * wavelength(matrices.energy)
    within = np.hypot(*angles.T) <= reach
    places = np.rint(angles[within] / pixel).astype(int)
    _, number = np.unique(places, axis=0, return_inverse=True)
    weights = np.zeros((int(number.max()) + 1, len(angles)))
    weights[number.ravel(), np.flatnonzero(within)] = 1.0
    return Detector(weights, readout)


class Variations(NamedTuple):
    """What amorphous layers do to columns, for each electron on a place: ``deviations`` [e, p, channels] from the mean of all, and that mean, ``added``
    [p, channels] to what is counted."""

    deviations: Float[np.ndarray, "e p channels"]
    added: Float[np.ndarray, "p channels"]


class Unknown(NamedTuple):
    """What is not known of a recording. ``priors``: standard deviations by the names of derivatives, in the same units, and of "gain" and "background" (shares
    of the mean); names without a prior are free. ``differences``: the same from column to column, 0 where it is not named. ``model``: rms share by which
    the predicted contrast of each channel may be wrong, and, where columns are compared, each count's change by their differences."""

    priors: Mapping[str, float]
    differences: Mapping[str, float]
    model: float


def signatures_of(
    scan: Scanned, detector: Detector, unknown: Unknown, variations: Variations | None = None
) -> tuple[list[Signature], tuple[str, ...]]:
    """The change in the counts of ``detector``, for each electron that is spread over the window, at the assumed settings and at each of the ``others``, and
    the names of its nuisances (`nuisances_of`; of the others those in which columns may differ). ``variations`` of what columns count at each place:
    `learn.feasibility.layers`."""
    names, made, bent = tuple(nuisances_of(scan, detector, unknown)), [], ()
    for each in (scan, *scan.others):
        own = nuisances_of(each, detector, unknown)
        blank = np.zeros(each.rates.shape[0] * len(detector.weights))
        signature = _signature(each, detector, {name: own.get(name, blank) for name in names}, unknown, variations)
        signature, bent = _bent(signature, each, names, unknown)
        made.append(signature)
    return made, (*names, *bent)


def _signature(
    scan: Scanned,
    detector: Detector,
    nuisances: Mapping[str, np.ndarray],
    unknown: Unknown,
    variations: Variations | None,
) -> Signature:
    places = len(scan.rates)
    rates, changed = detector.counted(scan.rates) / places, detector.counted(scan.changed) / places
    deviations = None
    if variations is not None:
        deviations = variations.deviations.reshape(len(variations.deviations), -1) / places
        more = np.maximum(rates + variations.added / places, 0.0) - rates
        rates, changed = rates + more, changed + more
    wrong = (unknown.model * (rates - rates.mean(0, keepdims=True))).ravel()[:, None]
    if scan.wrong is not None:
        wrong = np.concatenate([wrong, detector.counted(scan.wrong).reshape(len(scan.wrong), -1).T / places], axis=1)
    halves = None if scan.halves is None else detector.counted(scan.halves).reshape(2, len(changed), -1) / places
    differences = np.array([unknown.differences.get(name, 0.0) for name in nuisances])
    derivatives = stacked(nuisances, rates.size)
    # of what may differ by any amount the model's error is not known: it is fitted
    known = np.where(np.isfinite(differences), differences, 0.0)
    return Signature(
        rates.ravel(), changed.reshape(len(changed), -1), derivatives, np.array([unknown.priors.get(name, np.inf) for name in nuisances]),
        detector.readout, wrong, halves, differences,
        deviations, unknown.model**2 * (derivatives**2 @ known**2),
    )  # fmt: skip


def _bent(
    signature: Signature, scan: Scanned, names: Sequence[str], unknown: Unknown
) -> tuple[Signature, tuple[str, ...]]:
    """With second derivatives along the scan: of columns that are displaced at random, references tell the place only so well, and the square of it counts.
    The names are those of the first ones."""
    widths = [unknown.differences.get(name, 0.0) for name in ("x", "y")]
    if len(scan.rates) == 1 or not {"x", "y"} <= set(names) or not all(0.0 < width < np.inf for width in widths):
        return signature, ()
    along = -2j * np.pi * np.stack(np.broadcast_arrays(*frequencies_of(scan.window)))
    rows = []
    for first, second in BENDS:
        slope = signature.nuisances[:, names.index("xy"[first])]
        rows.append(filtered(slope.reshape(len(scan.rates), -1), scan.window, along[second]).ravel())
    products = [widths[first] * widths[second] for first, second in BENDS]
    assert signature.differences is not None
    signature = signature._replace(
        nuisances=np.concatenate([signature.nuisances, np.stack(rows, 1)], 1),
        priors=np.append(signature.priors, np.zeros(len(rows))),
        differences=np.append(signature.differences, products),
    )
    return signature, tuple("xy"[first] for first, _ in BENDS)


def nuisances_of(scan: Scanned, detector: Detector, unknown: Unknown) -> dict[str, Float[np.ndarray, " m"]]:
    """Derivatives of the counts, for each electron over the window, in all that is not known. An even background is a nuisance where there is one channel."""
    places = len(scan.rates)
    rates = detector.counted(scan.rates) / places
    columns = {name: detector.counted(slope).ravel() / places for name, slope in scan.derivatives.items()}
    columns["gain"] = rates.ravel()
    if detector.weights.shape[0] == 1:
        columns["background"] = np.full(rates.size, float(rates.mean()))
    return {
        name: column
        for name, column in columns.items()
        if unknown.priors.get(name, np.inf) > 0.0 or unknown.differences.get(name, 0.0) > 0.0
    }


def stacked(columns: Mapping[str, np.ndarray], size: int) -> Float[np.ndarray, "m p"]:
    """Columns of ``size`` side by side."""
    return np.stack(list(columns.values()), 1) if columns else np.zeros((size, 0))
