"""The planned requests of a session, shown in its report until the first is answered."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scenarios.acquire.planning.requests import plan_requests
from scenarios.acquire.scenario import from_dict
from scenarios.report import drawings
from scenarios.report.session import Session
from scenarios.style.figure import INK, draw


def draw_plan(session: Session) -> str | None:
    """Defocus and beam shift of every request, as a ``data:`` address; None for a session that has answered some, or asks for none."""
    if session.requests or session.replay or "requests" not in session.scenario:
        return None
    scenario = from_dict(session.scenario, str(session.folder))
    requests, moves = plan_requests(scenario.requests, session.seed)
    return _plan(
        np.array([request.seconds / 60 for request in requests]),
        np.array([request.settings["C10"] for request in requests]),
        np.array([[request.settings["beam_shift.x"], request.settings["beam_shift.y"]] for request in requests]),
        np.array([move.seconds / 60 for move in moves]),
        (scenario.scan.shape[1] * scenario.scan.pixel, scenario.scan.shape[0] * scenario.scan.pixel),
    )


def _plan(
    minutes: np.ndarray, defocus: np.ndarray, shifts: np.ndarray, moves: np.ndarray, window: tuple[float, float]
) -> str:
    """What is asked for: ``defocus`` [request] in angstrom over ``minutes``, and beam ``shifts`` [request, 2] (angstrom) with the scanned ``window``."""

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[2.2, 1])
        drawings.draw_moves(left, moves)
        left.plot(minutes, defocus / 10, "o", color=drawings.COLOURS["measure"], markersize=4)
        left.set_xlabel("instrument time (min)")
        left.set_ylabel("requested C10 (nm)")
        right.plot(*(shifts.T / 10), ".", color=drawings.COLOURS["measure"])
        width, height = window[0] / 10, window[1] / 10
        corner = (-width / 2, -height / 2)
        right.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=INK))
        right.set_aspect("equal", adjustable="datalim")
        right.invert_yaxis()
        right.set_title("beam shifts; square: the field of view")
        right.set_xlabel("x (nm)")
        right.set_ylabel("y (nm)")

    return draw(10.3, 2.9, paint)
