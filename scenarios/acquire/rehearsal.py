"""A rehearsal of a session: what it computes is compiled, two programs at a time, before there is an image to compute with."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from reconstruct.inference.image_inference import START_COUNTS, rehearse_fit
from scenarios.acquire.linearization import Foresight
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import Following
from twin.image.prediction import view


def rehearse(following: Following, scenario: Scenario) -> None:
    """Compile a session's programs by calling each once. ``following`` is not changed."""
    scan, microscope = scenario.make_scan(), following.microscope
    request = view(microscope, {}, scan, (0.0, 0.0))
    calls: list[Callable[[], object]] = [
        partial(rehearse_fit, microscope, following.belief, request, size) for size in reversed(START_COUNTS)
    ]
    calls.append(lambda: Foresight(following).steps([{}], scan, [0]))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
