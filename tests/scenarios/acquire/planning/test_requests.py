"""The requests of a session: reproducible, in time, within their limits."""

import numpy as np
import pytest

from scenarios.acquire.planning.requests import SETTLING, plan_requests
from scenarios.acquire.scenario import RequestPlan
from scenarios.presets import default_scenario

PLAN = default_scenario().requests


def test_the_same_seed_asks_the_same():
    assert plan_requests(PLAN, 5) == plan_requests(PLAN, 5)
    assert plan_requests(PLAN, 5) != plan_requests(PLAN, 6)


@pytest.mark.parametrize("seed", range(8))
def test_half_an_hour_of_requests(seed):
    requests, moves = plan_requests(PLAN, seed)
    assert len(requests) == 60
    assert len(moves) <= 6
    assert [request.index for request in requests] == list(range(60))
    seconds = np.array([request.seconds for request in requests])
    assert np.all(np.diff(seconds) > 0)
    assert seconds[0] >= 0
    assert seconds[-1] < 1800
    for request in requests:
        assert abs(request.settings["C10"]) <= 100
        assert np.hypot(request.settings["beam_shift.x"], request.settings["beam_shift.y"]) <= 20
    assert np.ptp([request.settings["C10"] for request in requests]) > 100
    for move in moves:
        first = next(request for request in requests if request.site == move.site)
        assert first.first
        assert first.seconds - move.seconds == pytest.approx(SETTLING)
        assert all(request.seconds < move.seconds for request in requests if request.site < move.site)


def test_bursts_count_who_is_first_and_who_follows():
    requests, moves = plan_requests(RequestPlan(count=11, sites=3, spacing=2.0, duration=300.0), 0)
    assert [sum(request.site == site for request in requests) for site in range(3)] == [4, 4, 3]
    assert [request.first for request in requests].count(True) == 3
    assert [request.followers for request in requests if request.site == 2] == [2, 1, 0]
    assert len(moves) == 2
    apart = np.hypot(moves[1].x - moves[0].x, moves[1].y - moves[0].y)
    assert 150 <= apart <= 400


def test_a_crowded_plan_still_ends_in_time():
    requests, moves = plan_requests(RequestPlan(count=40, sites=2, spacing=10.0, duration=100.0), 1)
    seconds = np.array([request.seconds for request in requests])
    assert np.all(np.diff(seconds) > 0)
    assert seconds[-1] < 100
    assert all(request.seconds < moves[0].seconds for request in requests if request.site == 0)
