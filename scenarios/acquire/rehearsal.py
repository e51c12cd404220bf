"""Compilation of the programs of a session before its first image, two at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from reconstruct.inference.image_inference import rehearse_fit
from scenarios.acquire.planning.linearization import Linearization
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import TwinSession
from twin.image.prediction import view


def rehearse(twin_session: TwinSession, scenario: Scenario) -> None:
    """Compile the programs of a session by calling each once. ``twin_session`` is not changed."""
    scan, microscope = scenario.make_scan(), twin_session.microscope
    request = view(microscope, {}, scan, (0.0, 0.0))
    calls: list[Callable[[], object]] = [
        lambda: rehearse_fit(microscope, twin_session.belief, request),
        lambda: Linearization(twin_session).steps([{}], scan, [0]),
    ]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
