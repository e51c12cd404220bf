"""A map of one number over a scan, from few of its pixels.

The survey image of the whole area is given. Pixels are measured one at a time: first spread out over position and image features, then those that
lower the variance of the whole map most (or by another rule of `learn.design.acquisition`), with a few random ones as audits, until the largest standard
deviation of the predicted map is within tolerance, also after a batch of audits. The other pixels are read after the last decision, only to score the map.
"""

import dataclasses
import math
from typing import Any, get_args

import jax
import numpy as np

from learn.design.acquisition import RULES, Rule, next_pixels
from learn.design.sampling import spread_out
from learn.gp.deep_kernel import ComparedMap, patch_inputs
from learn.gp.spectra import MapPrediction, image_features
from learn.mapping.host import Host, HostClaims, HostResponse, host_response
from learn.mapping.models import Pixels, build_model, model_name
from learn.mapping.score import arrays_of, recorded_map, result_of
from learn.mapping.session import MapSession, Progress, Source
from reconstruct.eels.columns import EdgeResponse
from reconstruct.measurement.scanned import PixelQuantity, QuantityName
from twin.errors import BadInput, from_twin

LEAST_INITIAL, INITIAL_SHARE = 16, 50
"""Pixels that are measured first: at least so many, or one of so many of the scan's."""
LEAST_BATCH, BATCH_SHARE = 4, 75
"""Pixels that are chosen together, after that."""
MOST_PIXELS = 6400
"""Pixels of a map: its covariance is a matrix of that size."""
SPREAD_OVER = 8.0
"""Length of the map in standard deviations of a feature, when the first pixels are spread out."""


@dataclasses.dataclass(frozen=True)
class MapPlan:
    """What is asked: the largest standard deviation of the map as a share of its range (``tolerance``), at most ``budget`` pixels (None: all), the share of
    random pixels as a check (``audit_share``), the ``seed``, the ``host`` crystal, the ``model`` (None: by the host) and the ``rule`` by which the next pixels
    are chosen. ``withheld`` pixels (row order) are never measured: for benchmarks."""

    tolerance: float = 0.15
    budget: int | None = None
    audit_share: float = 0.1
    seed: int = 0
    host: Host | None = None
    model: str | None = None
    rule: str = "variance"
    withheld: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True)
class Survey:
    """The ``image`` [rows * finer, columns * finer] of the whole area, and what the recording claims for a host crystal."""

    image: np.ndarray
    finer: int
    claims: HostClaims = dataclasses.field(default_factory=HostClaims)


def first_pixels(count: int) -> int:
    """How many pixels of a scan of ``count`` are measured first."""
    return max(LEAST_INITIAL, count // INITIAL_SHARE)


def check_plan(plan: MapPlan, shape: tuple[int, int], name: QuantityName, label: str = "data") -> int:
    """The most pixels that may be measured. BadInput for a plan that cannot be followed on a scan of ``shape`` in the recording called ``label``."""
    count = shape[0] * shape[1]
    if not (math.isfinite(plan.tolerance) and plan.tolerance > 0):
        raise BadInput(
            "tolerance", f"{plan.tolerance!r} is no share of a range", "Give a positive number such as 0.15."
        )
    if count > MOST_PIXELS:
        problem = f"has {shape[0]} x {shape[1]} = {count} pixels, and a map may have {MOST_PIXELS}"
        raise BadInput(
            label, problem, f"Bin the scan (bin = {math.ceil(math.sqrt(count / MOST_PIXELS))}, --bin), or crop it."
        )
    first, free = first_pixels(count), count - len(plan.withheld)
    if free <= first:
        problem = f"has {shape[0]} x {shape[1]} pixels, of which the first {first} are measured anyhow"
        raise BadInput(label, problem, f"Give a scan of more than {first} pixels.")
    limit = free if plan.budget is None else min(plan.budget, free)
    if limit < first:
        raise BadInput("budget", f"{limit} pixels are too few to start from", f"Allow {first} or more.")
    if plan.host is not None and model_name(plan.model, True) != "plain" and name.form != "edge":
        raise BadInput("host", f"is a crystal for edges, and {name.text!r} is none", "Leave the table [host] out.")
    model_name(plan.model, plan.host is not None)
    rule_name(plan.rule)
    return limit


def rule_name(asked: str) -> Rule:
    """The rule for the next pixels that is ``asked`` for; BadInput for another one."""
    for rule in get_args(Rule):
        if asked == rule:
            return rule
    raise BadInput(f"rule {asked!r}", "is no rule for the next pixels", f"Give one of {', '.join(RULES)}.")


def acquire_map(
    source: Source, survey: Survey, name: QuantityName, quantity: PixelQuantity, plan: MapPlan, progress: Progress
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measure until the largest standard deviation of the map, over its range, is within the tolerance of the ``plan``.

    Returns the result in numbers, and arrays over the map [rows, columns]: predicted, predicted_std (without counting noise), measured, order
    (-1 where not measured), recorded, recorded_std (nan where unknown); also the survey ``image``, and history_measured with history_uncertainty, one entry
    per prediction.

    The data of pixels and the record are the ``source``'s; pixels that it holds already are reused, so that an interrupted session ends in the same result.
    With a host crystal what a pixel gives is the twin's map of the edge over the crystal's cell, where the survey has the pixel, times a Gaussian process of
    the atoms. The same seed gives the same result. BadInput for plans and data that cannot be used.
    """
    shape = survey.image.shape[0] // survey.finer, survey.image.shape[1] // survey.finer
    limit, count = check_plan(plan, shape, name), shape[0] * shape[1]
    with jax.enable_x64(True):
        image = survey.image.astype(np.float32).astype(np.float64)
        features = image_features(image, survey.finer)
        known: list[HostResponse] = []
        remarks: list[str] = []

        def response() -> EdgeResponse | None:
            if plan.host is None:
                return None
            progress.stage("computing what the edge gives over a cell of the host crystal")
            made = _response(plan.host, name, survey, source)
            if isinstance(made, str):
                remarks.append(made)
                return None
            known.append(made)
            return made.response

        chosen = model_name(plan.model, plan.host is not None)
        pixels = Pixels(shape, features, lambda: patch_inputs(image, survey.finer), response)
        model = build_model(chosen, pixels, plan.seed)
        session = MapSession(source, model, quantity, progress, plan.tolerance, rule_name(plan.rule))
        rng = np.random.default_rng(plan.seed)
        allowed = np.array(sorted(set(range(count)) - plan.withheld))
        points = np.concatenate([model.positions * SPREAD_OVER / max(shape), features], axis=1)
        try:
            determined = session.begin(spread_out(points, first_pixels(count), allowed, rng))
        except BadInput:
            raise
        except ValueError as error:
            raise from_twin(f"quantity {name.text!r}", error, "Ask for another quantity.") from error
        prediction = _follow(session, allowed, limit, plan, rng)
    source.note("sealed", {"measured": len(session.taken), "uncertainty": prediction.uncertainty})
    truth, variance = recorded_map(session)
    result = result_of(session, prediction, truth, variance, plan.withheld)
    if isinstance(model, ComparedMap):
        remarks.append(_compared(model))
    by_name = "plain" if chosen == "host" and not known else chosen
    result |= {"model": by_name, "rule": plan.rule, "host": known[0].summary if known else None}
    result |= {
        "determined": {key: value for key, value in determined.items() if key != "notes"},
        "notes": [*remarks, *determined["notes"]],
    }
    if not result["contrast"]:
        text = "the measured values scatter no more than counting noise: the map shows no contrast"
        source.note("finding", {"kind": "no_contrast", "text": text})
        result["notes"] = [*result["notes"], text]
    return result, arrays_of(session, prediction, survey.image, truth, variance)


def _follow(
    session: MapSession, allowed: np.ndarray, limit: int, plan: MapPlan, rng: np.random.Generator
) -> MapPrediction:
    """Choose and measure pixels until the tolerance is met and checked, or ``limit`` pixels are measured; the last prediction."""
    count = len(session.model.positions)
    usual = max(LEAST_BATCH, count // BATCH_SHARE)
    prediction = session.predict()
    while not session.confirmed and len(session.taken) < limit:
        left = np.setdiff1d(allowed, session.pixels)
        size = min(usual, limit - len(session.taken))
        confirming = session.within(prediction)
        if confirming:  # a first claim to be sure is checked at random pixels before it is believed
            batch, audits = rng.choice(left, size, replace=False), np.ones(size, dtype=bool)
        else:
            noise = np.full(count, float(np.mean(session.variances)))
            batch = next_pixels(session.rule, prediction, noise, left, size, session.pixels)
            audits = rng.random(batch.size) < plan.audit_share
            others = np.setdiff1d(left, batch)
            audits &= others.size >= batch.size
            if audits.any():
                batch[audits] = rng.choice(others, int(audits.sum()), replace=False)
        for pixel, audit in zip(batch, audits, strict=True):
            session.measure(int(pixel), "audit" if audit else "measure", prediction)
        session.check(len(batch), prediction)
        prediction = session.predict()
        session.confirmed = confirming and session.within(prediction)
    return prediction


def _response(host: Host, name: QuantityName, survey: Survey, source: Source) -> HostResponse | str:
    """The physical model under the map; in words why there is none where the survey does not show it, which is noted."""
    try:
        made = host_response(
            host, f"{name.element} {name.shell}", name.signal, survey.image, survey.finer, survey.claims
        )
    except BadInput:
        raise
    except ValueError as error:
        text = f"the map is predicted without a crystal: {error}"
        source.note("finding", {"kind": "no_host_lattice", "text": text})
        return text
    source.note("host", made.summary)
    return made


def _compared(model: ComparedMap) -> str:
    nats, count = model.evidence
    return (
        f"average of the deep kernel and the one without, with weights of {model.evidence.weight:.2f} and {1.0 - model.evidence.weight:.2f}: {nats:+.1f} nats "
        f"for the deep one by {count} values that both predicted before they were measured"
    )
