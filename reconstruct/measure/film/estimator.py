"""Aberrations to third order from scans of Ronchigrams over an amorphous film whose atoms are not known.

The likelihood is that of `film`: linear in the film, which is integrated out; thickness, power spectrum and noise are fitted along. Starts come
from `parallax`; from each of them the likelihood is climbed by scoring with more and more scan frequencies, since it is the low ones that
tell far from near. Errors are those of `sandwich`: curvature by Fisher's information, spread of the score from frequency to frequency as the data have it,
so what the weak linear model lacks (plural scattering, mostly) widens them.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from reconstruct.inference.robust_covariance import covariance
from reconstruct.measure.film.blocks import Prepared, block, prepared
from reconstruct.measure.film.exposure import Exposure, Optics, Spectra, spectra
from reconstruct.measure.film.likelihood import Block, expected_power, informations, scores
from reconstruct.measure.film.search import Climb, penalised, searched, together, without_film
from reconstruct.measure.measurement import Component, Measurement, Shown
from reconstruct.measure.prior import COEFFICIENTS, LEARNT, Prior
from twin import checks
from twin.optics.aberrations import NAMES
from twin.optics.probe import reach
from twin.optics.weak import THIRD

KIND = "amorphous film"
SEEN = 50.0
"""Log likelihood by which a film must be likelier than none: twice what all that is fitted takes from noise alone."""


def fit_amorphous(exposures: Sequence[Exposure], optics: Optics, prior: Prior) -> Measurement:
    """COEFFICIENTS and "thickness" (angstrom) from ``exposures`` of one film, in any order and wherever on the film; C10 is at its entrance face.

    The prior's widths say how far off a start may be: C10 and C12 are searched over twice of them. ValueError for no exposures, or exposures
    without a lit pixel; what they do not determine keeps its prior and is named.
    """
    checks.require_float64()
    if not exposures:
        raise ValueError("no exposures: give at least one scan of Ronchigrams")
    data = [prepared(spectra(one, optics), optics) for one in exposures]
    precision, centre = penalised(prior)
    whole = [
        one.spectra if one.spectra.setting.periodic else spectra(each, optics, dense=True)
        for one, each in zip(data, exposures, strict=True)
    ]
    found = searched(data, whole, prior, precision, centre)
    names = (*COEFFICIENTS, "thickness")
    before = np.concatenate([np.sqrt(np.diag(prior.covariance)), [prior.thickness[1]]])
    notes = [note for one in data for note in one.spectra.notes]
    if found[0].height - without_film(data, precision, centre) < SEEN:
        wide = np.diag(before**2)
        wide[:THIRD, :THIRD] = prior.covariance
        unseen = Component(1.0, np.concatenate([prior.mean, prior.thickness[:1]]), wide)
        why = "no film can be told from counting noise in these exposures"
        # as wide as the probe may have been
        widest = prior.mean.copy()
        widest[0] += np.copysign(2.0 * before[0], prior.mean[0])
        notes += _too_wide(data, widest)
        electrons = float(sum(one.setting.electrons for one in exposures))
        return Measurement(
            KIND,
            names,
            ("angstrom",) * len(names),
            (unseen,),
            dict.fromkeys(names, why),
            1.0,
            electrons,
            (),
            tuple(notes),
        )
    parts: list[tuple[float, np.ndarray, np.ndarray]] = []
    smeared = [[block(each, one.parameters[:THIRD]) for each in data] for one in found]
    for one, blocks in zip(found, smeared, strict=True):
        told, volume = _covariance(blocks, one, precision)
        parts.append((one.height + volume, one.parameters[: THIRD + 1].copy(), told))
    weights = np.exp([height - parts[0][0] for height, _, _ in parts])
    components = tuple(
        Component(float(weight), mean, told)
        for weight, (_, mean, told) in zip(weights / weights.sum(), parts, strict=True)
    )
    notes += _too_wide(data, found[0].parameters)
    if len(components) > 1:
        notes.append("these exposures do not tell chi from -chi: both are kept")
    wide = {
        name: f"these exposures leave it within {std:.3g} angstrom, and it was known to {was:.3g} before"
        for name, std, was in zip(names, np.sqrt(np.diag(parts[0][2])), before, strict=True)
        if std > LEARNT * was
    }
    return Measurement(
        kind=KIND,
        names=names,
        units=("angstrom",) * len(names),
        components=components,
        undetermined=wide,
        misfit=float(np.exp(found[0].parameters[-1])),
        electrons=float(sum(one.setting.electrons for one in exposures)),
        shown=tuple(
            _shown(f"exposure {number + 1}", one.spectra, part, found[0].parameters)
            for number, (one, part) in enumerate(zip(data, smeared[0], strict=True))
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _too_wide(data: list[Prepared], parameters: np.ndarray) -> list[str]:
    """A note where a film that does not repeat was seen by probes about as wide as the scan."""
    for one in data:
        setting, optics = one.spectra.setting, one.optics
        full = np.concatenate([parameters[:THIRD], np.zeros(len(NAMES) - THIRD)])
        full[0] += setting.c10
        wide = 2.0 * max(reach(full, optics.energy, optics.semiangle, setting.tilt, setting.tilt))
        side = setting.step * min(setting.points)
        if not setting.periodic and wide > 0.5 * side:
            return [
                (
                    f"the probe is up to {wide:.0f} angstrom wide and the scan {side:.0f}: errors may be larger than told; "
                    "scan a wider field, or go nearer to focus"
                )
            ]
    return []


def _covariance(blocks: list[Block], at: Climb, precision: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariance of coefficients and thickness, and half the log determinant of that of all parameters."""
    where = jnp.asarray(at.parameters)
    rows, parts = (
        np.concatenate(together([np.asarray(made(one)) for one in blocks]))
        for made in (lambda one: scores(one, where)[1], lambda one: informations(one, where))
    )
    whole, _ = covariance(rows, parts, precision)
    volume = 0.5 * float(np.linalg.slogdet(np.linalg.inv(parts.sum(axis=0) + precision))[1])
    return whole[: THIRD + 1, : THIRD + 1], volume


def _shown(name: str, one: Spectra, part: Block, parameters: np.ndarray) -> Shown:
    """The mean over pixels of |z|^2 over scan frequencies, as it is and as the fit has it."""
    model, std = (np.asarray(v) for v in expected_power(part, jnp.asarray(parameters)))
    data = (np.abs(one.z) ** 2).mean(axis=1)
    ny, nx = one.setting.points
    step = 1.0 / (one.setting.step * np.array([nx, ny]))
    at = np.rint(one.q / step).astype(int)
    reach = int(np.abs(at).max())

    def image(values: np.ndarray) -> np.ndarray:
        made = np.full((2 * reach + 1, 2 * reach + 1), np.nan)
        made[reach + at[:, 1], reach + at[:, 0]] = values
        made[reach - at[:, 1], reach - at[:, 0]] = values
        return made

    x, y = (reach + 0.5) * step
    return Shown(name, image(data), image(model), image((data - model) / std), (-x, x, -y, y), "1/angstrom")
