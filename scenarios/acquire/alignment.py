"""Alignment images of a session: which defocus and exposure, in front of which request, and what that leaves worth measuring.

Settling and parking cost the specimen electrons that tell nothing, so a longer dwell tells more per electron, until drift and the model's own error take
over; an image near focus is sharp, one at focus says nothing of the sign of defocus. `learn.design.exposure_design` weighs that.
"""

import dataclasses

import msgspec
import numpy as np

from learn.design.decision import MIN_SAVING
from learn.design.exposure_design import Question, best_series, gain, gains
from scenarios.acquire.dose_accounting import Ledger, electrons_of
from scenarios.acquire.linearization import Linearization
from scenarios.acquire.requests import Request
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import TwinSession
from twin.records import Scan

DEFOCI = (-60.0, -40.0, -20.0, 10.0, 30.0, 50.0)
"""Defocus (angstrom) of alignment images to choose from, both sides of focus."""
DWELLS = (1, 2)
"""Their dwell times, in those of a request."""
CANDIDATES_WEIGHED = 5
"""Of all these, so many that do best in front of the request at hand are weighed for the later ones, too."""
FIRST_SITE_WEIGHT = 1.5
"""The first place may cost so many times as much as a later one: there the zeros and scales of optics and deflectors are found besides."""
HORIZON = 9
"""Requests that are planned for at once; where all plans over them are compared, their number doubles with each."""
SLACK = 0.05
"""Seconds between an alignment image's last line and the request's command."""


class AlignmentPlanner:
    """What alignment images a session takes: none are chosen if its scenario has no ``max_dose_share``, or no ``alignment``."""

    def __init__(self, twin_session: TwinSession, scenario: Scenario, requests: list[Request], places: int):
        self.twin_session, self.scenario, self.requests, self.places = twin_session, scenario, requests, places
        self.scan = scenario.make_scan()
        self.defoci = [defocus for defocus in DEFOCI for _ in DWELLS]
        self.scans = [exposed(self.scan, dwells) for _ in DEFOCI for dwells in DWELLS]
        self.cost = electrons_of(self.scan)
        self.lead = max(map(seconds_of, self.scans)) + SLACK

    @property
    def wanted(self) -> bool:
        return self.scenario.max_dose_share is not None and self.scenario.alignment > 0

    def before(
        self, request: Request, start: int, now: int, most: int, ledger: Ledger, forced: bool = False
    ) -> tuple[dict[str, float], Scan] | None:
        """Settings and scan of the alignment image to take at ``now`` (ns) in front of a request; None where its electrons are better spent later, or kept.

        ``most`` requests may still be measured here, the session began at ``start``. ``forced``: one is taken, that which tells most per electron.
        """
        question = self._question(request, start, now, most, ledger)
        expected_gains = gains(question)
        order = np.argsort(-expected_gains)
        if forced:
            chosen = int(order[0])
        else:
            selected = order[:CANDIDATES_WEIGHED]
            series = best_series(_only(question, selected))
            if series.first is None:
                return None
            chosen = int(selected[series.first])
        return self._setting(request, chosen), self.scans[chosen]

    def gain(self, request: Request, start: int, now: int, most: int, ledger: Ledger) -> float:
        """What measuring this request saves, those that follow and what could be done for them instead taken into account."""
        question = self._question(request, start, now, most, ledger)
        selected = np.argsort(-gains(question))[:CANDIDATES_WEIGHED]
        return gain(dataclasses.replace(_only(question, selected), passed=True))

    def _setting(self, request: Request, number: int) -> dict[str, float]:
        """An alignment image's defocus, at the beam shift of the request: what shifts are off by is then in what it tells."""
        return {**request.settings, "C10": self.defoci[number]}

    def _question(self, request: Request, start: int, now: int, most: int, ledger: Ledger) -> Question:
        ahead = self.requests[request.index : request.index + 1 + min(request.followers, HORIZON - 1)]
        times = [max(start + int(request_ahead.seconds * 1e9) - now, 0) for request_ahead in ahead]
        linearization = Linearization(self.twin_session)
        steps, transitions = linearization.steps(
            [self.twin_session.tuned(request_ahead.settings) for request_ahead in ahead], self.scan, times, self.lead
        )
        tuned = [
            [self.twin_session.tuned(self._setting(request_ahead, k)) for k in range(len(self.scans))]
            for request_ahead in ahead
        ]
        return Question(
            covariance=linearization.belief.covariance,
            steps=steps,
            transitions=transitions,
            exposures=linearization.exposures(tuned, self.scans),
            cost=self.cost,
            electrons=self._left(request, ledger),
            most=min(most, len(ahead)),
            price=MIN_SAVING * self.scenario.tolerance / self.cost,
        )

    def _left(self, request: Request, ledger: Ledger) -> float:
        """Electrons that may still be spent at this place: what is left of all, less a share for each place to come."""
        whole = (self.scenario.max_dose_share or 0.0) * len(self.requests) * self.cost
        reserved = whole / (self.places - 1 + FIRST_SITE_WEIGHT) * (self.places - 1 - request.site)
        return max(whole - ledger.spent - reserved, 0.0)


def _only(question: Question, selected: np.ndarray) -> Question:
    """The question with these of its alignment images."""
    return dataclasses.replace(question, exposures=[[row[index] for index in selected] for row in question.exposures])


def exposed(scan: Scan, dwells: int) -> Scan:
    """A scan that stays so many times as long on each pixel, at the same beam current."""
    return msgspec.structs.replace(scan, dwell=scan.dwell * dwells, dose=scan.dose * dwells)


def seconds_of(scan: Scan) -> float:
    """From a scan's command to its last pixel."""
    ny, nx = scan.shape
    return scan.settle + ny * (nx * scan.dwell + scan.flyback)
