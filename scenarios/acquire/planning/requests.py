"""The requests of a session: time, site and settings of each, drawn from the scenario and the seed."""

import msgspec
import numpy as np

from scenarios.acquire.scenario import RequestPlan

SETTLING = 20.0
"""Seconds from a stage move to the first request after it."""


class Request(msgspec.Struct, frozen=True):
    """Request ``index`` at ``site`` (``first`` there, ``followers`` more to come), ``seconds`` after the start of the session."""

    index: int
    site: int
    first: bool
    followers: int
    seconds: float
    settings: dict[str, float]


class Move(msgspec.Struct, frozen=True):
    """A stage move before the first request of a site: position (angstrom) and time."""

    site: int
    seconds: float
    x: float
    y: float


def plan_requests(plan: RequestPlan, seed: int) -> tuple[list[Request], list[Move]]:
    """Requests in bursts, one burst a site, evenly spread over the session; the stage moves between them."""
    generator = np.random.default_rng([seed, 0x7265])
    sizes = [len(part) for part in np.array_split(np.arange(plan.count), plan.sites)]
    apart = plan.duration / plan.sites
    requests: list[Request] = []
    moves: list[Move] = []
    for site, size in enumerate(sizes):
        begin = site * apart
        if site:
            angle = generator.uniform(0, 2 * np.pi)
            far = generator.uniform(150.0, 400.0)
            before = moves[-1] if moves else Move(0, 0.0, 0.0, 0.0)
            moves.append(Move(site, begin, before.x + far * np.cos(angle), before.y + far * np.sin(angle)))
        waits = plan.spacing * generator.uniform(0.7, 1.3, size)
        if SETTLING + waits.sum() > apart:
            waits *= max(apart - SETTLING, 1.0) / waits.sum() * 0.95
        moments = begin + SETTLING + np.concatenate([[0.0], np.cumsum(waits)[:-1]])
        for number in range(size):
            radius, angle = plan.shift * np.sqrt(generator.random()), generator.uniform(0, 2 * np.pi)
            settings = {
                "C10": float(generator.uniform(-plan.defocus, plan.defocus)),
                "beam_shift.x": float(radius * np.cos(angle)),
                "beam_shift.y": float(radius * np.sin(angle)),
            }
            requests.append(
                Request(len(requests), site, number == 0, size - 1 - number, float(moments[number]), settings)
            )
    return requests, moves
